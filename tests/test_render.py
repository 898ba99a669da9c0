"""Text for people: word for word where tools match it, inert where it is not ours."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import LockedError, ProvisionerError
from provisioner.model import Address, App, AppSpec
from provisioner.operation import OpenOperation, Operation, Step
from provisioner.phases import Kind, Phase
from provisioner.plan import (
    Action,
    ActionKind,
    ApplyResult,
    Counts,
    Note,
    Plan,
    Reason,
    Result,
    Started,
    Status,
)
from provisioner.render.apply_text import ending, progress
from provisioner.render.error_text import error_text
from provisioner.render.plan_text import plan_text, summary
from provisioner.render.state_text import record_text, state_text
from provisioner.render.terminal import console, paint
from provisioner.state import AppRecord, Header, SealedSecret, State

ONE = Address("one")
NAMES = st.text() | st.sampled_from(
    ["[/x]", "[link=https://evil.example]x[/link]", "::add-mask::", "\x1b[31m", "@team"]
)


def app(name: str = "One", uris: tuple[str, ...] = ("https://one.example/cb",)) -> App:
    return App("app_1", "org_1", name, "cid", "hint", uris, ("read",), True, "2026-01-01T00:00:00Z")


def record(held: App) -> AppRecord:
    return AppRecord(ONE, held, SealedSecret("SEALED", "hint", "create", "op_1", "2026-01-01T00:00:00Z"))


def every_kind(name: str, uri: str) -> Plan:
    held = app(name, (uri,))
    spec = AppSpec(name, (uri,), ("read",))
    return Plan(
        (
            Action(ActionKind.CREATE, Address("a"), spec),
            Action(ActionKind.REPLACE, Address("b"), AppSpec("x" + name, (uri + "x",)), record(held), held),
            Action(ActionKind.DELETE, Address("c"), None, record(held), held),
            Action(ActionKind.FORGET, Address("d"), None, record(held)),
            Action(ActionKind.RESUME, Address("e"), spec, None, held, like=ActionKind.CREATE),
            Action(ActionKind.ROTATE, Address("f"), spec, record(held), held),
            Action(ActionKind.RESUME, Address("g"), spec, record(held), held, reason=Reason.NOTHING_LEFT),
        )
    )


@given(NAMES, NAMES)
def test_b23_no_name_and_no_uri_acts_on_the_terminal_whatever_it_holds(name: str, uri: str) -> None:
    text = plan_text(every_kind(name, uri)) + record_text(record(app(name, (uri,))))
    assert all(line.isprintable() for line in text.split("\n"))
    assert paint(text).plain == text


@given(NAMES)
def test_b23_colours_are_all_that_painting_adds_to_a_text(name: str) -> None:
    stream = io.StringIO()
    line = plan_text(Plan((Action(ActionKind.CREATE, ONE, AppSpec(name, ())),)))
    console(stream).print(paint(line), end="")
    shown = stream.getvalue()
    assert "\x1b]8" not in shown  # the escape that makes a link
    for code in ("\x1b[32m", "\x1b[1m", "\x1b[1;31m", "\x1b[0m", "\x1b[36m"):
        shown = shown.replace(code, "")
    assert shown == line


@given(NAMES)
def test_b64_a_hostile_message_or_name_of_the_server_stays_on_its_line(name: str) -> None:
    result = ApplyResult((Result(Action(ActionKind.CREATE, ONE), Status.FAILED, name),))
    assert len(ending(result).splitlines()) == 6


def test_what_went_wrong_after_an_apply_is_told_beside_what_is_not_done() -> None:
    failed = Result(Action(ActionKind.CREATE, ONE), Status.FAILED, "no")
    result = ApplyResult((failed,), trouble="The branch is gone.")
    assert ending(result).splitlines()[-1] == "Others do not see it yet: The branch is gone."
    assert not ApplyResult((), trouble="The branch is gone.").done


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        (Counts(1, 0, 0), "Plan: 1 to add, 0 to change, 0 to destroy."),
        (Counts(2, 1, 3), "Plan: 2 to add, 1 to change, 3 to destroy."),
        (Counts(0, 0, 0, 1), "Plan: 0 to add, 0 to change, 0 to destroy, 1 to forget."),
    ],
)
def test_the_summary_is_word_for_word_what_tools_match(counts: Counts, line: str) -> None:
    assert summary(counts) == line


def test_a_warning_stands_before_the_plan_and_a_clean_plan_still_says_no_changes_at_a_lines_start() -> None:
    text = plan_text(Plan((), notes=(Note(ONE, "it is inactive"),)))
    assert text.startswith("Warning: oauth_app.one: it is inactive\n")
    assert "\nNo changes." in text


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Started(Action(ActionKind.CREATE, ONE)), "oauth_app.one: Creating..."),
        (
            Started(Action(ActionKind.DELETE, ONE, None, record(app()))),
            "oauth_app.one: Destroying... [id=app_1]",
        ),
        (
            Result(Action(ActionKind.CREATE, ONE), Status.DONE, app=app()),
            "oauth_app.one: Creation complete after 1s [id=app_1]",
        ),
        (Result(Action(ActionKind.DELETE, ONE), Status.DONE), "oauth_app.one: Destruction complete after 1s"),
        (Result(Action(ActionKind.CREATE, ONE), Status.FAILED, "no"), "oauth_app.one: Creation failed: no"),
        (Result(Action(ActionKind.CREATE, ONE), Status.OPEN, "hm"), "oauth_app.one: Creation left open: hm"),
        (Result(Action(ActionKind.CREATE, ONE), Status.SKIPPED, "why"), "oauth_app.one: Not started: why"),
    ],
)
def test_progress_is_a_line_an_event(event: Started | Result, line: str) -> None:
    assert progress(event, 1.2) == line


def test_an_error_starts_its_line_and_ends_with_what_to_type() -> None:
    assert error_text(LockedError("It is locked", "By somebody.", "Wait.")) == (
        "Error: It is locked\n\nBy somebody.\nWait.\n"
    )
    assert error_text(ProvisionerError("Short")) == "Error: Short\n"
    assert error_text(ProvisionerError("No detail", "", "Type this.")) == "Error: No detail\n\nType this.\n"


def test_a_record_shows_no_sealed_text_and_says_where_its_secret_is_from() -> None:
    text = record_text(record(app()))
    assert "SEALED" not in text
    assert '# its secret is sealed: "create", "2026-01-01T00:00:00Z", hint "hint"' in text
    assert "# its secret is not held" in record_text(AppRecord(ONE, app()))


def test_a_state_names_its_organization_and_what_is_open() -> None:
    entry = OpenOperation(Operation("op_7", Kind.CREATE, ONE, "lineage"), Step(Phase.CREATING))
    text = state_text(State(Header("lineage", "https://api.example"), {ONE: record(app())}, (entry,)))
    assert text.startswith("# organization (known after the first app) at")
    assert "# oauth_app.one: an earlier run left op_7 open\n" in text
