"""The product without its command line: the API in this process, an apply, and the oracle."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from random import Random

from provisioner.apply import Approved, Ports, apply, settle
from provisioner.cli.planning import pinned
from provisioner.custody import client_secret
from provisioner.desired import DesiredState
from provisioner.errors import ApiError, ProvisionerError, SealingError
from provisioner.meteroid.answer import Answer
from provisioner.meteroid.classes import outcome_of
from provisioner.model import Address, App, AppSpec, Introspection, Listing, Outcome, Reply, Secret
from provisioner.plan import Action, ActionKind, ApplyResult, Plan, Status
from provisioner.planner import build
from provisioner.recovery import Rules
from provisioner.refresh import observe
from provisioner.reply import app_from, apps_from, decode
from provisioner.sandbox import api as sandbox_api
from provisioner.sandbox.api import Call
from provisioner.sandbox.distort import distort
from provisioner.sandbox.faults import Done, Fault, Faults
from provisioner.sandbox.ids import new_api_key
from provisioner.sandbox.world import OAuthApp, World
from provisioner.sealing import Identity, Sealer, generate_identity, identities_from, open_sealed
from provisioner.state import State
from provisioner.stores.directory import DirectoryStore

APPLIES = 6  # so many, without faults, and everything must be as wanted
SETTLE = timedelta(seconds=60)
LONG_ENOUGH = timedelta(minutes=15)  # for whatever may be late, and for what a 429 may hold back
CANARY = b"sandbox_secret_"  # how every client secret of the sandbox begins
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=40)  # a request
_BASE_URL = "http://127.0.0.1:1"
_NOTHING = Reply(Outcome.AMBIGUOUS, None, Secret(b""), False, "no answer")
_SILENT = {"lost", "reset", "hang", "late"}
_BROKEN = {"truncated", "truncated-no-length", "gzip-garbage"}

Desired = Mapping[str, AppSpec]


@dataclass(frozen=True, slots=True)
class Late:
    """A request that is done at some time before `until`, whoever still waits for it."""

    call: Call
    until: datetime


class Server:
    """The sandbox's API without HTTP; an `OAuthAppsApi`. A fault of the kind `hang-before` is no connection.

    Requests of the kind `late` are done when `arrive` says so, and at the latest after the settle time (A5).
    """

    def __init__(
        self,
        apps: Iterable[OAuthApp] = (),
        organization_id: str | None = None,
        moment: datetime = _BEGAN,
        late: Sequence[Late] = (),
    ) -> None:
        self.moment = moment
        self.late = list(late)
        self.world = World(apps, organization_id=organization_id, clock=lambda: self.moment)
        self.calls: Counter[str] = Counter()
        self.ours: set[str] = set()  # ids of apps that came of a request to this API
        self.faults = Faults()
        self.before: Callable[[], None] = lambda: None  # each request: a moment at which the process may die
        self._key = new_api_key()

    def copy(self) -> Server:
        """As it is now, without faults, and with nobody listening."""
        again = Server(self.world.apps(), self.world.organization_id, self.moment, self.late)
        again.ours |= self.ours
        return again

    def mark(self) -> object:
        """What tells two moments of this server apart."""
        return self.world.apps(), tuple(self.late)

    def quiet(self) -> None:
        """No more faults, and nobody listens."""
        self.faults, self.before = Faults(), lambda: None

    def arrive(self, index: int = 0) -> None:
        """A late request is done."""
        self._do(self.late.pop(index).call)

    def wait(self, span: timedelta) -> None:
        """Time passes; a late request comes through in it, at the last moment that it may."""
        end = self.moment + span
        for item in [item for item in self.late if item.until <= end]:
            self.late.remove(item)
            self.moment = max(self.moment, item.until)
            self._do(item.call)
        self.moment = end

    # The six operations.

    def list_apps(self) -> Listing:
        body, date = self._read(Call("list", "GET", ""))
        return Listing(apps_from(body), date)

    def get_app(self, app_id: str) -> App | None:
        try:
            body, _ = self._read(Call("get", "GET", "", app_id))
        except LookupError:
            return None
        return app_from(decode(body))

    def create_app(self, spec: AppSpec) -> Reply:
        fields = {"name": spec.name, "redirect_uris": spec.redirect_uris, "scopes": spec.scopes}
        return self._write(Call("create", "POST", "", body=json.dumps(fields).encode()), 201)

    def rotate_secret(self, app_id: str) -> Reply:
        return self._write(Call("rotate", "POST", "", app_id), 200)

    def delete_app(self, app_id: str) -> Reply:
        return self._write(Call("delete", "DELETE", "", app_id), 204)

    def introspect(self, client_id: str, client_secret: Secret) -> Introspection:
        right = self.world.confirms(client_id, client_secret.reveal().decode())
        return Introspection.CONFIRMED if right else Introspection.WRONG

    def _begin(self, call: Call) -> Fault | None:
        self.before()
        self.calls[call.operation] += 1
        self.moment += _TICK
        return self.faults.take(call.operation)

    def _do(self, call: Call) -> sandbox_api.Answer:
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        done = sandbox_api.answer(self.world, self._key, replace(call, headers=headers))
        if call.operation == "create" and done.status == 201:
            self.ours.add(decode(done.body)["app"]["id"])
        return done

    def _read(self, call: Call) -> tuple[bytes, str]:
        if self._begin(call):
            raise ApiError("The API could not be asked")
        answer = self._do(call)
        if answer.status == 404:
            raise LookupError
        return answer.body, format_datetime(self.moment, usegmt=True)

    def _write(self, call: Call, expected: int) -> Reply:
        fault = self._begin(call)
        answer = sandbox_api.refusal(503, "Nothing was done.")
        if fault is None or fault.done is Done.NOW:
            answer = self._do(call)
        elif fault.done is Done.LATE:
            self.late.append(Late(call, self.moment + SETTLE - 10 * _TICK))
        self.moment += _TICK
        return _replied(answer, fault, expected)


def _replied(answer: sandbox_api.Answer, fault: Fault | None, expected: int) -> Reply:
    """What the real client makes of an answer that a fault has spoiled."""
    if fault and fault.kind == "hang" and fault.done is Done.NEVER:
        return Reply(Outcome.NOT_SENT, None, Secret(b""), False, "no connection")
    if fault and fault.kind in _SILENT:
        return _NOTHING
    answer = distort(answer, fault) if fault else answer
    if fault and fault.kind in _BROKEN and answer.body:
        return Reply(Outcome.AMBIGUOUS, answer.status, Secret(answer.body[: len(answer.body) // 2]), False)
    headers = dict(answer.headers) | {"content-length": str(len(answer.body))}
    whole = Answer(answer.status, headers, Secret(answer.body))
    return Reply(outcome_of(whole, expected), answer.status, whole.body, True, f"{answer.status}")


def seeded(seed: int) -> Random:
    """Chance that can be had again."""
    return Random(seed)  # noqa: S311  (a run must be repeatable, not unforeseeable)


@cache
def keys() -> tuple[str, tuple[Identity, ...]]:
    """One reader of all secrets: the public half, and the private one."""
    private, public = generate_identity()
    return public, identities_from(private)


class _Clock:
    def now(self) -> str:
        return "2026-01-01T00:00:00Z"


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
    folder: Path, server: Server, desired: Desired, rotate: Collection[str] = (), auto: bool = True
) -> Applied:
    """One `apply --auto-approve`, with consent to everything, and with rotations that a user asked for."""
    store, rules = DirectoryStore(folder / "state"), Rules(auto=auto, settle=SETTLE)
    try:
        with store.lock("apply"):
            prior = store.read()
            observed = observe(server, prior)
            plan = build(wanted(desired), prior, observed, rules)
            plan = replace(plan, actions=tuple(_asked(action, rotate) for action in plan.actions))
            if plan.conflicts or not plan.changes:
                settle(plan, store)
                return Applied(plan)
            approved = Approved(plan, pinned(prior, _BASE_URL, observed), observed, rules)
            ports = Ports(server, store, Sealer([keys()[0]]), _Clock())
            result = apply(approved, ports, 1, lambda _: None, threading.Event())
            settle(plan, store)
            return Applied(plan, result)
    except ProvisionerError as error:
        return Applied(None, None, f"{error.summary}: {error.detail}")


def wanted(desired: Desired) -> DesiredState:
    """A manifest's apps, without a manifest."""
    return DesiredState({Address(key): spec for key, spec in desired.items()}, {})


