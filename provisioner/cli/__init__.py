"""The command `provisioner`: parse, wire, confirm, print, exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from provisioner import __version__


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    if list(arguments) == ["--version"]:  # answered before click is imported: 20 ms, not 50
        sys.stdout.write(f"provisioner v{__version__}\n")
        return 0
    from provisioner.cli.root import dispatch  # see above

    return dispatch(arguments)
