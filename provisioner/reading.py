"""Files that are read, and what the system refuses, told with the file's name."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from provisioner.errors import FileError
from provisioner.text import quote

READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a FIFO without a writer must not hang us
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFREG: "made up by the kernel (/proc)",
    stat.S_IFSOCK: "a socket",
}


def read_input(path: Path, limit: int, instead: str = "") -> bytes:
    """A file that a user named: regular (a link to one will do), at most `limit` bytes.

    `instead` is the way out where it is something else, as a FIFO.
    """
    return read_regular(path, limit, READ, instead)


def what_is_in_the_way(path: Path) -> str | None:
    """What a file must not take the place of: `a symbolic link`, as /dev/stdout, `a folder`, `a device`."""
    with contextlib.suppress(OSError, ValueError):  # writing will say what is wrong with such a path
        mode = path.lstat().st_mode
        return None if stat.S_ISREG(mode) else kind(mode)
    return None


def shown(path: Path) -> str:
    """A path for a message."""
    return quote(str(path), 200)


class _Reporting:
    """A class, not a generator: it is entered two dozen times for each app."""

    __slots__ = ("_doing", "_path")

    def __init__(self, doing: str, path: Path) -> None:
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise FileError(f"Could not {self._doing} {shown(self._path)}", _explained(error)) from None
        if isinstance(error, ValueError):  # a NUL, or a surrogate that stands for no byte
            raise FileError(
                f"Could not {self._doing} {shown(self._path)}", "No file can have this name."
            ) from None


def reporting(doing: str, path: Path) -> _Reporting:
    """Turn the system's refusals into errors that name the file."""
    return _Reporting(doing, path)


def _explained(error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno == errno.ELOOP:
        return f"{reason}: a symbolic link is not followed here, or the links form a loop."
    return f"{reason}."


def read_regular(path: Path, limit: int, flags: int, instead: str = "") -> bytes:
    """A regular file of at most `limit` bytes, opened with `flags`; anything else is a FileError."""
    with reporting("read", path):
        fd = os.open(path, flags)
        with closing(fd):
            found = os.fstat(fd)
            data = up_to(fd, limit + 1) if stat.S_ISREG(found.st_mode) else b""
    if not stat.S_ISREG(found.st_mode) or (data and not found.st_size):
        raise FileError(
            f"Could not read {shown(path)}", f"It is {kind(found.st_mode)}, not a file on a disk.", instead
        )
    if len(data) > limit:
        raise FileError(f"Could not read {shown(path)}", f"It is larger than {limit:,} bytes.")
    return data


def up_to(fd: int, size: int) -> bytes:
    """What is there, at most `size` bytes; nothing where the kernel would make us wait for it."""
    data = b""
    wanted = min(size, os.fstat(fd).st_size + 1)  # in one go, and what it has grown by meanwhile
    with contextlib.suppress(BlockingIOError):
        while wanted and (more := os.read(fd, wanted)):
            data += more
            wanted = min(size - len(data), max(len(data), 65536))
    return data


def kind(mode: int) -> str:
    """What is there in place of a file on a disk, by its `st_mode`."""
    return _KINDS.get(stat.S_IFMT(mode), "a device")


@contextlib.contextmanager
def closing(fd: int) -> Iterator[None]:
    """Close a descriptor in the end."""
    try:
        yield
    finally:
        os.close(fd)
