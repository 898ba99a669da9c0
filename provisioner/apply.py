"""Run a plan against the ports: what destroys first and one at a time, what creates side by side."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from provisioner import diff
from provisioner.deliveries import only_in_sinks
from provisioner.delivery import Handover
from provisioner.errors import ProvisionerError
from provisioner.execute import Course
from provisioner.handover import Handed, hand_over, probe, told
from provisioner.model import Address, Secret
from provisioner.operation import Operation, Sight
from provisioner.phases import Kind
from provisioner.plan import (
    Action,
    ActionKind,
    ApplyResult,
    Event,
    Observed,
    Plan,
    Reason,
    Result,
    Started,
    Status,
    in_order,
)
from provisioner.ports import StateStore
from provisioner.recovery import Rules, http_date
from provisioner.setting import End, OpenError, Ports, Setting, Turn
from provisioner.state import AppRecord, Header
from provisioner.steady import steady
from provisioner.text import escape

__all__ = ["Approved", "Ports", "apply", "outdated", "settle"]

_HALTED = "an earlier error stopped the run"
_HOPELESS = (401, 403)  # the token was not accepted: no other request will be
_ONLY_RECORDED = (ActionKind.IMPORT, ActionKind.MOVE, ActionKind.PROTECT)
_KINDS = {
    ActionKind.CREATE: Kind.CREATE,
    ActionKind.ROTATE: Kind.ROTATE,
    ActionKind.DELETE: Kind.DELETE,
    ActionKind.REPLACE: Kind.REPLACE,
}
Report = Callable[[Event], None]


class Approved:
    """A plan that may be applied, with the look at the world that it was made from."""

    def __init__(
        self,
        plan: Plan,
        header: Header,
        observed: Observed,
        rules: Rules,
        looked: float | None = None,
        wanted: str | None = None,
    ) -> None:
        self.plan = plan
        self.header = header
        self.observed = observed
        self.rules = rules
        self.wanted = wanted  # the organization that the manifest names; only what the API says is recorded
        self._looked = steady() if looked is None else looked  # at the latest when the list was asked for

    def server_now(self) -> datetime | None:
        """The server's time by its own `Date` and a clock that never jumps, rounded up to be past it."""
        date = http_date(self.observed.date)
        return None if date is None else date + timedelta(seconds=1 + steady() - self._looked)


def apply(
    approved: Approved, ports: Ports, parallelism: int, report: Report, stop: threading.Event
) -> ApplyResult:
    """Do what the plan says, under the state's lock. Never raises for what befalls a single app.

    `parallelism` is how many requests are under way at once; meanwhile answers to earlier ones are kept.
    `stop` is set by whoever wants nothing new to start. Where no app tells whose the token is, one is made
    alone until one was: in the wrong organization there would be no more than that.
    """
    ports.sealer.seal(Secret(b"trial"))  # what cannot be sealed must not be asked for
    probe((action.handover for action in approved.plan.changes), ports.outlets)
    run = _Run(approved, ports, report, stop, parallelism)
    actions = in_order(approved.plan.changes)
    creates = deque(action for action in actions if action.kind is ActionKind.CREATE)
    serial = [action for action in actions if action.kind is not ActionKind.CREATE]
    serial.sort(key=lambda action: action.reason is not Reason.RECORDED_TWICE)  # before it can be two apps
    results = [run.perform(action) for action in serial]
    while creates and not run.told:
        results.append(run.perform(creates.popleft()))
    # Two for each request: one waits for the API, one for the disk. One alone does one thing at a time.
    workers = 1 if parallelism == 1 else 2 * parallelism
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="apply") as pool:
        results += pool.map(run.perform, creates)
    return ApplyResult(tuple(results), interrupted=run.interrupted)


