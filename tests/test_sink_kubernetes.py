"""Delivery into a Secret: against a model of the API, and against a real kube-apiserver where one is there.

PROVISIONER_TEST_KUBERNETES names a folder with the programs `kube-apiserver` and `etcd`.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import secrets
import shlex
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml
from counterparts.kubernetes import ADMIN, REVIEWS, USERS, Document, Model
from counterparts.listening import Speak, listening
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.model import Address, Secret
from provisioner.ports import SecretSink
from provisioner.sinks.http import NoAnswerError
from provisioner.sinks.kubernetes import KubernetesSink, sink
from provisioner.sinks.kubernetes_login import Sessions

PROGRAMS = os.environ.get("PROVISIONER_TEST_KUBERNETES", "")
REQUIRE_TOOLS = "PROVISIONER_TEST_REQUIRE_TOOLS" in os.environ
PAGE = Path(__file__).resolve().parent.parent / "docs" / "sinks" / "kubernetes.md"
CANARY = "cs_canary_" + secrets.token_hex(12)
OPTIONS = {
    "name": "{key}",
    "namespace": "default",
    "context": "",
    "manifest": "",
    "plaintext": False,
    "prefix": "",
    "keys": {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"},
}
PAIR = {"CLIENT_ID": "client-1", "CLIENT_SECRET": CANARY}


# The clusters


@dataclass
class Cluster:
    """A cluster as its administrator sees it."""

    url: str
    authority: Path
    client: httpx.Client
    model: Model | None

    def ask(
        self, method: str, path: str, document: Any = None, token: str = ADMIN, kind: str = "application/json"
    ) -> tuple[int, Document]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        content = None if document is None else json.dumps(document).encode()
        answer = self.client.request(method, self.url + path, headers=headers, content=content)
        return answer.status_code, answer.json()

    def do(self, method: str, path: str, document: Any = None, kind: str = "application/json") -> Document:
        status, found = self.ask(method, path, document, kind=kind)
        assert status in (200, 201), found
        return found


@dataclass(frozen=True)
class Papers:
    """An authority, and a server's certificate and key for loopback."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def serving(self) -> ssl.SSLContext:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate, self.key)
        return tls


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=20)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    authority, authority_key = folder / "ca.pem", folder / "ca.key"
    certificate, key = folder / "server.pem", folder / "server.key"
    new = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    openssl(*new, "-keyout", authority_key, "-out", authority, "-subj", "/CN=test authority")
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
    signed = ["-CA", authority, "-CAkey", authority_key, "-subj", "/CN=server"]
    openssl(*new, *names, *signed, "-keyout", key, "-out", certificate)
    return Papers(authority, certificate, key)


@contextmanager
def modelled(papers: Papers) -> Iterator[Cluster]:
    model = Model()

    def speak(
        method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        status, found = model.answer(method, path, headers, body)
        content = found if isinstance(found, str) else json.dumps(found)
        return status, content.encode(), {"Content-Type": "application/json"}

    trust = ssl.create_default_context(cafile=str(papers.authority))
    with (
        listening(speak, papers.serving) as server,
        httpx.Client(verify=trust, trust_env=False, timeout=10) as client,
    ):
        cluster = Cluster(server.url, papers.authority, client, model)
        cluster.do("POST", "/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": "default"}})
        yield cluster
    assert model.faults == []


def free_ports(count: int) -> list[int]:
    with suppress(OSError):
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def real(papers: Papers, folder: Path) -> Iterator[Cluster]:
    """A kube-apiserver with its etcd, and nothing else of a cluster."""
    clients, peers, port = free_ports(3)
    tokens = [f"{ADMIN},admin,admin,system:masters", *(f"{USERS[name]},{name},{name}" for name in USERS)]
    (folder / "tokens.csv").write_text("\n".join(tokens) + "\n")
    store = f"http://127.0.0.1:{clients}"
    etcd = [f"{PROGRAMS}/etcd", f"--data-dir={folder}/etcd", "--unsafe-no-fsync", "--name=one"]
    etcd += [f"--listen-client-urls={store}", f"--advertise-client-urls={store}"]
    etcd += [f"--listen-peer-urls=http://127.0.0.1:{peers}"]
    apiserver = [f"{PROGRAMS}/kube-apiserver", f"--etcd-servers={store}", "--authorization-mode=RBAC"]
    apiserver += [
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--token-auth-file={folder}/tokens.csv",
    ]
    apiserver += [f"--tls-cert-file={papers.certificate}", f"--tls-private-key-file={papers.key}"]
    apiserver += [
        f"--service-account-key-file={papers.certificate}",
        f"--service-account-signing-key-file={papers.key}",
    ]
    apiserver += ["--service-account-issuer=https://test.example", f"--cert-dir={folder}"]
    apiserver += ["--disable-admission-plugins=ServiceAccount", "--anonymous-auth=false"]
    environment = {"HOME": str(folder), "PATH": os.defpath}
    trust = ssl.create_default_context(cafile=str(papers.authority))
    processes = []
    try:
        with (
            (folder / "log").open("w") as log,
            httpx.Client(verify=trust, trust_env=False, timeout=10) as client,
        ):
            for command in (etcd, apiserver):
                process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
                processes.append(process)
            cluster = Cluster(f"https://127.0.0.1:{port}", papers.authority, client, None)
            wait_until(lambda: ready(cluster) or process.poll() is not None, 60)
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            yield cluster
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)


def ready(cluster: Cluster) -> bool:
    with suppress(httpx.TransportError, ValueError):
        return cluster.ask("GET", "/api/v1/namespaces/default")[0] == 200
    return False


