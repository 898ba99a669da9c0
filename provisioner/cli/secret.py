"""`provisioner secret`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from provisioner.cli.options import state_options
from provisioner.errors import EXIT_ERROR, SealingError


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
    from provisioner.cli.output import delivered, say
    from provisioner.cli.workspace import find_identities, open_store, record_of
    from provisioner.custody import client_secret
    from provisioner.sealing import open_sealed
    from provisioner.settings import from_environment

    record = record_of(address, open_store(folder, files, variables, var_files))
    identities = find_identities(from_environment())
    if not identities:
        raise SealingError(
            "There is no identity to open the secret with",
            "PROVISIONER_AGE_KEY_FILE, SOPS_AGE_KEY_FILE and SOPS_AGE_KEY are unset; init made none here.",
            "Point PROVISIONER_AGE_KEY_FILE at the private key of one of the recipients.",
        )
    secret = client_secret(record, lambda sealed: open_sealed(sealed, identities))
    say(secret.reveal().decode("ascii"), end="\n" if sys.stdout.isatty() else "")
    return 0 if delivered() else EXIT_ERROR  # whoever waits for it must not take nothing for the secret
