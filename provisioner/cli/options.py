"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from typing import Any

import click

from provisioner.cli.dialect import YAML
from provisioner.duration import duration
from provisioner.errors import UsageError
from provisioner.frozen import dataclass

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
            help="Manifest file or folder; repeatable. Without it: apps.yaml or apps/.",
        ),
    ):
        command = option(command)
    return command


class OfManifest(click.Command):
    """A command that takes no arguments, and whose manifest is named with -f."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say so of a manifest that stands alone."""
        ctx.allow_extra_args = True
        left = super().parse_args(ctx, list(args))
        if left and not ctx.resilient_parsing:
            refuse_manifest(left, ctx.command_path)
        ctx.allow_extra_args = False
        return super().parse_args(ctx, args) if left else left


def is_folder(word: str) -> bool:
    """Whether an argument names a folder; one that cannot be looked at is none."""
    from pathlib import Path  # only where one was given

    with suppress(OSError, ValueError):
        return bool(word) and Path(word).is_dir()
    return False


def refuse_manifest(words: Sequence[str], command: str) -> None:
    """Raise UsageError where all of these arguments look like manifests."""
    from shlex import quote  # only where one was given

    from provisioner.text import escape

    if not all(word.endswith(YAML) or is_folder(word) for word in words):
        return
    options = " ".join(f"-f {quote(word)}" for word in words)
    raise UsageError("A manifest is named with -f", "", f"Type: {escape(f'{command} {options}')}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line asks of a plan, as it was typed."""

    allowed: Sequence[str] = ()
    replaced: Sequence[str] = ()
    targets: Sequence[str] = ()
    excluded: Sequence[str] = ()
    max_deletes: int | None = None


def choice_options(command: Command) -> Command:
    """--allow, --replace, --target, --exclude and --max-deletes, which the command gets as `asked`."""

    @wraps(command)
    def packed(
        *,
        allowed: Sequence[str],
        replaced: Sequence[str],
        targets: Sequence[str],
        excluded: Sequence[str],
        max_deletes: int | None,
        **others: Any,
    ) -> Any:
        return command(asked=Asked(allowed, replaced, targets, excluded, max_deletes), **others)

    chosen: Command = packed
    for option in (
        click.option(
            "--max-deletes",
            type=click.IntRange(0),
            metavar="N",
            help="How many apps may be destroyed or replaced at most, instead of policy.max_deletes.",
        ),
        _addresses("--exclude", "excluded", "Leave this address out"),
        _addresses("--target", "targets", "Plan this address only, and what must free its name first"),
        _addresses("--replace", "replaced", "Replace this app though nothing differs"),
        click.option(
            "--allow",
            "allowed",
            multiple=True,
            metavar="CLASS[:ADDRESS]",
            help="Consent to a class of changes: delete, replace, rotate or recreate-all; repeatable.",
        ),
    ):
        chosen = option(chosen)
    return chosen


class NewFile(click.ParamType[str]):
    """A file to be written, whole or not at all, which standard output, a link or a device cannot be."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse the sign for standard output, and whatever a file would be put in place of."""
        from pathlib import Path  # only where a file is asked for

        from provisioner.reading import shown, what_is_in_the_way

        if value == "-":
            self.fail(
                "it takes the name of a file, and - is none: standard output has what the command says. "
                "Name a file and `cat` it; a file that is really called - is ./-.",
                param,
                ctx,
            )
        path = Path(str(value))
        if found := what_is_in_the_way(path):
            self.fail(f"{shown(path)} is {found}, and a file would take its place. Name a file.", param, ctx)
        return str(value)


@dataclass(frozen=True, slots=True)
class Reports:
    """Where else a plan is shown, as it was typed."""

    as_json: bool = False
    markdown: str | None = None
    html: str | None = None
    gitlab: str | None = None


NO_REPORTS = Reports()


def report_options(command: Command) -> Command:
    """--json, --markdown, --html and --gitlab-report, which the command gets as `reports`."""

    @wraps(command)
    def streamed(*, as_json: bool, reports: Reports, **others: Any) -> Any:
        if not as_json:
            return command(reports=reports, **others)
        from provisioner.cli.showing import streaming

        with streaming():
            return command(reports=replace(reports, as_json=True), **others)

    option = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object a line instead of text."
    )
    return report_files(option(streamed))


def report_files(command: Command) -> Command:
    """--markdown, --html and --gitlab-report, which the command gets as `reports`."""

    @wraps(command)
    def packed(*, markdown: str | None, html: str | None, gitlab: str | None, **others: Any) -> Any:
        return command(reports=Reports(False, markdown, html, gitlab), **others)

    chosen: Command = packed
    for option in (
        _report("--gitlab-report", "gitlab", "Write GitLab's merge-request report."),
        _report("--html", "html", "Write the plan as a page of its own."),
        _report("--markdown", "markdown", "Write the plan as a comment for a pull request."),
    ):
        chosen = option(chosen)
    return chosen


def _report(flag: str, name: str, text: str) -> Callable[[Command], Command]:
    return click.option(flag, name, type=NewFile(), metavar="FILE", help=text)


def _addresses(flag: str, name: str, text: str) -> Callable[[Command], Command]:
    return click.option(flag, name, multiple=True, metavar="ADDRESS", help=f"{text}; repeatable.")


detailed_option = click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 where there is something to be done about it."
)
destroy_option = click.option("--destroy", is_flag=True, help="The plan that destroys every recorded app.")
parallelism_option = click.option(
    "--parallelism",
    default=10,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Requests that create, at the same time.",
)
approve_option = click.option(
    "--auto-approve", is_flag=True, help="Do not ask. What destroys or rotates still needs --allow."
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
