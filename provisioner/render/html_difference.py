"""The two ends of a change as markup: what goes, what stays, what comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.render.html_markup import Markup, element, quoted, shown, together

Entry = Mapping[str, Any]

_ORDER = ("name", "client_id", "client_secret", "client_secret_hint", "id", "redirect_uris", "scopes")
_SECRET = element("i", shown("(sensitive value)"))
_UNKNOWN = element("i", shown("(known after apply)"))
_NONE = element("i", shown("(none)"))


def difference(change: Entry, *, brief: bool = False) -> Markup:
    """Every attribute that says something, before and after; where `brief`, the id and those that differ."""
    rows = together(_rows(change, brief))
    return element("dl", rows) if rows else rows


def _rows(change: Entry, brief: bool) -> Iterator[Markup]:
    before, after = change["before"] or {}, change["after"] or {}
    unknown, forced = change["after_unknown"], {path[0] for path in change.get("replace_paths", ())}
    names = before.keys() | after.keys() | unknown.keys()
    for name in (*(name for name in _ORDER if name in names), *sorted(names - set(_ORDER))):
        if _says_nothing(name, before, after, unknown):
            continue
        if brief and name != "id" and before.get(name) == after.get(name):
            continue
        yield element("dt", shown(name))
        if change["actions"] == ["forget"]:
            yield from (_line(".", _value(value)) for value in _values(before, name))
        elif name == "client_secret":
            yield _line("~" if before else "+", _SECRET)
        else:
            whole = not isinstance(before.get(name, after.get(name)), list)
            yield from _compared(_values(before, name), _values(after, name), whole, name in unknown)
        if name in forced:
            yield element("dd", element("small", shown("forces replacement")))


def _says_nothing(name: str, before: Entry, after: Entry, unknown: Entry) -> bool:
    """What is as it always is."""
    match name:
        case "client_secret_hint":
            return name in unknown or before.get(name) == after.get(name) or not (before and after)
        case "is_active":
            return bool(before.get(name, True) and after.get(name, True))
        case "protect":
            return not before.get(name) and not after.get(name)
        case "scopes":
            return (name in unknown or name in before) and not before.get(name) and not after.get(name)
        case _:
            return before.get(name) == [] and not after.get(name)


def _values(end: Entry, name: str) -> list[Any]:
    """The elements of a set, or the one value; none where the end has none."""
    value = end.get(name, [])
    return value if isinstance(value, list) else [value]


def _compared(before: list[Any], after: list[Any], whole: bool, unknown: bool) -> Iterator[Markup]:
    """What goes, stays and comes; a set's elements in their order."""
    old, new = set(before), set(after)
    values = list(dict.fromkeys([*before, *after]))
    for value in values if whole else sorted(values):
        yield _line("+" if value not in old else " " if value in new else "-", _value(value))
    if unknown:
        yield _line("+", _UNKNOWN)
    elif not values:
        yield _line(" ", _NONE)


def _value(value: Any) -> Markup:
    return quoted(value) if isinstance(value, str) else shown(str(value).lower())


def _line(mark: str, value: Markup) -> Markup:
    if mark == " ":
        return element("dd", value)
    wrapped = {"+": "ins", "-": "del"}.get(mark, "span")
    return element("dd", element(wrapped, shown(f"{mark} "), value))
