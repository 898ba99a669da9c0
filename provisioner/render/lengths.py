"""Lengths of time for people."""

from __future__ import annotations

from datetime import timedelta

_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60))


def length(time: timedelta | None) -> str:
    """`91 days`, `1 second`: in the largest unit of which there are two or more, rounded down."""
    seconds = 0 if time is None else int(time.total_seconds())
    for name, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
