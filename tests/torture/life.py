"""The life of three apps, as Hypothesis makes it up: edits, faults, crashes, strangers, time."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from provisioner.model import Address, AppSpec
from provisioner.operation import OpenOperation
from provisioner.sandbox.faults import Faults
from provisioner.sandbox.world import NameTakenError, OAuthApp
from provisioner.state import AppRecord, State
from provisioner.stores.directory import DirectoryStore
from torture.disk import Disk, Stopped, materialise
from torture.driver import APPLIES, LONG_ENOUGH, Applied, Server, apply_once, faults_in, leaks, opens, seeded
from torture.powerloss import FAULTS, in_order
from torture.report import Counts

KEYS = ("a", "b", "c")
SHARED = "shared"  # a name that any of them may have, one after the other
OPERATIONS = ("create", "rotate", "delete", "get", "list", "*")

keys = st.sampled_from(KEYS)
faults = st.lists(
    st.builds("{}@{}:{}".format, st.sampled_from(OPERATIONS), st.integers(1, 3), st.sampled_from(FAULTS)),
    max_size=3,
)
deaths = st.none() | st.integers(1, 90)
chance = st.integers(0, 1_000_000)


class Life(RuleBasedStateMachine):
    """What may happen between two looks at it; what must hold at each look; and how it must end."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "0"
        self.folder.mkdir()
        self.disk = Disk(self.folder)  # what a killed run did not sync stays so until somebody does
        self.moves = 0
        self.server = Server()
        self.wanted: dict[str, AppSpec] = {}
        self.touched: set[str] = set()  # ids of apps that somebody changed by hand
        self.applied: Applied | None = None

    # What the user does.

    @rule(key=keys, path=st.sampled_from(["cb", "other"]), shares=st.booleans())
    def declare(self, key: str, path: str, shares: bool) -> None:
        """Add an app, or change one; a change is a replacement."""
        name = SHARED if shares else f"app-{key}"
        if all(spec.name != name for other, spec in self.wanted.items() if other != key):
            self.wanted[key] = AppSpec(name, (f"https://{key}.example/{path}",))

    @rule(key=keys)
    def forget(self, key: str) -> None:
        """Take an app out of the manifest."""
        self.wanted.pop(key, None)

    @rule(old=keys, new=keys)
    def rename(self, old: str, new: str) -> None:
        """The app under another key, with the name that it had."""
        if old in self.wanted and new not in self.wanted:
            self.wanted[new] = self.wanted.pop(old)

    @rule(faults=faults, dies_in=deaths, power=st.none() | chance, rotate=st.sets(keys, max_size=1))
    def apply(self, faults: list[str], dies_in: int | None, power: int | None, rotate: set[str]) -> None:
        """An apply, with faults of the API; it may be killed on the way, and the power may go with it."""
        self.disk.dies_in = dies_in
        self.server.faults, self.server.before = Faults(faults), self.disk.point
        with suppress(Stopped), self.disk:
            self.applied = apply_once(self.folder, self.server, self.wanted, rotate)
        self.server.quiet()
        if power is not None:
            chosen = seeded(power)
            self._move(dict(chosen.choice(in_order(self.disk.photo().survivors(chosen, 8)))))

    @rule()
    def apply_in_peace(self) -> None:
        """An apply without faults; an error would be one of ours."""
        with self.disk:
            self.applied = apply_once(self.folder, self.server, self.wanted)
        assert not self.applied.error, self.applied.error

    # What others do.

    @precondition(lambda self: self.server.late)
    @rule(which=chance)
    def arrive(self, which: int) -> None:
        """A late request is done."""
        self.server.arrive(which % len(self.server.late))

    @rule(seconds=st.sampled_from([1, 10, 59, 61, 500]))
    def wait(self, seconds: int) -> None:
        """Time passes, and with it what can be no later."""
        self.server.wait(timedelta(seconds=seconds))

    @rule(name=st.sampled_from([*(f"app-{key}" for key in KEYS), SHARED]))
    def intrude(self, name: str) -> None:
        """A stranger takes a name, with fields of its own."""
        with suppress(NameTakenError):
            self.server.world.create(name, ["https://stranger.example/cb"])

    @rule(which=chance)
    def rotate_by_hand(self, which: int) -> None:
        """Somebody rotates a secret in the web interface."""
        for app in self._one(which):
            self.server.world.rotate(app.id)
            self.touched.add(app.id)

    @rule(which=chance)
    def delete_by_hand(self, which: int) -> None:
        """Somebody deletes an app by hand."""
        for app in self._one(which):
            self.server.world.delete(app.id)

    # What must hold.

    @invariant()
    def nothing_leaked(self) -> None:
        assert list(leaks(self.folder)) == []

    @invariant()
    def every_app_of_ours_is_known(self) -> None:
        """It has a record or an open entry, a record expects it late, or somebody else has changed it."""
        state = self._state()
        recorded = {record.app.id for record in state.records.values()}
        expected = _expected(state)
        for app in self._ours():
            known = app.id in {*recorded, *self.touched} or any(_concerns(entry, app) for entry in state.open)
            known = known or app.name in expected
            assert known, f"{app.name} ({app.id}) is on the server, and nothing knows of it"

    @invariant()
    def no_address_has_two(self) -> None:
        state = self._state()
        for key in {*KEYS}:
            record = state.records.get(Address(key))
            entries = [entry for entry in state.open if entry.operation.address == Address(key)]
            assert len(entries) <= 1, f"{key} has {len(entries)} open entries"
            others = {r.app.id for address, r in state.records.items() if address.key != key}
            held = [
                app.id
                for app in self._ours()
                if (record and record.app.id == app.id)
                or (app.id not in others and any(_concerns(entry, app) for entry in entries))
            ]
            assert len(held) <= 1, f"{key} has {held}"

    @invariant()
    def a_secret_works_or_one_can_tell(self) -> None:
        """By the hint, where somebody else rotated it; else only while something is unsettled or open."""
        state = self._state()
        there = {app.id: app for app in self.server.world.apps()}
        busy = {entry.operation.address for entry in state.open}
        for address, record in state.records.items():
            app = there.get(record.app.id)
            if app is None or opens(state, address.key, self.server):
                continue
            told = record.secret is not None and record.secret.hint != app.client_secret_hint
            assert told, f"the secret of {address} does not work, and its hint says that it does"
            excused = app.id in self.touched or address in busy or _unsettled(record)
            assert excused, f"the secret of {address} does not work, and nobody was told"

    def teardown(self) -> None:
        """Faults stop: a few applies, and everything is as wanted."""
        try:
            if sys.exc_info()[0] is None:  # else it has failed already
                self._end()
        finally:
            shutil.rmtree(self.root)

    def _end(self) -> None:
        self.server.quiet()
        said, put_off = "", set[str]()
        for _ in range(APPLIES):
            self.server.wait(LONG_ENOUGH)
            wanted = {key: spec for key, spec in self.wanted.items() if key not in put_off}
            with self.disk:
                applied = apply_once(self.folder, self.server, wanted, self._dead())
            assert not applied.error, applied.error
            if applied.idle and not self._dead() and not put_off:
                found = list(faults_in(self.folder, self.server, self.wanted, self.touched))
                assert not found, found
                return
            put_off = self._settle_conflicts(applied)
            said = str(applied.plan and applied.plan.conflicts) + str(applied.result)
        raise AssertionError(f"not as wanted after {APPLIES} applies: {said}")

    def _settle_conflicts(self, applied: Applied) -> set[str]:
        """As the hints say: an app that is not ours, or that somebody touched, makes room.

        Where another address still holds the name, the app that wants it is left out once.
        """
        put_off = set()
        for conflict in applied.plan.conflicts if applied.plan else ():
            if "is still held by" in conflict.summary:
                put_off.add(conflict.address.key)
                continue
            for app in self.server.world.apps():
                if app.id in conflict.summary + conflict.detail:
                    late = app.name in _expected(self._state())
                    assert late or app.id not in self.server.ours or app.id in self.touched, conflict
                    self.server.world.delete(app.id)
        return put_off

    def _dead(self) -> list[str]:
        """The apps whose secrets were rotated elsewhere: a user would ask for new ones."""
        state = self._state()
        return [address.key for address in state.records if not opens(state, address.key, self.server)]

    def _state(self) -> State:
        return DirectoryStore(self.folder / "state").read()

    def _ours(self) -> list[OAuthApp]:
        return [app for app in self.server.world.apps() if app.id in self.server.ours]

    def _one(self, which: int) -> list[OAuthApp]:
        apps = self.server.world.apps()
        return [apps[which % len(apps)]] if apps else []

    def _move(self, tree: dict[Path, bytes | None]) -> None:
        """Go on with what a power loss left."""
        shutil.rmtree(self.folder)
        self.moves += 1
        self.folder = self.root / str(self.moves)
        materialise(tree, self.folder)
        self.disk = Disk(self.folder)


