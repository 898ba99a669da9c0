"""`provisioner schema`."""

from __future__ import annotations

import click


@click.command()
@click.argument("of", type=click.Choice(["manifest", "plan"]), default="manifest")
def command(of: str) -> None:
    """Print the JSON Schema of the manifest, for editors and checks; with `plan` that of a saved plan.

    `provisioner init` puts the manifest's beside it. To renew it, or to have it for another manifest, save
    it as provisioner.schema.json, and let this be that manifest's first line:

    \b
    # yaml-language-server: $schema=provisioner.schema.json
    """
    from provisioner.cli.output import say

    say(manifest_schema() if of == "manifest" else plan_schema(), end="")


def manifest_schema() -> str:
    """The text of the manifest's schema, as it is printed and as `init` writes it."""
    import json

    from provisioner.manifest import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def plan_schema() -> str:
    """The text of the schema of a plan's document."""
    from importlib.resources import files

    return files("provisioner.render").joinpath("plan.schema.json").read_text("utf-8")
