"""`provisioner drift`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import OfManifest, detailed_option, manifest_options, no_color_option
from provisioner.errors import EXIT_CHANGES, EXIT_ERROR


@click.command(cls=OfManifest)
@manifest_options
@detailed_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@no_color_option
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    detailed_exitcode: bool,
    as_json: bool,
    no_color: bool,
) -> int:
    """Show what was changed outside of provisioner since it was recorded. Writes nothing, takes no lock.

    The manifest says which state and which API; what it wants is for `plan` to compare. Where it has apps and
    there is no state, --detailed-exitcode exits with 1: nothing was compared.
    """
    manifest = (files, variables, var_files)
    if not as_json:
        return _look(manifest, detailed_exitcode, as_json, no_color)
    from provisioner.cli.showing import streaming

    with streaming():
        return _look(manifest, detailed_exitcode, as_json, no_color)


def _look(
    manifest: tuple[Sequence[str], Sequence[str], Sequence[str]],
    detailed_exitcode: bool,
    as_json: bool,
    no_color: bool,
) -> int:
    from provisioner.cli.clock import SystemClock
    from provisioner.cli.output import say, say_painted
    from provisioner.cli.planning import look
    from provisioner.cli.records import warn_absent
    from provisioner.cli.workspace import base_url, connect, open_workspace
    from provisioner.planner import look_for_drift
    from provisioner.render.drift_text import drift_text
    from provisioner.render.events import drift_events, warning_event

    workspace = open_workspace(*manifest)
    prior = workspace.store.read()
    lacking = warn_absent(prior, workspace.store, "nothing was compared") and bool(workspace.desired.apps)
    with connect(workspace) as api:
        observed = look(workspace, api, prior, base_url(workspace))
    found = look_for_drift(workspace.desired, prior, observed)
    if as_json:
        now = SystemClock().now()
        if prior.header is None:
            say(warning_event("There is no state: nothing was compared", workspace.store.where(), now))
        for event in drift_events(found, now):
            say(event)
    else:
        colour = False if no_color else workspace.settings.colour
        say_painted(drift_text(found, len(prior.records)), colour)
    if detailed_exitcode and lacking:
        return EXIT_ERROR
    return EXIT_CHANGES if detailed_exitcode and found else 0
