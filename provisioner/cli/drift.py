"""`provisioner drift`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import detailed_option, manifest_options, no_color_option
from provisioner.errors import EXIT_CHANGES


@click.command()
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

    The manifest says which state and which API; what it wants is for `plan` to compare.
    """
    from provisioner import __version__
    from provisioner.cli.clock import SystemClock
    from provisioner.cli.output import say, say_painted
    from provisioner.cli.planning import look
    from provisioner.cli.workspace import base_url, connect, open_workspace
    from provisioner.planner import look_for_drift
    from provisioner.render.drift_text import drift_text
    from provisioner.render.events import drift_events, version_event

    workspace = open_workspace(files, variables, var_files)
    prior = workspace.store.read()
    with connect(workspace) as api:
        observed = look(workspace, api, prior, base_url(workspace))
    found = look_for_drift(workspace.desired, prior, observed)
    if as_json:
        now = SystemClock().now()
        for event in (version_event(__version__, now), *drift_events(found, now)):
            say(event)
    else:
        colour = False if no_color else workspace.settings.colour
        say_painted(drift_text(found, len(prior.records)), colour)
    return EXIT_CHANGES if detailed_exitcode and found else 0
