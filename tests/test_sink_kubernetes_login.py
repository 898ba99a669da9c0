"""The way to a cluster: kubeconfigs as kubectl merges them, and what a user logs in with."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import ssl
import stat
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.errors import SinkError
from provisioner.sinks import kubernetes_config, kubernetes_plugin
from provisioner.sinks.http import NoAnswerError
from provisioner.sinks.kubernetes_config import Entry, load
from provisioner.sinks.kubernetes_login import Sessions

Tool = Callable[[str], str]
TOKEN = "token-canary-" + secrets.token_hex(8)
OTHER = "other-canary-" + secrets.token_hex(8)
V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


# A server that tells who asked


@dataclass(frozen=True)
class Papers:
    """An authority, what a server shows, and what a client shows."""

    folder: Path

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def encoded(self, name: str) -> str:
        return base64.b64encode(self.read(name)).decode()


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=20, cwd=folder)

    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    for name in ("ca", "other"):
        openssl(*new, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    for name in ("server", "client", "second"):
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={name}"]
        openssl(*new, "-nodes", *names, *signed, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl("pkey", "-in", "client.key", "-aes128", "-passout", "pass:x", "-out", "encrypted.key")
    return Papers(folder)


class Who(BaseHTTPRequestHandler):
    """Remembers who asked."""

    server: Asked

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (as it is called there)
        """Nothing on standard error: it is searched for secrets."""

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        shown = self.connection.getpeercert() or {}
        subject = dict(pair for ((*pair,),) in shown.get("subject", ()))  # type: ignore[misc]  # pairs they are
        self.server.seen.append((self.headers.get("Authorization", ""), str(subject.get("commonName", ""))))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


class Asked(ThreadingHTTPServer):
    """A server on loopback that asks for a certificate, and does not insist on it."""

    daemon_threads = True

    def __init__(self, papers: Papers) -> None:
        super().__init__(("127.0.0.1", 0), Who)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(papers.folder / "server.pem", papers.folder / "server.key")
        tls.load_verify_locations(papers.folder / "ca.pem")
        tls.verify_mode = ssl.CERT_OPTIONAL
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        self.seen: list[tuple[str, str]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Somebody who does not trust it."""


@pytest.fixture(scope="module")
def serving(papers: Papers) -> Iterator[Asked]:
    with Asked(papers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(serving: Asked) -> Asked:
    serving.seen.clear()
    return serving


@dataclass
class Case:
    """One kubeconfig, and the server that it leads to."""

    server: Asked
    papers: Papers
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    timeout: float = 10.0

    def write(self, name: str = "config", **document: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def config(self, user: Any = None, name: str = "config", **cluster: Any) -> Path:
        """A kubeconfig with one cluster, one user and one context."""
        stated = {
            "server": self.server.url,
            "certificate-authority-data": self.papers.encoded("ca.pem"),
            **cluster,
        }
        context = {"cluster": "c", "user": "u"} if user is not None else {"cluster": "c"}
        path = self.write(
            name,
            clusters=[{"name": "c", "cluster": {key: value for key, value in stated.items() if value != ""}}],
            users=[{"name": "u", "user": user}] if user is not None else [],
            contexts=[{"name": "one", "context": context}],
            **{"current-context": "one"},
        )
        self.environment["KUBECONFIG"] = str(path)
        return path

    @property
    def sessions(self) -> Sessions:
        return Sessions(
            self.environment, self.folder / "account", timeout=self.timeout, clock=lambda: self.now
        )

    def ask(self, sessions: Sessions | None = None, context: str = "") -> tuple[str, str]:
        """Who the server takes it for: what stood in Authorization, and on the certificate."""
        session = (sessions or self.sessions).session(context)
        assert session.call("GET", "/version").status == 200
        return self.server.seen[-1]

    def plugin(self, text: str, name: str = "plugin") -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return path


@pytest.fixture
def case(server: Asked, papers: Papers, tmp_path: Path) -> Case:
    return Case(server, papers, tmp_path, {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]})


def refused(call: Callable[[], object], expected: str = "") -> SinkError:
    """The error of a call, which shows no canary."""
    with pytest.raises(SinkError) as caught:
        call()
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + f"{error!r}{error.summary}{error.detail}{error.hint}"
    assert "canary" not in shown
    assert error.__context__ is None or error.__suppress_context__
    assert error.hint
    assert f"{error.summary}{error.detail}{error.hint}".isprintable()
    assert expected in f"{error.summary}\n{error.detail}\n{error.hint}"
    return error


# Which kubeconfig, and what several say together


def named(name: str, **fields: Any) -> dict[str, Any]:
    kind = next(kind for kind in ("cluster", "user", "context") if name.startswith(kind))
    return {"name": name, kind: fields}


FIRST = {
    "clusters": [named("cluster-a", server="https://first.example")],
    "contexts": [named("context-a", cluster="cluster-a", user="user-a")],
    "users": [named("user-a", tokenFile="first")],
}
SECOND = {
    "current-context": "context-b",
    "clusters": [
        named("cluster-a", server="https://second.example", **{"certificate-authority": "second.pem"}),
        named("cluster-b", server="https://b.example", **{"certificate-authority": "sub/ca.pem"}),
    ],
    "users": [named("user-a", token="x"), named("user-b", tokenFile="sub/b")],
    "contexts": [
        named("context-a", cluster="cluster-b", user="user-b"),
        named("context-b", cluster="cluster-b", user="user-b"),
    ],
}
THIRD = {"current-context": "context-a", "contexts": [], "users": None}


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    paths = []
    for name, document in (("one/a", FIRST), ("two/b", SECOND), ("c", THIRD)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document))
        paths.append(path)
    (tmp_path / "two" / "sub").mkdir()
    (tmp_path / "two" / "sub" / "ca.pem").write_text("an authority")
    (tmp_path / "empty").write_text("")
    return [tmp_path / "gone", tmp_path / "empty", *paths, paths[0]]


