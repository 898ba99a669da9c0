"""Delivery to GitHub Actions, against a server of our own that is held to GitHub's published description."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import jsonschema
import pytest
import yaml
from counterparts.github import PLACES, TOKEN, Answer, Exchange, Hub, serving
from nacl.public import PrivateKey, SealedBox

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.manifest.options import name_check
from provisioner.model import Address, Secret
from provisioner.sandbox.application import Sandbox
from provisioner.sinks.github_actions import GithubActionsSink, sink
from provisioner.sinks.github_session import Session
from provisioner.sinks.http import NoAnswerError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sinks" / "github-actions.md"
OPENAPI = "@octokit/openapi@23.0.2"
DESCRIBED = ("api.github.com", "ghes-3.19")  # the newest Enterprise Server in that package
CANARY = "cs_canary_" + secrets.token_hex(12)
CLIENT_ID = "client-1"
OPTIONS: dict[str, Any] = {
    "repository": "acme/shop",
    "environment": "",
    "prefix": "",
    "keys": {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"},
}
PAIR = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CANARY}
in_both = pytest.mark.parametrize(("options", "path"), PLACES.values(), ids=PLACES)


# What GitHub publishes about its API


Description = Mapping[str, Any]  # by path template and method: parameters, body and responses, without $ref


@pytest.fixture(scope="session")
def descriptions(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Description]:
    """What GitHub says of secrets, kept in the virtual environment once it is there; empty without npm."""
    kept = (
        Path(sys.prefix) / "node" / f"{OPENAPI.strip('@').replace('/', '-').replace('@', '-')}-secrets.json"
    )
    if kept.exists():
        return dict(json.loads(kept.read_bytes()))
    npm = shutil.which("npm")
    if npm is None:
        return {}
    folder = tmp_path_factory.mktemp("openapi")
    command = [npm, "pack", "--ignore-scripts", f"--pack-destination={folder}", OPENAPI]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return {}
    (archive,) = folder.glob("*.tgz")
    found = dict(unpacked(archive))
    if sys.prefix != sys.base_prefix:
        kept.parent.mkdir(exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=kept.parent)) / kept.name
        beside.write_text(json.dumps(found))
        beside.replace(kept)
        beside.parent.rmdir()
    return found


def unpacked(archive: Path) -> Iterator[tuple[str, Description]]:
    """The few operations that are about secrets of Actions, of each description that is wanted."""
    wanted = {f"package/generated/{name}.json": name for name in DESCRIBED}
    with tarfile.open(archive) as package:
        for member in package:
            if member.name in wanted and (file := package.extractfile(member)):
                whole = json.load(file)
                own = re.compile(r"/repos/\{owner\}/\{repo\}/(actions|environments/\{\w+\})/secrets(/.*)?")
                paths = {path: item for path, item in whole["paths"].items() if own.fullmatch(path)}
                yield wanted[member.name], filled(paths, whole)


def filled(node: Any, whole: Any) -> Any:
    """`node` with what its references point to, and without examples."""
    if isinstance(node, list):
        return [filled(item, whole) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = whole
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return filled(found, whole)
    return {name: filled(item, whole) for name, item in node.items() if name != "examples"}


def offences(exchange: Exchange, description: Description) -> Iterator[str]:
    """What a request, or our answer to it, has against a description."""
    split = urlsplit(exchange.path)
    template = next((one for one in description if fits(one, split.path) is not None), None)
    operation = description.get(template or "", {}).get(exchange.method.lower())
    if template is None or operation is None:
        yield f"there is no {exchange.method} {split.path}"
        return
    parameters = {(one["in"], one["name"]): one for one in operation.get("parameters", [])}
    given = {("path", name): unquote(text) for name, text in (fits(template, split.path) or {}).items()}
    given |= {("query", name): text for name, text in parse_qsl(split.query, keep_blank_values=True)}
    for key, text in given.items():
        if key not in parameters:
            yield f"there is no parameter {key}"
        else:
            schema = parameters[key]["schema"]
            value = int(text) if schema["type"] == "integer" and text.isdecimal() else text
            yield from invalid(value, schema)
    yield from (
        f"{key} is missing" for key, one in parameters.items() if one.get("required") and key not in given
    )
    if "requestBody" in operation:
        (kind, content), *_ = operation["requestBody"]["content"].items()
        if exchange.headers.get("content-type") != kind:
            yield f"the body is not {kind}"
        yield from invalid(json.loads(exchange.body or b"null"), content["schema"])
    elif exchange.body:
        yield "a body where none belongs"
    if 200 <= exchange.status < 300:
        yield from wrong_answer(exchange, operation["responses"])


def wrong_answer(exchange: Exchange, responses: Mapping[str, Any]) -> Iterator[str]:
    response = responses.get(str(exchange.status))
    if response is None:
        yield f"{exchange.status} is not answered"
    elif "content" in response:
        yield from invalid(json.loads(exchange.answer), response["content"]["application/json"]["schema"])
    elif exchange.answer:
        yield "an answer with a body"


def invalid(value: object, schema: Mapping[str, Any]) -> Iterator[str]:
    for error in jsonschema.Draft4Validator(schema).iter_errors(value):
        yield f"{error.json_path}: {error.validator}"


def fits(template: str, path: str) -> dict[str, str] | None:
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
    match = re.fullmatch(pattern, path)
    # {secret_name} would take the word, too; the description means the other path with it.
    literal = path.endswith("/public-key") and not template.endswith("/public-key")
    return None if match is None or literal else match.groupdict()


@pytest.fixture
def hub(descriptions: Mapping[str, Description]) -> Iterator[Hub]:
    """A running hub. In the end all that was asked, and answered, is held against the descriptions."""
    with serving(Hub()) as server:
        yield server
    for name, description in descriptions.items():
        found = [(name, one.method, one.path, list(offences(one, description))) for one in server.seen]
        assert not [row for row in found if row[-1]]


@dataclass
class Case:
    """One app, one sink, and the hub behind it."""

    hub: Hub
    environment: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    key: str = "portal"
    waits: list[float] = field(default_factory=list)

    @property
    def declared(self) -> DeclaredSink:
        return DeclaredSink("ci", "github-actions", {**OPTIONS, **self.options})

    @property
    def target(self) -> Target:
        return Target(self.declared, Address(self.key))

    @property
    def sink(self) -> GithubActionsSink:
        return GithubActionsSink(self.declared, Session(self.environment, 5.0, self.waits.append))

    def credentials(self, secret: str = CANARY) -> Credentials:
        return Credentials(self.target.address, CLIENT_ID, Secret(secret.encode()))

    def probe(self) -> None:
        self.sink.probe(self.target)

    def deliver(self, secret: str = CANARY) -> None:
        self.sink.deliver(self.target, self.credentials(secret))

    def remove(self) -> None:
        self.sink.remove(self.target)

    @property
    def calls(self) -> tuple[Callable[[], None], ...]:
        return self.probe, self.deliver, self.remove


@pytest.fixture
def case(hub: Hub) -> Case:
    return Case(hub, {"GITHUB_API_URL": hub.url, "GITHUB_TOKEN": TOKEN})


def forms(canary: str) -> Iterator[bytes]:
    """A canary as it may be hidden: raw, in hex, in URLs, in base64 at each of its three offsets."""
    raw = canary.encode()
    yield from (raw, raw.hex().encode(), quote(canary, safe="").encode())
    for offset in range(3):
        encoded = b64encode(bytes(offset) + raw)
        yield encoded[(4 if offset else 0) : len(encoded) // 4 * 4 - 4]


def assert_hidden(shown: str | bytes) -> None:
    data = shown.encode() if isinstance(shown, str) else shown
    assert not [form for canary in (CANARY, TOKEN) for form in forms(canary) if form in data]


def refused(call: Callable[[], None], expected: str = "") -> SinkError:
    """The error of a call, which shows no secret and no token."""
    with pytest.raises(SinkError) as caught:
        call()
    error = caught.value
    shown = f"{error.summary}\n{error.detail}\n{error.hint}"
    assert_hidden("".join(traceback.format_exception(error)) + f"{error!r}{shown}")
    assert error.__context__ is None or error.__suppress_context__
    assert error.hint or "cannot be delivered" in error.summary
    assert "{permission}" not in shown
    assert expected in shown
    return error


# The descriptions


def test_the_whole_of_what_is_asked_is_held_against_githubs_description(
    descriptions: Mapping[str, Description], case: Case
) -> None:
    if not descriptions:
        pytest.skip(f"NOT TESTED: npm is not installed, or {OPENAPI} cannot be had from its registry")
    assert set(descriptions) == set(DESCRIBED)
    for options, _ in PLACES.values():
        case.options = options
        for call in (case.probe, case.deliver, case.deliver, case.remove, case.remove):
            call()
    answers = {(one.method, one.status) for one in case.hub.seen}
    assert answers == {("GET", 200), ("PUT", 201), ("PUT", 204), ("DELETE", 204), ("DELETE", 404)}


SOUND = Exchange(
    "PUT",
    "/repos/acme/shop/actions/secrets/A",
    {"content-type": "application/json"},
    b'{"encrypted_value": "c2VjcmV0", "key_id": "1"}',
    204,
    b"",
)
UNSOUND = {
    "no such path": {"path": "/repos/acme/shop/action/secrets/A"},
    "one segment more": {"path": "/repos/acme/shop/actions/secrets/A/B"},
    "an empty segment": {"path": "/repos/acme//actions/secrets/A"},
    "no such method": {"method": "POST"},
    "an unknown parameter": {"path": "/repos/acme/shop/actions/secrets/A?x=1"},
    "no base64": {"body": b'{"encrypted_value": "secret!", "key_id": "1"}'},
    "a field is missing": {"body": b'{"encrypted_value": "c2VjcmV0"}'},
    "a field of another type": {"body": b'{"encrypted_value": "c2VjcmV0", "key_id": 1}'},
    "no body": {"body": b""},
    "another type of body": {"headers": {}},
    "a body too many": {"method": "DELETE"},
    "an unknown status": {"status": 200},
    "an answer too many": {"answer": b"{}"},
    "another answer": {"status": 201, "answer": b'{"x": 1}'},
    "a page that is no number": {
        "method": "GET",
        "path": "/repos/acme/shop/actions/secrets?per_page=x",
        "body": b"",
        "status": 200,
        "answer": b'{"total_count": 0, "secrets": []}',
    },
}


@pytest.mark.parametrize("changed", UNSOUND.values(), ids=UNSOUND)
def test_what_is_not_as_described_is_noticed(
    descriptions: Mapping[str, Description], changed: dict[str, Any]
) -> None:
    if not descriptions:
        pytest.skip(f"NOT TESTED: npm is not installed, or {OPENAPI} cannot be had from its registry")
    for description in descriptions.values():
        assert not list(offences(SOUND, description))
        assert list(offences(Exchange(**{**vars(SOUND), **changed}), description))


# What is delivered, and where


@in_both
def test_a_delivery_makes_two_secrets_that_only_github_can_open(
    case: Case, options: dict[str, Any], path: str
) -> None:
    case.options = options
    case.probe()
    assert case.hub.kept[path] == {}
    case.deliver()
    assert case.hub.opened(path) == PAIR
    assert sum(map(len, case.hub.kept.values())) == 2
    assert all(CANARY.encode() not in one.body for one in case.hub.seen)


@in_both
def test_a_probe_asks_for_the_key_and_the_list_and_changes_nothing(
    case: Case, options: dict[str, Any], path: str
) -> None:
    case.options = options
    case.probe()
    assert case.hub.asked == [f"GET {path}/public-key", f"GET {path}?per_page=1"]


def test_the_client_id_goes_first_and_removal_begins_with_the_secret(case: Case) -> None:
    case.deliver()
    case.remove()
    writes = [one.rpartition("/")[2] for one in case.hub.asked if not one.startswith("GET")]
    assert writes == ["CLIENT_ID", "CLIENT_SECRET", "CLIENT_SECRET", "CLIENT_ID"]


def test_every_request_has_githubs_headers_and_the_token_in_one_of_them(case: Case) -> None:
    for call in case.calls:
        call()
    for one in case.hub.seen:
        assert one.headers["accept"] == "application/vnd.github+json"
        assert one.headers["x-github-api-version"] == "2022-11-28"
        assert one.headers["authorization"] == f"Bearer {TOKEN}"
        assert one.headers["user-agent"].startswith("provisioner/")
        rest = {name: value for name, value in one.headers.items() if name != "authorization"}
        assert_hidden(f"{one.path}{rest}".encode() + one.body)


def test_the_same_again_and_a_rotation_write_over_what_is_there(case: Case) -> None:
    _, path = PLACES["a repository"]
    case.deliver()
    case.deliver()
    assert case.hub.opened(path) == PAIR
    case.deliver("another-secret")
    assert case.hub.opened(path) == {**PAIR, "CLIENT_SECRET": "another-secret"}


def test_a_secret_comes_back_as_it_was_whatever_is_in_it(case: Case) -> None:
    printable = "".join(map(chr, range(0x20, 0x7F)))
    case.deliver(printable)
    assert case.hub.opened(PLACES["a repository"][1])["CLIENT_SECRET"] == printable


def test_the_same_secret_is_sealed_into_another_text_each_time(case: Case) -> None:
    case.deliver()
    case.deliver()
    bodies = [one.body for one in case.hub.seen if one.method == "PUT"]
    assert len(set(bodies)) == 4


def test_names_and_prefix_are_the_sinks(case: Case) -> None:
    case.key = "partner-portal"
    case.options = {"prefix": "{KEY}_", "keys": {"client_id": "ID", "client_secret": "SECRET"}}
    case.deliver()
    wanted = {"PARTNER_PORTAL_ID": CLIENT_ID, "PARTNER_PORTAL_SECRET": CANARY}
    assert case.hub.opened(PLACES["a repository"][1]) == wanted


def test_the_key_may_be_in_every_option(case: Case) -> None:
    case.key = "prod"
    case.options = {"environment": "{key}"}
    case.deliver()
    assert case.hub.opened(PLACES["an environment"][1]) == PAIR


def test_what_had_the_name_before_is_written_over(case: Case) -> None:
    _, path = PLACES["a repository"]
    theirs = SealedBox(case.hub.keys[path].public_key).encrypt(b"theirs")
    case.hub.kept[path] = {"CLIENT_SECRET": theirs, "OTHER": theirs}
    case.deliver()
    assert case.hub.opened(path) == {**PAIR, "OTHER": "theirs"}


def test_the_place_is_told_without_a_server() -> None:
    for environment, inside in (("", ""), ("prod", ' in its environment "prod"')):
        declared = DeclaredSink("ci", "github-actions", {**OPTIONS, "environment": environment})
        place = sink(declared, {}).place(Target(declared, Address("portal")))
        assert place == f'secrets "CLIENT_ID" and "CLIENT_SECRET" of the repository "acme/shop"{inside}'


@pytest.mark.parametrize("name", ["a/b", "prod #1?%2e+&", "prôd", "a\\b", "...", ". .", "{x}"])
def test_an_environment_with_signs_of_urls_is_one_segment(hub: Hub, case: Case, name: str) -> None:
    path = f"/repos/acme/shop/environments/{quote(name, safe='')}/secrets"
    hub.keys[path], hub.kept[path] = PrivateKey.generate(), {}
    case.options = {"environment": name}
    case.probe()
    case.deliver()
    assert hub.opened(path) == PAIR
    case.remove()
    assert hub.kept[path] == {}


def test_one_key_is_fetched_for_all_that_a_run_delivers_to_a_place(case: Case) -> None:
    one = case.sink
    for options, path in PLACES.values():
        case.options = options
        for _ in range(2):
            one.probe(case.target)
            one.deliver(case.target, case.credentials())
        assert case.hub.asked.count(f"GET {path}/public-key") == 1
        assert case.hub.opened(path) == PAIR


def test_apps_that_are_made_at_the_same_time_share_one_key(case: Case) -> None:
    one = case.sink
    targets = [
        Target(DeclaredSink("ci", "github-actions", {**OPTIONS, "prefix": "{KEY}_"}), Address(f"a{n}"))
        for n in range(8)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda target: one.deliver(target, case.credentials()), targets))
    _, path = PLACES["a repository"]
    assert case.hub.asked.count(f"GET {path}/public-key") == 1
    assert len(case.hub.opened(path)) == 16


# Removal


@in_both
def test_removal_takes_both_and_nothing_else_and_is_fine_twice(
    case: Case, options: dict[str, Any], path: str
) -> None:
    case.options = options
    case.deliver()
    case.hub.kept[path]["OTHER"] = b"theirs"
    case.remove()
    case.remove()
    assert case.hub.kept[path] == {"OTHER": b"theirs"}


def test_half_a_pair_is_removed_too(case: Case) -> None:
    _, path = PLACES["a repository"]
    case.deliver()
    del case.hub.kept[path]["CLIENT_SECRET"]
    case.remove()
    assert case.hub.kept[path] == {}


def test_a_removal_needs_no_key(case: Case) -> None:
    case.deliver()
    before = len(case.hub.seen)
    case.remove()
    assert [one.method for one in case.hub.seen[before:]] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("options", [{"repository": "acme/hidden"}, {"environment": "hidden"}])
def test_a_place_that_the_token_cannot_see_is_not_taken_for_an_empty_one(
    case: Case, options: dict[str, Any]
) -> None:
    case.options = options
    refused(case.remove, "Could not list the secrets")


# What is refused before anything is sent


BAD_REPOSITORIES = [
    "", "acme", "acme/", "/shop", "acme/shop/x", "acme/..", "acme/.", "../shop", "a.b/shop", "acme/shop ",
    "acme/shop\n", "acme/sh%2fop", "acme/shop?x=1", "acme/shop#x", "acme\\shop", "https://github.com/acme/shop",
    "acme/shöp", "acme/\x1b[2J", "acme/\u202epohs", "acme/" + "x" * 101,
]  # fmt: skip


@pytest.mark.parametrize("repository", BAD_REPOSITORIES)
def test_b52_a_repository_that_may_be_taken_for_another_path_is_refused(case: Case, repository: str) -> None:
    case.options = {"repository": repository}
    for call in case.calls:
        assert refused(call, "Not a repository on GitHub").summary.isprintable()
    assert case.hub.seen == []


@pytest.mark.parametrize("environment", [".", "..", " ", "a\nb", "a\0", "a\u202eb", "\x1b[2J"])
def test_b52_an_environment_that_may_be_taken_for_another_path_is_refused(
    case: Case, environment: str
) -> None:
    case.options = {"environment": environment}
    for call in case.calls:
        assert refused(call, "Not an environment on GitHub").summary.isprintable()
    assert case.hub.seen == []


BAD_NAMES = [
    "", "client", "1A", "A-B", "A.B", "A B", "A=B", "GITHUB_TOKEN", "A/B", "..", "A\n", "É", "A\x1b",
    "public-key",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_b55_a_name_that_github_does_not_take_is_refused(case: Case, name: str) -> None:
    for which in ("client_id", "client_secret"):
        case.options = {"keys": {**OPTIONS["keys"], which: name}}
        for call in case.calls:
            assert refused(call, "Not a name for a secret on GitHub").summary.isprintable()
    assert case.hub.seen == []
    assert list(name_check("github-actions", "")(name)), "the manifest refuses it, too"


def test_b55_one_name_for_both_is_refused(case: Case) -> None:
    case.options = {"keys": {"client_id": "A", "client_secret": "A"}}
    refused(case.deliver, "have one name")
    assert case.hub.seen == []


@pytest.mark.parametrize("secret", ["", "canary\nof a value", "canary-é"])
def test_b55_a_value_that_is_not_printable_ascii_is_refused_and_not_shown(case: Case, secret: str) -> None:
    error = refused(lambda: case.deliver(secret), "cannot be delivered")
    assert "canary" not in f"{error.summary}{error.detail}{error.hint}"
    assert case.hub.seen == []


BAD_TOKENS = {
    "a line break": TOKEN + "\n",
    "a header": TOKEN + "\r\nX-Evil: 1",
    "a space": TOKEN + " x",
    "the word before it": "Bearer " + TOKEN,
    "quotes": f'"{TOKEN}"',
    "another alphabet": TOKEN + "é",
    "NUL": TOKEN + "\0",
    "a file": TOKEN * 200,
}


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GH_TOKEN"])
@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_b60_a_token_that_no_header_can_hold_is_refused_and_not_shown(
    case: Case, name: str, token: str
) -> None:
    case.environment = {"GITHUB_API_URL": case.hub.url, name: token}
    for call in case.calls:
        refused(call, f"{name} cannot be used")
    assert case.hub.seen == []


@pytest.mark.parametrize("variables", [{}, {"GITHUB_TOKEN": ""}, {"GITHUB_TOKEN": "", "GH_TOKEN": ""}])
def test_b60_without_a_token_nothing_is_asked(case: Case, variables: dict[str, str]) -> None:
    case.environment = {"GITHUB_API_URL": case.hub.url, **variables}
    for call in case.calls:
        refused(call, "GITHUB_TOKEN is not set")
    assert case.hub.seen == []


def test_two_tokens_that_differ_are_refused(case: Case) -> None:
    case.environment["GH_TOKEN"] = "another"
    for call in case.calls:
        refused(call, "GITHUB_TOKEN and GH_TOKEN differ")
    assert case.hub.seen == []


@pytest.mark.parametrize("names", [["GH_TOKEN"], ["GITHUB_TOKEN", "GH_TOKEN"]])
def test_either_name_of_the_token_does(case: Case, names: list[str]) -> None:
    case.environment = {"GITHUB_API_URL": case.hub.url, **dict.fromkeys(names, TOKEN)}
    case.probe()


BAD_URLS = [
    "http://github.example/api/v3",
    f"https://{TOKEN}@github.example",
    f"https://github.example/?token={TOKEN}",
    "https://github.example/api/../x",
    "github.example",
    "http://127.1:80",
]


@pytest.mark.parametrize("url", BAD_URLS, ids=range(len(BAD_URLS)))
def test_b59_a_url_that_tokens_must_not_go_to_is_refused(case: Case, url: str) -> None:
    case.environment["GITHUB_API_URL"] = url
    for call in case.calls:
        refused(call, "GITHUB_API_URL cannot be used")


def test_without_a_url_it_is_githubs_own(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    looked_up: list[object] = []

    def unknown(host: object, *_: object, **__: object) -> None:
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for url in (None, ""):
        case.environment = {"GITHUB_TOKEN": TOKEN} | ({} if url is None else {"GITHUB_API_URL": url})
        error = refused(case.probe, "https://api.github.com/repos/acme/shop/actions/secrets/public-key")
        assert isinstance(error, NoAnswerError)
        assert not error.sent
        assert "GITHUB_API_URL" in error.hint
    assert {str(host).removeprefix("b'").removesuffix("'") for host in looked_up} == {"api.github.com"}


def test_an_enterprise_server_is_reached_below_its_path() -> None:
    with serving(Hub("/api/v3")) as server:
        case = Case(server, {"GITHUB_API_URL": server.url + "/", "GITHUB_TOKEN": TOKEN})
        for call in (case.probe, case.deliver):
            call()
        assert server.opened(PLACES["a repository"][1]) == PAIR
        case.environment["GITHUB_API_URL"] = server.url.removesuffix("/api/v3")
        server.say = lambda number, method, path: Answer(406, b"<html>")
        assert "/api/v3" in refused(case.probe, "not what GitHub answers here").hint


# The library that seals


def test_without_pynacl_it_is_said_how_to_get_it_before_anything_is_written(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nacl.public", None)
    for call in (case.probe, case.deliver):
        assert "pip install pynacl" in refused(call, "PyNaCl is not installed").hint
    assert {one.method for one in case.hub.seen} == {"GET"}
    case.remove()


def test_pynacl_is_loaded_when_something_is_sealed() -> None:
    program = (
        "import sys, provisioner.sinks.github_actions; print('nacl' in sys.modules, 'httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False True\n"


KEY = b64encode(bytes(PrivateKey.generate().public_key)).decode()
BAD_KEYS = {
    "no JSON": b"<html>Welcome</html>",
    "a list": [],
    "nothing": {},
    "no id": {"key": KEY},
    "a number for an id": {"key": KEY, "key_id": 1},
    "an empty id": {"key": KEY, "key_id": ""},
    "an id with a line break": {"key": KEY, "key_id": "1\n"},
    "a long id": {"key": KEY, "key_id": "1" * 101},
    "no key": {"key_id": "1"},
    "another type of key": {"key_id": "1", "key": [KEY]},
    "no base64": {"key_id": "1", "key": KEY + "\n"},
    "another alphabet": {"key_id": "1", "key": "é" * 44},
    "too short a key": {"key_id": "1", "key": b64encode(bytes(31)).decode()},
    "too long a key": {"key_id": "1", "key": b64encode(bytes(33)).decode()},
    "a key that seals nothing": {"key_id": "1", "key": b64encode(bytes(32)).decode()},
}


@pytest.mark.parametrize("document", BAD_KEYS.values(), ids=BAD_KEYS)
def test_what_is_no_public_key_is_not_sealed_to(case: Case, document: Any) -> None:
    case.hub.say = lambda number, method, path: Answer(200, document)
    for call in (case.probe, case.deliver):
        refused(call, "Could not get the public key of the repository")
    assert {one.method for one in case.hub.seen} == {"GET"}


def test_a_key_that_was_replaced_is_fetched_anew_by_the_next_run(case: Case) -> None:
    _, path = PLACES["a repository"]
    one = case.sink
    one.probe(case.target)
    case.hub.keys[path] = PrivateKey.generate()
    refused(lambda: one.deliver(case.target, case.credentials()), "its public key has just been replaced")
    assert case.hub.kept[path] == {}
    case.deliver()
    assert case.hub.opened(path) == PAIR


# What GitHub refuses, and what it means


ECHO = {"message": f"{CANARY} {TOKEN}", "errors": [CANARY]}
NO_PERMISSION = "the token may not do this"
REFUSALS = {
    "400": (Answer(400, ECHO), "400: it took the request for malformed"),
    "401": (Answer(401, ECHO), "401: the token is not valid here, or has expired"),
    "403": (Answer(403, {"message": "Resource not accessible by personal access token"}), NO_PERMISSION),
    "403 without JSON": (Answer(403, b"<html>"), NO_PERMISSION),
    "403 with an echo": (Answer(403, ECHO), NO_PERMISSION),
    "404": (Answer(404, ECHO), "404: there is no such place, or the token may not see it"),
    "409": (Answer(409, ECHO), "409: something else is changing it"),
    "422": (Answer(422, ECHO), "422: it did not take what was sent"),
    "418": (Answer(418, ECHO), "418: that is not what GitHub answers here"),
    "500": (Answer(500, ECHO), "500: it has trouble of its own"),
    "502": (Answer(502, b"<html>"), "502: it has trouble of its own"),
    "503": (Answer(503, ECHO, {"Retry-After": "1"}), "503: it has trouble of its own"),
    "301": (Answer(301, ECHO, {"Location": "http://127.0.0.1:9/x"}), "301: it redirects"),
    "200": (Answer(200, "x"), "200: that is not what GitHub answers here"),
}


@pytest.mark.parametrize(("answer", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_told_apart_and_its_text_is_not_shown(case: Case, answer: Answer, expected: str) -> None:
    case.hub.say = lambda number, method, path: answer
    for options, path in PLACES.values():
        case.options = options
        permission = "`Environments: write`" if options else "`Secrets: write`"
        for call in case.calls:
            error = refused(call, expected)
            assert (permission in error.hint) == (answer.status in (403, 404))
        assert case.hub.kept[path] == {}
    assert case.waits == []


def test_a_403_explains_the_token_of_a_workflow(case: Case) -> None:
    case.hub.say = lambda number, method, path: Answer(403, ECHO)
    assert "The GITHUB_TOKEN of a workflow cannot write secrets" in refused(case.probe).hint


def test_a_token_that_is_not_valid_is_refused_by_the_probe(case: Case) -> None:
    case.environment["GITHUB_TOKEN"] = "ghp_expired"
    error = refused(case.probe, "401")
    assert "ghp_expired" not in f"{error.summary}{error.detail}{error.hint}"


def test_a_token_that_reads_the_key_only_is_refused_by_the_probe(case: Case) -> None:
    case.hub.say = lambda number, method, path: None if path.endswith("/public-key") else Answer(403, ECHO)
    refused(case.probe, "Could not list the secrets")


@pytest.mark.parametrize("document", [{}, [], b"<html>", {"message": "hello"}])
def test_a_list_that_is_none_is_refused_by_the_probe(case: Case, document: Any) -> None:
    case.hub.say = lambda number, method, path: (
        None if path.endswith("/public-key") else Answer(200, document)
    )
    refused(case.probe, "not what GitHub answers here")


def test_a_token_that_may_not_write_is_an_error_of_the_delivery(case: Case) -> None:
    case.hub.say = lambda number, method, path: Answer(403, ECHO) if method == "PUT" else None
    case.probe()
    refused(case.deliver, "Could not write the secret CLIENT_ID of")
    assert case.hub.asked[-1].endswith("/CLIENT_ID")  # and the secret was not sent


@pytest.mark.parametrize("status", [200, 202])
def test_a_page_that_says_yes_to_everything_has_taken_and_deleted_nothing(case: Case, status: int) -> None:
    case.hub.say = lambda number, method, path: None if method == "GET" else Answer(status, b"<html>")
    refused(case.deliver, f"{status}: that is not what GitHub answers here")
    refused(case.remove, f"{status}: that is not what GitHub answers here")


def test_a_redirect_is_not_followed(case: Case) -> None:
    with serving(Hub()) as other:
        for status in (301, 302, 307, 308):
            case.hub.say = lambda number, method, path, status=status: Answer(
                status, b"", {"Location": other.url + path}
            )
            for call in case.calls:
                assert "`repository`" in refused(call, "redirects").hint
        assert other.seen == []


# Limits


LIMITS = {
    "seconds": (Answer(403, ECHO, {"Retry-After": "7"}), [7.0]),
    "no time at all": (Answer(429, ECHO, {"Retry-After": "0"}), [1.0]),
    "as long as is waited": (Answer(429, ECHO, {"Retry-After": "60"}), [60.0]),
    "longer than is waited": (Answer(429, ECHO, {"Retry-After": "61"}), []),
    "huge": (Answer(429, ECHO, {"Retry-After": "9" * 5000}), []),
    "a date": (Answer(429, ECHO, {"Retry-After": "Wed, 25 Nov 2026 03:00:00 GMT"}), []),
    "negative": (Answer(429, ECHO, {"Retry-After": "-1"}), []),
    "not ASCII": (Answer(403, ECHO, {"Retry-After": "\u00b2"}), []),
    "not said": (Answer(429, ECHO), [60.0]),
    "in words alone": (Answer(403, {"message": "You have exceeded a secondary rate limit."}), [60.0]),
    "the hour's": (Answer(403, ECHO, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}), []),
}


@pytest.mark.parametrize(("answer", "waits"), LIMITS.values(), ids=LIMITS)
def test_a_limit_is_waited_out_once_where_it_is_short(case: Case, answer: Answer, waits: list[float]) -> None:
    for call in case.calls:
        case.hub.count, case.waits[:] = 0, []
        case.hub.say = lambda number, method, path: answer
        refused(call, f"{answer.status}: it was asked more often than it allows")
        assert case.waits == waits
        assert case.hub.count == 1 + len(waits)
        if waits:
            case.hub.count = 0
            case.hub.say = lambda number, method, path: answer if number == 1 else None
            call()
            assert case.waits == waits * 2


def test_a_limit_in_the_middle_of_a_delivery_is_waited_out(case: Case) -> None:
    case.hub.say = lambda number, method, path: (
        Answer(429, ECHO, {"Retry-After": "2"}) if number == 3 else None
    )
    case.deliver()
    assert case.waits == [2.0]
    assert case.hub.opened(PLACES["a repository"][1]) == PAIR


def test_a_request_that_is_not_limited_is_not_waited_for(case: Case) -> None:
    for call in case.calls:
        call()
    assert case.waits == []


# Broken before, in the middle, and after


def test_a_server_that_is_not_there_is_an_error(case: Case) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        case.environment["GITHUB_API_URL"] = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for call in case.calls:
            assert "GITHUB_API_URL" in refused(call, "refuses connections").hint


def test_a_slow_server_is_given_up(case: Case) -> None:
    case.hub.say = lambda number, method, path: "hold"
    slow = GithubActionsSink(case.declared, Session(case.environment, 0.1))
    refused(lambda: slow.deliver(case.target, case.credentials()), "in time")


FAULTS: dict[str, Answer | str] = {
    "the request is lost": "lost before",
    "the answer is lost": "lost after",
    "500": Answer(500, ECHO),
    "502 once it is done": Answer(502, b"<html>", after=True),
    "409": Answer(409, ECHO),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_delivery_that_broke_off_anywhere_is_healed_by_the_next(
    case: Case, fault: Answer | str, number: int
) -> None:
    for secret in (CANARY, "rotated-secret"):
        case.hub.count = 0
        case.hub.say = lambda count, method, path: fault if count == number else None
        error = refused(lambda secret=secret: case.deliver(secret))
        assert isinstance(error, NoAnswerError) == isinstance(fault, str)
        assert case.hub.count == number  # nothing is sent again, nor anything after it
        case.deliver(secret)
        assert case.hub.opened(PLACES["a repository"][1]) == {**PAIR, "CLIENT_SECRET": secret}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("number", [1, 2])
def test_a_removal_that_broke_off_anywhere_is_healed_by_the_next(
    case: Case, fault: Answer | str, number: int
) -> None:
    case.deliver()
    case.hub.count = 0
    case.hub.say = lambda count, method, path: fault if count == number else None
    refused(case.remove)
    case.remove()
    assert case.hub.kept[PLACES["a repository"][1]] == {}


DELIVERS = """
import json, os, sys
from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.model import Address, Secret
from provisioner.sandbox.application import Sandbox
from provisioner.sinks.github_actions import sink
options, environment, secret = json.load(sys.stdin)
declared = DeclaredSink("ci", "github-actions", options)
target = Target(declared, Address("portal"))
sink(declared, environment).deliver(target, Credentials(target.address, "client-1", Secret(secret.encode())))
"""


def test_a_delivery_that_is_killed_between_the_two_leaves_nothing_behind_and_is_healed(
    case: Case, tmp_path: Path
) -> None:
    _, path = PLACES["a repository"]
    case.hub.say = lambda number, method, path: "hold" if path.endswith("CLIENT_SECRET") else None
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", DELIVERS]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps([OPTIONS, case.environment, CANARY]).encode())
        process.stdin.close()
        process.stdin = None
        assert case.hub.arrived.wait(10)
        for file in ("cmdline", "environ"):
            assert_hidden(Path(f"/proc/{process.pid}/{file}").read_bytes())
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")  # not every kernel has it
        assert not children.exists() or not children.read_text().strip()
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=10)
    assert (out, err) == (b"", b"")
    assert not list(tmp_path.iterdir())
    assert set(case.hub.kept[path]) == {"CLIENT_ID"}
    case.hub.hold.set()
    case.hub.say = lambda number, method, path: None
    case.deliver()
    assert case.hub.opened(path) == PAIR


# Nothing is shown


def test_nothing_is_said_aloud_whatever_happens(
    case: Case,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("", "httpx", "httpcore", "provisioner"):
        caplog.set_level(logging.DEBUG, name)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for call in case.calls:
        call()
    told = [answer for answer, _ in REFUSALS.values()] + [answer for answer, _ in LIMITS.values()]
    for said in [*told, *FAULTS.values()]:
        for number in (1, 2):
            case.hub.count = 0
            case.hub.say = lambda count, method, path, said=said, number=number: (
                said if count == number else None
            )
            for call in case.calls:
                try:
                    call()
                except SinkError as error:
                    assert_hidden(f"{error!r}{error.summary}{error.detail}{error.hint}")
                case.hub.count = 0
    one = case.sink
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert any("GitHub is asked too often: waiting for 7 seconds" in line for line in caplog.messages)
    assert any("PUT" in line and "201" in line for line in caplog.messages)
    assert_hidden(caplog.text + repr([vars(record) for record in caplog.records]))
    assert_hidden(f"{one!r}{one.session!r}{case.target!r}")
    assert not list(tmp_path.iterdir())


# From the page to the secrets


def fenced(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_example_of_the_page_delivers_what_its_workflow_reads(
    provisioner: Callable[..., Any], sandbox: Sandbox, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, workflow = fenced("yaml")
    _, path = PLACES["an environment"]
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)
    assert provisioner("init", "-f", "starter.yaml").status == 0
    Path("apps.yaml").write_text(manifest)
    assert yaml.safe_load(workflow)["jobs"]["deploy"]["environment"] == "prod"
    delivered = set()
    for command in (("apply",), ("apply", "--replace", "portal", "--allow", "replace:portal")):
        ran = provisioner(*command, "--auto-approve")
        assert ran.status == 0, ran.out + ran.err
        found = case.hub.opened(path)
        assert sorted(found) == sorted(re.findall(r"secrets\.(\w+)", workflow))
        assert sandbox.world.confirms(found["PORTAL_CLIENT_ID"], found["PORTAL_CLIENT_SECRET"])
        assert found["PORTAL_CLIENT_SECRET"] not in ran.out + ran.err
        delivered.add(found["PORTAL_CLIENT_SECRET"])
    assert len(delivered) == 2
    Path("apps.yaml").write_text(manifest.partition("apps:")[0] + "apps: {}\n")
    ran = provisioner("apply", "--auto-approve", "--allow", "delete:portal")
    assert ran.status == 0, ran.out + ran.err
    assert case.hub.kept[path] == {}
