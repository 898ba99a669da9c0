"""Scopes: the grammar of one token (RFC 6749 §3.3)."""

from __future__ import annotations

import re

from provisioner.errors import Problem
from provisioner.text import code_point, quote

_STRAY = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")  # a space is judged apart: it separates tokens
_SHOWN = 5


def check(token: str) -> tuple[Problem, ...]:
    """What stands against `token` as one scope: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )."""
    words = [word for word in token.split(" ") if word]
    if not words:
        return (Problem("A scope has at least one character (RFC 6749 §3.3).", "Remove the empty item."),)
    problems = []
    if words != [token]:
        shown = ", ".join(map(quote, words[:_SHOWN])) + (", …" if len(words) > _SHOWN else "")
        problems.append(
            Problem("A scope holds no space: spaces separate scopes (RFC 6749 §3.3).", f"Write [{shown}].")
        )
    if match := _STRAY.search(token):
        place = f"{code_point(match[0])} at {match.start() + 1}"
        problems.append(
            Problem(
                f"A scope cannot hold the character {place}: it is printable ASCII without "
                'space, " and \\ (RFC 6749 §3.3).',
                "Remove it, or take the scope's name from the API's documentation.",
            )
        )
    return tuple(problems)
