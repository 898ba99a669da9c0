"""`provisioner secret`."""

from __future__ import annotations

import click

from provisioner.cli import deliver, secret_exec, secret_get, secret_list, secret_rekey


@click.group()
def command() -> None:
    """Look at sealed secrets, open them, and seal them to other readers."""


for part in (secret_list, secret_get, secret_exec, deliver, secret_rekey):
    command.add_command(part.command)
