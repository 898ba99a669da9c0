"""What became of an operation: every piece of the evidence counts, and so does the server's clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.model import Address, App, AppSpec, Listing
from provisioner.operation import Answer, OpenOperation, Operation, Sight, Step
from provisioner.phases import DURABLE, Event, Kind, Phase, move
from provisioner.recovery import Rules, Scene, find, http_date, settled

ASKED = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = AppSpec("One", ("https://one.example/cb",), ("read",))
APP = App("app_1", "org_1", "One", "cid", "hint", SPEC.redirect_uris, ("read",), True, "2026-01-01T00:00:10Z")


def date(seconds: float) -> str:
    return format_datetime(ASKED + timedelta(seconds=seconds), usegmt=True)


def entry(kind: Kind = Kind.CREATE, **step: Any) -> OpenOperation:
    fields: dict[str, Any] = {"phase": Phase.CREATING, "since": date(0)} | step
    old = None if kind is Kind.CREATE else APP
    spec = None if kind in (Kind.DELETE, Kind.ROTATE) else SPEC
    operation = Operation("op_1", kind, Address("one"), "lineage", spec, old, "run_1")
    return OpenOperation(operation, Step(**fields), Sight("run_1", frozenset({"app_0"}), date(0)))


def scene(*apps: App, at: float = 20, spec: AppSpec | None = SPEC, rules: Rules | None = None) -> Scene:
    return Scene(Listing(apps, date(at)), "org_1", {"app_9"}, spec, rules or Rules())


def test_with_all_of_the_evidence_it_is_ours() -> None:
    assert find(entry(), None, scene(APP)).event is Event.OURS


@pytest.mark.parametrize(
    "difference",
    [
        {"id": "app_0"},
        {"id": "app_9"},
        {"organization_id": "org_2"},
        {"name": "one"},
        {"redirect_uris": ()},
        {"scopes": ()},
        {"is_active": False},
        {"updated_at": "2026-01-01T00:00:11Z"},
        {"created_at": "2025-12-31T23:59:58Z"},
        {"created_at": "2026-01-01T00:00:22Z"},
    ],
    ids=str,
)
def test_without_any_one_piece_of_it_it_is_not(difference: dict[str, Any]) -> None:
    found = find(entry(), None, scene(replace(APP, **difference)))
    assert found.event is Event.UNSURE
    assert [check for check in found.evidence if not check.holds]


def test_two_apps_of_that_name_are_no_evidence() -> None:
    assert find(entry(), None, scene(APP, replace(APP, id="app_2", name="ONE"))).event is Event.UNSURE


def test_without_a_sight_a_date_or_a_time_of_asking_nothing_is_evidence() -> None:
    assert find(replace(entry(), sight=None), None, scene(APP)).event is Event.UNSURE
    assert find(entry(since=None), None, scene(APP)).event is Event.UNSURE
    undated = replace(scene(APP), listing=Listing((APP,), None))
    assert find(entry(), None, undated).event is Event.UNSURE


def test_in_the_mode_ask_even_strong_evidence_is_only_shown() -> None:
    found = find(entry(), None, scene(APP, rules=Rules(auto=False)))
    assert found.event is Event.UNSURE
    assert all(check.holds for check in found.evidence)


@pytest.mark.parametrize(
    ("sent", "made", "event"),
    [(True, 60, Event.OURS), (True, 63, Event.UNSURE), (False, 480, Event.OURS), (False, 483, Event.UNSURE)],
)
def test_what_was_made_when_our_request_could_be_on_its_way_no_more_is_not_ours(
    sent: bool, made: int, event: Event
) -> None:
    late = replace(APP, created_at=(ASKED + timedelta(seconds=made)).isoformat())
    assert find(entry(sent=sent), None, scene(late, at=7200)).event is event


@pytest.mark.parametrize(
    ("sent", "at", "answer"), [(True, 59, False), (True, 60, True), (False, 479, False), (False, 480, True)]
)
def test_a_request_is_settled_after_the_settle_time_and_after_a_kill_some_minutes_later(
    sent: bool, at: int, answer: bool
) -> None:
    assert settled(entry(sent=sent).step, scene(at=at)) is answer


def test_what_is_not_known_is_not_settled() -> None:
    assert not settled(entry(since=None).step, scene(at=9999))
    assert not settled(entry(since="yesterday").step, scene(at=9999))
    assert not settled(entry().step, replace(scene(), listing=Listing((), None)))


OTHER = AppSpec("One", ("https://one.example/mended",))
RENAMED = AppSpec("Two", SPEC.redirect_uris)


@pytest.mark.parametrize(
    ("wanted", "at", "event"),
    [
        (SPEC, 1, Event.ABSENT),
        (SPEC, 999, Event.ABSENT),
        (OTHER, 1, Event.UNSURE),
        (OTHER, 999, Event.UNWANTED),
        (None, 1, Event.UNSURE),
        (None, 999, Event.UNWANTED),
    ],
)
@pytest.mark.parametrize("kind", [Kind.CREATE, Kind.REPLACE])
def test_what_is_absent_is_asked_for_again_only_where_the_manifest_still_asks_for_that(
    kind: Kind, wanted: AppSpec | None, at: int, event: Event
) -> None:
    assert find(entry(kind, phase=Phase.REPLACING), None, scene(at=at, spec=wanted)).event is event


@pytest.mark.parametrize(
    ("wanted", "at", "event"),
    [
        (SPEC, 999, Event.UNSURE),
        (OTHER, 999, Event.UNSURE),
        (RENAMED, 1, Event.UNSURE),
        (RENAMED, 999, Event.UNWANTED),
        (None, 999, Event.UNWANTED),
    ],
)
def test_a_strangers_name_is_given_up_once_the_manifest_asks_for_another(
    wanted: AppSpec | None, at: int, event: Event
) -> None:
    stranger = replace(APP, redirect_uris=("https://else.example/cb",))
    assert find(entry(), None, scene(stranger, at=at, spec=wanted)).event is event


ANSWER = Answer(201, True, "sealed", "app_1", "cid", "hint")


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (ANSWER, Event.FITS),
        (replace(ANSWER, hint="other"), Event.OURS),
        (replace(ANSWER, complete=False), Event.OURS),
        (replace(ANSWER, status=200), Event.OURS),
        (replace(ANSWER, client_id="other"), Event.OURS),
        (replace(ANSWER, app_id=None), Event.OURS),
    ],
)
def test_an_answer_on_disk_fits_only_the_very_app_and_secret(answer: Answer, event: Event) -> None:
    assert find(entry(phase=Phase.CREATED, answer=answer), None, scene(APP)).event is event


ROTATED = Answer(200, True, "sealed", "app_1", None, "hint")


@pytest.mark.parametrize(
    ("answer", "unsettled", "event"),
    [
        (ROTATED, True, Event.FITS),
        (replace(ROTATED, hint="other"), True, Event.DIFFERS),
        (replace(ROTATED, hint="other"), False, Event.FITS),
        (replace(ROTATED, complete=False), False, Event.DIFFERS),
        (replace(ROTATED, hint=None), False, Event.DIFFERS),
        (None, False, Event.DIFFERS),
    ],
)
def test_a_rotated_answer_is_live_unless_an_earlier_rotation_may_have_come_after_it(
    answer: Answer | None, unsettled: bool, event: Event
) -> None:
    one = entry(Kind.ROTATE, phase=Phase.ROTATED, answer=answer, app_id="app_1", unsettled=unsettled)
    assert find(one, None, scene(APP)).event is event
    assert find(one, None, scene()).event is Event.MISSING


@pytest.mark.parametrize("phase", [Phase.DELETING, Phase.DELETING_AGAIN])
@pytest.mark.parametrize(
    ("wanted", "at", "event"), [(None, 1, Event.THERE), (SPEC, 1, Event.UNSURE), (SPEC, 999, Event.KEPT)]
)
def test_a_delete_goes_on_unless_the_app_is_wanted_again(
    phase: Phase, wanted: AppSpec | None, at: int, event: Event
) -> None:
    one = entry(Kind.DELETE, phase=phase)
    assert find(one, None, scene(APP, at=at, spec=wanted)).event is event
    assert find(one, None, scene(at=at, spec=wanted)).event is Event.GONE


@pytest.mark.parametrize(
    ("wanted", "at", "event"),
    [(SPEC, 1, Event.THERE), (OTHER, 1, Event.UNSURE), (OTHER, 999, Event.KEPT), (None, 999, Event.KEPT)],
)
def test_a_replacement_that_has_not_begun_goes_on_only_where_it_is_still_wanted(
    wanted: AppSpec | None, at: int, event: Event
) -> None:
    one = entry(Kind.REPLACE, phase=Phase.DELETING_OLD)
    assert find(one, None, scene(APP, at=at, spec=wanted)).event is event


FOUND = st.sampled_from(
    [APP, replace(APP, id="app_0"), replace(APP, client_secret_hint="x"), replace(APP, name="x")]
)


@given(
    st.sampled_from(DURABLE),
    st.sampled_from(Kind),
    st.lists(FOUND, max_size=2, unique_by=lambda app: app.id),
    st.none() | st.sampled_from([ANSWER, ROTATED]),
    st.sampled_from([None, SPEC, OTHER]),
    st.integers(0, 1000),
    st.booleans(),
)
def test_whatever_is_found_the_table_knows_how_to_go_on(
    phase: Phase,
    kind: Kind,
    apps: list[App],
    answer: Answer | None,
    wanted: AppSpec | None,
    at: int,
    sent: bool,
) -> None:
    one = entry(kind, phase=phase, answer=answer, app_id="app_1", sent=sent)
    if one.operation.spec is None:
        one = replace(one, operation=replace(one.operation, spec=SPEC, app=APP))
    found = find(one, None, scene(*apps, at=at, spec=wanted))
    restarted = move(phase, Event.RESTART)
    if found.event is not Event.RESTART:
        assert move(restarted.phase, found.event)


@pytest.mark.parametrize("text", [None, "", "yesterday", "Thu, 99 Jan 2026 00:00:00 GMT"])
def test_a_date_that_is_none_is_not_known(text: str | None) -> None:
    assert http_date(text) is None


def test_a_date_without_its_zone_is_utc() -> None:
    assert http_date("Thu, 01 Jan 2026 00:00:00 -0000") == ASKED
