"""What every test stands on: a scrubbed environment, the sandbox, and the command as a user runs it."""

from __future__ import annotations

import gc
import io
import logging
import os
import pkgutil
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import provisioner as package
from provisioner.cli import run, schema
from provisioner.sandbox.application import Sandbox
from provisioner.sandbox.server import running

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
_MEASURES = "COVERAGE_PROCESS_CONFIG"  # with it, a child measures itself, which costs as much as its start
REQUIRE_TOOLS = "PROVISIONER_TEST_REQUIRE_TOOLS" in os.environ


@contextmanager
def unmeasured() -> Iterator[None]:
    """Without coverage, in all threads that start in here: what is measured takes twice as long."""
    here, threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(threads)
        sys.settrace(here)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All of ours is imported while it is measured; what is collected then, mostly pytest's work, is not."""
    for module in pkgutil.walk_packages(package.__path__, "provisioner."):
        if module.name != "provisioner.__main__":
            import_module(module.name)
    with unmeasured():
        result = yield
    gc.freeze()  # thousands of tests, that need not be looked through again and again
    return result


def is_measured(item: pytest.Item) -> bool:
    """Coverage is to come from examples that are written down: chance would make it another one each time."""
    by_chance = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return not by_chance and item.get_closest_marker("unmeasured") is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that is not measured is not with its fixtures either."""
    if is_measured(item):
        return (yield)
    with unmeasured():
        return (yield)


@pytest.fixture(autouse=True)
def clean_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """No variable of the machine's reaches a test, and home is an empty folder."""
    for name in list(os.environ):
        if name not in _KEPT and not name.startswith(("PYTEST", "HYPOTHESIS")):
            monkeypatch.delenv(name)
    if not is_measured(request.node):
        monkeypatch.delenv(_MEASURES, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(autouse=True, scope="session")
def schema_made_once() -> Iterator[None]:
    """`init` writes the same schema of the manifest in hundreds of tests, and most of its time goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "manifest_schema", cache(schema.manifest_schema))
        yield


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command did."""

    status: int
    out: str
    err: str


Provisioner = Callable[..., Ran]


@pytest.fixture(autouse=True)
def no_log_of_another_test() -> Iterator[None]:
    """PROVISIONER_LOG sets up the log of this process; the next test starts without."""
    yield
    log = logging.getLogger("provisioner")
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    log.setLevel(logging.NOTSET)
    log.propagate = True


@pytest.fixture
def provisioner(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Provisioner:
    """The command, run in this process and in the test's own folder; `answer` is its standard input.

    It waits for no disk: nothing here takes the power away. What is synced, and when, the torture tests see.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)

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
