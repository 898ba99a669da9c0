"""No secret in clear: not in a file, not in an output, not in the loudest log, whatever goes wrong."""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import quote

import pytest
from counterparts import kubernetes
from counterparts.places import CLEAR, FOLDERS, KINDS, Places, declared

from provisioner.sandbox.server import running
from provisioner.sandbox.world import World
from provisioner.sinks import places

pytestmark = pytest.mark.unmeasured

APPS = "".join(f"  a{number}: {{redirect_uris: ['https://a.example/{number}']}}\n" for number in range(3))
MANIFEST = f"version: 1\napps:\n{APPS}"
FAULTS = (
    "create:500-after", "create:lost-after", "create:truncated", "create:truncated-no-length",
    "create:html-after", "create:gzip-garbage", "create:extra", "create:without=app",
    "create:without=app.id", "create:with=app=3",
    'create:with=client_secret=""', "create:307=http://127.0.0.1:9/", "create:503", "create:422-after",
    "delete:500-after", "delete:lost-before", "list@2:html-before", "list@2:truncated", "list@2:gzip-garbage",
)  # fmt: skip


def forms(secret: str) -> list[bytes]:
    """The ways in which a secret could have been written: raw, base64 at three offsets, hex, URL."""
    raw = secret.encode()
    shifted = [base64.b64encode(b"\0" * offset + raw)[4 if offset else 0 : -4] for offset in range(3)]
    return [raw, *shifted, raw.hex().encode(), raw.hex().upper().encode(), quote(secret, safe="").encode()]


def found(folder: Path, outputs: list[str], canaries: list[str]) -> list[str]:
    """Where any of the canaries stands in clear."""
    places = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    places |= {f"output {number}": text.encode() for number, text in enumerate(outputs)}
    return [
        place
        for place, content in places.items()
        if any(form in content for canary in canaries for form in forms(canary))
    ]


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_no_secret_and_no_token_is_in_clear_anywhere(provisioner, tmp_path, monkeypatch, fault: str) -> None:
    token = f"canary_{secrets.token_urlsafe(24)}"
    made: list[str] = []
    world = World(on_commit=lambda commit: made.append(commit.app.client_secret) if commit.app else None)
    with running(world, faults=[fault] if fault else [], api_key=token) as server:
        monkeypatch.setenv("METEROID_BASE_URL", server.url)
        monkeypatch.setenv("METEROID_API_KEY", token)
        monkeypatch.setenv("PROVISIONER_LOG", "debug")
        monkeypatch.setenv("PROVISIONER_LOG_PATH", str(tmp_path / "run.log"))
        provisioner("init", "-f", "starter.yaml")
        (tmp_path / "apps.yaml").write_text(MANIFEST)
        allow = ("--allow", "replace", "--allow", "delete")
        ran = [
            provisioner("plan"),
            provisioner("apply", "--auto-approve", "--parallelism", "1"),
            provisioner("apply", "--auto-approve", *allow),
            provisioner("show"),
            provisioner("show", "--json"),
        ]
        (tmp_path / "apps.yaml").write_text(MANIFEST.replace("/0", "/zero").replace("  a2", "  b2"))
        ran += [
            provisioner("plan"),
            provisioner("apply", "--auto-approve", *allow),
            provisioner("state", "list"),
        ]
    assert made, "no secret was made, so nothing was looked for"
    assert not fault or server.played, f"{fault} never struck"
    identity = (Path.home() / ".config/provisioner/identity.txt").read_text().splitlines()[-1]
    outputs = [text for command in ran for text in (command.out, command.err)]
    assert not any("Traceback" in text for text in outputs)
    assert found(tmp_path, outputs, [token, identity, *made]) == []


NOSY = """#!/bin/sh
# Keeps what it was started with, and says everything it was given, as a program may that fails.
tr '\\0' '\\n' < /proc/self/environ > "environ.$PROVISIONER_KEY"
tr '\\0' '\\n' < /proc/$$/cmdline > "cmdline.$PROVISIONER_KEY"
tee /dev/stderr
exit $(cat status)
"""
SINKS = """sinks:
  sealed: {type: age, path: "sealed/{key}.env.age", recipients: [READER]}
  nosy: {type: command, command: [./nosy, "{key}"], remove: ["true"], timeout: 10s}
  closed: {type: vault, path: "apps/{key}"}
  hub: {type: github-actions, repository: owner/name, prefix: "{KEY}_"}
  cluster: {type: kubernetes, name: "{key}"}
"""
ROUTES = {
    "to a sealed file": ("sealed", "0", 0),
    "to a program": ("nosy", "0", 0),
    "to a program that fails": ("nosy", "3", 3),
    "to several, of which one fails": ("sealed, nosy", "3", 3),
    "to a server that is not there": ("closed", "0", 1),
    "to GitHub, which is not there": ("hub", "0", 1),
    "to a cluster that is not there": ("cluster", "0", 1),
}


