"""What the commands cost, counted and never timed: requests, syncs, files, modules, calls, memory."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import stat
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks import places
from benchmarks.seeding import seed
from provisioner.cli import workspace
from provisioner.sandbox.application import Sandbox
from provisioner.sandbox.server import running
from provisioner.sealing import generate_identity
from provisioner.stores import directory

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "apps.yaml"
LIBRARIES = frozenset({
    "anyio", "certifi", "click", "deepdiff", "httpcore", "httpx", "nacl", "pydantic", "pyrage", "rich",
    "ruamel", "starlette", "truststore", "uvicorn", "yaml",
})  # fmt: skip
OFFLINE = frozenset({"click", "yaml", "pyrage"})

# What each command may import of the libraries, and how many modules of ours at most.
IMPORTS: dict[tuple[str, ...], tuple[frozenset[str], int]] = {
    ("--version",): (frozenset(), 3),
    ("--help",): (frozenset({"click"}), 7),
    ("plan", "--help"): (frozenset({"click"}), 10),
    ("completion", "bash"): (frozenset({"click"}), 8),
    ("validate", "-f", str(EXAMPLE)): (OFFLINE, 62),
    ("plan", "--no-refresh", "-f", str(EXAMPLE)): (OFFLINE, 85),
    ("plan", "-f", str(EXAMPLE)): (OFFLINE | {"certifi", "httpcore"}, 98),
}
IMPORTED = (
    "import sys; from provisioner.cli import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
)


@pytest.mark.parametrize("line", IMPORTS, ids=" ".join)
def test_a_command_imports_what_it_needs_and_nothing_else(
    line: tuple[str, ...], sandbox: Sandbox, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", IMPORTED, *line]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    modules = ran.stderr.splitlines()[-1].split()
    libraries, most = IMPORTS[line]
    assert {name.partition(".")[0] for name in modules} & LIBRARIES <= libraries
    ours = [name for name in modules if name.partition(".")[0] == "provisioner"]
    assert 1 < len(ours) <= most, f"{len(ours)} modules of ours; at most {most} were meant: {ours}"


def test_the_http_library_is_imported_without_event_loops(sandbox: Sandbox, tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTED, "plan", "-f", str(EXAMPLE)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    modules = set(ran.stderr.splitlines()[-1].split())
    assert "httpcore" in modules
    assert modules.isdisjoint({"httpx", "rich", "pygments", "anyio", "trio", "asyncio"})


@pytest.fixture
def write(tmp_path: Path) -> Callable[[int], None]:
    """Write a manifest of so many apps, each with two URIs."""
    _, recipient = generate_identity()

    def manifest(count: int) -> None:
        apps = "".join(
            f"  app-{number}:\n"
            f"    name: App {number}\n"
            f"    redirect_uris: ['https://a{number}.example.com/callback', 'https://b{number}.example.com/cb']\n"
            f"    scopes: [customers:read]\n"
            for number in range(count)
        )
        (tmp_path / "apps.yaml").write_text(
            f"version: 1\nstate: {{recipients: ['{recipient}']}}\napps:\n{apps}"
        )

    return manifest


@pytest.mark.parametrize("count", [1, 7])
def test_a_plan_makes_one_list_call_whatever_the_number_of_apps(
    provisioner, sandbox: Sandbox, write, count: int
) -> None:
    write(count)
    assert provisioner("plan").status == 0
    assert sandbox.calls == Counter({"list": 1})
    assert provisioner("apply", "--auto-approve").status == 0
    sandbox.calls.clear()
    assert provisioner("plan").out.startswith("No changes.")
    assert sandbox.calls == Counter({"list": 1})


@pytest.mark.parametrize("count", [1, 7])
def test_an_approved_apply_makes_one_list_call_and_one_create_an_app(
    provisioner, sandbox: Sandbox, write, count: int
) -> None:
    write(count)
    assert provisioner("apply", "--auto-approve").status == 0
    assert sandbox.calls == Counter({"list": 1, "create": count})


def test_a_plan_without_refresh_makes_no_request(provisioner, sandbox: Sandbox, write) -> None:
    write(3)
    assert provisioner("plan", "--no-refresh").status == 0
    assert not sandbox.calls


@contextmanager
def system_calls(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Counter[str]]:
    """How often files and folders are synced, and how often a file of `folder` is opened."""
    counts: Counter[str] = Counter()
    once = threading.Lock()

    def counted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(fd: int) -> object:
            with once:
                counts["folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else name] += 1
            return call(fd)

        return wrapper

    opened = os.open

    def opening(path: str | Path, flags: int, *others: object, **named: object) -> int:
        fd = opened(path, flags, *others, **named)
        inside = Path(path).absolute().is_relative_to(folder)
        if inside and flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_DIRECTORY:
            with once:
                counts["read"] += 1
        return fd

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counted("data", os.fsync))
        patch.setattr(os, "fdatasync", counted("data", os.fdatasync))
        patch.setattr(os, "open", opening)
        yield counts


def test_an_app_that_is_created_takes_three_syncs_of_data_at_most(
    provisioner, sandbox: Sandbox, write, monkeypatch, tmp_path: Path
) -> None:
    found = {}
    for count in (5, 15):
        write(count)
        with system_calls(monkeypatch, tmp_path) as counts:
            assert provisioner("apply", "--auto-approve").status == 0
        found[count] = counts
    # Five more than there were, then ten: what both runs take beside that is the same.
    assert found[15]["data"] - found[5]["data"] <= 3 * 5
    assert found[15]["folder"] - found[5]["folder"] <= 6 * 5
    assert found[5]["data"] >= 2 * 5, "the count itself is blind"


def test_an_app_that_is_created_takes_one_new_file(provisioner, sandbox: Sandbox, write, monkeypatch) -> None:
    """Its record. What is made to be unlinked again makes each new one slower, on ext4."""
    counts: Counter[str] = Counter()
    opened, unlinked = os.open, os.unlink

    def opening(path: str | Path, flags: int, *others: object, **named: object) -> int:
        counts["made"] += bool(flags & os.O_CREAT)
        return opened(path, flags, *others, **named)

    def unlinking(*arguments: object, **named: object) -> None:
        counts["unlinked"] += 1
        unlinked(*arguments, **named)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "unlink", unlinking)
    found = []
    for count in (5, 15, 35):
        write(count)
        counts.clear()
        assert provisioner("apply", "--auto-approve", "--parallelism", "1").status == 0
        found.append((counts["made"], counts["unlinked"]))
    assert found[2][0] - found[1][0] == 20 - 10
    assert found[2][1] == found[1][1]


def test_a_plan_reads_each_file_once_and_syncs_nothing(
    provisioner, sandbox: Sandbox, write, monkeypatch, tmp_path: Path
) -> None:
    write(6)
    assert provisioner("apply", "--auto-approve").status == 0
    with system_calls(monkeypatch, tmp_path) as counts:
        assert provisioner("plan").status == 0
    assert counts == Counter({"read": 6 + len(["apps.yaml", "state.json"])})


@contextmanager
def calls() -> Iterator[list[int]]:
    """How many functions are called, of Python's and of C's, in this thread and in those that it starts."""
    number, found = itertools.count(), [0]

    def count(_frame: object, event: str, _argument: object) -> None:
        if event in ("call", "c_call"):
            next(number)

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # None is what stops it
        found[0] = next(number)


LINES = {
    "validate": ("validate",),
    "first plan": ("plan",),
    "plan": ("plan",),
    "apply": ("apply", "--auto-approve"),
    "recovery": ("apply", "--auto-approve"),
}


@pytest.fixture
def history(provisioner, write, monkeypatch, tmp_path: Path) -> Iterator[Callable[[str, int], None]]:
    """Let what has to be before a command have been, with so many apps and a sandbox of their own."""
    stack = ExitStack()

    def made(name: str, count: int) -> None:
        stack.close()
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        server = stack.enter_context(running())
        monkeypatch.setenv("METEROID_BASE_URL", server.url)
        monkeypatch.setenv("METEROID_API_KEY", server.api_key)
        write(count)
        if name == "recovery":
            server.add_fault(f"create@1x{count}:lost-after")
        if name in ("plan", "recovery"):
            provisioner("apply", "--auto-approve")

    with stack:
        yield made


def grows_linearly(taken: list[int]) -> bool:
    """Whether each step, of twice as many apps as the one before it, takes about twice as much."""
    steps = [more - less for less, more in itertools.pairwise(taken)]
    return all(more <= 2.3 * less for less, more in itertools.pairwise(steps))


@pytest.mark.parametrize("name", LINES)
def test_twice_the_apps_are_twice_the_calls(provisioner, history, name: str) -> None:
    taken = []
    for count in (2, 8, 16, 32, 64):
        history(name, count)
        with calls() as found:
            ran = provisioner(*LINES[name])
        assert ran.status == 0, ran.err
        taken.append(found[0])
    assert grows_linearly(taken[1:]), taken  # the first one is not counted: it imports


@contextmanager
def peak() -> Iterator[list[int]]:
    """The most bytes that were in use at once, where no look for cycles, which chance times, lowers it."""
    found: list[int] = []
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize("line", [("validate",), ("plan", "--no-refresh")], ids=" ".join)
def test_twice_the_apps_are_twice_the_memory(
    provisioner, monkeypatch, tmp_path: Path, line: tuple[str, ...]
) -> None:
    # A reader may make room for the largest file that it takes, which is more than all else here.
    monkeypatch.setattr(workspace, "MANIFEST_LIMIT", 100_000)
    monkeypatch.setattr(directory, "_FILE_LIMIT", 10_000)
    taken = []
    for count in (2, 100, 200, 400):
        places.fresh(tmp_path, count)
        places.renewed(tmp_path)
        (tmp_path / places.DATA).unlink(missing_ok=True)
        seed(tmp_path, count, 1)
        with peak() as found:
            assert provisioner(*line).status == 0
        taken += found
    assert grows_linearly(taken[1:]), taken


def test_a_quadratic_step_is_found() -> None:
    assert grows_linearly([5 + 3 * count for count in (8, 16, 32, 64)])
    assert not grows_linearly([5 + 3 * count + count * count // 4 for count in (8, 16, 32, 64)])