def wait_until(done: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module", params=["model", "real"] if PROGRAMS else ["model"])
def cluster(
    request: pytest.FixtureRequest, papers: Papers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    if request.param == "model":
        with modelled(papers) as found:
            yield found
    else:
        with real(papers, tmp_path_factory.mktemp("kubernetes")) as found:
            yield found


def test_a_real_kubernetes_is_there() -> None:
    if not PROGRAMS:
        pytest.skip("NOT TESTED against a real Kubernetes: PROVISIONER_TEST_KUBERNETES is not set")
    for name in ("kube-apiserver", "etcd"):
        assert os.access(f"{PROGRAMS}/{name}", os.X_OK)


# One app, one sink


@dataclass
class Case:
    """One app, one sink, and the cluster behind it."""

    cluster: Cluster
    folder: Path
    namespace: str
    options: dict[str, Any] = field(default_factory=dict)
    token: str = ADMIN
    keep: bool = False
    key: str = field(default_factory=lambda: f"app-{secrets.token_hex(4)}")
    url: str = ""

    @property
    def declared(self) -> DeclaredSink:
        options = {**OPTIONS, "namespace": self.namespace, **self.options}
        return DeclaredSink("cluster", "kubernetes", options, PurePath(self.folder), self.keep)

    @property
    def target(self) -> Target:
        return Target(self.declared, Address(self.key))

    @property
    def sink(self) -> SecretSink:
        authority = base64.b64encode(self.cluster.authority.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "c",
                    "cluster": {
                        "server": self.url or self.cluster.url,
                        "certificate-authority-data": authority,
                    },
                }
            ],
            "users": [{"name": "u", "user": {"token": self.token}}],
            "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "one",
        }
        (self.folder / "config").write_text(json.dumps(config))
        return sink(self.declared, {"KUBECONFIG": str(self.folder / "config")})

    def probe(self) -> None:
        self.sink.probe(self.target)

    def deliver(self, secret: str = CANARY) -> None:
        self.sink.deliver(self.target, self.credentials(secret))

    def remove(self) -> None:
        self.sink.remove(self.target)

    def credentials(self, secret: str = CANARY) -> Credentials:
        return Credentials(self.target.address, "client-1", Secret(secret.encode()))

    @property
    def secrets(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets"

    @property
    def path(self) -> str:
        return f"{self.secrets}/{self.key}"

    @property
    def found(self) -> Document | None:
        """The whole object, without what a server may change by itself."""
        status, document = self.cluster.ask("GET", self.path)
        return document if status == 200 else None

    @property
    def data(self) -> dict[str, str] | None:
        found = self.found
        return None if found is None else decoded(found.get("data"))

    @property
    def owner(self) -> Document:
        return {
            "labels": {"app.kubernetes.io/managed-by": "provisioner"},
            "annotations": {"provisioner/oauth-app": f"oauth_app.{self.key}"},
        }

    def make(self, data: Mapping[str, str] | None = None, **metadata: Any) -> None:
        """Somebody else's write."""
        whole = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.key, **metadata}}
        values = {"data": {name: encoded(value) for name, value in (data or {}).items()}}
        self.cluster.do("POST", f"{self.secrets}?fieldManager=theirs", {**whole, **values})

    def change(self, manager: str, **patch: Any) -> None:
        """Somebody else's change (RFC 7386)."""
        path = f"{self.path}?fieldManager={manager}"
        self.cluster.do("PATCH", path, patch, "application/merge-patch+json")

    def drop(self) -> None:
        self.cluster.do("DELETE", self.path)

    def user(self, rules: list[Document] | None) -> str:
        """A user's token that may do what the rules say, in this namespace."""
        name = f"user-{len(TAKEN)}"
        TAKEN.append(name)
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules or []}
        self.cluster.do("POST", f"{path}/roles", {**role, "metadata": {"name": name}})
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "subjects": [{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"},
        }
        self.cluster.do("POST", f"{path}/rolebindings", binding)
        for rule in rules or []:
            wait_until(lambda rule=rule: self.may(USERS[name], rule["verbs"][-1], rule.get("resourceNames")))
        return USERS[name]

    def may(self, token: str, verb: str, names: list[str] | None) -> bool:
        asked = {"namespace": self.namespace, "verb": verb, "group": "", "resource": "secrets"}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        spec = {"resourceAttributes": asked | ({"name": names[0]} if names else {})}
        status, found = self.cluster.ask("POST", REVIEWS, {**review, "spec": spec}, token)
        return status == 201 and bool(found["status"]["allowed"])


TAKEN: list[str] = []  # users are made when a server starts, and each is used once


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def decoded(data: Mapping[str, str] | None) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in (data or {}).items()}


@pytest.fixture
def case(cluster: Cluster, tmp_path: Path) -> Case:
    namespace = f"team-{secrets.token_hex(4)}"
    whole = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    cluster.do("POST", "/api/v1/namespaces", whole)
    return Case(cluster, tmp_path, namespace)


def refused(call: Callable[[], None], expected: str = "") -> SinkError:
    """The error of a call, which shows no secret and no token."""
    with pytest.raises(SinkError) as caught:
        call()
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + f"{error!r}{error.summary}{error.detail}{error.hint}"
    for hidden in (CANARY, encoded(CANARY), ADMIN, *USERS.values()):
        assert hidden not in shown
    assert error.__context__ is None or error.__suppress_context__
    assert error.hint
    assert f"{error.summary}{error.detail}{error.hint}".isprintable()
    assert expected in f"{error.summary}\n{error.detail}\n{error.hint}"
    return error