def test_of_several_files_the_first_to_name_something_has_it_as_a_whole(three: list[Path]) -> None:
    config = load(three)
    assert config is not None
    assert config.current == "context-b"
    cluster, user = config.chosen("context-a")
    assert user is not None
    assert (cluster.text("server"), user.text("token")) == ("https://first.example", "")
    assert cluster.content("certificate-authority") == b""
    assert user.path("tokenFile") == three[2].parent / "first"
    cluster, user = config.chosen("")
    assert user is not None
    assert cluster.text("server") == "https://b.example"
    assert user.path("tokenFile") == three[3].parent / "sub" / "b"
    assert cluster.content("certificate-authority") == b"an authority"


def test_kubectl_merges_them_alike(tool: Tool, three: list[Path]) -> None:
    environment = {"KUBECONFIG": ":".join(map(str, three)), "HOME": str(three[0].parent)}
    command = [tool("kubectl"), "config", "view", "--raw", "--flatten", "-o", "json"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=20)
    theirs = json.loads(done.stdout)
    ours = load(three)
    assert ours is not None
    assert ours.current == theirs["current-context"]
    for kind in ("cluster", "user", "context"):
        fields = {each["name"]: each[kind] for each in theirs[f"{kind}s"]}
        entries = {name: entry for (of, name), entry in ours.entries.items() if of == kind}
        assert fields.keys() == entries.keys()
        for name, found in fields.items():
            authority = base64.b64decode(found.pop("certificate-authority-data", ""))
            assert authority == entries[name].content("certificate-authority")
            stated = {key: value for key, value in entries[name].fields.items() if "authority" not in key}
            assert found == stated


def test_the_files_of_kubeconfig_come_before_the_one_at_home(case: Case) -> None:
    home = case.folder / "home"
    case.environment["HOME"] = str(home)
    (home / ".kube").mkdir(parents=True)
    case.config({"token": OTHER}).rename(home / ".kube" / "config")
    for stated in ("", None):
        case.environment["KUBECONFIG"] = stated or ""
        assert case.ask()[0] == f"Bearer {OTHER}"
    case.environment["KUBECONFIG"] = f":{case.folder / 'gone'}:{case.config({'token': TOKEN})}:"
    assert case.ask()[0] == f"Bearer {TOKEN}"


