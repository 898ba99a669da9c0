"""A journal entry as frames: first the operation, then each step; the last whole step counts."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from provisioner import documents
from provisioner.documents import FORMAT, refuse
from provisioner.model import KEY, KEY_RULE, Address
from provisioner.operation import Answer, Operation, Sight, Step
from provisioner.phases import DURABLE, Kind

_FRAME = struct.Struct(">II")  # length and CRC-32 of the payload
_KINDS = {kind.value: kind for kind in Kind}
_PHASES = {phase.value: phase for phase in DURABLE}


def framed(payload: bytes) -> bytes:
    """A frame: length, checksum, payload."""
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def frames(data: bytes) -> Iterator[bytes]:
    """The payloads, up to the first frame that is torn or was never written."""
    offset = 0
    while offset + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, offset)
        payload = data[offset + _FRAME.size : offset + _FRAME.size + length]
        if not length or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield payload
        offset += _FRAME.size + length


def filled(data: bytes) -> bytes:
    """An entry without the room behind its last whole frame."""
    return data[: sum(_FRAME.size + len(payload) for payload in frames(data))]


def operation_to(operation: Operation) -> bytes:
    """An entry's first frame."""
    spec, app = operation.spec, operation.app
    fields = documents.fields(operation) | {
        "kind": operation.kind.value,
        "address": operation.address.key,
        "spec": None if spec is None else documents.fields(spec),
        "app": None if app is None else documents.fields(app),
    }
    return documents.packed({"format": FORMAT, **fields})


def operation_from(data: bytes, where: str) -> Operation:
    """The other way."""
    document = documents.load(data, where, {"format", *Operation.__match_args__})
    key = documents.string(document["address"], where, "address")
    kind = _KINDS.get(documents.string(document["kind"], where, "kind"))
    if not KEY.fullmatch(key):
        refuse(where, f"its address is not a key: {KEY_RULE}")
    if kind is None:
        refuse(where, "its kind is not one that this version knows")
    spec, app = document["spec"], document["app"]
    if (kind is not Kind.CREATE and app is None) or (kind in (Kind.CREATE, Kind.REPLACE) and spec is None):
        refuse(where, "it does not say what was asked for")
    return Operation(
        id=documents.string(document["id"], where, "id"),
        kind=kind,
        address=Address(key),
        lineage=documents.string(document["lineage"], where, "lineage"),
        spec=None if spec is None else documents.spec(spec, where),
        app=None if app is None else documents.app(app, where),
        sight=documents.optional(document["sight"], where, "sight"),
    )


def step_to(step: Step) -> bytes:
    """An entry's later frames."""
    answer = None if step.answer is None else documents.fields(step.answer)
    return documents.packed(documents.fields(step) | {"phase": step.phase.value, "answer": answer})


def step_from(data: bytes, where: str) -> Step:
    """The other way."""
    document = documents.mapping(
        documents.decode(data, where), where, set(Step.__match_args__), "a step in it"
    )
    phase = _PHASES.get(documents.string(document["phase"], where, "phase"))
    if phase is None:
        refuse(where, "its phase is not one that this version knows")
    return Step(
        phase=phase,
        answer=None if document["answer"] is None else _answer(document["answer"], where),
        app_id=documents.optional(document["app_id"], where, "app_id"),
        unsettled=documents.flag(document["unsettled"], where, "unsettled"),
        since=documents.optional(document["since"], where, "since"),
        sent=documents.flag(document["sent"], where, "sent"),
    )


def sight_to(sight: Sight) -> bytes:
    """`<run>.sight`."""
    return documents.dump({"format": FORMAT, "run": sight.run, "ids": sorted(sight.ids), "date": sight.date})


def sight_from(data: bytes, where: str) -> Sight:
    """The other way."""
    document = documents.load(data, where, {"format", "run", "ids", "date"})
    ids = frozenset(documents.texts(document["ids"], where, "ids"))
    run = documents.string(document["run"], where, "run")
    return Sight(run, ids, documents.optional(document["date"], where, "date"))


def _answer(value: Any, where: str) -> Answer:
    fields = documents.mapping(value, where, set(Answer.__match_args__), "the answer in it")
    if fields["status"] is not None and type(fields["status"]) is not int:
        refuse(where, "status is not a number")
    documents.flag(fields["complete"], where, "complete")
    documents.string(fields["sealed"], where, "sealed")
    for name in ("app_id", "client_id", "hint"):
        documents.optional(fields[name], where, name)
    return Answer(**fields)
