"""`provisioner state` and `provisioner show`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import state_options
from provisioner.errors import UsageError


@click.group()
def command() -> None:
    """Look at single parts of the state."""


@command.command("list")
@state_options
def list_records(files: Sequence[str], folder: str | None) -> None:
    """Print the address of every recorded app."""
    from provisioner.cli.output import say
    from provisioner.cli.workspace import open_store

    for address in sorted(open_store(folder, files).read().records):
        say(str(address))


@command.command("show")
@state_options
@click.argument("address")
def show_record(files: Sequence[str], folder: str | None, address: str) -> None:
    """Show one recorded app. Its secret stays sealed; `secret get` opens it."""
    from provisioner.cli.output import say
    from provisioner.cli.workspace import open_store
    from provisioner.model import Address
    from provisioner.render.state_text import record_text

    wanted = Address.parse(address)
    record = open_store(folder, files).read().records.get(wanted)
    if record is None:
        raise UsageError(f"{wanted} is not in the state", "", "`provisioner state list` shows what is.")
    say(record_text(record), end="")