def _asked(action: Action, rotate: Collection[str]) -> Action:
    asked = action.kind is ActionKind.NOOP and action.address.key in rotate
    return replace(action, kind=ActionKind.ROTATE) if asked else action


def converge(folder: Path, server: Server, desired: Desired) -> list[str]:
    """Apply without faults until there is nothing to do; what is wrong then, or that it never is so."""
    said = ""
    for _ in range(APPLIES):
        server.wait(LONG_ENOUGH)
        applied = apply_once(folder, server, desired)
        if applied.idle:
            return list(faults_in(folder, server, desired))
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
        elif spec and (app.name, app.redirect_uris) != (spec.name, spec.redirect_uris):
            yield f"wrong: {key} is not as wanted"
    yield from leaks(folder)


def opens(state: State, key: str, server: Server) -> bool:
    """Whether what is sealed in the record is the live secret of its app."""
    record = state.records[Address(key)]
    try:
        secret = client_secret(record, lambda sealed: open_sealed(sealed, keys()[1]))
    except SealingError:
        return False
    return server.introspect(record.app.client_id, secret) is Introspection.CONFIRMED


def leaks(folder: Path) -> Iterator[str]:
    """Every file that holds a client secret in clear."""
    for path in folder.rglob("*"):
        if path.is_file() and CANARY in path.read_bytes():
            yield f"leaked: {path.relative_to(folder)} holds a secret in clear"
