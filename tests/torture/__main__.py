"""`make torture`: the whole grid, the planted faults, and the figures. Exit 1 where a promise was broken."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, groupby
from random import SystemRandom
from typing import Any

from torture.grid import pairwise, seeded, some
from torture.hunt import at, caught, delivering, locked_out, sent, single
from torture.planted import PLANTED
from torture.pool import Pool, pool
from torture.report import Counts
from torture.scenario import BY_HAND, DELIVERING, EVERY, LAST

_OTHERS = ("powerloss", "life", "thousand")  # each has `torture(seed, seconds)`
_ROUNDS = 2  # of pairs
_WAYS, _TWICE = (
    14,
    4,
)  # points of each scenario on the way to sinks, of 18,000; two crashes in a row
_SHARE = 0.1  # of the time, for each of the others
_PROMISED = 1_000
_SHOWN = 40  # failures


def main() -> int:
    """Run it."""
    given = _arguments()
    if shutil.which("strace") is None:
        sys.stderr.write("This needs strace (Debian package strace).\n")
        return 1
    began = time.time()
    _tell(f"seed {given.seed}, {given.workers} workers, at most {given.seconds:.0f} s")
    with pool(given.workers) as benches:
        total, survivors = _grid(benches, given, began + given.seconds)
    for name in _OTHERS:
        if importlib.util.find_spec(f"torture.{name}"):
            total += _part(name, partial(_other, name, given.seed, given.seconds * _SHARE))
    _tell(total.line("in all", time.time() - began) + f"  seed {given.seed}")
    _tell(f"crashes in a row: {', '.join(f'{n}: {points:,}' for n, points in enumerate(total.in_a_row))}")
    for plant in survivors:
        _tell(f"NOT FOUND: {plant}")
    enough = total.points >= min(_PROMISED, given.points or _PROMISED)
    return 0 if total.clean and enough and not survivors else 1


def _grid(benches: Pool, given: argparse.Namespace, until: float) -> tuple[Counts, list[str]]:
    """Every part that needs a bench: the figures, and the planted faults that were not found."""
    random = seeded(given.seed)

    def points(work: Callable[..., Any], jobs: Iterable[Any]) -> Callable[[], Iterator[Counts]]:
        chosen = list(jobs)
        random.shuffle(chosen)
        return partial(benches.each, work, chosen[: given.points], until)

    asked = ((single, EVERY), (sent, (*EVERY, LAST)), (delivering, (*DELIVERING, BY_HAND)))
    found = [benches.each(work, [one.name for one in scenarios], until) for work, scenarios in asked]
    ones, sends, ways = (sorted(chain.from_iterable(each), key=str) for each in found)
    by_scenario = [list(each) for _, each in groupby(ways, lambda point: point.scenario)]
    ways = [point for each in by_scenario for point in some(each, random, _WAYS, _TWICE)]
    total = _part("the lock is held", points(locked_out, [one.name for one in (*EVERY, LAST)]))
    total += _part("one crash, ok replies", points(at, ones))
    total += _part("killed while it asks", points(at, sends))
    total += _part("on the way to sinks", points(at, ways))
    total += _part("pairs of everything", points(at, [p for _ in range(_ROUNDS) for p in pairwise(random)]))
    survivors = []
    for plant, counts in benches.each(partial(caught, seed=given.seed), PLANTED, float("inf")):
        survivors += [] if counts.failures else [plant]
        first = counts.failures[0].splitlines()[0][:120] if counts.failures else "NOT FOUND"
        _tell(f"planted: {plant:<34} {counts.points:>4} points  {first}")
    return total, survivors


def _other(name: str, seed: int, seconds: float) -> list[Counts]:
    counts: Counts = importlib.import_module(f"torture.{name}").torture(seed, seconds)
    return [counts]


def _part(name: str, play: Callable[[], Iterable[Counts]]) -> Counts:
    began, total = time.time(), Counts()
    for counts in play():
        total += counts
        for text in counts.failures[: max(0, _SHOWN - len(total.failures) + len(counts.failures))]:
            _tell(f"FAILED {text}")
    _tell(total.line(name, time.time() - began))
    return total


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument("--points", type=int, help="at most so many points of each part")
    parser.add_argument("--seconds", type=float, default=1_500.0, help="no point is begun after that")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
