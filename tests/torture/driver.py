"""The product without its command line: an apply, what it comes to, and the oracle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random

import pyrage
from counterparts.places import FOLDERS, in_file

from provisioner.apply import Approved, Ports, apply, settle
from provisioner.cli.planning import pinned
from provisioner.consent import Choices
from provisioner.custody import client_secret
from provisioner.delivery import DeclaredSink, Target
from provisioner.desired import DesiredState
from provisioner.errors import ProvisionerError, SealingError
from provisioner.model import Address, AppSpec, Secret
from provisioner.plan import Action, ActionKind, ApplyResult, Observed, Plan, Status
from provisioner.planner import build, build_destruction, build_rotation
from provisioner.recovery import Rules
from provisioner.refresh import observe
from provisioner.sandbox.world import OAuthApp
from provisioner.sealing import Identity, Sealer, identities_from, open_sealed
from provisioner.setting import Outlets
from provisioner.sinks import make
from provisioner.state import AppRecord, Header, State
from provisioner.stores.directory import DirectoryStore
from torture.server import SETTLE, Server

APPLIES = 6  # so many, without faults, and everything must be as wanted
RULES = Rules(auto=True, settle=SETTLE)
LONG_ENOUGH = timedelta(minutes=15)  # for whatever may be late, and for what a 429 may hold back
CANARY = b"sandbox_secret_"  # how every client secret of the sandbox begins
_BASE_URL = "http://127.0.0.1:1"

Desired = Mapping[str, AppSpec]
Sinks = Sequence[DeclaredSink]
Planner = Callable[[State, Observed], Plan]


def seeded(seed: int) -> Random:
    """Chance that can be had again."""
    return Random(seed)  # noqa: S311  (a run must be repeatable, not unforeseeable)


@cache
def keys() -> tuple[str, tuple[Identity, ...]]:
    """One reader of all secrets: the public half, and the private one."""
    return str(reader().to_public()), identities_from(Secret(str(reader()).encode()))


@cache
def reader() -> pyrage.x25519.Identity:
    """The same, for what reads secrets without any code of the product's."""
    return pyrage.x25519.Identity.generate()


@dataclass(frozen=True, slots=True)
class _Clock:
    """The machine's clock, which goes as the server's does."""

    server: Server

    def now(self) -> str:
        return self.server.moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class _Approved(Approved):
    """What was approved, where the time that passes is the server's alone."""

    def __init__(self, plan: Plan, header: Header, observed: Observed, rules: Rules, server: Server) -> None:
        super().__init__(plan, header, observed, rules)
        self._server = server

    def server_now(self) -> datetime:
        return self._server.moment.replace(microsecond=0) + timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Applied:
    """How one apply ended: its plan, and its result where there was something to do."""

    plan: Plan | None
    result: ApplyResult | None = None
    error: str = ""

    @property
    def idle(self) -> bool:
        """There was nothing to do, and nothing in the way."""
        return self.plan is not None and not self.plan.changes and not self.plan.conflicts


def apply_once(
    folder: Path,
    server: Server,
    desired: Desired,
    rotate: Collection[str] = (),
    auto: bool = True,
    sinks: Sinks = (),
) -> Applied:
    """One `apply --auto-approve`, with consent to everything, and with rotations that a user asked for."""
    rules = Rules(auto=auto, settle=SETTLE)
    declared = [replace(sink, folder=folder) for sink in sinks]

    def planner(prior: State, observed: Observed) -> Plan:
        plan = build(wanted(desired, declared), prior, observed, rules)
        return replace(plan, actions=tuple(_asked(action, rotate) for action in plan.actions))

    return run(folder, server, planner, rules)


def apply_manifest(
    folder: Path, server: Server, desired: DesiredState, choices: Choices, destroy: bool = False
) -> Applied:
    """One `apply`, or `destroy`, of a whole manifest, to which somebody says yes."""
    return run(folder, server, planner_of(desired, choices, destroy), RULES, desired.imports)


def planner_of(desired: DesiredState, choices: Choices, destroy: bool = False) -> Planner:
    """What makes the plan of a whole manifest."""
    of = build_destruction if destroy else build
    return lambda prior, observed: of(desired, prior, observed, RULES, choices)


def rotate_once(folder: Path, server: Server, desired: DesiredState, keys: Collection[str]) -> Applied:
    """One `rotate` of just these apps."""
    addresses = [Address(key) for key in sorted(keys)]
    return run(folder, server, lambda prior, seen: build_rotation(addresses, desired, prior, seen), RULES)


def plan_once(
    folder: Path, server: Server, planner: Planner, imports: Mapping[Address, str] | None = None
) -> Plan:
    """One `plan`, as the next apply would make it."""
    prior = DirectoryStore(folder / "state").read()
    return planner(prior, _look(server, prior, imports))


def run(
    folder: Path, server: Server, planner: Planner, rules: Rules, imports: Mapping[Address, str] | None = None
) -> Applied:
    """Look, plan, and do what the plan says."""
    store = DirectoryStore(folder / "state")
    try:
        with store.lock("apply"):
            prior = store.read()
            observed = _look(server, prior, imports)
            plan = planner(prior, observed)
            if plan.conflicts or not plan.changes:
                settle(plan, store)
                return Applied(plan)
            approved = _Approved(plan, pinned(prior, _BASE_URL, observed), observed, rules, server)
            outlets = Outlets(lambda sink: make(sink, {}), _opened)
            ports = Ports(server, store, Sealer([keys()[0]]), _Clock(server), outlets)
            result = apply(approved, ports, 1, lambda _: None, threading.Event())
            settle(plan, store)
            return Applied(plan, result)
    except ProvisionerError as error:
        return Applied(None, None, f"{error.summary}: {error.detail}")


