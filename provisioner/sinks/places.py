"""A file below a sink's folder: reached without following a symbolic link, whole or not there, ours alone."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import NoReturn, Self

from provisioner.errors import FileError, SinkError
from provisioner.files import FILE_MODE, make_folder_in, read_in, remove_in, write_in
from provisioner.frozen import dataclass
from provisioner.reading import kind, reporting, shown
from provisioner.text import quote

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME_BYTES = 120  # twice that and ten more still is a name (`beside`): most file systems take 255 bytes
_READ_BYTES = 64 * 1024  # an answer of the API with its pair, sealed, has far less
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

Ours = Callable[[bytes], bool]  # whether a file with this content is one of ours


@dataclass(frozen=True, slots=True)
class Place:
    """A file's place: `path` below `folder`. What could be made to lead elsewhere is refused (SinkError)."""

    folder: Path
    path: PurePosixPath

    @classmethod
    def of(cls, folder: PurePath, path: str) -> Self:
        """The place that a sink's `path` names."""
        parts = path.removeprefix("./").split("/")
        rule = ""
        if not path.isprintable():
            rule = "It has a character that cannot be seen."
        elif path.startswith(("/", "~")):
            rule = "It does not stay below the folder that it is relative to."
        elif not {"", ".", ".."}.isdisjoint(parts):
            rule = "Each part of it must be a name: it has an empty one, . or .. in it."
        elif any(len(part.encode()) > _NAME_BYTES for part in parts):
            rule = f"One of its names is longer than {_NAME_BYTES} bytes."
        if rule:
            hint = "Write it relative to the file that states it: secrets/portal.env"
            raise SinkError(f"Not a path for a secret: {quote(path, 200)}", rule, hint)
        return cls(Path(folder), PurePosixPath(*parts))

    def __str__(self) -> str:
        return shown(self.folder / self.path)

    def check(self, ours: Ours, *, private: bool) -> None:
        """Whether `write` would work, as far as a look can tell. `private`: what is there must be 0600."""
        with self._opened() as (fd, whole):
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True):
                raise SinkError(
                    f"Could not write {self}",
                    "This user may not make files in its folder, or the file system is read-only.",
                )
            found = self._found(fd) if whole else None
            if found is None:
                return
            if private and stat.S_IMODE(found.st_mode) & ~FILE_MODE:
                raise SinkError(
                    f"The file {self} is not private",
                    f"{_standing(found)}: others may have read what is in it, or something changed its mode.",
                    f"If nobody else needs it, type: chmod 600 {self}",
                )
            content = self._content(fd)
            if content and not ours(content):
                raise SinkError(
                    f"The file {self} was not written by provisioner",
                    "A delivery takes the place of the whole file, and what is in it now would be lost.",
                    "Name another path, or move the file away.",
                )

    def write(self, content: bytes) -> None:
        """Put `content` there, whole or not at all, for its owner alone; folders are made on the way."""
        with self._opened(make=True) as (fd, _), self._doing("write"):
            self._tidy(fd)
            write_in(fd, self.path.name, beside(self.path.name, secrets.token_hex(4)), content)

    def remove(self, ours: Ours, mark: bytes) -> None:
        """Take our file away. Another's is left alone; where `mark` is in it, that is an error."""
        if not os.path.lexists(self.folder):
            return
        with self._opened() as (fd, whole):
            if not whole:
                return
            with self._doing("remove"):
                self._tidy(fd)
            if self._found(fd) is None:  # whoever took it away may have been killed before that was durable
                with self._doing("remove"):
                    remove_in(fd, self.path.name)
                return
            content = self._content(fd)
            if ours(content):
                with self._doing("remove"):
                    remove_in(fd, self.path.name)
            elif mark in content:
                raise SinkError(
                    f"The file {self} was changed since it was delivered, and is left alone",
                    f"It still says {quote(mark.decode('utf-8', 'replace'), 80)}.",
                    "Take the secret out of it, or remove the file.",
                )

    @contextlib.contextmanager
    def _opened(self, *, make: bool = False) -> Iterator[tuple[int, bool]]:
        """The folder that holds the file, or the last one on the way to it, and whether it is the former."""
        here, whole = self.folder, True
        with contextlib.ExitStack() as held:
            with refused("open the folder", here):
                fd = os.open(here, _FOLDER & ~os.O_NOFOLLOW)
                held.callback(_let_go, fd)
                owner = os.fstat(fd).st_uid
            trusted = {0, os.geteuid(), owner}  # the last could change the manifest, too
            if len(self.path.parts) == 1:
                _check_folder(fd, here, trusted)
            for name in self.path.parts[:-1]:
                inner = _entered(fd, name, here / name, make=make)
                if inner is None:
                    whole = False
                    break
                held.callback(_let_go, inner)
                here, fd = here / name, inner
                _check_folder(fd, here, trusted)
            yield fd, whole

    def _found(self, folder: int) -> os.stat_result | None:
        """What is there, which must be a file of this user's."""
        with self._doing("look at"):
            found = _status(folder, self.path.name)
        if found is None:
            return None
        if not stat.S_ISREG(found.st_mode):
            _refuse_kind(found, self.folder / self.path, "a file")
        if found.st_uid != os.geteuid():
            raise SinkError(
                f"The file {self} belongs to another user",
                f"{_standing(found)}; this is user id {os.geteuid()}.",
                "Run provisioner as its owner, or remove the file.",
            )
        return found

    def _content(self, folder: int) -> bytes:
        with self._doing("read"):
            return read_in(folder, self.path.name, _READ_BYTES)

    def _tidy(self, folder: int) -> None:
        """Take away what a killed run left half-written."""
        pattern = re.escape(beside(self.path.name, "*")).replace(r"\*", "[0-9a-f]{8}", 1)
        for name in filter(re.compile(pattern).fullmatch, os.listdir(folder)):
            found = _status(folder, name)
            if found and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                remove_in(folder, name)

    def _doing(self, what: str) -> contextlib.AbstractContextManager[None]:
        return refused(what, self.folder / self.path)


