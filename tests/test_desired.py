"""The desired state: defaults filled in, look-alikes warned of, in the order of the files."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner import name
from provisioner.desired import DesiredState, Lifecycle, Policy, resolve
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


# The whole life of an app


def lifecycle(body: str, defaults: str = "{}") -> Lifecycle:
    apps = f"{{a: {{redirect_uris: ['https://a.example/cb'], {body}}}}}"
    return resolved(f"version: 1\ndefaults: {defaults}\napps: {apps}\n").lifecycle(Address("a"))


@pytest.mark.parametrize(
    ("body", "defaults", "protect"),
    [
        ("", "{}", None),
        ("", "{protect: false}", None),
        ("", "{protect: true}", True),
        ("protect: true", "{}", True),
        ("protect: true", "{protect: false}", True),
        ("protect: false", "{}", False),
        ("protect: false", "{protect: true}", False),
    ],
)
def test_protection_is_the_app_s_own_word_and_a_default_only_gives_it(
    body: str, defaults: str, protect: bool | None
) -> None:
    assert lifecycle(body, defaults).protect is protect


def test_the_age_of_a_secret_is_limited_where_the_app_says_so() -> None:
    assert lifecycle("rotate_after: 90d").rotate_after == timedelta(days=90)
    assert lifecycle("").rotate_after is None


def test_of_what_is_not_in_the_manifest_nothing_is_stated() -> None:
    assert (
        resolved("version: 1\ndefaults: {protect: true}\napps: {}\n").lifecycle(Address("a")) == Lifecycle()
    )


def test_a_policy_that_is_not_stated_is_the_default_one() -> None:
    assert resolved("version: 1\napps: {}\n").policy == resolved("version: 1\napps: {}\npolicy: {}\n").policy
    assert resolved("version: 1\napps: {}\n").policy == Policy()
    stated = resolved("version: 1\napps: {}\npolicy: {allow: [delete, rotate], max_deletes: 0}\n").policy
    assert stated == Policy(frozenset({"delete", "rotate"}), 0)


def test_only_what_is_removed_and_not_destroyed_is_forgotten() -> None:
    removed = "[{app: kept, destroy: false}, {app: oauth_app.gone, destroy: true}]"
    state = resolved(f"version: 1\napps: {{}}\nremoved: {removed}\n")
    assert state.forgotten == {Address("kept")}
    assert state.moved == {}


def test_ids_are_imported_under_the_addresses_of_apps() -> None:
    text = "version: 1\nimport: [{to: oauth_app.a, id: app_1}]\napps: {a: {redirect_uris: ['https://a.example/cb']}}"
    assert resolved(text).imports == {Address("a"): "app_1"}


def moves_text(apps: set[str], removed: set[str], moves: list[tuple[str, str]]) -> str:
    return yaml.safe_dump(
        {
            "version": 1,
            "apps": {key: {"redirect_uris": ["https://a.example/cb"]} for key in sorted(apps)},
            "removed": [{"app": key, "destroy": key < "e"} for key in sorted(removed)],
            "moved": [{"from": old, "to": new} for old, new in moves],
        }
    )


@settings(max_examples=60, deadline=None)
@given(
    chains=st.lists(st.integers(2, 6), max_size=4),
    order=st.randoms(use_true_random=False),
    kept=st.sets(st.integers(0, 3)),
)
def test_a_chain_of_moves_leads_each_address_to_its_end(
    chains: list[int], order: Any, kept: set[int]
) -> None:
    keys = [[f"c{number}-{step}" for step in range(length)] for number, length in enumerate(chains)]
    steps = [step for chain in keys for step in pairwise(chain)]
    order.shuffle(steps)
    removed = {chain[-1] for number, chain in enumerate(keys) if number in kept}
    state = resolved(moves_text({chain[-1] for chain in keys} - removed, removed, steps))
    assert state.moved == {Address(key): Address(chain[-1]) for chain in keys for key in chain[:-1]}


SOME = st.sampled_from("abcdefg")


@settings(max_examples=200, deadline=None)
@given(apps=st.sets(SOME), removed=st.sets(SOME), moves=st.lists(st.tuples(SOME, SOME), max_size=4))
def test_moves_are_refused_unless_each_leads_one_app_to_one_end(
    apps: set[str], removed: set[str], moves: list[tuple[str, str]]
) -> None:
    steps = dict(moves)
    good = len(steps) == len({new for _, new in moves}) == len(moves) and not apps & removed
    good = good and not steps.keys() & (apps | removed)
    ends = {}
    for old in steps:
        end = old
        for _ in moves:
            end = steps.get(end, end)
        ends[Address(old)] = Address(end)
    good = good and {end.key for end in ends.values()} <= apps | removed  # in a circle, it is a `from` still
    text = moves_text(apps, removed, moves)
    if good:
        assert resolved(text).moved == ends
    else:
        with pytest.raises(ManifestError) as caught:
            resolved(text)
        assert caught.value.faults


# Sinks

SINKS = """\
version: 1
sinks:
  sealed: {type: age, path: "secrets/{key}.env.age", recipients: [r], keep: true}
  cluster: {type: kubernetes, prefix: "{KEY}_"}
  unused: {type: command, command: [./deliver]}
