"""Running a plan: intent, request, sealed answer, record, in this order, whatever comes back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from provisioner.apply import Approved, Ports, apply, settle
from provisioner.envelope import unpack
from provisioner.errors import ApiError, FileError, SealingError
from provisioner.model import Address, App, AppSpec, Introspection, Listing, Outcome, Reply, Secret
from provisioner.operation import Answer, OpenOperation, Operation, Sight, Step
from provisioner.phases import Event as What
from provisioner.phases import Kind, Phase
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
)
from provisioner.recovery import Finding, Rules
from provisioner.state import AppRecord, Header, SealedSecret, State

HEADER = Header("lineage", "https://api.example")
PINNED = Header("lineage", "https://api.example", "org_1")
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
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

    def __init__(self, answers: Sequence[Reply] = (), broken: Sequence[str] = (), listed: Sequence[App] = ()):
        self.calls: list[str] = []
        self.answers = list(answers)
        self.broken = set(broken)
        self.listed = tuple(listed)
        self.records: dict[Address, AppRecord] = {}
        self.headers: list[Header] = []
        self.steps: list[Step] = []
        self.operations: list[Operation] = []
        self.sights: list[Sight] = []
        self.sealed: list[bytes] = []
        self.recipients = ("age1reader",)

    def _call(self, name: str, error: type[Exception] = FileError) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise error(f"{name} is broken")

    def list_apps(self) -> Listing:
        self._call("list", ApiError)
        return Listing(self.listed, DATE)

    def introspect(self, client_id: str, client_secret: Secret) -> Introspection:
        raise AssertionError("an apply does not introspect")

    def get_app(self, app_id: str) -> App | None:
        self._call("get", ApiError)
        return next((held for held in self.listed if held.id == app_id), None)

    def create_app(self, spec: AppSpec) -> Reply:
        self._call("POST")
        return self.answers.pop(0)

    def rotate_secret(self, app_id: str) -> Reply:
        self._call("ROTATE")
        return self.answers.pop(0)

    def delete_app(self, app_id: str) -> Reply:
        self._call("DELETE")
        return self.answers.pop(0)

    def read(self) -> State:
        raise AssertionError("the caller has read the state")

    @contextlib.contextmanager
    def lock(self, operation: str, timeout: float = 0.0) -> Iterator[None]:
        yield

    def write_header(self, header: Header) -> None:
        self._call("header")
        self.headers.append(header)

    def write_record(self, record: AppRecord) -> None:
        self._call("record")
        self.records[record.address] = record

    def delete_record(self, address: Address) -> None:
        self._call("unrecord")

    def write_sight(self, sight: Sight) -> None:
        self.sights.append(sight)

    def open_operation(self, operation: Operation, step: Step, reply_bytes: int) -> Tape:
        self._call("intent")
        self.operations.append(operation)
        self.steps.append(step)
        assert reply_bytes >= 64 * 1024
        return self

    def close_operation(self, operation_id: str) -> None:
        self._call("close")

    def step(self, step: Step) -> None:
        self._call("answered")
        self.steps.append(step)

    def close(self) -> None:
        self._call("close")

    def leave(self) -> None:
        self.calls.append("leave")

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
    header: Header = PINNED,
    parallelism: int = 1,
    report: Callable[[Event], None] = lambda _: None,
    stop: threading.Event | None = None,
    before: Sequence[App] = (),
) -> ApplyResult:
    ports = Ports(tape, tape, tape, tape)
    approved = Approved(Plan(actions), header, Observed((*before, app("elsewhere")), date=DATE), Rules())
    return apply(approved, ports, parallelism, report, stop or threading.Event())


def create(address: Address = ONE, **more: Any) -> Action:
    return Action(ActionKind.CREATE, address, SPEC, **more)


def delete(address: Address = ONE, **more: Any) -> Action:
    return Action(ActionKind.DELETE, address, None, record(address.key), app(address.key), **more)


def rotated(hint: str = "new") -> Reply:
    body = json.dumps({"client_secret": "secret_new", "client_secret_hint": hint}).encode()
    return Reply(Outcome.DONE, 200, Secret(body), True)


def rotate(address: Address = ONE, **more: Any) -> Action:
    return Action(ActionKind.ROTATE, address, SPEC, record(address.key), app(address.key), **more)


def ours(tape: Tape) -> Tape:
    """The list shows an app that by all the evidence is the one that was asked for."""
    tape.listed = (dataclasses.replace(app("one"), name=SPEC.name, redirect_uris=SPEC.redirect_uris),)
    return tape


def replace(address: Address = ONE, **more: Any) -> Action:
    return Action(ActionKind.REPLACE, address, SPEC, record(address.key), app(address.key), **more)


def statuses(result: ApplyResult) -> dict[str, Status]:
    return {item.action.address.key: item.status for item in result.results}


def test_a_create_is_an_intent_a_request_a_sealed_answer_and_a_record_in_this_order() -> None:
    tape = Tape([created()])
    result = run(tape, create())
    assert tape.calls == ["header", "intent", "POST", "seal", "answered", "record", "close"]
    assert statuses(result) == {"one": Status.DONE}


def test_what_was_listed_before_is_written_once_and_each_intent_refers_to_it() -> None:
    tape = Tape([created("one"), created("two")])
    run(tape, create(ONE), create(TWO), before=[app("seen")])
    (sight,) = tape.sights
    assert (sight.ids, sight.date) == ({"app_seen", "app_elsewhere"}, DATE)
    assert {operation.sight for operation in tape.operations} == {sight.run}


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
    assert tape.steps[-1].answer == Answer(201, True, secret.sealed, "app_one", "cid_one", "hint")
    assert (secret.hint, secret.origin, secret.operation) == ("hint", "create", tape.operations[0].id)
    assert secret.confirmed


def test_nothing_is_requested_where_a_trial_sealing_fails() -> None:
    tape = Tape([created()])
    tape.seal = lambda _: (_ for _ in ()).throw(SealingError("no recipient"))
    with pytest.raises(SealingError):
        run(tape, create())
    assert tape.calls == []


def test_f32_nothing_is_requested_where_the_intent_cannot_be_written() -> None:
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
def test_f25_a_token_that_is_not_accepted_stops_what_has_not_started(status: int) -> None:
    tape = Tape([refused(status)])
    assert statuses(run(tape, create(ONE), create(TWO))) == {"one": Status.FAILED, "two": Status.SKIPPED}


def test_f12_after_an_ambiguous_answer_what_is_absent_is_asked_for_again() -> None:
    tape = Tape([ambiguous(None), created()])
    assert statuses(run(tape, create())) == {"one": Status.DONE}
    assert tape.calls[1:7] == ["intent", "POST", "answered", "list", "leave", "intent"]
    phases = [Phase.CREATING, Phase.CREATING, Phase.CREATING_AGAIN, Phase.CREATED]
    assert [step.phase for step in tape.steps] == phases
    assert [step.sent for step in tape.steps] == [False, True, False, False]
    assert tape.records[ONE].secret is not None
    assert tape.records[ONE].secret.unsettled_until == "2026-01-01T00:01:01Z"


def test_f4_what_is_ours_by_all_the_evidence_is_taken_over_after_a_durable_rotate_intent() -> None:
    tape = ours(Tape([ambiguous(), rotated()]))
    assert statuses(run(tape, create())) == {"one": Status.DONE}
    after = ["answered", "list", "leave", "intent", "ROTATE", "seal", "answered", "record", "close"]
    assert tape.calls[1:] == ["intent", "POST", *after]
    assert tape.steps[2] == Step(Phase.ROTATING_AGAIN, None, "app_one", True, tape.steps[2].since)
    secret = tape.records[ONE].secret
    assert secret is not None
    assert (secret.origin, secret.hint) == ("rotate", "new")


def test_f22_a_409_after_an_ambiguous_try_is_looked_into() -> None:
    tape = Tape([ambiguous(), refused(409), rotated()])
    lists = iter([(), ours(Tape()).listed])
    tape.list_apps = lambda: Listing(next(lists), DATE)
    assert statuses(run(tape, create())) == {"one": Status.DONE}
    assert [call for call in tape.calls if call.isupper()] == ["POST", "POST", "ROTATE"]


@pytest.mark.parametrize(
    "difference",
    [{"redirect_uris": ()}, {"is_active": False}, {"updated_at": "2026-01-01T00:00:00Z"},
     {"created_at": "2025-12-31T23:59:58Z"}, {"created_at": "2026-01-01T00:00:05Z"},
     {"organization_id": "org_2"}, {"id": "app_elsewhere"}, {"name": "one"}],
    ids=str,
)  # fmt: skip
def test_what_lacks_one_piece_of_the_evidence_is_never_rotated(difference: dict[str, Any]) -> None:
    tape = ours(Tape([ambiguous()]))
    tape.listed = (dataclasses.replace(tape.listed[0], **difference),)
    result = run(tape, create())
    assert statuses(result) == {"one": Status.OPEN}
    assert "ROTATE" not in tape.calls
    assert "what does not hold" in result.results[0].message


def test_three_ambiguous_answers_in_a_row_are_enough_for_one_run() -> None:
    tape = Tape([ambiguous()] * 9)
    assert statuses(run(tape, create())) == {"one": Status.OPEN}
    assert tape.calls.count("POST") == 3
    assert tape.calls[-1] == "leave"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"app": {}}', created().body.reveal()[:-20]])
def test_f17_a_201_without_a_usable_secret_is_kept_sealed_and_looked_into(body: bytes) -> None:
    tape = ours(Tape([Reply(Outcome.DONE, 201, Secret(body), True), rotated()]))
    assert statuses(run(tape, create())) == {"one": Status.DONE}
    assert tape.calls[1:6] == ["intent", "POST", "seal", "answered", "list"]


@pytest.mark.parametrize("broken", ["seal", "answered", "record"])
def test_f34_whatever_fails_after_the_request_leaves_its_entry_open_and_stops_the_run(broken: str) -> None:
    tape = Tape([created()], broken=[broken])
    result = run(tape, create(ONE), create(TWO))
    assert statuses(result) == {"one": Status.OPEN, "two": Status.SKIPPED}
    assert tape.calls[-1] == "leave"


def test_f24_a_list_that_fails_leaves_the_entry_open() -> None:
    tape = Tape([ambiguous()], broken=["list"])
    assert statuses(run(tape, create())) == {"one": Status.OPEN}


def test_the_first_app_pins_the_organization_and_is_made_alone() -> None:
    tape = Tape([created("one"), created("two")])
    ports = Ports(tape, tape, tape, tape)
    approved = Approved(Plan((create(ONE), create(TWO))), HEADER, Observed((), date=DATE), Rules())
    apply(approved, ports, 10, lambda _: None, threading.Event())
    assert [header.organization_id for header in tape.headers] == [None, "org_1"]
    assert tape.calls.index("record") < [n for n, call in enumerate(tape.calls) if call == "POST"][1]


def test_while_no_app_tells_whose_the_token_is_they_are_made_one_by_one() -> None:
    tape = Tape([refused(400), created("two"), created("three")])
    ports = Ports(tape, tape, tape, tape)
    actions = (create(ONE), create(TWO), create(Address("three")))
    approved = Approved(Plan(actions), PINNED, Observed((), date=DATE), Rules())
    result = apply(approved, ports, 10, lambda _: None, threading.Event())
    assert statuses(result) == {"one": Status.FAILED, "two": Status.DONE, "three": Status.DONE}
    intents = [number for number, call in enumerate(tape.calls) if call == "intent"]
    assert tape.calls.index("record") < intents[2]


def test_where_the_state_knows_its_organization_the_first_app_of_another_is_the_last() -> None:
    tape = Tape([created("one", organization="org_2"), created("two", organization="org_2")])
    ports = Ports(tape, tape, tape, tape)
    approved = Approved(Plan((create(ONE), create(TWO))), PINNED, Observed((), date=DATE), Rules())
    result = apply(approved, ports, 10, lambda _: None, threading.Event())
    assert statuses(result) == {"one": Status.OPEN, "two": Status.SKIPPED}
    assert tape.calls.count("POST") == 1


def test_what_the_manifest_says_of_the_organization_is_not_recorded_as_the_apis_word() -> None:
    tape = Tape([created("one", organization="org_2"), created("two", organization="org_2")])
    ports = Ports(tape, tape, tape, tape)
    plan, seen = Plan((create(ONE), create(TWO))), Observed((), date=DATE)
    approved = Approved(plan, HEADER, seen, Rules(), wanted="org_1")
    result = apply(approved, ports, 10, lambda _: None, threading.Event())
    assert statuses(result) == {"one": Status.OPEN, "two": Status.SKIPPED}
    assert "The manifest is for org_1." in result.results[0].message
    assert {header.organization_id for header in tape.headers} == {None}


def test_an_app_made_in_another_organization_stops_the_run_and_is_not_recorded() -> None:
    tape = Tape([created("one", organization="org_2")])
    result = run(tape, create(ONE), create(TWO))
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


def test_f29_after_an_ambiguous_delete_the_app_is_asked_for_and_gone_means_done() -> None:
    tape = Tape([ambiguous()])
    assert statuses(run(tape, delete())) == {"one": Status.DONE}
    assert tape.calls == ["header", "intent", "DELETE", "answered", "get", "unrecord", "close"]


def test_f29_after_an_ambiguous_delete_an_app_that_is_still_there_is_deleted_again() -> None:
    tape = Tape([ambiguous(), DELETED], listed=[app()])
    assert statuses(run(tape, delete())) == {"one": Status.DONE}
    assert tape.calls.count("DELETE") == 2


@pytest.mark.parametrize("broken", ["get", "unrecord"])
def test_what_fails_after_a_delete_was_sent_leaves_the_entry_open(broken: str) -> None:
    tape = Tape([ambiguous()], broken=[broken])
    assert statuses(run(tape, delete())) == {"one": Status.OPEN}


def test_a_replacement_deletes_then_creates_under_one_entry() -> None:
    tape = Tape([DELETED, created()])
    assert statuses(run(tape, replace())) == {"one": Status.DONE}
    assert [call for call in tape.calls if call.isupper()] == ["DELETE", "POST"]
    assert len({operation.id for operation in tape.operations}) == 1
    assert [step.phase for step in tape.steps] == [Phase.DELETING_OLD, Phase.REPLACING, Phase.CREATED]


def test_a_replacement_whose_delete_is_refused_creates_nothing() -> None:
    tape = Tape([refused(400)])
    assert statuses(run(tape, replace())) == {"one": Status.FAILED}
    assert "POST" not in tape.calls


@pytest.mark.parametrize("answer", [refused(400, "400 Bad Request"), refused(409), NOT_SENT])
def test_f31_a_replacement_whose_create_is_refused_is_closed_and_says_what_is_gone(answer: Reply) -> None:
    tape = Tape([DELETED, answer])
    result = run(tape, replace())
    assert statuses(result) == {"one": Status.FAILED}
    assert result.results[0].message.startswith("the old one is gone, the new one is not made yet")
    assert result.counts.destroy == 1
    assert tape.calls[-2:] == ["unrecord", "close"]


def test_a_rotation_is_an_intent_a_request_a_sealed_answer_and_a_record() -> None:
    tape = Tape([rotated()])
    assert statuses(run(tape, rotate())) == {"one": Status.DONE}
    assert tape.calls == ["header", "intent", "ROTATE", "seal", "answered", "record", "close"]
    held = tape.records[ONE]
    assert held.secret is not None
    assert (held.app.client_secret_hint, held.secret.hint, held.secret.origin) == ("new", "new", "rotate")
    assert held.secret.unsettled_until is None


def test_f26_an_ambiguous_rotation_is_sent_again_and_its_record_is_unsettled_for_a_while() -> None:
    tape = Tape([ambiguous(), rotated()])
    assert statuses(run(tape, rotate())) == {"one": Status.DONE}
    secret = tape.records[ONE].secret
    assert secret is not None
    assert secret.unsettled_until == "2026-01-01T00:01:01Z"


def test_a_rotation_of_a_record_that_is_not_settled_hands_that_on() -> None:
    tape = Tape([rotated()])
    old = record()
    assert old.secret is not None
    unsettled = dataclasses.replace(
        old, secret=dataclasses.replace(old.secret, unsettled_until="2026-01-01T00:01:00Z")
    )
    run(tape, dataclasses.replace(rotate(), record=unsettled))
    assert tape.records[ONE].secret is not None
    assert tape.records[ONE].secret.unsettled_until is not None


def test_after_a_rotation_that_stays_open_no_other_begins() -> None:
    tape = Tape([ambiguous()] * 3)
    assert statuses(run(tape, rotate(ONE), rotate(TWO))) == {"one": Status.OPEN, "two": Status.SKIPPED}


def test_a_rotation_of_an_app_that_is_gone_fails_and_is_closed() -> None:
    tape = Tape([refused(404)])
    assert statuses(run(tape, rotate())) == {"one": Status.FAILED}
    assert tape.calls[-1] == "close"


def test_what_destroys_goes_first_and_one_at_a_time() -> None:
    tape = Tape([DELETED, created("one")])
    run(tape, create(ONE), delete(TWO), parallelism=10)
    assert [call for call in tape.calls if call.isupper()] == ["DELETE", "POST"]


def test_an_action_waits_for_the_one_that_frees_its_name() -> None:
    tape = Tape([refused(400)])
    result = run(tape, create(ONE, after=frozenset({TWO})), delete(TWO))
    assert statuses(result) == {"one": Status.SKIPPED, "two": Status.FAILED}
    assert any("oauth_app.two" in item.message for item in result.results)


def test_creates_run_side_by_side_up_to_the_parallelism() -> None:
    together = threading.Barrier(4)
    tape = Tape()

    def answer(spec: AppSpec) -> Reply:
        together.wait(timeout=10)  # breaks, and fails the test, unless four are in flight at once
        return created(spec.name)

    tape.create_app = answer
    actions = [Action(ActionKind.CREATE, Address(f"a{i}"), AppSpec(f"a{i}", ())) for i in range(8)]
    assert set(statuses(run(tape, *actions, parallelism=4)).values()) == {Status.DONE}


class Doubts:
    """How many requests nobody knows the outcome of, counted from the intent, which a cut-off run leaves."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._now = self.most = 0

    def begin(self) -> None:
        with self._guard:
            self._now += 1
            self.most = max(self.most, self._now)

    def end(self) -> None:
        time.sleep(0.005)
        with self._guard:
            self._now -= 1


