"""What is measured: each part is a few contenders, taken in turn, and what they are held against."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import floors, places, terraform
from benchmarks.process import environment, measured, provisioner
from benchmarks.renewed import Renewed
from benchmarks.rounds import Contender, Series, interleaved
from benchmarks.serving import sandbox, to_it
from benchmarks.terraform import BLOCKS, FOR_EACH, Terraform

OURS = "provisioner"
FLOOR = "python -c pass"
TRANSFER, SYNCS = "the list's transfer", "a sync of each file"
PARALLELISM = 10
_LEAST, _LARGE = 3, 10_000  # rounds of each part in any case, unless there are more apps than that
_LONGEST = 60.0  # seconds that an apply may wait for its requests
START_UP, VALIDATE, FIRST_PLAN, APPLY = "start-up", "validate", "first plan", "apply"
RECOVERY, OFFLINE_PLAN, EMPTY_PLAN = "recovery", "plan --no-refresh", "empty plan"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured: sizes, latencies in milliseconds, rounds at most, seconds for one part."""

    sizes: Sequence[int]
    latencies: Sequence[int] = (0, 20, 50)
    rounds: int = 9
    budget: float = 20.0
    terraform: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The series of one part. `waiting` is what the network alone takes, in seconds."""

    name: str
    size: int
    latency: int
    series: Mapping[str, Series]
    waiting: float = 0.0


def parts(extent: Extent, folder: Path, example: Path) -> Iterator[Part]:
    """Everything, in folders below `folder`; `example` is the manifest that start-up is measured with."""
    yield _start_up(extent, folder / "start-up", example)
    for size in extent.sizes:
        yield from _Size(extent, folder / str(size), size).parts()


def _start_up(extent: Extent, folder: Path, example: Path) -> Part:
    """The commands that a person waits for, with the example manifest."""
    folder.mkdir(parents=True)
    file = ("-f", str(example))
    lines: list[tuple[str, ...]] = [("--version",), ("--help",), ("completion", "bash")]
    named = {" ".join(words): words for words in lines}
    named |= {VALIDATE: ("validate", *file), OFFLINE_PLAN: ("plan", "--no-refresh", *file)}
    named |= {"plan": ("plan", *file)}
    with sandbox(folder, 0) as url:
        env = environment(folder, {**to_it(url), "PROVISIONER_AGE_RECIPIENTS": places.RECIPIENT})
        contenders = [Contender(FLOOR, partial(floors.python, folder, env))]
        contenders += [_command(name, folder, env, words) for name, words in named.items()]
        if extent.terraform:
            theirs = terraform.initialized(extent.terraform, folder / "terraform", 1, BLOCKS)
            contenders += [
                Contender(f"terraform {name}", partial(theirs.run, name)) for name in _VERSION_AND_PLAN
            ]
        rounds = 2 * extent.rounds + 1
        return Part(START_UP, 0, 0, interleaved(contenders, rounds, 3 * extent.budget))


_VERSION_AND_PLAN = ("version", "plan")


def _command(name: str, folder: Path, env: Mapping[str, str], words: Sequence[str]) -> Contender:
    return Contender(name, partial(measured, provisioner(*words), folder, env))


@dataclass(frozen=True, slots=True)
class _Size:
    """The parts of one size."""

    extent: Extent
    folder: Path
    size: int

    def parts(self) -> Iterator[Part]:
        """All of them, the ones that need no state first."""
        port = _free_port()
        fresh = places.fresh(self.folder / "fresh", self.size)
        theirs = self._terraforms()
        yield self._part(VALIDATE, [_ours(fresh, {}, "validate"), *_theirs(theirs, "validate")])
        with sandbox(fresh, 0) as url:
            yield self._part(FIRST_PLAN, [_ours(fresh, to_it(url), "plan"), *_theirs(theirs, "plan")])
        for latency in self.extent.latencies:
            if floors.waiting(self.size, latency, PARALLELISM) <= _LONGEST:
                yield self._apply(fresh, latency, theirs)
        yield self._recovery(fresh)
        applied = places.applied(self.folder / "applied", self.size, port)
        contenders = [_ours(applied, {}, "plan", "--no-refresh"), *_theirs(theirs, "plan --no-refresh")]
        yield self._part(OFFLINE_PLAN, contenders)
        for latency in self.extent.latencies:
            yield self._empty_plan(applied, latency, port, theirs)

    def _terraforms(self) -> dict[str, Terraform]:
        binary = self.extent.terraform
        if binary is None or self.size > terraform.LARGEST:
            return {}
        kinds = {BLOCKS: "blocks", FOR_EACH: "for_each"}
        return {
            kind: terraform.initialized(binary, self.folder / name, self.size, kind)
            for kind, name in kinds.items()
        }

    def _part(self, name: str, contenders: Sequence[Contender], latency: int = 0, waiting: float = 0) -> Part:
        least = _LEAST if self.size <= _LARGE else 1
        series = interleaved(contenders, self.extent.rounds, self.extent.budget, least)
        return Part(name, self.size, latency, series, waiting)

    def _apply(self, fresh: Path, latency: int, theirs: Mapping[str, Terraform]) -> Part:
        """From nothing to all apps; the sandbox is new each time."""
        with Renewed(fresh, latency) as server:
            contenders = [
                Contender(OURS, server.apply, server.renew),
                Contender(SYNCS, partial(floors.syncs, self.folder, self.size)),
            ]
            if latency == 0:
                contenders += [
                    Contender(name, partial(its.run, "apply"), its.forget) for name, its in theirs.items()
                ]
            waiting = floors.waiting(self.size, latency, PARALLELISM)
            return self._part(APPLY, contenders, latency, waiting)

    def _recovery(self, fresh: Path) -> Part:
        """The apply after one that was killed once half of the apps were recorded."""
        with Renewed(fresh, 0) as server:
            kill = partial(server.kill_once, (self.size + 1) // 2)
            return self._part(RECOVERY, [Contender(OURS, server.apply, kill)])

    def _empty_plan(self, applied: Path, latency: int, port: int, theirs: Mapping[str, Terraform]) -> Part:
        """A plan with one list call that finds nothing to do."""
        with sandbox(applied, latency, port) as url:
            contenders = [
                _ours(applied, to_it(url), "plan"),
                Contender(TRANSFER, partial(floors.transfer, url)),
                *(_theirs(theirs, "plan") if latency == 0 else []),
            ]
            return self._part(EMPTY_PLAN, contenders, latency, latency / 1000)


def _ours(folder: Path, more: Mapping[str, str], *words: str) -> Contender:
    return _command(OURS, folder, environment(folder, more), words)


def _theirs(theirs: Mapping[str, Terraform], name: str) -> list[Contender]:
    return [Contender(kind, partial(its.run, name)) for kind, its in theirs.items()]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
