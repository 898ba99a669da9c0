"""`provisioner secret deliver`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import lock_option, manifest_options
from provisioner.errors import EXIT_UNFINISHED, UsageError
from provisioner.text import escape

if TYPE_CHECKING:
    from provisioner.delivery import Handover
    from provisioner.desired import DesiredState
    from provisioner.state import AppRecord


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
    from provisioner.cli.records import records_of, warn_open
    from provisioner.cli.workspace import open_workspace
    from provisioner.handover import hand_over, probe

    workspace = open_workspace(files, variables, var_files)
    store, ways, broken = workspace.store, outlets(workspace.settings), 0
    with store.lock("secret deliver", lock_timeout):
        state = store.read()
        chosen = records_of(state, addresses)
        if addresses:
            _check_sinks(chosen, workspace.desired)
        warn_open(state, chosen)
        due = list(_due(chosen, workspace.desired, again))
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


def _check_sinks(records: Iterable[AppRecord], desired: DesiredState) -> None:
    """Who names an app wants it delivered."""
    for record in records:
        if not desired.sinks.get(record.address):
            raise UsageError(
                f"{record.address} has no sinks", "", "Name some in the manifest, under its `sinks`."
            )


def _due(
    records: Iterable[AppRecord], desired: DesiredState, again: bool
) -> Iterator[tuple[AppRecord, Handover]]:
    """The records with something to deliver."""
    from provisioner.deliveries import as_marked, undelivered
    from provisioner.delivery import Handover

    for record in records:
        targets = desired.sinks.get(record.address, ())
        every = (as_marked(target, record) for target in targets)
        due = tuple(every if again else undelivered(record, targets))
        if due:
            yield record, Handover(targets, due, sink_only=desired.lifecycle(record.address).sink_only)