def creates(count: int) -> list[Action]:
    return [Action(ActionKind.CREATE, Address(f"a{i}"), AppSpec(f"a{i}", ())) for i in range(count)]


def test_no_more_requests_are_in_doubt_than_the_parallelism() -> None:
    tape, doubts = Tape(), Doubts()

    def intent(operation: Operation, step: Step, reply_bytes: int) -> Tape:
        doubts.begin()
        return tape

    def answer(spec: AppSpec) -> Reply:
        doubts.end()
        return created(spec.name)

    tape.open_operation, tape.create_app = intent, answer
    assert set(statuses(run(tape, *creates(24), parallelism=3)).values()) == {Status.DONE}
    assert doubts.most == 3


def test_a_request_after_an_unusable_answer_waits_for_its_turn_again() -> None:
    # A state in git has room for so many entries; who held one and waited for a turn would wait for ever.
    tape, doubts, room, made = Tape(), Doubts(), threading.Semaphore(2), list[App]()

    def intent(operation: Operation, step: Step, reply_bytes: int) -> Tape:
        assert room.acquire(timeout=10), "those who have room wait for a turn"
        doubts.begin()
        return tape

    def answer(spec: AppSpec) -> Reply:
        made.append(dataclasses.replace(app(spec.name), redirect_uris=spec.redirect_uris))
        doubts.end()
        return Reply(Outcome.DONE, 201, Secret(b"{}"), True)

    def rotate_secret(app_id: str) -> Reply:
        doubts.end()
        return rotated()

    tape.open_operation, tape.create_app, tape.rotate_secret = intent, answer, rotate_secret
    tape.list_apps = lambda: Listing(tuple(made), DATE)
    tape.leave = tape.close = room.release
    assert set(statuses(run(tape, *creates(12), parallelism=2)).values()) == {Status.DONE}
    assert doubts.most == 2


