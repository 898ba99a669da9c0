"""House rules that no linter knows: what must not be in the repository, and what must agree with what."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pyrage
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import provisioner

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))
MODULE_LINES = 350

NAMES = {
    "nacl": "pynacl",
    "ruamel": "ruamel-yaml",
    "yaml": "pyyaml",
}  # modules called otherwise than their packages

# Written so that none of them finds itself in this file.
PATH_OF_A_MACHINE = re.compile(r"/(?:work|root|farm)/")
HOST_OF_A_REGISTRY = re.compile(
    r"pypi\.(?:org|python)|pythonhosted\.|npmjs\.|crates\.io|(?:simple|index)-url\b"
)
AGE_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}", re.IGNORECASE)


@cache
def files() -> tuple[Path, ...]:
    """What git holds or would take up; in an unpacked archive, everything but hidden and built folders."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, cwd=ROOT, env=plain_environment(), capture_output=True, check=False)
        if done.returncode == 0:
            return tuple(
                filter(is_text_file, (ROOT / name for name in done.stdout.decode().split("\0") if name))
            )
    return tuple(filter(is_text_file, walk(ROOT)))


def plain_environment() -> dict[str, str]:
    """Without what a git hook sets: GIT_DIR and its kin would point git somewhere else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if not path.name.startswith(".") and path.name not in ("__pycache__", "build", "dist"):
                yield from walk(path)
        else:
            yield path


def is_text_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and b"\0" not in path.read_bytes()


def read(path: Path) -> str:
    return path.read_text("utf-8")


def hits(pattern: re.Pattern[str], name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        yield from (f"{name}:{number}: {match[0]}" for match in pattern.finditer(line))


def is_real(identity: str) -> bool:
    """Whether the checksum fits: a made-up example does not open anything."""
    try:
        pyrage.x25519.Identity.from_str(identity.upper())
    except pyrage.IdentityError:
        return False
    return True


def python_sources() -> Iterator[Path]:
    folders = (ROOT / "provisioner", ROOT / "scripts")
    return (path for path in files() if path.suffix == ".py" and any(map(path.is_relative_to, folders)))


@pytest.mark.parametrize("pattern", [PATH_OF_A_MACHINE, HOST_OF_A_REGISTRY], ids=["machine path", "registry"])
def test_no_file_names_one_machine_or_registry(pattern: re.Pattern[str]) -> None:
    found = [hit for path in files() for hit in hits(pattern, str(path.relative_to(ROOT)), read(path))]
    assert not found, "\n".join(found)


def test_no_file_holds_an_identity_that_opens_something() -> None:
    found = [
        f"{path.relative_to(ROOT)} holds the private key of {match[0][:20]}…"
        for path in files()
        for match in AGE_IDENTITY.finditer(read(path))
        if is_real(match[0])
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        (PATH_OF_A_MACHINE, ("see /ro", "ot/notes")),
        (PATH_OF_A_MACHINE, ("cd /wo", "rk/tree")),
        (HOST_OF_A_REGISTRY, ("https://py", "pi.org/simple")),
        (HOST_OF_A_REGISTRY, ("--extra-index", "-url=x")),
    ],
)
def test_a_planted_line_is_found(pattern: re.Pattern[str], parts: tuple[str, str]) -> None:
    assert list(hits(pattern, "a.md", f"fine\n{''.join(parts)}\n")) != []


def test_a_planted_identity_is_found_and_a_made_up_one_is_not() -> None:
    real = str(pyrage.x25519.Identity.generate())
    match = AGE_IDENTITY.search(f"key = {real}")
    assert match is not None
    assert is_real(match[0])
    assert not is_real("AGE-SECRET-KEY-1" + "Q" * 58)


def test_the_files_that_are_looked_through_are_the_repository() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in files()}
    assert {"pyproject.toml", "provisioner/errors.py", "requirements/run.txt", "tests/test_house.py"} <= names
    assert not [name for name in names if name.startswith(".venv/")]
    assert {path.relative_to(ROOT).as_posix() for path in walk(ROOT)} >= {"LICENSE", "tests/test_house.py"}


def locked(name: str) -> dict[str, Requirement]:
    return pins_of(name, read(ROOT / "requirements" / name))


def pins_of(name: str, text: str) -> dict[str, Requirement]:
    """The requirements of a lock by name. What is not pinned and hashed fails here."""
    entries = text.replace("\\\n", " ").splitlines()
    found: dict[str, Requirement] = {}
    for entry in filter(str.strip, entries):
        row, *hashes = re.split(r"\s+--hash=", entry.strip())
        requirement = Requirement(row)
        pin = re.fullmatch(r"==([^*,]+)", str(requirement.specifier))
        assert pin, f"{name}: {row} is not pinned to one version"
        assert hashes, f"{name}: {row} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), (
            f"{name}: {row} has a hash of another kind"
        )
        found[canonicalize_name(requirement.name)] = requirement
    return found


def pinned(requirement: Requirement) -> str:
    return str(requirement.specifier).removeprefix("==")


def wanted(*extras: str) -> list[Requirement]:
    project = PROJECT["project"]
    groups = [project["optional-dependencies"][extra] for extra in extras]
    rows = chain(project["dependencies"], PROJECT["build-system"]["requires"], *groups)
    return [Requirement(row) for row in rows]


@pytest.mark.parametrize(("lock", "extras"), [("run.txt", ["sandbox"]), ("dev.txt", ["sandbox", "dev"])])
def test_a_lock_pins_by_hash_everything_that_pyproject_asks_for(lock: str, extras: list[str]) -> None:
    pins = locked(lock)
    for requirement in wanted(*extras):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{lock} lacks {name}: run `make lock`"
        assert requirement.specifier.contains(pinned(pins[name])), (
            f"{lock}: {pins[name]} against {requirement}"
        )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("click==8.5.1\n", "click==8.5.1 has no hash"),
        (f"click>=8 \\\n    --hash=sha256:{'0' * 64}\n", "click>=8 is not pinned"),
        (f"click==8.* --hash=sha256:{'0' * 64}\n", "is not pinned"),
        (f"click==8.5.1 --hash=md5:{'0' * 32}\n", "has a hash of another kind"),
    ],
)
def test_a_planted_requirement_is_found(text: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        pins_of("planted.txt", text)


def test_both_locks_pin_the_same_versions() -> None:
    run, dev = locked("run.txt"), locked("dev.txt")
    assert {name: str(dev.get(name)) for name in run} == {name: str(run[name]) for name in run}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_pins_everything_by_hash(lock: str) -> None:
    assert len(LOCKS) == 4
    assert "://" not in read(ROOT / "requirements" / lock)
    assert locked(lock)


def test_what_npm_installs_is_pinned_by_hash_and_names_no_registry() -> None:
    packages = json.loads(read(ROOT / "requirements/node/package-lock.json"))["packages"]
    installed = [entry for name, entry in packages.items() if name]
    assert len(installed) > 10
    assert all(entry["integrity"].startswith("sha512-") for entry in installed)
    assert not any("resolved" in entry for entry in installed)


def test_the_version_is_the_same_wherever_it_stands() -> None:
    headings = re.findall(r"^## \[?(\d[^\]\s]*)", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert [provisioner.__version__, headings[0]] == [PROJECT["project"]["version"]] * 2


def test_every_module_says_what_it_is_for() -> None:
    modules = {str(path.relative_to(ROOT)): ast.parse(read(path)) for path in python_sources()}
    assert [name for name, tree in modules.items() if not ast.get_docstring(tree)] == []


def test_no_module_is_too_long_to_be_one_idea() -> None:
    lengths = {str(path.relative_to(ROOT)): len(read(path).splitlines()) for path in python_sources()}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        (".lock", True),
        (".journal/op_1.op", True),
        ("apps/.portal.json.0a1b2c3d.tmp", True),
        ("state.json", False),
        ("apps/portal.json", False),
        ("README.md", False),
    ],
)
def test_git_keeps_the_records_and_leaves_lock_and_journal(name: str, ignored: bool, tmp_path: Path) -> None:
    shutil.copy(ROOT / "state" / ".gitignore", tmp_path)
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], env=plain_environment(), check=True, capture_output=True)
    done = subprocess.run([*git, "check-ignore", "--quiet", name], env=plain_environment(), check=False)
    assert done.returncode == (0 if ignored else 1)


def test_every_library_that_is_imported_is_a_declared_dependency() -> None:
    """One that comes along with another may be gone with its next version."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    stated = [*project["dependencies"], *extras["sandbox"], *extras["github"]]
    declared = {canonicalize_name(Requirement(line).name) for line in stated}
    sources = (path.read_text("utf-8") for path in (ROOT / "provisioner").rglob("*.py"))
    imported = set(
        chain.from_iterable(re.findall(r"(?m)^\s*(?:from|import) (\w+)[ .\n]", text) for text in sources)
    )
    imported -= {*sys.stdlib_module_names, "provisioner", "__future__"}
    assert {"httpcore", "yaml"} <= imported
    assert {NAMES.get(name, name) for name in imported} <= declared
