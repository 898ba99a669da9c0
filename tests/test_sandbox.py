"""The sandbox as the API: its six operations, the truth behind them, and the file that it may be kept in."""

from __future__ import annotations

import json
import os
import re
import resource
import ssl
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provisioner.errors import FileError
from provisioner.sandbox import datafile
from provisioner.sandbox.api import Answer, Call
from provisioner.sandbox.ids import base62, new_id, new_secret
from provisioner.sandbox.server import Sandbox, running
from provisioner.sandbox.world import NameTakenError, NoSuchAppError, OAuthApp, Quirks, World

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "cases" / "sandbox"
DESCRIPTION = ROOT.parent / "shared" / "api" / "openapi.json"
TLS = ssl.create_default_context()  # made once: it takes longer than a test
APPS = "/api/v1/oauth-apps"
INTROSPECT = "/api/v1/oauth/introspect"
BODY = {
    "name": "Portal",
    "redirect_uris": ["https://b.example/cb", "https://a.example/cb"],
    "scopes": ["read"],
}
VSCHAR = re.compile(r"[\x20-\x7e]+")


@contextmanager
def connected(world: World | None = None, **options: Any) -> Iterator[tuple[Sandbox, httpx.Client]]:
    with running(world, **options) as sandbox:
        headers = {"authorization": f"Bearer {sandbox.api_key}"}
        with httpx.Client(
            base_url=sandbox.url, headers=headers, trust_env=False, verify=TLS, timeout=10
        ) as client:
            yield sandbox, client


@pytest.fixture
def pair() -> Iterator[tuple[Sandbox, httpx.Client]]:
    with connected() as pair:
        yield pair


@pytest.fixture
def sandbox(pair: tuple[Sandbox, httpx.Client]) -> Sandbox:
    return pair[0]


@pytest.fixture
def client(pair: tuple[Sandbox, httpx.Client]) -> httpx.Client:
    return pair[1]


def shown(app: OAuthApp) -> dict[str, Any]:
    """What the API shows of an app, written out a second time on purpose."""
    return {
        "id": app.id,
        "organization_id": app.organization_id,
        "name": app.name,
        "client_id": app.client_id,
        "client_secret_hint": app.client_secret_hint,
        "redirect_uris": list(app.redirect_uris),
        "scopes": list(app.scopes),
        "is_active": app.is_active,
        "created_at": app.created_at,
        "updated_at": app.updated_at,
    }


# The operations


def test_create_answers_with_the_app_and_its_secret_once(sandbox: Sandbox, client: httpx.Client) -> None:
    reply = client.post(APPS, json=BODY)
    (app,) = sandbox.world.apps()
    assert reply.status_code == 201
    assert reply.json() == {"app": shown(app), "client_secret": app.client_secret}
    assert (app.name, app.redirect_uris, app.scopes) == ("Portal", tuple(BODY["redirect_uris"]), ("read",))
    assert app.client_secret not in client.get(APPS).text + client.get(f"{APPS}/{app.id}").text


@pytest.mark.parametrize("scopes", [{}, {"scopes": None}, {"scopes": []}])
def test_scopes_that_are_missing_null_or_empty_come_back_empty(
    client: httpx.Client, scopes: dict[str, Any]
) -> None:
    reply = client.post(APPS, json={"name": "n", "redirect_uris": [], **scopes})
    assert reply.json()["app"]["scopes"] == []


def test_a_name_is_given_once_and_is_free_again_after_its_app_is_deleted(client: httpx.Client) -> None:
    first = client.post(APPS, json=BODY).json()["app"]
    taken = client.post(APPS, json={**BODY, "redirect_uris": []})
    assert (taken.status_code, taken.json()["code"]) == (409, "CONFLICT")
    assert client.delete(f"{APPS}/{first['id']}").status_code == 204
    assert client.post(APPS, json=BODY).status_code == 201