def test_what_nobody_reckoned_with_stops_what_has_not_started() -> None:
    asked = []
    tape = Tape()

    def answer(spec: AppSpec) -> Reply:
        asked.append(spec.name)
        raise RuntimeError("can't start new thread")

    tape.create_app = answer
    actions = [Action(ActionKind.CREATE, Address(f"a{i}"), AppSpec(f"a{i}", ())) for i in range(50)]
    with pytest.raises(RuntimeError, match="new thread"):
        run(tape, *actions, parallelism=2)
    assert len(asked) <= 4


@pytest.mark.parametrize(("kind", "sends"), [(create, "POST"), (rotate, "ROTATE"), (delete, "DELETE")])
def test_f12_what_took_too_long_to_be_written_down_is_not_sent(
    kind: Callable[[], Action], sends: str
) -> None:
    """A request that left later than a recovery reckons with would not be known for ours."""
    tape, now = Tape([created(), rotated(), DELETED]), 0.0

    def intent(operation: Operation, step: Step, reply_bytes: int) -> Tape:
        nonlocal now
        now += 61
        tape.calls.append("intent")
        return tape

    tape.open_operation = intent
    ports = Ports(tape, tape, tape, tape)
    approved = Approved(Plan((kind(),)), PINNED, Observed((app("elsewhere"),), date=DATE), Rules())
    start = approved.server_now()
    approved.server_now = lambda: start and start + timedelta(seconds=now)
    (result,) = apply(approved, ports, 1, lambda _: None, threading.Event()).results
    assert (result.status, sends in tape.calls) == (Status.FAILED, False)
    assert "nothing was sent: it took 61 s" in result.message
    assert tape.calls[-1] == "close"