@pytest.mark.parametrize("route", ROUTES)
def test_no_secret_and_no_token_is_in_clear_on_its_way(
    provisioner, tmp_path, monkeypatch, route: str
) -> None:
    names, status, ends = ROUTES[route]
    tokens = {name: f"canary_{secrets.token_urlsafe(24)}" for name in ("VAULT_TOKEN", "GITHUB_TOKEN")}
    made: list[str] = []
    world = World(on_commit=lambda commit: made.append(commit.app.client_secret) if commit.app else None)
    with running(world) as server:
        monkeypatch.setenv("METEROID_BASE_URL", server.url)
        monkeypatch.setenv("METEROID_API_KEY", server.api_key)
        monkeypatch.setenv("PROVISIONER_LOG", "debug")
        monkeypatch.setenv("PROVISIONER_LOG_PATH", str(tmp_path / "run.log"))
        monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
        monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        (tmp_path / "kubeconfig").write_text(CLUSTER)
        for name, token in tokens.items():
            monkeypatch.setenv(name, token)
        provisioner("init", "-f", "starter.yaml")
        (reader,) = re.findall("age1[a-z0-9]+", (tmp_path / "starter.yaml").read_text())
        (tmp_path / "nosy").write_text(NOSY)
        (tmp_path / "nosy").chmod(0o700)
        (tmp_path / "status").write_text(status)
        wanted = MANIFEST.replace("}", f", sinks: [{names}]}}")
        (tmp_path / "apps.yaml").write_text(wanted + SINKS.replace("READER", reader))
        allow = ("--allow", "rotate", "--allow", "delete", "--allow", "replace")
        reports = ("--out", "p.json", "--markdown", "p.md", "--gitlab-report", "p.gitlab")
        ran = [provisioner("plan", *reports), provisioner("apply", "--auto-approve")]
        assert ran[1].status == ends, ran[1].err
        ran += [
            provisioner("apply", "--auto-approve", "--json"),
            provisioner("secret", "deliver"),
            provisioner("secret", "deliver", "--again"),
            provisioner("secret", "list"),
            provisioner("apply", "--auto-approve", "--replace", "a0", *allow),
            provisioner("rotate", "--auto-approve", "a1"),
            provisioner("plan", "--json"),
            provisioner("destroy", "--auto-approve", *allow),
        ]
    assert made or ends == 1, "no secret was made, so nothing was looked for"
    identity = (Path.home() / ".config/provisioner/identity.txt").read_text().splitlines()[-1]
    outputs = [text for command in ran for text in (command.out, command.err)]
    assert not any("Traceback" in text or "is a bug" in text for text in outputs)
    assert ("nosy" in names) == bool(list(tmp_path.glob("environ.*")))
    assert found(tmp_path, outputs, [server.api_key, identity, *made, *tokens.values()]) == []


CLUSTER = """apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: u, user: {token: kube}}]
"""


# What is started on the way: it keeps what it was started with, and then does what it is for.
SPY = """#!/bin/sh
tr '\\0' '\\n' < /proc/self/environ > "SEEN/NAME.$$.environ"
tr '\\0' '\\n' < /proc/$$/cmdline > "SEEN/NAME.$$.cmdline"
DO
"""
EXEC = "client.authentication.k8s.io/v1"
CREDENTIAL = json.dumps({"apiVersion": EXEC, "kind": "ExecCredential", "status": {"token": kubernetes.ADMIN}})
PLUGIN = f"exec: {{apiVersion: {EXEC}, command: PLUGIN, interactiveMode: Never, provideClusterInfo: true}}"
STARTED = {"file": "git", "manifest": "git", "command": "deliver", "kubernetes": "plugin"}


@pytest.fixture
def spied(tmp_path, monkeypatch, tool, tmp_path_factory) -> Iterator[Places]:
    """Every kind of place, in a work tree of git; whatever is started for one is a spy."""
    git, outside = tool("git"), tmp_path_factory.mktemp("outside")
    with Places(outside) as places:
        for name, value in places.environment.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "seen").mkdir()
        printed = "cat <<'END'\n" + CREDENTIAL + "\nEND"
        for name, path, does in (
            ("git", outside / "git", f'exec {git} "$@"'),
            ("plugin", outside / "plugin", printed),
            ("deliver", tmp_path / "deliver", "cat >&2; exit $(cat status)"),
        ):
            script = SPY.replace("SEEN", str(tmp_path / "seen")).replace("NAME", name).replace("DO", does)
            path.write_text(script)
            path.chmod(0o700)
        monkeypatch.setenv("PATH", f"{outside}:{os.environ['PATH']}")
        config = Path(places.environment["KUBECONFIG"])
        plugged = PLUGIN.replace("PLUGIN", str(outside / "plugin"))
        config.write_text(config.read_text().replace(f"token: {kubernetes.ADMIN}", plugged))
        subprocess.run([git, "init", "--quiet", tmp_path], check=True)
        (tmp_path / ".gitignore").write_text("/file/\n/manifest/\n")
        (tmp_path / "status").write_text("0")
        yield places


