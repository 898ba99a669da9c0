"""Points side by side: a bench a process, each with its own sandbox."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import util
from typing import TypeVar

from torture.bench import Bench

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
Work = Callable[[Bench, Job], Outcome]
_BENCH: list[Bench] = []  # one in each worker, none in the process that asks


class Pool:
    """Workers that keep their benches from one question to the next."""

    def __init__(self, workers: multiprocessing.pool.Pool) -> None:
        self._workers = workers

    def each(self, work: Work[Job, Outcome], jobs: Iterable[Job], until: float) -> Iterator[Outcome]:
        """What `work` comes to for each of `jobs`, as they are done; none is begun after `until`."""
        tasks = ((work, job, until) for job in jobs)
        yield from (
            outcome[0] for outcome in self._workers.imap_unordered(_done, tasks) if outcome is not None
        )


@contextmanager
def pool(workers: int) -> Iterator[Pool]:
    """So many benches."""
    made = multiprocessing.get_context("spawn").Pool(workers, _prepare)
    try:
        yield Pool(made)
        made.close()
        made.join()  # they end by themselves, and take their folders away
    finally:
        made.terminate()


def _prepare() -> None:
    bench = Bench()
    _BENCH.append(bench)
    util.Finalize(None, bench.close, exitpriority=10)


def _done(task: tuple[Work[Job, Outcome], Job, float]) -> tuple[Outcome] | None:
    work, job, until = task
    return None if time.time() > until else (work(_BENCH[0], job),)
