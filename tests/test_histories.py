"""Plan, apply, plan: after any history of edits, drift and imports, the second plan has nothing to do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torture.driver import Applied, apply_manifest, faults_in, opens, plan_once, planner_of
from torture.ending import neglected
from torture.story import EVENTS, KEYS, NO_FLAGS, Flags, Story, flags, keys

from provisioner.desired import DesiredState
from provisioner.plan import Action, ActionKind, Conflict, Plan, Reason
from provisioner.stores.directory import DirectoryStore

REFUSALS = ("Names go round in a circle", "of which this plan has nothing", "which is moved to")
IN_THE_WAY = (
    "is protected, and would be",
    "exists remotely, but not in the state",
    "is still held by",
    "both are in the state",
    "There is no app",
    "would be imported, and then replaced",
    "already",  # imported
    "and the limit is",
)
WRITES = ("create", "rotate", "delete")
Event = tuple[str, dict[str, Any]]  # a method of the story, and its arguments
MAKES = (ActionKind.CREATE, ActionKind.REPLACE)


class History(Story):
    """Nothing fails here, so each apply must keep all of its promise, whatever came before it."""

    def __init__(self, keys: tuple[str, ...], folder: Path) -> None:
        super().__init__()
        self.keys = keys
        self.folder = folder
        self.released: set[str] = set()  # ids of apps that `removed` told to forget

    def happen(self, events: list[Event]) -> None:
        for name, arguments in events:
            getattr(self, name)(**arguments)

    def apply(self, asked: Flags, destroy: bool) -> None:
        """An apply, or `destroy`, and everything that it promises."""
        before, desired = Look(self), self.manifest.desired()
        flags = asked.within(self._known(before, destroy))
        applied = apply_manifest(self.folder, self.server, desired, flags.choices(), destroy)
        after = Look(self)
        if applied.plan is None or applied.plan.conflicts:
            self._nothing_was_done(applied, before, after)
            return
        assert applied.result is None or applied.result.done, applied.result
        self._what_was_asked_for_was_planned(applied.plan, flags)
        self._what_was_planned_was_done(applied.plan, before, after)
        self._what_should_stay_stayed(desired, before, after)
        again = flags.within(self._known(after, destroy))
        if again.target or not flags.target:  # else there is nothing any more that the flag could name
            self._nothing_is_left_to_do(applied.plan, desired, again, destroy)
        if applied.plan.complete:
            self._all_is_as_wanted(after, destroy)

    def _known(self, look: Look, destroy: bool) -> set[str]:
        """The keys that a flag may name."""
        recorded = {address.key for address in look.state.records} - self.manifest.moved.keys()
        return recorded if destroy else recorded | self.manifest.apps.keys()

    def _nothing_was_done(self, applied: Applied, before: Look, after: Look) -> None:
        """Where something is in its way, a plan is not applied: no request, every record where it was."""
        if applied.plan is None:
            assert any(words in applied.error for words in REFUSALS), applied.error
        else:
            for conflict in applied.plan.conflicts:
                _is_in_the_way(conflict, applied.plan, after)
        assert after.writes == before.writes
        assert after.places == before.places

    def _what_was_asked_for_was_planned(self, plan: Plan, flags: Flags) -> None:
        """A target is in the plan, what is excluded is not; what is neither is there without targets."""
        kept = {action.address.key for action in plan.actions if not action.left_out}
        assert kept.isdisjoint(flags.exclude)
        assert kept >= (flags.target or {action.address.key for action in plan.actions}) - flags.exclude
        replaced = {action.address.key for action in plan.changes if action.kind is ActionKind.REPLACE}
        there = {
            action.address.key for action in plan.actions if action.spec and action.observed and action.record
        }
        assert replaced >= flags.replace & kept & there or plan.destruction

    def _what_was_planned_was_done(self, plan: Plan, before: Look, after: Look) -> None:
        """Just that, to the apps and to the records."""
        destroyed = before.secrets.keys() - after.secrets.keys()
        assert destroyed == _ids(action for action in plan.changes if action.destroys)
        made = {after.state.records[action.address].app.id for action in plan.changes if action.kind in MAKES}
        assert after.secrets.keys() - before.secrets.keys() == made
        kept = before.secrets.keys() & after.secrets.keys()
        rotated = {app_id for app_id in kept if before.secrets[app_id] != after.secrets[app_id]}
        assert rotated == _ids(action for action in plan.changes if action.kind is ActionKind.ROTATE)
        for app_id in _ids(action for action in plan.actions if action.left_out):
            assert after.recorded[app_id] == before.recorded[app_id]
        self.released -= after.recorded.keys()
        self.released |= _ids(action for action in plan.changes if action.reason is Reason.REMOVED)

    def _what_should_stay_stayed(self, desired: DesiredState, before: Look, after: Look) -> None:
        """What is protected, or `removed` but not destroyed; and protection, but where the manifest says."""
        for app_id in before.recorded.keys() & before.secrets.keys():
            old, new = before.recorded[app_id], after.recorded.get(app_id)
            end = desired.moved.get(old.address, old.address)
            assert app_id in after.secrets or not (old.protect or end in desired.forgotten), old.address
            assert new is None or new.protect in (old.protect, desired.lifecycle(end).protect), old.address

    def _nothing_is_left_to_do(self, plan: Plan, desired: DesiredState, flags: Flags, destroy: bool) -> None:
        """The same again finds nothing to do or in the way; what may have drifted still, is told.

        That is: what was left out, and secrets that were rotated elsewhere, where nobody agreed to another
        rotation, or the app is inactive. What was replaced on request is so once.
        """
        next_plan = self._planned(desired, replace(flags, replace=frozenset()), destroy)
        assert next_plan.changes == ()
        assert next_plan.conflicts == ()
        left_out = {action.address for action in plan.actions if action.left_out}
        told = {note.address for note in next_plan.notes if "rotated elsewhere" in note.text}
        for drift in next_plan.drift:
            elsewhere = [change.name for change in drift.changes] == ["client_secret_hint"]
            agreed = drift.address.key in flags.allow and drift.app is not None and drift.app.is_active
            allowed = elsewhere and drift.address in told and not agreed
            assert allowed or drift.address in left_out, drift
        if not (plan.complete or destroy):  # without these flags there is what they left out, and no more
            rest = self._planned(desired, Flags(flags.allow), destroy)
            assert {action.address for action in rest.changes} <= left_out

    def _planned(self, desired: DesiredState, flags: Flags, destroy: bool) -> Plan:
        planner = planner_of(desired, flags.choices(), destroy)
        return plan_once(self.folder, self.server, planner, desired.imports)

    def _all_is_as_wanted(self, after: Look, destroy: bool) -> None:
        """By the oracle; a secret is held and works, unless it came by an import or was rotated by hand."""
        manifest, state = self.manifest, after.state
        assert state.open == ()
        if destroy:
            assert state.records == {}
            return
        faults = faults_in(self.folder, self.server, manifest.apps, self.released)
        assert [fault for fault in faults if not fault.startswith("lost: the secret")] == []
        assert list(neglected(manifest, state, self.server.date())) == []
        for address, record in state.records.items():
            if record.secret is None:
                assert record.app.id not in self.server.ours - self.adopted, address
            elif record.app.id not in self.touched:
                assert opens(state, address.key, self.server), address


class Look:
    """What there is: apps by id with their secrets, records by the id of their app, and requests so far."""

    def __init__(self, history: History) -> None:
        self.state = DirectoryStore(history.folder / "state").read()
        self.secrets = {app.id: app.client_secret for app in history.server.world.apps()}
        self.recorded = {record.app.id: record for record in self.state.records.values()}
        self.places = {record.app.id: address for address, record in self.state.records.items()}
        self.writes = [history.server.calls[name] for name in WRITES]


def _is_in_the_way(conflict: Conflict, plan: Plan, after: Look) -> None:
    """Of what the plan could have put in order by itself, nothing is."""
    assert any(words in conflict.summary for words in IN_THE_WAY), conflict
    if "is still held by" in conflict.summary:
        frees = {str(action.address) for action in plan.actions if action.destroys}
        assert conflict.summary.partition("held by ")[2] not in frees, conflict
    if "exists remotely" in conflict.summary:
        strange = after.secrets.keys() - after.recorded.keys()
        assert any(app_id in conflict.detail for app_id in strange), conflict


def _ids(actions: Iterable[Action]) -> set[str]:
    return {action.record.app.id for action in actions if action.record}


BEGUN = st.dictionaries(keys, st.tuples(st.none() | st.booleans(), st.booleans()), min_size=1)
OFTEN = ("adopt", "forget", "look_after", "rename", "wait")  # what takes more steps to come to something
EVENT = st.sampled_from([*sorted(EVENTS), *OFTEN]).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(EVENTS[name]))
)
RARELY = st.integers(0, 9).map(lambda number: number == 9)
STEPS = st.lists(
    st.tuples(st.lists(EVENT, min_size=1, max_size=3), st.just(NO_FLAGS) | flags, RARELY),
    min_size=4,
    max_size=12,
)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(2, len(KEYS)), BEGUN, STEPS)
def test_after_any_history_of_edits_drift_and_imports_a_plan_once_applied_is_empty(
    apps: int, begun: dict[str, tuple[bool | None, bool]], steps: list[tuple[list[Event], Flags, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"), mock.patch("os.fdatasync"):
        history = History(KEYS[:apps], Path(folder))
        for key, (protect, ages) in begun.items():
            history.declare(key, "cb", shares=False)
            history.manifest.look_after(history.near(key), protect, ages)
        history.apply(NO_FLAGS, destroy=False)
        for events, asked, destroy in steps:
            history.happen(events)
            history.apply(asked, destroy)
