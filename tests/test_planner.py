"""The planner: cases as files, and what holds for every world."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.cli.planning import consent_from
from provisioner.consent import Choices
from provisioner.desired import DesiredState, Policy, resolve
from provisioner.errors import PlanError, ProvisionerError
from provisioner.manifest import Source, load
from provisioner.model import Address, App, AppSpec
from provisioner.operation import Answer, OpenOperation, Operation, Sight, Step
from provisioner.phases import START, Kind, Phase
from provisioner.plan import Action, ActionKind, Counts, Observed, Plan, in_order
from provisioner.planner import build, build_destruction
from provisioner.recovery import Rules
from provisioner.render.error_text import error_text
from provisioner.render.plan_json import document
from provisioner.render.plan_text import conflicts_text, plan_text
from provisioner.state import AppRecord, Header, SealedSecret, State

CASES = sorted((Path(__file__).parent / "cases" / "plan").glob("*.yaml"))
REWRITE = "REWRITE_CASES" in os.environ  # after a deliberate change of words; read the diff
EARLY = "Thu, 01 Jan 2026 00:00:00 GMT"
LATE = "Thu, 01 Jan 2026 00:10:00 GMT"  # past the settle time of what was asked for EARLY
OF_THE_RECORD = ("hint_of_secret", "unsettled_until", "made", "held_secret", "protect")
HEADER = Header("lineage", "https://api.example", "org_1")


def app(key: str, **fields: Any) -> App:
    values: dict[str, Any] = {
        "id": f"app_{key.replace('-', '')}",
        "organization_id": "org_1",
        "name": key,
        "client_id": f"cid_{key}",
        "client_secret_hint": "abcd",
        "redirect_uris": [f"https://{key}.example/cb"],
        "scopes": [],
        "is_active": True,
        "created_at": "2026-01-01T00:00:00Z",
    }
    values |= {name: value for name, value in fields.items() if name not in OF_THE_RECORD}
    values |= {name: tuple(values[name]) for name in ("redirect_uris", "scopes")}
    return App(**values)


def record(
    key: str,
    held: App,
    hint_of_secret: str | None = None,
    unsettled_until: str | None = None,
    made: str = "2026-01-01T00:00:00Z",
    held_secret: bool = True,
    protect: bool = False,
) -> AppRecord:
    hint = hint_of_secret or held.client_secret_hint
    origin = "rotate" if unsettled_until else "create"
    sealed = SealedSecret("sealed", hint, origin, f"op_{key}", made, unsettled_until=unsettled_until)
    return AppRecord(Address(key), held, sealed if held_secret else None, protect)


def opened(
    key: str, spec: AppSpec, held: App, kind: str = "create", *,
    phase: str = "", answered: bool = False, since: str | None = None, sight: list[str] | None = None,
    settled: bool = True,
) -> OpenOperation:  # fmt: skip
    """An entry of the journal; answered: with the answer that `held` is."""
    what = Kind(kind)
    answer = Answer(201, True, "sealed", held.id, held.client_id, held.client_secret_hint)
    if what is Kind.ROTATE:
        answer = Answer(200, True, "sealed", held.id, None, held.client_secret_hint)
    default = START[what].phase if not answered else Phase.ROTATED if what is Kind.ROTATE else Phase.CREATED
    asked = spec if what in (Kind.CREATE, Kind.REPLACE) else None
    old = None if what is Kind.CREATE else held
    operation = Operation("op_open", what, Address(key), "lineage", asked, old, "run_1")
    step = Step(
        Phase(phase) if phase else default,
        answer if answered else None,
        held.id if what is Kind.ROTATE else None,
        since=EARLY if settled else LATE,
    )
    seen = None if sight is None else Sight("run_1", frozenset(sight), EARLY)
    return OpenOperation(operation, step, seen)


def world(case: dict[str, Any]) -> tuple[DesiredState, State, Observed | None]:
    desired = resolve(load([Source("apps.yaml", case["manifest"].encode())], {}))
    recorded = {key: app(key, **fields) for key, fields in case["prior"].items()}
    records = {
        Address(key): record(
            key, held, **{name: value for name, value in case["prior"][key].items() if name in OF_THE_RECORD}
        )
        for key, held in recorded.items()
    }
    entries = []
    for entry in case.get("open", []):
        key = entry.pop("key")
        spec = AppSpec(entry.pop("name", key), (f"https://{key}.example/cb",))
        entries.append(opened(key, spec, recorded.get(key) or app(key), **entry))
    prior = State(HEADER if records or entries else None, MappingProxyType(records), tuple(entries))
    if case["observed"] == "none":
        return desired, prior, None
    seen = recorded if case["observed"] == "same" else case["observed"]
    apps = [held if isinstance(held, App) else app(key, **held) for key, held in seen.items()]
    gone = frozenset(app(key).id for key in case.get("gone", []))
    return desired, prior, Observed(tuple(apps), gone, case.get("date", LATE))


def planned(case: dict[str, Any]) -> Plan:
    manifest = load([Source("apps.yaml", case["manifest"].encode())], {})
    rules = Rules(manifest.recovery.auto, manifest.recovery.settle)
    flags = case.get("flags", {})
    addresses = {
        name: frozenset(map(Address, flags.get(name, ()))) for name in ("replace", "target", "exclude")
    }
    consent = consent_from(flags.get("allow", ()))
    choices = Choices(consent, **addresses, max_deletes=flags.get("max_deletes"))
    return (build_destruction if flags.get("destroy") else build)(*world(case), rules, choices)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_reads_as_in_the_case(path: Path) -> None:
    text = path.read_text()
    case = yaml.safe_load(text)
    drawn: Any = None
    try:
        plan = planned(case)
        drawn = document(plan)
        shown = plan_text(plan, ["age1reader (the manifest)"]) + conflicts_text(plan)
        assert "error" not in case
    except ProvisionerError as error:
        assert case["error"] is True
        shown = error_text(error)
    if REWRITE:
        path.write_text(text[: text.index("expect: |")] + _expected(shown, drawn))
        return
    assert shown.rstrip("\n") == case["expect"].rstrip("\n")
    assert drawn == (json.loads(case["json"]) if "json" in case else None)


def _expected(shown: str, drawn: Any) -> str:
    """What a case ends in: the text, and the document with one entry a line."""
    blocks = [f"expect: |\n{_indented(shown)}"]
    if drawn is not None:
        lines = [f"{json.dumps(name)}: {_spread(value)}" for name, value in drawn.items()]
        blocks.append("json: |\n" + _indented("{\n" + ",\n".join(lines) + "\n}"))
    return "".join(blocks)


def _spread(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n" + ",\n".join("  " + json.dumps(item) for item in value) + "\n]"


def _indented(text: str) -> str:
    return "".join(f"  {line}".rstrip() + "\n" for line in text.splitlines())


KEYS = st.sampled_from(["a", "b", "c", "d"])
NAMES = st.sampled_from(["One", "Two", "Three", "Four", "Five"])
URI_SETS = st.sets(
    st.sampled_from(["https://x.example/1", "https://x.example/2", "https://x.example/3"]), min_size=1
)
SCOPES = st.none() | st.sets(st.sampled_from(["read", "write"])).map(sorted).map(tuple)


@st.composite
def wants(draw: st.DrawFn) -> DesiredState:
    keys = draw(st.lists(KEYS, unique=True))
    names = draw(st.lists(NAMES, unique=True, min_size=len(keys), max_size=len(keys)))
    specs = {
        Address(key): AppSpec(name, tuple(sorted(draw(URI_SETS))), draw(SCOPES))
        for key, name in zip(keys, names, strict=True)
    }
    return DesiredState(specs, {}, policy=Policy(max_deletes=9))


@settings(max_examples=100, deadline=None)
@given(wants())
def test_a_plan_is_a_value_the_same_world_gives_an_equal_plan(desired: DesiredState) -> None:
    assert build(desired, State(), Observed(())) == build(desired, State(), Observed(()))


def test_a_replacement_counts_as_one_to_add_and_one_to_destroy() -> None:
    held = app("one")
    plan = build(
        DesiredState({Address("one"): AppSpec("other", held.redirect_uris)}, {}),
        State(HEADER, {Address("one"): record("one", held)}),
        Observed((held,)),
    )
    assert plan.counts == Counts(add=1, destroy=1)


def test_a_circle_of_three_names_is_refused_and_named() -> None:
    a, b, c = (Action(ActionKind.REPLACE, Address(key), after=frozenset({Address(other)})) for key, other in
               [("a", "b"), ("b", "c"), ("c", "a")])  # fmt: skip
    with pytest.raises(PlanError) as caught:
        in_order((a, b, c))
    assert "oauth_app.a" in caught.value.detail
    assert "oauth_app.c" in caught.value.detail