def test_list_shows_every_app_in_the_order_of_creation(sandbox: Sandbox, client: httpx.Client) -> None:
    apps = [sandbox.world.create(name, ["https://a.example/cb"]) for name in ("c", "a", "b")]
    sandbox.world.rotate(apps[0].id)
    reply = client.get(APPS)
    assert reply.json() == {"data": [shown(app) for app in sandbox.world.apps()]}
    assert [app["name"] for app in reply.json()["data"]] == ["c", "a", "b"]


def test_get_shows_one_app(sandbox: Sandbox, client: httpx.Client) -> None:
    app = sandbox.world.create("made by hand", ["https://a.example/cb"])
    reply = client.get(f"{APPS}/{app.id}")
    assert (reply.status_code, reply.json()) == (200, shown(app))


def test_delete_answers_204_without_a_body_and_then_404(sandbox: Sandbox, client: httpx.Client) -> None:
    app = sandbox.world.create("n", [])
    first, second = client.delete(f"{APPS}/{app.id}"), client.delete(f"{APPS}/{app.id}")
    assert (first.status_code, first.content) == (204, b"")
    assert (second.status_code, second.json()["code"]) == (404, "NOT_FOUND")
    assert sandbox.world.apps() == ()


def test_rotate_changes_secret_and_hint_at_once(sandbox: Sandbox, client: httpx.Client) -> None:
    before = sandbox.world.create("n", [])
    reply = client.post(f"{APPS}/{before.id}/rotate")
    after = sandbox.world.get(before.id)
    assert reply.status_code == 200
    assert reply.json() == {
        "client_secret": after.client_secret,
        "client_secret_hint": after.client_secret_hint,
    }
    assert before.client_secret != after.client_secret
    assert before.client_secret_hint != after.client_secret_hint
    assert not sandbox.world.confirms(before.client_id, before.client_secret)
    assert sandbox.world.confirms(after.client_id, after.client_secret)


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
@pytest.mark.parametrize("app_id", ["app_7n42DGM5Tflk9n8mt7Fhc7", "no-id-at-all", "%2e%2e"])
def test_an_unknown_id_is_answered_404(client: httpx.Client, method: str, suffix: str, app_id: str) -> None:
    reply = client.request(method, f"{APPS}/{app_id}{suffix}")
    assert (reply.status_code, reply.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Basic {key}", "{key}", "Bearer {key}x", "Bearer é"]
)
def test_without_the_right_bearer_token_nothing_is_shown_or_done(
    sandbox: Sandbox, client: httpx.Client, header: str | None
) -> None:
    app = sandbox.world.create("n", [])
    del client.headers["authorization"]
    given = {"authorization": header.format(key=sandbox.api_key).encode("latin-1")} if header else {}
    replies = [
        client.get(APPS, headers=given),
        client.post(APPS, json=BODY, headers=given),
        client.get(f"{APPS}/{app.id}", headers=given),
        client.delete(f"{APPS}/{app.id}", headers=given),
        client.post(f"{APPS}/{app.id}/rotate", headers=given),
    ]
    assert [(reply.status_code, reply.json()["code"]) for reply in replies] == [(401, "UNAUTHORIZED")] * 5
    assert sandbox.world.apps() == (app,)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"{"),
        (400, b'{"name": "n", "redirect_uris": ["\xff"]}'),
        (400, b"[" * 100_000),
        (422, b"[]"),
        (422, b"{}"),
        (422, b'{"name": "n"}'),
        (422, b'{"name": null, "redirect_uris": []}'),
        (422, b'{"name": "\\ud800", "redirect_uris": []}'),
        (422, b'{"name": "n", "redirect_uris": "https://a.example"}'),
        (422, b'{"name": "n", "redirect_uris": [1]}'),
        (422, b'{"name": "n", "redirect_uris": [], "scopes": "read"}'),
        (422, b'{"name": "n", "redirect_uris": [], "scopes": [null]}'),
    ],
)
def test_a_bad_body_is_refused(sandbox: Sandbox, client: httpx.Client, status: int, body: bytes) -> None:
    reply = client.post(APPS, content=body, headers={"content-type": "application/json; charset=utf-8"})
    assert (reply.status_code, reply.json()["code"]) == (status, "BAD_REQUEST")
    assert sandbox.world.apps() == ()


