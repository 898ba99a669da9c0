"""The power goes at any change of a file, and at any request; what the disk may hold then is gone on from."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain as chain_of
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from provisioner.delivery import DeclaredSink
from provisioner.model import AppSpec
from provisioner.sandbox.faults import Faults
from torture.disk import Disk, Photo, Stopped, Tree, materialise
from torture.driver import Desired, Sinks, apply_once, converge, keys, leaks, seeded
from torture.report import Counts
from torture.server import Server

Lies = Callable[[str, Path], bool]


def honest(_kind: str, _path: Path) -> bool:
    """Every sync does what it says."""
    return False


def app(name: str, path: str = "cb") -> AppSpec:
    return AppSpec(name, (f"https://{name}.example/{path}",))


@dataclass(frozen=True, slots=True)
class Scenario:
    """What there is, what is wanted, and which secrets a user asks to have rotated."""

    before: Desired = field(default_factory=dict)
    after: Desired = field(default_factory=dict)
    rotate: tuple[str, ...] = ()
    single: bool = True  # one request with a secret in its answer
    sinks: Sinks = ()


def _file(name: str, type_: str, /, **options: Any) -> DeclaredSink:
    keys = {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
    return DeclaredSink(name, type_, {"prefix": "", "keys": keys, "format": "dotenv", **options})


FILES = (  # the sinks that write files
    _file("age", "age", path="age/{key}.env.age", recipients=[keys()[0]]),
    _file("file", "file", path="file/{key}.env", plaintext=True),
    _file(
        "manifest", "kubernetes", name="{key}", namespace="default", context="",
        manifest="manifest/{key}.yaml", plaintext=True,
    ),
)  # fmt: skip
ONE, TWO, THREE = app("one"), app("two"), app("three")
SCENARIOS = {
    "create": Scenario({}, {"one": ONE}),
    "rotate": Scenario({"one": ONE}, {"one": ONE}, ("one",)),
    "delete": Scenario({"one": ONE, "two": TWO}, {"one": ONE}),
    "replace": Scenario({"one": ONE}, {"one": app("one", "other")}),
    "mix": Scenario(
        {"one": ONE, "two": TWO, "three": THREE},
        {"one": app("one", "other"), "heir": app("two", "heir"), "three": THREE},
        ("three",),
        single=False,
    ),
    "create and deliver": Scenario({}, {"one": ONE}, sinks=FILES),
    "rotate and deliver": Scenario({"one": ONE}, {"one": ONE}, ("one",), sinks=FILES),
    "withdraw": Scenario({"one": ONE, "two": TWO}, {"two": TWO}, sinks=FILES),
}
FAULTS = (
    "lost-before", "lost-after", "late", "500-after", "503", "422", "429", "truncated", "html-after",
    "without=client_secret", "hang-before", "409",
)  # fmt: skip
LONG = 150  # changes and requests: more than any apply here comes to


@dataclass(frozen=True, slots=True)
class Moment:
    """The disk and the server when the power went."""

    photo: Photo
    server: Server


class Bench:
    """Folders to work in, one after the other; each scenario's beginning is made once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = count()
        self._begun: dict[str, tuple[Tree, Server]] = {}

    def begin(self, name: str) -> tuple[Path, Server]:
        """A folder as the scenario has it, and the server that belongs to it."""
        if name not in self._begun:
            folder, server, scenario = self.folder({}), Server(), SCENARIOS[name]
            with Disk(folder):
                before, sinks = scenario.before, scenario.sinks
                found = converge(folder, server, before, sinks) if before else []
            if found:
                raise AssertionError(found)
            self._begun[name] = (dict(_tree(folder)), server)
        tree, server = self._begun[name]
        return self.folder(tree), server.copy()

    def folder(self, tree: Tree) -> Path:
        """A new folder with these files in it."""
        path = self._root / str(next(self._numbers))
        materialise(tree, path)
        return path


def _tree(folder: Path) -> Iterator[tuple[Path, bytes | None]]:
    for path in folder.rglob("*"):
        yield path.relative_to(folder), None if path.is_dir() else path.read_bytes()


def album(bench: Bench, name: str, lies: Lies = honest, killed_at: int | None = None) -> list[Moment]:
    """Every moment of one apply at which the power may go; of a second one, where the first was killed."""
    scenario = SCENARIOS[name]
    folder, server = bench.begin(name)
    moments: list[Moment] = []
    disk = Disk(folder, lambda: moments.append(Moment(disk.photo(), server.copy())), lies)
    server.before = disk.point
    if killed_at is not None:
        disk.dies_in = killed_at
        with suppress(Stopped), disk:
            apply_once(folder, server, scenario.after, scenario.rotate, sinks=scenario.sinks)
        moments.clear()
    with disk:
        rotate = scenario.rotate if killed_at is None else ()
        apply_once(folder, server, scenario.after, rotate, sinks=scenario.sinks)
        disk.point()
    return moments


def exhaustive(bench: Bench, name: str, rng: Random, limit: int, lies: Lies = honest) -> Counts:
    """One power loss at every moment, and every way in which the disk may be found, or `limit` of them."""
    return sum(_visits(bench, name, album(bench, name, lies), rng, limit), Counts())


