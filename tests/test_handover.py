"""Secrets on their way to sinks: after the record, in order, with receipts; a broken sink changes no app."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from torture.driver import SETTLE, Server, keys

from provisioner.apply import Approved, Ports, apply, settle
from provisioner.cli.planning import pinned
from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.desired import DesiredState, Lifecycle
from provisioner.errors import SealingError, SinkError
from provisioner.model import Address, AppSpec, Outcome, Reply, Secret
from provisioner.plan import ActionKind, ApplyResult, Plan, Status
from provisioner.planner import build, build_destruction
from provisioner.recovery import Rules
from provisioner.refresh import observe
from provisioner.render.apply_text import ending
from provisioner.render.plan_text import plan_text
from provisioner.sealing import Sealer, open_sealed
from provisioner.setting import Outlets
from provisioner.state import AppRecord
from provisioner.stores.directory import DirectoryStore

ONE = Address("one")
SPEC = AppSpec("One", ("https://one.example/cb",))
BOX = DeclaredSink("box", "file", {"path": "{key}.env"})
CHEST = DeclaredSink("chest", "vault", {"path": "apps/{key}"})


@dataclass
class Places:
    """Sinks in memory; `broken` are the names of those that fail, at the probe or later."""

    held: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)  # those whose copies cannot be removed
    store: DirectoryStore | None = None

    def sink(self, declared: DeclaredSink) -> Places:
        return self

    def place(self, target: Target) -> str:
        return f"{target.sink.type} {target.options['path']}"

    def probe(self, target: Target) -> None:
        if target.sink.name in self.missing:
            raise SinkError(f"{target.sink.name} is missing")

    def deliver(self, target: Target, credentials: Credentials) -> None:
        self.log.append(f"deliver {target.sink.name}")
        if target.sink.name in self.broken:
            raise SinkError(f"{target.sink.name} is broken")
        if self.store is not None:
            assert target.address in self.store.read().records, "it is recorded before it is delivered"
        pair = (credentials.client_id, credentials.client_secret.reveal())
        self.held[target.sink.name, target.options["path"]] = pair

    def remove(self, target: Target) -> None:
        self.log.append(f"remove {target.sink.name}")
        if target.sink.name in self.broken:
            raise SinkError(f"{target.sink.name} is broken")
        if target.sink.name in self.stuck:
            raise SinkError(f"{target.sink.name} is stuck")
        self.held.pop((target.sink.name, target.options["path"]), None)


class Clock:
    def now(self) -> str:
        return "2026-01-01T00:00:00Z"


def with_identity(sealed: str) -> Secret:
    return open_sealed(sealed, keys()[1])


def without_identity(sealed: str) -> Secret:
    raise SealingError("There is no identity to open a secret with")


@dataclass
class House:
    """A server, a state, sinks, and an apply that is like the command's."""

    folder: Path
    server: Server = field(default_factory=Server)
    places: Places = field(default_factory=Places)
    identity: bool = False

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(self.folder / "state")

    def plan(self, desired: DesiredState, destroy: bool = False) -> Plan:
        prior = self.store.read()
        return (build_destruction if destroy else build)(
            desired, prior, observe(self.server, prior), Rules(settle=SETTLE)
        )

    def apply(self, desired: DesiredState, destroy: bool = False) -> ApplyResult:
        rules = Rules(settle=SETTLE)
        with self.store.lock("apply"):
            prior = self.store.read()
            observed = observe(self.server, prior)
            plan = (build_destruction if destroy else build)(desired, prior, observed, rules)
            assert plan.conflicts == ()
            approved = Approved(plan, pinned(prior, "http://127.0.0.1:1", observed), observed, rules)
            outlets = Outlets(self.places.sink, with_identity if self.identity else without_identity)
            ports = Ports(self.server, self.store, Sealer([keys()[0]]), Clock(), outlets)
            result = apply(approved, ports, 1, lambda _: None, threading.Event())
            settle(plan, self.store)
        return result

    def record(self, address: Address = ONE) -> AppRecord:
        return self.store.read().records[address]

    def live(self) -> tuple[str, bytes]:
        (app,) = self.server.world.apps()
        return app.client_id, app.client_secret.encode()


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.places.store = made.store
    return made


