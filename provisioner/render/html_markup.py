"""Markup that no text can get into: what is not markup yet is made safe on its way in.

The type checker keeps the two apart. Every element is closed and every attribute is quoted, so that the pages
are well-formed XML too, and a strict parser can be held against them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape as character_references
from typing import NewType

from provisioner.text import escape, quote

# A quoted value, as `quote` writes it; code; any other run of text, or a mark that opens nothing. The lengths
# are bounded so that the time is, too.
_PROSE = re.compile(r'"(?:[^"\\\n]|\\.){0,400}"|`[^`\n]{1,200}`|[^"`]+|["`]')
_PAIRED = frozenset('"`')

Markup = NewType("Markup", str)


def element(name: str, /, *children: Markup, **attributes: str) -> Markup:
    """`<name …>children</name>`; `class_` stands for `class`, `http_equiv` for `http-equiv`."""
    return Markup(f"<{name}{_attributes(attributes)}>{''.join(children)}</{name}>")


def void(name: str, /, **attributes: str) -> Markup:
    """An element that has no end."""
    return Markup(f"<{name}{_attributes(attributes)}/>")


def together(parts: Iterable[Markup], between: str = "") -> Markup:
    """Pieces as one; `between` is text."""
    return Markup(shown(between).join(parts))


def shown(text: str) -> Markup:
    """Text as it is, with what is invisible or active written out."""
    return Markup(character_references(escape(text), quote=False))


def lines(text: str) -> Markup:
    """As `shown`, and its lines stay lines."""
    return Markup("\n".join(map(shown, text.split("\n"))))


def prose(text: str) -> Markup:
    """As `lines`, with what stands between backticks as code; a quoted value is left as it is."""
    return Markup("".join(_set(match[0]) for match in _PROSE.finditer(text)))


def _set(piece: str) -> Markup:
    if len(piece) > 1 and piece[0] in _PAIRED:
        return element("code", lines(piece[1:-1])) if piece[0] == "`" else element("bdi", lines(piece))
    return lines(piece)


def quoted(text: str) -> Markup:
    """A value in quotes, apart from the direction of what is around it."""
    return element("bdi", Markup(character_references(quote(text), quote=False)))


def named(text: str) -> Markup:
    """An address, as code."""
    return element("code", element("bdi", shown(text)))


def _attributes(given: dict[str, str]) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{character_references(escape(value))}"'
        for name, value in given.items()
        if value
    )
