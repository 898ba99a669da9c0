"""The page about the sink `command`: every recipe of it is run, unchanged, with the real program."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import socket
import socketserver
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from provisioner.delivery import Credentials, Target
from provisioner.desired import resolve
from provisioner.manifest import Source, load
from provisioner.model import Address, Secret
from provisioner.sinks.command import CommandSink

pytestmark = pytest.mark.unmeasured

PAGE = (Path(__file__).parent.parent / "docs" / "sinks" / "command.md").read_text("utf-8")
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTAL = Address("portal")
CANARY = 'canary-"\\$(id)`-' + secrets.token_hex(16)
WHOLE = {"CLIENT_ID": "id-1", "CLIENT_SECRET": CANARY}
CONTEXT = "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%d'}}], contexts: [{name: c, context:"
CONTEXT += " {cluster: c, user: u}}], users: [{name: u, user: {}}], current-context: c}"


def recipes() -> dict[str, Target]:
    """The sinks of the page, as a manifest has them, for one app that goes to all of them."""
    sinks: dict[str, Any] = {}
    for kind, body in FENCED.findall(PAGE):
        if kind == "yaml":
            sinks |= yaml.safe_load(body)["sinks"]
    app = {"redirect_uris": ["https://portal.example/cb"], "sinks": list(sinks)}
    manifest = {"version": 1, "sinks": sinks, "apps": {PORTAL.key: app}}
    desired = resolve(load([Source("apps.yaml", json.dumps(manifest).encode())]))
    return {target.sink.name: target for target in desired.sinks[PORTAL]}


RECIPES = recipes()


def program(name: str) -> str:
    """Where it is: beside this Python, or on PATH. Not all of them come as Debian packages."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        pytest.skip(f"NOT TESTED: {name} is not installed")
    return path


