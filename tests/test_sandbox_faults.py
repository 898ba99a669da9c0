"""Each misbehaviour does what its line in the table says: to the client, and to the truth."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import UsageError
from provisioner.sandbox import faults
from provisioner.sandbox.faults import Done, Fault, Faults, parse, seconds
from provisioner.sandbox.server import Sandbox, running

CASES = Path(__file__).resolve().parent / "cases" / "sandbox"
TLS = ssl.create_default_context()  # made once: it takes longer than a test
APPS = "/api/v1/oauth-apps"
BODY = {"name": "Portal", "redirect_uris": ["https://a.example/cb"]}


@contextmanager
def connected(*specs: str) -> Iterator[tuple[Sandbox, httpx.Client]]:
    with running(faults=specs) as sandbox:
        headers = {"authorization": f"Bearer {sandbox.api_key}"}
        with httpx.Client(
            base_url=sandbox.url, headers=headers, trust_env=False, verify=TLS, timeout=10
        ) as client:
            yield sandbox, client


def cases(name: str) -> Any:
    return json.loads((CASES / name).read_text())


@pytest.mark.parametrize("case", cases("faults.json"), ids=lambda case: case["fault"])
def test_a_fault_does_to_client_and_world_what_it_says(case: dict[str, Any]) -> None:
    with connected(case["fault"]) as (sandbox, client):
        impatient = "60s" in case["fault"] or "hang" in case["fault"]
        reply, error = outcome(client, timeout=0.1 if impatient else 10)
        assert [app.name for app in sandbox.world.apps()] == ["Portal"] * case["done"]
        assert sandbox.calls == {"create": 1}
    assert error == case.get("error")
    if reply:
        assert reply.status_code == case["status"]
        assert {name: reply.headers[name] for name in case.get("headers", {})} == case.get("headers", {})
        assert not set(case.get("without", [])) & set(reply.headers)


def outcome(client: httpx.Client, timeout: float) -> tuple[httpx.Response | None, str | None]:
    try:
        return client.post(APPS, json=BODY, timeout=timeout), None
    except httpx.HTTPError as error:
        return None, type(error).__name__


def test_every_kind_has_a_case_and_a_line_in_the_table() -> None:
    documented = faults.__doc__ or ""
    kinds = {kind for names in faults.KIND_NAMES for kind in names.split(", ")} - {"300 to 599"}
    tried = {case["fault"].split(":")[1].split("=")[0] for case in cases("faults.json")}
    assert {kind for kind in kinds if f"`{kind}`" not in documented} == set()
    assert kinds - tried == {"with"}  # it has a test of its own


@pytest.mark.parametrize(("spec", "words"), cases("bad-faults.json"))
def test_a_fault_that_cannot_be_is_refused_with_the_reason(spec: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(spec)
    assert words in caught.value.detail
    assert caught.value.summary.startswith('Not a fault: "')
    assert caught.value.summary.isprintable()
    assert faults.FORM in caught.value.hint


def test_a_fault_is_read_into_a_value() -> None:
    assert parse("list@3x4:429=7") == Fault("list", faults.STATUS, Done.NEVER, 3, 4, 429, "7")
    assert parse("*@2x*:late=1.5s") == Fault("*", "late", Done.LATE, 2, float("inf"), 1.5)
    assert parse("get:truncated") == Fault("get", "truncated", Done.NOW, 1, 1, None)
    assert parse("create:slow") == Fault("create", "slow", number=0.5)


@given(st.text())
def test_any_text_is_a_fault_or_is_refused(text: str) -> None:
    with suppress(UsageError):
        assert isinstance(parse(text), Fault)


@pytest.mark.parametrize(("text", "value"), [("20ms", 0.02), ("0ms", 0), ("1.5s", 1.5), ("60s", 60)])
def test_a_duration_is_a_number_with_its_unit(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "20", "ms", "-1s", "1m", "1 s", "infs", "1e3s", "1s\n", "٣s"])
def test_a_duration_without_a_unit_or_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Not a duration"):
        seconds(text)


def struck(given: Faults, operations: str) -> str:
    letters = {"c": "create", "l": "list", "o": "other"}
    return "".join("!" if given.take(letters[letter]) else "." for letter in operations)


@pytest.mark.parametrize(
    ("spec", "calls", "pattern"),
    [
        ("create:503", "cccl", "!..."),
        ("create@2:503", "clcc", "..!."),
        ("create@2x2:503", "cccc", ".!!."),
        ("create@3x*:503", "ccclcc", "..!.!!"),
        ("*:503", "olc", ".!."),
        ("*@2x*:503", "lcol", ".!.!"),
    ],
)
def test_a_fault_strikes_at_the_calls_it_names(spec: str, calls: str, pattern: str) -> None:
    assert struck(Faults([spec]), calls) == pattern


def test_of_two_faults_at_one_call_the_first_is_played_and_both_have_had_their_turn() -> None:
    given = Faults(["create:503", "create:500", "create@2:502"])
    assert [fault and fault.number for fault in (given.take("create") for _ in range(3))] == [503, 502, None]
    assert [fault.number for fault in given.played] == [503, 502]


def test_a_fault_given_later_counts_the_calls_from_then_on() -> None:
    with connected() as (sandbox, client):
        assert client.get(APPS).status_code == 200
        sandbox.add_fault("list@2:503")
        assert [client.get(APPS).status_code for _ in range(3)] == [200, 503, 200]
        assert [fault.number for fault in sandbox.played] == [503]


def test_what_would_be_refused_is_not_done_by_a_fault_either() -> None:
    with connected("create:lost-after", "create@2:html-after") as (sandbox, client):
        app = sandbox.world.create("Portal", ["https://theirs.example"])
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(APPS, json=BODY)
        client.post(APPS, json=BODY, headers={"authorization": "Bearer wrong"})
        assert sandbox.world.apps() == (app,)


def test_a_late_commit_happens_after_its_time() -> None:
    with connected("create:late=1ms") as (sandbox, client):
        happened = threading.Event()
        sandbox.world._on_commit = lambda _: happened.set()
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(APPS, json=BODY)
        assert happened.wait(10)


def test_a_late_commit_can_be_brought_about_and_happens_once() -> None:
    with connected("rotate:late=60s", "create:late=50ms") as (sandbox, client):
        app = sandbox.world.create("n", [])
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(f"{APPS}/{app.id}/rotate")
        assert sandbox.world.get(app.id) == app
        sandbox.settle()
        rotated = sandbox.world.get(app.id)
        assert rotated.client_secret != app.client_secret
        sandbox.settle()
        assert sandbox.world.get(app.id) == rotated


def test_a_late_commit_that_was_brought_about_is_not_repeated_when_its_time_comes() -> None:
    with connected("rotate:late=20ms") as (sandbox, client):
        app = sandbox.world.create("n", [])
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(f"{APPS}/{app.id}/rotate")
        sandbox.settle()
        rotated = sandbox.world.get(app.id)
        sandbox.add_fault("list:slow=40ms")
        client.get(APPS)  # by its answer the time has come
        assert sandbox.world.get(app.id) == rotated


def test_a_reply_cut_without_a_length_looks_whole_and_is_not_json() -> None:
    with connected("create:truncated-no-length=40", "get:truncated-no-length=0") as (sandbox, client):
        reply = client.post(APPS, json=BODY)
        assert (reply.status_code, len(reply.content)) == (201, 40)
        with pytest.raises(ValueError):
            reply.json()
        (app,) = sandbox.world.apps()
        assert client.get(f"{APPS}/{app.id}").content == b""


def test_a_reply_cut_short_of_its_length_gives_the_promised_number_of_bytes() -> None:
    with connected("list:truncated=5") as (_, client), client.stream("GET", APPS) as reply:
        assert reply.status_code == 200
        chunks = reply.iter_raw()
        assert next(chunks) == b'{"dat'
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)
        assert reply.headers["content-length"] == str(len('{"data": []}'))


@pytest.mark.parametrize("kind", ["slow=1ms", "trickle=1ms", "no-date"])
def test_a_reply_that_is_only_late_or_undated_is_the_right_one(kind: str) -> None:
    with connected(f"list:{kind}") as (sandbox, client):
        sandbox.world.create("n", ["https://a.example"])
        odd, right = client.get(APPS), client.get(APPS)
        assert odd.content == right.content
        assert odd.headers["content-length"] == right.headers["content-length"]


def test_the_head_of_a_trickling_reply_comes_at_once() -> None:
    with connected("list:trickle=60s") as (_, client), client.stream("GET", APPS, timeout=0.1) as reply:
        assert reply.status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            reply.read()


def test_a_redirect_that_is_followed_is_seen() -> None:
    with connected("create:307") as (sandbox, client):
        client.post(APPS, json=BODY, follow_redirects=True)
        assert sandbox.calls == {"create": 1, "other": 1}
        assert sandbox.requests[-1].path == "/elsewhere"


def test_unknown_fields_come_in_every_object_and_take_nothing_away() -> None:
    with connected("list:extra") as (sandbox, client):
        sandbox.world.create("n", [])
        odd, right = client.get(APPS).json(), client.get(APPS).json()
    assert odd["x_new_last"] == odd["data"][0]["x_new_last"] == "unknown"
    assert odd["data"][0].items() >= right["data"][0].items()


@pytest.mark.parametrize(
    ("spec", "changed"),
    [
        ("without=data.0.name", {"data": [{"name": None}, {"name": "b"}]}),
        ("without=data.-1", {"data": [{"name": "a"}]}),
        ("without=data", {}),
        ("with=data=[]", {"data": []}),
        ("with=data.1.name=7", {"data": [{"name": "a"}, {"name": 7}]}),
        ('with=next_page="x=y"', {"data": [{"name": "a"}, {"name": "b"}], "next_page": "x=y"}),
        ("without=nothing.here", {"data": [{"name": "a"}, {"name": "b"}]}),
        ("without=data.9", {"data": [{"name": "a"}, {"name": "b"}]}),
        ("with=data.first.name=1", {"data": [{"name": "a"}, {"name": "b"}]}),
    ],
)
def test_one_place_of_a_reply_can_be_taken_out_or_set(spec: str, changed: dict[str, Any]) -> None:
    with connected(f"list:{spec}") as (sandbox, client):
        sandbox.world.create("a", [])
        sandbox.world.create("b", [])
        answer = client.get(APPS).json()
    if "data" in answer:
        answer["data"] = [{"name": app.get("name")} for app in answer["data"]]
    assert answer == changed


def test_a_created_reply_can_come_with_an_empty_secret() -> None:
    with connected('create:with=client_secret=""') as (sandbox, client):
        reply = client.post(APPS, json=BODY)
        assert (reply.status_code, reply.json()["client_secret"]) == (201, "")
        assert reply.json()["app"]["id"] == sandbox.world.apps()[0].id


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("extra", 204, b""),
        ("without=a", 204, b""),
        ("truncated-no-length", 204, b""),
        ("trickle=1ms", 204, b""),
    ],
)
def test_an_answer_without_a_body_survives_a_fault_about_bodies(kind: str, status: int, body: bytes) -> None:
    with connected(f"delete:{kind}") as (sandbox, client):
        app = sandbox.world.create("n", [])
        reply = client.delete(f"{APPS}/{app.id}")
        assert (reply.status_code, reply.content) == (status, body)
        assert sandbox.world.apps() == ()


def test_a_delete_can_be_answered_with_gzip_garbage_too() -> None:
    with connected("delete:gzip-garbage") as (sandbox, client):
        app = sandbox.world.create("n", [])
        with pytest.raises(httpx.DecodingError):
            client.delete(f"{APPS}/{app.id}")
        assert sandbox.world.apps() == ()


def test_a_server_that_is_ended_lets_go_of_clients_that_wait() -> None:
    outcomes: list[tuple[httpx.Response | None, str | None]] = []
    client = httpx.Client(trust_env=False, verify=TLS)
    with running(faults=["create:hang-before", "create@2:slow=60s"]) as sandbox:
        client.base_url = httpx.URL(sandbox.url)
        threads = [threading.Thread(target=lambda: outcomes.append(outcome(client, 10))) for _ in range(2)]
        for thread in threads:
            thread.start()
        give_up = time.monotonic() + 10
        while len(sandbox.played) < 2 and time.monotonic() < give_up:
            time.sleep(0.002)
    for thread in threads:
        thread.join()
    client.close()
    assert [reply for reply, _ in outcomes] == [None, None]
    assert {error for _, error in outcomes} <= {"RemoteProtocolError", "ReadError"}