defaults: {sinks: [sealed, cluster]}
apps:
  by-default: {redirect_uris: ['https://a.example/cb']}
  the-other-way: {redirect_uris: ['https://b.example/cb'], sinks: [cluster, sealed], sink_only: true}
  nowhere: {redirect_uris: ['https://c.example/cb'], sinks: []}
"""


def test_an_app_is_delivered_to_its_own_sinks_else_to_the_default_ones_in_the_order_written() -> None:
    state = resolved(SINKS)
    assert {
        address.key: [target.sink.name for target in targets] for address, targets in state.sinks.items()
    } == {
        "by-default": ["sealed", "cluster"],
        "the-other-way": ["cluster", "sealed"],
    }
    assert all(target.address == address for address, targets in state.sinks.items() for target in targets)


def test_a_target_has_the_options_of_its_sink_with_its_own_key_in_them() -> None:
    sealed, cluster = resolved(SINKS).sinks[Address("by-default")]
    assert sealed.options["path"] == "secrets/by-default.env.age"
    assert (sealed.sink.keep, cluster.sink.keep) == (True, False)
    assert cluster.options["name"] == "by-default"
    assert cluster.names == ("BY_DEFAULT_CLIENT_ID", "BY_DEFAULT_CLIENT_SECRET")


def test_every_sink_is_known_also_where_no_app_is_delivered_to_it() -> None:
    state = resolved(SINKS)
    assert list(state.declared_sinks) == ["sealed", "cluster", "unused"]
    assert all(
        target.sink is state.declared_sinks[target.sink.name] for target in state.sinks[Address("by-default")]
    )
    assert resolved("version: 1\napps: {}\n").declared_sinks == {}


def test_the_copy_in_the_state_is_dropped_only_where_the_app_says_so() -> None:
    state = resolved(SINKS)
    assert [address.key for address in state.apps if state.lifecycle(address).sink_only] == ["the-other-way"]


SINK_NAMES = st.lists(st.sampled_from(["s0", "s1", "s2"]), unique=True)


@settings(max_examples=60, deadline=None)
@given(apps=st.dictionaries(st.sampled_from("abcd"), st.none() | SINK_NAMES), defaults=st.none() | SINK_NAMES)
def test_every_app_has_just_the_targets_that_are_stated_for_it(
    apps: dict[str, list[str] | None], defaults: list[str] | None
) -> None:
    uris = {"redirect_uris": ["https://a.example/cb"]}
    text = json.dumps(
        {
            "version": 1,
            "sinks": {name: {"type": "vault", "path": f"{name}/{{key}}"} for name in ("s0", "s1", "s2")},
            "defaults": {} if defaults is None else {"sinks": defaults},
            "apps": {key: uris if names is None else uris | {"sinks": names} for key, names in apps.items()},
        }
    )
    wanted = {Address(key): (defaults or []) if names is None else names for key, names in apps.items()}
    found = resolved(text).sinks
    assert {address: [target.sink.name for target in targets] for address, targets in found.items()} == {
        address: names for address, names in wanted.items() if names
    }
    for address, targets in found.items():
        assert [target.options["path"] for target in targets] == [
            f"{target.sink.name}/{address.key}" for target in targets
        ]


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
