"""The folders that the commands work in: a manifest of N apps and, where wanted, what an apply left."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

API_KEY = "benchmark"
RECIPIENT = "age138du785k2yh22xnsq9n56a742d8mjmrhh055eesjrz48ja3mh9eqkeuqw6"  # nobody has the other half
DATA = "sandbox.jsonl"
MANIFEST = "apps.yaml"
_APP = """\
  app-{0}:
    name: App {0}
    redirect_uris: ['https://app-{0}.example.com/oauth/callback']
    scopes: [customers:read, invoices:read]
"""


def apps_yaml(count: int) -> str:
    """The part of the manifest that Terraform's for_each reads, too."""
    return "".join(["apps:\n" if count else "apps: {}\n", *map(_APP.format, range(count))])


def fresh(folder: Path, count: int) -> Path:
    """A folder with a manifest of `count` apps and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    stated = f"version: 1\nstate: {{recipients: ['{RECIPIENT}']}}\n"
    (folder / MANIFEST).write_text(stated + apps_yaml(count))
    return folder


def applied(folder: Path, count: int, port: int) -> Path:
    """As `fresh`, with a state, and the data of a sandbox on `port`, as an apply leaves them.

    It is done in a process of its own, so that this one stays small.
    """
    fresh(folder, count)
    command = [sys.executable, "-m", "benchmarks.seeding", str(folder), str(count), str(port)]
    subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
    return folder


def renewed(folder: Path) -> None:
    """As if nothing was ever applied there.

    An earlier state is moved away and not deleted: for minutes, ext4 would look through all files that were,
    whenever a new one is made, and that is measured.
    """
    state = folder / "state"
    if state.exists():
        state.rename(tempfile.mkdtemp(prefix="before-", dir=folder))
