"""The outline, which tells without pydantic what is certainly of its models' form, held against them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from provisioner.manifest import document as models
from provisioner.manifest.events import read
from provisioner.manifest.faults import Source
from provisioner.manifest.outline import FIELDS, ROOT, certain
from provisioner.manifest.patterns import DEFAULTS
from provisioner.manifest.structure import misfits
from provisioner.manifest.tree import Document, List, Map, Misread, Node, Refused
from provisioner.manifest.variables import expand, settle

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "apps.yaml"
PARTS: dict[str, type[BaseModel]] = {
    "provider": models.Provider,
    "git": models.Git,
    "recovery": models.Recovery,
    "variable": models.Variable,
    "defaults": models.Defaults,
    "app": models.App,
    "moved": models.Move,
    "removed": models.Removal,
    "import": models.Import,
    "policy": models.Policy,
}


def names(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def node(value: Any) -> Node:
    """A value as the YAML reader gives it."""
    if isinstance(value, dict):
        found = Map()
        for key, item in value.items():
            found[key], found.at[key], found.key_at[key] = node(item), 0, 0
        return found
    if isinstance(value, list):
        items = List()
        items += map(node, value)
        items.at = [0] * len(value)
        return items
    known: Node = value
    return known


def tree(value: dict[str, Any]) -> Map:
    root = node(value)
    assert isinstance(root, Map)
    return root


def test_the_outline_has_every_part_and_each_key_of_it() -> None:
    assert {name: set(fields) for name, fields in FIELDS.items()} == {
        name: names(model) for name, model in PARTS.items()
    }
    assert set(ROOT) == names(models.Root) - {"sinks"}


@pytest.mark.parametrize("section", sorted(DEFAULTS))
def test_what_is_meant_without_a_word_is_what_the_models_say(section: str) -> None:
    model = models.State if section == "state" else PARTS[section]
    made = model().model_dump(by_alias=True)
    if section == "state":
        assert made.pop("git") == models.Git().model_dump()
        assert dict(DEFAULTS[section]) == {**made, "git": {}}
    else:
        assert DEFAULTS[section] == made


def test_the_example_is_certain_once_its_variables_are_filled_in() -> None:
    document, faults = read(Source("apps.yaml", EXAMPLE.read_bytes()))
    assert document is not None
    assert not faults
    values, _ = settle([document], {})
    assert expand(document, values) == []
    assert certain(document.root)


LEAVES = st.sampled_from([
    None, True, False, 0, 1, 2, -1, "", "a", "key", "A", "meteroid", "auto", "ask", "60s", "90d", "1w", "s",
    "org_1", "org_", "app_1", "app_1\n", "oauth_app.key", "*.example.com", "h", "com.example:", "delete",
    "replace", "60s\n", "https://a.example/cb", "\u0660s", Misread("NO", "tag:yaml.org,2002:bool"),
    Refused.VALUE,
])  # fmt: skip
LISTS = st.lists(LEAVES, max_size=3) | st.integers(0, 101).map(lambda count: ["a"] * count)


def some_of(fields: set[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from([*sorted(fields), "odd"])
    return st.dictionaries(keys, values, max_size=len(fields)) | LEAVES


VALUES = LEAVES | LISTS
ENTRIES = st.sampled_from(["key", "KEY", "a-b", "", "1", "a" * 64, "_x"])
SECTIONS: dict[str, st.SearchStrategy[Any]] = {
    name: some_of(names(PARTS[name]), VALUES) for name in ("provider", "recovery", "defaults", "policy")
} | {
    "version": LEAVES,
    "state": some_of(names(models.State), VALUES | some_of(names(models.Git), VALUES)),
    "variables": st.dictionaries(ENTRIES, some_of(names(models.Variable), LEAVES), max_size=2) | LEAVES,
    "apps": st.dictionaries(ENTRIES, some_of(names(models.App), VALUES), max_size=2) | LEAVES,
    "odd": LEAVES,
    **{
        name: st.lists(
            st.fixed_dictionaries(dict.fromkeys(sorted(names(PARTS[name])), LEAVES)) | LEAVES, max_size=2
        )
        for name in ("moved", "removed", "import")
    },
}
ANY_SECTION = st.sampled_from(sorted(SECTIONS)).flatmap(
    lambda name: SECTIONS[name].map(lambda value: {name: value})
)


@settings(max_examples=700)
@given(ANY_SECTION)
def test_what_is_certain_is_of_the_models_form(value: dict[str, Any]) -> None:
    root = tree(value)
    if certain(root):
        assert misfits(Document("apps.yaml", root, 0)) == []


GOOD: dict[str, Any] = {
    "version": 1,
    "provider": {"type": "meteroid", "base_url": "https://api.example", "organization_id": "org_1"},
    "state": {"path": "state", "git": {"remote": "r", "branch": "b", "lease": "5m"}, "recipients": ["age1"]},
    "recovery": {"mode": "ask", "settle": "2m"},
    "variables": {"domain": {"default": "d", "description": ""}},
    "defaults": {"scopes": None, "protect": True, "sinks": ["env"]},
    "apps": {
        "key": {
            "name": "Name", "redirect_uris": ["https://a.example/cb"], "scopes": [], "protect": False,
            "rotate_after": "90d", "sinks": [], "sink_only": False,
        },
    },
    "moved": [{"from": "old", "to": "oauth_app.key"}],
    "removed": [{"app": "gone", "destroy": True}],
    "import": [{"to": "key", "id": "app_1"}],
    "policy": {
        "allow": ["delete"], "max_deletes": 0, "redirect_hosts": ["*.a.example", "com.a:"],
        "require_protect": False,
    },
}  # fmt: skip


def test_a_manifest_that_says_everything_but_sinks_is_certain() -> None:
    root = tree(GOOD)
    assert misfits(Document("apps.yaml", root, 0)) == []
    assert certain(root)


@pytest.mark.parametrize("section", sorted(GOOD))
def test_a_section_with_a_key_too_many_or_of_another_kind_is_not_certain(section: str) -> None:
    good = GOOD[section]
    assert not certain(tree({section: "x"}))
    assert not certain(tree({section: None}))
    if isinstance(good, dict):
        assert not certain(tree({section: {**good, "odd key": 1}}))


def test_sinks_are_never_certain() -> None:
    assert not certain(tree({**GOOD, "sinks": {}}))
