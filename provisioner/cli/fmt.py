"""`provisioner fmt`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import OfManifest
from provisioner.errors import EXIT_ERROR


@click.command(cls=OfManifest)
@click.option(
    "-f", "--file", "files", multiple=True, metavar="PATH", help="Manifest file or folder; repeatable."
)
@click.option("--check", is_flag=True, help="Change nothing; exit 1 where a file is not in form.")
@click.option("--diff", is_flag=True, help="Show what changes, or would change.")
def command(files: Sequence[str], check: bool, diff: bool) -> int:
    """Put manifests in one form: indentation, blank lines. Comments stay, and so does what they say.

    It prints the names of the files that are not in form. A file that it could not format is left as it is.
    """
    from difflib import unified_diff
    from pathlib import Path

    from provisioner.cli.output import say
    from provisioner.cli.workspace import manifest_sources
    from provisioner.files import rewrite
    from provisioner.manifest.formatting import formatted
    from provisioner.text import escape

    found = [(source, formatted(source)) for source in manifest_sources(files)]
    changed = [(source, after) for source, after in found if after != source.data]
    for source, after in changed:
        say(escape(source.name))
        if diff:
            before, now = source.data.decode(), after.decode()
            lines = unified_diff(before.splitlines(), now.splitlines(), source.name, source.name, lineterm="")
            say("\n".join(escape(line) for line in lines))
        if not check:
            rewrite(Path(source.name), after)
    return EXIT_ERROR if check and changed else 0
