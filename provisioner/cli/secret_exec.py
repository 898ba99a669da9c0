"""`provisioner secret exec`."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from provisioner.cli.options import state_options
from provisioner.errors import UsageError
from provisioner.text import quote

if TYPE_CHECKING:
    from provisioner.model import Address, Secret
    from provisioner.state import AppRecord

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # POSIX.1-2017 XBD 3.231: what a shell can expand
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # and a program that is started would inherit it


class NotRunnableError(UsageError):
    """The program was found and cannot be run: 126, as shells have it."""

    exit_code = 126


class NotFoundError(UsageError):
    """The program was not found: 127, as shells have it."""

    exit_code = 127


class _Exec(click.Command):
    """Everything behind the first -- is the program's, its options too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the program from click, which would drop the -- and take the rest for addresses."""
        at = args.index("--") if "--" in args else len(args)
        left = super().parse_args(ctx, args[:at])
        ctx.params["program"] = tuple(args[at + 1 :])
        return left

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """For --help."""
        return [*super().collect_usage_pieces(ctx), "-- COMMAND [ARG]..."]


@click.command("exec", short_help="Run a command with secrets in its environment.", cls=_Exec)
@state_options
@click.option(
    "--prefix",
    "prefixes",
    multiple=True,
    metavar="PREFIX",
    help="Put before both names; {KEY} is the app's key in capitals. Once for all, or once for each address."
    "  [default: none; {KEY}_ with several]",
)
@click.option(
    "--keep-env", is_flag=True, help="Pass on the variables with the API token and the identities too."
)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    folder: str | None,
    prefixes: Sequence[str],
    keep_env: bool,
    addresses: Sequence[str],
    program: Sequence[str],
) -> None:
    """Run COMMAND with CLIENT_ID and CLIENT_SECRET of each ADDRESS in its environment.

    They are in the environment of COMMAND only. It takes the place of provisioner: it has its terminal, its
    standard streams and its signals, and its exit status is the one you get. The rest of the environment is
    passed on, but for what opens other secrets: METEROID_API_KEY, PROVISIONER_AGE_KEY_FILE, SOPS_AGE_KEY and
    their kin.

    \b
    Exit status: the command's own; 127 where it was not found, 126 where it could not be run,
    1 where there was an error before.
    """
    from provisioner.cli.opening import opener
    from provisioner.cli.records import records_of, warn_open
    from provisioner.cli.workspace import open_store
    from provisioner.custody import client_secret, naming
    from provisioner.settings import OURS, environment, from_environment

    if not program:
        raise UsageError(
            "There is no command to run",
            "It comes after the addresses, behind two dashes.",
            "Type: provisioner secret exec ADDRESS... -- COMMAND [ARG]...",
        )
    state = open_store(folder, files, variables, var_files).read()
    records = records_of(state, addresses)
    names = _names([record.address for record in records], prefixes)
    warn_open(state, records)
    open_secret = opener(from_environment())
    secrets = [client_secret(record, naming(record.address, open_secret)) for record in records]
    inherited = {name: value for name, value in environment().items() if keep_env or name not in OURS}
    _replace(program, inherited | _pairs(records, names, secrets))


def _names(addresses: Sequence[Address], prefixes: Sequence[str]) -> list[tuple[str, str]]:
    """What each pair is called. Raises UsageError where two share a name, or a shell could not say one."""
    from provisioner.delivery import DeclaredSink, Target

    given = prefixes or ["" if len(addresses) == 1 else "{KEY}_"]
    if len(given) not in (1, len(addresses)):
        raise UsageError(
            f"There are {len(given)} prefixes for {len(addresses)} addresses",
            "One is for all of them, else each address has its own.",
        )
    each = list(given) * (len(addresses) // len(given))
    found = [
        Target(DeclaredSink("exec", "exec", {"prefix": prefix}), address).names
        for prefix, address in zip(each, addresses, strict=True)
    ]
    for name, address in zip((pair[0] for pair in found), addresses, strict=True):
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"Not a name for an environment variable: {quote(name, 100)}",
                f"It would be the client id of {address}. A name is letters, digits and _, no digit first.",
                "Choose another --prefix.",
            )
    if len(set(found)) < len(found):
        raise UsageError(
            "Two apps would have the same names in the environment",
            f"All names would be: {', '.join(sorted(name for name, _ in set(found)))}.",
            "Give --prefix once with {KEY} in it, or once for each address.",
        )
    return found


def _pairs(
    records: Sequence[AppRecord], names: Sequence[tuple[str, str]], secrets: Sequence[Secret]
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for record, (client_id, client_secret), secret in zip(records, names, secrets, strict=True):
        pairs |= {client_id: record.app.client_id, client_secret: secret.reveal().decode("ascii")}
    return pairs


def _replace(program: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Become the program: nothing of ours stays in memory, and there is no one to pass signals on."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _IGNORED_BY_PYTHON}
    try:
        os.execvpe(program[0], list(program), environment)  # noqa: S606  no shell is what is wanted
    except OSError as error:
        raise _not_run(program[0], error) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _not_run(name: str, error: OSError) -> UsageError:
    """Scripts whose interpreter is missing are found and yet refused with ENOENT."""
    shown, reason = quote(name, 200), os.strerror(error.errno or 0)
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotRunnableError(f"The command {shown} could not be run", f"{reason}. Nothing was run.")
    if shutil.which(name) is not None:
        return NotRunnableError(
            f"The command {shown} could not be run",
            "It is there, but the interpreter in its first line is not. Nothing was run.",
        )
    where = "There is no such file." if "/" in name else "It is in none of the folders of PATH."
    return NotFoundError(f"The command {shown} was not found", f"{where} Nothing was run.")
