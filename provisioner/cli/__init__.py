"""The command `provisioner`: parse, wire, confirm, print, exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from provisioner import __version__
from provisioner.cli.output import guarded


def main() -> None:
    """The console script."""
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while modules were still being imported: nothing was begun
        from provisioner.errors import EXIT_INTERRUPTED

        sys.exit(EXIT_INTERRUPTED)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""

    def command() -> int:
        if list(arguments) == ["--version"]:  # answered before click is imported: 20 ms, not 50
            sys.stdout.write(f"provisioner v{__version__}\n")
            return 0
        from provisioner.cli.root import dispatch  # see above

        return dispatch(arguments)

    return guarded(command)
