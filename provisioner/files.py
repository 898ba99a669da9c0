"""Durable files: atomic writes, pre-allocated slots. The only caller of fsync and rename."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path

from provisioner.errors import FileError
from provisioner.owners import keep_to_owner
from provisioner.reading import READ, closing, kind, read_regular, reporting, shown, up_to
from provisioner.syncs import Turns

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC


class Slot:
    """A file whose space is already taken: what is written later fits even on a full disk."""

    def __init__(self, path: Path, fd: int, size: int) -> None:
        self.path = path
        self.size = size
        self._fd = fd
        self._used = 0

    def write(self, data: bytes, offset: int) -> None:
        """Write `data` at `offset` and wait until it is on the disk."""
        if offset + len(data) > self.size:
            raise FileError(f"{shown(self.path)} has no room for {len(data)} bytes more")
        self._used = max(self._used, offset + len(data))
        with reporting("write", self.path):
            write_all(self._fd, data, offset)
            os.fdatasync(self._fd)

    def become(self, path: Path, first: bytes) -> None:
        """Begin with `first`, durably, and only then be called `path`. Raises OSError."""
        self._used = len(first)
        write_all(self._fd, first, 0)
        os.fsync(self._fd)
        self.path.rename(path)
        self.path = path

    def empty(self) -> None:
        """Make it zeros again, without waiting for the disk: who writes to it next does that."""
        with reporting("write", self.path):
            write_all(self._fd, bytes(self._used), 0)

    def handed_on(self, path: Path) -> Slot:
        """Another slot, which has the file from now on, as `path`; this one takes nothing any more."""
        other = Slot(path, self._fd, self.size)
        other._used, self._fd = self._used, -1
        return other

    def close(self) -> None:
        """Give the file back; it stays where it is. A second time does nothing: the number may be reused."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with reporting("close", self.path):
                os.close(fd)


class Files:
    """The durable operations. Tests replace it by one that drops or reorders what was not synced."""

    def __init__(self) -> None:
        self._turns: defaultdict[Path, Turns] = defaultdict(Turns)
        self._spares: list[Slot] = []

    def folder(self, path: Path) -> None:
        """Make `path` and its parents, durably, and keep it to its owner (0700)."""
        with reporting("make the folder", path):
            missing = list(takewhile(lambda folder: not folder.is_dir(), [path, *path.parents]))
            for folder in reversed(missing):
                folder.mkdir(FOLDER_MODE, exist_ok=True)
                folder.chmod(FOLDER_MODE)  # the umask may have left less, and then nothing could be put in it
                self.sync_folder(folder.parent)
            if stat.S_IMODE(path.stat().st_mode) != FOLDER_MODE:
                keep_to_owner(path, FOLDER_MODE)

    def read(self, path: Path, limit: int) -> bytes:
        """A file of ours: regular, no symbolic link, at most `limit` bytes."""
        return read_regular(path, limit, READ | os.O_NOFOLLOW)

    def write(self, path: Path, data: bytes) -> None:
        """Put `data` at `path`, whole or not at all: temporary, fsync, rename, fsync of the folder."""
        # Not `with_name`, which `/` does not take.
        temporary = path.parent / f".{path.name}.{os.urandom(4).hex()}.tmp"
        with reporting("write", path):
            fd = os.open(temporary, _CREATE, FILE_MODE)
            with _taken_back(temporary):
                with closing(fd):
                    os.fchmod(fd, FILE_MODE)  # whatever the umask
                    write_all(fd, data, 0)
                    os.fsync(fd)
                temporary.rename(path)
            self.sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Take `path` away, durably; that it is gone already is no error, nor that its folder is."""
        with reporting("remove", path):
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self.sync_folder(path.parent)

    def slot(self, path: Path, first: bytes, size: int) -> Slot:
        """Put `first` at `path`, with room for `size` bytes in all: whole and durably, or not at all."""
        with reporting("write", path), contextlib.ExitStack() as failing:
            slot = self._spare(path.parent, size) or _allocated(path.with_name(f".{path.name}.tmp"), size)
            failing.callback(slot.close)
            with _taken_back(slot.path):
                slot.become(path, first)
            self.sync_folder(path.parent)
            failing.pop_all()
        return slot

    def take_away(self, slot: Slot) -> None:
        """As `remove`, of a slot's file, and the end of `slot`; emptied, the file is kept for the next one.

        ext4 looks through all files that were unlinked in the last minutes before it makes a new one: to make
        and unlink one for each app took a third of an apply of a thousand.
        """
        hidden = slot.path.with_name(f".{slot.path.name}.tmp")
        with reporting("remove", slot.path):
            try:
                slot.path.rename(hidden)
            except FileNotFoundError:  # somebody has removed it
                slot.close()
                return self.remove(slot.path)
            # Before its bytes change: until now, a power loss may bring the old name back.
            self.sync_folder(hidden.parent)
        spare = slot.handed_on(hidden)
        try:
            spare.empty()
        except FileError:  # it is gone from where it was, which is what was asked for
            _discard(spare)
        else:
            self._spares.append(spare)

    def let_go(self) -> None:
        """Unlink what `take_away` has kept. What cannot be, the next run unlinks, as a killed one's."""
        while self._spares:
            _discard(self._spares.pop())

    def _spare(self, folder: Path, size: int) -> Slot | None:
        """The last one that was kept. One that does not fit goes: no more are kept than were used at once."""
        try:
            slot = self._spares.pop()
        except IndexError:
            return None
        if slot.size >= size and slot.path.parent == folder:
            return slot
        _discard(slot)
        return None

    def sync_folder(self, path: Path) -> None:
        """Make the names in `path` durable; without it a rename may be undone by a power loss."""
        self._turns[path].take(lambda: _sync_folder(path))