@dataclass(frozen=True)
class Bench:
    """A recipe in a folder of its own, with a home of its own."""

    folder: Path
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def target(self, name: str, **options: object) -> Target:
        target = RECIPES[name]
        sink = replace(target.sink, folder=self.folder, options={**target.sink.options, **options})
        return replace(target, sink=sink)

    def deliver(self, name: str, secret: str = CANARY) -> None:
        """Deliver twice, and see what every program on the way was started with."""
        credentials = Credentials(PORTAL, "id-1", Secret(secret.encode()))
        self.ways().probe(self.target(name))
        self.ways().deliver(self.target(name), credentials)
        log = self.home / "programs.log"
        watch = ["strace", "-f", "--seccomp-bpf", "-v", "-s", "65535", "-e", "trace=execve", "-o", str(log)]
        command = RECIPES[name].sink.options["command"]
        self.ways().deliver(self.target(name, command=[*watch, *command]), credentials)
        started = log.read_text()
        assert started.count("execve(") >= 1
        assert secret.rpartition("-")[2] not in started  # its hex digits: quoting does not change them
        assert not found_in(self.folder, secret)
        assert not found_in(self.home, secret)

    def remove(self, name: str) -> None:
        """Take away twice: that it is gone is no error."""
        for _ in range(2):
            self.ways().remove(self.target(name))

    def ways(self) -> CommandSink:
        return CommandSink({"PATH": os.environ["PATH"], "HOME": str(self.home), **self.environment})

    def run(self, *argv: str, content: str = "") -> str:
        """A command of whoever uses the place, with what the recipe's program has."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **self.environment}
        done = subprocess.run(
            argv, input=content, cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout


def found_in(folder: Path, secret: str) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_socket())
    return [path for path in files if secret.rpartition("-")[2].encode() in path.read_bytes()]


@pytest.fixture
def bench(
    tmp_path: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch, tool: Callable[[str], str]
) -> Bench:
    """A folder and a home, with programs from beside this Python on PATH."""
    tool("strace")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return Bench(tmp_path, clean_environment)


@dataclass
class Standin:
    """What stands behind a program: it answers as told, and keeps what it was sent."""

    answer: Callable[[str, str, Any], tuple[int, Any]]
    address: Any = None

    @contextmanager
    def serving(self, path: Path | None = None) -> Iterator[None]:
        """On a free port, or on a socket at `path`."""
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def reply(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                name = self.headers.get("X-Amz-Target") or self.path.partition("?")[0]
                status, document = answer(self.command, name, json.loads(sent or "null"))
                content = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = reply  # noqa: N815  # names of http.server's

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as http.server has it
                pass

        server: socketserver.BaseServer
        if path is None:
            server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        else:
            server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        self.address = server.server_address
        with server:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            yield
            server.shutdown()
            thread.join()


def test_every_recipe_is_run_here() -> None:
    tests = {name.removeprefix("test_recipe_") for name in globals() if name.startswith("test_recipe_")}
    assert tests == set(RECIPES)


def test_recipe_tool(bench: Bench) -> None:
    (bench.folder / "deliver").write_text(next(body for kind, body in FENCED.findall(PAGE) if kind == "sh"))
    (bench.folder / "deliver").chmod(0o755)
    bench.environment["DEPLOY_TOKEN"] = "token"
    ways, there = bench.ways(), bench.target("tool")
    ways.probe(there)
    for _ in range(2):
        ways.deliver(there, Credentials(PORTAL, "id-1", Secret(CANARY.encode())))
    assert json.loads((bench.folder / "prod" / "portal.json").read_text()) == WHOLE
    assert [path.name for path in (bench.folder / "prod").iterdir()] == ["portal.json"]
    bench.remove("tool")
    assert not list((bench.folder / "prod").iterdir())


def test_recipe_vault(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bao = program("bao")
    (bench.home / "bin").mkdir()
    (bench.home / "bin" / "vault").symlink_to(bao)  # the same commands under the older name
    monkeypatch.setenv("PATH", f"{bench.home}/bin{os.pathsep}{os.environ['PATH']}")
    with bao_server(bao, bench.home) as address:
        bench.environment.update({"VAULT_ADDR": address, "VAULT_TOKEN": "root"})
        bench.deliver("vault")
        got = bench.run("vault", "kv", "get", "-mount=secret", "-format=json", "apps/portal")
        assert json.loads(got)["data"]["data"] == WHOLE
        bench.remove("vault")
        with pytest.raises(subprocess.CalledProcessError):
            bench.run("vault", "kv", "get", "-mount=secret", "apps/portal")


@contextmanager
def bao_server(bao: str, home: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [f"-dev-listen-address=127.0.0.1:{port}", "-dev-root-token-id=root", "-dev-no-store-token"]
    own = {"HOME": str(home), "PATH": os.environ["PATH"]}
    log = home / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen([bao, "server", "-dev", *options], env=own, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 60
        while b"Development mode should" not in log.read_bytes():
            assert server.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def test_recipe_cluster(bench: Bench, tool: Callable[[str], str]) -> None:
    tool("jq"), program("kubectl")
    there: dict[str, Any] = {}
    patch = {
        "x-kubernetes-group-version-kind": {"group": "", "version": "v1", "kind": "Secret"},
        "parameters": [{"name": "fieldValidation", "in": "query"}],
    }
    resource = {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["get", "patch", "delete"]}
    known: Mapping[str, Any] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
        "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource]},
        "/openapi/v3": {"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=1"}}},
        "/openapi/v3/api/v1": {
            "openapi": "3.0.0",
            "info": {"title": "a stand-in", "version": "1"},
            "paths": {"/api/v1/namespaces/{namespace}/secrets/{name}": {"patch": patch}},
        },
    }

    def answer(method: str, path: str, sent: Any) -> tuple[int, Any]:
        if method == "PATCH":
            there[path] = sent
        if path in known or path in there:
            found = there.pop(path) if method == "DELETE" else known.get(path) or there[path]
            return 200, found
        details = {"name": "portal-oauth", "kind": "secrets"}
        return 404, {
            "kind": "Status",
            "status": "Failure",
            "reason": "NotFound",
            "code": 404,
            "details": details,
        }

    server = Standin(answer)
    with server.serving():
        (bench.home / ".kube").mkdir()
        (bench.home / ".kube" / "config").write_text(CONTEXT % server.address[1])
        bench.deliver("cluster")
        assert list(there) == ["/api/v1/namespaces/prod/secrets/portal-oauth"]
        (secret,) = there.values()
        assert secret["stringData"] == WHOLE
        assert "annotations" not in secret["metadata"]
        bench.remove("cluster")
    assert not there


def test_recipe_actions(bench: Bench) -> None:
    program("gh")
    there: dict[str, bytes] = {}

    def answer(method: str, path: str, sent: Any) -> tuple[int, Any]:
        name = path.removeprefix("/repos/acme/shop/actions/secrets").removeprefix("/")
        if name == "public-key":
            return 200, {"key_id": "1", "key": base64.b64encode(secrets.token_bytes(32)).decode()}
        if method == "GET":
            when = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z")
            return 200, {"total_count": len(there), "secrets": [{"name": name, **when} for name in there]}
        if method == "PUT":
            there[name] = base64.b64decode(sent["encrypted_value"])
            return 204, None
        return (204, None) if there.pop(name, None) else (404, {"message": "Not Found"})

    # A sealed box is 48 bytes longer than what is in it. Opening it would take a library of its own.
    secret = CANARY.replace("\\", "").replace("$", "")
    bench.environment["GH_TOKEN"] = "token"
    with Standin(answer).serving(bench.home / "api.sock"):
        (bench.home / ".config" / "gh").mkdir(parents=True)
        (bench.home / ".config" / "gh" / "config.yml").write_text(
            f"http_unix_socket: {bench.home}/api.sock\n"
        )
        bench.deliver("actions", secret)
        lengths = {"PORTAL_CLIENT_ID": len("id-1"), "PORTAL_CLIENT_SECRET": len(secret)}
        assert {name: len(box) - 48 for name, box in there.items()} == lengths
        bench.remove("actions")
    assert not there


def test_recipe_aws(bench: Bench) -> None:
    program("aws")
    there: dict[str, str] = {}

    def answer(_method: str, path: str, sent: Any) -> tuple[int, Any]:
        if path == "secretsmanager.PutSecretValue":
            there[sent["SecretId"]] = sent["SecretString"]
        else:
            assert (path, sent["ForceDeleteWithoutRecovery"]) == ("secretsmanager.DeleteSecret", True)
            there.pop(sent["SecretId"], None)  # with that option, one that is gone is no error
        return 200, {"Name": sent["SecretId"]}

    bench.environment.update(
        {
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
    )
    server = Standin(answer)
    with server.serving():
        (bench.home / ".aws").mkdir()
        config = f"[default]\nendpoint_url = http://127.0.0.1:{server.address[1]}\n"
        (bench.home / ".aws" / "config").write_text(config)
        bench.deliver("aws")
        assert list(there) == ["oauth/portal"]
        assert json.loads(there["oauth/portal"]) == WHOLE
        bench.remove("aws")
    assert not there


def test_recipe_sops(bench: Bench, tool: Callable[[str], str]) -> None:
    program("sops")
    key = bench.home / "key.txt"
    bench.run(tool("age-keygen"), "-o", str(key))
    recipient = bench.run("age-keygen", "-y", str(key)).strip()
    (bench.folder / ".sops.yaml").write_text(
        f"creation_rules: [{{path_regex: 'secrets/.*\\.yaml$', age: {recipient}}}]"
    )
    (bench.folder / "secrets").mkdir()
    bench.deliver("sops")
    bench.environment["SOPS_AGE_KEY_FILE"] = str(key)
    assert json.loads(bench.run("sops", "decrypt", "--output-type=json", "secrets/portal.yaml")) == WHOLE
    bench.remove("sops")
    assert not list((bench.folder / "secrets").iterdir())


def test_recipe_pass(bench: Bench) -> None:
    program("pass"), program("gpg")
    try:
        new = ["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "t@example.com"]
        (bench.home / ".gnupg").mkdir(mode=0o700)
        bench.run("gpg", *new, "future-default", "default", "never")
        bench.run("pass", "init", "t@example.com")
        bench.deliver("pass")
        assert json.loads(bench.run("pass", "show", "oauth/portal")) == WHOLE
        bench.remove("pass")
        assert not list((bench.home / ".password-store").rglob("portal*"))
    finally:
        bench.run("gpgconf", "--kill", "all")