def _let_go(folder: int) -> None:
    """Close a folder, which holds nothing that could be lost by it."""
    with contextlib.suppress(OSError):
        os.close(folder)


def beside(name: str, unique: str) -> str:
    """What a file is called until it is whole: hidden, and beginning and ending as patterns for it do.

    So `.env.*` in a .gitignore covers those of `.env`, and `*.env` those of `portal.env`.
    """
    return f"{name if name.startswith('.') else ''}.{unique}.{name}"


def _entered(parent: int, name: str, path: Path, *, make: bool) -> int | None:
    """The folder `name`, opened; None where there is none and none is to be made."""
    with refused("open the folder", path):
        found = _status(parent, name)
    if found is None and not make:
        return None
    if found is not None and not stat.S_ISDIR(found.st_mode):
        _refuse_kind(found, path, "a folder")
    if make:  # also one that is there: whoever made it may have been killed before it was durable
        with refused("make the folder", path):
            make_folder_in(parent, name)
    with refused("open the folder", path):
        return os.open(name, _FOLDER, dir_fd=parent)


def _check_folder(fd: int, path: Path, trusted: set[int]) -> None:
    with refused("look at the folder", path):
        found = os.fstat(fd)
    if found.st_uid not in trusted:
        raise SinkError(
            f"The folder {shown(path)} belongs to another user",
            f"{_standing(found)}: that user could put something else in the place of the file.",
            "Choose a folder of your own.",
        )
    if found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
        raise SinkError(
            f"Others may write to the folder {shown(path)}",
            f"{_standing(found)}: they could put something else in the place of the file.",
            f"Type: chmod go-w {shown(path)}",
        )


def _status(folder: int, name: str) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def _standing(found: os.stat_result) -> str:
    return f"It has mode {stat.S_IMODE(found.st_mode):04o} and belongs to user id {found.st_uid}"


def _refuse_kind(found: os.stat_result, path: Path, wanted: str) -> NoReturn:
    raise SinkError(
        f"{shown(path)} is {kind(found.st_mode)}, not {wanted}",
        f"{_standing(found)}. Nothing is followed or replaced on the way to a secret.",
        "Name another path, or move it away.",
    )


@contextlib.contextmanager
def refused(doing: str, path: Path) -> Iterator[None]:
    """The system's refusals as a sink's errors."""
    try:
        with reporting(doing, path):
            yield
    except FileError as error:
        raise SinkError(error.summary, error.detail, error.hint) from None
