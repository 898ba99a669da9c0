"""What every test stands on: a scrubbed environment, the sandbox, and the command as a user runs it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.cli import run
from provisioner.sandbox.application import Sandbox
from provisioner.sandbox.server import running

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
REQUIRE_TOOLS = "PROVISIONER_TEST_REQUIRE_TOOLS" in os.environ


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No variable of the machine's reaches a test, and home is an empty folder."""
    for name in list(os.environ):
        if name not in _KEPT and not name.startswith(("PYTEST", "HYPOTHESIS")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command did."""

    status: int
    out: str
    err: str


Provisioner = Callable[..., Ran]


@pytest.fixture
def provisioner(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Provisioner:
    """The command, run in this process and in the test's own folder; `answer` is its standard input."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, answer: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(answer.encode())))
        capsys.readouterr()
        status = run(arguments)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return invoke


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A running sandbox that the environment points at."""
    with running() as server:
        monkeypatch.setenv("METEROID_BASE_URL", server.url)
        monkeypatch.setenv("METEROID_API_KEY", server.api_key)
        yield server


@pytest.fixture
def tool() -> Callable[[str], str]:
    """Find a program that comes from a Debian package; without it the test is skipped, or fails in CI."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None and REQUIRE_TOOLS:
            pytest.fail(f"{name} is not installed, and this run must not skip what needs it")
        if path is None:
            pytest.skip(f"NOT TESTED: {name} is not installed (Debian package {name})")
        return path

    return find


@pytest.fixture
def clone(tmp_path: Path, tool: Callable[[str], str]) -> Callable[..., Path]:
    """Clone the one repository that all clones of a test push to, as fresh runners do."""
    git, origin = tool("git"), tmp_path / "origin.git"

    def run(*arguments: object) -> None:
        subprocess.run([git, "-c", "init.defaultBranch=main", *map(str, arguments)], check=True, timeout=60)

    def make(name: str, *options: str) -> Path:
        folder = tmp_path / name
        if not origin.exists():
            run("init", "--quiet", "--bare", origin)
            run("init", "--quiet", tmp_path / "first")
            first = ["-C", tmp_path / "first", "-c", "user.name=first", "-c", "user.email=first@localhost"]
            run(*first, "commit", "--quiet", "--allow-empty", "--message=first")
            run(*first, "push", "--quiet", origin, "HEAD:refs/heads/main")
        run("clone", "--quiet", *options, f"file://{origin}", folder)
        return folder

    return make
