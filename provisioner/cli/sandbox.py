"""`provisioner sandbox`: the API on this machine, for trying things out."""

from __future__ import annotations

import importlib
import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provisioner.errors import UsageError
from provisioner.sandbox import datafile, faults
from provisioner.sandbox.api import OPERATIONS
from provisioner.sandbox.ids import new_api_key
from provisioner.sandbox.world import World
from provisioner.text import quote

if TYPE_CHECKING:
    from provisioner.sandbox.application import Sandbox

_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750 §2.1; needs no quoting in a shell


@click.command("sandbox")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on [a free one].")
@click.option("--api-key", metavar="KEY", help="Key that clients must show [a random one].")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the apps in FILE, their pretend secrets in clear, and go on from there [in memory].",
)
@click.option("--latency", default="0ms", metavar="DURATION", help="Wait before each answer, like 20ms.")
@click.option(
    "--fault",
    "specs",
    multiple=True,
    metavar="SPEC",
    help=f"Misbehave; SPEC is {faults.FORM}, like create:lost-after or list@2x3:429=1. May be repeated. "
    f"OPERATION is {', '.join(OPERATIONS)} or *; KIND is {', '.join(faults.KIND_NAMES)}.",
)
def command(port: int, api_key: str | None, data: Path | None, latency: str, specs: tuple[str, ...]) -> None:
    """Run a local server that speaks the Meteroid OAuth-apps API, to try things out without an account.

    It listens on 127.0.0.1 only and prints the two variables to export. Its apps and secrets are pretend.
    """
    server = _server()
    key = _checked(api_key) or new_api_key()
    seconds = faults.seconds(latency)
    kept = f"in {quote(str(data))}" if data else "in memory, and gone when it ends"
    with datafile.opened(data) if data else nullcontext(World()) as world, server.listen(port) as listener:
        sandbox = server.Sandbox(world, server.url(listener), key, specs, seconds)
        server.serve(sandbox, listener, lambda: _announce(sandbox, kept))


def _checked(api_key: str | None) -> str | None:
    if api_key is not None and not _KEY.fullmatch(api_key):
        raise UsageError(
            "The key cannot be sent as a bearer token",
            "A key is letters, digits and any of - . _ ~ + /, and = at its end (RFC 6750 section 2.1).",
            "Leave --api-key out, and a random one is made.",
        )
    return api_key


def _announce(sandbox: Sandbox, kept: str) -> None:
    click.echo(f"export METEROID_BASE_URL={sandbox.url}")
    click.echo(f"export METEROID_API_KEY={sandbox.api_key}")
    click.echo(f"This is the provisioner sandbox, not Meteroid; its apps are kept {kept}.", err=True)


def _server() -> Any:
    """The server's module, imported late: what it needs is an extra."""
    try:
        return importlib.import_module("provisioner.sandbox.server")
    except ModuleNotFoundError:
        raise UsageError(
            "The sandbox's server is not installed",
            "It needs starlette and uvicorn: the extra `sandbox` of this package.",
            "pip install starlette uvicorn",
        ) from None
