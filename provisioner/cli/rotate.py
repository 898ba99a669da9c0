"""`provisioner rotate`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import lock_option, manifest_options, no_color_option

if TYPE_CHECKING:
    from provisioner.cli.identities import Find
    from provisioner.cli.workspace import Workspace


@click.command()
@manifest_options
@click.option("--auto-approve", is_flag=True, help="Do not ask: naming the addresses is consent enough.")
@lock_option
@no_color_option
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    auto_approve: bool,
    lock_timeout: float,
    no_color: bool,
    addresses: Sequence[str],
) -> int:
    """Give the recorded apps at these addresses new secrets, one app after the other.

    The API has no overlap: the present secret stops working at once, and whoever uses it is out until the new
    one is there. The first rotation that gets no answer stops the others; the next apply finishes it.
    """
    from provisioner.cli.identities import found_once
    from provisioner.cli.workspace import open_workspace

    workspace = open_workspace(files, variables, var_files)
    return rotate(workspace, found_once(), addresses, auto_approve, lock_timeout, no_color)


def rotate(
    workspace: Workspace,
    find: Find,
    addresses: Sequence[str],
    auto_approve: bool,
    lock_timeout: float,
    no_color: bool,
) -> int:
    """An apply of nothing but the rotations of these addresses."""
    from provisioner.cli.apply import Job, apply_approved, apply_asked
    from provisioner.cli.workspace import base_url, connect, readers
    from provisioner.consent import Consent
    from provisioner.model import Address
    from provisioner.plan import ActionKind
    from provisioner.planner import build_rotation

    wanted = list(dict.fromkeys(Address.parse(address) for address in addresses))
    stop = threading.Event()
    with connect(workspace, stop.wait) as api:
        job = Job(
            workspace,
            api,
            partial(build_rotation, wanted, workspace.desired),
            Consent(frozenset((ActionKind.ROTATE, address) for address in wanted)),
            readers(workspace, find),
            find,
            base_url(workspace),
            1,
            lock_timeout,
            False if no_color else workspace.settings.colour,
            stop,
            can_be_saved=False,
        )
        return apply_approved(job) if auto_approve else apply_asked(job)