def _look(server: Server, prior: State, imports: Mapping[Address, str] | None) -> Observed:
    named = [app_id for address, app_id in (imports or {}).items() if address not in prior.records]
    return observe(server, prior, None, named)


def _opened(sealed: str) -> Secret:
    return open_sealed(sealed, keys()[1])


def wanted(desired: Desired, sinks: Sinks = ()) -> DesiredState:
    """A manifest's apps, without a manifest; the secrets of all of them go to all sinks."""
    apps = {Address(key): spec for key, spec in desired.items()}
    targets = {address: tuple(Target(sink, address) for sink in sinks) for address in apps}
    return DesiredState(apps, {}, sinks=targets, declared_sinks={sink.name: sink for sink in sinks})


def _asked(action: Action, rotate: Collection[str]) -> Action:
    asked = action.kind is ActionKind.NOOP and action.address.key in rotate
    return replace(action, kind=ActionKind.ROTATE) if asked else action


def converge(folder: Path, server: Server, desired: Desired, sinks: Sinks = ()) -> list[str]:
    """Apply without faults until there is nothing to do; what is wrong then, or that it never is so."""
    said = ""
    for _ in range(APPLIES):
        server.wait(LONG_ENOUGH)
        applied = apply_once(folder, server, desired, sinks=sinks)
        if applied.idle:
            return [*faults_in(folder, server, desired), *undelivered(folder, server, desired, sinks)]
        said = applied.error or _told(applied)
    return [f"wrong: not as wanted after {APPLIES} applies; the last one said: {said}"]


def _told(applied: Applied) -> str:
    conflicts = (
        [f"{conflict.summary} {conflict.detail}" for conflict in applied.plan.conflicts]
        if applied.plan
        else []
    )
    results = applied.result.results if applied.result else ()
    left = [
        f"{item.action.address} {item.status.value} {item.message}"
        for item in results
        if item.status is not Status.DONE
    ]
    return "; ".join([*conflicts, *left]) or "it was done"


def faults_in(folder: Path, server: Server, desired: Desired, others: Collection[str] = ()) -> Iterator[str]:
    """The oracle. Each fault begins with what it is: lost, duplicated, leaked or wrong.

    `others` are ids of apps that we made and that are somebody else's by now.
    """
    state = DirectoryStore(folder / "state").read()
    records = {address.key: record for address, record in state.records.items()}
    there = {app.id: app for app in server.world.apps()}
    if state.open:
        yield f"wrong: the journal still has {len(state.open)} entries"
    if records.keys() != desired.keys():
        yield f"wrong: there are records of {sorted(records)}, and wanted are {sorted(desired)}"
    ids = [record.app.id for record in records.values()]
    if len(set(ids)) < len(ids):
        yield "wrong: two records are of one app"
    for app_id in (there.keys() & server.ours) - {*ids, *others}:
        yield f"duplicated: {there[app_id].name} is on the server as {app_id}, and nothing knows of it"
    for key, record in records.items():
        app, spec = there.get(record.app.id), desired.get(key)
        if app is None:
            yield f"lost: {key} is recorded as {record.app.id}, and that is not on the server"
        elif not opens(state, key, server):
            yield f"lost: the secret of {key} is not the live one"
        elif spec and not as_wanted(app, spec):
            yield f"wrong: {key} is not as wanted"
    yield from leaks(folder)


def undelivered(folder: Path, server: Server, desired: Desired, sinks: Sinks) -> Iterator[str]:
    """The sinks, files all of them, that do not hold the live pairs of just these apps."""
    live = {app.name: (app.client_id, app.client_secret) for app in server.world.apps()}
    for sink in sinks:
        for key, spec in desired.items():
            pair = in_file(sink.name, folder, key, reader())
            if pair != live.get(spec.name):
                yield f"lost: {sink.name} does not have the live pair of {key}"
        inside = {path.name.partition(".")[0] for path in (folder / FOLDERS[sink.name]).glob("*")}
        yield from (f"wrong: {name}… is left in {sink.name}" for name in inside - desired.keys())


def as_wanted(app: OAuthApp, spec: AppSpec) -> bool:
    """Whether it has the fields that are wanted of it."""
    scopes = spec.scopes is None or {*app.scopes} == {*spec.scopes}
    return app.name == spec.name and {*app.redirect_uris} == {*spec.redirect_uris} and scopes


def opens(state: State, key: str, server: Server) -> bool:
    """Whether what is sealed in the record is the live secret of its app, be that active or not."""
    record = state.records[Address(key)]
    try:
        secret = client_secret(record, lambda sealed: open_sealed(sealed, keys()[1]))
    except SealingError:
        return False
    live = {app.client_id: app.client_secret for app in server.world.apps()}
    return live.get(record.app.client_id) == secret.reveal().decode()


def expected_in(state: State) -> set[str]:
    """The names that a repeated request may yet make, or made, an app for: the plan tells of it."""
    return {record.app.name for record in state.records.values() if unsettled(record)}


def unsettled(record: AppRecord) -> bool:
    """Whether a request that got no answer may yet change its app's secret, or make the app again."""
    return record.secret is not None and record.secret.unsettled_until is not None


def leaks(folder: Path) -> Iterator[str]:
    """Every file that holds a client secret in clear."""
    for path in folder.rglob("*"):
        hidden = path.parent.name != FOLDERS["file"]
        if hidden and path.is_file() and CANARY in path.read_bytes():
            yield f"leaked: {path.relative_to(folder)} holds a secret in clear"
