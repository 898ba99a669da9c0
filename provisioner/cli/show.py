"""`provisioner show`: the state, or a saved plan in any of its forms."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import Reports, report_files, state_options
from provisioner.errors import UsageError


@click.command()
@state_options
@report_files
@click.option("--json", "as_json", is_flag=True, help="Print it as a JSON document, on one line.")
@click.argument("plan_file", required=False, metavar="[PLANFILE]")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    folder: str | None,
    reports: Reports,
    as_json: bool,
    plan_file: str | None,
) -> None:
    """Show the state: every recorded app, with its secret left sealed.

    With PLANFILE, made by `plan --out`, show that plan: as text, as JSON, or in the files that are named.
    """
    from provisioner.cli.output import say

    if plan_file is not None:
        _show_plan(plan_file, as_json, reports)
        return
    if reports != Reports():
        raise UsageError("These reports are of a saved plan", "", "Name the file that `plan --out` made.")
    from provisioner.cli.workspace import open_store
    from provisioner.render.state_json import state_json
    from provisioner.render.state_text import state_text

    shown = state_json if as_json else state_text
    say(shown(open_store(folder, files, variables, var_files).read()), end="")


def _show_plan(path: str, as_json: bool, reports: Reports) -> None:
    import json

    from provisioner.cli.output import say
    from provisioner.cli.saving import read_plan
    from provisioner.cli.showing import write_reports
    from provisioner.render.saved_plan import refuse
    from provisioner.text import escape

    whole = read_plan(path, "provisioner show")
    try:
        write_reports(whole, whole["text"], reports)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # digests right, and parts wrong
        refuse(path, "its parts are not those of a plan")
    if as_json:
        say(json.dumps(whole, sort_keys=True))  # one line, as `terraform show -json` has it
    else:
        say("".join(f"{escape(line)}\n" for line in whole["text"].splitlines()), end="")
