"""`provisioner init`."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.errors import UsageError

STARTER = """\
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
    "-f", "--file", "file", default="apps.yaml", show_default=True, metavar="FILE", help="The manifest."
)
def command(file: str) -> None:
    """Write a starter manifest, and make an identity that can open its secrets.

    The identity is a private key in your own config folder (0600), made once and used again.
    """
    from provisioner.cli.output import say
    from provisioner.files import shown, write_new
    from provisioner.settings import from_environment

    manifest = Path(file)
    if manifest.exists():
        raise UsageError(
            f"{shown(manifest)} exists already", "It was left as it is.", "Name another file with -f."
        )
    identity, recipient = _identity(from_environment().identity_file or from_environment().own_identity)
    write_new(manifest, STARTER.format(recipient=recipient).encode(), 0o644)
    say(f"Wrote {shown(manifest)}, a manifest with one app to edit.")
    say(
        f"Its secrets can be opened with the identity in {shown(identity)}: keep a copy of it somewhere safe."
    )
    say("Next: edit the manifest, then type: provisioner plan")


def _identity(path: Path) -> tuple[Path, str]:
    """The identity file and its public half; made where there is none."""
    from provisioner.cli.clock import SystemClock
    from provisioner.files import Files, read_input, shown, write_new
    from provisioner.model import Secret
    from provisioner.sealing import generate_identity, identities_from

    if path.exists():
        public = next(
            (key.public for key in identities_from(Secret(read_input(path, 1 << 20))) if key.public), None
        )
        if public is None:
            raise UsageError(
                f"{shown(path)} holds no age identity",
                "An SSH key does not tell its public half here.",
                "Put its .pub line under state.recipients yourself.",
            )
        return path, public
    key, public = generate_identity()
    if not path.parent.exists():
        Files().folder(path.parent)
    head = f"# created: {SystemClock().now()}\n# public key: {public}\n"
    write_new(path, head.encode() + key.reveal() + b"\n")
    return path, public
