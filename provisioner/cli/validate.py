"""`provisioner validate`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.options import OfManifest, manifest_options


@click.command(cls=OfManifest)
@manifest_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, as `terraform validate -json`.")
def command(
    files: Sequence[str], variables: Sequence[str], var_files: Sequence[str], as_json: bool
) -> int | None:
    """Check the manifest, without the network, a token or a key."""
    from provisioner.cli.output import say
    from provisioner.cli.workspace import open_workspace

    if as_json:
        return _as_json(files, variables, var_files)
    count = len(open_workspace(files, variables, var_files).desired.apps)
    say(f"Success! The manifest is valid: {count} {'app' if count == 1 else 'apps'}.")
    return None


def _as_json(files: Sequence[str], variables: Sequence[str], var_files: Sequence[str]) -> int:
    """What is wrong goes where the document goes: on standard error there is nothing."""
    from provisioner.cli.output import say
    from provisioner.cli.workspace import check_workspace, warnings_of
    from provisioner.errors import EXIT_ERROR, ProvisionerError
    from provisioner.manifest.diagnostics import diagnostics_json

    try:
        warnings = warnings_of(check_workspace(files, variables, var_files))
    except ProvisionerError as error:
        say(diagnostics_json(error), end="")
        return EXIT_ERROR
    say(diagnostics_json(None, warnings), end="")
    return 0