def test_without_a_kubeconfig_nothing_is_asked(case: Case) -> None:
    refused(case.ask, "nor does this run in a cluster")
    del case.environment["HOME"]
    refused(case.ask, "Set KUBECONFIG")
    case.environment |= {"KUBECONFIG": f"{case.folder}/gone", "KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    refused(case.ask, f'None of the files of KUBECONFIG is there: "{case.folder}/gone"')


def test_a_context_of_the_sink_prevails(case: Case) -> None:
    path = case.config({"token": TOKEN})
    document = yaml.safe_load(path.read_text())
    document["users"].append({"name": "u2", "user": {"token": OTHER}})
    document["contexts"].append({"name": "two", "context": {"cluster": "c", "user": "u2"}})
    path.write_text(yaml.safe_dump(document))
    assert case.ask(context="two")[0] == f"Bearer {OTHER}"
    assert case.ask()[0] == f"Bearer {TOKEN}"


def test_a_context_without_a_user_asks_as_nobody(case: Case) -> None:
    case.config()
    assert case.ask() == ("", "")


CONTEXTS = {
    "none chosen": ({"current-context": ""}, "", "has no current-context, and the sink names none"),
    "unknown": ({}, "t\x1bwo", 'There is no context "t\\x1bwo"'),
    "unknown, by the file": ({"current-context": "two"}, "", "It is named by current-context."),
    "no such cluster": ({"clusters": []}, "", 'There is no cluster "c"'),
    "no such user": ({"users": []}, "", 'There is no user "u"'),
}


@pytest.mark.parametrize(("change", "context", "expected"), CONTEXTS.values(), ids=CONTEXTS)
def test_a_context_that_leads_nowhere_is_refused(
    case: Case, change: dict[str, Any], context: str, expected: str
) -> None:
    path = case.config({"token": TOKEN})
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    refused(lambda: case.ask(context=context), expected)


def test_the_contexts_that_there_are_are_told(case: Case) -> None:
    case.config({"token": TOKEN})
    refused(lambda: case.ask(context="two"), 'It is named by `context` of the sink. There are "one".')


BROKEN = {
    "no YAML": b"clusters: [canary",
    "two documents": b"a: canary\n---\nb: canary",
    "a list": b"- canary",
    "a text": b"canary",
    "bytes that are no text": b"a: canary\xff",
    "an object of Python's": b"!!python/object/apply:os.system [canary]",
    "a date that is none": b"a: 2026-13-45 # canary",
    "a flag that is none": b"a: !!bool canary",
    "a number that is none": b"a: !!int canary",
    "a time that is none": b"a: !!timestamp canary",
    "a key that is a list": b"? [canary]\n: canary",
    "depth": b"[" * 100_000 + b"canary",
    "clusters that are no list": b"clusters: {canary: 1}",
    "a cluster that is a text": b"clusters: [canary]",
    "a cluster without a name": b"clusters: [{cluster: {server: canary}}]",
    "a name that is a number": b"users: [{name: 1, user: {token: canary}}]",
    "a user that is a text": b"users: [{name: u, user: canary}]",
    "a name given twice": b"contexts: [{name: c, context: {user: canary}}, {name: c}]",
    "a current context that is a list": b"current-context: [canary]",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_b63_a_kubeconfig_that_is_none_is_refused_and_not_shown(case: Case, content: bytes) -> None:
    path = case.folder / "config"
    path.write_bytes(content)
    case.environment["KUBECONFIG"] = str(path)
    refused(case.ask, f'Cannot use the kubeconfig "{path}"')


def test_a_kubeconfig_that_cannot_be_read_is_named(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.environment["KUBECONFIG"] = str(case.folder)
    refused(case.ask, "It is a folder")
    (case.folder / "loop").symlink_to("loop")
    case.environment["KUBECONFIG"] = str(case.folder / "loop")
    refused(case.ask, "Could not read")
    case.config({"token": TOKEN})
    monkeypatch.setattr(kubernetes_config, "_LIMIT", 100)
    refused(case.ask, "larger than 100 bytes")


# What a user logs in with


def test_a_token_goes_to_the_server(case: Case) -> None:
    case.config({"token": TOKEN})
    assert case.ask() == (f"Bearer {TOKEN}", "")


@pytest.mark.parametrize("relative", [True, False])
def test_a_token_in_a_file_is_read_anew_each_time_and_prevails(case: Case, relative: bool) -> None:
    path = case.folder / "token"
    case.config({"token": "stale", "tokenFile": "token" if relative else str(path)})
    sessions = case.sessions
    for token in (TOKEN, OTHER):
        path.write_text(token + "\n")
        assert case.ask(sessions)[0] == f"Bearer {token}"


@pytest.mark.parametrize("how", ["data", "files", "data over files", "data with line breaks"])
def test_a_client_certificate_is_presented(case: Case, how: str) -> None:
    pair = (("client-certificate", "client.pem"), ("client-key", "client.key"))
    user = {}
    for key, name in pair:
        if how != "files":
            user[f"{key}-data"] = case.papers.encoded(name)
        if how == "data with line breaks":
            user[f"{key}-data"] = base64.encodebytes(case.papers.read(name)).decode()
        if how == "data over files":
            user[key] = "gone"
        if how == "files":
            user[key] = str(case.papers.folder / name)
    case.config(user)
    assert case.ask() == ("", "client")
    case.config({**user, "token": TOKEN})
    assert case.ask() == (f"Bearer {TOKEN}", "client")


def test_a_client_certificate_is_presented_to_whom_the_system_trusts_too(case: Case) -> None:
    case.config(papered(case.papers), **{"certificate-authority-data": ""})
    refused(case.ask, "the certificate of the host is not trusted")


def test_a_private_key_reaches_no_disk_and_no_file_stays_open(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[int, str]] = []
    real = ssl.SSLContext.load_cert_chain

    def loading(context: ssl.SSLContext, certfile: str, keyfile: str, password: str) -> None:
        for name in (certfile, keyfile):
            found = Path(name).stat()
            opened.append((found.st_nlink, str(Path(name).readlink())))
        real(context, certfile, keyfile, password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", loading)
    temporary = case.folder / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    names = ("client-certificate-data", "client.pem"), ("client-key-data", "client.key")
    case.config({key: case.papers.encoded(name) for key, name in names})
    before = len(list(Path("/proc/self/fd").iterdir()))
    case.sessions.session("")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert opened == [(0, "/memfd:provisioner (deleted)")] * 2  # in no folder
    assert not list(temporary.iterdir())


def papered(papers: Papers, certificate: str = "client.pem", key: str = "client.key") -> dict[str, str]:
    pair = {"client-certificate-data": certificate, "client-key-data": key}
    return {name: papers.encoded(file) for name, file in pair.items() if file}


USERS: dict[str, tuple[Callable[[Papers], Any], str]] = {
    "a name and a password": (lambda _: {"username": "x", "password": "canary"}, "It has `username`"),
    "a password": (lambda _: {"password": "canary"}, "It has `password`"),
    "an auth provider": (lambda _: {"auth-provider": {"name": "gcp", "config": "canary"}}, "`auth-provider`"),
    "as somebody else": (lambda _: {"token": TOKEN, "as": "root"}, "acting as somebody else"),
    "as others": (lambda _: {"token": TOKEN, "as-groups": ["root"]}, "acting as somebody else"),
    "a token that is a number": (lambda _: {"token": 12345}, "`token` is not a text"),
    "a token that is a list": (lambda _: {"token": ["canary"]}, "`token` is not a text"),
    "a token with a space": (lambda _: {"token": "a canary"}, "Its token is not visible ASCII"),
    "a token with a line break": (lambda _: {"token": "a\r\nX-Evil: canary"}, "not visible ASCII"),
    "a token outside ASCII": (lambda _: {"token": "canary-é"}, "Its token is not visible ASCII"),
    "a token file that is not there": (lambda _: {"tokenFile": "gone"}, "`tokenFile`: Could not read"),
    "a token file that is empty": (lambda _: {"tokenFile": os.devnull}, "made up by the kernel|a device"),
    "a certificate alone": (lambda papers: papered(papers, key=""), "and not the other"),
    "a key alone": (lambda papers: papered(papers, certificate=""), "and not the other"),
    "another's key": (lambda papers: papered(papers, key="second.key"), "do not belong together"),
    "a key that is encrypted": (lambda papers: papered(papers, key="encrypted.key"), "the key is encrypted"),
    "a certificate that is none": (lambda papers: papered(papers, "client.key"), "are not PEM"),
    "data that is no base64": (
        lambda papers: {**papered(papers), "client-key-data": "canary!"},
        "`client-key-data` is not base64",
    ),
    "a certificate file that is not there": (
        lambda _: {"client-certificate": "gone", "client-key": "gone"},
        "`client-certificate`: Could not read",
    ),
}


@pytest.mark.parametrize(("user", "expected"), USERS.values(), ids=USERS)
def test_b60_a_user_that_cannot_log_in_is_refused_and_nothing_of_it_shown(
    case: Case, user: Callable[[Papers], Any], expected: str
) -> None:
    case.config(user(case.papers))
    error = refused(case.ask)
    assert re.search(expected, f"{error.summary} {error.detail}")
    assert error.summary.startswith('Cannot use the user "u" of the kubeconfig')
    assert case.server.seen == []


@pytest.mark.parametrize("content", ["", "\n"])
def test_a_token_file_with_nothing_in_it_is_refused(case: Case, content: str) -> None:
    (case.folder / "token").write_text(content)
    case.config({"tokenFile": "token"})
    refused(case.ask, "Its token is not visible ASCII")


# Whom a cluster is trusted by


def test_an_authority_in_a_file_is_trusted_and_data_prevails(case: Case) -> None:
    (case.folder / "ca.pem").write_bytes(case.papers.read("ca.pem"))
    case.config({"token": TOKEN}, **{"certificate-authority-data": "", "certificate-authority": "ca.pem"})
    case.ask()
    case.config({"token": TOKEN}, **{"certificate-authority": "gone.pem"})
    case.ask()


@pytest.mark.parametrize("authority", ["", "other.pem"])
def test_a_server_that_nobody_vouches_for_is_told_nothing(case: Case, authority: str) -> None:
    data = case.papers.encoded(authority) if authority else ""
    case.config({"token": TOKEN}, **{"certificate-authority-data": data})
    error = refused(case.ask, "the certificate of the host is not trusted")
    assert isinstance(error, NoAnswerError)
    assert not error.sent
    assert case.server.seen == []


CLUSTERS = {
    "no check": ({"insecure-skip-tls-verify": True}, "It has `insecure-skip-tls-verify`: nothing here turns"),
    "a proxy": ({"proxy-url": "http://user:canary@proxy.example"}, "It has `proxy-url`"),
    "another name": ({"tls-server-name": "kubernetes"}, "It has `tls-server-name`"),
    "no server": ({"server": ""}, "cannot be used"),
    "a plain server": ({"server": "http://cluster.example:8080"}, "ttp:// is for this machine only"),
    "a user in it": ({"server": "https://canary@cluster.example"}, "cannot be used"),
    "a server that is a list": ({"server": ["x"]}, "`server` is not a text"),
    "no certificates": ({"certificate-authority-data": base64.b64encode(b"x").decode()}, "no certificates"),
    "no base64": ({"certificate-authority-data": "canary!"}, "`certificate-authority-data` is not base64"),
    "an empty file": (
        {"certificate-authority-data": "", "certificate-authority": "empty"},
        "`certificate-authority` is empty",
    ),
    "empty data": ({"certificate-authority-data": "\n"}, "`certificate-authority` is empty"),
    "no file": (
        {"certificate-authority-data": "", "certificate-authority": "gone"},
        "`certificate-authority`: Could not read",
    ),
}


@pytest.mark.parametrize(("cluster", "expected"), CLUSTERS.values(), ids=CLUSTERS)
def test_b61_a_cluster_that_must_not_have_a_token_gets_none(
    case: Case, cluster: dict[str, Any], expected: str
) -> None:
    (case.folder / "empty").touch()
    case.config({"token": TOKEN}, **cluster)
    refused(case.ask, expected)
    assert case.server.seen == []


def test_a_check_that_is_not_turned_off_is_fine(case: Case) -> None:
    case.config({"token": TOKEN}, **{"insecure-skip-tls-verify": False})
    case.ask()


# In a cluster


def account(case: Case) -> Path:
    folder = case.folder / "account"
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    (folder / "ca.crt").write_bytes(case.papers.read("ca.pem"))
    (folder / "namespace").write_text("team")
    port = case.server.url.rpartition(":")[2]
    case.environment |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
    return folder


def test_in_a_cluster_the_service_account_logs_in(case: Case) -> None:
    folder = account(case)
    sessions = case.sessions
    assert case.ask(sessions)[0] == f"Bearer {TOKEN}"
    (folder / "token").write_text(OTHER)
    assert case.ask(sessions)[0] == f"Bearer {OTHER}"


def test_in_a_cluster_a_kubeconfig_prevails_and_a_context_needs_one(case: Case) -> None:
    account(case)
    refused(lambda: case.ask(context="one"), "where `context` would be")
    case.config({"token": OTHER})
    assert case.ask()[0] == f"Bearer {OTHER}"


def test_in_a_cluster_an_address_of_ipv6_is_one(case: Case) -> None:
    account(case)
    case.environment["KUBERNETES_SERVICE_HOST"] = "fd00::1"
    del case.environment["KUBERNETES_SERVICE_PORT"]
    assert case.sessions.session("").server.url == "https://[fd00::1]:443"


@pytest.mark.parametrize("name", ["token", "ca.crt"])
def test_a_service_account_that_lacks_something_is_an_error(case: Case, name: str) -> None:
    folder = account(case)
    (folder / name).unlink()
    refused(case.ask, f"`{name}`: Could not read")
    assert case.server.seen == []


# Plugins


def printing(version: str = V1, **status: Any) -> str:
    document = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    return f"cat <<'END'\n{json.dumps(document)}\nEND"


def plugged(command: Path | str, version: str = V1, **stated: Any) -> dict[str, Any]:
    mode = {"interactiveMode": "IfAvailable"} if version == V1 else {}
    return {"exec": {"apiVersion": version, "command": str(command), **mode, **stated}}


@pytest.mark.parametrize("version", [V1, V1BETA1])
def test_a_plugin_prints_a_token(case: Case, version: str) -> None:
    case.config(plugged(case.plugin(printing(version, token=TOKEN)), version))
    assert case.ask()[0] == f"Bearer {TOKEN}"


def test_a_plugin_prints_a_certificate(case: Case) -> None:
    pair = {"clientCertificateData": "client.pem", "clientKeyData": "client.key"}
    shown = {key: case.papers.read(name).decode() for key, name in pair.items()}
    case.config(plugged(case.plugin(printing(**shown))))
    assert case.ask() == ("", "client")
    case.config(plugged(case.plugin(printing(**shown, token=TOKEN))))
    assert case.ask() == (f"Bearer {TOKEN}", "client")


@pytest.mark.parametrize("where", ["absolute", "relative", "on the path"])
def test_a_plugin_is_found_as_kubectl_finds_it(case: Case, where: str) -> None:
    path = case.plugin(printing(token=TOKEN))
    command = {"absolute": str(path), "relative": "./plugin", "on the path": "plugin"}[where]
    if where == "on the path":
        case.environment["PATH"] += f":{case.folder}"
    case.config(plugged(command))
    assert case.ask()[0] == f"Bearer {TOKEN}"


def test_a_plugin_gets_what_is_stated_and_what_programs_need_and_no_more(case: Case) -> None:
    seen = case.folder / "seen"
    text = (
        f"env -0 >'{seen}'; cat /proc/$$/cmdline >'{seen}.argv'; readlink /proc/self/fd/0 >'{seen}.stdin'\n"
    )
    path = case.plugin(text + printing(token=TOKEN))
    stated = [{"name": "PROFILE", "value": "prod"}, {"name": "AWS_REGION", "value": "eu-west-1"}]
    case.environment |= {
        "METEROID_API_KEY": "canary",
        "VAULT_TOKEN": "canary",
        "GITHUB_TOKEN": "canary",
        "PROFILE": "other",
        "AWS_REGION": "other",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/file",
        "no_proxy": "example.com",
    }
    case.config(plugged(path, args=["get-token", "--cluster", "a b"], env=stated))
    with standard_input(path):
        case.ask()
    found = dict(item.split("=", 1) for item in seen.read_text().split("\0") if item)
    information = json.loads(found.pop("KUBERNETES_EXEC_INFO"))
    assert information == {"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}}
    for name in ("PWD", "OLDPWD", "SHLVL", "_"):  # the shell's own
        found.pop(name, None)
    assert found == {
        "PATH": case.environment["PATH"],
        "HOME": case.environment["HOME"],
        "PROFILE": "prod",
        "AWS_REGION": "eu-west-1",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/file",
        "no_proxy": "example.com",
    }
    argv = Path(f"{seen}.argv").read_text().split("\0")
    assert argv[-4:] == ["get-token", "--cluster", "a b", ""]
    assert Path(f"{seen}.stdin").read_text().strip() == os.devnull


@contextmanager
def standard_input(path: Path) -> Iterator[None]:
    """Have a file as the standard input of this process."""
    kept = os.dup(0)
    with path.open("rb") as stream:
        os.dup2(stream.fileno(), 0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_plugin_that_asks_for_it_is_told_of_the_cluster(case: Case) -> None:
    seen = case.folder / "seen"
    path = case.plugin(f"printf %s \"$KUBERNETES_EXEC_INFO\" >'{seen}'\n" + printing(token=TOKEN))
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    other = {"name": "other", "extension": {}}
    case.config(plugged(path, provideClusterInfo=True), extensions=[other, extension, "x"])
    case.ask()
    assert json.loads(seen.read_text())["spec"] == {
        "interactive": False,
        "cluster": {
            "server": case.server.url,
            "certificate-authority-data": case.papers.encoded("ca.pem"),
            "config": {"audience": "x"},
        },
    }
    case.config(plugged(path, provideClusterInfo=True), **{"certificate-authority-data": "", "extensions": 1})
    case.sessions.session("")
    assert json.loads(seen.read_text())["spec"]["cluster"] == {"server": case.server.url}


def counting(case: Case, **status: Any) -> Callable[[], int]:
    runs = case.folder / "runs"
    case.config(plugged(case.plugin(f"echo >>'{runs}'\n" + printing(token=TOKEN, **status))))
    return lambda: len(runs.read_text())


def test_a_plugin_is_run_again_when_its_credential_is_about_to_expire(case: Case) -> None:
    until = case.now + timedelta(minutes=15)
    runs = counting(case, expirationTimestamp=until.strftime("%Y-%m-%dT%H:%M:%SZ"))
    sessions, started, counts = case.sessions, case.now, []
    for minutes in (0, 1, 13, 14.5):
        case.now = started + timedelta(minutes=minutes)
        sessions.session("")
        counts.append(runs())
    assert counts == [1, 1, 1, 2]


def test_a_credential_that_does_not_say_how_long_it_lasts_is_fetched_each_time(case: Case) -> None:
    runs = counting(case)
    sessions = case.sessions
    for count in (1, 2):
        sessions.session("")
        assert runs() == count


def test_a_credential_is_kept_for_its_user_and_cluster_alone(case: Case) -> None:
    """Names of users and clusters may be long, as those of AWS are, and alike."""
    long = "arn:aws:eks:eu-west-1:123456789012:cluster/" + "x" * 80
    contexts, users = [], []
    for number, token in enumerate((TOKEN, OTHER)):
        text = printing(token=token, expirationTimestamp="2099-01-01T00:00:00Z")
        users.append({"name": f"{long}{number}", "user": plugged(case.plugin(text, f"plugin{number}"))})
        contexts.append({"name": str(number), "context": {"cluster": "c", "user": f"{long}{number}"}})
    path = case.config()
    path.write_text(
        yaml.safe_dump({**yaml.safe_load(path.read_text()), "users": users, "contexts": contexts})
    )
    sessions = case.sessions
    for _ in range(2):
        assert case.ask(sessions, "0")[0] == f"Bearer {TOKEN}"
        assert case.ask(sessions, "1")[0] == f"Bearer {OTHER}"


def test_a_credential_is_kept_nowhere_but_in_memory(case: Case, clean_environment: Path) -> None:
    counting(case, expirationTimestamp="2099-01-01T00:00:00+02:00")
    sessions = case.sessions
    sessions.session("")
    assert TOKEN not in repr(sessions)
    assert TOKEN not in repr(sessions._kept)
    assert not list(clean_environment.iterdir())


PLUGINS: dict[str, tuple[str, dict[str, Any], str]] = {
    "fails": ("echo canary; echo canary >&2; exit 3", {}, "It ended with status 3"),
    "is killed": ("echo canary; kill -9 $$", {}, "It ended with status -9"),
    "prints nothing": ("", {}, "It did not print an ExecCredential"),
    "prints no JSON": ("echo canary", {}, "It did not print an ExecCredential"),
    "prints a list": ("echo '[\"canary\"]'", {}, "It did not print an ExecCredential"),
    "prints depth": ("head -c 200000 /dev/zero | tr '\\0' '['", {}, "It did not print an ExecCredential"),
    "prints another kind": (
        printing(token="canary").replace("ExecCredential", "Secret"),
        {},
        "ExecCredential",
    ),
    "prints another version": (printing(V1BETA1, token="canary"), {}, "an ExecCredential of client.auth"),
    "prints no status": (printing().replace('"status": {}', '"status": "canary"'), {}, "with a status"),
    "prints no credential": (printing(token=""), {}, "neither a token nor a certificate with its key"),
    "prints a key alone": (printing(clientKeyData="canary"), {}, "neither a token nor"),
    "prints a certificate alone": (printing(token="canary", clientCertificateData="canary"), {}, "neither"),
    "prints a number": (printing(token=12345), {}, "is not a text"),
    "prints a token of two lines": (printing(token="can\nary"), {}, "not visible ASCII"),
    "prints a token with half a character": (
        printing(token="canary-HALF").replace("HALF", "\\ud800"),
        {},
        "not visible ASCII",
    ),
    "prints a key with half a character": (
        printing(clientCertificateData="canary", clientKeyData="canary-HALF").replace("HALF", "\\ud800"),
        {},
        "are not PEM",
    ),
    "prints a certificate that is none": (
        printing(clientCertificateData="canary", clientKeyData="canary"),
        {},
        "are not PEM",
    ),
    "prints no time": (printing(token="canary", expirationTimestamp="soon"), {}, "is no time with a zone"),
    "prints a time without a zone": (
        printing(token="canary", expirationTimestamp="2026-01-01T00:00:00"),
        {},
        "is no time with a zone",
    ),
    "is of another version": ("", {"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "v1alpha1"),
    "is of no version": ("", {"apiVersion": None}, "are known"),
    "has no command": ("", {"command": ""}, "It has no `command`"),
    "must be answered": ("", {"interactiveMode": "Always"}, "here is nobody to answer it"),
    "does not say whether it must be answered": ("", {"interactiveMode": None}, "here is nobody"),
    "is not there": (
        "",
        {"command": "gone-plugin", "installHint": "get\n it \x1b[2J"},
        "There is no program",
    ),
    "has arguments that are no list": ("", {"args": "canary"}, "`args` is not a list"),
    "has an argument that is a number": ("", {"args": [1]}, "`args` is not a list"),
    "has an argument with NUL": ("", {"args": ["canary\0"]}, "`args` is not a list"),
    "has an environment that is no list": ("", {"env": {"A": "canary"}}, "`env` is not a list"),
    "has a variable that is a text": ("", {"env": ["A=canary"]}, "`env` is not a list"),
    "has a variable that is a number": ("", {"env": [{"name": "A", "value": 1}]}, "`env` is not a list"),
    "has a variable without a name": ("", {"env": [{"value": "canary"}]}, "`env` is not a list"),
    "has a variable with =": ("", {"env": [{"name": "A=", "value": "canary"}]}, "`env` is not a list"),
    "has a variable with NUL": ("", {"env": [{"name": "A", "value": "canary\0"}]}, "`env` is not a list"),
}


@pytest.mark.parametrize(("text", "stated", "expected"), PLUGINS.values(), ids=PLUGINS)
def test_a_plugin_that_does_not_do_is_an_error_and_nothing_it_printed_is_shown(
    case: Case, capfd: pytest.CaptureFixture[str], text: str, stated: dict[str, Any], expected: str
) -> None:
    user = plugged(case.plugin(text))
    user["exec"] = {key: value for key, value in {**user["exec"], **stated}.items() if value is not None}
    case.config(user)
    refused(case.ask, expected)
    assert case.server.seen == []
    assert "".join(capfd.readouterr()) == ""


def test_a_plugin_that_is_not_there_comes_with_its_own_word_on_how_to_get_it(case: Case) -> None:
    case.config(plugged("gone-plugin", installHint="get\n it \x1b[2J"))
    assert refused(case.ask).hint == "get it \\x1b[2J"
    case.config(plugged("gone-plugin"))
    assert refused(case.ask).hint == "Install it."


@pytest.mark.parametrize("half", ["args", "env"])
def test_a_plugin_cannot_be_given_half_a_character(case: Case, half: str) -> None:
    stated = (
        {"args": ["canary-\ud800"]} if half == "args" else {"env": [{"name": "A", "value": "canary-\ud800"}]}
    )
    user = Entry("a user", case.folder, plugged(case.plugin(""), **stated))
    plugin = kubernetes_plugin.Plugin(user, {}, case.environment, 5)
    refused(plugin.credential, "No program can be given its arguments, or its environment")


@pytest.mark.parametrize("extension", ["2026-01-01", "&a [*a]", "{2026-01-01: x}"])
def test_what_json_cannot_say_is_not_told_to_a_plugin(case: Case, extension: str) -> None:
    path = case.config(
        plugged(case.plugin(printing(token=TOKEN)), provideClusterInfo=True), extensions="EXTENSIONS"
    )
    stated = f"[{{name: client.authentication.k8s.io/exec, extension: {extension}}}]"
    path.write_text(path.read_text().replace("EXTENSIONS", stated))
    refused(case.ask, "cannot be written as JSON")


def test_a_plugin_that_cannot_be_started_is_an_error(case: Case) -> None:
    path = case.plugin("")
    path.write_text("#!/no/such/program\n")
    case.config(plugged(path))
    refused(case.ask, "No such file or directory")


@pytest.mark.parametrize("other", [{"token": TOKEN}, {"tokenFile": "x"}, {"client-certificate": "x"}])
def test_a_plugin_beside_another_way_to_log_in_is_refused(case: Case, other: dict[str, str]) -> None:
    case.config({**plugged(case.plugin(printing(token=OTHER))), **other})
    refused(case.ask, "which of them is meant cannot be told")


def test_a_plugin_that_is_no_mapping_is_refused(case: Case) -> None:
    case.config({"exec": "canary"})
    refused(case.ask, "`exec` is not a mapping")


def test_a_plugin_that_takes_too_long_is_ended_with_what_it_started(case: Case) -> None:
    pids = case.folder / "pids"
    case.timeout = 0.5
    for last in ("exec sleep 60", "sleep 60 & wait", "exec >&-; exec sleep 60"):
        case.config(plugged(case.plugin(f"sleep 60 >/dev/null & echo $! $$ >'{pids}'; echo canary; {last}")))
        refused(case.ask, "It was not done in time, and was ended")
        for pid in pids.read_text().split():
            until = time.monotonic() + 5
            while is_running(pid) and time.monotonic() < until:
                time.sleep(0.01)
            assert not is_running(pid)


def is_running(pid: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def test_a_plugin_that_prints_without_end_is_ended(case: Case) -> None:
    case.config(plugged(case.plugin("exec yes canary")))
    refused(case.ask, "It printed more than 262,144 bytes")


def test_a_plugin_that_has_been_reaped_by_somebody_else_is_ended_without_a_fault(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", gone)
    monkeypatch.setattr(kubernetes_plugin, "_LIMIT", 3)
    case.config(plugged(case.plugin("echo canary")))
    refused(case.ask, "It printed more than 3 bytes")


def test_a_file_of_a_kubeconfig_keeps_its_mode(case: Case) -> None:
    path = case.config({"token": TOKEN})
    path.chmod(0o640)
    case.ask()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
