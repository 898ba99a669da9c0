"""`provisioner plan`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import (
    Asked,
    choice_options,
    destroy_option,
    detailed_option,
    manifest_options,
    no_color_option,
)
from provisioner.errors import EXIT_CHANGES, EXIT_ERROR


@click.command()
@manifest_options
@click.option("--refresh/--no-refresh", default=True, help="Ask the API what exists (default), or do not.")
@detailed_option
@destroy_option
@choice_options
@no_color_option
def command(  # one parameter an option
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    refresh: bool,
    detailed_exitcode: bool,
    destroy: bool,
    asked: Asked,
    no_color: bool,
) -> int:
    """Show what apply would do. Writes nothing and takes no lock.

    With --no-refresh it needs no token and no network, and says that drift was not looked for.
    """
    from provisioner.cli.output import complain, say_painted  # --help needs none of these
    from provisioner.cli.planning import choices_from, look, planner
    from provisioner.cli.workspace import base_url, connect, open_workspace, readers
    from provisioner.render.plan_text import conflicts_text, plan_text

    choices = choices_from(asked)
    workspace = open_workspace(files, variables, var_files)
    prior, observed = workspace.store.read(), None
    if refresh:
        with connect(workspace) as api:
            observed = look(workspace, api, prior, base_url(workspace))
    plan = planner(workspace, choices, destroy)(prior, observed)
    say_painted(plan_text(plan, readers(workspace).lines()), False if no_color else workspace.settings.colour)
    if plan.conflicts:
        complain(conflicts_text(plan))
        return EXIT_ERROR
    return EXIT_CHANGES if detailed_exitcode and plan.changes else 0
