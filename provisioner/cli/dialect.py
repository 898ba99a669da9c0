"""Habits from Terraform: long options with a single dash, and an environment variable for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

PREFIX = "PROVISIONER_"
# What consents is said on the command line, by whoever is there; variables have PROVISIONER_VAR_name.
NO_TWIN = frozenset({"allow", "auto-approve", "rotate", "var", "var-file", "yes"})

# Every long option, so that none needs to be imported to know it; a test holds this against the commands.
FLAGS = frozenset({
    "again", "auto-approve", "check", "destroy", "detailed-exitcode", "diff", "generate", "help", "json",
    "keep-env", "no-color", "refresh", "rotate", "version", "yes",
})  # fmt: skip
VALUES = frozenset({
    "allow", "api-key", "chdir", "data", "digest", "exclude", "fault", "field", "file", "format",
    "gitlab-report", "html", "latency", "lock-timeout", "markdown", "max-age", "max-deletes", "out",
    "parallelism", "port", "prefix", "replace", "state", "target", "var", "var-file",
})  # fmt: skip
_SINGLE = re.compile(r"-([a-z][a-z-]+)(?:=(.*))?", re.DOTALL)


def translated(arguments: Sequence[str]) -> Iterator[str]:
    """The command line with `-out=plan.json` as `--out=plan.json`. What is not known is left as it is."""
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            yield argument
            yield from left
            return
        match = _SINGLE.fullmatch(argument)
        name, value = match.groups() if match else ("", None)
        if name in FLAGS:
            yield from _flag(name, value)
        elif name in VALUES:
            yield f"--{name}" if value is None else f"--{name}={value}"
        else:
            yield argument


def _flag(name: str, value: str | None) -> Iterator[str]:
    """`-refresh=false` is `--no-refresh`; another flag that is false is not given at all."""
    if value in (None, "true"):
        yield f"--{name}"
    elif value != "false":
        raise click.UsageError(f"-{name} is true or false, not {value!r}.")
    elif name == "refresh":
        yield "--no-refresh"


def with_twins(command: click.Command) -> click.Command:
    """Let each option be given by a variable, too: PROVISIONER_LOCK_TIMEOUT for --lock-timeout."""
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            name = long_name(option)
            if name and name not in NO_TWIN:
                option.envvar = PREFIX + name.upper().replace("-", "_")
    for inner in getattr(command, "commands", {}).values():
        with_twins(inner)
    return command


def long_name(option: click.Option) -> str:
    """`lock-timeout`; "" where an option has no long form."""
    return next((name[2:] for name in option.opts if name.startswith("--")), "")