def test_a_body_that_is_not_called_json_is_refused(client: httpx.Client) -> None:
    reply = client.post(APPS, content=json.dumps(BODY), headers={"content-type": "text/plain"})
    assert (reply.status_code, reply.json()["code"]) == (415, "BAD_REQUEST")


def test_introspection_confirms_the_right_pair_and_no_other(sandbox: Sandbox, client: httpx.Client) -> None:
    app = sandbox.world.create("n", [])
    right = client.post(INTROSPECT, data={"token": "junk"}, auth=(app.client_id, app.client_secret))
    assert (right.status_code, right.json()) == (200, {"active": False})
    for pair in [
        (app.client_id, "wrong"),
        ("wrong", app.client_secret),
        (app.id, app.client_secret),
        ("", ""),
    ]:
        wrong = client.post(INTROSPECT, data={"token": "junk"}, auth=pair)
        assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})
        assert wrong.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("header", ["Bearer x", "Basic", "Basic !", "Basic /w==", "Basic YQ==", ""])
def test_introspection_without_a_usable_basic_header_is_answered_401(
    client: httpx.Client, header: str
) -> None:
    reply = client.post(INTROSPECT, data={"token": "junk"}, headers={"authorization": header})
    assert (reply.status_code, reply.json()) == (401, {"error": "invalid_client"})


def test_introspection_without_a_token_is_an_invalid_request(sandbox: Sandbox, client: httpx.Client) -> None:
    app = sandbox.world.create("n", [])
    reply = client.post(INTROSPECT, data={"token": ""}, auth=(app.client_id, app.client_secret))
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


def test_the_secret_of_an_inactive_app_is_not_confirmed(sandbox: Sandbox) -> None:
    app = sandbox.world.create("n", [])
    sandbox.world.set(app.id, is_active=False)
    assert not sandbox.world.confirms(app.client_id, app.client_secret)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/elsewhere"), ("PATCH", f"{APPS}/app_1"), ("GET", f"{APPS}/")]
)
def test_anything_else_is_answered_404_and_counted(
    sandbox: Sandbox, client: httpx.Client, method: str, path: str
) -> None:
    reply = client.request(method, path)
    assert (reply.status_code, reply.json()["code"]) == (404, "NOT_FOUND")
    assert sandbox.calls == {"other": 1}
    assert (sandbox.requests[0].method, sandbox.requests[0].path) == (method, path)


