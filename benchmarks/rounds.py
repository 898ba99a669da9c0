"""Contenders measured in turn, round after round, so that what disturbs one disturbs all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Figure, figure, ratio
from benchmarks.process import Run


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that can be measured again and again; `prepare` is done before each time, unmeasured."""

    name: str
    run: Callable[[], Run]
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Series:
    """All runs of one contender, in the order of the rounds."""

    name: str
    runs: Sequence[Run] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        """The seconds of each run."""
        return [run.seconds for run in self.runs]

    @property
    def time(self) -> Figure:
        """The seconds of one run."""
        return figure(self.times)

    @property
    def peak(self) -> float:
        """The most MiB that any run took."""
        return max(run.peak for run in self.runs)

    def over(self, base: Series) -> Figure:
        """How many times the other's time this one takes, in the same round."""
        return ratio(self.times, base.times)


def interleaved(
    contenders: Sequence[Contender],
    most: int,
    budget: float,
    least: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Mapping[str, Series]:
    """At most `most` rounds, every other one backwards.

    After `least`, none is begun that would end later than `budget` seconds from now if it took as long as the
    last one.
    """
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    until, last = clock() + budget, 0.0
    for number in range(most):
        began = clock()
        if number >= least and began + last > until:
            break
        for contender in _turn(contenders, number):
            contender.prepare()
            runs[contender.name].append(contender.run())
        last = clock() - began
    return {name: Series(name, of) for name, of in runs.items()}


def _turn(contenders: Sequence[Contender], number: int) -> Iterator[Contender]:
    return reversed(contenders) if number % 2 else iter(contenders)
