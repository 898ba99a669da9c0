"""The tree held against the models; pydantic's complaints become faults, and none of its input is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from provisioner.errors import Problem
from provisioner.manifest.document import (
    App,
    Defaults,
    Git,
    Import,
    Move,
    Policy,
    Provider,
    Recovery,
    Removal,
    Root,
    State,
    Variable,
)
from provisioner.manifest.faults import Fault, Loc
from provisioner.manifest.options import IN_CLEAR
from provisioner.manifest.patterns import FORM_RULES, VERSION
from provisioner.manifest.sinks import TYPES, Keys
from provisioner.manifest.tree import Document, List, Map, Misread, Node, Refused, reading
from provisioner.manifest.words import closest, near, secret_key
from provisioner.text import quote

_SECTIONS: dict[str, type[BaseModel]] = {
    "provider": Provider,
    "state": State,
    "recovery": Recovery,
    "defaults": Defaults,
    "policy": Policy,
}
_ENTRIES: dict[str, type[BaseModel]] = {
    "apps": App,
    "variables": Variable,
    "moved": Move,
    "removed": Removal,
    "import": Import,
}
_CONTAINERS = {"list_type": "a list"}
_CONTAINERS |= dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping")
_EXPECTED = {"string_type": "a string", **_CONTAINERS}
_PLAIN = {
    "bool_type": "true or false, in these words and without quotes",
    "int_type": "a whole number, in digits and without quotes",
}
_NO_VALUE = "Give it a value, or remove its key."


def misfits(document: Document) -> list[Fault]:
    """Everything that is not of the models' form."""
    try:
        # Of several files one may state the version: that one does is asked of all of them together.
        Root.model_validate({"version": VERSION, **document.root})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return [fault for detail in details for fault in _faults(document, detail)]
    return []


def _faults(document: Document, detail: Any) -> Iterator[Fault]:
    tagged, kind = detail["loc"], detail["type"]
    loc = _untagged(tagged)
    if kind == "extra_forbidden":
        yield document.key_fault(loc, _extra_key(tagged))
    elif kind == "missing":
        yield document.key_fault(loc, _missing(loc))
    elif loc[-1] == "[key]":
        yield document.key_fault(loc[:-1], Problem(FORM_RULES[detail["ctx"]["pattern"]], "Rename it."))
    elif kind.startswith("union_tag_"):
        yield from _untyped(document, loc)
    else:
        node, _, _ = document.find(loc)
        if node is not Refused.VALUE:
            # A string where none belongs may be anything: a URI with a password, say. It is not shown.
            found = None if kind in _CONTAINERS and isinstance(node, str) else _shown(node)
            yield document.fault(loc, _PROBLEMS[kind](detail, node), found)


def _untagged(loc: Loc) -> Loc:
    """Without the type that pydantic puts into the location of what stands in a sink."""
    return (*loc[:2], *loc[3:]) if loc[:1] == ("sinks",) and loc[2:3] and loc[2] in TYPES else loc


def _missing(loc: Loc) -> Problem:
    if loc[-1] == "plaintext":
        return IN_CLEAR
    return Problem(
        f"{loc[-1]} is required.", f"Write one of {', '.join(TYPES)}." if loc[-1] == "type" else "Add it."
    )


def _untyped(document: Document, loc: Loc) -> Iterator[Fault]:
    """A sink that says no type which is known: it may be no sink at all."""
    node, _, _ = document.find(loc)
    loc = (*loc, "type")
    if not isinstance(node, Map):
        if node is not Refused.VALUE:  # pydantic looks for a type in any object
            yield document.fault(loc[:-1], _kind({"type": "model_type"}, node), _shown(node))
    elif "type" not in node:
        yield document.key_fault(loc, _missing(loc))
    elif node["type"] is not Refused.VALUE:
        text = _shown(node["type"])
        rule = f"There is no such type of sink; there are {', '.join(TYPES)}."
        yield document.fault(loc, Problem(rule, closest(text or "", list(TYPES))), text)


