"""`provisioner verify`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import manifest_options
from provisioner.errors import EXIT_ERROR, LockedError

if TYPE_CHECKING:
    from provisioner.ports import StateStore
    from provisioner.state import AppRecord


@click.command()
@manifest_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    as_json: bool,
    addresses: Sequence[str],
) -> int:
    """Prove that the stored secrets are the live ones, without changing anything at the API.

    Each is opened with your identity and shown to the API's introspection, which says whether it takes it.
    Exit status 1 unless all are confirmed and no operation is open, and where the manifest has apps and there
    is no state.
    """
    from provisioner.cli.opening import opener
    from provisioner.cli.output import complain, say
    from provisioner.cli.records import records_of, warn_absent
    from provisioner.cli.workspace import base_url, connect, open_workspace
    from provisioner.refresh import check_base_url
    from provisioner.render.verify_text import verify_json, verify_text
    from provisioner.verification import Verdict, verify

    workspace = open_workspace(files, variables, var_files)
    state = workspace.store.read()
    lacking = warn_absent(state, workspace.store, "nothing was verified") and bool(workspace.desired.apps)
    check_base_url(state, base_url(workspace))
    records = records_of(state, addresses)
    for entry in state.open:
        complain(f"Warning: {entry.operation.address}: an earlier run left {entry.operation.id} open.")
    open_secret = opener(workspace.settings)
    with connect(workspace) as api:
        verified = list(verify(records, open_secret, api))
    say(verify_json(verified, lacking=lacking) if as_json else verify_text(verified), end="")
    tried = {item.address for item in verified if item.verdict is Verdict.UNCONFIRMED_UNTIL_NOW}
    _confirm(workspace.store, [record for record in records if record.address in tried])
    return 0 if not lacking and not state.open and all(item.verdict.good for item in verified) else EXIT_ERROR


def _confirm(store: StateStore, records: Iterable[AppRecord]) -> None:
    """Let the records say that their secrets were tried; another run's changes are left alone."""
    from provisioner.cli.output import complain

    if not records:
        return
    try:
        with store.lock("verify"):
            now = store.read().records
            for record in records:
                if now.get(record.address) == record and record.secret is not None:
                    store.write_record(replace(record, secret=replace(record.secret, confirmed=True)))
    except LockedError as error:
        complain(f"Note: the records are not marked as confirmed: {error.detail}")
