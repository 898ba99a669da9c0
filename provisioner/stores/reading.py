"""The files of a state as a `State`, wherever they lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from provisioner.errors import StateError
from provisioner.journal import frames, operation_from, sight_from, step_from
from provisioner.operation import OpenOperation, Sight
from provisioner.state import AppRecord, State, header_from, record_from
from provisioner.text import quote

HEADER = "state.json"
APPS = "apps"
JOURNAL = ".journal"
RECORD, ENTRY, SIGHT = ".json", ".op", ".sight"  # how the names of each kind end
ENTRY_NAME = re.compile(r"op_[0-9a-z]{1,64}\.op")
_FIRST_FRAMES = 2  # written together: the operation, and its first step

Place = Callable[[str], str]


def state_from(files: Mapping[str, bytes], place: Place) -> State:
    """The state in `files`, by their paths in its folder; `place` is what a path is called in messages.

    Whatever is damaged, half-written or foreign is an error, and never an empty state.
    """
    open_operations = tuple(open_operations_from(files, place))
    records = {record.address: record for record in _records(files, place)}
    if HEADER not in files:
        if records or open_operations:
            raise StateError(
                f"The state cannot be trusted: {quote(place(HEADER), 200)} is missing",
                "There are records beside it, so this is not an empty state.",
                "Bring the file back from version control or a backup, then run `provisioner plan`.",
            )
        return State()
    header = header_from(files[HEADER], place(HEADER))
    for entry in open_operations:
        if entry.operation.lineage != header.lineage:
            raise StateError(
                f"The state cannot be trusted: {quote(place(JOURNAL), 200)}",
                f"Its entry {entry.operation.id} belongs to another lineage than "
                f"{quote(place(HEADER), 200)}.",
                "One of the two was exchanged: bring back the one that belongs to the other.",
            )
    return State(header, MappingProxyType(records), open_operations)


def open_operations_from(files: Mapping[str, bytes], place: Place) -> Iterator[OpenOperation]:
    """The journal's entries, each with what its run saw."""
    sights = {name: sight_from(data, place(path)) for path, name, data in _of_kind(files, JOURNAL, SIGHT)}
    for path, name, data in _of_kind(files, JOURNAL, ENTRY):
        yield _open_operation(place(path), name, data, sights)


def _records(files: Mapping[str, bytes], place: Place) -> Iterator[AppRecord]:
    for path, name, data in _of_kind(files, APPS, RECORD):
        yield record_from(data, place(path), name.removesuffix(RECORD))


def _of_kind(files: Mapping[str, bytes], folder: str, suffix: str) -> Iterator[tuple[str, str, bytes]]:
    """Path, name and content of the files of one kind, in the order of their names."""
    for path in sorted(path for path in files if path.endswith(suffix)):
        parent, _, name = path.rpartition("/")
        if parent == folder and not name.startswith("."):
            yield path, name, files[path]


def _open_operation(where: str, name: str, data: bytes, sights: Mapping[str, Sight]) -> OpenOperation:
    """An entry: its first frame is the operation, and the last whole one says how far it has come."""
    if not ENTRY_NAME.fullmatch(name):
        raise StateError(
            f"The journal has a file that is none of its entries: {quote(where, 200)}",
            "Only provisioner puts files there, under names that it gives itself.",
            "Move it elsewhere if it is yours; bring its name back if it is an entry.",
        )
    whole = list(frames(data))
    if len(whole) < _FIRST_FRAMES:
        raise StateError(
            f"The journal cannot be trusted: {quote(where, 200)}",
            "Its first frames are damaged, so what an earlier run asked for is not known.",
            "Bring the file back from a backup; do not delete it before you know what it was for.",
        )
    operation = operation_from(whole[0], where)
    if name != f"{operation.id}{ENTRY}":
        raise StateError(
            f"The journal has an entry under another's name: {quote(where, 200)}",
            f"It says that it is {quote(operation.id, 80)}.",
            "Give the file its name back.",
        )
    return OpenOperation(operation, step_from(whole[-1], where), sights.get(f"{operation.sight}{SIGHT}"))
