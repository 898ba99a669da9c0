"""Habits from Terraform: long options with a single dash, and an environment variable for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

PREFIX = "PROVISIONER_"
# What consents, and what changes what is done, is said on the command line by whoever is there, and refused
# where the environment says it (settings.COMMAND_LINE_ONLY). The variables have PROVISIONER_VAR_name.
NO_TWIN = frozenset({
    "again", "allow", "auto-approve", "destroy", "dry-run", "exclude", "generate", "max-deletes", "replace",
    "rotate", "state", "target", "var", "var-file", "yes",
})  # fmt: skip

# Every long option, so that none needs to be imported to know it; a test holds this against the commands.
FLAGS = frozenset({
    "again", "auto-approve", "check", "destroy", "detailed-exitcode", "diff", "dry-run", "generate", "help",
    "json", "keep-env", "no-color", "refresh", "rotate", "version", "yes",
})  # fmt: skip
VALUES = frozenset({
    "allow", "api-key", "chdir", "data", "digest", "exclude", "fault", "field", "file", "format",
    "gitlab-report", "html", "latency", "lock-timeout", "markdown", "max-age", "max-deletes", "out",
    "parallelism", "port", "prefix", "replace", "state", "target", "var", "var-file",
})  # fmt: skip
OPPOSITES = {"refresh": "no-refresh", "no-refresh": "refresh"}  # flags that can be said either way
# What Terraform has an option for and we have not, and what to type instead.
HINTS = {
    "force": "`state unlock ID` needs none; --auto-approve and --allow say what may be done without asking.",
    "input": "With --auto-approve nothing is asked.",
    "lock": "Nothing is written without the lock; --lock-timeout says how long to wait for it.",
    "refresh-only": "`provisioner drift` shows what was changed outside of provisioner.",
}
YAML = (".yaml", ".yml")
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
        if name in FLAGS or name in OPPOSITES:
            yield from _flag(name, value)
        elif name in VALUES:
            yield f"--{name}" if value is None else f"--{name}={value}"
        else:
            yield from _file(argument)


def _flag(name: str, value: str | None) -> Iterator[str]:
    """`-refresh=false` is `--no-refresh`; another flag that is false is not given at all."""
    if value in (None, "true"):
        yield f"--{name}"
    elif value != "false":
        raise click.UsageError(f"-{name} is true or false, not {value!r}.")
    elif name in OPPOSITES:
        yield f"--{OPPOSITES[name]}"


def _file(argument: str) -> Iterator[str]:
    """`-f=x.yaml` is `-f x.yaml`. A word like `-force` is not taken for a file called `orce`."""
    rest = argument[2:] if argument.startswith("-f") else ""
    if rest.startswith("="):
        yield from ("-f", rest[1:])
    elif not rest or ("=" not in rest and ("/" in rest or rest.endswith(YAML))):
        yield argument
    else:
        typed = argument.partition("=")[0]
        hint = HINTS.get(typed[1:], "A file is named with -f FILE, and a space between the two.")
        raise click.NoSuchOption(typed, f"No such option {typed!r}. {hint}")


def as_typed(error: click.NoSuchOption, arguments: Sequence[str]) -> click.NoSuchOption:
    """About `-bogus` as a whole, which click takes for short options, so that it says `-b`."""
    if error.ctx is None:
        return error
    words = (argument.partition("=")[0] for argument in arguments if not argument.startswith("--"))
    found = next((word for word in words if word.startswith(error.option_name) and len(word) > 2), None)
    typed = found or error.option_name
    if hint := HINTS.get(typed.lstrip("-")):
        return click.NoSuchOption(typed, f"No such option {typed!r}. {hint}", None, error.ctx)
    if found is None:
        return error
    options = [name for option in error.ctx.command.get_params(error.ctx) for name in _long_names(option)]
    message = click.NoSuchOption(typed).message
    return click.NoSuchOption(f"-{typed}", message, options, error.ctx)


def _long_names(option: click.Parameter) -> list[str]:
    return [name for name in (*option.opts, *option.secondary_opts) if name.startswith("--")]


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
    return next((name[2:] for name in _long_names(option)), "")
