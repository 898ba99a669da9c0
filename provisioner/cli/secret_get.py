"""`provisioner secret get`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import state_options
from provisioner.errors import EXIT_ERROR, SinkError, UsageError

if TYPE_CHECKING:
    from provisioner.model import Secret
    from provisioner.state import AppRecord

_FIELDS = ("client_secret", "client_id")


@click.command("get", short_help="Print one client secret and nothing else.")
@state_options
@click.option("--field", type=click.Choice(_FIELDS), help="Which half to print.  [default: client_secret]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["raw", "json", "dotenv"]),
    default="raw",
    show_default=True,
    help="One half as it is, or both as a program reads them.",
)
@click.argument("address")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    folder: str | None,
    field: str | None,
    form: str,
    address: str,
) -> int:
    """Print the client secret of ADDRESS and nothing else.

    Of a value alone, a line break follows on a terminal only. It needs an identity of one of the recipients:
    PROVISIONER_AGE_KEY_FILE, SOPS_AGE_KEY_FILE, SOPS_AGE_KEY, or the one that `provisioner init` made. The
    client id is no secret: for it alone, no identity is needed.
    """
    from provisioner.cli.output import delivered, say
    from provisioner.cli.records import records_of, warn_open
    from provisioner.cli.workspace import open_store

    if form != "raw" and field is not None:
        raise UsageError(f"--format {form} prints both halves", "--field chooses one of them.", "Leave one.")
    state = open_store(folder, files, variables, var_files).read()
    (record,) = records_of(state, [address])
    warn_open(state, [record])
    if form == "raw":
        value = record.app.client_id if field == "client_id" else _opened(record).reveal().decode("ascii")
        say(value, end="\n" if sys.stdout.isatty() else "")
    else:
        say(_both(record, form).reveal().decode("ascii"), end="")
    return 0 if delivered() else EXIT_ERROR  # whoever waits for it must not take nothing for the secret


def _opened(record: AppRecord) -> Secret:
    from provisioner.cli.opening import opener
    from provisioner.custody import client_secret
    from provisioner.settings import from_environment

    return client_secret(record, opener(from_environment()))


def _both(record: AppRecord, form: str) -> Secret:
    """The pair as sinks write it."""
    from provisioner.sinks.formats import render

    try:
        return render(form, {"CLIENT_ID": record.app.client_id, "CLIENT_SECRET": _opened(record)})
    except SinkError as error:
        raise UsageError(error.summary, error.detail, "Try --format json or raw.") from None