def wanting(
    *sinks: DeclaredSink,
    address: Address = ONE,
    spec: AppSpec = SPEC,
    declared: Mapping[str, DeclaredSink] | None = None,
    **lifecycle: object,
) -> DesiredState:
    return DesiredState(
        {address: spec}, {},
        lifecycles={address: Lifecycle(**lifecycle)},  # type: ignore[arg-type]  # named as its fields
        sinks={address: tuple(Target(sink, address) for sink in sinks)},
        declared_sinks={sink.name: sink for sink in sinks} if declared is None else declared,
    )  # fmt: skip


def test_a_new_secret_goes_to_every_sink_in_order_without_an_identity(house: House) -> None:
    assert house.apply(wanting(BOX, CHEST)).done
    assert house.places.log == ["deliver box", "deliver chest"]
    assert house.places.held == {("box", "one.env"): house.live(), ("chest", "apps/one"): house.live()}
    record = house.record()
    assert record.secret is not None
    assert {name: receipt.operation for name, receipt in record.deliveries.items()} == {
        "box": record.secret.operation, "chest": record.secret.operation,
    }  # fmt: skip


def test_what_was_delivered_is_never_delivered_again(house: House) -> None:
    house.apply(wanting(BOX, CHEST))
    assert house.plan(wanting(BOX, CHEST)).changes == ()


def test_a_rotated_secret_is_delivered_anew(house: House) -> None:
    house.apply(wanting(BOX))
    house.server.wait(timedelta(days=100))
    assert house.apply(wanting(BOX, rotate_after=timedelta(days=90))).done
    assert house.places.held["box", "one.env"] == house.live()


def test_a_replaced_app_is_delivered_anew(house: House) -> None:
    house.apply(wanting(BOX))
    old = house.live()
    assert house.apply(wanting(BOX, spec=replace(SPEC, name="Two"))).done
    assert house.places.held["box", "one.env"] == house.live() != old


def test_a_sink_that_is_missing_at_the_probe_ends_the_run_before_anything_is_sent(house: House) -> None:
    house.places.missing = {"chest"}
    with pytest.raises(SinkError):
        house.apply(wanting(BOX, CHEST))
    assert house.server.calls["create"] == 0
    assert house.places.log == []


def test_f9_a_sink_that_breaks_changes_no_app_and_is_not_in_the_way_of_another(house: House) -> None:
    house.places.broken = {"box"}
    result = house.apply(wanting(BOX, CHEST))
    assert not result.done
    assert result.counts.add == 1
    assert [item.status for item in result.results] == [Status.DONE]
    assert "done and recorded, but not delivered to box: box is broken." in ending(result)
    assert list(house.record().deliveries) == ["chest"]
    plan = house.plan(wanting(BOX, CHEST))
    assert [action.kind for action in plan.changes] == [ActionKind.DELIVER]
    assert "its secret goes to box (file)" in plan_text(plan)
    assert "which takes an identity that can open the sealed one" in plan_text(plan)


def test_f9_the_next_apply_with_an_identity_finishes_it_and_sends_nothing(house: House) -> None:
    house.places.broken = {"box"}
    house.apply(wanting(BOX, CHEST))
    house.places.broken = set()
    result = house.apply(wanting(BOX, CHEST))
    assert not result.done
    assert "There is no identity to open a secret with." in ending(result)
    house.identity = True
    assert house.apply(wanting(BOX, CHEST)).done
    assert house.places.held["box", "one.env"] == house.live()
    assert house.server.calls["rotate"] == 0
    assert house.plan(wanting(BOX, CHEST)).changes == ()