def test_calls_and_requests_tell_what_came_in_and_their_repr_keeps_secrets(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    app = client.post(APPS, json=BODY).json()["app"]
    client.get(APPS)
    client.get(f"{APPS}/{app['id']}")
    assert sandbox.calls == {"create": 1, "list": 1, "get": 1}
    create, _, get = sandbox.requests
    assert json.loads(create.body) == BODY
    assert create.headers["authorization"] == f"Bearer {sandbox.api_key}"
    assert get.app_id == app["id"]
    assert sandbox.api_key not in repr(sandbox.requests)
    assert "Portal" not in repr(create)


def test_date_is_the_clock_that_created_at_was_read_from() -> None:
    moment = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    with connected(World(clock=moment.astimezone)) as (_, client):
        reply = client.post(APPS, json=BODY)
    assert reply.headers["date"] == "Mon, 03 Feb 2031 04:05:06 GMT"
    assert reply.json()["app"]["created_at"] == "2031-02-03T04:05:06.000789Z"


def test_latency_is_waited_before_the_call_is_done() -> None:
    with connected(latency=60) as (sandbox, client):
        with pytest.raises(httpx.ReadTimeout):
            client.post(APPS, json=BODY, timeout=0.1)
        assert sandbox.calls == {"create": 1}
        assert sandbox.world.apps() == ()


def test_a_key_can_be_chosen() -> None:
    with connected(api_key="chosen") as (sandbox, client):
        assert sandbox.api_key == "chosen"
        assert client.get(APPS, headers={"authorization": "bearer chosen"}).status_code == 200


def test_many_creates_of_one_name_at_a_time_make_one_app(sandbox: Sandbox, client: httpx.Client) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(client.post(APPS, json=BODY).status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 7
    assert len(sandbox.world.apps()) == 1


def described() -> dict[str, Any]:
    if not DESCRIPTION.exists():
        pytest.skip(
            "NOT CHECKED against the published API description: ../shared/api/openapi.json is not there"
        )
    description: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    return description


def check(reply: httpx.Response, method: str, path: str) -> None:
    """The reply is one that the API description has for this operation."""
    description = described()
    declared = description["paths"][path][method]["responses"][str(reply.status_code)]
    if "content" not in declared:  # 204, and the errors whose body is not described
        assert reply.status_code != 204 or reply.content == b""
        return
    schema = declared["content"][reply.headers["content-type"]]["schema"]
    Draft202012Validator({**schema, "components": description["components"]}).validate(reply.json())


def test_replies_are_of_the_published_form(sandbox: Sandbox, client: httpx.Client) -> None:
    create = client.post(APPS, json=BODY)
    app, secret = create.json()["app"], create.json()["client_secret"]
    check(create, "post", APPS)
    check(client.post(APPS, json=BODY), "post", APPS)
    check(client.get(f"{APPS}/{app['id']}"), "get", f"{APPS}/{{id}}")
    check(client.get(f"{APPS}/app_1"), "get", f"{APPS}/{{id}}")
    check(client.post(INTROSPECT, data={"token": "x"}, auth=(app["client_id"], secret)), "post", INTROSPECT)
    check(client.post(INTROSPECT, data={"token": "x"}, auth=(app["client_id"], "x")), "post", INTROSPECT)
    check(client.post(f"{APPS}/{app['id']}/rotate"), "post", f"{APPS}/{{id}}/rotate")
    check(client.get(APPS), "get", APPS)
    sandbox.add_fault("*@1x*:429")
    check(client.get(APPS), "get", APPS)
    check(client.post(f"{APPS}/{app['id']}/rotate"), "post", f"{APPS}/{{id}}/rotate")
    check(client.post(INTROSPECT, data={"token": "x"}), "post", INTROSPECT)


def test_error_bodies_are_rest_error_responses_even_where_none_is_described(client: httpx.Client) -> None:
    client.post(APPS, json=BODY)
    description = described()
    schema = {"$ref": "#/components/schemas/RestErrorResponse", "components": description["components"]}
    replies = [
        client.post(APPS, json=BODY),
        client.post(APPS, json={}),
        client.get("/"),
        client.get(f"{APPS}/app_1"),
    ]
    for reply in replies:
        Draft202012Validator(schema).validate(reply.json())


# The truth


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_base62_is_a_positional_number_of_22_digits_at_most(number: int) -> None:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value = 0
    for char in base62(number):
        value = value * 62 + digits.index(char)
    assert value == number
    assert len(base62(number)) <= 22


def test_ids_and_secrets_have_the_form_of_the_real_ones() -> None:
    app = World().create("n", [])
    assert re.fullmatch(r"app_[0-9A-Za-z]{1,22}", app.id)
    assert re.fullmatch(r"org_[0-9A-Za-z]{1,22}", app.organization_id)
    assert VSCHAR.fullmatch(app.client_id)
    assert ":" not in app.client_id
    assert VSCHAR.fullmatch(app.client_secret)
    assert app.client_secret.endswith(app.client_secret_hint)
    assert len({new_id("app") for _ in range(100)} | {new_secret() for _ in range(100)}) == 200


def test_the_secret_and_its_hint_are_not_in_a_repr() -> None:
    app = World(quirks=Quirks(hint_length=8)).create("n", [])
    assert app.client_secret not in repr(app)
    assert app.client_secret_hint not in repr(app)
    assert "s3cr3t" not in repr(Answer(200, b"s3cr3t")) + repr(Call("get", "GET", "/", body=b"s3cr3t"))


def test_an_edit_by_hand_shows_as_updated_and_keeps_the_place_in_the_list() -> None:
    world = World()
    first, second = world.create("a", ["https://a.example"]), world.create("b", [])
    edited = world.set(first.id, redirect_uris=["https://c.example"], scopes=["x"], is_active=False)
    assert (edited.redirect_uris, edited.scopes, edited.is_active) == (("https://c.example",), ("x",), False)
    assert first.updated_at is None
    assert edited.updated_at is not None
    assert world.apps() == (edited, second)


def test_a_rename_by_hand_frees_the_old_name_and_takes_the_new_one() -> None:
    world = World()
    app = world.create("a", [])
    world.set(app.id, name="b")
    with pytest.raises(NameTakenError):
        world.create("b", [])
    other = world.create("a", [])
    with pytest.raises(NameTakenError):
        world.set(other.id, name="b")
    assert world.get(other.id) == other


@pytest.mark.parametrize("act", ["get", "rotate", "delete", "set"])
def test_an_id_that_is_not_there_is_an_error_by_hand_too(act: str) -> None:
    with pytest.raises(NoSuchAppError):
        getattr(World(), act)("app_1")


def test_quirk_rotate_may_leave_updated_at_alone() -> None:
    for sets in (True, False):
        world = World(quirks=Quirks(rotate_sets_updated_at=sets))
        app = world.rotate(world.create("n", []).id)
        assert (app.updated_at is not None) is sets


def test_quirk_redirect_uris_may_come_back_in_another_order() -> None:
    assert World().create("n", ["b", "a"]).redirect_uris == ("b", "a")
    assert World(quirks=Quirks(keep_uri_order=False)).create("n", ["b", "a"]).redirect_uris == ("a", "b")


def test_quirk_the_hint_may_have_another_form_or_never_change() -> None:
    app = World(quirks=Quirks(hint_prefix="****", hint_length=2)).create("n", [])
    assert app.client_secret_hint == "****" + app.client_secret[-2:]
    world = World(quirks=Quirks(hint_prefix="hidden", hint_length=0))
    assert world.rotate(world.create("n", []).id).client_secret_hint == "hidden"


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("hold", [True, False])
def test_quirk_an_inactive_app_may_be_listed_and_may_hold_its_name(listed: bool, hold: bool) -> None:
    with connected(World(quirks=Quirks(list_inactive=listed, inactive_hold_name=hold))) as (sandbox, client):
        app = sandbox.world.create("Portal", [])
        sandbox.world.set(app.id, is_active=False)
        assert len(client.get(APPS).json()["data"]) == listed
        assert client.post(APPS, json=BODY).status_code == (409 if hold else 201)
        with nothing_or(NameTakenError, expected=not hold):
            sandbox.world.set(app.id, is_active=True)


@contextmanager
def nothing_or(error: type[Exception], *, expected: bool) -> Iterator[None]:
    with pytest.raises(error) if expected else ExitStack():
        yield


def test_quirk_names_may_be_one_name_whatever_their_case_and_outer_spaces() -> None:
    world = World(quirks=Quirks(fold_names=True))
    app = world.create("Portal", [])
    with pytest.raises(NameTakenError):
        world.create(" PORTAL ", [])
    world.delete(app.id)
    assert world.create(" PORTAL ", []).name == " PORTAL "
    assert World().create("Portal", []).name == "Portal"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "rotate", "delete", "rename", "switch"]),
        st.integers(min_value=0, max_value=3),
        st.sampled_from(["a", "A", " a", "b", "é\u2028"]),
    ),
    max_size=30,
)