class _Run:
    """What the actions of one apply share: the pinned organization, and whether to go on."""

    def __init__(
        self, approved: Approved, ports: Ports, report: Report, stop: threading.Event, parallelism: int
    ) -> None:
        self._header = approved.header
        self._wanted = approved.wanted
        self._places = threading.Semaphore(parallelism)
        self._ports = ports
        self._report = report
        self._stop = stop
        self._guard = threading.Lock()
        self._halted = ""  # why nothing new may start
        self._holding: set[Address] = set()  # whose name is not free
        self.interrupted = False
        observed = approved.observed
        self.told = bool(observed.apps)  # whether the organization is the state's by the API's own word
        ids = frozenset(app.id for app in observed.apps)
        self._setting = Setting(
            lineage=self._header.lineage,
            organization_id=lambda: self._header.organization_id or self._wanted,
            pin=self._pin,
            sight=Sight(f"run_{secrets.token_hex(8)}", ids, observed.date),
            server_now=approved.server_now,
            recorded=frozenset(action.record.app.id for action in approved.plan.actions if action.record),
            rules=approved.rules,
        )
        ports.store.write_header(self._header)
        if any(action.spec and action.kind not in _ONLY_RECORDED for action in approved.plan.changes):
            ports.store.write_sight(self._setting.sight)

    def perform(self, action: Action) -> Result:
        """One action, from its start to its result. What nobody reckoned with stops the others, too."""
        turn = Turn(self._places)
        try:
            turn.take()
            return self._performed(action, turn)
        except BaseException:
            self._halted = _HALTED
            raise
        finally:
            turn.give()

    def _performed(self, action: Action, turn: Turn) -> Result:
        reason = self._held_back(action)
        if reason:
            return self._ended(Result(action, Status.SKIPPED, reason))
        self._report(Started(action))
        try:
            result = self._do(action, turn)
        except OpenError as error:
            self._halted = _HALTED
            result = Result(action, Status.OPEN, told(error), destroyed=error.destroyed)
        except ProvisionerError as error:
            self._halted = _HALTED
            result = Result(action, Status.FAILED, told(error))
        return self._ended(result)

    def _held_back(self, action: Action) -> str:
        if self._stop.is_set():
            self.interrupted = True
            return "the run was interrupted"
        waiting = sorted(str(address) for address in action.after & self._holding)
        if waiting:
            return f"it waits for {waiting[0]}, which is not finished with its name"
        return self._halted

    def _ended(self, result: Result) -> Result:
        action = result.action
        frees = action.destroys or action.reason in (Reason.DELETED, Reason.NEVER_MADE)
        keeps = action.kind is ActionKind.RESUME and not frees
        if keeps or (result.status is not Status.DONE and not result.destroyed):
            self._holding.add(action.address)
        self._report(result)
        return result

    def _do(self, action: Action, turn: Turn) -> Result:
        if action.kind is ActionKind.FORGET:
            self._ports.store.delete_record(action.moved_from or action.address)
            return Result(action, Status.DONE)
        if action.kind in _ONLY_RECORDED or action.moved_from:
            self._record(action)
        if action.kind in (*_ONLY_RECORDED, ActionKind.DELIVER):
            return self._handed_over(Result(action, Status.DONE, app=action.observed), record_after(action))
        if action.kind is ActionKind.DELETE and action.handover and action.record:
            handed = self._hand_over(action.record, action.handover)
            if handed.problems:  # without the record nobody would know of the copies
                return Result(action, Status.FAILED, "; ".join(handed.problems))
        end = self._course(action, turn)
        if end.status in _HOPELESS and not end.done:
            self._halted = "the token is not accepted"
        if end.open and action.shown_as is ActionKind.ROTATE:
            self._halted = "an earlier rotation is not finished"  # one outage at a time
        status = Status.DONE if end.done else Status.OPEN if end.open else Status.FAILED
        result = Result(action, status, _message(end), end.app if end.done else None, end.destroyed)
        record = end.record or (action.record if action.reason is Reason.NOTHING_LEFT else None)
        return self._handed_over(result, record, end.secret) if end.done else result

    def _handed_over(self, result: Result, record: AppRecord | None, secret: Secret | None = None) -> Result:
        """The secret goes to its sinks once it is recorded; a broken one changes nothing of that."""
        handover = result.action.handover
        if record is None or not (handover or handover.sink_only):
            return result
        problems = self._hand_over(record, handover, secret).problems
        if result.action.kind is ActionKind.DELIVER and problems:
            return replace(result, status=Status.FAILED, message="; ".join(problems))
        return replace(result, problems=problems)

    def _hand_over(self, record: AppRecord, handover: Handover, secret: Secret | None = None) -> Handed:
        ports = self._ports
        return hand_over(record, handover, secret, ports.outlets, ports.store, ports.clock)

    def _record(self, action: Action) -> None:
        """What only the state has to know: under its own address first, so that a cut-off move is done."""
        record = action.record if action.kind not in _ONLY_RECORDED else record_after(action)
        if record is None:
            raise ProvisionerError(f"{action.address} has nothing to be recorded")
        self._pin(record.app.organization_id)
        self._ports.store.write_record(record)
        if action.moved_from:
            self._ports.store.delete_record(action.moved_from)

    def _course(self, action: Action, turn: Turn) -> End:
        entry, finding = action.open, action.finding
        if entry is not None and finding is not None:
            end = self._begun(entry.operation, action, turn).resume(entry, finding)
            if action.reason is not Reason.UNSETTLED or not end.done:
                return end
        kind = Kind.ROTATE if action.reason is Reason.UNSETTLED else _KINDS.get(action.kind)
        if kind is None:
            raise ProvisionerError(f"{action.address} cannot be resumed without a look at the API")
        app = (
            (action.observed or (action.record.app if action.record else None))
            if kind is not Kind.CREATE
            else None
        )
        spec = action.spec if kind in (Kind.CREATE, Kind.REPLACE) else None
        operation_id = f"op_{secrets.token_hex(8)}"
        operation = Operation(
            operation_id, kind, action.address, self._setting.lineage, spec, app, self._setting.sight.run
        )
        return self._begun(operation, action, turn).run()

    def _begun(self, operation: Operation, action: Action, turn: Turn) -> Course:
        return Course(self._ports, self._setting, operation, action.record, protect=action.protect, turn=turn)

    def _pin(self, organization_id: str) -> None:
        """The first app made tells the organization; every later one must be of the same."""
        with self._guard:
            if self._header.organization_id is None and self._wanted in (None, organization_id):
                header = replace(self._header, organization_id=organization_id)
                self._ports.store.write_header(header)
                self._header = header
        if organization_id != self._header.organization_id:
            raise ProvisionerError(
                f"It was created in another organization: {organization_id}",
                f"The state belongs to {self._header.organization_id}."
                if self._header.organization_id
                else f"The manifest is for {escape(self._wanted or '', 80)}.",
            )
        self.told = True


