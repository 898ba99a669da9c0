"""`provisioner import`: one app into the state, or with --generate a manifest that imports all the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import lock_option, manifest_options, no_color_option
from provisioner.errors import PlanError, UsageError

if TYPE_CHECKING:
    from provisioner.cli.workspace import Workspace
    from provisioner.model import Address, App
    from provisioner.ports import OAuthAppsApi
    from provisioner.state import State


@click.command()
@manifest_options
@lock_option
@click.option("--rotate", is_flag=True, help="Then give it a new secret; the present one stops working.")
@no_color_option
@click.option("--generate", is_flag=True, help="Print a manifest that imports every app not in the state.")
@click.argument("address", required=False)
@click.argument("app_id", required=False)
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    lock_timeout: float,
    rotate: bool,
    no_color: bool,
    generate: bool,
    address: str | None,
    app_id: str | None,
) -> int:
    """Take the existing app APP_ID into the state as ADDRESS, which the manifest must have.

    Its secret was shown to somebody else, so it is not held until a rotation makes a new one: at once with
    --rotate, else by `provisioner rotate ADDRESS`. Without --rotate nothing is changed at the API. It never
    asks, and needs no identity where recipients are named.

    With --generate nothing is written: a manifest of all apps that are not in the state is printed, to be
    saved beside the present one, or as the first. The next apply imports them.
    """
    if generate and address is None and not rotate:
        from provisioner.cli.generating import generate as print_all

        print_all(files, variables, var_files)
        return 0
    if generate:
        raise UsageError(
            "--generate takes no ADDRESS, no APP_ID and no --rotate",
            "It is about every app that is not in the state.",
            "Type `provisioner import --generate`; or `provisioner import ADDRESS APP_ID` for one of them.",
        )
    if address is None or app_id is None:
        raise UsageError(
            "Which app is to be imported, and as what?",
            "An ADDRESS of the manifest and the APP_ID of an existing app are needed.",
            "Type `provisioner import ADDRESS APP_ID`; or `provisioner import --generate` for all there are.",
        )
    from provisioner.cli.identities import found_once
    from provisioner.cli.output import say
    from provisioner.cli.rotate import rotate as give_new_secret
    from provisioner.cli.workspace import open_workspace, readers
    from provisioner.sealing import Sealer

    workspace = open_workspace(files, variables, var_files)
    if not rotate:
        _import(workspace, lock_timeout, address, app_id)
        say(f"Its secret is not held; `provisioner rotate {address}` gives it a new one.")
        say("`provisioner plan` shows whether it is as the manifest says.")
        return 0
    find = found_once()
    Sealer(readers(workspace, find).recipients)  # nothing is done where nobody could read the new secret
    _import(workspace, lock_timeout, address, app_id)
    return give_new_secret(workspace, find, [address], True, lock_timeout, no_color)


def _import(workspace: Workspace, lock_timeout: float, address: str, app_id: str) -> None:
    from provisioner.cli.output import say
    from provisioner.cli.planning import pinned
    from provisioner.cli.workspace import base_url, connect
    from provisioner.model import Address
    from provisioner.plan import Observed
    from provisioner.refresh import check_base_url, check_organization
    from provisioner.state import AppRecord

    wanted = Address.parse(address)
    url = base_url(workspace)
    with connect(workspace) as api, workspace.store.lock("import", lock_timeout):
        state = workspace.store.read()
        check_base_url(state, url)
        app = _importable(workspace, state, api, wanted, app_id)
        check_organization(state, (app,), workspace.manifest.provider.organization_id)
        workspace.store.write_header(pinned(state, url, Observed((app,))))
        protect = workspace.desired.lifecycle(wanted).protect is True
        workspace.store.write_record(AppRecord(wanted, app, protect=protect))
    say(f"{wanted}: Import complete [id={app.id}]")


def _importable(workspace: Workspace, state: State, api: OAuthAppsApi, address: Address, app_id: str) -> App:
    """The app, where nothing stands against it."""
    from provisioner.cli.generating import unfinished

    if address not in workspace.desired.apps:
        raise PlanError(
            f"{address} is not in the manifest",
            "Imported all the same, it would be destroyed by the next apply.",
            "Add it to the manifest as it is now, then import it.",
        )
    moving = [old for old, new in workspace.desired.moved.items() if new == address and old in state.records]
    if moving:
        raise PlanError(
            f"`moved` brings {moving[0]} to {address}, which is not done yet",
            "",
            "Run `provisioner apply` first.",
        )
    if address in state.records:
        raise PlanError(
            f"{address} is in the state already",
            f"It is {state.records[address].app.id}.",
            f"Its secret is given by: provisioner rotate {address}"
            if state.records[address].app.id == app_id
            else f"If that one does not matter any more: provisioner state rm {address}",
        )
    if any(entry.operation.address == address for entry in state.open):
        raise PlanError(f"An earlier run left {address} open", "", "Run `provisioner apply` first.")
    owner = next((other for other, record in state.records.items() if record.app.id == app_id), None)
    if owner is not None:
        raise PlanError(f"That app is in the state already, as {owner}")
    app = api.get_app(app_id)
    if app is None:
        raise PlanError(f"The API has no app {app_id}", "", "Check the id, and METEROID_API_KEY.")
    operation = unfinished(state, app)
    if operation:
        raise PlanError(
            f"An earlier run asked for an app of that name, as {operation.address}, and is not finished",
            "It may be the very app.",
            "Run `provisioner apply` first.",
        )
    return app
