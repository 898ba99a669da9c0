"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from provisioner.duration import duration

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
    help="Consent to a class of changes: delete, replace, rotate or recreate-all; repeatable.",
)


class Seconds(click.ParamType[float]):
    """A length of time like 30s or 5m, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what it should look like."""
        if isinstance(value, float):
            return value
        length = duration(str(value))
        if length is None:
            self.fail("a length of time looks like 30s, 5m or 1h", param, ctx)
        return length.total_seconds()


lock_option = click.option(
    "--lock-timeout",
    default="0s",
    show_default=True,
    type=Seconds(),
    metavar="DURATION",
    help="How long to wait for another run's lock.",
)

no_color_option = click.option("--no-color", is_flag=True, help="Print without colours.")


def state_options(command: Command) -> Command:
    """As `manifest_options`, and --state for who has no manifest at hand."""
    option = click.option(
        "--state", "folder", metavar="FOLDER", help="The state's folder, instead of the manifest's."
    )
    return manifest_options(option(command))
