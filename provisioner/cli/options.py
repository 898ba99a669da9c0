"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def manifest_options(command: Command) -> Command:
    """-f, --var and --var-file."""
    for option in (
        click.option(
            "--var-file", "var_files", multiple=True, metavar="FILE", help="YAML file of variables."
        ),
        click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Set a variable."),
        click.option(
            "-f",
            "--file",
            "files",
            multiple=True,
            metavar="PATH",
            help="Manifest file or folder; repeatable. Without it: apps.yaml, else apps/.",
        ),
    ):
        command = option(command)
    return command


allow_option = click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="CLASS[:ADDRESS]",
    help="Consent to a class of changes: delete, replace or recreate-all; repeatable.",
)

no_color_option = click.option("--no-color", is_flag=True, help="Print without colours.")


def state_options(command: Command) -> Command:
    """-f, or --state for who has no manifest at hand."""
    for option in (
        click.option(
            "--state", "folder", metavar="FOLDER", help="The state's folder, instead of the manifest's."
        ),
        click.option("-f", "--file", "files", multiple=True, metavar="PATH", help="Manifest file or folder."),
    ):
        command = option(command)
    return command