def test_answers_are_recorded_while_the_next_requests_are_under_way() -> None:
    asked, enough = [], threading.Event()
    tape = Tape()

    def answer(spec: AppSpec) -> Reply:
        asked.append(spec.name)
        if len(asked) == 4:
            enough.set()
        return created(spec.name)

    def keep(record: AppRecord) -> None:
        assert enough.wait(timeout=10), "the disk keeps the third and the fourth request waiting"

    tape.create_app, tape.write_record = answer, keep
    actions = [Action(ActionKind.CREATE, Address(f"a{i}"), AppSpec(f"a{i}", ())) for i in range(4)]
    assert set(statuses(run(tape, *actions, parallelism=2)).values()) == {Status.DONE}


def test_with_a_parallelism_of_one_nothing_happens_side_by_side() -> None:
    tape = Tape([created("a0"), created("a1")])
    run(tape, *(Action(ActionKind.CREATE, Address(f"a{i}"), AppSpec(f"a{i}", ())) for i in range(2)))
    one = ["intent", "POST", "seal", "answered", "record", "close"]
    assert tape.calls[1:] == [*one, *one]


def test_f42_after_a_stop_nothing_new_starts() -> None:
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


FRAME = Answer(201, True, "sealed before", "app_one", "cid_one", "hint")


