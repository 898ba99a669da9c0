"""`provisioner schema`."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of the manifest, for editors and checks.

    Save it, and name it on the manifest's first line:
    # yaml-language-server: $schema=apps.schema.json
    """
    import json

    from provisioner.cli.output import say
    from provisioner.manifest import json_schema

    say(json.dumps(json_schema(), indent=2))