def step(world: World, act: str, place: int, name: str) -> None:
    app_id = world.apps()[place].id if place < len(world.apps()) else "app_none"
    with suppress(NameTakenError, NoSuchAppError):
        match act:
            case "create":
                world.create(name, [f"https://{place}.example"], [name])
            case "rotate":
                world.rotate(app_id)
            case "delete":
                world.delete(app_id)
            case "rename":
                world.set(app_id, name=name)
            case "switch":
                world.set(app_id, is_active=not world.get(app_id).is_active)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.booleans(), st.booleans())
def test_whatever_happens_held_names_are_unique_and_the_file_gives_back_the_same_world(
    steps: list[tuple[str, int, str]], hold: bool, fold: bool
) -> None:
    quirks = Quirks(inactive_hold_name=hold, fold_names=fold)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "world"
        with datafile.opened(path, quirks) as world:
            for each in steps:
                step(world, *each)
                holders = [app.name for app in world.apps() if hold or app.is_active]
                held = [name.strip().casefold() if fold else name for name in holders]
                assert len(set(held)) == len(held)
            before = (world.organization_id, world.apps())
        with datafile.opened(path, quirks) as again:
            assert (again.organization_id, again.apps()) == before
            for name in {app.name for app in again.apps() if hold or app.is_active}:
                with pytest.raises(NameTakenError):
                    again.create(name, [])