def resume(
    phase: Phase,
    event: What,
    found: App | None = None,
    kind: Kind = Kind.CREATE,
    answer: Answer | None = None,
) -> Action:
    old = None if kind is Kind.CREATE else app()
    operation = Operation("op_1", kind, ONE, "lineage", SPEC, old, "run_1")
    app_id = "app_one" if kind is Kind.ROTATE or phase is Phase.ROTATING_AGAIN else None
    entry = OpenOperation(operation, Step(phase, answer, app_id))
    return Action(
        ActionKind.RESUME, ONE, SPEC, record() if old else None, found, open=entry,
        finding=Finding(event, found), like=ActionKind.CREATE,
    )  # fmt: skip


def test_f7_an_answer_on_disk_becomes_the_record_without_a_request() -> None:
    tape = Tape()
    result = run(tape, resume(Phase.CREATED, What.FITS, app(), answer=FRAME))
    assert statuses(result) == {"one": Status.DONE}
    assert tape.calls == ["header", "record", "close"]
    secret = tape.records[ONE].secret
    assert secret is not None
    assert (secret.sealed, secret.operation, secret.confirmed) == ("sealed before", "op_1", False)


def test_f2_what_is_absent_is_sent_again_under_the_same_entry() -> None:
    tape = Tape([created()])
    run(tape, resume(Phase.CREATING, What.ABSENT))
    assert tape.calls[:3] == ["header", "intent", "POST"]
    assert tape.operations[0].id == "op_1"


