"""Whether a manifest is certainly of the form that `document` describes: so that most need no pydantic.

Importing that and its models takes longer than everything else that a small plan does. What is not certain
here is left to them, and so is every word on what is wrong. A test holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from provisioner.manifest.patterns import (
    ADDRESS_FORM,
    APP_ID_FORM,
    DURATION_FORM,
    HOST_FORM,
    KEY_FORM,
    MAX_RECIPIENTS,
    MAX_SCOPES,
    MAX_SINKS,
    MAX_URIS,
    ORGANIZATION_FORM,
    VARIABLE_FORM,
    VERSION,
)
from provisioner.manifest.tree import List, Map, Node

Fits = Callable[[Node], bool]


def _text(node: Node) -> bool:
    return isinstance(node, str)


def _filled(node: Node) -> bool:
    return isinstance(node, str) and node != ""


def _flag(node: Node) -> bool:
    return isinstance(node, bool)


def _count(node: Node) -> bool:
    return type(node) is int and node >= 0


def _version(node: Node) -> bool:
    return type(node) is int and node == VERSION


def _of(form: str) -> Fits:
    """A string of a form; compiled when the first one is met."""
    return lambda node: isinstance(node, str) and re.fullmatch(form[1:-1], node) is not None


def _one_of(*words: str) -> Fits:
    return lambda node: isinstance(node, str) and node in words


def _list(fits: Fits, least: int = 0, most: int | None = None) -> Fits:
    def check(node: Node) -> bool:
        if not isinstance(node, List) or len(node) < least or (most is not None and len(node) > most):
            return False
        return all(map(fits, node))

    return check


def _part(fields: Mapping[str, Fits], required: frozenset[str] = frozenset()) -> Fits:
    def check(node: Node) -> bool:
        if not isinstance(node, Map) or not required <= node.keys():
            return False
        return all(key in fields and fields[key](value) for key, value in node.items())

    return check


def _entries(form: str, fits: Fits) -> Fits:
    key = _of(form)
    return lambda node: isinstance(node, Map) and all(map(key, node)) and all(map(fits, node.values()))


_scopes = _list(_text, most=MAX_SCOPES)
_sinks = _list(_text, most=MAX_SINKS)
_duration = _of(DURATION_FORM)
_address = _of(ADDRESS_FORM)


def _managed_scopes(node: Node) -> bool:
    return node is None or _scopes(node)


FIELDS: Mapping[str, Mapping[str, Fits]] = {
    "provider": {"type": _one_of("meteroid"), "base_url": _filled, "organization_id": _of(ORGANIZATION_FORM)},
    "git": {"remote": _text, "branch": _text, "lease": _duration},
    "recovery": {"mode": _one_of("auto", "ask"), "settle": _duration},
    "variable": {"default": _text, "description": _text},
    "defaults": {"scopes": _managed_scopes, "protect": _flag, "sinks": _sinks},
    "app": {
        "name": _text,
        "redirect_uris": _list(_text, least=1, most=MAX_URIS),
        "scopes": _managed_scopes,
        "protect": _flag,
        "rotate_after": _duration,
        "sinks": _sinks,
        "sink_only": _flag,
    },
    "moved": {"from": _address, "to": _address},
    "removed": {"app": _address, "destroy": _flag},
    "import": {"to": _address, "id": _of(APP_ID_FORM)},
    "policy": {
        "allow": _list(_one_of("delete", "replace", "rotate")),
        "max_deletes": _count,
        "redirect_hosts": _list(_of(HOST_FORM), least=1),
        "require_protect": _flag,
    },
}
_STATE: Mapping[str, Fits] = {
    "path": _filled,
    "git": _part(FIELDS["git"]),
    "recipients": _list(_text, least=1, most=MAX_RECIPIENTS),
}


def _all_of(name: str) -> Fits:
    """A part in which nothing may be missing."""
    return _part(FIELDS[name], frozenset(FIELDS[name]))


# All but `sinks`: their many options are for the models alone.
ROOT: Mapping[str, Fits] = {
    "version": _version,
    **{name: _part(FIELDS[name]) for name in ("provider", "recovery", "defaults", "policy")},
    "state": _part(_STATE),
    "variables": _entries(VARIABLE_FORM, _part(FIELDS["variable"])),
    "apps": _entries(KEY_FORM, _part(FIELDS["app"], frozenset({"redirect_uris"}))),
    **{name: _list(_all_of(name)) for name in ("moved", "removed", "import")},
}


def certain(root: Map) -> bool:
    """Whether the models would have nothing against `root`. False says nothing."""
    return all(key in ROOT and ROOT[key](value) for key, value in root.items())
