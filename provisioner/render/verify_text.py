"""Verdicts as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from provisioner.text import escape
from provisioner.verification import Verdict, Verified

_SHOWN = 3


def verify_text(verified: Sequence[Verified]) -> str:
    """A line a record, a count, and what to do about what is not confirmed; ends in a newline."""
    width = max((len(str(item.address)) for item in verified), default=0)
    lines = [f"{item.address!s:<{width}}  {_verdict(item)}" for item in verified]
    good = sum(item.verdict.good for item in verified)
    lines.append(f"\n{good} of {len(verified)} confirmed.")
    if any(item.verdict is Verdict.WRONG for item in verified):
        lines.append("A wrong secret was rotated elsewhere, or its record is an old one: it must be rotated.")
    lines += _explained(verified)
    return "\n".join(lines) + "\n"


def verify_json(verified: Sequence[Verified], *, lacking: bool = False) -> str:
    """An object with a verdict an address; ends in a newline. `lacking` says that the state is missing."""
    verdicts = [
        {
            "address": str(item.address),
            "verdict": item.verdict.value,
            "reason": item.reason or None,
            "help": item.help or None,
        }
        for item in verified
    ]
    confirmed = not lacking and all(item.verdict.good for item in verified)
    return (
        json.dumps({"format_version": "1.0", "confirmed": confirmed, "verdicts": verdicts}, indent=2) + "\n"
    )


def _explained(verified: Sequence[Verified]) -> Iterator[str]:
    """What stopped several from being asked is told once, and of many different things the first."""
    told = list(dict.fromkeys((item.reason, item.help) for item in verified if item.help))
    for reason, more in told[:_SHOWN]:
        yield "\n" + "\n".join(map(escape, [f"{reason}:", *more.splitlines()]))
    if len(told) > _SHOWN:
        yield f"\nAnd {len(told) - _SHOWN} more reasons; --json has all of them."


def _verdict(item: Verified) -> str:
    return item.verdict.value + (f": {escape(item.reason)}" if item.reason else "")
