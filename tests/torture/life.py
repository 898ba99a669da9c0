"""The life of a few apps, as Hypothesis makes it up: edits, faults, crashes, strangers, time."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from provisioner.consent import Choices
from provisioner.desired import DesiredState
from provisioner.model import Address
from provisioner.operation import OpenOperation
from provisioner.sandbox.faults import Faults
from provisioner.sandbox.world import OAuthApp
from provisioner.state import State
from provisioner.stores.directory import DirectoryStore
from torture.disk import Disk, Stopped, materialise
from torture.driver import Applied, apply_manifest, expected_in, leaks, opens, rotate_once, seeded, unsettled
from torture.ending import Ending
from torture.powerloss import FAULTS, in_order
from torture.report import Counts
from torture.server import asked_name
from torture.story import KEYS, NO_FLAGS, SHARED, Flags, Story, chance, flags, keys

KINDS = (*FAULTS, *("late", "lost-after") * 2)  # what hurts most, more often
OPERATIONS = (*("create", "rotate", "delete") * 2, "get", "list", "*")
EDITS = ("change", "drop", "release", "rename")
EXPECTED = ("Names go round in a circle", "of which this plan has nothing", "which is moved to")

faults = st.lists(
    st.builds("{}@{}:{}".format, st.sampled_from(OPERATIONS), st.integers(1, 3), st.sampled_from(KINDS)),
    max_size=3,
)
deaths = st.none() | st.integers(1, 90)
powers = st.none() | chance


class Life(Story):
    """What may happen between two looks at it; what must hold at each look; and how it must end."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "0"
        self.folder.mkdir()
        self.disk = Disk(self.folder)  # what a killed run did not sync stays so until somebody does
        self.moves = 0
        self.held: set[str] = set()  # ids that were recorded; a power loss may take back that they were
        self.released: set[str] = set()  # ids of apps that were forgotten on request: nobody's from then on
        self.guarded: set[str] = set()  # ids of apps that were protected at the last look
        self.applied: Applied | None = None

    @initialize(begun=st.sets(keys, min_size=1), of=st.sampled_from([1, 2, 3, 4]))
    def begin(self, begun: set[str], of: int) -> None:
        """How many apps it is about; some are there already, as an apply made them."""
        self.keys = KEYS[:of]
        for key in sorted(begun):
            self.declare(key, "cb", shares=False)
        self.apply_in_peace()

    # What the user does.

    @rule(
        faults=faults,
        dies_in=deaths,
        power=powers,
        rotate=st.frozensets(keys, max_size=1),
        flags=flags,
        destroy=st.integers(0, 9).map(lambda number: number == 9),
    )
    def apply(
        self,
        faults: list[str],
        dies_in: int | None,
        power: int | None,
        rotate: Collection[str] = (),
        flags: Flags = NO_FLAGS,
        destroy: bool = False,
    ) -> None:
        """An apply, with faults of the API; it may be killed on the way, and the power may go with it.

        `rotate` is what `--allow` says of secrets that were rotated elsewhere.
        """
        desired, choices = self.manifest.desired(), self._choices(flags, rotate)
        self._befallen(
            lambda: apply_manifest(self.folder, self.server, desired, choices, destroy),
            (faults, dies_in, power),
            desired,
        )

    @rule(key=keys, edit=st.sampled_from(EDITS), faults=faults, dies_in=deaths, power=powers)
    def apply_at_once(
        self, key: str, edit: str, faults: list[str], dies_in: int | None, power: int | None
    ) -> None:
        """An edit and its apply, so that there is something to befall."""
        spec = self.manifest.apps.get(self.near(key))
        if edit == "change":
            path = "other" if spec and spec.redirect_uris[0].endswith("cb") else "cb"
            self.declare(key, path, shares=spec is not None and spec.name == SHARED)
        elif edit == "rename":
            self.rename(KEYS.index(key), 0, says=True)
        else:
            self.forget(key, {"drop": None, "release": False}[edit])
        self.apply(faults, dies_in, power)

    @rule(flags=flags)
    def apply_in_peace(self, flags: Flags = NO_FLAGS) -> None:
        """An apply without faults; an error would be one of ours, unless it is about what was asked for."""
        desired = self.manifest.desired()
        before = self.state()
        with self.disk:
            self.applied = apply_manifest(self.folder, self.server, desired, self._choices(flags))
        self._note(before, desired)
        error = self.applied.error
        assert not error or any(words in error for words in EXPECTED), error

    @precondition(lambda self: self.state().records)
    @rule(which=chance, faults=faults, dies_in=deaths, power=powers)
    def rotate(self, which: int, faults: list[str], dies_in: int | None, power: int | None) -> None:
        """`provisioner rotate` of one app, whatever its secret is like."""
        recorded = sorted(self.state().records)
        keys, desired = [recorded[which % len(recorded)].key], self.manifest.desired()
        self._befallen(
            lambda: rotate_once(self.folder, self.server, desired, keys), (faults, dies_in, power), desired
        )

    @precondition(lambda self: self.server.late)
    @rule(which=chance)
    def arrive(self, which: int) -> None:
        """A late request is done."""
        self.server.arrive(which % len(self.server.late))

    def _befallen(
        self,
        command: Callable[[], Applied],
        fate: tuple[list[str], int | None, int | None],
        desired: DesiredState,
    ) -> None:
        faults, dies_in, power = fate
        before = self.state()
        self.disk.dies_in = dies_in
        self.server.faults, self.server.before = Faults(faults), self.disk.point
        with suppress(Stopped), self.disk:
            self.applied = command()
        self.server.quiet()
        if power is not None:
            chosen = seeded(power)
            self._move(dict(chosen.choice(in_order(self.disk.photo().survivors(chosen, 8)))))
            self.held.clear()
        self._note(before, desired)

    def _note(self, before: State, desired: DesiredState) -> None:
        """What is ours by now, and what was let go because `removed` said so."""
        after = self.state()
        recorded = {record.app.id for record in after.records.values()}
        self.held |= recorded
        self.released -= recorded
        busy = {entry.operation.address for entry in (*before.open, *after.open)}
        there = {app.id for app in self.server.world.apps()}
        for address, record in before.records.items():
            end, app_id = desired.moved.get(address, address), record.app.id
            if end in desired.forgotten and busy.isdisjoint({address, end}) and app_id not in recorded:
                assert app_id in there | self.deleted, f"{app_id} was to stay, and is not there any more"
                self.released |= {app_id} & there

    # What must hold.

    @invariant()
    def nothing_leaked(self) -> None:
        assert list(leaks(self.folder)) == []

    @invariant()
    def every_app_of_ours_is_known(self) -> None:
        """It has a record or an open entry, a record expects it late, or somebody else has changed it."""
        state = self.state()
        recorded = {record.app.id for record in state.records.values()}
        expected = expected_in(state)
        for app in self.ours():
            known = app.id in {*recorded, *(self.touched - self.held)}
            known = known or any(_concerns(entry, app) for entry in state.open) or app.name in expected
            assert known, f"{app.name} ({app.id}) is on the server, and nothing knows of it"

    @invariant()
    def no_address_has_two(self) -> None:
        state = self.state()
        for key in {*KEYS}:
            record = state.records.get(Address(key))
            entries = [entry for entry in state.open if entry.operation.address == Address(key)]
            assert len(entries) <= 1, f"{key} has {len(entries)} open entries"
            others = {r.app.id for address, r in state.records.items() if address.key != key}
            held = [
                app.id
                for app in self.ours()
                if (record and record.app.id == app.id)
                or (app.id not in others and any(_concerns(entry, app) for entry in entries))
            ]
            assert len(held) <= 1, f"{key} has {held}"

    @invariant()
    def a_secret_works_or_one_can_tell(self) -> None:
        """By the hint, where somebody else rotated it; else only while something is unsettled or open.

        It is missing only where the app was imported.
        """
        state = self.state()
        there = {app.id: app for app in self.server.world.apps()}
        busy = {entry.operation.address for entry in state.open}
        for address, record in state.records.items():
            app = there.get(record.app.id)
            if record.secret is None:
                assert record.app.id in self.adopted, f"{address} was not imported, and has no secret"
                continue
            if app is None or opens(state, address.key, self.server):
                continue
            told = record.secret.hint != app.client_secret_hint
            assert told, f"the secret of {address} does not work, and its hint says that it does"
            excused = app.id in self.touched or address in busy or unsettled(record)
            assert excused, f"the secret of {address} does not work, and nobody was told"

    @invariant()
    def what_may_come_late_is_remembered(self) -> None:
        """By the open entry or the unsettled record of its app, for as long as that exists or may."""
        state, there = self.state(), {app.id for app in self.server.world.apps()}
        expected = expected_in(state)
        for call in (item.call for item in self.server.late):
            name, app_id = asked_name(call), call.app_id
            entries = any(_is_of(entry, name, app_id) for entry in state.open)
            records = any(unsettled(record) and record.app.id == app_id for record in state.records.values())
            harmless = bool(app_id) and app_id not in there
            assert harmless or entries or records or name in expected, f"nothing knows of a late {call}"

    @invariant()
    def what_is_protected_stays(self) -> None:
        """No apply destroys what was protected before it: that is lifted by an apply of its own."""
        state, there = self.state(), {app.id for app in self.server.world.apps()}
        gone = self.guarded - there - self.deleted
        assert not gone, f"{gone} was protected, and is not there any more"
        self.guarded = {record.app.id for record in state.records.values() if record.protect} & there

    @invariant()
    def what_is_forgotten_stays(self) -> None:
        """An app that was let go is nobody's, and nobody but a stranger destroys it."""
        gone = self.released - {app.id for app in self.server.world.apps()} - self.deleted
        assert not gone, f"{gone} was let go, and is not there any more"

    def teardown(self) -> None:
        """Faults stop: a few applies, and everything is as wanted."""
        try:
            if sys.exc_info()[0] is None:  # else it has failed already
                self.server.quiet()
                Ending(self).come()
        finally:
            shutil.rmtree(self.root)

    # What it is like.

    def state(self) -> State:
        """What is recorded."""
        return DirectoryStore(self.folder / "state").read()

    def ours(self) -> list[OAuthApp]:
        """The apps that we made or took in, and did not let go."""
        ours = (self.server.ours | self.held) - self.released
        return [app for app in self.server.world.apps() if app.id in ours]

    def stays_apart(self, app: OAuthApp) -> bool:
        """Whether an app is somebody else's by now, or may be: it was let go, or changed by hand."""
        return app.id not in {known.id for known in self.ours()} or app.id in self.touched

    def peacefully(self, desired: DesiredState, command: Callable[[], Applied]) -> Applied:
        """A command that nothing befalls."""
        before = self.state()
        with self.disk:
            applied = command()
        self._note(before, desired)
        self.what_is_protected_stays()
        self.what_is_forgotten_stays()
        return applied

    def _choices(self, flags: Flags, rotate: Collection[str] = ()) -> Choices:
        state = self.state()
        addresses = {*state.records, *(entry.operation.address for entry in state.open)}
        known = (
            self.manifest.apps.keys() | {address.key for address in addresses} - self.manifest.moved.keys()
        )
        return replace(flags, allow=flags.allow.union(rotate)).within(known).choices()

    def _move(self, tree: dict[Path, bytes | None]) -> None:
        """Go on with what a power loss left."""
        shutil.rmtree(self.folder)
        self.moves += 1
        self.folder = self.root / str(self.moves)
        materialise(tree, self.folder)
        self.disk = Disk(self.folder)


def _concerns(entry: OpenOperation, app: OAuthApp) -> bool:
    return _is_of(entry, app.name, app.id)


def _is_of(entry: OpenOperation, name: str | None, app_id: str) -> bool:
    operation = entry.operation
    ids = {entry.step.app_id, operation.app.id if operation.app else None}
    return app_id in ids or (operation.spec is not None and operation.spec.name == name)


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
