"""Running a plan: intent, request, sealed answer, record, in this order, whatever comes back."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from provisioner.apply import Ports, apply
from provisioner.envelope import unpack
from provisioner.errors import ApiError, FileError, SealingError
from provisioner.model import Address, App, AppSpec, Introspection, Listing, Outcome, Reply, Secret
from provisioner.operation import OpenOperation, Operation, OperationKind, ReplyFrame
from provisioner.plan import Action, ActionKind, ApplyResult, Event, Plan, Reason, Result, Started, Status
from provisioner.state import AppRecord, Header, SealedSecret, State

HEADER = Header("lineage", "https://api.example")
SPEC = AppSpec("One", ("https://one.example/cb",))
ONE, TWO = Address("one"), Address("two")


def app(key: str = "one", organization: str = "org_1") -> App:
    return App(f"app_{key}", organization, key, f"cid_{key}", "hint", (), (), True, "2026-01-01T00:00:00Z")


def created(key: str = "one", organization: str = "org_1") -> Reply:
    fields = {
        "id": f"app_{key}", "organization_id": organization, "name": key, "client_id": f"cid_{key}",
        "client_secret_hint": "hint", "redirect_uris": [], "scopes": [], "is_active": True,
        "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    body = json.dumps({"app": fields, "client_secret": f"secret_{key}"}).encode()
    return Reply(Outcome.DONE, 201, Secret(body), True)


def refused(status: int, message: str = "refused") -> Reply:
    return Reply(Outcome.REFUSED, status, Secret(b"{}"), True, message)


def ambiguous(status: int | None = 500) -> Reply:
    return Reply(Outcome.AMBIGUOUS, status, Secret(b"oops"), False, "500 Internal Server Error")


DELETED = Reply(Outcome.DONE, 204, Secret(b""), True)
NOT_SENT = Reply(Outcome.NOT_SENT, None, Secret(b""), False, "no connection")


def record(key: str = "one") -> AppRecord:
    return AppRecord(Address(key), app(key), SealedSecret("sealed", "hint", "create", "op_0", "t"))


class Tape:
    """Every call on every port, in order; `answers` are what the API says, `broken` what fails."""

    def __init__(
        self, answers: Sequence[Reply] = (), broken: Sequence[str] = (), *, still_there: bool = False
    ):
        self.calls: list[str] = []
        self.answers = list(answers)
        self.broken = set(broken)
        self.still_there = still_there
        self.records: dict[Address, AppRecord] = {}
        self.headers: list[Header] = []
        self.frames: list[ReplyFrame] = []
        self.operations: list[Operation] = []
        self.sealed: list[bytes] = []
        self.recipients = ("age1reader",)

    def _call(self, name: str, error: type[Exception] = FileError) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise error(f"{name} is broken")

    def list_apps(self) -> Listing:
        raise AssertionError("an apply does not list")

    def rotate_secret(self, app_id: str) -> Reply:
        raise AssertionError("an apply of this version does not rotate")

    def introspect(self, client_id: str, client_secret: Secret) -> Introspection:
        raise AssertionError("an apply of this version does not introspect")

    def get_app(self, app_id: str) -> App | None:
        self._call("get", ApiError)
        return app() if self.still_there else None

    def create_app(self, spec: AppSpec) -> Reply:
        self._call("POST")
        return self.answers.pop(0)

    def delete_app(self, app_id: str) -> Reply:
        self._call("DELETE")
        return self.answers.pop(0)

    def read(self) -> State:
        raise AssertionError("the caller has read the state")

    @contextlib.contextmanager
    def lock(self, operation: str) -> Iterator[None]:
        yield

    def write_header(self, header: Header) -> None:
        self._call("header")
        self.headers.append(header)

    def write_record(self, record: AppRecord) -> None:
        self._call("record")
        self.records[record.address] = record

    def delete_record(self, address: Address) -> None:
        self._call("unrecord")

    def open_operation(self, operation: Operation, reply_bytes: int) -> Tape:
        self._call("intent")
        self.operations.append(operation)
        assert operation.kind is OperationKind.DELETE or reply_bytes >= 64 * 1024
        return self

    def close_operation(self, operation_id: str) -> None:
        self._call(f"close {operation_id}")

    def answered(self, reply: ReplyFrame) -> None:
        self._call("answered")
        self.frames.append(reply)

    def close(self) -> None:
        self._call("close")

    def leave(self) -> None:
        self._call("leave")

    def seal(self, content: Secret) -> str:
        if content.reveal() != b"trial":
            self._call("seal", SealingError)
        self.sealed.append(content.reveal())
        return f"sealed {len(self.sealed)}"

    def now(self) -> str:
        return "2026-01-01T00:00:00Z"


def run(
    tape: Tape,
    *actions: Action,
    header: Header = HEADER,
    parallelism: int = 1,
    report: Callable[[Event], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> ApplyResult:
    ports = Ports(tape, tape, tape, tape)
    return apply(Plan(actions), header, ports, parallelism, report, stop or threading.Event())


def create(address: Address = ONE, **more: Any) -> Action:
    return Action(ActionKind.CREATE, address, SPEC, **more)


def delete(address: Address = ONE, **more: Any) -> Action:
    return Action(ActionKind.DELETE, address, None, record(address.key), app(address.key), **more)


def replace(address: Address = ONE, **more: Any) -> Action:
    return Action(ActionKind.REPLACE, address, SPEC, record(address.key), app(address.key), **more)


def statuses(result: ApplyResult) -> dict[str, Status]:
    return {item.action.address.key: item.status for item in result.results}


def test_a_create_is_an_intent_a_request_a_sealed_answer_and_a_record_in_this_order() -> None:
    tape = Tape([created()])
    result = run(tape, create())
    assert tape.calls == ["header", "intent", "POST", "seal", "answered", "header", "record", "close"]
    assert statuses(result) == {"one": Status.DONE}


def test_what_is_sealed_is_the_answer_as_it_came_with_the_request_that_it_answers() -> None:
    tape = Tape([created()])
    run(tape, create())
    label, body = unpack(Secret(tape.sealed[-1]))
    assert (label.operation, label.kind, label.app_id) == (tape.operations[0].id, "create", "app_one")
    assert body == created().body


def test_the_record_holds_the_very_sealing_that_the_journal_got() -> None:
    tape = Tape([created()])
    run(tape, create())
    secret = tape.records[ONE].secret
    assert secret is not None
    assert secret.sealed == tape.frames[0].sealed
    assert (secret.hint, secret.origin, secret.operation) == ("hint", "create", tape.operations[0].id)


def test_the_journal_tells_in_clear_only_ids_hint_status_and_completeness() -> None:
    tape = Tape([created()])
    run(tape, create())
    assert tape.frames == [ReplyFrame(201, True, "sealed 2", "app_one", "cid_one", "hint")]


def test_nothing_is_requested_where_a_trial_sealing_fails() -> None:
    tape = Tape([created()])
    tape.seal = lambda _: (_ for _ in ()).throw(SealingError("no recipient"))  # type: ignore[method-assign]
    with pytest.raises(SealingError):
        run(tape, create())
    assert tape.calls == []


def test_nothing_is_requested_where_the_intent_cannot_be_written() -> None:
    tape = Tape([created()], broken=["intent"])
    result = run(tape, create(ONE), create(TWO))
    assert "POST" not in tape.calls
    assert statuses(result) == {"one": Status.FAILED, "two": Status.SKIPPED}


@pytest.mark.parametrize("status", [400, 409, 422, 429])
def test_a_refused_create_closes_its_entry_and_the_others_go_on(status: int) -> None:
    tape = Tape([refused(status), created("two")])
    result = run(tape, create(ONE), create(TWO))
    assert statuses(result) == {"one": Status.FAILED, "two": Status.DONE}
    assert tape.calls[:4] == ["header", "intent", "POST", "close"]


def test_a_create_that_was_never_sent_closes_its_entry() -> None:
    tape = Tape([NOT_SENT])
    assert statuses(run(tape, create())) == {"one": Status.FAILED}
    assert tape.calls[-1] == "close"


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_accepted_stops_what_has_not_started(status: int) -> None:
    tape = Tape([refused(status)])
    assert statuses(run(tape, create(ONE), create(TWO))) == {"one": Status.FAILED, "two": Status.SKIPPED}


def test_an_ambiguous_answer_is_sealed_and_leaves_its_entry_open() -> None:
    tape = Tape([ambiguous(), created("two")])
    result = run(tape, create(ONE), create(TWO))
    assert statuses(result) == {"one": Status.OPEN, "two": Status.DONE}
    assert tape.calls[:6] == ["header", "intent", "POST", "seal", "answered", "leave"]
    assert tape.records.keys() == {TWO}


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"app": {}}', created().body.reveal()[:-20]])
def test_a_201_without_a_usable_secret_leaves_its_entry_open(body: bytes) -> None:
    tape = Tape([Reply(Outcome.DONE, 201, Secret(body), True)])
    result = run(tape, create())
    assert statuses(result) == {"one": Status.OPEN}
    assert tape.calls[-1] == "leave"
    assert tape.records == {}


@pytest.mark.parametrize("broken", ["seal", "answered", "record"])
def test_whatever_fails_after_the_request_leaves_its_entry_open_and_stops_the_run(broken: str) -> None:
    tape = Tape([created()], broken=[broken])
    result = run(tape, create(ONE), create(TWO))
    assert statuses(result) == {"one": Status.OPEN, "two": Status.SKIPPED}
    assert tape.calls[-1] == "leave"


def test_the_first_app_pins_the_organization() -> None:
    tape = Tape([created("one"), created("two")])
    run(tape, create(ONE), create(TWO))
    assert [header.organization_id for header in tape.headers] == [None, "org_1"]


def test_an_app_made_in_another_organization_stops_the_run_and_is_not_recorded() -> None:
    tape = Tape([created("one", organization="org_2")])
    result = run(tape, create(ONE), create(TWO), header=Header("lineage", "https://api.example", "org_1"))
    assert statuses(result) == {"one": Status.OPEN, "two": Status.SKIPPED}
    assert tape.records == {}
    assert "org_2" in result.results[0].message


def test_a_delete_is_an_intent_a_request_and_then_no_record() -> None:
    tape = Tape([DELETED])
    assert statuses(run(tape, delete())) == {"one": Status.DONE}
    assert tape.calls == ["header", "intent", "DELETE", "unrecord", "close"]
    assert tape.operations[0].app == app()


def test_an_app_that_is_gone_already_is_as_good_as_deleted() -> None:
    tape = Tape([refused(404)])
    assert statuses(run(tape, delete())) == {"one": Status.DONE}


def test_a_refused_delete_keeps_the_record() -> None:
    tape = Tape([refused(400)])
    assert statuses(run(tape, delete())) == {"one": Status.FAILED}
    assert "unrecord" not in tape.calls


def test_after_an_ambiguous_delete_the_app_is_asked_for_and_gone_means_done() -> None:
    tape = Tape([ambiguous()])
    assert statuses(run(tape, delete())) == {"one": Status.DONE}
    assert tape.calls == ["header", "intent", "DELETE", "get", "unrecord", "close"]


def test_after_an_ambiguous_delete_an_app_that_is_still_there_leaves_the_entry_open() -> None:
    tape = Tape([ambiguous()], still_there=True)
    assert statuses(run(tape, delete())) == {"one": Status.OPEN}
    assert tape.calls[-1] == "leave"


@pytest.mark.parametrize("broken", ["get", "unrecord"])
def test_what_fails_after_a_delete_was_sent_leaves_the_entry_open(broken: str) -> None:
    tape = Tape([ambiguous()], broken=[broken])
    assert statuses(run(tape, delete())) == {"one": Status.OPEN}


def test_a_replacement_deletes_then_creates() -> None:
    tape = Tape([DELETED, created()])
    assert statuses(run(tape, replace())) == {"one": Status.DONE}
    assert [call for call in tape.calls if call.isupper()] == ["DELETE", "POST"]


def test_a_replacement_whose_delete_is_refused_creates_nothing() -> None:
    tape = Tape([refused(400)])
    assert statuses(run(tape, replace())) == {"one": Status.FAILED}
    assert "POST" not in tape.calls


def test_a_replacement_whose_create_is_refused_says_that_it_was_deleted() -> None:
    tape = Tape([DELETED, refused(400, "400 Bad Request")])
    result = run(tape, replace())
    assert result.results[0].message == "It was deleted; making it again failed: 400 Bad Request"


def test_what_destroys_goes_first_and_one_at_a_time() -> None:
    tape = Tape([DELETED, created("one")])
    run(tape, create(ONE), delete(TWO), parallelism=10)
    assert [call for call in tape.calls if call.isupper()] == ["DELETE", "POST"]


def test_an_action_waits_for_the_one_that_frees_its_name() -> None:
    tape = Tape([refused(400)])
    result = run(tape, create(ONE, after=frozenset({TWO})), delete(TWO))
    assert statuses(result) == {"one": Status.SKIPPED, "two": Status.FAILED}
    assert "oauth_app.two still has its name" in [item.message for item in result.results]


def test_creates_run_side_by_side_up_to_the_parallelism() -> None:
    together = threading.Barrier(4)
    tape = Tape()

    def answer(spec: AppSpec) -> Reply:
        together.wait(timeout=10)  # breaks, and fails the test, unless four are in flight at once
        return created(spec.name)

    tape.create_app = answer  # type: ignore[method-assign]
    actions = [Action(ActionKind.CREATE, Address(f"a{i}"), AppSpec(f"a{i}", ())) for i in range(8)]
    assert set(statuses(run(tape, *actions, parallelism=4)).values()) == {Status.DONE}


def test_after_a_stop_nothing_new_starts() -> None:
    stop = threading.Event()
    tape = Tape([created()])

    def report(event: Event) -> None:
        stop.set()

    result = run(tape, create(ONE), create(TWO), report=report, stop=stop)
    assert statuses(result) == {"one": Status.DONE, "two": Status.SKIPPED}
    assert result.interrupted


def test_a_gone_and_unwanted_app_is_only_forgotten() -> None:
    tape = Tape()
    run(tape, Action(ActionKind.FORGET, ONE, None, record(), reason=Reason.DELETED_OUTSIDE))
    assert tape.calls == ["header", "unrecord"]


def test_every_action_is_reported_when_it_starts_and_when_it_ends() -> None:
    events: list[Event] = []
    run(Tape([created()]), create(), report=events.append)
    assert isinstance(events[0], Started)
    assert isinstance(events[1], Result)


def test_nothing_is_done_for_an_app_that_is_as_wanted() -> None:
    tape = Tape()
    assert run(tape, Action(ActionKind.NOOP, ONE, SPEC, record(), app())).results == ()
    assert tape.calls == ["header"]


def resume(reason: Reason, reply: ReplyFrame | None = None, observed: App | None = None) -> Action:
    entry = OpenOperation(Operation("op_1", OperationKind.CREATE, ONE, "lineage", SPEC), reply)
    return Action(ActionKind.RESUME, ONE, SPEC, observed=observed, reason=reason, open=entry)


def test_an_answer_on_disk_becomes_the_record_without_a_request() -> None:
    tape = Tape()
    frame = ReplyFrame(201, True, "sealed before", "app_one", "cid_one", "hint")
    assert statuses(run(tape, resume(Reason.ANSWER_ON_DISK, frame, app()))) == {"one": Status.DONE}
    assert tape.calls == ["header", "header", "record", "close op_1"]
    secret = tape.records[ONE].secret
    assert secret is not None
    assert (secret.sealed, secret.operation) == ("sealed before", "op_1")


def test_what_is_sent_again_has_a_new_intent_before_the_old_one_goes() -> None:
    tape = Tape([created()])
    run(tape, resume(Reason.SEND_AGAIN))
    assert tape.calls[:4] == ["header", "intent", "close op_1", "POST"]


def test_a_409_to_what_is_sent_again_stays_open_for_it_may_be_ours() -> None:
    tape = Tape([refused(409)])
    assert statuses(run(tape, resume(Reason.SEND_AGAIN))) == {"one": Status.FAILED}
    assert tape.calls[-1] == "leave"


def test_an_operation_with_nothing_left_to_do_is_only_closed() -> None:
    tape = Tape()
    run(tape, resume(Reason.NOTHING_LEFT))
    assert tape.calls == ["header", "close op_1"]


@pytest.mark.parametrize("kind", [ActionKind.CREATE, ActionKind.DELETE, ActionKind.RESUME])
def test_an_action_that_lacks_what_it_needs_fails_instead_of_guessing(kind: ActionKind) -> None:
    tape = Tape()
    assert statuses(run(tape, Action(kind, ONE))) == {"one": Status.FAILED}
    assert "POST" not in tape.calls
