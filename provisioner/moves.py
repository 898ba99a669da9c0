"""`moved`: records under the addresses that they have now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from provisioner.frozen import dataclass
from provisioner.model import Address
from provisioner.state import AppRecord, State


@dataclass(frozen=True, slots=True)
class Moves:
    """The records as they will be, and what of it is a move.

    `origins` is where each moved record was. `waiting` are old addresses whose move waits for an open
    operation; `blocked` are those whose new address has another app.
    """

    records: Mapping[Address, AppRecord]
    origins: Mapping[Address, Address] = field(default_factory=dict)
    waiting: Mapping[Address, Address] = field(default_factory=dict)
    blocked: Mapping[Address, Address] = field(default_factory=dict)


def moved(prior: State, ways: Mapping[Address, Address]) -> Moves:
    """Carry out what `moved` says, in thought. A move that was cut off is not one any more: it is done."""
    busy = {entry.operation.address for entry in prior.open}
    records = {**prior.records}
    origins: dict[Address, Address] = {}
    waiting: dict[Address, Address] = {}
    blocked: dict[Address, Address] = {}
    for old in sorted(ways.keys() & {*prior.records, *busy}):
        new = ways[old]
        record = records.get(old)
        if old in busy or new in busy:
            waiting[old] = new
        elif record is None:
            continue
        elif new not in records:
            del records[old]
            records[new] = replace(record, address=new)
            origins[new] = old
        elif records[new].app.id != record.app.id:
            blocked[old] = new
    return Moves(records, origins, waiting, blocked)