def finds(bench: Bench, name: str, rng: Random, limit: int, lies: Lies) -> bool:
    """Whether the same comes upon a failure; the first is enough."""
    return any(counts.failures for counts in _visits(bench, name, album(bench, name, lies), rng, limit))


def after_kill(bench: Bench, name: str, point: int, rng: Random, limit: int) -> Counts:
    """A kill at one moment, and a power loss at every moment of the run after it."""
    moments = album(bench, name, killed_at=point + 1)
    return sum(_visits(bench, name, moments, rng, limit, f", killed at point {point}"), Counts())


def after_kills(bench: Bench, name: str, rng: Random, limit: int) -> Iterator[Counts]:
    """The same, for a kill at every moment."""
    for point in range(len(album(bench, name))):
        yield after_kill(bench, name, point, rng, limit)


def _visits(
    bench: Bench, name: str, moments: list[Moment], rng: Random, limit: int, before: str = ""
) -> Iterator[Counts]:
    seen = set()
    for number, moment in enumerate(moments):
        for tree in moment.photo.survivors(rng, limit):
            mark = (tree, moment.server.mark())
            if mark not in seen:
                seen.add(mark)
                found = _recovered(bench, dict(tree), moment, SCENARIOS[name])
                yield _counted(found, f"{name}{before}, power loss at point {number}", 2 if before else 1)


def _recovered(bench: Bench, tree: Tree, moment: Moment, scenario: Scenario) -> list[str]:
    folder, server = bench.folder(tree), moment.server.copy()
    found = list(leaks(folder))
    with Disk(folder):
        found += converge(folder, server, scenario.after, scenario.sinks)
    shutil.rmtree(folder)
    writes = server.calls["create"] + server.calls["rotate"]
    if scenario.single and moment.photo.frames and writes:
        found.append(f"wrong: the answer was on the disk, and recovery still sent {dict(server.calls)}")
    return found


def _counted(found: list[str], where: str, crashes: int) -> Counts:
    kinds = [text.partition(":")[0] for text in found]
    return Counts(
        points=1,
        lost=kinds.count("lost"),
        duplicated=kinds.count("duplicated"),
        leaked=kinds.count("leaked"),
        wrong=kinds.count("wrong"),
        in_a_row=tuple(int(number == crashes) for number in range(4)),
        failures=tuple(f"{where}: {text}" for text in found),
    )


def chain(bench: Bench, seed: int) -> Counts:
    """A seeded walk: faults of the API, one to three crashes (kills or power losses) anywhere, then quiet."""
    rng = seeded(seed)
    name = rng.choice(list(SCENARIOS))
    folder, server = bench.begin(name)
    disk, told = Disk(folder), [name]
    crashes = rng.randint(1, 3)
    for _ in range(crashes):
        told.append(_crash(disk, server, SCENARIOS[name], rng))
        if rng.random() < 0.5:
            tree = rng.choice(in_order(disk.photo().survivors(rng, 8)))
            shutil.rmtree(folder)
            folder = bench.folder(dict(tree))
            disk = Disk(folder)
            told.append("a power loss")
        while server.late and rng.random() < 0.5:
            server.arrive(rng.randrange(len(server.late)))
            told.append("a late request arrives")
    server.quiet()
    found = list(leaks(folder))
    with disk:
        found += converge(folder, server, SCENARIOS[name].after, SCENARIOS[name].sinks)
    shutil.rmtree(folder)
    return _counted(found, f"seed {seed}: {', '.join(told)}", crashes)


def _crash(disk: Disk, server: Server, scenario: Scenario, rng: Random) -> str:
    """An apply against an API with faults, killed on the way if it takes long enough."""
    calls = rng.choices(["create", "rotate", "delete", "*"], k=rng.randint(0, 3))
    faults = [f"{call}@{rng.randint(1, 3)}:{rng.choice(FAULTS)}" for call in calls]
    server.faults, server.before = Faults(faults), disk.point
    disk.dies_in = rng.randint(1, LONG)
    told = f"{faults}, dies in {disk.dies_in}"
    with suppress(Stopped), disk:
        apply_once(disk.root, server, scenario.after, scenario.rotate, sinks=scenario.sinks)
    return told


def in_order(
    trees: Iterable[frozenset[tuple[Path, bytes | None]]],
) -> list[frozenset[tuple[Path, bytes | None]]]:
    """The same order in every run, for a draw to be repeatable: names and sizes, for contents are random."""
    return sorted(trees, key=lambda tree: sorted((str(path), len(data or b"")) for path, data in tree))


def torture(seed: int, seconds: float) -> Counts:
    """Every single power loss; then, till time is up, kills before power losses, and chains of crashes."""
    until = time.monotonic() + seconds
    total = Counts()
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root))
        for name in SCENARIOS:
            total += exhaustive(bench, name, seeded(seed), limit=64)
        doubles = chain_of.from_iterable(
            after_kills(bench, name, seeded(seed), limit=8) for name in SCENARIOS
        )
        for number in count(seed * 1_000_000):
            if time.monotonic() >= until:
                break
            if number % 20 == 0:
                total += next(doubles, Counts())
            total += chain(bench, number)
    return total