def test_a_sink_with_other_settings_is_another_place(house: House) -> None:
    house.apply(wanting(BOX))
    house.identity = True
    other = replace(BOX, options={"path": "elsewhere/{key}.env"})
    assert "a copy of its secret stays in box: file one.env" in plan_text(house.plan(wanting(other)))
    assert house.apply(wanting(other)).done
    assert house.places.held["box", "elsewhere/one.env"] == house.live()
    assert "stays in" not in plan_text(house.plan(wanting(other)))


def test_a_sink_that_the_app_no_longer_names_loses_its_copy(house: House) -> None:
    house.apply(wanting(BOX, CHEST))
    kept = wanting(BOX, declared={"box": BOX, "chest": CHEST})
    assert "its copy in chest (vault) is removed" in plan_text(house.plan(kept))
    assert house.apply(kept).done
    assert list(house.places.held) == [("box", "one.env")]
    assert list(house.record().deliveries) == ["box"]
    assert house.plan(kept).changes == ()


def test_a_destroyed_app_takes_its_copies_along(house: House) -> None:
    house.apply(wanting(BOX, CHEST))
    assert house.apply(wanting(BOX, CHEST), destroy=True).done
    assert house.places.held == {}
    assert house.store.read().records == {}


def test_an_app_whose_copy_cannot_be_removed_is_not_destroyed(house: House) -> None:
    house.apply(wanting(BOX, CHEST))
    house.places.broken = {"chest"}
    result = house.apply(wanting(BOX, CHEST), destroy=True)
    assert not result.done
    assert house.server.calls["delete"] == 0
    assert list(house.record().deliveries) == ["chest"]
    house.places.broken = set()
    assert house.apply(wanting(BOX, CHEST), destroy=True).done


def test_a_sink_that_keeps_is_left_its_copy(house: House) -> None:
    sink = replace(BOX, keep=True)
    house.apply(wanting(sink))
    assert house.apply(wanting(sink), destroy=True).done
    assert list(house.places.held) == [("box", "one.env")]


def test_a_copy_that_no_sink_reaches_any_more_is_told_with_its_place(house: House) -> None:
    house.apply(wanting(BOX))
    plan = house.plan(DesiredState({}, {}))
    assert "a copy of its secret stays in box: file one.env" in plan_text(plan)


def test_a_moved_app_is_delivered_to_its_new_place_and_taken_from_the_old_one(house: House) -> None:
    house.apply(wanting(BOX))
    house.identity = True
    uno = Address("uno")
    moved = replace(wanting(BOX, address=uno), moved={ONE: uno})
    assert house.apply(moved).done
    assert list(house.places.held) == [("box", "uno.env")]
    assert house.places.log[-2:] == ["deliver box", "remove box"]
    assert list(house.record(uno).deliveries) == ["box"]
    assert house.plan(moved).changes == ()


def test_a_moved_apps_old_copy_is_not_forgotten_while_it_cannot_be_taken_away(house: House) -> None:
    house.apply(wanting(BOX))
    house.identity = True
    uno = Address("uno")
    moved = replace(wanting(BOX, address=uno), moved={ONE: uno})
    house.places.stuck = {"box"}
    for _ in range(2):
        result = house.apply(moved)
        assert not result.done
        assert "not removed from box: box is stuck." in ending(result)
        assert house.places.held == {("box", "one.env"): house.live(), ("box", "uno.env"): house.live()}
    house.places.stuck = set()
    assert house.apply(moved).done
    assert list(house.places.held) == [("box", "uno.env")]
    assert house.plan(moved).changes == ()


