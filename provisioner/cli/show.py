"""`provisioner show`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import state_options


@click.command()
@state_options
def command(
    files: Sequence[str], variables: Sequence[str], var_files: Sequence[str], folder: str | None
) -> None:
    """Show the state: every recorded app, with its secret left sealed."""
    from provisioner.cli.output import say
    from provisioner.cli.workspace import open_store
    from provisioner.render.state_text import state_text

    say(state_text(open_store(folder, files, variables, var_files).read()), end="")
