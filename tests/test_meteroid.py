"""The six operations against a transport that answers from a table: classes of result, words, secrets."""

import base64
import json
import logging
import re
import threading
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpcore
import pytest
import yaml

from provisioner.errors import ApiError, ProvisionerError, UsageError
from provisioner.meteroid import MeteroidApi
from provisioner.meteroid.faults import FAULTS
from provisioner.meteroid.sent import create_request
from provisioner.model import AppSpec, Introspection, Outcome, Reply, Secret
from provisioner.reply import reply_limit

CASES = Path(__file__).parent / "cases" / "meteroid"
TOKEN = "canary-token-506003717a2c3a1"
CLIENT_SECRET = "canary-secret-94c9741219e53266"
SPEC = AppSpec("Partner Portal", ("https://portal.example/cb",), ("read", "write"))
APP = {
    "id": "app_1",
    "organization_id": "org_1",
    "name": "Partner Portal",
    "client_id": "client-1",
    "client_secret_hint": "…abcd",
    "redirect_uris": ["https://portal.example/cb"],
    "scopes": [],
    "is_active": True,
    "created_at": "2025-01-02T03:04:05Z",
    "updated_at": None,
}


def cases(name: str) -> Any:
    return yaml.safe_load((CASES / name).read_text(encoding="utf-8"))


class Time:
    """A clock that only waiting moves; `stops` makes every wait the last."""

    def __init__(self, *, stops: bool = False) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.stops = stops

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += 0 if self.stops else seconds
        return self.stops


