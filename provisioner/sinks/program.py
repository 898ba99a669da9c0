"""One run of a program: bounded in time, in a session of its own, and what it prints goes nowhere."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from io import FileIO
from pathlib import Path
from typing import Final

from provisioner.frozen import dataclass
from provisioner.model import Secret

_PRIVATE: Final = 0o077
_STEP: Final = 0.02  # seconds between two looks at a pipe that is full


@dataclass(frozen=True, slots=True)
class End:
    """How it ended. `status` is negative for a signal, and None where its time was up.

    `unread`: of what it was given on its standard input, it read not a byte.
    """

    status: int | None
    unread: bool


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: `path` under the arguments `argv`, in `folder`, with `environment` and nothing else."""

    path: Path
    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(repr=False)

    def run(self, content: Secret, seconds: float, grace: float) -> End:
        """Run it with `content` on its standard input; files that it makes are for their owner alone.

        Unless it ends with status 0, what is left of its process group is ended with it: SIGTERM, and SIGKILL
        `grace` seconds later. Raises OSError or ValueError where it cannot be started.
        """
        deadline = time.monotonic() + seconds
        # A pipe, because programs open /dev/stdin. Its reading end stays open here, too: what is left in it
        # tells whether anything was read, and no write fails because the program is gone.
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", 0) as rest, os.fdopen(writing, "wb", 0) as feed:
            process = subprocess.Popen(
                self.argv,
                executable=self.path,
                cwd=self.folder,
                env=self.environment,
                stdin=rest,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                umask=_PRIVATE,
            )
            status: int | None = None
            try:
                written = _feed(process.pid, feed, content.reveal(), deadline)
                status = _status(process.pid, deadline)
                return End(status, unread=0 < written == _left_in(rest))
            finally:
                if status != 0:
                    _stop(process.pid, grace)
                with suppress(subprocess.TimeoutExpired):  # not even SIGKILL ends what hangs in the kernel
                    process.wait(0)


def look_up(name: str, folder: Path, search: str) -> Path | None:
    """The executable file that a program started in `folder` finds under `name`; `search` is its PATH."""
    if "/" in name:
        found = shutil.which(folder / name)
    else:
        entries = (str(folder / entry) for entry in search.split(os.pathsep))
        found = shutil.which(name, path=os.pathsep.join(entries))
    return Path(found) if found else None


def _feed(pid: int, feed: FileIO, content: bytes, deadline: float) -> int:
    """Write until all is written, it has ended, or time is up; then close. How much was written."""
    os.set_blocking(feed.fileno(), False)
    view = memoryview(content)
    with feed:
        while view:
            view = view[feed.write(view) or 0 :]
            now = time.monotonic()
            if view and (now > deadline or _status(pid, now + _STEP) is not None):
                break
    return len(content) - len(view)


def _status(pid: int, deadline: float) -> int | None:
    """How our child `pid` ended; None if it has not by then. It stays a zombie: its number stays ours."""
    pause = 0.001
    while True:
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end is not None:
            return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(2 * pause, 0.05)


def _stop(pid: int, grace: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):  # gone, or somebody else's by setuid
            os.killpg(pid, number)
        with suppress(ChildProcessError):
            _status(pid, time.monotonic() + grace)


def _left_in(pipe: FileIO) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