def test_sink_only_drops_the_sealed_secret_once_every_sink_has_it(house: House) -> None:
    house.places.broken = {"chest"}
    assert not house.apply(wanting(BOX, CHEST, sink_only=True)).done
    secret = house.record().secret
    assert secret is not None
    assert secret.sealed is not None
    house.places.broken, house.identity = set(), True
    assert house.apply(wanting(BOX, CHEST, sink_only=True)).done
    record = house.record()
    assert record.secret == replace(secret, sealed=None, recipients=None)
    house.identity = False
    assert house.plan(wanting(BOX, CHEST, sink_only=True)).changes == ()
    assert "`sink_only`" not in plan_text(house.plan(wanting(BOX, CHEST, sink_only=True)))


def test_sink_only_asked_for_later_takes_effect_in_an_apply_that_has_nothing_else_to_do(house: House) -> None:
    house.apply(wanting(BOX))
    house.apply(wanting(BOX, sink_only=True))
    secret = house.record().secret
    assert secret is not None
    assert secret.sealed is None


def test_a_secret_that_only_sinks_have_is_rotated_for_a_new_sink(house: House) -> None:
    house.apply(wanting(BOX, sink_only=True))
    plan = house.plan(wanting(BOX, CHEST, sink_only=True))
    assert plan.changes == ()
    assert "`provisioner rotate one`" in plan_text(plan)


@pytest.mark.parametrize("moves", [True, False], ids=["moved", "other sinks"])
def test_the_only_copy_of_a_secret_stays_until_a_new_secret_is_where_it_should_be(
    house: House, moves: bool
) -> None:
    house.apply(wanting(BOX, sink_only=True))
    key = Address("uno") if moves else ONE
    sinks = (BOX,) if moves else (CHEST,)
    wants = wanting(*sinks, address=key, declared={"box": BOX, "chest": CHEST}, sink_only=True)
    wants = replace(wants, moved={ONE: key} if moves else {})
    assert house.apply(wants).done
    assert house.places.held == {("box", "one.env"): house.live()}
    assert f"`provisioner rotate {key.key}`" in plan_text(house.plan(wants))
    (app,) = house.server.world.apps()
    house.server.wait(timedelta(days=2))
    old = replace(wants, lifecycles={key: Lifecycle(sink_only=True, rotate_after=timedelta(days=1))})
    assert house.apply(old).done
    place = ("box", "uno.env") if moves else ("chest", "apps/one")
    assert house.places.held == {place: house.live()}
    assert app.client_secret.encode() != house.live()[1]


def test_the_only_copy_of_a_secret_stays_where_its_app_is_to_have_no_sink_any_more(house: House) -> None:
    house.apply(wanting(BOX, sink_only=True))
    wants = wanting(declared={"box": BOX})
    plan = house.plan(wants)
    assert plan.changes == ()
    assert "only box has its secret, and is not among its sinks any more" in plan_text(plan)
    assert house.apply(wants).done
    assert house.places.held == {("box", "one.env"): house.live()}
    house.server.wait(timedelta(days=2))
    assert house.apply(replace(wants, lifecycles={ONE: Lifecycle(rotate_after=timedelta(days=1))})).done
    assert house.places.held == {}
    secret = house.record().secret
    assert secret is not None
    assert secret.sealed is not None


