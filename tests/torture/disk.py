"""A disk that forgets: what a power loss may leave of a folder, by what was synced and what was not.

It sits under `provisioner.files`, between Python and the kernel: the code under test is the real one. Assumed
is what POSIX promises, and no more: a file's bytes last once it was synced, its name once its folder was.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Self
from unittest import mock

Tree = Mapping[Path, bytes | None]
"""A folder's files by their relative path; None is a folder in it."""

_INDIFFERENT = {".lock"}  # what is in it is read only while it is held, and a dead machine holds nothing


class Stopped(BaseException):
    """The process is dead: from here on nothing that it does has an effect."""


@dataclass(eq=False, slots=True)
class Node:
    """A file, whatever its name: its bytes as the process sees them, and as they were when last synced."""

    now: bytes = b""
    synced: bytes = b""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the names in a folder: a rename is both, and never half done."""

    folder: Path
    gone: Path | None = None
    come: tuple[Path, Node | None] | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """The disk at one moment: what is certain, and what is still on its way."""

    certain: Mapping[Path, Node | None]
    pending: tuple[Change, ...]
    contents: Mapping[Node, tuple[bytes, bytes]]
    frames: int  # how often a journal entry was added to and synced, or so the code believes

    def survivors(self, rng: Random, limit: int) -> set[frozenset[tuple[Path, bytes | None]]]:
        """The trees that may be found again: all of them, or `limit` where there are more."""
        unsynced = {node: torn(old, new) for node, (old, new) in self.contents.items() if old != new}
        choices: list[Sequence[Any]] = [(False, True)] * len(self.pending) + list(unsynced.values())
        every: Iterator[Sequence[Any]] = product(*choices)
        if math.prod(map(len, choices)) > limit:
            drawn = [[rng.choice(choice) for choice in choices] for _ in range(limit - 2)]
            every = iter([[choice[0] for choice in choices], [choice[-1] for choice in choices], *drawn])
        return {frozenset(self._left(chosen, list(unsynced)).items()) for chosen in every}

    def _left(self, chosen: Sequence[Any], unsynced: Sequence[Node]) -> Tree:
        names = dict(self.certain)
        for change, kept in zip(self.pending, chosen, strict=False):
            if kept:
                _apply(names, change)
        contents = {node: new for node, (_, new) in self.contents.items()}
        contents |= dict(zip(unsynced, chosen[len(self.pending) :], strict=True))
        return {
            path: contents[node] if node else None
            for path, node in names.items()
            if all(parent in names for parent in list(path.parents)[:-1])
        }


def torn(old: bytes, new: bytes) -> tuple[bytes, ...]:
    """What unsynced bytes may come back as: not at all, as zeros, in part, whole. Those before them stay."""
    kept = next((at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), len(old))
    half = kept + max(len(old.rstrip(b"\0")), len(new.rstrip(b"\0"))) >> 1
    return tuple(dict.fromkeys([old, new[:kept].ljust(len(new), b"\0"), new[:half] + old[half:], new]))


def _apply(names: dict[Path, Node | None], change: Change) -> None:
    if change.gone:
        names.pop(change.gone, None)
    if change.come:
        names[change.come[0]] = change.come[1]


class Disk:
    """A folder whose every change is seen. Inside `with`, nothing waits for the real disk.

    `at` is called before each change. `lies` says which syncs do nothing: a planted fault.
    """

    def __init__(
        self,
        root: Path,
        at: Callable[[], None] = lambda: None,
        lies: Callable[[str, Path], bool] = lambda _kind, _path: False,
    ) -> None:
        self.root = root
        self.frames = 0
        self.dies_in: int | None = None  # so many changes from now, the process is dead
        self._at = at
        self._lies = lies
        self._real = {name: getattr(os, name) for name in _CALLS}
        self._names: dict[Path, Node | None] = {
            path.relative_to(root): Node(data, data) if (data := _content(path)) is not None else None
            for path in sorted(root.rglob("*"))
        }
        self._certain = dict(self._names)
        self._pending: list[Change] = []
        self._paths: dict[int, Path] = {}
        self._nodes: dict[int, Node] = {}
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        for name in _CALLS:
            self._patches.enter_context(mock.patch.object(os, name, getattr(self, f"_{name}")))
        return self

    def __exit__(self, *_: object) -> None:
        """A dead process has nothing open; what it changed without a sync is still on its way."""
        self._patches.close()
        for fd in self._paths:
            with suppress(OSError):
                os.close(fd)
        self._paths.clear()
        self._nodes.clear()
        self.dies_in = None

    def photo(self) -> Photo:
        """The disk as it is now."""
        named = [*self._certain.items(), *(change.come for change in self._pending if change.come)]
        contents = {node: (node.synced, node.now) for _, node in named if node}
        contents |= {node: (node.now, node.now) for path, node in named if node and path.name in _INDIFFERENT}
        return Photo(dict(self._certain), tuple(self._pending), contents, self.frames)

    def point(self) -> None:
        """A moment at which the power may go, or the process be killed."""
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in <= 0:
                raise Stopped
        self._at()

    # What stands in for the functions of `os`. Each does the real thing, but for the syncs.

    def _open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        where = self._where(path, **more)
        makes = where is not None and bool(flags & os.O_CREAT) and where not in self._names
        if makes:
            self.point()
        fd: int = self._real["open"](path, flags, mode, **more)
        if where is not None:
            if makes:
                self._change(Change(where.parent, come=(where, Node())))
            self._paths[fd] = where
            node = self._names.get(where)
            if node is not None:
                self._nodes[fd] = node
        return fd

    def _close(self, fd: int) -> None:
        self._paths.pop(fd, None)
        self._nodes.pop(fd, None)
        self._real["close"](fd)

    def _pwrite(self, fd: int, data: Any, offset: int) -> int:
        node = self._nodes.get(fd)
        if node is None:
            return int(self._real["pwrite"](fd, data, offset))
        self.point()
        done: int = self._real["pwrite"](fd, data, offset)
        node.now = node.now[:offset].ljust(offset, b"\0") + bytes(data[:done]) + node.now[offset + done :]
        return done

    def _posix_fallocate(self, fd: int, offset: int, size: int) -> None:
        node = self._nodes.get(fd)
        if node is not None:
            self.point()
            node.now = node.now.ljust(offset + size, b"\0")
        self._real["posix_fallocate"](fd, offset, size)

    def _ftruncate(self, fd: int, size: int) -> None:
        node = self._nodes.get(fd)
        if node is not None:
            self.point()
            node.now = node.now[:size].ljust(size, b"\0")
        self._real["ftruncate"](fd, size)

    def _fsync(self, fd: int) -> None:
        self._sync("fsync", fd)

    def _fdatasync(self, fd: int) -> None:
        self._sync("fdatasync", fd)
        self.frames += fd in self._nodes

    def _sync(self, kind: str, fd: int) -> None:
        where, node = self._paths.get(fd), self._nodes.get(fd)
        if where is None:
            self._real[kind](fd)
            return
        self.point()
        if self._lies(kind if node else "folder", where):
            return
        if node is not None:
            node.synced = node.now
            return
        for change in self._pending:
            if change.folder == where:
                _apply(self._certain, change)
        self._pending = [change for change in self._pending if change.folder != where]

    def _rename(self, old: Any, new: Any, **more: Any) -> None:
        source = self._where(old, more.get("src_dir_fd"))
        target = self._where(new, more.get("dst_dir_fd"))
        if source is None or target is None:
            self._real["rename"](old, new, **more)
            return
        self.point()
        self._real["rename"](old, new, **more)
        self._change(Change(target.parent, source, (target, self._names[source])))

    def _unlink(self, path: Any, **more: Any) -> None:
        where = self._where(path, **more)
        if where is not None and where in self._names:
            self.point()
        self._real["unlink"](path, **more)
        if where is not None:
            self._change(Change(where.parent, where))

    def _mkdir(self, path: Any, mode: int = 0o777, **more: Any) -> None:
        where = self._where(path, **more)
        if where is not None and where not in self._names:
            self.point()
        self._real["mkdir"](path, mode, **more)
        if where is not None:
            self._change(Change(where.parent, come=(where, None)))

    def _change(self, change: Change) -> None:
        self._pending.append(change)
        _apply(self._names, change)

    def _where(self, path: Any, dir_fd: int | None = None) -> Path | None:
        """The path inside the folder; None for what is elsewhere."""
        text = os.fspath(path)
        if dir_fd is not None:
            parent = self._paths.get(dir_fd)
            return None if parent is None else parent / text
        if not isinstance(text, str) or not text.startswith(str(self.root)):
            return None
        return Path(text).relative_to(self.root)


_CALLS = (
    "open",
    "close",
    "pwrite",
    "posix_fallocate",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "mkdir",
)


def _content(path: Path) -> bytes | None:
    return None if path.is_dir() else path.read_bytes()


def materialise(tree: Tree, folder: Path) -> None:
    """Put a tree into a new folder."""
    folder.mkdir(parents=True)
    for path in sorted(tree):
        content = tree[path]
        if content is None:
            (folder / path).mkdir(0o700)
        else:
            (folder / path).write_bytes(content)
            (folder / path).chmod(0o600)
