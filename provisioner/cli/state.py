"""`provisioner state`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import OfManifest, lock_option, manifest_options, state_options
from provisioner.errors import UsageError


@click.group()
def command() -> None:
    """Look at the state, and mend it by hand."""


@command.command("list", cls=OfManifest)
@state_options
def list_records(
    files: Sequence[str], variables: Sequence[str], var_files: Sequence[str], folder: str | None
) -> None:
    """Print the address of every recorded app."""
    from provisioner.cli.output import say
    from provisioner.cli.workspace import open_store

    for address in sorted(open_store(folder, files, variables, var_files).read().records):
        say(str(address))


@command.command("show")
@state_options
@click.argument("address")
def show_record(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    folder: str | None,
    address: str,
) -> None:
    """Show one recorded app. Its secret stays sealed; `secret get` opens it."""
    from provisioner.cli.output import say
    from provisioner.cli.records import records_of
    from provisioner.cli.workspace import open_store
    from provisioner.render.state_text import record_text

    (record,) = records_of(open_store(folder, files, variables, var_files).read(), [address])
    say(record_text(record), end="")


@command.command("rm")
@state_options
@lock_option
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
def remove_records(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    folder: str | None,
    lock_timeout: float,
    dry_run: bool,
    addresses: Sequence[str],
) -> None:
    """Forget recorded apps, sealed secrets included. The API keeps them.

    Where the manifest still has them, the next plan finds them there and shows how to import them.
    """
    from contextlib import nullcontext

    from provisioner.cli.output import say
    from provisioner.cli.records import records_of, refuse_open
    from provisioner.cli.workspace import open_store
    from provisioner.render.state_text import removal_text
    from provisioner.stores.reading import APPS, RECORD

    store = open_store(folder, files, variables, var_files)
    with nullcontext() if dry_run else store.lock("state rm", lock_timeout):
        state = store.read()
        records = records_of(state, addresses)
        refuse_open(state, [record.address for record in records])
        for record in () if dry_run else records:
            store.delete_record(record.address)
    for record in records:
        file = store.where(f"{APPS}/{record.address.key}{RECORD}")
        say(removal_text(record, file, done=not dry_run), end="")
    if dry_run:
        say("Nothing was removed.")


@command.command("mv")
@state_options
@lock_option
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def move_record(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    folder: str | None,
    lock_timeout: float,
    source: str,
    target: str,
) -> None:
    """Record the app at FROM as TO: for a key that was renamed in the manifest. The API is not asked."""
    from dataclasses import replace

    from provisioner.cli.output import say
    from provisioner.cli.records import records_of, refuse_open
    from provisioner.cli.workspace import open_store
    from provisioner.model import Address

    store = open_store(folder, files, variables, var_files)
    address = Address.parse(target)
    with store.lock("state mv", lock_timeout):
        state = store.read()
        (record,) = records_of(state, [source])
        refuse_open(state, (record.address, address))
        if address in state.records:
            raise UsageError(f"{address} is in the state already", "Nothing was moved.")
        store.write_record(replace(record, address=address))
        store.delete_record(record.address)
    say(f"Moved {record.address} to {address}")


@command.command("unlock")
@manifest_options
@click.argument("lock_id", required=False, metavar="[ID]")
def unlock(
    files: Sequence[str], variables: Sequence[str], var_files: Sequence[str], lock_id: str | None
) -> None:
    """Break the lock ID of a state in git, which a run that died has left. The refused command says the ID.

    Only when that run is dead: one that is alive stops at its next step, and leaves it to others to go on.
    A state in a folder has no such lock: it ends with its run.
    """
    from provisioner.cli.output import say
    from provisioner.cli.workspace import open_workspace
    from provisioner.stores.git import GitStore

    store = open_workspace(files, variables, var_files).store
    if not isinstance(store, GitStore):
        raise UsageError(
            "The state is a folder, whose lock ends with the run that holds it",
            "There is nothing to break.",
            "Where a command says that the state is locked, the run that it names is alive.",
        )
    say(f"Unlocked: {store.unlock(lock_id)}")
