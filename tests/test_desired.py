"""The desired state: defaults filled in, look-alikes warned of, in the order of the files."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner import name
from provisioner.desired import DesiredState, resolve
from provisioner.manifest import ManifestError, Source, load
from provisioner.model import Address, AppSpec


def resolved(text: str) -> DesiredState:
    return resolve(load([Source("apps.yaml", text.encode())]))


def spec(body: str, defaults: str = "{}") -> AppSpec:
    """One app, with its body and the defaults as given."""
    apps = f"{{a: {{redirect_uris: ['https://a.example/cb'], {body}}}}}"
    return resolved(f"version: 1\ndefaults: {defaults}\napps: {apps}\n").apps[Address("a")]


def test_an_app_without_a_name_is_called_as_its_key() -> None:
    assert spec("").name == "a"
    assert spec("name: Portal").name == "Portal"


@pytest.mark.parametrize(
    ("body", "defaults", "scopes"),
    [
        ("", "{}", None),
        ("", "{scopes: null}", None),
        ("", "{scopes: []}", ()),
        ("", "{scopes: [read, write]}", ("read", "write")),
        ("scopes: null", "{scopes: [read]}", None),
        ("scopes: []", "{scopes: [read]}", ()),
        ("scopes: [own]", "{scopes: [read]}", ("own",)),
        ("scopes: [b, a]", "{}", ("b", "a")),
    ],
)
def test_b50_scopes_are_the_app_s_own_else_the_default_s_and_null_is_a_statement(
    body: str, defaults: str, scopes: tuple[str, ...] | None
) -> None:
    assert spec(body, defaults).scopes == scopes


def test_apps_keep_the_order_of_files_and_know_their_places() -> None:
    one = "version: 1\napps:\n  z: {redirect_uris: ['https://a.example/cb']}\n"
    two = "version: 1\napps: {b: {redirect_uris: ['https://a.example/cb']}}\n"
    state = resolve(load([Source("one.yaml", one.encode()), Source("two.yaml", two.encode())]))
    assert list(state.apps) == [Address("z"), Address("b")]
    assert {str(address): str(place) for address, place in state.places.items()} == {
        "oauth_app.z": "one.yaml:3:3",
        "oauth_app.b": "two.yaml:2:8",
    }


ALIKE = """\
version: 1
apps:
  first: {name: Partner Portal, redirect_uris: ['https://a.example/cb']}
  second: {name: P\u0430rtner Portal, redirect_uris: ['https://b.example/cb']}
  third: {name: Other, redirect_uris: ['https://c.example/cb']}
  \u0070artner-portal: {redirect_uris: ['https://d.example/cb']}
"""


def test_b24_a_name_that_looks_like_an_earlier_one_is_warned_of_with_code_points_and_both_places() -> None:
    (warning,) = resolved(ALIKE).warnings
    assert (warning.line, warning.column, warning.path) == (4, 18, "apps.second.name")
    assert warning.warning
    assert warning.found == "P\u0430rtner Portal"
    assert "U+0430" in warning.rule
    assert warning.rule.endswith("The other is that of oauth_app.first, at apps.yaml:3:17.")


def test_b24_look_alikes_are_found_without_comparing_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []
    lookalike = name.lookalike

    def counting(one: str, other: str) -> Any:
        compared.append((one, other))
        return lookalike(one, other)

    monkeypatch.setattr(name, "lookalike", counting)
    apps = {f"app-{number}": {"redirect_uris": ["https://a.example/cb"]} for number in range(50)}
    assert resolved(yaml.safe_dump({"version": 1, "apps": apps})).warnings == ()
    assert len(compared) <= 50


def test_b20_names_that_would_collide_never_become_a_desired_state() -> None:
    with pytest.raises(ManifestError, match="has 1 fault"):
        resolved(ALIKE.replace("Other", "PARTNER PORTAL"))


NAME = st.text("abcXYZ 09.", min_size=1, max_size=8).filter(lambda text: text == text.strip(" "))
WORD = st.text("abcxyz019", min_size=1, max_size=6)
SCOPES = st.none() | st.lists(WORD, max_size=3, unique=True)
APP = st.fixed_dictionaries(
    {
        "redirect_uris": st.lists(
            WORD.map("https://{0}.example/cb".format), min_size=1, max_size=3, unique=True
        )
    },
    optional={"scopes": SCOPES, "name": NAME},
)


@settings(max_examples=60, deadline=None)
@given(
    apps=st.dictionaries(WORD, APP, max_size=4),
    defaults=st.fixed_dictionaries({}, optional={"scopes": SCOPES}),
)
def test_a_random_manifest_resolves_to_the_state_it_describes(
    apps: dict[str, dict[str, Any]], defaults: dict[str, Any]
) -> None:
    text = yaml.safe_dump({"version": 1, "defaults": defaults, "apps": apps}, sort_keys=False)
    names = [name.fold(app.get("name", key)) for key, app in apps.items()]
    if len(set(names)) < len(names):
        with pytest.raises(ManifestError):
            resolved(text)
        return
    wanted = {}
    for key, app in apps.items():
        scopes = app.get("scopes", defaults.get("scopes"))
        wanted[Address(key)] = AppSpec(
            app.get("name", key), tuple(app["redirect_uris"]), None if scopes is None else tuple(scopes)
        )
    assert resolved(text).apps == wanted
