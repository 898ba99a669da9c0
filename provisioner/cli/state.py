"""`provisioner state`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import state_options


@click.group()
def command() -> None:
    """Look at single parts of the state."""


@command.command("list")
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
    from provisioner.cli.workspace import open_store, record_of
    from provisioner.render.state_text import record_text

    say(record_text(record_of(address, open_store(folder, files, variables, var_files))), end="")
