"""Lengths of time as people write them: 30s, 5m, 2h, 90d."""

from __future__ import annotations

import re
from datetime import timedelta

FORM = r"[0-9]{1,6}(ms|s|m|h|d)"
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta | None:
    """The length of time, or None where `text` is not of the form."""
    match = re.fullmatch(FORM, text)
    if match is None:
        return None
    return timedelta(seconds=int(text.removesuffix(match[1])) * _UNITS[match[1]])
