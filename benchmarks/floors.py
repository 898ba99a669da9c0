"""What nothing can be faster than: Python's own start, the waiting, the list's transfer, the disk's syncs."""

from __future__ import annotations

import math
import os
import sys
import tempfile
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
    """`count` small files, each made and synced, one after the other. They stay: see `places.renewed`."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="synced-", dir=folder))
    data = b"x" * RECORD_BYTES
    began = time.perf_counter()
    for number in range(count):
        fd = os.open(place / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, data)
        os.fsync(fd)
        os.close(fd)
    return Run(time.perf_counter() - began, 0.0, 0.0)
