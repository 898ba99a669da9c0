"""`provisioner validate`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import OfManifest, manifest_options


@click.command(cls=OfManifest)
@manifest_options
def command(files: Sequence[str], variables: Sequence[str], var_files: Sequence[str]) -> None:
    """Check the manifest, without the network, a token or a key."""
    from provisioner.cli.output import say
    from provisioner.cli.workspace import open_workspace

    count = len(open_workspace(files, variables, var_files).desired.apps)
    say(f"Success! The manifest is valid: {count} {'app' if count == 1 else 'apps'}.")
