"""`provisioner plan`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import allow_option, manifest_options, no_color_option
from provisioner.errors import EXIT_CHANGES, EXIT_ERROR


@click.command()
@manifest_options
@click.option("--refresh/--no-refresh", default=True, help="Ask the API what exists (default), or do not.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 where there are changes.")
@allow_option
@no_color_option
def command(  # one parameter an option
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    refresh: bool,
    detailed_exitcode: bool,
    allowed: Sequence[str],
    no_color: bool,
) -> int:
    """Show what apply would do. Writes nothing and takes no lock.

    With --no-refresh it needs no token and no network, and says that drift was not looked for.
    """
    from provisioner.cli.output import complain, say_painted  # --help needs none of these
    from provisioner.cli.planning import consent_from, look, planned, rules
    from provisioner.cli.workspace import base_url, connect, open_workspace, readers
    from provisioner.planner import build
    from provisioner.render.plan_text import conflicts_text, plan_text

    consent = consent_from(allowed)
    workspace = open_workspace(files, variables, var_files)
    prior = workspace.store.read()
    if refresh:
        with connect(workspace) as api:
            observed = look(workspace, api, prior, base_url(workspace))
        plan = planned(workspace, consent, prior, observed)
    else:
        plan = build(workspace.desired, prior, None, rules(workspace))
    say_painted(plan_text(plan, readers(workspace).lines()), False if no_color else workspace.settings.colour)
    if plan.conflicts:
        complain(conflicts_text(plan))
        return EXIT_ERROR
    return EXIT_CHANGES if detailed_exitcode and plan.changes else 0
