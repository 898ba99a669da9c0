"""One point of the grid: a scenario, what goes wrong, the runs that follow, and what must be true then."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from torture.bench import INLINE, Bench, Case, Plant, Ran
from torture.oracle import (
    WRITES,
    Flaw,
    confirmed_foreign,
    counted,
    finished,
    leaks,
    modes,
    settled,
    status,
    unasked,
)
from torture.order import broken
from torture.report import Counts
from torture.scenario import BY_NAME
from torture.strace import Strike

TRIES = 4  # at a point whose crashes do not all strike
CALM_RUNS = 4  # fault-free commands within which everything must be as wanted
FOREIGN = "foreign"  # as a reply: somebody else takes the name just before our create
SETTLED = timedelta(minutes=9)  # after which nothing of a killed run is late any more
_LATE = ":late"
PLACES = "places:"  # as a reply: what befalls the how-manieth write request to a sink's server, `500-after@2`


@dataclass(frozen=True, slots=True)
class Short:
    """The Nth pwrite of the run writes half, and then: goes on, finds the disk full, or is killed."""

    ordinal: int
    then: str  # on, full, kill

    def __str__(self) -> str:
        return f"pwrite64#{self.ordinal}:short-{self.then}"


Crash = Strike | Short


@dataclass(frozen=True, slots=True)
class Point:
    """`replies` are the sandbox's faults, `crashes` strike one run each, in a row; then come fault-free runs.

    `late_after` lets a late request through after everything seemed done, not before the fault-free runs.
    `exact` says that the crashes are to strike just there, or else count as missed.
    `withdrawn` edits the manifest after the crashes: nothing is wanted any more.
    """

    scenario: str
    replies: tuple[str, ...] = ()
    crashes: tuple[Crash, ...] = ()
    late_after: bool = False
    withdrawn: bool = False
    exact: bool = False
    inline: bool = True

    def __str__(self) -> str:
        marks = (
            ["withdrawn"] * self.withdrawn
            + ["late-after"] * self.late_after
            + ["threads"] * (not self.inline)
        )
        return " ".join([self.scenario, *self.replies, *map(str, self.crashes), *marks])


def visit(bench: Bench, point: Point, plants: tuple[Plant, ...] = ()) -> Counts:
    """Play it, and hold what is left against the promise. A crash that does not strike is tried again."""
    counts, struck = _visited(bench, point, plants)
    for _ in range(TRIES - 1):
        if counts.failures or all(struck):
            break
        point = _nearer(point, struck)
        counts, struck = _visited(bench, point, plants)
    return counts


def _visited(bench: Bench, point: Point, plants: tuple[Plant, ...]) -> tuple[Counts, list[bool | None]]:
    struck: list[bool | None] = []
    with bench.case(BY_NAME[point.scenario], (*plants, INLINE) if point.inline else plants) as case:
        flaws = list(_played(bench, case, point, struck))
        flaws += [*modes(case), *leaks(bench, case), *unasked(bench, case)]
    if None in struck:  # an error of something else than the state: nothing is lost, but no more is promised
        flaws = [flaw for flaw in flaws if flaw.kind != "wrong"]
    return counted(flaws, str(point), len(point.crashes), struck.count(True)), struck


def _nearer(point: Point, struck: list[bool | None]) -> Point:
    """The point with each crash that did not strike at half the way to it, unless it must be just there."""
    crashes = (
        crash if hit else replace(crash, ordinal=(crash.ordinal + 1) // 2)
        for crash, hit in zip(point.crashes, struck, strict=False)
    )
    return point if point.exact else replace(point, crashes=tuple(crashes))


def _played(bench: Bench, case: Case, point: Point, struck: list[bool | None]) -> Iterator[Flaw]:
    for reply in point.replies:
        if reply == FOREIGN:
            case.judge.usurp = True
        elif reply.startswith(PLACES):
            how, _, number = reply.removeprefix(PLACES).partition("@")
            bench.places.faults[int(number)] = how
        else:
            bench.sandbox.add_fault(reply)
    quiet = False
    for crash in point.crashes or (None,):
        before = case.journal
        ran, hit = _crashed(bench, case, crash)
        struck += [hit] if crash else []
        quiet = quiet or (case.scenario.single and _answered(ran))
        yield from status(bench, case, ran)
        yield from modes(case)
        if point.inline:
            done = broken(ran.calls, str(case.folder), before, finished=ran.status == 0)
            yield from (Flaw("wrong", text) for text in done)
    late = any(_LATE in reply for reply in point.replies)
    if point.withdrawn:
        yield from _withdrawn(bench, case)
    elif late and (case.contradicted or not point.late_after):
        bench.sandbox.settle()
    yield from _calm(bench, case, quiet=quiet and not point.replies and not case.contradicted)
    if late and point.late_after and not case.contradicted:
        bench.sandbox.settle()
        yield from _calm(bench, case)


def _answered(ran: Ran) -> bool:
    """Whether the journal durably held the answer to all that was asked for: no more requests are needed."""
    last = [call for call in ran.calls if call.keeps_an_answer or call.asks]
    return bool(last) and last[-1].keeps_an_answer


def _withdrawn(bench: Bench, case: Case) -> Iterator[Flaw]:
    """What is under way is not wanted any more; what is late comes, and then nothing can be late."""
    bench.withdraw(case)
    bench.calm()
    case.judge.usurp = False
    yield from status(bench, case, bench.follow(case))
    bench.sandbox.settle()


def _crashed(bench: Bench, case: Case, crash: Crash | None) -> tuple[Ran, bool | None]:
    """One run that something befalls, and whether it did."""
    if isinstance(crash, Short):
        mark = case.folder / "short.mark"
        ran = bench.struck(case, plants=[("short", crash.ordinal, crash.then, str(mark))])
        hit = mark.exists()
        mark.unlink(missing_ok=True)
        return ran, hit
    if crash is None:
        return bench.struck(case), True
    ran = bench.struck(case, crash)
    return ran, crash.struck(ran.calls, str(case.folder))


def _calm(bench: Bench, case: Case, *, quiet: bool = False) -> Iterator[Flaw]:
    """Fault-free runs until nothing is to be done any more."""
    bench.calm()
    case.judge.usurp = False
    sent = _writes(bench)
    yield from _stopped(bench, case)
    planned = bench.plan(case)
    for turn in range(CALM_RUNS):
        if case.contradicted:
            case.judge.ahead += SETTLED  # a name is not given up while a request for it may be late
        yield from status(bench, case, bench.follow(case, turn))
        planned = bench.plan(case)
        if planned.status == 0:
            break
    if planned.status or "\nNo changes." not in f"\n{planned.out}":
        yield Flaw("wrong", f"it did not converge: {(planned.err or planned.out)[:400]}")
    if quiet and _writes(bench) != sent:
        yield Flaw("wrong", "the answer was on the disk, and yet a write request was sent")
    yield from finished(bench, case, case.end(case.then(CALM_RUNS)))
    yield from settled(case)
    yield from once_only(bench, case)


def once_only(bench: Bench, case: Case) -> Iterator[Flaw]:
    """What every sink has is not delivered again."""
    sinks, folder = case.scenario.sinks, case.folder
    if sinks:
        before = bench.places.mark(sinks, folder)
        yield from status(bench, case, bench.follow(case, CALM_RUNS))
        if bench.places.mark(sinks, folder) != before:
            yield Flaw("wrong", "a sink was written to though it had what it should")


def _stopped(bench: Bench, case: Case) -> Iterator[Flaw]:
    """Somebody else's app must stop the run, and be as it was afterwards."""
    foreign = case.judge.foreign
    if foreign is None:
        return
    ran = bench.follow(case)
    if ran.status == 0 and foreign.name in case.wanted:
        yield Flaw("wrong", "somebody else's app has the name, and the run ended with 0")
    if not confirmed_foreign(case):
        yield Flaw("wrong", "somebody else's app was rotated or deleted")
        return
    case.judge.delete(foreign.id)
    case.judge.foreign = None


def _writes(bench: Bench) -> int:
    return sum(bench.sandbox.calls[name] for name in WRITES)


def held(bench: Bench, scenario: str, plants: tuple[Plant, ...] = ()) -> Counts:
    """Somebody holds the lock: the run must end with 4 and have asked for nothing."""
    with bench.case(BY_NAME[scenario], plants) as case:
        folder = case.folder / "state"
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = bench.run(case, case.first, None, case.plants)
        os.close(lock)
        flaws = []
        if ran.status != 4 or _writes(bench):
            flaws.append(Flaw("wrong", f"the lock was held, and the run ended with {ran.status}"))
        flaws += [*_calm(bench, case), *leaks(bench, case)]
    return counted(flaws, f"{scenario} with the lock held")