def _concerns(entry: OpenOperation, app: OAuthApp) -> bool:
    operation = entry.operation
    ids = {entry.step.app_id, operation.app.id if operation.app else None}
    return app.id in ids or (operation.spec is not None and operation.spec.name == app.name)


def _expected(state: State) -> set[str]:
    """The names that a repeated request may yet make, or made, an app for: the plan tells of it."""
    return {record.app.name for record in state.records.values() if _unsettled(record)}


def _unsettled(record: AppRecord) -> bool:
    return record.secret is not None and record.secret.unsettled_until is not None


def live(examples: int, steps: int, number: int | None = None) -> None:
    """So many lives of so many steps; the same ones each time, unless a number says which."""
    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=number is None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    machine = Life if number is None else seed(number)(type("Life", (Life,), {}))
    run_state_machine_as_test(machine, settings=wanted)


def torture(number: int, seconds: float) -> Counts:
    """Lives until the time is up, ten at a time; a failure is told with the steps that lead to it."""
    until, total = time.monotonic() + seconds, Counts()
    while time.monotonic() < until:
        number += 1
        try:
            live(10, 50, number)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
            notes = "\n".join(getattr(error, "__notes__", ()))
            return total + Counts(10, wrong=1, failures=(f"life {number}: {error}\n{notes}",))
        total += Counts(10)
    return total
