"""`provisioner secret deliver`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import lock_option, manifest_options
from provisioner.errors import EXIT_UNFINISHED, UsageError
from provisioner.text import escape

if TYPE_CHECKING:
    from provisioner.delivery import Handover
    from provisioner.desired import DesiredState
    from provisioner.plan import Action
    from provisioner.state import AppRecord
    from provisioner.world import World


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
    others get theirs all the same, and the exit status is 3: running it again goes on. Where an app has
    moved, its copy in the old place goes, as in apply.
    """
    from provisioner.cli.clock import SystemClock
    from provisioner.cli.identities import found_once
    from provisioner.cli.outlets import outlets
    from provisioner.cli.output import complain, say
    from provisioner.cli.records import records_of, warn_open
    from provisioner.cli.workspace import open_workspace
    from provisioner.deliveries import left_behind
    from provisioner.handover import hand_over, probe
    from provisioner.world import World

    workspace = open_workspace(files, variables, var_files)
    store, ways, broken = workspace.store, outlets(workspace.settings, found_once()), 0
    with store.lock("secret deliver", lock_timeout):
        state = store.read()
        chosen = records_of(state, addresses)
        if addresses:
            _check_sinks(chosen, workspace.desired)
        warn_open(state, chosen)
        due = list(_due(chosen, World(workspace.desired, state, None), again))
        probe((action.handover for _, action in due), ways)
        for record, action in due:
            handed = hand_over(record, action.handover, None, ways, store, SystemClock())
            broken += len(handed.problems)
            for change in _changes(record, handed.record, action.handover):
                say(f"{record.address}: {change}")
            for problem in handed.problems:
                complain(f"{record.address}: {problem}")
            for place in left_behind(action):
                complain(f"Note: {record.address}: a copy of its secret stays in {escape(place)}")
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


def _due(records: Iterable[AppRecord], world: World, again: bool) -> Iterator[tuple[AppRecord, Action]]:
    """The records with something to deliver. Where a receipt is replaced, the copy it tells of goes, as in
    apply."""
    from provisioner.deliveries import as_marked, with_deliveries
    from provisioner.plan import Action, ActionKind

    for record in records:
        action = with_deliveries(Action(ActionKind.NOOP, record.address, record=record), world)
        planned = action.handover
        every = (as_marked(target, record) for target in planned.targets)
        due = tuple(every) if again else planned.deliver
        replaced = {target.sink.name for target in due}
        withdraw = tuple(target for target in planned.withdraw if target.sink.name in replaced)
        if due:
            yield record, replace(action, handover=replace(planned, deliver=due, withdraw=withdraw))


def _changes(before: AppRecord, after: AppRecord, handover: Handover) -> Iterator[str]:
    """What became of the copies, by the receipts."""
    for name, receipt in after.deliveries.items():
        if receipt != before.deliveries.get(name):
            yield f"delivered to {name}: {escape(receipt.place)}"
    for target in handover.withdraw:
        name, receipt = target.sink.name, before.deliveries[target.sink.name]
        if after.deliveries.get(name) != receipt:
            yield f"removed from {name}: {escape(receipt.place)}"
