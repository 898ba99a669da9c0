"""The order of writes, read off a trace: what is promised to be durable before something else happens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from counterparts.places import FOLDERS

from torture.strace import Call

_OURS = ("state", *(folder for sink, folder in FOLDERS.items() if sink != "command"))
_FD = re.compile(r"\d+<(?P<path>[^>]*)>")
_HARMLESS = re.compile(r"\.(?:sight|tmp)$|/\.[0-9a-f]{8}\.[^/]*$")  # the next run takes away what comes back
_NAME = re.compile(r'(?:\d+<(?P<folder>[^>]*)>, |AT_FDCWD(?:<[^>]*>)?, )?"(?P<path>[^"]*)"')


@dataclass(slots=True)
class _Disk:
    """What a power loss could take back, and how far the journal is."""

    folder: str
    unsynced: set[str] = field(default_factory=set)  # files with bytes that were not synced
    unnamed: set[str] = field(default_factory=set)  # folders with names that were not synced
    renamed: set[str] = field(default_factory=set)  # files whose earlier names may come back
    entries: set[str] = field(default_factory=set)
    locked: bool = False
    answered: bool = True  # whether the journal holds the answer to the last POST

    def paths(self, call: Call) -> list[str]:
        """The paths that it names, whatever they are relative to."""
        found = _NAME.finditer(call.arguments)
        return [str(PurePosixPath(each["folder"] or self.folder, each["path"])) for each in found]


def broken(
    calls: Iterable[Call], folder: str, entries: Iterable[str] = (), *, finished: bool
) -> Iterator[str]:
    """What was done before what should have been durable by then was; `entries` an earlier run left."""
    disk = _Disk(folder, entries=set(entries))
    for call in calls:
        if call.asks:
            yield from _sending(disk, call)
        elif call.touches(folder, _OURS):
            rule = _given_up if _failed(call) else _RULES.get(call.name)
            yield from rule(disk, call) if rule else ()
    disk.unsynced = {path for path in disk.unsynced if not _HARMLESS.search(path)}
    if finished and (disk.unsynced or disk.unnamed):
        yield f"the run ended before {_names(disk)} was synced"


def _failed(call: Call) -> bool:
    return call.result.startswith(("-1", "?"))


def _given_up(disk: _Disk, call: Call) -> Iterator[str]:
    """What fails in a sink is not delivered, and has no receipt."""
    path = _of_fd(call)
    if not _of_state(path):
        disk.unsynced = {each for each in disk.unsynced if not each.startswith(path)}
        disk.unnamed.discard(path)
    yield from ()


def _sending(disk: _Disk, call: Call) -> Iterator[str]:
    if disk.unsynced or disk.unnamed:
        yield f"a request was sent before {_names(disk)} was synced"
    if not disk.entries:
        yield "a request was sent without an entry in the journal"
    if "POST" in call.arguments:
        disk.answered = False


def _written(disk: _Disk, call: Call) -> Iterator[str]:
    path = _of_fd(call)
    if path.endswith("/.lock"):
        return
    if not disk.locked:
        yield f"{_short(path)} was written without the lock"
    if path in disk.renamed:
        yield f"{_short(path)} was written before its earlier name was gone for good"
    disk.unsynced.add(path)


def _synced(disk: _Disk, call: Call) -> Iterator[str]:
    path = _of_fd(call)
    disk.unsynced.discard(path)
    disk.unnamed.discard(path)
    disk.renamed = {each for each in disk.renamed if _parent(each) != path}
    disk.answered = disk.answered or path.endswith(".op")
    yield from ()


def _renamed(disk: _Disk, call: Call) -> Iterator[str]:
    old, new = disk.paths(call)[:2]
    if old in disk.unsynced:
        yield f"{_short(old)} was renamed before it was synced"
        disk.unsynced.discard(old)
    if "/apps/" in new and not disk.answered:
        yield f"{_short(new)} was recorded before the journal held the answer"
    if "/apps/" in new:
        late = {path for path in disk.unsynced | disk.unnamed if not _of_state(path)} - {disk.folder}
        yield from (f"{_short(new)} was recorded before {_short(path)} was synced" for path in sorted(late))
    disk.entries.discard(old)
    if new.endswith(".op"):
        disk.entries.add(new)
    disk.renamed.add(new)
    disk.unnamed.add(_parent(new))


def _unlinked(disk: _Disk, call: Call) -> Iterator[str]:
    path = disk.paths(call)[0]
    disk.entries.discard(path)
    disk.unsynced.discard(path)
    if not _HARMLESS.search(path):
        disk.unnamed.add(_parent(path))
    yield from ()


def _made(disk: _Disk, call: Call) -> Iterator[str]:
    disk.unnamed.add(_parent(disk.paths(call)[0]))
    yield from ()


def _locked(disk: _Disk, _: Call) -> Iterator[str]:
    disk.locked = True
    yield from ()


_RULES: dict[str, Callable[[_Disk, Call], Iterator[str]]] = {
    **dict.fromkeys(("pwrite64", "write", "fallocate", "ftruncate"), _written),
    **dict.fromkeys(("fsync", "fdatasync"), _synced),
    **dict.fromkeys(("rename", "renameat", "renameat2"), _renamed),
    **dict.fromkeys(("unlink", "unlinkat"), _unlinked),
    **dict.fromkeys(("mkdir", "mkdirat"), _made),
    "flock": _locked,
}


def _of_fd(call: Call) -> str:
    match = _FD.match(call.arguments)
    return match["path"] if match else ""


def _of_state(path: str) -> bool:
    return not path or "state" in PurePosixPath(path).parts


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _short(path: str) -> str:
    return "/".join(PurePosixPath(path).parts[-2:])


def _names(disk: _Disk) -> str:
    return ", ".join(sorted(map(_short, disk.unsynced | disk.unnamed)))