@dataclass(frozen=True)
class Answer:
    """What the server says: a status, and a body as text or as JSON."""

    status: int
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    unframed: bool = False

    def response(self) -> httpcore.Response:
        content = (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()
        framing = {} if self.unframed else {"content-length": str(len(content))}
        headers = [(name.encode(), value.encode()) for name, value in {**self.headers, **framing}.items()]
        return httpcore.Response(self.status, headers=headers, content=content)


@dataclass(frozen=True)
class Asked:
    """A request as it was sent; the names of headers in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes


def asked(request: httpcore.Request) -> Asked:
    headers = {name.decode().lower(): value.decode() for name, value in request.headers}
    url = request.url
    content = b"".join(request.stream)  # type: ignore[arg-type]  # it is not asynchronous here
    where = f"{url.scheme.decode()}://{url.host.decode()}{url.target.decode()}"
    return Asked(request.method.decode(), where, headers, content)


class Server:
    """Answers from a list, the last one for ever; keeps what was asked."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[Asked] = []

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        self.requests.append(asked(request))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer.response()

    def close(self) -> None:
        """Nothing is open."""


def api_with(server: Server, time: Time | None = None) -> MeteroidApi:
    time = time or Time()
    return MeteroidApi(
        "https://api.meteroid.com",
        Secret(TOKEN.encode()),
        clock=time.clock,
        wait=time.wait,
        connect=lambda: server,
    )


def answer_of(case: dict[str, Any]) -> Answer:
    body = case.get("body", "x" * case.get("repeat", 0))
    return Answer(case["status"], body, case.get("headers", {}), case.get("unframed", False))


def do(api: MeteroidApi, operation: str) -> Any:
    return {
        "create": lambda: api.create_app(SPEC),
        "rotate": lambda: api.rotate_secret("app_1"),
        "delete": lambda: api.delete_app("app_1"),
        "list": api.list_apps,
        "get": lambda: api.get_app("app_1"),
        "introspect": lambda: api.introspect("client-1", Secret(CLIENT_SECRET.encode())),
    }[operation]()


def text_of(error: BaseException) -> str:
    parts = [*traceback.format_exception(error), repr(error)]
    if isinstance(error, ProvisionerError):
        parts += [error.summary, error.detail, error.hint]
    return "\n".join(parts)


@pytest.mark.parametrize("case", cases("writes.yaml"), ids=lambda case: case["name"])
def test_one_answer_to_a_write_falls_into_its_class_and_is_asked_for_once(case: dict[str, Any]) -> None:
    server = Server(answer_of(case))
    reply = do(api_with(server), case["do"])
    assert (reply.outcome.name, reply.status) == (case["outcome"], case["status"])
    assert reply.complete is case.get("complete", True)
    assert reply.message == case.get("message", reply.message)
    assert len(server.requests) == 1
    assert reply.body == Secret(case.get("body", "x" * min(case.get("repeat", 0), 65536)).encode())


@pytest.mark.parametrize("case", cases("reads.yaml"), ids=lambda case: case["name"])
def test_an_answer_that_is_not_the_one_asked_for_becomes_an_error_with_a_way_out(
    case: dict[str, Any],
) -> None:
    server = Server(answer_of(case))
    with pytest.raises(ApiError) as caught:
        do(api_with(server), case["do"])
    assert caught.value.summary == case["summary"]
    assert case["detail"] in caught.value.detail
    assert case["hint"] in caught.value.hint
    assert len(server.requests) == case["tries"]
    assert "hunter2" not in text_of(caught.value)


def test_a_list_is_read_with_the_server_s_date() -> None:
    date = "Thu, 02 Jan 2025 03:04:06 GMT"
    server = Server(Answer(200, {"data": [APP], "note": "unknown"}, headers={"date": date}))
    listing = api_with(server).list_apps()
    assert [app.id for app in listing.apps] == ["app_1"]
    assert listing.date == date


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 02 Jan 2025 03:04:06 -0000"])
def test_f41_a_date_that_is_none_is_not_passed_on(date: str | None) -> None:
    headers = {} if date is None else {"date": date}
    assert api_with(Server(Answer(200, {"data": []}, headers=headers))).list_apps().date is None


@pytest.mark.parametrize(
    "name", ["next", "hasMore", "has_more", "nextCursor", "pagination_meta", "total_count", "page", "_links"]
)
def test_f24_a_list_with_a_field_like_this_beside_the_apps_is_not_taken_for_all(name: str) -> None:
    with pytest.raises(ApiError, match="seems to be paged"):
        api_with(Server(Answer(200, {"data": [], name: None}))).list_apps()


@pytest.mark.parametrize("name", ["account", "discount", "object", "request_id", "homepage"])
def test_f24_a_field_that_says_nothing_of_pages_is_passed_over(name: str) -> None:
    assert api_with(Server(Answer(200, {"data": [], name: None}))).list_apps().apps == ()


def test_an_app_is_read_by_its_id() -> None:
    server = Server(Answer(200, APP))
    app = api_with(server).get_app("app_1")
    assert app is not None
    assert app.name == "Partner Portal"
    assert server.requests[0].url == "https://api.meteroid.com/api/v1/oauth-apps/app_1"


def test_an_app_that_the_api_does_not_have_is_none() -> None:
    assert api_with(Server(Answer(404))).get_app("app_1") is None


def test_an_app_is_not_gone_because_a_gateway_has_lost_its_route() -> None:
    with pytest.raises(ApiError, match="Something other than the API answered"):
        api_with(Server(Answer(404, "404 page not found"))).get_app("app_1")


@pytest.mark.parametrize("app_id", ["", "app_", "app_1/../app_2", "app_1?x", "../x", "app_1\n", "app_é", "1"])
@pytest.mark.parametrize("operation", ["get_app", "rotate_secret", "delete_app"])
def test_b64_what_is_not_an_id_never_reaches_a_url(operation: str, app_id: str) -> None:
    server = Server(Answer(200))
    with pytest.raises(ApiError, match="Not an app id"):
        getattr(api_with(server), operation)(app_id)
    assert server.requests == []


@pytest.mark.parametrize(
    ("operation", "method", "path", "body"),
    [
        ("create", "POST", "/api/v1/oauth-apps", create_request(SPEC)),
        ("rotate", "POST", "/api/v1/oauth-apps/app_1/rotate", b""),
        ("delete", "DELETE", "/api/v1/oauth-apps/app_1", b""),
    ],
)
def test_a_write_is_sent_as_the_api_describes_it(operation: str, method: str, path: str, body: bytes) -> None:
    server = Server(Answer(409))
    do(api_with(server), operation)
    request = server.requests[0]
    assert (request.method, request.url) == (method, f"https://api.meteroid.com{path}")
    assert request.content == body
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["host"] == "api.meteroid.com"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers.get("content-length") == (str(len(body)) if method == "POST" else None)
    assert request.headers["user-agent"].startswith("provisioner/")
    assert request.headers.get("content-type") == ("application/json" if body else None)


@pytest.mark.parametrize(
    ("scopes", "sent"),
    [(None, {}), ((), {"scopes": []}), (("a", "b"), {"scopes": ["a", "b"]})],
)
def test_b50_scopes_are_left_out_where_they_are_not_managed(
    scopes: tuple[str, ...] | None, sent: dict[str, Any]
) -> None:
    body = create_request(AppSpec("n", ("https://a.example/",), scopes))
    assert json.loads(body) == {"name": "n", "redirect_uris": ["https://a.example/"], **sent}


def test_a_create_is_ascii_even_where_a_name_cannot_be_written_as_utf_8() -> None:
    assert json.loads(create_request(AppSpec("é\ud800", ()))) == {"name": "é\ud800", "redirect_uris": []}


def test_a_large_create_may_have_a_large_answer() -> None:
    spec = AppSpec("n", tuple(f"https://portal.example/{n}/{'x' * 1000}" for n in range(50)))
    limit = reply_limit(spec)
    whole, beyond = (Server(Answer(201, "x" * size)) for size in (limit, limit + 1))
    assert api_with(whole).create_app(spec).outcome is Outcome.DONE
    assert api_with(beyond).create_app(spec).outcome is Outcome.AMBIGUOUS


def every_exception() -> Iterator[type[Exception]]:
    for known in vars(httpcore).values():
        if isinstance(known, type) and issubclass(known, Exception):
            yield known


def made(kind: type[Exception], message: str) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


UNSENT = {
    *(httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout, httpcore.ProxyError),
    *(httpcore.UnsupportedProtocol, httpcore.LocalProtocolError),
}


@pytest.mark.parametrize("kind", sorted(every_exception(), key=lambda kind: kind.__name__))
def test_every_exception_of_httpcore_has_its_class_and_its_text_stays_behind(kind: type[Exception]) -> None:
    server = Server(made(kind, f"Illegal header value b'Bearer {TOKEN}'"))
    reply = do(api_with(server), "create")
    assert reply.outcome is (Outcome.NOT_SENT if kind in UNSENT else Outcome.AMBIGUOUS)
    assert (reply.status, reply.complete, len(reply.body)) == (None, False, 0)
    assert reply.message
    assert TOKEN not in reply.message
    assert reply.outcome is Outcome.NOT_SENT or len(server.requests) == 1


def test_the_table_of_exceptions_names_each_of_them() -> None:
    assert set(every_exception()) <= set(FAULTS)


@pytest.mark.parametrize("kind", [httpcore.ReadTimeout, httpcore.ReadError, httpcore.RemoteProtocolError])
def test_f12_f14_a_post_that_may_have_been_sent_is_not_sent_again(kind: type[Exception]) -> None:
    server = Server(made(kind, ""))
    assert do(api_with(server), "rotate").outcome is Outcome.AMBIGUOUS
    assert len(server.requests) == 1


@pytest.mark.parametrize("operation", ["list", "get", "introspect"])
def test_a_read_is_tried_again_and_then_says_why_not(operation: str) -> None:
    server = Server(made(httpcore.ReadTimeout, ""))
    with pytest.raises(ApiError) as caught:
        do(api_with(server), operation)
    assert "no answer came in time (tried 4 times)" in caught.value.detail
    assert caught.value.hint
    assert len(server.requests) == 4


def test_a_read_goes_on_where_a_later_try_is_answered() -> None:
    server = Server(made(httpcore.ReadError, ""), Answer(503), Answer(200, {"data": []}))
    assert api_with(server).list_apps().apps == ()


def test_a_request_that_never_left_is_sent_again() -> None:
    server = Server(made(httpcore.ConnectError, ""), Answer(204))
    assert do(api_with(server), "delete").outcome is Outcome.DONE


def test_a_request_that_never_leaves_is_given_up_after_four_tries() -> None:
    server, time = Server(made(httpcore.ConnectError, "")), Time()
    reply = do(api_with(server, time), "create")
    assert (reply.outcome, reply.message) == (Outcome.NOT_SENT, "no connection could be made")
    assert len(server.requests) == 4
    assert time.now <= 0.5 + 1 + 2


def test_f19_a_write_that_is_refused_for_now_is_waited_out() -> None:
    server = Server(Answer(429, headers={"retry-after": "7"}), Answer(429), Answer(201))
    time = Time()
    assert do(api_with(server, time), "create").outcome is Outcome.DONE
    assert len(server.requests) == 3
    assert time.now >= 7


def test_f19_a_429_to_the_end_comes_back_as_the_refusal_it_is() -> None:
    server = Server(Answer(429, {"code": "TOO_MANY_REQUESTS", "message": "slow down"}))
    reply = do(api_with(server), "create")
    assert (reply.outcome, reply.status) == (Outcome.REFUSED, 429)
    assert reply.message == "429 Too Many Requests (TOO_MANY_REQUESTS: slow down)"
    assert len(server.requests) == 8


def test_f19_a_429_that_is_cut_off_is_ambiguous_and_not_sent_again() -> None:
    server = Server(answer_of({"status": 429, "body": "x", "unframed": True}))
    assert do(api_with(server), "create").outcome is Outcome.AMBIGUOUS
    assert len(server.requests) == 1


def test_f42_a_write_that_waits_is_given_up_when_the_run_stops() -> None:
    server = Server(Answer(429))
    assert do(api_with(server, Time(stops=True)), "create").status == 429
    assert len(server.requests) == 1


def test_f42_nothing_new_is_sent_when_the_run_stops_while_held_back() -> None:
    server = Server(Answer(429, headers={"retry-after": "60"}))
    api = api_with(server, Time(stops=True))
    do(api, "create")
    reply = do(api, "create")
    assert (reply.outcome, reply.message) == (Outcome.NOT_SENT, "the run was stopped before it was sent")
    with pytest.raises(ApiError, match="could not be asked"):
        do(api, "list")
    assert len(server.requests) == 1


def test_the_pair_is_confirmed_by_an_answer_about_a_token_that_nobody_has() -> None:
    server = Server(Answer(200, {"active": False}))
    api = api_with(server)
    assert [do(api, "introspect") for _ in range(2)] == [Introspection.CONFIRMED] * 2
    first, second = server.requests
    assert (first.method, first.url) == ("POST", "https://api.meteroid.com/api/v1/oauth/introspect")
    assert first.headers["content-type"] == "application/x-www-form-urlencoded"
    pair = base64.b64decode(first.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == f"client-1:{CLIENT_SECRET}"
    (token,) = parse_qs(first.content.decode())["token"]
    assert len(token) >= 32
    assert first.content != second.content


def test_the_pair_is_wrong_where_the_server_says_invalid_client() -> None:
    server = Server(Answer(401, {"error": "invalid_client"}))
    assert do(api_with(server), "introspect") is Introspection.WRONG
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"active": True}),
        Answer(200, {}),
        Answer(200, []),
        Answer(200, "<html>"),
        Answer(200, '{"active": false}', headers={"content-encoding": "gzip"}),
        Answer(401, {"code": "UNAUTHORIZED", "message": "no"}),
        Answer(401, "<html>"),
        Answer(401, {"error": "invalid_client"}, headers={"content-encoding": "gzip"}),
        Answer(400, {"error": "invalid_client"}),
        Answer(403, {"error": "invalid_client"}),
        Answer(404),
    ],
    ids=repr,
)
def test_an_answer_that_does_not_tell_whether_the_pair_is_right_is_an_error(answer: Answer) -> None:
    with pytest.raises(ApiError, match="does not say whether the client secret works") as caught:
        do(api_with(Server(answer)), "introspect")
    assert "POST https://api.meteroid.com/api/v1/oauth/introspect: " in caught.value.detail
    assert caught.value.hint
    assert "METEROID_API_KEY" not in caught.value.hint


