"""The state as a folder: one small file per app, a journal, a lock."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from provisioner.errors import FileError, LockedError, StateError, UnfinishedError
from provisioner.files import Files, Slot, tighten
from provisioner.journal import framed, operation_to, sight_to, step_to
from provisioner.locking import locked
from provisioner.model import KEY, Address
from provisioner.operation import Operation, Sight, Step
from provisioner.reading import reporting, shown
from provisioner.state import AppRecord, Header, State, header_to, record_to
from provisioner.stores.reading import (
    APPS,
    ENTRY,
    ENTRY_NAME,
    HEADER,
    JOURNAL,
    RECORD,
    SIGHT,
    open_operations_from,
    state_from,
)
from provisioner.text import escape, quote

_FILE_LIMIT = 16 * 1024 * 1024
_ENTRY_LIMIT = 4 * 1024 * 1024  # what is written must be readable again, in a record too
_SPARE = 64 * 1024  # for the recipients' stanzas and what the answer shows in clear
_PAGE = 4096  # whole ones, so that nearly every entry fits into another one's file
_SEALED_GROWTH = 2  # armor is 4/3 of the bytes, and a line break in 64
_HEADER_OR_LOCK = re.compile(r"state\.json|\.lock")
_RECORD = re.compile(rf"{KEY.pattern}\.json")
_SIGHT = re.compile(r"run_[0-9a-z]{1,64}\.sight")
_JOURNAL = re.compile(f"{ENTRY_NAME.pattern}|{_SIGHT.pattern}")
_ATOMIC = rf"(?:state\.json|\.gitignore|{_RECORD.pattern}|{_SIGHT.pattern})\.[0-9a-f]{{8}}"
_LEFTOVER = re.compile(rf"\.(?:{_ATOMIC}|{ENTRY_NAME.pattern})\.tmp")
# What a folder may hold before the first apply. It may be a repository of its own, or a disk.
_AT_HOME = {APPS, "README.md", "README", "LICENSE", "CODEOWNERS", "lost+found"}  # and what is hidden
_IGNORED = (
    b"# What one machine alone needs; the records beside it are to be committed.\n.lock\n.journal/\n.*.tmp\n"
)
_POLL = 0.1  # seconds between two tries for the lock


class DirectoryStore:
    """A StateStore in `folder`; the folder is made by the first write."""

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self._folder = folder
        self._apps = folder / APPS
        self._journal = folder / JOURNAL
        self._header = folder / HEADER
        self._files = files or Files()
        self._made: set[Path] = set()
        self._making = threading.Lock()

    def where(self, path: str = "") -> str:
        """The folder for people, or the file at `path` in it."""
        return shown(self._folder / path)

    def read(self) -> State:
        """The whole state. What is damaged, half-written or foreign is an error.

        The journal comes first: an operation is closed after its record is written, so a reader without the
        lock may see both, but never neither.
        """
        return state_from(self.contents(), self._place)

    @contextlib.contextmanager
    def lock(self, operation: str, timeout: float = 0.0) -> Iterator[None]:
        """Hold the state for `operation`, alone, waiting up to `timeout` seconds for it.

        What git checked out looser is tightened.
        """
        self._refuse_others()
        self._files.folder(self._folder)
        note = {
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "operation": operation,
            "since": int(time.time()),
        }
        until = time.monotonic() + timeout
        while True:
            with locked(self._folder / ".lock", json.dumps(note).encode()) as holder:
                if holder is None:
                    self._made.clear()
                    with reporting("look after", self._folder):
                        self._tidy()
                    try:
                        yield
                    finally:
                        self._files.let_go()
                    self._leave_tidy()
                    return
                if time.monotonic() >= until:
                    raise LockedError(*_held(holder))
            time.sleep(_POLL)

    def _refuse_others(self) -> None:
        """A folder that is not a state yet and holds what is somebody else's is not made ours."""
        names = _names(self._folder)
        other = next((name for name in names if not _is_at_home(name)), None)
        if other is not None and HEADER not in names:
            raise StateError(
                f"The folder {shown(self._folder)} is not for a state alone",
                f"It has no {HEADER}, so it is none yet, and there is {quote(other, 80)} in it. "
                "The folder of a state is kept to its owner. Nothing was changed in it.",
                "Name a folder of its own: `state: {path: FOLDER}`. "
                f"If this is one that lost its {HEADER}, bring that back from version control.",
            )

    def write_header(self, header: Header) -> None:
        """Write what the state belongs to."""
        self._files.folder(self._folder)
        self._files.write(self._header, header_to(header))

    def write_record(self, record: AppRecord) -> None:
        """Write one app's record."""
        self._make(self._apps)
        self._files.write(self._path(record.address), record_to(record))

    def delete_record(self, address: Address) -> None:
        """Take one app's record away."""
        self._files.remove(self._path(address))

    def write_sight(self, sight: Sight) -> None:
        """Write what a run saw before its first write."""
        self._files.folder(self._journal)
        self._files.write(self._journal / f"{sight.run}.sight", sight_to(sight))

    def open_operation(self, operation: Operation, step: Step, reply_bytes: int) -> JournalEntry:
        """Make an entry, or write it anew, with room for the sealed form of an answer of `reply_bytes`."""
        first = framed(operation_to(operation)) + framed(step_to(step))
        size = -(-(len(first) + _SEALED_GROWTH * reply_bytes + _SPARE) // _PAGE) * _PAGE
        if size > _ENTRY_LIMIT:
            raise StateError(
                f"{operation.address} is too large to be asked for",
                f"Its journal entry would take {size:,} bytes; the limit is {_ENTRY_LIMIT:,}.",
                "Give it fewer or shorter redirect URIs and scopes.",
            )
        self._make(self._journal)
        slot = self._files.slot(self._entry(operation.id), first, size)
        return JournalEntry(self._files, slot, len(first))

    def close_operation(self, operation_id: str) -> None:
        """Take a journal entry away."""
        self._files.remove(self._entry(operation_id))

    def _make(self, folder: Path) -> None:
        """Once under a lock: every app needs both folders."""
        with self._making:  # who finds it there must find it durable
            if folder not in self._made:
                self._files.folder(folder)
                self._made.add(folder)

    def _path(self, address: Address) -> Path:
        return self._apps / f"{address.key}.json"

    def _entry(self, operation_id: str) -> Path:
        return self._journal / f"{operation_id}.op"

    def contents(self) -> dict[str, bytes]:
        """The files of the state: entries before the sights that they need, and both before the records."""
        contents: dict[str, bytes] = {}
        for folder, suffix in ((JOURNAL, ENTRY), (JOURNAL, SIGHT), (APPS, RECORD)):
            contents.update(self._of_kind(folder, suffix))
        if os.path.lexists(self._header):
            contents[HEADER] = self._files.read(self._header, _FILE_LIMIT)
        return contents

    def _of_kind(self, folder: str, suffix: str) -> Iterator[tuple[str, bytes]]:
        """The files of one kind, without those that a running apply takes away meanwhile.

        An entry's file may hold another operation by the time it is read: then its name is gone by the end.
        """
        for name in _names(self._folder / folder):
            if not name.endswith(suffix) or name.startswith("."):
                continue
            path = self._folder / folder / name
            try:
                data = self._files.read(path, _FILE_LIMIT)
            except FileError:
                if os.path.lexists(path):
                    raise
                continue
            if suffix == ENTRY and not os.path.lexists(path):
                continue
            yield f"{folder}/{name}", data

    def _place(self, path: str) -> str:
        return os.path.join(self._folder, path)  # noqa: PTH118  # asked for each record, and seldom needed

    def _tidy(self) -> None:
        """Under the lock: settle what a killed run left on disk, and tighten what was checked out looser.

        A killed run may have renamed without a sync: what this one builds on must be durable first.
        """
        own = {self._folder: _HEADER_OR_LOCK, self._apps: _RECORD, self._journal: _JOURNAL}
        if not os.path.lexists(
            self._header
        ):  # nothing was applied yet: the folder's own name may not be durable
            with reporting("sync", self._folder.parent):
                self._files.sync_folder(self._folder.parent)
        for folder, pattern in own.items():
            if not folder.is_dir():
                continue
            self._files.folder(folder)
            with reporting("sync", folder):
                self._files.sync_folder(folder)
            for path in _listed(folder):
                if _LEFTOVER.fullmatch(path.name):
                    self._files.remove(path)
                elif pattern.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                    tighten(path)
        if not os.path.lexists(self._folder / ".gitignore"):
            self._files.write(self._folder / ".gitignore", _IGNORED)
        self.forget_sights()

    def _leave_tidy(self) -> None:
        """What was done is done: an error here is no reason to say that it was not."""
        try:
            self.forget_sights()
        except FileError as error:
            raise UnfinishedError(error.summary, error.detail, "What was done is recorded.") from None

    def forget_sights(self) -> None:
        """What a run saw is of use to its open operations alone."""
        inside = _listed(self._journal)
        sights = [path for path in inside if _SIGHT.fullmatch(path.name)]
        if not sights:
            return
        try:
            journal = {**dict(self._of_kind(JOURNAL, ENTRY)), **dict(self._of_kind(JOURNAL, SIGHT))}
            open_operations = open_operations_from(journal, self._place)
            needed = {f"{entry.operation.sight}{SIGHT}" for entry in open_operations}
        except (FileError, StateError):  # what cannot be read may need any of them
            return
        for path in sights:
            if path.name not in needed:
                self._files.remove(path)


class JournalEntry:
    """An open operation in its pre-allocated file."""

    def __init__(self, files: Files, slot: Slot, end: int) -> None:
        self._files = files
        self._slot = slot
        self._end = end

    def step(self, step: Step) -> None:
        """Make how far it has come durable."""
        frame = framed(step_to(step))
        self._slot.write(frame, self._end)
        self._end += len(frame)

    def close(self) -> None:
        """The operation is over."""
        self._files.take_away(self._slot)

    def leave(self) -> None:
        """The operation stays open for the next run."""
        self._slot.close()


def _is_at_home(name: str) -> bool:
    """Whether an entry is a state's own, or does no harm beside one."""
    return name in _AT_HOME or name.startswith(".")


def _listed(folder: Path) -> list[Path]:
    return [folder / name for name in _names(folder)]


def _names(folder: Path) -> list[str]:
    with reporting("read the folder", folder):
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208  # names sort faster than paths
        except FileNotFoundError:
            return []


def _held(note: bytes) -> tuple[str, str, str]:
    """Who holds the lock, for the message; a note that cannot be read is no reason to go on."""
    hint = "Wait until it is done; a run that was killed leaves no lock behind."
    try:
        holder = json.loads(note)
        age = max(0, int(time.time()) - int(holder["since"]))
        who = f"process {int(holder['pid'])} on {escape(str(holder['host']), 80)}"
        what = f"`provisioner {escape(str(holder['operation']), 80)}`"
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "The state is locked", "Another run holds it; its note cannot be read.", hint
    return "The state is locked", f"{what} holds it: {who}, for {age} s.", hint
