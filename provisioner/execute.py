"""One operation's way through the table of phases: each effect done, its event looked up, until it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TypeVar

from provisioner.envelope import Label, pack
from provisioner.errors import ProvisionerError
from provisioner.model import App, AppSpec, Outcome, Reply, Secret
from provisioner.operation import Answer, OpenOperation, Operation, Step
from provisioner.phases import START, Effect, Event, Kind, Move, Phase, move
from provisioner.ports import JournalEntry
from provisioner.recovery import Finding, Scene, doubts, find
from provisioner.reply import (
    REPLY_LIMIT,
    UnusableError,
    created_from,
    glimpse,
    reply_limit,
    rotated_from,
    rotated_hint,
)
from provisioner.setting import End, OpenError, Ports, Setting, Turn
from provisioner.state import AppRecord, SealedSecret

T = TypeVar("T")

_RFC_3339 = "%Y-%m-%dT%H:%M:%SZ"
_SOON = timedelta(minutes=1)  # between an intent and its request; see `recovery._HELD_BACK`
_SENDS = 3  # of one kind of request, for one operation in one run
_GOOD_ENDS = (Event.WRITTEN, Event.REMOVED, Event.ALREADY, Event.UNWANTED, Event.KEPT)


@dataclass(slots=True)
class _Known:
    """What this run has learned of the operation so far."""

    step: Step
    reply: Reply | None = None
    app: App | None = None
    message: str = ""
    secret: Secret | None = None
    record: AppRecord | None = None
    sends: dict[Effect, int] = field(default_factory=dict)
    destroyed: bool = False


class Course:
    """An operation under way. `run` starts it, `resume` goes on with one that was found in the journal."""

    def __init__(
        self,
        ports: Ports,
        setting: Setting,
        operation: Operation,
        record: AppRecord | None,
        *,
        protect: bool,
        turn: Turn,
    ) -> None:
        self._ports = ports
        self._setting = setting
        self._operation = operation
        self._record = record
        self._protect = protect  # what a new record says
        self._turn = turn  # given back once an answer with a secret is here, and taken for each request
        self._entry: JournalEntry | None = None
        self._opened: OpenOperation | None = None
        self._durable = False
        self._intended: datetime | None = None
        self._resumed = False
        self._unwanted = False
        self._finding: Finding | None = None
        app_id = operation.app.id if operation.app and operation.kind is Kind.ROTATE else None
        self._known = _Known(Step(START[operation.kind].phase, app_id=app_id))
        self._do: Mapping[Effect, Callable[[], Event | None]] = {
            Effect.INTENT: self._intent,
            Effect.SEND_CREATE: self._send_create,
            Effect.SEND_ROTATE: self._send_rotate,
            Effect.SEND_DELETE: self._send_delete,
            Effect.KEEP: self._keep,
            Effect.READ: self._read,
            Effect.LOOK: self._look,
            Effect.COMPARE: self._look,
            Effect.GET: self._get,
            Effect.RECORD: self._write_record,
            Effect.UNRECORD: self._remove_record,
            Effect.CLOSE: self._close,
        }

    def run(self) -> End:
        """From its first intent to its end in this run."""
        return self._follow(START[self._operation.kind], None)

    def resume(self, opened: OpenOperation, finding: Finding) -> End:
        """From where an earlier run left it; `finding` is what the approved plan says became of it."""
        self._opened, self._resumed = opened, True
        self._unwanted = finding.event is Event.UNWANTED
        if finding.event is not Event.RESTART:  # which says nothing of a new request
            self._finding = finding
        self._known.step, self._known.app = opened.step, finding.app
        first = finding.event if finding.event is Event.ALREADY else Event.RESTART
        return self._follow(move(opened.step.phase, first), first)

    def _follow(self, taken: Move, event: Event | None) -> End:
        last = event
        try:
            while True:
                self._known.step = replace(self._known.step, phase=taken.phase)
                event = None
                for effect in taken.effects:
                    event = self._do[effect]()
                if event is None:
                    break
                last = event
                taken = move(taken.phase, event)
        except ProvisionerError as error:
            return self._failed(error)
        return self._ended(taken.phase, last)

    def _ended(self, phase: Phase, last: Event | None) -> End:
        known = self._known
        self._leave()
        status = known.reply.status if known.reply else None
        good = last in _GOOD_ENDS or (last is Event.MISSING and self._resumed)
        half = self._operation.kind is Kind.REPLACE and last is Event.REMOVED and not self._unwanted
        done = phase is Phase.CLOSED and good and not half
        message = "" if done else known.message
        opened = phase is not Phase.CLOSED
        return End(done, opened, message, known.app, status, known.destroyed, known.record, known.secret)

    def _failed(self, error: ProvisionerError) -> End:
        """An error of ours: where an intent is durable, the journal keeps the operation."""
        opened = self._durable or self._opened is not None
        self._leave()
        if not opened:
            raise error
        raise OpenError(error, self._known.destroyed) from None

    def _leave(self) -> None:
        if self._entry is not None:
            self._entry.leave()
            self._entry = None

    # Effects. Each comes to an event, or to None.

    def _intent(self) -> None:
        """C1: durable before the request, the whole entry anew with room for one answer."""
        self._leave()  # before it waits: an entry that is held takes room that another's turn may wait for
        self._turn.take()
        known = self._known
        self._intended = self._setting.server_now()
        phase = known.step.phase
        inherited = bool(self._record and self._record.secret and self._record.secret.unsettled_until)
        again = phase in (Phase.ROTATING_AGAIN, Phase.CREATING_AGAIN)
        unsettled = known.step.unsettled or again or (phase in (Phase.ROTATING, Phase.CREATING) and inherited)
        app_id = known.app.id if phase is Phase.ROTATING_AGAIN and known.app else known.step.app_id
        known.step = replace(
            known.step, answer=None, app_id=app_id, unsettled=unsettled, since=self._server_date(), sent=False
        )
        room = reply_limit(self._operation.spec) if self._operation.spec else REPLY_LIMIT
        self._entry = self._ports.store.open_operation(self._operation, known.step, room)
        self._durable = True

    def _send_create(self) -> Event:
        if event := self._not_to_be_sent(Effect.SEND_CREATE):
            return event
        reply = self._sent(self._ports.api.create_app(self._spec()))
        if reply.outcome is Outcome.REFUSED and reply.status == 409:
            return Event.TAKEN
        return _EVENTS[reply.outcome]

    def _send_rotate(self) -> Event:
        app_id = self._given(self._known.step.app_id, "app whose secret could be rotated")
        if event := self._not_to_be_sent(Effect.SEND_ROTATE):
            return event
        reply = self._sent(self._ports.api.rotate_secret(app_id))
        if reply.outcome is Outcome.REFUSED and reply.status == 404:
            self._known.message = "the app does not exist any more"
            return Event.MISSING
        return _EVENTS[reply.outcome]

    def _send_delete(self) -> Event:
        if event := self._not_to_be_sent(Effect.SEND_DELETE):
            return event
        reply = self._sent(self._ports.api.delete_app(self._old().id))
        gone = reply.outcome is Outcome.DONE or (reply.outcome is Outcome.REFUSED and reply.status == 404)
        self._known.destroyed = gone
        return Event.GONE if gone else _EVENTS[reply.outcome]

    def _not_to_be_sent(self, effect: Effect) -> Event | None:
        """Asked for too often, or so long after the intent that a recovery would not reckon with it."""
        sends = self._known.sends
        sends[effect] = sends.get(effect, 0) + 1
        if sends[effect] > _SENDS:
            return Event.TIRED
        now = self._setting.server_now()
        if now and self._intended and now - self._intended > _SOON:
            took = (now - self._intended).total_seconds()
            self._known.message = f"nothing was sent: it took {took:.0f} s to write down that it would be"
            return Event.NOT_SENT
        return None

    def _sent(self, reply: Reply) -> Reply:
        """Remember the answer; after an ambiguous one, also that nothing holds the request back any more."""
        known = self._known
        known.reply, known.message = reply, reply.message
        if reply.outcome is Outcome.AMBIGUOUS and self._entry is not None:
            known.step = replace(known.step, since=self._server_date(), sent=True)
            self._entry.step(known.step)
        return reply

    def _server_date(self) -> str | None:
        now = self._setting.server_now()
        return format_datetime(now, usegmt=True) if now else None

    def _keep(self) -> None:
        """C4: the answer, sealed, is on the disk before anybody reads it."""
        self._turn.give()
        known, reply = self._known, self._reply()
        created = known.step.phase is Phase.CREATED
        app_id, client_id, hint = glimpse(reply.body) if created else (known.step.app_id, None, None)
        label = Label(self._operation.id, "create" if created else "rotate", app_id)
        sealed = self._ports.sealer.seal(pack(label, reply.body))
        if not created:
            hint = rotated_hint(reply.body)
        answer = Answer(reply.status, reply.complete, sealed, app_id, client_id, hint)
        known.step = replace(known.step, answer=answer)
        self._given(self._entry, "journal entry to keep its answer in").step(known.step)

    def _read(self) -> Event:
        """Only now is the answer parsed."""
        reply = self._reply()
        try:
            if self._known.step.phase is Phase.CREATED:
                self._known.app, self._known.secret = created_from(reply.body)
            else:
                hint, self._known.secret = rotated_from(reply.body)
                self._known.app = replace(self._rotated(), client_secret_hint=hint)
        except UnusableError as error:
            self._known.message = f"the answer is not usable: {error}"
            return Event.UNUSABLE
        return Event.USABLE

    def _look(self) -> Event:
        """C6. A resumed operation has its finding from the plan; in a run it is looked for again."""
        finding = self._finding
        self._finding = None
        if finding is None:
            finding = self._found()
        self._known.app = finding.app
        if finding.event is Event.UNSURE:
            self._known.message = doubts(finding)
        return finding.event

    def _found(self) -> Finding:
        setting, api = self._setting, self._ports.api
        sight = self._opened.sight if self._opened else setting.sight
        opened = OpenOperation(self._operation, replace(self._known.step, phase=Phase.CREATED), sight)
        listing = api.list_apps()
        scene = Scene(listing, setting.organization_id(), setting.recorded, self._spec(), setting.rules)
        return find(opened, None, scene)

    def _get(self) -> Event:
        """The id decides, unless the approved plan says that nothing is to be destroyed, or not yet."""
        finding, self._finding = self._finding, None
        if finding is not None and finding.event in (Event.KEPT, Event.UNSURE):
            self._known.message = doubts(finding)
            return finding.event
        gone = self._ports.api.get_app(self._old().id) is None
        if not gone and finding is not None and finding.event is Event.GONE:
            raise ProvisionerError(f"{self._old().id} was gone when the plan was made, and exists now")
        self._known.destroyed = gone
        return Event.GONE if gone else Event.THERE

    def _write_record(self) -> Event:
        """C5."""
        known, answer = self._known, self._known.step.answer
        if known.app is None or answer is None:
            raise ProvisionerError(f"{self._operation.address} has nothing to be recorded")
        self._setting.pin(known.app.organization_id)
        created = answer.client_id is not None
        secret = SealedSecret(
            answer.sealed,
            known.app.client_secret_hint if answer.hint is None else answer.hint,
            "create" if created else "rotate",
            self._operation.id,
            self._time(),
            confirmed=known.reply is not None,  # else an earlier run had it, and nobody has tried it
            unsettled_until=self._unsettled_until(),
            # An answer that an earlier run sealed may have had other readers.
            recipients=self._ports.sealer.recipients if known.reply is not None else None,
        )
        receipts = self._record.deliveries if self._record else {}  # of earlier secrets: where copies are
        record = AppRecord(self._operation.address, known.app, secret, self._protect, receipts)
        self._ports.store.write_record(record)
        known.record = record
        return Event.WRITTEN

    def _time(self) -> str:
        """By the server's clock where that is known: the age of a secret is told by it."""
        now = self._setting.server_now()
        return now.astimezone(UTC).strftime(_RFC_3339) if now else self._ports.clock.now()

    def _unsettled_until(self) -> str | None:
        if not self._known.step.unsettled:
            return None
        now = self._setting.server_now() or datetime.fromisoformat(self._ports.clock.now())
        return (now + self._setting.rules.settle).astimezone(UTC).strftime(_RFC_3339)

    def _remove_record(self) -> Event:
        self._ports.store.delete_record(self._operation.address)
        return Event.REMOVED

    def _close(self) -> None:
        if self._entry is not None:
            self._entry.close()
        else:
            self._ports.store.close_operation(self._operation.id)
        self._entry = self._opened = None

    def _reply(self) -> Reply:
        return self._given(self._known.reply, "answer to keep")

    def _spec(self) -> AppSpec:
        return self._given(self._operation.spec, "settings to be created from")

    def _old(self) -> App:
        return self._given(self._operation.app, "app to be destroyed")

    def _rotated(self) -> App:
        """The app whose secret was rotated, as it was listed or recorded."""
        return self._given(self._known.app or self._operation.app, "app whose secret was rotated")

    def _given(self, value: T | None, what: str) -> T:
        if value is None:
            raise ProvisionerError(f"{self._operation.address} has no {what}")
        return value


_EVENTS: Mapping[Outcome, Event] = {
    Outcome.NOT_SENT: Event.NOT_SENT,
    Outcome.REFUSED: Event.REFUSED,
    Outcome.DONE: Event.ANSWERED,
    Outcome.AMBIGUOUS: Event.AMBIGUOUS,
}