# What is delivered, and where


def test_a_delivery_makes_a_secret_with_the_pair_and_our_mark(case: Case) -> None:
    case.probe()
    case.deliver()
    found = case.found
    assert found
    assert decoded(found["data"]) == PAIR
    assert found["type"] == "Opaque"
    assert {part: found["metadata"][part] for part in case.owner} == case.owner


def test_a_probe_changes_nothing(case: Case) -> None:
    case.probe()
    assert case.found is None
    case.deliver()
    before = case.found
    case.probe()
    assert case.found == before


def test_the_same_again_changes_nothing(case: Case) -> None:
    case.deliver()
    before = case.found
    case.deliver()
    assert case.found == before


def test_a_rotation_changes_the_secret_and_leaves_what_others_added(case: Case) -> None:
    case.deliver()
    case.change("theirs", data={"more": encoded("x")}, metadata={"labels": {"team": "payments"}})
    case.probe()
    case.deliver("another-secret")
    assert case.data == {**PAIR, "CLIENT_SECRET": "another-secret", "more": "x"}
    assert case.found
    assert case.found["metadata"]["labels"] == {**case.owner["labels"], "team": "payments"}


def test_a_secret_comes_back_as_it_was_whatever_is_in_it(case: Case) -> None:
    printable = "".join(map(chr, range(0x20, 0x7F)))
    case.deliver(printable)
    assert (case.data or {})["CLIENT_SECRET"] == printable


def test_names_and_prefix_are_the_sinks(case: Case) -> None:
    names = {"client_id": "id.txt", "client_secret": "_secret"}
    case.options = {"prefix": "{KEY}-", "keys": names, "name": "oauth.{key}"}
    case.deliver()
    prefix = case.key.upper().replace("-", "_")
    case.key = f"oauth.{case.key}"
    assert case.data == {f"{prefix}-id.txt": "client-1", f"{prefix}-_secret": CANARY}


def test_other_names_in_the_manifest_take_the_place_of_the_old_ones(case: Case) -> None:
    case.deliver()
    case.options = {"keys": {"client_id": "id", "client_secret": "secret"}}
    case.deliver()
    assert case.data == {"id": "client-1", "secret": CANARY}


def test_a_secret_with_our_mark_and_nothing_in_it_is_filled(case: Case) -> None:
    case.make(**case.owner)
    case.probe()
    case.deliver()
    assert case.data == PAIR


def test_the_place_is_told_without_a_cluster() -> None:
    declared = DeclaredSink("cluster", "kubernetes", {**OPTIONS, "namespace": "{key}"})
    silent = sink(declared, {})
    place = 'kubernetes secret "portal" in namespace "portal"'
    assert silent.place(Target(declared, Address("portal"))) == place
    declared = DeclaredSink("cluster", "kubernetes", {**OPTIONS, "namespace": "{key}", "context": "prod"})
    assert silent.place(Target(declared, Address("portal"))) == f'{place} of context "prod"'


# What is somebody else's