def _extra_key(loc: Loc) -> Problem:
    key, model = str(loc[-1]), _model_of(loc[:-1])
    secret = secret_key(key)
    if secret is not None:
        return secret
    known = [field.alias or name for name, field in model.model_fields.items()]
    return Problem("This key is unknown.", near(key, known))


def _model_of(loc: Loc) -> type[BaseModel]:
    if not loc:
        return Root
    section = str(loc[0])
    if section == "sinks":
        return Keys if loc[3:] else TYPES[str(loc[2])]
    if section == "state":
        return Git if len(loc) > 1 else State
    return _SECTIONS[section] if len(loc) == 1 else _ENTRIES[section]


def _kind(detail: Any, node: Node) -> Problem:
    expected = _EXPECTED[detail["type"]]
    rule = f"This must be {expected}; YAML reads it as {reading(node)}."
    text = _shown(node)
    if expected == "a string" and text is not None:
        return Problem(rule, f"Write it in quotes: {quote(text, 80)}.")
    if expected == "a list" and isinstance(node, str):
        return Problem(rule, "Write it as a list: each item on a line of its own, after a dash.")
    return Problem(rule, _NO_VALUE if node is None else f"Write {expected} here.")


def _plain(detail: Any, node: Node) -> Problem:
    expected = _PLAIN[detail["type"]]
    return Problem(f"This must be {expected}.", _NO_VALUE if node is None else "Write it so.")


def _literal(detail: Any, _: Node) -> Problem:
    expected = detail["ctx"]["expected"].replace("'", '"')  # pydantic's words: 'auto' or 'ask'
    whole = "item" if isinstance(detail["loc"][-1], int) else "key"
    return Problem(f"This must be {expected}.", f"Write that, or remove the {whole}.")


def _number(detail: Any, node: Node) -> Problem:
    """What is wrong with a number: the version, or one that counts something."""
    if detail["loc"] == ("version",):
        return _version(node)
    if detail["type"] == "int_type":
        return _plain(detail, node)
    return Problem(f"This must be at least {detail['ctx']['ge']}.", "Write a greater number.")


def _version(node: Node) -> Problem:
    if isinstance(node, int) and not isinstance(node, bool) and node > VERSION:
        rule = f"The manifest is of version {node}; this provisioner knows version {VERSION}."
        return Problem(rule, "Use a newer provisioner.")
    return Problem(
        f"The version must be the number {VERSION}.", f"Write `version: {VERSION}`, without quotes."
    )


def _too_short(detail: Any, node: Node) -> Problem:
    if not isinstance(node, List):
        return Problem("This must not be empty.", _NO_VALUE)
    if detail["loc"][-1] == "recipients":
        rule = "A secret sealed to nobody could never be read."
        if detail["loc"][0] == "sinks":
            return Problem(rule, "Name a recipient.")
        return Problem(rule, "Name a recipient, or remove the key to use the environment's or your own.")
    return Problem("This list must not be empty.", "Add at least one item.")


def _too_long(detail: Any, node: Node) -> Problem:
    limits = detail["ctx"]
    count = len(node) if isinstance(node, List) else limits["actual_length"]
    return Problem(f"This list may have at most {limits['max_length']} items; it has {count}.", "Shorten it.")


def _form(detail: Any, _: Node) -> Problem:
    return Problem(FORM_RULES[detail["ctx"]["pattern"]], "Check it for typing errors.")


_PROBLEMS: dict[str, Callable[[Any, Node], Problem]] = {
    **dict.fromkeys(_EXPECTED, _kind),
    "literal_error": _literal,
    "bool_type": _plain,
    "int_type": _number,
    "greater_than_equal": _number,
    "less_than_equal": _number,
    "too_short": _too_short,
    "string_too_short": _too_short,
    "too_long": _too_long,
    "string_pattern_mismatch": _form,
}


def _shown(node: Node) -> str | None:
    """A scalar as it was written, as far as that can be told."""
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, Misread):
        return node.text
    return str(node) if isinstance(node, str | int) else None
