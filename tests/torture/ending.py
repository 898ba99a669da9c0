"""How a life ends: nothing more befalls it, a user does what the messages say, and all is as wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provisioner.consent import Choices, Consent
from provisioner.due import age_of
from provisioner.model import Address, App, AppSpec
from provisioner.plan import ActionKind, Conflict
from provisioner.sandbox.world import OAuthApp
from provisioner.state import State
from torture.driver import (
    LONG_ENOUGH,
    Applied,
    apply_manifest,
    as_wanted,
    expected_in,
    faults_in,
    opens,
    rotate_once,
)
from torture.manifest import MONTH, Manifest
from torture.story import KEYS

if TYPE_CHECKING:
    from torture.life import Life

APPLIES = 12  # so many, with whatever a user must do between them, and everything must be as wanted
_ROTATE = Consent(frozenset({(ActionKind.ROTATE, None)}))


class Ending:
    """What the user has in mind until the next apply."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.later: set[str] = set()  # apps to be left out once
        self.passing: set[str] = set()  # apps to be given a name once that nobody has
        self.first: set[Address] = set()  # what an earlier run left open and must be finished first
        self.lifts = False  # whether protection is lifted first
        self.said: list[str] = []

    def come(self) -> None:
        """Apply, and do what is said to be in the way, until there is nothing to do any more."""
        for _ in range(APPLIES):
            self.life.server.wait(LONG_ENOUGH)
            whole = not (self.later or self.passing or self.first or self.lifts)
            applied = self._apply()
            if applied.idle and whole and not self._rotated():
                found = [*self._faults()]
                assert not found, found
                return
            self.later, self.passing, self.first, self.lifts = set(), set(), set(), False
            self._heed(applied)
        raise AssertionError(f"not as wanted after {APPLIES} applies: {self.said}")

    def _apply(self) -> Applied:
        manifest, target = self.life.manifest.copy(), frozenset(self.first)
        for key in self.passing:
            manifest.apps[key] = AppSpec(f"passing-{key}", manifest.apps[key].redirect_uris)
        if self.lifts:
            manifest, target = self._unprotected()
        exclude = frozenset(map(Address, self.later))
        choices = Choices(_ROTATE, target=target, exclude=exclude, max_deletes=9)
        desired, folder, server = manifest.desired(), self.life.folder, self.life.server
        return self.life.peacefully(desired, lambda: apply_manifest(folder, server, desired, choices))

    def _unprotected(self) -> tuple[Manifest, frozenset[Address]]:
        """What is protected, as it is, with `protect: false`; and that it is about nothing else."""
        state, manifest = self.life.state(), Manifest()
        ids = {app.id for app in self.life.server.world.apps()}
        busy = {entry.operation.address for entry in state.open}
        guarded = {address for address, record in state.records.items() if record.protect} - busy
        for address in sorted(guarded, key=lambda address: address.key not in self.life.manifest.apps):
            app = state.records[address].app
            if app.id in ids and not manifest.has_name(app.name):  # after a move that was cut off, once
                manifest.apps[address.key] = _spec(app)
                manifest.protect[address.key] = False
        return manifest, frozenset(guarded)

    def _heed(self, applied: Applied) -> None:
        """Do as the hints say."""
        if applied.plan is None:
            assert "Names go round in a circle" in applied.error, applied.error
            self.passing = {
                next(key for key in self.life.manifest.apps if f"{Address(key)} " in applied.error)
            }
            self.said.append(applied.error)
            return
        for conflict in applied.plan.conflicts:
            self.said.append(f"{conflict.summary}: {conflict.detail}")
            self._settle(conflict)
        if applied.result and not applied.result.done:
            self.said.append(str(applied.result.results))

    def _settle(self, conflict: Conflict) -> None:
        assert conflict.address is not None, conflict
        key, summary, manifest = conflict.address.key, conflict.summary, self.life.manifest
        if "is protected, and would be" in summary:
            self._unprotect(key, conflict)
        elif "is still held by" in summary:
            self.later.add(key)
        elif "both are in the state" in summary:
            manifest.keep(key)
        elif "would be imported, and then replaced" in summary:
            self._keep_as_it_is(key)
        elif "yet: an earlier run asked for" in summary:
            self.first |= {address for address in map(Address, KEYS) if f" {address}, " in conflict.detail}
        elif "import" in summary:
            manifest.imports.pop(key, None)
        elif "exists remotely, but not in the state" in summary and not self._has_app(key):
            self._import_or_remove(key, conflict)
        elif "cannot be destroyed or forgotten yet" not in summary:
            self._remove(conflict)

    def _unprotect(self, key: str, conflict: Conflict) -> None:
        manifest, record = self.life.manifest, self.life.state().records.get(Address(key))
        if "Let the manifest say what the app is now" in conflict.hint and record is not None:
            manifest.declare(key, _spec(record.app))
        elif key in manifest.apps:
            manifest.protect[key] = False
        self.lifts = "let an apply say" in conflict.hint

    def _has_app(self, key: str) -> bool:
        record = self.life.state().records.get(Address(key))
        return record is not None and record.app.id in {app.id for app in self.life.server.world.apps()}

    def _keep_as_it_is(self, key: str) -> None:
        """Let the manifest say what the app has."""
        manifest = self.life.manifest
        for app in self.life.server.world.apps():
            if app.id == manifest.imports.get(key):
                if manifest.has_name(app.name, but=key):
                    del manifest.imports[key]
                else:
                    manifest.apps[key] = _spec(app)

    def _import_or_remove(self, key: str, conflict: Conflict) -> None:
        wanted = self.life.manifest.apps.get(key)  # none where an earlier run left it open
        for app in self._named_in(conflict):
            if wanted and as_wanted(app, wanted):
                self.life.manifest.adopt(key, app.id, wanted)
                self.life.adopted.add(app.id)
            else:
                self._remove(conflict)

    def _remove(self, conflict: Conflict) -> None:
        """An app that is not ours, or that somebody touched, makes room."""
        for app in self._named_in(conflict):
            late = app.name in expected_in(self.life.state())
            assert late or self.life.stays_apart(app), conflict
            self.life.remove_by_hand(app.id)

    def _named_in(self, conflict: Conflict) -> list[OAuthApp]:
        told = conflict.summary + conflict.detail
        return [app for app in self.life.server.world.apps() if app.id in told]

    def _rotated(self) -> bool:
        """The apps whose secrets are not held: a user asks for new ones."""
        state = self.life.state()
        dead = [address.key for address in state.records if not opens(state, address.key, self.life.server)]
        if not dead:
            return False
        desired, folder, server = self.life.manifest.desired(), self.life.folder, self.life.server
        applied = self.life.peacefully(desired, lambda: rotate_once(folder, server, desired, dead))
        assert applied.result is not None, applied
        assert applied.result.done, applied
        self.said.append(f"{dead} were rotated")
        return True

    def _faults(self) -> Iterator[str]:
        """The oracle, and what it does not know of: each app is looked after as is said of it."""
        life, state = self.life, self.life.state()
        others = life.released | (life.touched - life.held)
        yield from faults_in(life.folder, life.server, life.manifest.apps, others)
        yield from neglected(life.manifest, state, life.server.date())
        known = {record.app.id for record in state.records.values()}
        yield from (f"duplicated: {app.id}" for app in life.ours() if app.id not in known | others)


def neglected(manifest: Manifest, state: State, date: str) -> Iterator[str]:
    """The apps that are not looked after as the manifest says: protected, and their secrets renewed."""
    for address, record in state.records.items():
        if record.protect != manifest.protect.get(address.key, record.protect):
            yield f"wrong: {address} is recorded with protect {record.protect}"
        age = age_of(record, date)
        if address.key in manifest.ageing and age is not None and age >= MONTH and record.app.is_active:
            yield f"wrong: the secret of {address} is {age} old"


def _spec(app: App | OAuthApp) -> AppSpec:
    return AppSpec(app.name, app.redirect_uris, app.scopes)