FOREIGN = {
    "no mark": {},
    "another tool's": {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
    "another app's": {
        "labels": {"app.kubernetes.io/managed-by": "provisioner"},
        "annotations": {"provisioner/oauth-app": "oauth_app.other"},
    },
    "half a mark": {"labels": {"app.kubernetes.io/managed-by": "provisioner"}},
}


@pytest.mark.parametrize("metadata", FOREIGN.values(), ids=FOREIGN)
def test_a_secret_of_somebody_elses_is_left_as_it_is(case: Case, metadata: Document) -> None:
    case.make({"CLIENT_SECRET": "theirs", "password": "theirs"}, **metadata)
    before = case.found
    refused(case.probe, "is not ours to write")
    refused(case.deliver, "is not ours to write")
    case.remove()
    assert case.found == before


def test_no_answer_holds_a_secret_and_no_foreign_one_is_read(case: Case) -> None:
    with meddling(case) as meddler:
        case.deliver()
        case.probe()
        case.remove()
        case.make({"password": "theirs-" + CANARY})
        refused(case.deliver)
        assert len(meddler.answers) > 8
        assert not [answer for answer in meddler.answers if encoded(CANARY)[:-4].encode() in answer]


def test_what_the_error_says_to_type_takes_a_secret_over(case: Case) -> None:
    case.make({"password": "theirs"}, labels={"app.kubernetes.io/managed-by": "Helm"})
    case.options = {"context": "one"}
    commands = refused(case.deliver).hint.partition("taken over: ")[2].split("; ")
    parts = {"label": "labels", "annotate": "annotations"}
    for command in commands:
        words = shlex.split(command)
        start = ["kubectl", "--context", "one", "--namespace", case.namespace]
        assert words[:5] == start
        assert words[6:8] == ["secret", case.key]
        name, _, value = words[8].partition("=")
        case.change("kubectl-label", metadata={parts[words[5]]: {name: value}})
    case.probe()
    case.deliver()
    assert case.data == {**PAIR, "password": "theirs"}


# Fields that others own


def test_a_value_that_somebody_else_set_is_refused_and_they_are_named(case: Case) -> None:
    case.deliver()
    case.change("kubectl-edit", data={"CLIENT_SECRET": encoded("by hand")})
    for call in (case.probe, lambda: case.deliver("another-secret")):
        error = refused(call, 'set by "kubectl-edit"')
        assert f"kubectl --namespace {case.namespace} delete secret {case.key}" in error.hint
    assert case.data == {**PAIR, "CLIENT_SECRET": "by hand"}
    case.drop()
    case.deliver("another-secret")
    assert case.data == {**PAIR, "CLIENT_SECRET": "another-secret"}


def test_every_manager_that_is_in_the_way_is_named_once(case: Case) -> None:
    case.deliver()
    case.change("b-tool", data={"CLIENT_ID": encoded("x"), "CLIENT_SECRET": encoded("x")})
    case.change("a-tool", data={"CLIENT_ID": encoded("y")})
    refused(lambda: case.deliver("another-secret"), 'set by "a-tool", "b-tool".')


def test_a_value_that_somebody_else_set_to_the_same_is_no_conflict(case: Case) -> None:
    case.make(PAIR, **case.owner)
    case.deliver()
    assert case.data == PAIR
    refused(lambda: case.deliver("another-secret"), 'set by "theirs"')


def test_an_immutable_secret_is_an_error_that_says_so(case: Case) -> None:
    case.deliver()
    case.change("theirs", immutable=True)
    refused(case.probe, "Kubernetes answered 422")
    refused(lambda: case.deliver("another-secret"), "the Secret is immutable")


def test_a_secret_of_another_type_is_an_error_that_names_who_made_it(case: Case) -> None:
    whole = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": case.key, **case.owner}}
    case.cluster.do("POST", f"{case.secrets}?fieldManager=theirs", {**whole, "type": "example.com/other"})
    for call in (case.probe, case.deliver):
        refused(call, 'set by "theirs"')


# Removal


def test_removal_deletes_the_secret_and_is_fine_twice(case: Case) -> None:
    case.deliver()
    case.remove()
    assert case.found is None
    case.remove()


def test_a_moved_apps_secret_of_a_fixed_name_is_written_and_removed_under_the_mark_that_it_has(
    case: Case,
) -> None:
    case.options = {"name": case.key}
    case.deliver()
    moved = Target(case.declared, Address(f"{case.key}-moved"), formerly=Address(case.key))
    case.sink.probe(moved)
    case.sink.deliver(moved, case.credentials("another-secret"))
    assert case.data == {**PAIR, "CLIENT_SECRET": "another-secret"}
    assert (case.found or {})["metadata"]["annotations"] == case.owner["annotations"]
    case.remove()
    assert case.found is None


def test_after_a_removal_a_delivery_begins_anew(case: Case) -> None:
    case.deliver()
    case.remove()
    case.deliver()
    assert case.data == PAIR


def test_a_secret_that_finalizers_hold_is_not_called_gone(case: Case) -> None:
    case.deliver()
    case.change("theirs", metadata={"finalizers": ["example.com/backup"]})
    for _ in range(2):
        refused(case.remove, "example.com/backup")
    refused(case.probe, "is being deleted")
    refused(case.deliver, "is being deleted")
    case.change("theirs", metadata={"finalizers": None})
    case.remove()
    assert case.found is None


# Two writers, and answers that are lost


@dataclass
class Meddler:
    """Stands before the cluster: it knows what was asked and answered, acts in between, and loses answers."""

    cluster: Cluster
    seen: list[tuple[str, str, str, Any]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    before: Callable[[str], None] = lambda method: None
    lose: Callable[[int], str] = lambda number: ""  # "before" or "after" it is passed on

    def speak(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]] | None:
        kind = headers.get("Content-Type", "")
        self.seen.append((method, path, kind, json.loads(body) if body else None))
        lost = self.lose(len(self.seen))
        if lost == "before":
            return None
        self.before(method)
        passed = {
            name: headers[name] for name in ("Authorization", "Accept", "Content-Type") if name in headers
        }
        answer = self.cluster.client.request(method, self.cluster.url + path, content=body, headers=passed)
        self.answers.append(answer.content)
        return None if lost == "after" else (answer.status_code, answer.content, {})


@contextmanager
def meddling(case: Case) -> Iterator[Meddler]:
    meddler = Meddler(case.cluster)
    with listening(meddler.speak) as server:
        case.url = server.url
        yield meddler
        case.url = ""


def just_before(method: str, act: Callable[[], None], times: int = 1) -> Callable[[str], None]:
    left = iter(range(times))

    def before(asked: str) -> None:
        if asked == method and next(left, None) is not None:
            act()

    return before


def test_a_secret_that_somebody_makes_at_the_same_moment_stays_theirs(case: Case) -> None:
    with meddling(case) as meddler:
        meddler.before = just_before("POST", lambda: case.make({"x": "theirs"}))
        refused(case.deliver, "is not ours to write")
    assert case.data == {"x": "theirs"}


def test_a_change_in_between_is_seen_and_the_delivery_goes_on_top(case: Case) -> None:
    case.deliver()
    with meddling(case) as meddler:
        meddler.before = just_before("PATCH", lambda: case.change("theirs", data={"x": encoded("y")}))
        case.deliver("another-secret")
        assert [method for method, *_ in meddler.seen] == ["GET", "PATCH", "GET", "PATCH"]
    assert case.data == {**PAIR, "CLIENT_SECRET": "another-secret", "x": "y"}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_two_changes_in_between_end_it(case: Case, method: str) -> None:
    case.deliver()
    before = case.data or {}

    def change() -> None:
        case.change("theirs", data={"x": encoded(secrets.token_hex(4))})

    with meddling(case) as meddler:
        meddler.before = just_before(method, change, 2)
        call = case.remove if method == "DELETE" else lambda: case.deliver("another-secret")
        refused(call, "is being changed by somebody else")
    assert {**(case.data or {}), "x": ""} == {**before, "x": ""}


def test_a_mark_that_is_taken_off_in_between_is_respected(case: Case) -> None:
    case.deliver()
    off = {"labels": {"app.kubernetes.io/managed-by": None}}
    for method, call in (("PATCH", lambda: case.deliver("another-secret")), ("DELETE", case.remove)):
        case.change("theirs", metadata=case.owner)
        with meddling(case) as meddler:
            meddler.before = just_before(method, lambda: case.change("theirs", metadata=off))
            if method == "PATCH":
                refused(call, "is not ours to write")
            else:
                call()
        assert case.data == PAIR


@pytest.mark.parametrize("again", ["theirs", "ours", "gone"])
def test_a_secret_that_is_another_one_by_now_is_not_taken_for_it(case: Case, again: str) -> None:
    case.deliver()

    def swap() -> None:
        case.drop()
        if again != "gone":
            case.make({"x": "theirs"}, **(case.owner if again == "ours" else {}))

    with meddling(case) as meddler:
        meddler.before = just_before("PATCH", swap)
        if again == "theirs":
            refused(lambda: case.deliver("another-secret"), "is not ours to write")
        else:
            case.deliver("another-secret")
    pair = {**PAIR, "CLIENT_SECRET": "another-secret"}
    assert case.data == {"theirs": {"x": "theirs"}, "ours": {**pair, "x": "theirs"}, "gone": pair}[again]


@pytest.mark.parametrize("again", ["theirs", "ours", "gone"])
def test_a_secret_that_is_another_one_by_now_is_not_deleted_for_it(case: Case, again: str) -> None:
    case.deliver()

    def swap() -> None:
        case.drop()
        if again != "gone":
            case.make({"x": "theirs"}, **(case.owner if again == "ours" else {}))

    with meddling(case) as meddler:
        meddler.before = just_before("DELETE", swap)
        case.remove()
    assert case.data == ({"x": "theirs"} if again == "theirs" else None)


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
        if number < 3 or not exists:
            error = refused(case.deliver, "gave no answer that can be used")
            assert isinstance(error, NoAnswerError)
            assert error.sent
    case.probe()
    case.deliver()
    assert case.data == PAIR
    assert case.found
    assert {part: case.found["metadata"][part] for part in case.owner} == case.owner


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_removal_that_lost_an_answer_is_healed_by_the_next(case: Case, number: int, lost: str) -> None:
    case.deliver()
    with meddling(case) as meddler:
        meddler.lose = lambda seen: lost if seen == number else ""
        refused(case.remove, "gave no answer that can be used")
    case.remove()
    assert case.found is None


def test_the_half_made_secret_of_a_delivery_that_broke_off_is_removed_too(case: Case) -> None:
    with meddling(case) as meddler:
        meddler.lose = lambda seen: "before" if seen == 3 else ""
        refused(case.deliver)
    assert case.data == {}
    case.remove()
    assert case.found is None


# Who asks, and what they may do


def rule(*verbs: str, names: Iterable[str] = ()) -> Document:
    named = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [""], "resources": ["secrets"], "verbs": list(verbs), **named}


