"""The command `provisioner`: parse, wire, confirm, print, exit status."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from provisioner import __version__
from provisioner.cli.output import guarded

_GARBAGE = 50_000  # objects between two looks for cycles: what we make is values, and lives until the end


def main() -> None:
    """The console script."""
    gc.set_threshold(_GARBAGE)
    try:
        status = run(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were still being imported: nothing was begun
        from provisioner.errors import EXIT_INTERRUPTED

        status = EXIT_INTERRUPTED
    leave(status)


def leave(status: int) -> NoReturn:
    """End the process. To take its modules apart first would take longer than `--version` does."""
    atexit._run_exitfuncs()  # noqa: SLF001  # there is no other way to run them earlier
    os._exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""

    def command() -> int:
        if list(arguments) == ["--version"]:  # answered before click is imported: 20 ms, not 50
            sys.stdout.write(f"provisioner v{__version__}\n")
            return 0
        from provisioner.cli.root import dispatch  # see above

        return dispatch(arguments)

    return guarded(command)