def _message(end: End) -> str:
    if end.destroyed and not end.done:
        return f"the old one is gone, the new one is not made yet: {end.message}"
    return end.message


def settle(plan: Plan, store: StateStore) -> None:
    """Bring the records of what is as it should be up to date; that is no change of the plan."""
    for record in outdated(plan):
        store.write_record(record)


def outdated(plan: Plan) -> tuple[AppRecord, ...]:
    """The records that no longer say how an app is, or that no request of ours can come late any more."""
    untouched = [action for action in plan.actions if action.kind is ActionKind.NOOP]
    return tuple(
        after
        for action, after in zip(untouched, map(record_after, untouched), strict=True)
        if after is not None and after != action.record
    )


def record_after(action: Action) -> AppRecord | None:
    """The record of an app that no request was made for. What an apply saw of it is not drift any more."""
    record, app = action.record, action.observed
    if record is None or action.kind is ActionKind.IMPORT:  # which may take the place of a dead record
        return AppRecord(action.address, app, protect=action.protect) if app else None
    if app is not None and app.id == record.app.id and diff.drifted(record.app, app):
        record = replace(record, app=app)
    if action.kind is ActionKind.NOOP and action.handover.sink_only:
        record = only_in_sinks(record, action.handover.targets)
    if action.settles and record.secret is not None:
        record = replace(record, secret=replace(record.secret, unsettled_until=None))
    return record if action.kind not in _ONLY_RECORDED else replace(record, protect=action.protect)