@pytest.mark.parametrize("trouble", ["", "500-after"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_and_no_token_is_in_clear_on_its_way_to_any_sink_nor_with_what_is_started_for_it(
    provisioner, sandbox, spied: Places, tmp_path, monkeypatch, kind: str, trouble: str
) -> None:
    made: list[str] = []
    sandbox.world._on_commit = lambda commit: made.append(commit.app.client_secret) if commit.app else None
    monkeypatch.setenv("PROVISIONER_LOG", "debug")
    monkeypatch.setenv("PROVISIONER_LOG_PATH", str(tmp_path / "run.log"))
    provisioner("init", "-f", "starter.yaml")
    (reader,) = re.findall("age1[a-z0-9]+", (tmp_path / "starter.yaml").read_text())
    (tmp_path / "apps.yaml").write_text(MANIFEST.partition("  a1")[0] + declared([kind], reader))
    spied.befall(dict.fromkeys(range(1, 99), trouble) if trouble else {})
    (tmp_path / "status").write_text("3" if trouble else "0")
    if trouble and kind in ("age", "file", "manifest"):
        refuse = Mock(side_effect=OSError(errno.EIO, os.strerror(errno.EIO)))
        monkeypatch.setattr(places, "write_in", refuse)
    ran = [provisioner("apply", "--auto-approve")]
    assert ran[0].status == (3 if trouble else 0), ran[0].err
    ran += [
        provisioner(*typed.split())
        for typed in (
            "plan --out p.json --markdown p.md", "apply --auto-approve --json", "secret deliver --again",
            "rotate --auto-approve a0", "secret list --json", "destroy --auto-approve --allow delete",
        )
    ]  # fmt: skip
    assert made, "no secret was made, so nothing was looked for"
    identity = (Path.home() / ".config/provisioner/identity.txt").read_text().splitlines()[-1]
    outputs = [text for command in ran for text in (command.out, command.err)]
    assert not any("Traceback" in text or "is a bug" in text for text in outputs)
    seen = {path.name.partition(".")[0] for path in (tmp_path / "seen").iterdir() if path.stat().st_size}
    assert seen == ({STARTED[kind]} if kind in STARTED else set())
    if kind in CLEAR:
        shutil.rmtree(tmp_path / FOLDERS[kind], ignore_errors=True)
    assert found(tmp_path, outputs, [sandbox.api_key, identity, *made, *spied.tokens]) == []


SECRETS = (
    "METEROID_API_KEY", "PROVISIONER_VAR_password", "PROVISIONER_TOKEN", "SOPS_AGE_KEY_CMD", "VAULT_TOKEN",
    "VAULT_SECRET_ID", "BAO_TOKEN",
)  # fmt: skip


def test_git_and_what_it_starts_get_no_secret_of_ours_from_a_state_in_git_nor_from_guard(
    provisioner, sandbox, clone, tool, tmp_path, monkeypatch, tmp_path_factory
) -> None:
    git, outside = tool("git"), tmp_path_factory.mktemp("outside")
    canaries = [sandbox.api_key] + [f"canary_{secrets.token_urlsafe(24)}" for _ in SECRETS[1:]]
    for name, canary in zip(SECRETS, canaries, strict=True):
        monkeypatch.setenv(name, canary)
    folder = clone("runner")
    seen = tmp_path / "seen"
    seen.mkdir()
    script = SPY.replace("SEEN", str(seen)).replace("NAME", "git").replace("DO", f'exec {git} "$@"')
    (outside / "git").write_text(script)
    (outside / "git").chmod(0o700)
    monkeypatch.setenv("PATH", f"{outside}:{os.environ['PATH']}")
    provisioner("init", "-f", "starter.yaml")
    (folder / "apps.yaml").write_text(MANIFEST.replace("apps:", "state: {git: {}}\napps:"))
    ran = [provisioner(f"--chdir={folder}", *typed) for typed in (["apply", "--auto-approve"], ["guard"])]
    assert [each.status for each in ran] == [0, 0], ran
    asked = b" ".join(path.read_bytes().replace(b"\n", b" ") for path in seen.glob("*.cmdline"))
    assert all(word in asked for word in (b" push ", b" fast-import ", b" ls-files "))
    assert found(seen, [text for each in ran for text in (each.out, each.err)], canaries) == []


@pytest.mark.parametrize("offset", range(7))
def test_the_search_finds_a_secret_in_every_form(tmp_path, offset: int) -> None:
    canary = secrets.token_urlsafe(24)
    form = forms(canary)[offset]
    (tmp_path / "file").write_bytes(b"before " + form + b" after")
    assert found(tmp_path, [], [canary]) == [str(tmp_path / "file")]
    assert found(Path(tmp_path / "absent"), [form.decode()], [canary]) == ["output 0"]


def test_secret_get_is_the_one_place_that_shows_a_secret(provisioner, sandbox, tmp_path) -> None:
    provisioner("init")
    provisioner("apply", "--auto-approve")
    shown = provisioner("secret", "get", "my-app")
    (app,) = sandbox.world.apps()
    assert shown.out == app.client_secret
    assert found(tmp_path, [shown.err], [app.client_secret]) == []
