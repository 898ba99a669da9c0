"""`provisioner secret`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from provisioner.cli.options import state_options
from provisioner.errors import EXIT_ERROR


@click.group()
def command() -> None:
    """Open sealed secrets."""


@command.command("get")
@state_options
@click.argument("address")
def get(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    folder: str | None,
    address: str,
) -> int:
    """Print the client secret of ADDRESS and nothing else.

    A line break follows on a terminal only. It needs an identity of one of the recipients:
    PROVISIONER_AGE_KEY_FILE, SOPS_AGE_KEY_FILE, SOPS_AGE_KEY, or the one that `provisioner init` made.
    """
    from provisioner.cli.opening import opener
    from provisioner.cli.output import delivered, say
    from provisioner.cli.workspace import open_store, record_of
    from provisioner.custody import client_secret
    from provisioner.settings import from_environment

    record = record_of(address, open_store(folder, files, variables, var_files))
    secret = client_secret(record, opener(from_environment()))
    say(secret.reveal().decode("ascii"), end="\n" if sys.stdout.isatty() else "")
    return 0 if delivered() else EXIT_ERROR  # whoever waits for it must not take nothing for the secret
