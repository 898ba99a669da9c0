"""One app against what is wanted of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.diff import AttributeChange, changes, same
from provisioner.model import App, AppSpec

URIS = st.lists(st.sampled_from([f"https://a.example/{letter}" for letter in "abcd"]), max_size=4).map(tuple)
SCOPES = st.lists(st.sampled_from(["read", "write", "admin"]), max_size=3).map(tuple)


def app(name: str = "One", uris: tuple[str, ...] = (), scopes: tuple[str, ...] = ()) -> App:
    return App("app_1", "org_1", name, "cid", "hint", uris, scopes, True, "2026-01-01T00:00:00Z")


def test_an_app_that_is_as_wanted_has_no_changes() -> None:
    assert changes(app(uris=("https://a.example/x",)), AppSpec("One", ("https://a.example/x",))) == ()


def test_the_order_of_uris_and_scopes_is_no_change() -> None:
    held = app(uris=("https://a.example/x", "https://a.example/y"), scopes=("read", "write"))
    assert same(held, AppSpec("One", ("https://a.example/y", "https://a.example/x"), ("write", "read")))


def test_scopes_that_are_not_managed_are_not_compared() -> None:
    assert changes(app(scopes=("read",)), AppSpec("One", (), None)) == ()


def test_no_scopes_differ_from_some() -> None:
    assert changes(app(scopes=("read",)), AppSpec("One", (), ())) == (
        AttributeChange("scopes", ("read",), ()),
    )


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (AppSpec("Two", ("https://a.example/x",)), ["name"]),
        (AppSpec("One", ("https://a.example/y",)), ["redirect_uris"]),
        (AppSpec("One", ("https://a.example/x",), ("write",)), ["scopes"]),
        (AppSpec("Two", ("https://a.example/y",), ("write",)), ["name", "redirect_uris", "scopes"]),
    ],
)
def test_only_the_attributes_that_differ_are_named_in_a_fixed_order(spec: AppSpec, names: list[str]) -> None:
    held = app(uris=("https://a.example/x",), scopes=("read",))
    assert [change.name for change in changes(held, spec)] == names


def test_a_change_of_a_set_shows_both_sides_sorted() -> None:
    (change,) = changes(
        app(uris=("https://a.example/b",)), AppSpec("One", ("https://a.example/c", "https://a.example/a"))
    )
    assert change.before == ("https://a.example/b",)
    assert change.after == ("https://a.example/a", "https://a.example/c")


def test_a_single_element_more_is_a_change() -> None:
    (change,) = changes(
        app(uris=("https://a.example/a",)), AppSpec("One", ("https://a.example/a", "https://a.example/b"))
    )
    assert change.name == "redirect_uris"


@given(URIS, SCOPES, URIS, st.none() | SCOPES)
def test_changes_are_empty_exactly_where_the_sets_are_equal(
    held: tuple[str, ...], scopes: tuple[str, ...], wanted: tuple[str, ...], managed: tuple[str, ...] | None
) -> None:
    equal = set(held) == set(wanted) and (managed is None or set(managed) == set(scopes))
    found = changes(app(uris=held, scopes=scopes), AppSpec("One", wanted, managed))
    assert (found == ()) == equal
    assert all(change.before != change.after for change in found)


def test_deepdiff_is_not_imported_where_nothing_differs() -> None:
    code = (
        "import sys; from provisioner.diff import changes; from provisioner.model import App, AppSpec;"
        "changes(App('app_1','org_1','n','c','h',(),(),True,'t'), AppSpec('n',()));"
        "sys.exit('deepdiff' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
