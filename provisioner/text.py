"""Untrusted text, made safe to show. Everything a person reads goes through here first."""

from __future__ import annotations

import re

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
ELLIPSIS = "…"
# Printable by category, blank on the screen. U+FE0E and U+FE0F are left: emoji are written with them.
BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)


def escape(text: str, limit: int | None = None) -> str:
    """`text` with everything invisible or active written out, cut to `limit` characters.

    Control, format, private-use, surrogate and unassigned characters, and every space but U+0020, are what
    `str.isprintable` refuses: terminals act on some of them, readers are misled by the others, and by those
    that are letters or marks with nothing to see.
    """
    cut, ending = _cut(text, limit)
    return _written_out(cut) + ending


def quote(text: str, limit: int | None = None) -> str:
    """`text` in double quotes, escaped, \\ and " too: neither its end nor an escape can be mistaken."""
    cut, ending = _cut(text, limit)
    return '"' + _written_out(cut.replace("\\", "\\\\").replace('"', '\\"')) + ending + '"'


def _cut(text: str, limit: int | None) -> tuple[str, str]:
    if limit is None or len(text) <= limit:
        return text, ""
    return text[: max(limit - 1, 0)], ELLIPSIS


def _written_out(text: str) -> str:
    if text.isprintable() and not BLANK.search(text):
        return text
    return "".join(map(_escape_one, text))


def _escape_one(char: str) -> str:
    if char.isprintable() and not BLANK.match(char):
        return char
    return _NAMED.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{{{ord(char):04x}}}")


def code_point(char: str) -> str:
    """`U+202E`, as Unicode's charts name a character."""
    return f"U+{ord(char):04X}"