@pytest.mark.parametrize("answer", [refused(400), refused(401), refused(422), refused(429), NOT_SENT])
def test_whatever_refuses_a_second_request_says_nothing_of_the_first(answer: Reply) -> None:
    tape = Tape([answer])
    assert statuses(run(tape, resume(Phase.CREATING, What.ABSENT))) == {"one": Status.OPEN}
    assert tape.calls[-1] == "leave"


def test_f5_what_was_ours_when_the_plan_was_made_is_taken_over_without_another_look() -> None:
    tape = Tape([rotated()])
    assert statuses(run(tape, resume(Phase.CREATING, What.OURS, app()))) == {"one": Status.DONE}
    assert tape.calls == ["header", "intent", "ROTATE", "seal", "answered", "record", "close"]


def test_f27_an_open_rotation_is_rotated_again() -> None:
    tape = Tape([rotated()])
    assert statuses(run(tape, resume(Phase.ROTATING, What.RESTART, app(), Kind.ROTATE))) == {
        "one": Status.DONE
    }
    assert tape.steps[0].unsettled


def test_a_rotation_whose_answer_is_the_live_one_is_recorded_without_a_request() -> None:
    tape = Tape()
    answer = Answer(200, True, "sealed before", "app_one", None, "hint")
    assert statuses(run(tape, resume(Phase.ROTATED, What.FITS, app(), Kind.ROTATE, answer))) == {
        "one": Status.DONE
    }
    assert tape.calls == ["header", "record", "close"]


