"""`provisioner plan`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import (
    Asked,
    NewFile,
    OfManifest,
    Reports,
    choice_options,
    destroy_option,
    detailed_option,
    manifest_options,
    no_color_option,
    report_options,
)
from provisioner.errors import EXIT_CHANGES, EXIT_ERROR

if TYPE_CHECKING:
    from provisioner.plan import Plan


@click.command(cls=OfManifest)
@manifest_options
@click.option("--refresh/--no-refresh", default=True, help="Ask the API what exists (default), or do not.")
@click.option(
    "--out",
    type=NewFile(),
    metavar="FILE",
    help="Save the plan, to be reviewed and then applied as it is.",
)
@detailed_option
@destroy_option
@choice_options
@report_options
@no_color_option
def command(  # one parameter an option
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    refresh: bool,
    out: str | None,
    detailed_exitcode: bool,
    destroy: bool,
    asked: Asked,
    reports: Reports,
    no_color: bool,
) -> int:
    """Show what apply would do. Writes nothing and takes no lock.

    With --no-refresh it needs no token, asks no API, and says that drift was not looked for.
    """
    from provisioner.cli.output import say  # --help needs none of these
    from provisioner.cli.planning import choices_from, look, planner
    from provisioner.cli.showing import present
    from provisioner.cli.workspace import base_url, connect, open_workspace, readers
    from provisioner.reading import shown

    choices = choices_from(asked)
    workspace = open_workspace(files, variables, var_files)
    prior, observed = workspace.store.read(), None
    if refresh:
        with connect(workspace) as api:
            observed = look(workspace, api, prior, base_url(workspace))
    plan = planner(workspace, choices, destroy)(prior, observed)
    can_read, colour = readers(workspace), False if no_color else workspace.settings.colour
    text = present(plan, can_read.lines(), reports, workspace.settings, colour)
    if out is not None:
        from provisioner.cli.saving import content_of, save

        digest = save(out, content_of(plan, prior, workspace, can_read, asked, destroy), text)
        if not reports.as_json:
            typed = _apply_line(out, files, variables, var_files)
            say(f"\nSaved to {shown(Path(out))}. {_what_for(plan, typed, digest)}")
    if plan.conflicts:
        return EXIT_ERROR
    return EXIT_CHANGES if detailed_exitcode and plan.changes else 0


def _what_for(plan: Plan, typed: str, digest: str) -> str:
    """What can be done with a saved plan."""
    if not plan.refreshed:
        return "It is to be read: it cannot be applied, because the API was not asked."
    if plan.conflicts:
        return "It is to be read: it cannot be applied, because of what stands in the way."
    return f"To do exactly this, {typed}\nIts digest is {digest}"


def _apply_line(out: str, files: Sequence[str], variables: Sequence[str], var_files: Sequence[str]) -> str:
    """What to type, with all that finds the same manifest. No value of --var is shown: logs are kept."""
    from provisioner.text import escape  # --help does not need it

    chdir = click.get_current_context().find_root().params.get("chdir")
    words = ["provisioner", *([] if chdir is None else ["--chdir", chdir]), "apply"]
    words += [word for file in files for word in ("-f", file)]
    words += [word for file in var_files for word in ("--var-file", file)]
    return f"{'give the same --var and ' if variables else ''}type: {escape(join([*words, out]))}"
