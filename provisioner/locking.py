"""One lock, by flock: the kernel frees it when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from provisioner.files import FILE_MODE, write_all
from provisioner.reading import reporting


@contextlib.contextmanager
def locked(path: Path, note: bytes) -> Iterator[bytes | None]:
    """Hold an flock on `path` with `note` in it; yields None, or the holder's note where another holds it.

    The file is never renamed or removed, so there is one lock; the kernel frees it when its holder dies.
    """
    with reporting("open the lock", path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        with reporting("lock", path):
            holder = _taken_by_another(fd)
        if holder is None:
            with contextlib.suppress(OSError):  # the lock is held; the note only says by whom
                os.fchmod(fd, FILE_MODE)
                os.ftruncate(fd, 0)
                write_all(fd, note, 0)
        try:
            yield holder
        finally:
            if holder is None:
                with contextlib.suppress(OSError):  # a note without a lock is read by nobody
                    os.ftruncate(fd, 0)
    finally:
        with contextlib.suppress(OSError):  # nothing in it is needed, and what was done is done
            os.close(fd)


def _taken_by_another(fd: int) -> bytes | None:
    """None once the lock is ours, else the holder's note."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, 4096, 0)
    return None