# The file


def test_the_data_file_is_for_its_owner_only_even_when_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "world"
    with datafile.opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with datafile.opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_appends_one_line_and_rewrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "world"
    with datafile.opened(path) as world:
        app = world.create("n", [])
        before = path.read_bytes()
        world.rotate(app.id)
        assert path.read_bytes().startswith(before)
        world.delete(app.id)
    assert len(path.read_bytes().splitlines()) == 4


@pytest.mark.parametrize("name", json.loads((CASES / "damaged-data.json").read_text()))
def test_a_damaged_data_file_is_refused_and_left_as_it_is(name: str, tmp_path: Path) -> None:
    head = json.dumps({"format": datafile.FORMAT, "organization_id": "org_1"}) + "\n"
    lines = json.loads((CASES / "damaged-data.json").read_text())[name]
    path = tmp_path / "world"
    path.write_bytes(
        "".join(head if line == "HEAD" else line for line in lines).encode("utf-8", "surrogatepass")
    )
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(FileError) as caught, datafile.opened(path):
        pass
    assert "is damaged" in caught.value.summary
    assert f"Line {2 if 'HEAD' in lines else 1} " in caught.value.detail
    assert "move this one away" in caught.value.hint
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_data_file_in_use_is_refused(tmp_path: Path) -> None:
    with (
        datafile.opened(tmp_path / "world"),
        pytest.raises(FileError, match="is in use"),
        datafile.opened(tmp_path / "world"),
    ):
        pass


@pytest.mark.parametrize("place", [".", "missing/world"])
def test_a_data_file_that_cannot_be_opened_is_said_so(place: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="could not be opened") as caught, datafile.opened(tmp_path / place):
        pass
    assert caught.value.detail in ("Is a directory.", "No such file or directory.")


def test_a_pipe_is_no_data_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="not a regular file"), datafile.opened(tmp_path / "pipe"):
        pass


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 10])
def test_what_the_disk_has_no_room_for_is_answered_500_and_did_not_happen(tmp_path: Path, room: int) -> None:
    path = tmp_path / "world"
    with datafile.opened(path) as world, connected(world) as (_, client):
        before = path.read_bytes()
        with files_of_at_most(len(before) + room):
            reply = client.post(APPS, json=BODY)
        assert (reply.status_code, reply.json()["code"]) == (500, "INTERNAL_SERVER_ERROR")
        assert world.apps() == ()
        assert path.read_bytes() == before
        assert client.post(APPS, json=BODY).status_code == 201
    with datafile.opened(path) as again:
        assert [app.name for app in again.apps()] == ["Portal"]


def test_created_at_of_apps_made_in_one_second_still_differ() -> None:
    moments = iter(datetime(2030, 1, 1, tzinfo=UTC) + timedelta(microseconds=n) for n in range(2))
    world = World(clock=lambda: next(moments))
    assert world.create("a", []).created_at < world.create("b", []).created_at
