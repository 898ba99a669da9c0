"""`provisioner destroy`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from provisioner.cli.apply import start
from provisioner.cli.options import (
    Asked,
    OfManifest,
    Reports,
    approve_option,
    choice_options,
    lock_option,
    manifest_options,
    no_color_option,
    parallelism_option,
    report_options,
)


@click.command(cls=OfManifest)
@manifest_options
@approve_option
@choice_options
@report_options
@parallelism_option
@lock_option
@no_color_option
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    auto_approve: bool,
    asked: Asked,
    reports: Reports,
    parallelism: int,
    lock_timeout: float,
    no_color: bool,
) -> int:
    """Destroy every app in the state, or those named with --target, after asking.

    The same as `apply --destroy`. Protected apps are refused; the manifest's limit does not count. With
    --auto-approve it needs --allow delete. Apps that are not in the state are left alone.
    """
    manifest = (files, variables, var_files)
    return start(manifest, asked, True, auto_approve, parallelism, lock_timeout, no_color, reports=reports)
