"""How long to wait, how often to try, and one brake for all."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.meteroid.answer import Answer
from provisioner.meteroid.classes import outcome_of, read_tries, write_tries
from provisioner.meteroid.faults import FAULTS, HELD_BACK
from provisioner.meteroid.pacing import LONGEST_WAIT, PATIENCE, Pacer, retry_after
from provisioner.meteroid.words import message_of
from provisioner.model import Outcome, Secret

CASES = yaml.safe_load(
    (Path(__file__).parent / "cases" / "meteroid" / "retry_after.yaml").read_text(encoding="utf-8")
)


class Time:
    """A clock that only waiting moves."""

    def __init__(self, stop_at: float = float("inf")) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self.stop_at = stop_at

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return len(self.waits) >= self.stop_at


def pacer(time: Time, random: float = 0.5) -> Pacer:
    return Pacer(time.clock, time.wait, lambda: random)


def limited(retry: str | None = None, status: int = 429) -> Answer:
    return Answer(status, {"content-length": "0"} | ({"retry-after": retry} if retry else {}))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['value']} at {case.get('date')}")
def test_f19_retry_after_is_read_in_seconds_or_against_the_server_s_own_date(case: dict[str, Any]) -> None:
    headers = {"retry-after": case["value"]} | ({"date": case["date"]} if "date" in case else {})
    assert retry_after(Answer(429, headers)) == case["seconds"]


DATES = st.builds(
    "Thu, {} {} {} {}:{}:06 {}".format,
    st.integers(0, 40),
    st.sampled_from(["Jan", "Feb", "1", ""]),
    st.integers(0, 10**6),
    st.integers(0, 30),
    st.integers(0, 70),
    st.sampled_from(["GMT", "", "-0000", "+9999", "+99999999999", "EST"]),
)


@given(st.text(max_size=20) | DATES, st.text(max_size=20) | DATES)
@settings(max_examples=200)
def test_f19_no_retry_after_and_no_date_breaks_the_reader_or_the_bound(value: str, date: str) -> None:
    time = Time()
    answers = iter([Answer(429, {"retry-after": value, "date": date}), Answer(200)])
    pacer(time).run(lambda: next(answers), lambda _: 2)
    assert 0 <= sum(time.waits) <= LONGEST_WAIT + 1


@pytest.mark.parametrize(("retry", "least"), [("7", 7), ("3600", 60), ("9" * 50, 60)])
def test_f19_what_the_server_asks_for_is_waited_up_to_a_minute(retry: str, least: float) -> None:
    time = Time()
    answers = iter([limited(retry), Answer(200)])
    answer, tries = pacer(time).run(lambda: next(answers), lambda answer: 8 if answer.status == 429 else 1)
    assert (answer.status, tries) == (200, 2)
    assert time.waits == [least + 0.25]


@pytest.mark.parametrize("retry", [None, "0", "-5", "garbage"])
def test_f19_without_a_usable_retry_after_the_wait_doubles_from_half_a_second(retry: str | None) -> None:
    time = Time()
    answer, tries = pacer(time, random=1.0).run(lambda: limited(retry), lambda _: 4)
    assert (answer.status, tries) == (429, 4)
    assert time.waits == [0.5 + 0.5, 1 + 0.5, 2 + 0.5]


def test_f19_the_doubling_ends_at_a_minute() -> None:
    time = Time()
    broken = Answer(fault=next(iter(FAULTS.values())))
    pacer(time, random=1.0).run(lambda: broken, lambda _: 10)
    assert time.waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_f19_patience_ends_after_five_minutes_however_many_tries_are_left() -> None:
    time = Time()
    answer, tries = pacer(time, random=0.0).run(lambda: limited("60"), lambda _: 1000)
    assert (answer.status, tries) == (429, 6)
    assert sum(time.waits) == PATIENCE


def test_jitter_may_be_next_to_nothing() -> None:
    time = Time()
    broken = Answer(fault=next(iter(FAULTS.values())))
    assert pacer(time, random=0.0).run(lambda: broken, lambda _: 3)[1] == 3
    assert time.waits == [0, 0]


@pytest.mark.parametrize("status", [429, 503])
def test_f19_what_one_request_is_told_holds_for_the_next_even_where_it_gives_up(status: int) -> None:
    time = Time()
    shared = pacer(time)
    shared.run(lambda: limited("20", status), lambda _: 1)
    assert time.waits == []
    assert shared.run(lambda: Answer(200), lambda _: 1)[1] == 1
    assert time.waits == [20.25]


def test_a_shorter_wait_does_not_end_a_longer_one() -> None:
    time = Time()
    shared = pacer(time)
    for retry in ("30", "2"):
        shared._hold(float(retry))
    shared.run(lambda: Answer(200), lambda _: 1)
    assert time.waits == [30.25]


def test_a_hold_that_grows_while_one_waits_is_waited_out_as_well() -> None:
    time = Time()
    shared = Pacer(
        time.clock, lambda seconds: time.wait(seconds) or (len(time.waits) == 1 and grow()), lambda: 0.0
    )

    def grow() -> bool:
        shared._hold(10)
        return False

    shared._hold(5)
    assert shared.run(lambda: Answer(200), lambda _: 1)[1] == 1
    assert time.waits == [5, 10]


def test_f19_what_is_held_back_for_longer_than_patience_is_never_sent() -> None:
    time = Time()
    shared = Pacer(time.clock, lambda seconds: time.wait(seconds) or shared._hold(60) or False, lambda: 0.0)
    shared._hold(60)
    answer, tries = shared.run(lambda: pytest.fail("it was sent"), lambda _: 1)
    assert (answer, tries) == (Answer(fault=HELD_BACK), 0)
    assert sum(time.waits) <= PATIENCE
    assert outcome_of(answer, 201) is Outcome.NOT_SENT


def test_f19_what_the_machine_slept_over_is_never_sent() -> None:
    time = Time()
    shared = Pacer(time.clock, lambda _: time.wait(8 * 3600), lambda: 0.0)
    shared._hold(60)
    answer, _ = shared.run(lambda: pytest.fail("it was sent"), lambda _: 1)
    assert answer == Answer(fault=HELD_BACK)


def test_f19_what_the_machine_slept_over_between_two_tries_is_not_sent_again() -> None:
    time = Time()
    shared = Pacer(time.clock, lambda _: time.wait(8 * 3600), lambda: 0.0)
    broken = Answer(fault=next(iter(FAULTS.values())))
    assert shared.run(lambda: broken, lambda _: 4) == (broken, 1)


FOREIGN = {
    "Go's router": b"404 page not found\n",
    "a gateway": b'{"message":"no Route matched with those values"}',
    "an ingress": b"default backend - 404",
    "an object of another form": b'{"error": "not_found"}',
    "another code": b'{"code": "BAD_REQUEST", "message": "no"}',
    "a list": b"[]",
    "a page": b"<html></html>",
}
OWN = {"no body": b"", "the API's form": b'{"code": "NOT_FOUND", "message": "There is none."}'}


@pytest.mark.parametrize("body", [*FOREIGN.values(), *OWN.values()], ids=[*FOREIGN, *OWN])
def test_a_404_says_that_an_app_is_gone_only_where_the_api_itself_wrote_it(body: bytes) -> None:
    answer = Answer(404, {"content-length": str(len(body))}, Secret(body))
    own = body in OWN.values()
    assert outcome_of(answer, 204) is (Outcome.REFUSED if own else Outcome.AMBIGUOUS)
    said = message_of(answer, Secret(b"x"))
    assert ("not the API's answer" in said or "not in the form of the API's answers" in said) is not own


def test_f42_a_stop_while_backing_off_brings_the_last_answer_back() -> None:
    time = Time(stop_at=1)
    broken = Answer(fault=next(iter(FAULTS.values())))
    assert pacer(time).run(lambda: broken, lambda _: 4) == (broken, 1)


def test_f42_a_stop_while_held_back_brings_the_last_answer_back() -> None:
    time = Time(stop_at=1)
    answer = limited("9")
    assert pacer(time).run(lambda: answer, lambda _: 4) == (answer, 1)


def test_what_says_nothing_at_all_is_ambiguous_and_has_words() -> None:
    nothing = Answer()
    assert outcome_of(nothing, 201) is Outcome.AMBIGUOUS
    assert (write_tries(nothing), read_tries(nothing)) == (1, 1)
    assert message_of(nothing, Secret(b"")) == "no answer"


def test_nothing_to_hide_hides_nothing() -> None:
    body = Secret(b'{"code": "CONFLICT", "message": "taken"}')
    assert (
        message_of(Answer(409, {"content-length": "1"}, body), Secret(b""))
        == "409 Conflict (CONFLICT: taken)"
    )
