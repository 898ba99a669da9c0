"""Run a plan against the ports: intent, request, sealed answer, record; in this order for every secret."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from provisioner.envelope import Label, pack
from provisioner.errors import ProvisionerError, UnfinishedError
from provisioner.model import App, AppSpec, Outcome, Reply, Secret
from provisioner.operation import Operation, OperationKind, ReplyFrame
from provisioner.plan import (
    Action,
    ActionKind,
    ApplyResult,
    Event,
    Plan,
    Reason,
    Result,
    Started,
    Status,
    in_order,
)
from provisioner.ports import Clock, JournalEntry, OAuthAppsApi, Sealer, StateStore
from provisioner.reply import UnusableError, created_from, glimpse, reply_limit
from provisioner.state import AppRecord, Header, SealedSecret
from provisioner.text import escape

_HALTED = "an earlier error stopped the run"
_HOPELESS = (401, 403)  # the token was not accepted: no other request will be


@dataclass(frozen=True, slots=True)
class Ports:
    """The edges that an apply works through."""

    api: OAuthAppsApi
    store: StateStore
    sealer: Sealer
    clock: Clock


Report = Callable[[Event], None]


def apply(
    plan: Plan, header: Header, ports: Ports, parallelism: int, report: Report, stop: threading.Event
) -> ApplyResult:
    """Do what `plan` says, under the state's lock. Never raises for what befalls a single app.

    What destroys goes first and one at a time, because it frees names; what creates goes side by side.
    `stop` is set by whoever wants nothing new to start.
    """
    ports.sealer.seal(Secret(b"trial"))  # what cannot be sealed must not be asked for
    run = _Run(header, ports, report, stop)
    actions = in_order(plan.changes)
    serial = [action for action in actions if not _is_create(action)]
    results = [run.perform(action) for action in serial]
    creates = [action for action in actions if _is_create(action)]
    with ThreadPoolExecutor(max_workers=parallelism, thread_name_prefix="apply") as pool:
        results += pool.map(run.perform, creates)
    return ApplyResult(tuple(results), interrupted=run.interrupted)


def _is_create(action: Action) -> bool:
    return action.kind is ActionKind.CREATE or action.reason is Reason.SEND_AGAIN


class _Run:
    """What the actions of one apply share: the pinned organization, and whether to go on."""

    def __init__(self, header: Header, ports: Ports, report: Report, stop: threading.Event) -> None:
        self._header = header
        self._ports = ports
        self._report = report
        self._stop = stop
        self._guard = threading.Lock()
        self._halted = ""  # why nothing new may start
        self._unfinished: set[object] = set()
        self.interrupted = False
        ports.store.write_header(header)

    def perform(self, action: Action) -> Result:
        """One action, from its start to its result."""
        reason = self._held_back(action)
        if reason:
            return self._ended(Result(action, Status.SKIPPED, reason))
        self._report(Started(action))
        try:
            result = self._do(action)
        except UnfinishedError as error:
            result = Result(action, Status.OPEN, _told(error))
        except ProvisionerError as error:
            self._halted = _HALTED
            result = Result(action, Status.FAILED, _told(error))
        return self._ended(result)

    def _held_back(self, action: Action) -> str:
        if self._stop.is_set():
            self.interrupted = True
            return "the run was interrupted"
        waiting = sorted(str(address) for address in action.after & self._unfinished)
        if waiting:
            return f"{waiting[0]} still has its name"
        return self._halted

    def _ended(self, result: Result) -> Result:
        if result.status is not Status.DONE:
            self._unfinished.add(result.action.address)
        self._report(result)
        return result

    def _do(self, action: Action) -> Result:
        match action.kind:
            case ActionKind.CREATE:
                return self._create(action)
            case ActionKind.DELETE:
                return self._delete(action)
            case ActionKind.REPLACE:
                return self._replace(action)
            case ActionKind.FORGET:
                self._ports.store.delete_record(action.address)
                return Result(action, Status.DONE)
            case _:
                return self._resume(action)

    def _create(self, action: Action) -> Result:
        """C1 to C5 of the protocol."""
        spec = _wanted(action)
        operation = self._operation(action, OperationKind.CREATE, spec=spec)
        entry = self._ports.store.open_operation(operation, reply_limit(spec))
        if action.open is not None:  # the new intent stands for the old one from here on
            self._ports.store.close_operation(action.open.operation.id)
        reply = self._ports.api.create_app(spec)
        if reply.outcome in (Outcome.NOT_SENT, Outcome.REFUSED):
            return self._refused(action, entry, reply)
        sealed = self._seal(operation, reply, entry)
        if reply.outcome is Outcome.AMBIGUOUS:
            entry.leave()
            return Result(
                action, Status.OPEN, f"It may have been created; no usable answer came: {reply.message}"
            )
        return self._record(action, operation, sealed, reply, entry)

    def _seal(self, operation: Operation, reply: Reply, entry: JournalEntry) -> str:
        """C4: the answer, sealed, is on the disk before anybody reads it."""
        app_id, client_id, hint = glimpse(reply.body)
        label = Label(operation.id, operation.kind.value, app_id)
        with self._kept(entry):
            sealed = self._ports.sealer.seal(pack(label, reply.body))
            entry.answered(ReplyFrame(reply.status, reply.complete, sealed, app_id, client_id, hint))
        return sealed

    def _record(
        self, action: Action, operation: Operation, sealed: str, reply: Reply, entry: JournalEntry
    ) -> Result:
        """C5: parse, record, close."""
        with self._kept(entry):
            try:
                app, _ = created_from(reply.body)
            except UnusableError as error:
                raise UnfinishedError("It was created, but the answer is not usable", f"{error}.") from None
            self._pin(app.organization_id)
            self._write(action, operation.id, app, sealed)
        entry.close()
        return Result(action, Status.DONE, app=app)

    @contextlib.contextmanager
    def _kept(self, entry: JournalEntry) -> Iterator[None]:
        """After the request: whatever fails now leaves the journal entry open."""
        try:
            yield
        except UnfinishedError:
            entry.leave()
            raise
        except ProvisionerError as error:
            entry.leave()
            self._halted = _HALTED
            raise UnfinishedError(error.summary, error.detail, error.hint) from None

    def _write(self, action: Action, operation_id: str, app: App, sealed: str) -> None:
        now = self._ports.clock.now()
        secret = SealedSecret(sealed, app.client_secret_hint, "create", operation_id, now)
        self._ports.store.write_record(AppRecord(action.address, app, secret))

    def _pin(self, organization_id: str) -> None:
        """The first app made tells the organization; every later one must be of the same."""
        with self._guard:
            if self._header.organization_id is None:
                self._header = replace(self._header, organization_id=organization_id)
                self._ports.store.write_header(self._header)
        if organization_id != self._header.organization_id:
            raise ProvisionerError(
                f"It was created in another organization: {organization_id}",
                f"The state belongs to {self._header.organization_id}.",
            )

    def _refused(self, action: Action, entry: JournalEntry, reply: Reply) -> Result:
        """Nothing was committed by this request; the same request of an earlier run may have been."""
        entry.leave() if action.open is not None and reply.status == 409 else entry.close()
        if reply.status in _HOPELESS:
            self._halted = "the token is not accepted"
        return Result(action, Status.FAILED, reply.message)

    def _replace(self, action: Action) -> Result:
        """Forward only: once deleted, it is created, now or by the next apply."""
        deleted = self._delete(action)
        if deleted.status is not Status.DONE:
            return deleted
        created = self._create(action)
        if created.status is Status.DONE:
            return created
        return replace(created, message=f"It was deleted; making it again failed: {created.message}")

    def _delete(self, action: Action) -> Result:
        """By id, never by name; 404 is as good as 204."""
        record = _recorded(action)
        operation = self._operation(action, OperationKind.DELETE, app=record.app)
        entry = self._ports.store.open_operation(operation, 0)
        reply = self._ports.api.delete_app(record.app.id)
        if reply.outcome in (Outcome.NOT_SENT, Outcome.REFUSED) and reply.status != 404:
            return self._refused(action, entry, reply)
        with self._kept(entry):
            if reply.outcome is Outcome.AMBIGUOUS and self._ports.api.get_app(record.app.id) is not None:
                raise UnfinishedError("It may still be deleted", f"No usable answer came: {reply.message}.")
            self._ports.store.delete_record(action.address)
        entry.close()
        return Result(action, Status.DONE)

    def _resume(self, action: Action) -> Result:
        """Finish what an earlier run left open, with what is in its journal."""
        entry = action.open
        if entry is None:
            raise ProvisionerError(f"{action.kind.value} is not something to be done")
        if action.reason is Reason.SEND_AGAIN:
            return self._create(action)
        if action.reason is Reason.ANSWER_ON_DISK and action.observed and entry.reply:
            self._pin(action.observed.organization_id)
            self._write(action, entry.operation.id, action.observed, entry.reply.sealed)
        self._ports.store.close_operation(entry.operation.id)
        return Result(action, Status.DONE, app=action.observed)

    def _operation(
        self, action: Action, kind: OperationKind, spec: AppSpec | None = None, app: App | None = None
    ) -> Operation:
        return Operation(f"op_{secrets.token_hex(8)}", kind, action.address, self._header.lineage, spec, app)


def _wanted(action: Action) -> AppSpec:
    if action.spec is None:
        raise ProvisionerError(f"{action.address} has nothing to be created from")
    return action.spec


def _recorded(action: Action) -> AppRecord:
    if action.record is None:
        raise ProvisionerError(f"{action.address} has no record to be deleted by")
    return action.record


def _told(error: ProvisionerError) -> str:
    return " ".join(part for part in (escape(error.summary) + ".", error.detail) if part)
