"""`secret exec`: the pair is in one program's environment, and nowhere else."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.cli import secret_exec
from provisioner.envelope import Label, pack
from provisioner.errors import UsageError
from provisioner.model import KEY, Address, App, Secret
from provisioner.sealing import Sealer, generate_identity
from provisioner.settings import OURS, from_environment
from provisioner.state import AppRecord, Header, SealedSecret
from provisioner.stores.directory import DirectoryStore

COMMAND = [sys.executable, "-m", "provisioner", "secret", "exec", "--state", "state"]
SHOW = (
    "import json, os, sys; print(json.dumps({'env': dict(os.environ), 'argv': sys.argv, 'pid': os.getpid(), "
)
SHOW += "'cmdline': open('/proc/self/cmdline').read(), 'fds': os.listdir('/proc/self/fd')}))"
PRIVATE, PUBLIC = generate_identity()


def record(key: str, canary: str) -> AppRecord:
    app_id = f"app_{key.replace('-', '')}"
    app = {
        "id": app_id, "organization_id": "org_1", "name": key, "client_id": f"cid_{key}",
        "client_secret_hint": "hint", "redirect_uris": [], "scopes": [], "is_active": True,
        "created_at": "2026-01-02T03:04:05Z",
    }  # fmt: skip
    body = json.dumps({"app": app, "client_secret": canary}).encode()
    sealed = Sealer([PUBLIC]).seal(pack(Label(f"op_{key}", "create", None), Secret(body)))
    held = App(
        f"app_{key.replace('-', '')}",
        "org_1",
        key,
        f"cid_{key}",
        "hint",
        (),
        (),
        True,
        "2026-01-02T03:04:05Z",
    )
    return AppRecord(
        Address(key), held, SealedSecret(sealed, "hint", "create", f"op_{key}", "2026-01-02T03:04:06Z")
    )


@pytest.fixture
def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The secrets of three apps that are in the state of this folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOPS_AGE_KEY", PRIVATE.reveal().decode())
    made = {key: secrets.token_urlsafe(24) for key in ("portal", "billing-eu", "9lives")}
    store = DirectoryStore(tmp_path / "state")
    with store.lock("test"):
        store.write_header(Header("lineage_1", "https://api.meteroid.com", "org_1"))
        for key, canary in made.items():
            store.write_record(record(key, canary))
    return made


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60, **options
    )


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], dict[str, str]]]:
    """What the process would have become; in place of that it ends with 7."""
    seen: list[tuple[str, list[str], dict[str, str]]] = []

    def execvpe(file: str, arguments: list[str], environment: dict[str, str]) -> None:
        seen.append((file, arguments, environment))
        assert signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL
        raise SystemExit(7)

    monkeypatch.setattr(os, "execvpe", execvpe)
    return seen


# --- the program


def test_the_program_has_the_pair_in_its_environment_and_takes_our_place(canaries: dict[str, str]) -> None:
    command = [*COMMAND, "portal", "--", sys.executable, "-c", SHOW, "--flag", "two words", "--", "-h"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=60)
    seen = json.loads(out)
    assert (process.returncode, err) == (0, b"")
    assert seen["pid"] == process.pid
    assert seen["env"]["CLIENT_ID"] == "cid_portal"
    assert seen["env"]["CLIENT_SECRET"] == canaries["portal"]
    assert seen["argv"] == ["-c", "--flag", "two words", "--", "-h"]
    assert canaries["portal"] not in seen["cmdline"]
    assert len(seen["fds"]) == 4  # the standard streams, and the folder that was listed


def test_the_rest_of_the_environment_is_passed_on_but_for_what_opens_other_secrets(
    canaries: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = dict.fromkeys(OURS - {"PROVISIONER_AGE_KEY_FILE", "SOPS_AGE_KEY"}, "opens things")
    others = {"VAULT_TOKEN": "theirs", "CLIENT_SECRET": "stale", "PROVISIONER_VAR_x": "1", "ODD": "\udcff"}
    for name, value in (ours | others).items():
        if name != "SOPS_AGE_KEY_FILE":
            monkeypatch.setenv(name, value)
    before = dict(os.environ)
    seen = json.loads(run("portal", "--", sys.executable, "-c", SHOW).stdout)["env"]
    expected = {name: value for name, value in before.items() if name not in OURS}
    expected |= {"CLIENT_ID": "cid_portal", "CLIENT_SECRET": canaries["portal"]}
    assert {name: seen.get(name) for name in expected} == expected
    assert not seen.keys() & OURS
    assert PRIVATE.reveal().decode() not in str(seen)
    kept = json.loads(run("--keep-env", "portal", "--", sys.executable, "-c", SHOW).stdout)["env"]
    assert {name: kept.get(name) for name in before} == before | {"CLIENT_SECRET": canaries["portal"]}


def test_every_variable_that_opens_something_here_is_kept_from_the_program() -> None:
    """What settings take for a secret or for a file with one; a new one must be added to OURS."""
    for name in OURS:
        assert name.startswith(("METEROID_API_KEY", "PROVISIONER_AGE_KEY", "SOPS_AGE_"))
    for name in (
        "METEROID_API_KEY",
        "METEROID_API_KEY_FILE",
        "PROVISIONER_AGE_KEY_FILE",
        "SOPS_AGE_KEY_FILE",
    ):
        found = from_environment({name: "x"})
        assert found.api_key or found.api_key_file or found.identity_file
        assert name in OURS
    assert from_environment({"SOPS_AGE_KEY": "x"}).identity_text == Secret(b"x")


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 42", 42),
        ("kill -TERM $$", -signal.SIGTERM),
        ("kill -INT $$", -signal.SIGINT),
        ("kill -PIPE $$", -signal.SIGPIPE),
        ("kill -XFSZ $$", -signal.SIGXFSZ),
    ],
)
def test_the_exit_status_and_the_signal_that_ended_it_are_the_programs(
    canaries: dict[str, str], script: str, status: int
) -> None:
    ran = run("portal", "--", "sh", "-c", script)
    assert (ran.returncode, ran.stdout, ran.stderr) == (status, "", "")


def test_a_signal_reaches_the_program_and_its_standard_input_is_ours(canaries: dict[str, str]) -> None:
    script = "trap 'echo caught; exit 9' TERM; read line; echo $line; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*COMMAND, "portal", "--", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("given\n")
        process.stdin.flush()
        assert process.stdout.readline() == "given\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "caught\n"
    assert process.returncode == 9


def test_where_it_cannot_be_run_nothing_of_the_secrets_shows(
    provisioner, canaries: dict[str, str], tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("PROVISIONER_LOG", "debug")
    monkeypatch.setenv("PROVISIONER_LOG_PATH", str(tmp_path / "log"))
    (tmp_path / "apps.yaml").write_text("version: 1\napps: {}\n")
    before = dict(os.environ)
    ran = provisioner("secret", "exec", "portal", "--", "no-such-program")
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert (ran.status, ran.out) == (127, "")
    assert dict(os.environ) == before
    assert canaries["portal"] not in ran.err
    assert canaries["portal"].encode() not in written


# --- what cannot be run


def test_a_program_that_is_not_found_is_127(provisioner, canaries: dict[str, str]) -> None:
    ran = provisioner("secret", "exec", "--state", "state", "portal", "--", "no-such-program")
    assert (ran.status, ran.out) == (127, "")
    assert ran.err == (
        'Error: The command "no-such-program" was not found\n\n'
        "It is in none of the folders of PATH. Nothing was run.\n"
    )
    ran = provisioner("secret", "exec", "--state", "state", "portal", "--", "./no-such-program")
    assert ran.status == 127
    assert "There is no such file." in ran.err
    assert (
        provisioner("secret", "exec", "--state", "state", "portal", "--", "state/state.json/x").status == 127
    )


def program(content: bytes, mode: int = 0o755) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content)
        path.chmod(mode)

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "Permission denied."),
        (program(b"#!/bin/sh\n", 0o644), "Permission denied."),
        (program(b"\0\0\0\0"), "Exec format error."),
        (program(b"#!/no/such/interpreter\n"), "the interpreter in its first line is not."),
    ],
    ids=["a folder", "no program", "no format", "no interpreter"],
)
def test_a_program_that_is_there_and_cannot_be_run_is_126(
    provisioner, canaries: dict[str, str], make: Callable[[Path], None], said: str
) -> None:
    make(Path("program"))
    before = signal.getsignal(signal.SIGPIPE)
    ran = provisioner("secret", "exec", "--state", "state", "portal", "--", "./program")
    assert (ran.status, ran.out) == (126, "")
    assert ran.err.startswith('Error: The command "./program" could not be run\n')
    assert said in ran.err
    assert signal.getsignal(signal.SIGPIPE) is before


def test_what_a_program_is_called_does_not_act_on_the_terminal(provisioner, canaries: dict[str, str]) -> None:
    ran = provisioner("secret", "exec", "--state", "state", "portal", "--", "\x1b[31mred")
    assert ran.status == 127
    assert "\x1b" not in ran.err


@pytest.mark.parametrize(
    "arguments", [["portal"], ["portal", "--"], ["portal", "billing-eu"], ["--keep-env", "portal", "--"]]
)
def test_without_a_program_nothing_is_opened(
    provisioner, canaries: dict[str, str], replaced, arguments: list[str]
) -> None:
    ran = provisioner("secret", "exec", "--state", "state", *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: There is no command to run\n")
    assert "secret exec ADDRESS... -- COMMAND [ARG]..." in ran.err
    assert replaced == []


@pytest.mark.parametrize(
    "arguments", [["--", "env"], ["--prefix", "--", "env"], ["--nope", "portal", "--", "env"]]
)
def test_a_command_line_that_is_not_understood_runs_nothing(
    provisioner, canaries: dict[str, str], replaced, arguments: list[str]
) -> None:
    assert provisioner("secret", "exec", "--state", "state", *arguments).status == 1
    assert replaced == []


def test_help_says_where_the_program_stands(provisioner) -> None:
    ran = provisioner("secret", "exec", "--help")
    assert ran.out.startswith("Usage: provisioner secret exec [OPTIONS] ADDRESS... -- COMMAND [ARG]...\n")


def test_the_error_says_whose_secret_cannot_be_opened_and_nothing_is_run(
    provisioner, canaries: dict[str, str], replaced, monkeypatch
) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", generate_identity()[0].reveal().decode())
    ran = provisioner("secret", "exec", "--state", "state", "portal", "--", "env")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: The secret of oauth_app.portal cannot be opened\n")
    assert "None of your identities opens this secret." in ran.err
    assert replaced == []


# --- names


def names(arguments: Sequence[str], provisioner: Callable[..., Any], replaced: list[Any]) -> dict[str, str]:
    """The variables that a program gets beyond those that are there anyway."""
    before = dict(os.environ)
    ran = provisioner("secret", "exec", "--state", "state", *arguments, "--", "program", "x")
    assert (ran.status, ran.out, ran.err) == (7, "", "")
    ((file, argv, environment),) = replaced
    assert (file, argv) == ("program", ["program", "x"])
    return {name: value for name, value in environment.items() if before.get(name) != value}


@pytest.mark.parametrize(
    ("arguments", "prefixes"),
    [
        (["portal"], {"portal": ""}),
        (["portal", "oauth_app.portal"], {"portal": ""}),
        (["9lives"], {"9lives": ""}),
        (["portal", "billing-eu"], {"portal": "PORTAL_", "billing-eu": "BILLING_EU_"}),
        (["--prefix", "APP_", "portal"], {"portal": "APP_"}),
        (["--prefix", "TF_VAR_{key}_", "portal"], {"portal": "TF_VAR_portal_"}),
        (["portal", "9lives", "--prefix", "X_{KEY}_"], {"portal": "X_PORTAL_", "9lives": "X_9LIVES_"}),
        (["--prefix", "A_", "--prefix", "B_", "9lives", "portal"], {"9lives": "A_", "portal": "B_"}),
        (["--prefix", "", "--prefix", "B_", "9lives", "portal"], {"9lives": "", "portal": "B_"}),
    ],
)
def test_the_names_of_each_pair_are_kept_apart_by_a_prefix(
    provisioner, canaries: dict[str, str], replaced, arguments: list[str], prefixes: dict[str, str]
) -> None:
    expected = {f"{prefix}CLIENT_ID": f"cid_{key}" for key, prefix in prefixes.items()}
    expected |= {f"{prefix}CLIENT_SECRET": canaries[key] for key, prefix in prefixes.items()}
    assert names(arguments, provisioner, replaced) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prefix", "A_", "portal", "billing-eu"], "Two apps would have the same names in the environment"),
        (["--prefix", "A", "--prefix", "A", "portal", "9lives"], "Two apps would have the same names"),
        (["--prefix", "A", "--prefix", "B", "portal"], "There are 2 prefixes for 1 addresses"),
        (["--prefix", "A", "--prefix", "B", "portal", "9lives", "billing-eu"], "2 prefixes for 3 addresses"),
        (["portal", "9lives"], 'Not a name for an environment variable: "9LIVES_CLIENT_ID"'),
        (["--prefix", "A B", "portal"], "Not a name for an environment variable"),
        (["--prefix", "A=B", "portal"], "Not a name for an environment variable"),
        (["--prefix", "A\n", "portal"], 'Not a name for an environment variable: "A\\nCLIENT_ID"'),
        (["--prefix", "{key}_", "billing-eu"], "Not a name for an environment variable"),
        (["--prefix", "É", "portal"], "Not a name for an environment variable"),
    ],
)
def test_b55_names_that_clash_or_that_a_shell_cannot_say_are_refused(
    provisioner, canaries: dict[str, str], replaced, arguments: list[str], said: str
) -> None:
    ran = provisioner("secret", "exec", "--state", "state", *arguments, "--", "program")
    assert (ran.status, ran.out, replaced) == (1, "", [])
    assert said in ran.err


@given(st.lists(st.from_regex(KEY, fullmatch=True), min_size=2, max_size=5, unique=True))
@settings(max_examples=100)
def test_b55_whatever_the_keys_no_two_apps_share_a_name(keys: list[str]) -> None:
    try:
        found = secret_exec._names([Address(key) for key in keys], ["X{KEY}_"])
    except UsageError:
        assert len({key.replace("-", "_") for key in keys}) < len(keys)
    else:
        assert len({name for pair in found for name in pair}) == 2 * len(keys)
