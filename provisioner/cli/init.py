"""`provisioner init`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import NewFile
from provisioner.errors import UsageError

if TYPE_CHECKING:
    from provisioner.settings import Settings

DEFAULT = "apps.yaml"
STARTER = """\
{schema}
# OAuth apps as code. `provisioner validate` checks this file, `provisioner plan` shows what it would change,
# `provisioner apply` does it.
version: 1

state:
  path: state                 # a folder beside this file: commit it, its secrets are sealed
  recipients:                 # who can open the secrets: age (age1…) or SSH (ssh-ed25519 …) public keys
    - {recipient}

# Variables are used as ${{var.domain}}; set with --var, --var-file or PROVISIONER_VAR_domain.
variables:
  domain:
    default: example.com

apps:
  # The key is this app's address, oauth_app.my-app; only this tool sees it.
  my-app:
    name: My App              # shown to people on the consent screen; a change replaces the app
    redirect_uris:            # matched exactly; a change replaces the app
      - https://app.${{var.domain}}/oauth/callback
    # scopes: [read, write]   # left out: not managed; []: none
"""


@click.command()
@click.option(
    "-f",
    "--file",
    "file",
    default=DEFAULT,
    show_default=True,
    type=NewFile(),
    metavar="FILE",
    help="The manifest.",
)
def command(file: str) -> None:
    """Write a starter manifest with its schema, and make an identity that can open its secrets.

    The identity is a private key in your own config folder (0600), made once and used again.
    """
    from provisioner.cli.output import say
    from provisioner.cli.workspace import DEFAULT_FOLDER, exists, yaml_files
    from provisioner.files import write_new
    from provisioner.reading import shown
    from provisioner.render.manifest_text import SCHEMA_LINE
    from provisioner.settings import from_environment

    manifest = Path(file)
    if exists(manifest):
        raise UsageError(
            f"{shown(manifest)} exists already", "It was left as it is.", "Name another file with -f."
        )
    if file == DEFAULT and yaml_files(Path(DEFAULT_FOLDER)):
        raise UsageError(
            "There is a manifest already, in apps/",
            "With apps.yaml beside it, no command could tell which of them is meant.",
            "Edit the files in apps/, or name another file with -f.",
        )
    identity, recipient = _identity(from_environment())
    write_new(manifest, STARTER.format(schema=SCHEMA_LINE, recipient=recipient).encode(), 0o644)
    say(f"Wrote {shown(manifest)}, a manifest with one app to edit.")
    say(_schema_beside(manifest))
    say(f"Its secrets can be opened with the identity in {identity}: keep a copy of it somewhere safe.")
    named = "" if file == DEFAULT else f" -f {quote(file)}"
    say(f"Next: edit the manifest, then type: provisioner plan{named}")


def _schema_beside(manifest: Path) -> str:
    """Write the schema that the manifest's first line names; what was done. Another one is left as it is."""
    from provisioner.cli.schema import manifest_schema
    from provisioner.cli.workspace import exists
    from provisioner.files import write_new
    from provisioner.reading import read_input, shown
    from provisioner.render.manifest_text import SCHEMA_FILE

    path, data = manifest.parent / SCHEMA_FILE, manifest_schema().encode()
    if not exists(path):
        write_new(path, data, 0o644)
        return f"Wrote {shown(path)}, by which editors complete and check it: commit both."
    if read_input(path, 16 * 1024 * 1024) == data:
        return f"{shown(path)}, by which editors complete and check it, is there already."
    return (
        f"{shown(path)} was left as it is: of another version, it seems. To have this one's, type: "
        f"provisioner schema > {quote(str(path))}"
    )


def _identity(settings: Settings) -> tuple[str, str]:
    """Where the identity that `secret get` will use is, and its public half; made where there is none."""
    from provisioner.cli.identities import find_identities, identity_file
    from provisioner.cli.workspace import exists
    from provisioner.reading import shown

    path = identity_file(settings)
    if path is not None and not exists(path):
        return shown(path.absolute()), _made(path)
    if path is None and settings.identity_text is None:
        raise UsageError(
            "There is no home folder to keep an identity in",
            "HOME is not set to a folder of yours, and neither is XDG_CONFIG_HOME.",
            "Set one of them, or name a file in PROVISIONER_AGE_KEY_FILE; it is made if it is not there.",
        )
    for key in find_identities(settings):
        if key.public:
            return key.place, key.public
    raise UsageError(
        f"{'SOPS_AGE_KEY' if path is None else shown(path.absolute())} holds no age identity",
        "An SSH key does not tell its public half here.",
        "Put its .pub line under state.recipients yourself.",
    )


def _made(path: Path) -> str:
    """Make an identity at `path`; returns its public half."""
    from provisioner.cli.clock import SystemClock
    from provisioner.files import Files, write_new
    from provisioner.sealing import generate_identity

    key, public = generate_identity()
    if not path.parent.exists():
        Files().folder(path.parent)
    head = f"# created: {SystemClock().now()}\n# public key: {public}\n"
    write_new(path, head.encode() + key.reveal() + b"\n")
    return public
