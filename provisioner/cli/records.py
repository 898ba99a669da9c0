"""The records that a command line names, and whether they may be changed now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from provisioner.cli.output import complain
from provisioner.errors import UsageError
from provisioner.model import Address
from provisioner.state import AppRecord, State

if TYPE_CHECKING:
    from provisioner.ports import StateStore


def records_of(state: State, addresses: Sequence[str]) -> list[AppRecord]:
    """The records at addresses as typed, each once; all of them where none was typed.

    Raises UsageError where the state lacks one, which says what to type where an earlier run did the rest.
    """
    wanted = list(dict.fromkeys(map(Address.parse, addresses))) or sorted(state.records)
    missing = [str(address) for address in wanted if address not in state.records]
    if missing:
        there = [str(address) for address in wanted if address in state.records]
        raise UsageError(
            f"{', '.join(missing)} {'are' if missing[1:] else 'is'} not in the state",
            f"Nothing was done. Of those that you typed it has {', '.join(there)}." if there else "",
            f"If an earlier run was cut off after the rest, type what is left: {' '.join(there)}\n"
            "If a name is mistyped, look for it: provisioner state list"
            if there
            else "`provisioner state list` shows what is.",
        )
    return [state.records[address] for address in wanted]


def refuse_open(state: State, addresses: Collection[Address]) -> None:
    """What an earlier run left open is finished first: its journal entry knows the app by its address."""
    for entry in state.open:
        if entry.operation.address in addresses:
            raise UsageError(
                f"An earlier run left {entry.operation.address} open", "", "Run `provisioner apply` first."
            )


def warn_absent(state: State, store: StateStore, undone: str) -> bool:
    """Whether there is no state at all. It is said, with what was not done: nothing is wrong with nothing."""
    from provisioner.stores.directory import DirectoryStore

    if state.header is not None:
        return False
    ask = "is it committed?" if isinstance(store, DirectoryStore) else "is it the right one?"
    complain(f"Warning: there is no state in {store.where()}: {undone}; {ask}")
    return True


def warn_open(state: State, records: Collection[AppRecord]) -> None:
    """Where a rotation is under way, the secret that is held may be dead already."""
    shown = {record.address for record in records}
    for entry in state.open:
        if entry.operation.address in shown:
            complain(
                f"Warning: {entry.operation.address}: an earlier run left {entry.operation.id} open, so its "
                "secret may not be the live one; `provisioner apply` finishes it."
            )
