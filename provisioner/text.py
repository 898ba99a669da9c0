"""Untrusted text, made safe to show. Everything a person reads goes through here first."""

from __future__ import annotations

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
ELLIPSIS = "…"


def escape(text: str, limit: int | None = None) -> str:
    """`text` with everything invisible or active written out, cut to `limit` characters.

    Control, format, private-use, surrogate and unassigned characters, and every space but U+0020, are what
    `str.isprintable` refuses: terminals act on some of them, readers are misled by the others.
    """
    cut = text if limit is None or len(text) <= limit else text[: limit - 1]
    shown = cut if cut.isprintable() else "".join(map(_escape_one, cut))
    return shown if len(cut) == len(text) else shown + ELLIPSIS


def quote(text: str, limit: int | None = None) -> str:
    """`text` between double quotes, escaped, so that its end cannot be mistaken."""
    return '"' + escape(text, limit).replace('"', '\\"') + '"'


def _escape_one(char: str) -> str:
    if char.isprintable():
        return char
    return _NAMED.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{{{ord(char):04x}}}")


def code_point(char: str) -> str:
    """`U+202E`, as Unicode's charts name a character."""
    return f"U+{ord(char):04X}"
