"""Attributes as lines: a symbol, a name, a value; sets element by element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from provisioner.text import quote

_WIDTH = 13  # of most names; a hint is longer


def line(symbol: str, name: str, value: str) -> str:
    """One attribute."""
    return f"      {symbol} {name:<{_WIDTH}} = {value}"


def members(
    symbol: str, name: str, elements: Iterable[tuple[str, str]], comment: str = "", after: str = ""
) -> Iterator[str]:
    """A set, whose elements each have a mark of their own."""
    shown = [f"          {mark} {quote(value)}," for value, mark in elements]
    if not shown:
        yield line(symbol, name, "[]" + after + comment)
        return
    yield line(symbol, name, "[" + comment)
    yield from shown
    yield "        ]" + after


def changed(
    name: str, before: str | tuple[str, ...], after: str | tuple[str, ...], comment: str = ""
) -> Iterator[str]:
    """An attribute from one value to another."""
    if isinstance(before, str) or isinstance(after, str):
        yield line("~", name, f"{_value(before)} -> {_value(after)}{comment}")
    else:
        yield from members("~", name, merged(frozenset(before), frozenset(after)), comment)


def merged(before: frozenset[str], after: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Each element with what becomes of it."""
    for value in sorted(before | after):
        yield value, " " if value in before and value in after else "-" if value in before else "+"


def _value(value: str | tuple[str, ...]) -> str:
    if not isinstance(value, str):
        return "[" + ", ".join(map(quote, value)) + "]"
    return value if value in ("true", "false") else quote(value)
