"""`provisioner secret deliver`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import lock_option, manifest_options
from provisioner.errors import EXIT_UNFINISHED, UsageError
from provisioner.text import escape

if TYPE_CHECKING:
    from provisioner.delivery import Handover
    from provisioner.desired import DesiredState
    from provisioner.model import Address
    from provisioner.state import AppRecord, State


@click.command("deliver", short_help="Deliver secrets to the sinks that lack them.")
@manifest_options
@lock_option
@click.option("--again", is_flag=True, help="Deliver to every sink, whatever the receipts say.")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    lock_timeout: float,
    again: bool,
    addresses: Sequence[str],
) -> int:
    """Deliver sealed secrets to the sinks that do not have them yet, of all apps or of those at ADDRESS.

    It does not ask the API, and takes an identity that can open the secrets. Where a sink is broken the
    others get theirs all the same, and the exit status is 3: running it again goes on.
    """
    from provisioner.cli.clock import SystemClock
    from provisioner.cli.outlets import outlets
    from provisioner.cli.output import complain, say
    from provisioner.cli.workspace import open_workspace
    from provisioner.handover import hand_over, probe
    from provisioner.model import Address

    workspace = open_workspace(files, variables, var_files)
    wanted = frozenset(map(Address.parse, addresses))
    store, ways, broken = workspace.store, outlets(workspace.settings), 0
    with store.lock("secret deliver", lock_timeout):
        due = list(_due(store.read(), workspace.desired, wanted, again))
        probe((handover for _, handover in due), ways)
        for record, handover in due:
            handed = hand_over(record, handover, None, ways, store, SystemClock())
            broken += len(handed.problems)
            for name, receipt in handed.record.deliveries.items():
                if receipt != record.deliveries.get(name):
                    say(f"{record.address}: delivered to {name}: {escape(receipt.place)}")
            for problem in handed.problems:
                complain(f"{record.address}: {problem}")
    if not due:
        say("Nothing to deliver: every sink has the secret that is held.")
    return EXIT_UNFINISHED if broken else 0


def _due(
    state: State, desired: DesiredState, wanted: frozenset[Address], again: bool
) -> Iterator[tuple[AppRecord, Handover]]:
    """The records with something to deliver. Raises UsageError where an address has no record or no sink."""
    from provisioner.deliveries import undelivered
    from provisioner.delivery import Handover

    for address in sorted(wanted - state.records.keys()):
        raise UsageError(f"{address} is not in the state", "", "`provisioner state list` shows what is.")
    for address in sorted(wanted or state.records):
        record, targets = state.records[address], desired.sinks.get(address, ())
        if address in wanted and not targets:
            raise UsageError(f"{address} has no sinks", "", "Name some in the manifest, under its `sinks`.")
        due = targets if again else tuple(undelivered(record, targets))
        if due:
            yield record, Handover(targets, due, sink_only=desired.lifecycle(address).sink_only)
