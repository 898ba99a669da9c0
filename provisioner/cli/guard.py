"""`provisioner guard`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.errors import EXIT_ERROR, UsageError

if TYPE_CHECKING:
    from provisioner.guarding import Finding

_PIECE = 16 * 1024 * 1024
_OVERLAP = 64 * 1024  # longer than anything that is looked for
_SMALL = 64 * 1024


@click.command()
@click.argument("paths", nargs=-1, metavar="[FILE]...")
def command(paths: Sequence[str]) -> int:
    """Refuse files that hold a secret in clear, or a state that is not sealed; for a commit's hook.

    Without FILE, all that git holds or would take up in this folder. It shows the place, never the secret.
    """
    from provisioner.cli.output import complain, say
    from provisioner.text import escape

    found = [(path, finding) for path in paths or _held_by_git() for finding in _look(Path(path))]
    remedies = dict.fromkeys(finding.kind for _, finding in found)
    for path, finding in found:
        say(f"{escape(path)}:{finding.line}: {finding.kind.what}")
    if not found:
        return 0
    lines = [f"- {kind.what}: {kind.remedy}" for kind in remedies]
    count = f"{len(found)} secret{'s' * (len(found) != 1)}"
    complain(f"\nError: {count} in clear: this must not be committed\n\n" + "\n".join(lines))
    return EXIT_ERROR


def _look(path: Path) -> list[Finding]:
    """What is found in one file. Of a link git keeps the target's name only, and of other things nothing."""
    from provisioner.guarding import delivered, findings
    from provisioner.reading import reporting
    from provisioner.sinks.formats import is_rendered

    found: set[Finding] = set()
    with reporting("read", path):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(
                "`provisioner guard` takes files", "", "Without any, it takes all that git holds."
            )
        if not stat.S_ISREG(mode):
            return []
        for piece, lines_before in _pieces(path):
            found |= findings(piece, lines_before)
            pair = delivered(piece) if len(piece) <= _SMALL and is_rendered(piece) else None
            found |= {pair} if pair else set()
    return sorted(found, key=lambda finding: (finding.line, finding.kind.what))


def _pieces(path: Path) -> Iterator[tuple[bytes, int]]:
    """A file in pieces that overlap, each with the number of lines before it: a huge one must fit, too."""
    with path.open("rb") as file:
        piece, lines = file.read(_PIECE), 0
        yield piece, lines
        while len(piece) >= _PIECE:
            lines += piece.count(b"\n", 0, len(piece) - _OVERLAP)
            piece = piece[-_OVERLAP:] + file.read(_PIECE)
            if len(piece) > _OVERLAP:
                yield piece, lines


def _held_by_git() -> list[str]:
    import subprocess

    from provisioner.settings import environment
    from provisioner.stores.git_command import passed_on

    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, env=passed_on(environment()))
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(
            "git does not say which files there are",
            "This folder is in no repository, or git is not there.",
            "Name the files.",
        ) from None
    names = sorted(os.fsdecode(name) for name in done.stdout.split(b"\0") if name)
    return [name for name in names if os.path.lexists(name)]  # deleted, and not yet in the index
