"""What nothing can be faster than: Python's own start, the waiting, the list's transfer, the disk's syncs."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from pathlib import Path

from benchmarks.process import Run, measured
from benchmarks.serving import listed

RECORD_BYTES = 1500  # of one record, its sealed secret included


def python(folder: Path, env: dict[str, str]) -> Run:
    """An interpreter that starts and ends."""
    return measured([sys.executable, "-c", "pass"], folder, env)


def waiting(count: int, latency: int, parallelism: int) -> float:
    """The seconds that `count` requests wait, `parallelism` at a time, `latency` milliseconds each."""
    return math.ceil(count / parallelism) * latency / 1000


def transfer(url: str) -> Run:
    """The list alone, over a bare socket."""
    began = time.perf_counter()
    listed(url)
    return Run(time.perf_counter() - began, 0.0, 0.0)


def syncs(folder: Path, count: int) -> Run:
    """`count` small files, each made and synced, one after the other."""
    place = folder / "synced"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    data = b"x" * RECORD_BYTES
    began = time.perf_counter()
    for number in range(count):
        fd = os.open(place / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, data)
        os.fsync(fd)
        os.close(fd)
    took = time.perf_counter() - began
    shutil.rmtree(place)
    return Run(took, 0.0, 0.0)