def test_a_destroyed_app_whose_only_copy_is_gone_is_recorded_as_without_a_secret(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The record of a secret that nobody has could not be read, and with it the whole state.
    house.apply(wanting(BOX, sink_only=True))
    monkeypatch.setattr(house.server, "delete_app", lambda _: Reply(Outcome.REFUSED, 403, Secret(b""), True))
    assert not house.apply(wanting(BOX, sink_only=True), destroy=True).done
    assert house.places.held == {}
    assert house.record().secret is None
    assert "its secret is not held" in plan_text(house.plan(wanting(BOX, sink_only=True)))
    monkeypatch.undo()
    assert house.apply(wanting(BOX, sink_only=True), destroy=True).done
    assert house.store.read().records == {}


@pytest.mark.parametrize("type_", ["file", "command"])
def test_a_copy_that_is_in_use_stays_until_the_new_place_has_one(house: House, type_: str) -> None:
    sink = replace(BOX, type=type_)
    house.apply(wanting(sink))
    moved = replace(wanting(sink, address=Address("uno")), moved={ONE: Address("uno")})
    assert house.apply(moved).results[0].problems  # no identity, so nothing to deliver
    assert house.places.held == {("box", "one.env"): house.live()}
    house.identity = True
    assert house.apply(moved).done
    assert house.places.held == {("box", "uno.env"): house.live()}


def test_a_dead_secret_is_delivered_to_nobody(house: House) -> None:
    house.apply(wanting(BOX))
    (app,) = house.server.world.apps()
    house.server.world.rotate(app.id)
    assert house.plan(wanting(BOX, CHEST)).changes == ()


def test_a_resumed_create_is_delivered_from_the_journal_with_an_identity_or_left(house: House) -> None:
    from provisioner.sandbox.faults import Faults

    house.server.faults = Faults(["create@1:lost-after"])
    assert house.apply(wanting(BOX)).done
    assert house.places.held["box", "one.env"] == house.live()


def test_a_moved_app_with_a_fixed_place_keeps_the_mark_that_it_has_there(house: House) -> None:
    fixed = replace(BOX, options={"path": "fixed.env"})
    house.apply(wanting(fixed))
    uno = Address("uno")
    moved = replace(wanting(fixed, address=uno, rotate_after=timedelta(days=1)), moved={ONE: uno})
    assert house.apply(moved).done
    assert house.places.log == ["deliver box"]
    house.server.wait(timedelta(days=2))
    (action,) = house.plan(moved).changes
    assert action.handover.deliver[0].owner == ONE
    assert house.apply(moved).done
    assert house.record(uno).deliveries["box"].address == str(ONE)
    assert house.apply(moved, destroy=True).done
    assert house.places.held == {}


TOOL = DeclaredSink("tool", "command", {"path": "wherever it likes", "command": ["./deliver"]})


def test_a_program_that_is_told_the_app_by_a_variable_has_a_place_for_each(house: House) -> None:
    two, other = Address("two"), AppSpec("Two", ("https://two.example/cb",))
    both = wanting(TOOL)
    both = replace(both, apps={ONE: SPEC, two: other}, sinks={**both.sinks, two: (Target(TOOL, two),)})
    assert house.apply(both).done
    assert house.places.log == ["deliver tool", "deliver tool"]
    alone = replace(both, apps={two: other}, sinks={two: both.sinks[two]})
    assert house.apply(alone).done
    assert house.places.log[2:] == ["remove tool"]


def test_a_moved_app_is_delivered_anew_by_a_program_that_is_told_its_key(house: House) -> None:
    uno = Address("uno")
    house.apply(wanting(TOOL))
    house.identity = True
    moved = replace(wanting(TOOL, address=uno), moved={ONE: uno})
    assert house.apply(moved).done
    assert house.places.log == ["deliver tool", "remove tool", "deliver tool"]
    assert house.places.held == {("tool", "wherever it likes"): house.live()}  # it did not go by the key
    assert house.record(uno).deliveries["tool"].address == str(uno)
    assert house.plan(moved).changes == ()


def test_a_place_that_goes_from_one_app_to_another_keeps_what_the_other_put_there(house: House) -> None:
    fixed, two = replace(BOX, options={"path": "fixed.env"}), Address("two")
    other = AppSpec("Two", ("https://two.example/cb",))
    both = replace(wanting(fixed), apps={ONE: SPEC, two: other})
    assert house.apply(both).done
    house.identity = True
    handed = replace(wanting(fixed, address=two), apps={ONE: SPEC, two: other})
    assert house.apply(handed).done
    (theirs,) = (app for app in house.server.world.apps() if app.name == "Two")
    assert house.places.held == {("box", "fixed.env"): (theirs.client_id, theirs.client_secret.encode())}
    assert house.plan(handed).changes == ()