def documented() -> list[Document]:
    """The rules of the role on the page."""
    found = re.search(r"```yaml\n(apiVersion: rbac.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    role, _ = yaml.safe_load_all(found[1])
    assert role["kind"] == "Role"
    return list(role["rules"])


def test_the_role_of_the_page_is_enough_for_all_of_it(case: Case) -> None:
    case.token = case.user(documented())
    case.probe()
    case.deliver()
    case.deliver("another-secret")
    case.probe()
    case.remove()
    assert case.found is None


def test_a_role_for_one_name_and_for_making_any_is_enough(case: Case) -> None:
    case.token = case.user([rule("create"), rule("get", "delete", "patch", names=[case.key])])
    case.probe()
    case.deliver()
    case.deliver("another-secret")
    case.remove()
    assert case.found is None


VERBS_NEEDED = ("get", "create", "patch", "delete")


@pytest.mark.parametrize("verb", VERBS_NEEDED)
def test_a_probe_names_what_the_user_may_not_do(case: Case, verb: str) -> None:
    case.token = case.user([rule(*(each for each in VERBS_NEEDED if each != verb))])
    refused(case.probe, f'may not {verb} the Secret "{case.key}" in namespace "{case.namespace}"')
    assert case.found is None


def test_a_role_that_allows_to_make_one_name_allows_nothing(case: Case) -> None:
    case.token = case.user([rule("get", "patch", "delete", "create", names=[case.key])])
    refused(case.probe, "may not create the Secret")


def test_a_copy_that_is_kept_takes_no_right_to_delete(case: Case) -> None:
    case.token = case.user([rule("get", "create", "patch")])
    case.keep = True
    case.probe()
    case.deliver()


def test_without_a_role_each_step_says_what_the_server_says(case: Case) -> None:
    case.token = case.user(None)
    refused(case.probe, "may not get or create or patch or delete")
    error = refused(case.deliver, "Kubernetes answered 403")
    assert "cannot get resource" in error.detail
    refused(case.remove, "cannot get resource")
    case.token = case.user([rule("get", "create")])
    refused(case.deliver, "Could not write")
    case.token = case.user([rule("patch", "get")])
    refused(case.remove, "Could not delete")
    assert case.data == {}
    case.drop()
    refused(case.deliver, "cannot create resource")


def test_a_token_that_is_not_valid_is_refused_and_not_shown(case: Case) -> None:
    case.token = "not-" + ADMIN
    for call in (case.probe, case.deliver, case.remove):
        refused(call, "Kubernetes answered 401: who asks is not known")


def test_a_namespace_that_is_not_there_is_an_error_and_is_not_made(case: Case) -> None:
    case.options = {"namespace": "nowhere"}
    assert "kubectl create namespace nowhere" in refused(case.probe, 'There is no namespace "nowhere"').hint
    refused(case.deliver, "404")
    case.remove()
    assert case.cluster.ask("GET", "/api/v1/namespaces/nowhere")[0] == 404


def test_a_namespace_that_is_going_is_an_error(case: Case) -> None:
    case.cluster.do("DELETE", f"/api/v1/namespaces/{case.namespace}")
    refused(case.probe, "is being deleted")


BAD_NAMES = {
    "empty": "",
    "a way up": "../x",
    "a slash": "a/b",
    "a query": "a?dryRun=All",
    "an escape": "a%2fb",
    "a capital": "Portal",
    "an underscore": "my_app",
    "a line break": "a\n",
    "a hyphen at its end": "a-",
    "too long": "a" * 254,
}


@pytest.mark.parametrize("option", ["name", "namespace"])
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_b52_a_name_that_may_be_taken_for_another_path_is_refused(
    tmp_path: Path, option: str, name: str
) -> None:
    declared = DeclaredSink("cluster", "kubernetes", {**OPTIONS, option: name})
    silent, target = sink(declared, {}), Target(declared, Address("portal"))
    pair = Credentials(target.address, "client-1", Secret(CANARY.encode()))
    for call in (
        lambda: silent.probe(target),
        lambda: silent.deliver(target, pair),
        lambda: silent.remove(target),
    ):
        assert "Correct" in refused(call, f"`{option}` is not a name in Kubernetes").hint


@pytest.mark.parametrize("secret", ["", "canary\nof a value", "canary-é"])
def test_b55_a_value_that_is_not_printable_ascii_is_refused_and_not_shown(case: Case, secret: str) -> None:
    with pytest.raises(SinkError, match="cannot be delivered") as caught:
        case.deliver(secret)
    assert "canary" not in f"{caught.value.summary}{caught.value.detail}{caught.value.hint}"
    assert case.found is None


# What is asked is what the description of the API knows


@pytest.fixture
def asked(case: Case) -> list[tuple[str, str, str, Any]]:
    """Every kind of request that a sink makes."""
    with meddling(case) as meddler:
        case.probe()
        case.deliver()
        case.probe()
        case.deliver("another-secret")
        case.remove()
    return meddler.seen


KINDS = {"GET", "POST", "PATCH", "DELETE"}


SCHEMAS = {
    "Secret": "secret-v1.json",
    "SelfSubjectAccessReview": "selfsubjectaccessreview-authorization-v1.json",
    "DeleteOptions": "deleteoptions-meta-v1.json",
}


@pytest.fixture(scope="module")
def published() -> list[dict[str, Draft202012Validator]]:
    """The strict schemas of the description that each release of Kubernetes published, by kind."""
    try:
        folder = files("kubernetes_validate") / "kubernetes-json-schema"
    except ModuleNotFoundError:
        if REQUIRE_TOOLS:
            pytest.fail("kubernetes-validate is not installed, and this run must not skip what needs it")
        pytest.skip("NOT TESTED: the schemas of Kubernetes are not here (pip install kubernetes-validate)")
    found = []
    for release in (each for each in folder.iterdir() if each.name.endswith("-strict")):
        read = {
            name: json.loads((release / name).read_text())
            for name in (*SCHEMAS.values(), "_definitions.json")
        }
        registry = Registry().with_resources(
            (each["$id"], Resource.from_contents(each)) for each in read.values()
        )
        found.append(
            {kind: Draft202012Validator(read[name], registry=registry) for kind, name in SCHEMAS.items()}
        )
    return found


def test_every_body_is_what_each_release_of_kubernetes_published(
    asked: list[tuple[str, str, str, Any]], published: list[dict[str, Draft202012Validator]]
) -> None:
    bodies = [body for _, _, _, body in asked if body is not None]
    assert {body["kind"] for body in bodies} == set(SCHEMAS)
    assert len(published) > 5
    for schemas in published:
        for body in bodies:
            schemas[body["kind"]].validate(body)
            with pytest.raises(ValidationError):
                schemas[body["kind"]].validate({**body, "unknown": 1})


def test_every_request_is_in_the_description_that_the_server_gives_of_itself(
    case: Case, asked: list[tuple[str, str, str, Any]]
) -> None:
    if case.cluster.model is not None:
        return  # it holds every request against OPERATIONS
    described = case.cluster.do("GET", "/openapi/v2")
    assert {method for method, *_ in asked} == KINDS
    for method, target, kind, body in asked:
        parts = urlsplit(target)
        ((path, item),) = (
            (path, item)
            for path, item in described["paths"].items()
            if re.fullmatch(re.sub(r"\{[a-z]+\}", "[a-z0-9.-]+", path), parts.path)
        )
        operation = item[method.lower()]
        known = [*item.get("parameters", []), *operation.get("parameters", [])]
        assert set(parse_qs(parts.query)) <= {each["name"] for each in known if each["in"] == "query"}, target
        assert (body is not None) <= any(each["in"] == "body" for each in known), target
        assert not kind or {kind, "*/*"} & set(operation["consumes"]), (path, kind)


# Servers that do not do as they should


def lone(url: str, folder: Path, **options: Any) -> tuple[SecretSink, Target, Credentials]:
    """A sink whose server is none of the above."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": ADMIN}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "one",
    }
    (folder / "config").write_text(json.dumps(config))
    declared = DeclaredSink("cluster", "kubernetes", {**OPTIONS, **options}, PurePath(folder))
    target = Target(declared, Address("portal"))
    one = sink(declared, {"KUBECONFIG": str(folder / "config")})
    return one, target, Credentials(target.address, "client-1", Secret(CANARY.encode()))


ECHOED = f"you sent {CANARY} {encoded(CANARY)}"
ECHO = {"kind": "Status", "message": ECHOED, "reason": ECHOED, "details": {"causes": [{"message": ECHOED}]}}
ECHO_OF_A_TOKEN = json.dumps({"kind": "Status", "message": f"you are {ADMIN}"}).encode()
NOT_KUBERNETES = {
    "a page": (200, b"<html>Welcome</html>", "not what Kubernetes answers"),
    "a page that says 404": (404, b"404 page not found", "404: there is nothing"),
    "a list": (200, b"[]", "not what Kubernetes answers"),
    "an object of another kind": (200, b'{"metadata": []}', "not what Kubernetes answers"),
    "another Secret": (
        200,
        b'{"metadata": {"name": "other", "uid": "u", "resourceVersion": "1"}}',
        "not what Kubernetes answers",
    ),
    "a Secret without a version": (
        200,
        b'{"metadata": {"name": "portal", "uid": "u"}}',
        "not what Kubernetes answers",
    ),
    "a uid that is no text": (
        200,
        b'{"metadata": {"name": "portal", "uid": 1, "resourceVersion": "1"}}',
        "not what Kubernetes answers",
    ),
    "an error that repeats what was sent": (500, ECHO_OF_A_TOKEN, "500: that is not what"),
    "a message that is no text": (503, b'{"kind": "Status", "message": [1]}', "503: it is starting"),
    "too many requests": (429, b"", "Run it again in a while"),
    "a redirect": (307, b"", "redirects elsewhere"),
}


@pytest.mark.parametrize(("status", "body", "expected"), NOT_KUBERNETES.values(), ids=NOT_KUBERNETES)
def test_what_is_not_kubernetes_is_not_written_to(
    tmp_path: Path, status: int, body: bytes, expected: str
) -> None:
    seen = []

    def speak(method: str, *_: object) -> tuple[int, bytes, dict[str, str]]:
        seen.append(method)
        return status, body, {"Location": "http://127.0.0.1:9/", "X-Echo": CANARY}

    with listening(speak) as server:
        one, target, credentials = lone(server.url, tmp_path)
        refused(lambda: one.deliver(target, credentials), expected)
        refused(lambda: one.remove(target), expected)
        assert set(seen) == {"GET"}
        refused(lambda: one.probe(target))


METADATA = {
    "name": "portal",
    "uid": "u",
    "resourceVersion": "1",
    "labels": {"app.kubernetes.io/managed-by": "provisioner"},
    "annotations": {"provisioner/oauth-app": "oauth_app.portal"},
}
OURS = {"apiVersion": "v1", "kind": "Secret", "metadata": METADATA}
CONFLICT = {
    "kind": "Status",
    "reason": "Conflict",
    "details": {
        "causes": [
            {"reason": "FieldManagerConflict", "message": f'conflict with "{CANARY}" using v1'},
            {"reason": "FieldManagerConflict", "message": f'conflict with "{encoded(CANARY)}" using v1'},
            {"reason": "FieldManagerConflict", "message": ECHOED},
            {"reason": "FieldManagerConflict"},
            "x",
        ]
    },
}
ANSWERS_TO_A_WRITE = {
    "an error that repeats what was sent": (500, ECHO, "500: that is not what"),
    "a refusal that repeats what was sent": (422, ECHO, "422: the Secret is immutable"),
    "a conflict that repeats what was sent": (409, CONFLICT, "set by another field manager"),
    "a conflict without a reason": (409, {"kind": "Status", "details": 1}, "is being changed"),
    "an empty page": (200, None, "not what Kubernetes answers"),
    "a page that says 409": (409, None, "409: it exists"),
    "another Secret": (200, {"metadata": {**METADATA, "uid": "other"}}, "not what Kubernetes answers"),
}


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS_TO_A_WRITE.values(), ids=ANSWERS_TO_A_WRITE)
def test_an_answer_to_a_write_that_is_none_is_an_error_that_shows_none_of_it(
    tmp_path: Path, status: int, body: Document | None, expected: str
) -> None:
    def speak(method: str, *_: object) -> tuple[int, bytes, dict[str, str]]:
        if method == "GET":
            return 200, json.dumps(OURS).encode(), {}
        return status, b"" if body is None else json.dumps(body).encode(), {}

    with listening(speak) as server:
        one, target, credentials = lone(server.url, tmp_path)
        refused(lambda: one.deliver(target, credentials), expected)


@pytest.mark.parametrize("status", [403, 409, 422, 500])
def test_who_denies_a_trial_may_repeat_the_old_secret_and_is_not_shown(tmp_path: Path, status: int) -> None:
    denied = {("GET", "portal"): (200, OURS), ("PATCH", "portal"): (status, ECHO)}
    with listening(answering({**ALLOWED, **SPACE, **denied})) as server:
        one, target, _ = lone(server.url, tmp_path)
        refused(lambda: one.probe(target))


ANSWERS_TO_A_DELETE = {
    "an error": (500, ECHO, "Could not delete"),
    "a page": (200, None, "Could not delete"),
    "a page that says 404": (404, None, "Could not delete"),
}


@pytest.mark.parametrize(
    ("status", "body", "expected"), ANSWERS_TO_A_DELETE.values(), ids=ANSWERS_TO_A_DELETE
)
def test_an_answer_to_a_deletion_that_is_none_is_an_error(
    tmp_path: Path, status: int, body: Document | None, expected: str
) -> None:
    def speak(method: str, *_: object) -> tuple[int, bytes, dict[str, str]]:
        if method == "GET":
            return 200, json.dumps(OURS).encode(), {}
        return status, b"" if body is None else json.dumps(body).encode(), {}

    with listening(speak) as server:
        one, target, _ = lone(server.url, tmp_path)
        refused(lambda: one.remove(target), expected)


def answering(answers: Mapping[tuple[str, str], tuple[int, Any]]) -> Speak:
    """By method and the last step of the path."""

    def speak(method: str, path: str, *_: object) -> tuple[int, bytes, dict[str, str]]:
        status, body = answers[method, urlsplit(path).path.rpartition("/")[2]]
        return status, json.dumps(body).encode(), {}

    return speak


ALLOWED = {("POST", "selfsubjectaccessreviews"): (201, {"status": {"allowed": True}})}
SPACE = {("GET", "default"): (200, {"metadata": {"name": "default"}})}
ABSENT = {("GET", "portal"): (404, {"kind": "Status", "reason": "NotFound"})}
NO_DRY_RUN = {"kind": "Status", "message": 'admission webhook "x" does not support dry run'}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({("POST", "selfsubjectaccessreviews"): (201, {"status": {}})}, "ask what the user may do"),
        ({("POST", "selfsubjectaccessreviews"): (201, {"status": 1})}, "ask what the user may do"),
        ({("POST", "selfsubjectaccessreviews"): (201, [])}, "ask what the user may do"),
        ({("GET", "default"): (200, {"metadata": {"name": "other"}})}, "look at the namespace"),
        ({("GET", "default"): (200, [])}, "look at the namespace"),
        ({("GET", "default"): (403, [])}, "look at the namespace"),
        ({("GET", "default"): (404, [])}, "look at the namespace"),
        ({("POST", "secrets"): (403, {"kind": "Status", "message": "exceeded quota"})}, '"exceeded quota"'),
        ({("POST", "secrets"): (409, {"kind": "Status", "reason": "AlreadyExists"})}, "is being changed"),
    ],
)
def test_a_probe_of_a_server_that_does_not_answer_as_it_should_is_an_error(
    tmp_path: Path, answers: dict[tuple[str, str], tuple[int, Any]], expected: str
) -> None:
    with listening(answering({**ALLOWED, **SPACE, **ABSENT, **answers})) as server:
        one, target, _ = lone(server.url, tmp_path)
        refused(lambda: one.probe(target), expected)


def test_a_cluster_in_which_nothing_can_be_tried_is_taken_at_its_word(tmp_path: Path) -> None:
    for exists in (False, True):
        found = {("GET", "portal"): (200, OURS)} if exists else ABSENT
        tried = {("POST", "secrets"): (400, NO_DRY_RUN), ("PATCH", "portal"): (400, NO_DRY_RUN)}
        with listening(answering({**ALLOWED, **SPACE, **found, **tried})) as server:
            one, target, _ = lone(server.url, tmp_path)
            one.probe(target)


def test_a_namespace_that_may_not_be_looked_at_is_taken_as_it_is(tmp_path: Path) -> None:
    space = {("GET", "default"): (403, {"kind": "Status"})}
    tried = {("POST", "secrets"): (400, NO_DRY_RUN)}
    with listening(answering({**ALLOWED, **space, **ABSENT, **tried})) as server:
        one, target, _ = lone(server.url, tmp_path)
        one.probe(target)


def test_a_slow_server_is_given_up(tmp_path: Path) -> None:
    event = threading.Event()
    with listening(lambda *_: event.wait(5) and None) as server:
        one, target, credentials = lone(server.url, tmp_path)
        assert isinstance(one, KubernetesSink)
        slow = KubernetesSink(Sessions(one.sessions.environment, timeout=0.1))
        refused(lambda: slow.deliver(target, credentials), "in time")
        event.set()


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        one, target, credentials = lone(f"http://127.0.0.1:{taken.getsockname()[1]}", tmp_path)
        for call in (
            lambda: one.probe(target),
            lambda: one.deliver(target, credentials),
            lambda: one.remove(target),
        ):
            assert "kubeconfig" in refused(call, "refuses connections").hint


# Nothing is shown


def test_nothing_is_said_aloud_whatever_happens(
    case: Case,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    for name in ("", "httpx", "httpcore", "provisioner"):
        caplog.set_level(logging.DEBUG, name)
    one = case.sink
    one.probe(case.target)
    one.deliver(case.target, case.credentials())
    for lost in ("before", "after"):
        with meddling(case) as meddler:
            meddler.lose = lambda seen, how=lost: how if seen > 1 else ""
            refused(lambda: case.deliver("another-secret"))
    case.change("kubectl-edit", data={"CLIENT_SECRET": encoded("by hand")})
    refused(case.deliver)
    case.change("theirs", metadata={"labels": {"app.kubernetes.io/managed-by": None}})
    refused(case.deliver)
    case.remove()
    case.token = "not-" + ADMIN
    refused(case.deliver)
    captured = capfd.readouterr()
    said = f"{captured.out}{captured.err}{caplog.text}{one!r}{case.target!r}{os.environ!r}"
    said += Path("/proc/self/cmdline").read_text()
    assert "PATCH" in caplog.text
    assert "is left alone" in caplog.text
    assert not [text for text in (CANARY, encoded(CANARY), ADMIN) if text in said]
    assert not list(temporary.iterdir())