def _allocated(path: Path, size: int) -> Slot:
    """A new file with room for `size` bytes."""
    fd = os.open(path, _CREATE, FILE_MODE)
    try:
        with _taken_back(path):
            os.fchmod(fd, FILE_MODE)
            os.posix_fallocate(fd, 0, size)
    except BaseException:
        os.close(fd)
        raise
    return Slot(path, fd, size)


def _discard(slot: Slot) -> None:
    with contextlib.suppress(FileError):
        slot.close()
    with contextlib.suppress(OSError):
        slot.path.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with closing(fd):
        os.fsync(fd)


def write_new(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Make a file that must not exist yet, durably. The umask counts for everybody but its owner."""
    with reporting("make", path):
        fd = os.open(path, _CREATE, mode)
        with _taken_back(path):
            with closing(fd):
                os.fchmod(fd, (stat.S_IMODE(os.fstat(fd).st_mode) & mode) | (mode & FILE_MODE))
                write_all(fd, data, 0)
                os.fsync(fd)
            Files().sync_folder(path.parent)


def fill(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write many files below `folder`, by their paths in it: on the disk when this returns, but not whole
    or not at all. For what can be had again."""
    for name, data in contents.items():
        path = folder / name
        with reporting("write", path):
            path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            fd = os.open(path, _CREATE, FILE_MODE)
            with closing(fd):
                write_all(fd, data, 0)
    os.sync()


def work_in(folder: str) -> None:
    """Let relative paths be relative to another folder from now on."""
    with reporting("work in", Path(folder)):
        os.chdir(folder)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file that somebody else keeps."""
    with reporting("write", path), path.open("ab") as stream:
        stream.write(data)


def rewrite(path: Path, data: bytes) -> None:
    """Put `data` in place of a file of the user's, whole or not at all; its mode and links to it stay."""
    with reporting("write", path):
        real = path.resolve(strict=True)
        mode = stat.S_IMODE(real.stat().st_mode)
        Files().write(real, data)
        real.chmod(mode)


def make_private(path: Path) -> None:
    """Make an empty file for its owner alone, where there is none yet. What is no file is refused."""
    with reporting("write", path):
        fd = os.open(path, _APPEND, FILE_MODE)
        with closing(fd):
            mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        raise FileError(f"Could not write {shown(path)}", f"It is {kind(mode)}, not a file on a disk.")


def tighten(path: Path) -> None:
    """Take off a file what is looser than 0600, as git may have checked it out."""
    with reporting("change the mode of", path):
        mode = stat.S_IMODE(path.stat(follow_symlinks=False).st_mode)
        if mode & ~FILE_MODE:
            path.chmod(mode & FILE_MODE)


def make_folder_in(parent: int, name: str) -> None:
    """Make a folder in an open one, durably and for its owner alone; that it is there already is no error.

    This and the next three take open folders, so that none can be swapped for another; they raise OSError.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
        os.chmod(name, FOLDER_MODE, dir_fd=parent)  # whatever the umask
    os.fsync(parent)


def read_in(folder: int, name: str, limit: int) -> bytes:
    """The first `limit` bytes of a file in an open folder."""
    fd = os.open(name, READ | os.O_NOFOLLOW, dir_fd=folder)
    with closing(fd):
        return up_to(fd, limit)


def write_in(folder: int, name: str, temporary: str, data: bytes) -> None:
    """As `Files.write`, in an open folder; the caller says what it is called until it is whole."""
    fd = os.open(temporary, _CREATE, FILE_MODE, dir_fd=folder)
    try:
        with closing(fd):
            os.fchmod(fd, FILE_MODE)
            write_all(fd, data, 0)
            os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def remove_in(folder: int, name: str) -> None:
    """Take a file in an open folder away, durably; that it is gone already is no error."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    os.fsync(folder)


def write_all(fd: int, data: bytes, offset: int) -> None:
    """`pwrite` until everything is written."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


@contextlib.contextmanager
def _taken_back(path: Path) -> Iterator[None]:
    """Take a file away again where what follows fails."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
