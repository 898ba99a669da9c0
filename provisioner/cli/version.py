"""`provisioner version`."""

from __future__ import annotations

import click

from provisioner import __version__


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="As a JSON object, with the versions of what it is built on."
)
def command(as_json: bool) -> None:
    """Print the version."""
    from provisioner.cli.output import say

    if not as_json:
        say(f"provisioner v{__version__}")
        return
    import json
    import platform
    from importlib.metadata import version

    parts = ("click", "deepdiff", "httpcore", "httpx", "pydantic", "pyrage", "PyYAML")
    libraries = {name: version(name) for name in parts}
    say(
        json.dumps(
            {"version": __version__, "python": platform.python_version(), "libraries": libraries}, indent=2
        )
    )