def test_f10_an_operation_that_is_recorded_already_is_only_closed() -> None:
    tape = Tape()
    assert statuses(run(tape, resume(Phase.CREATING, What.ALREADY))) == {"one": Status.DONE}
    assert tape.calls == ["header", "close"]


@pytest.mark.parametrize("kind", [Kind.CREATE, Kind.REPLACE])
def test_what_was_never_made_and_is_not_wanted_is_forgotten(kind: Kind) -> None:
    tape = Tape()
    phase = Phase.REPLACING if kind is Kind.REPLACE else Phase.CREATING
    assert statuses(run(tape, resume(phase, What.UNWANTED, kind=kind))) == {"one": Status.DONE}
    assert tape.calls == ["header", "unrecord", "close"]


def test_a_delete_that_nobody_wants_any_more_is_only_closed() -> None:
    tape = Tape(listed=[app()])
    assert statuses(run(tape, resume(Phase.DELETING, What.KEPT, app(), Kind.DELETE))) == {"one": Status.DONE}
    assert tape.calls == ["header", "close"]


def test_where_a_delete_was_done_by_the_plan_and_the_app_is_there_nothing_is_destroyed() -> None:
    tape = Tape(listed=[app()])
    assert statuses(run(tape, resume(Phase.DELETING, What.GONE, None, Kind.DELETE))) == {"one": Status.OPEN}
    assert "DELETE" not in tape.calls
    assert "unrecord" not in tape.calls


def test_what_may_still_be_deleted_is_kept_in_mind() -> None:
    tape = Tape(listed=[app()])
    assert statuses(run(tape, resume(Phase.DELETING, What.UNSURE, app(), Kind.DELETE))) == {
        "one": Status.OPEN
    }
    assert tape.calls == ["header"]


@pytest.mark.parametrize("answer", [refused(401), NOT_SENT])
def test_whatever_refuses_a_second_delete_says_nothing_of_the_first(answer: Reply) -> None:
    tape = Tape([ambiguous(), answer], listed=[app()])
    assert statuses(run(tape, delete())) == {"one": Status.OPEN}
    assert tape.calls[-1] == "leave"


def test_what_may_still_be_on_its_way_stays_open() -> None:
    tape = Tape()
    assert statuses(run(tape, resume(Phase.CREATING, What.UNSURE))) == {"one": Status.OPEN}
    assert tape.calls == ["header"]


def test_f30_a_replacement_rolls_forward() -> None:
    tape = Tape([created()])
    assert statuses(run(tape, resume(Phase.REPLACING, What.ABSENT, None, Kind.REPLACE))) == {
        "one": Status.DONE
    }
    assert [call for call in tape.calls if call.isupper()] == ["POST"]


def test_where_an_open_operation_was_not_looked_into_nothing_is_done() -> None:
    tape = Tape()
    action = dataclasses.replace(resume(Phase.CREATING, What.ABSENT), finding=None)
    assert statuses(run(tape, action)) == {"one": Status.FAILED}
    assert tape.calls == ["header"]


def test_records_that_settled_say_so_without_a_request() -> None:
    tape = Tape()
    old = record()
    assert old.secret is not None
    unsettled = dataclasses.replace(
        old, secret=dataclasses.replace(old.secret, unsettled_until="2026-01-01T00:01:00Z")
    )
    settle(Plan((Action(ActionKind.NOOP, ONE, SPEC, unsettled, app(), settles=True), create(TWO))), tape)
    assert tape.calls == ["record"]
    assert tape.records[ONE].secret is not None
    assert tape.records[ONE].secret.unsettled_until is None


def test_a_record_that_the_run_wrote_anew_is_never_replaced_by_the_plans() -> None:
    tape = Tape()
    settle(Plan((rotate(settles=True), delete(TWO, settles=True))), tape)
    assert tape.calls == []


@pytest.mark.parametrize("kind", [ActionKind.CREATE, ActionKind.DELETE, ActionKind.ROTATE])
def test_an_action_that_lacks_what_it_needs_fails_instead_of_guessing(kind: ActionKind) -> None:
    tape = Tape()
    assert not run(tape, Action(kind, ONE)).done
    assert not [call for call in tape.calls if call.isupper()]