def test_a_pair_with_special_signs_is_shown_in_both_forms_before_it_is_called_wrong() -> None:
    server = Server(Answer(401, {"error": "invalid_client"}))
    assert api_with(server).introspect("a:b", Secret(b"p+q r")) is Introspection.WRONG
    pairs = [base64.b64decode(r.headers["authorization"].removeprefix("Basic ")) for r in server.requests]
    assert pairs == [b"a%3Ab:p%2Bq+r", b"a:b:p+q r"]


def test_either_form_of_the_pair_confirms_it() -> None:
    server = Server(Answer(401, {"error": "invalid_client"}), Answer(200, {"active": False}))
    assert api_with(server).introspect("c", Secret(b"p+q")) is Introspection.CONFIRMED


@pytest.mark.parametrize(
    ("base_url", "token", "words"),
    [
        ("http://api.meteroid.com", TOKEN, "base URL cannot be used"),
        ("https://api.meteroid.com/", TOKEN, "base URL cannot be used"),
        ("https://api.meteroid.com", TOKEN + "\r\nX-Evil: 1", "token cannot be used"),
        ("https://api.meteroid.com", "", "token cannot be used"),
    ],
)
def test_b59_b60_what_was_not_checked_before_is_refused_here(base_url: str, token: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        MeteroidApi(base_url, Secret(token.encode()))
    assert TOKEN not in text_of(caught.value)


def test_no_cookie_is_ever_sent_back() -> None:
    server = Server(Answer(200, {"data": []}, headers={"set-cookie": "a=b; Path=/"}))
    api = api_with(server)
    api.list_apps()
    api.list_apps()
    assert "cookie" not in server.requests[1].headers


def test_a_closed_api_sends_nothing() -> None:
    server = Server(Answer(200, {"data": []}))
    with api_with(server) as api:
        api.list_apps()
    with pytest.raises(RuntimeError):
        api.list_apps()
    assert len(server.requests) == 1


def test_a_429_to_one_thread_holds_back_the_others() -> None:
    limited = threading.Event()

    class Limiting(Server):
        def handle_request(self, request: httpcore.Request) -> httpcore.Response:
            answer = Answer(201) if limited.is_set() else Answer(429, headers={"retry-after": "30"})
            limited.set()
            return answer.response()

    waits: list[float] = []
    waiting, resumed = threading.Semaphore(0), threading.Event()

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        waiting.release()
        resumed.wait(5)
        return False

    api = MeteroidApi(
        "https://api.meteroid.com",
        Secret(TOKEN.encode()),
        clock=lambda: 100.0 if resumed.is_set() else 0.0,
        wait=wait,
        connect=Limiting,
    )
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(api.create_app, SPEC)
        assert waiting.acquire(timeout=5)
        others = [pool.submit(api.create_app, SPEC) for _ in range(2)]
        assert all(waiting.acquire(timeout=5) for _ in others)
        resumed.set()
        outcomes = [future.result(5).outcome for future in (first, *others)]
    assert outcomes == [Outcome.DONE] * 3
    assert all(30 <= seconds < 31 for seconds in waits)


def test_one_line_is_logged_for_a_request_and_nothing_of_what_it_held(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    time = Time()
    server = Server(Answer(429, headers={"retry-after": "2"}), Answer(204))
    do(api_with(server, time), "delete")
    (record,) = caplog.records
    assert record.name == "provisioner.meteroid"
    assert re.fullmatch(r"DELETE /api/v1/oauth-apps/app_1: 204, 2\d{3} ms, tries: 2", record.getMessage())


ECHO = f"{TOKEN} {CLIENT_SECRET} Bearer {TOKEN}"
ECHOES = [
    *(Answer(status, {"code": "NO", "message": ECHO}) for status in (400, 401, 409, 429, 500)),
    Answer(403, {"code": "canary", "message": "x" * 190 + TOKEN}),
    Answer(401, {"error": "invalid_request", "error_description": ECHO}),
    Answer(201, {"app": APP, "client_secret": CLIENT_SECRET, "message": ECHO, "code": "OK"}),
    Answer(200, {"client_secret": CLIENT_SECRET, "data": [{"id": ECHO}]}),
    Answer(200, ECHO),
    Answer(307, headers={"location": f"https://evil.example/{TOKEN}?s={CLIENT_SECRET}"}),
    Answer(307, headers={"location": f"https://{CLIENT_SECRET}:{TOKEN}@evil.example/"}),
    Answer(200, {"data": []}, headers={"x-echo": ECHO, "link": f'<{ECHO}>; rel="next"'}),
    *(made(kind, ECHO) for kind in (httpcore.ConnectError, httpcore.ReadError, httpcore.LocalProtocolError)),
]


@pytest.mark.parametrize(
    "answer", ECHOES, ids=lambda answer: str(getattr(answer, "status", type(answer).__name__))
)
@pytest.mark.parametrize("operation", ["create", "rotate", "delete", "list", "get", "introspect"])
def test_no_secret_shows_in_logs_replies_errors_or_tracebacks(
    operation: str, answer: Answer | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api = api_with(Server(answer))
    shown = [repr(api), repr(vars(api))]
    try:
        result = do(api, operation)
    except ProvisionerError as error:
        shown.append(text_of(error))
    else:
        shown += [repr(result), result.message if isinstance(result, Reply) else ""]
    shown.append(caplog.text)
    hidden = CLIENT_SECRET if operation == "introspect" else TOKEN
    assert hidden not in "\n".join(shown)
    assert isinstance(answer, Exception) or answer.status >= 400 or CLIENT_SECRET not in "\n".join(shown)
