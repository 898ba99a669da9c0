"""Many apps being created, each run killed at a seeded moment: nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from provisioner.custody import client_secret
from provisioner.model import Secret
from provisioner.sandbox.application import Sandbox
from provisioner.sandbox.server import running
from provisioner.sandbox.world import World
from provisioner.sealing import generate_identity, identities_from, open_sealed
from provisioner.state import State
from provisioner.stores.directory import DirectoryStore
from torture.report import Counts

APPLY = [sys.executable, "-m", "provisioner", "apply", "--auto-approve"]
LATEST_KILL = 1.0  # seconds after a run's first write request
GIVE_UP = 400  # runs


def torture(seed: int, seconds: float, apps: int = 1000, latest: float = LATEST_KILL) -> Counts:
    """Create `apps` apps under fire for `seconds`; what is lost, doubled or in clear afterwards."""
    draw, until = random.Random(seed), time.monotonic() + seconds  # noqa: S311  # a seed is wanted, not a secret
    made: list[str] = []
    world = World(on_commit=lambda commit: made.append(commit.app.client_secret) if commit.app else None)
    identity, recipient = generate_identity()
    with tempfile.TemporaryDirectory() as name, running(world) as server:
        folder = Path(name)
        listed = "".join(f"  a{n}: {{redirect_uris: ['https://a.example/{n}']}}\n" for n in range(apps))
        manifest = f"version: 1\nstate: {{recipients: ['{recipient}']}}\napps:\n{listed}"
        (folder / "apps.yaml").write_text(manifest)
        kills, outputs = 0, b""
        for status, output in _runs(folder, server, lambda: draw.uniform(0, latest), until):
            kills += status == -signal.SIGKILL
            outputs += output
        state = DirectoryStore(folder / "state").read()
        failures = [
            *_judged(state, world, identity, apps),
            *_leaked(folder, outputs, [*made, server.api_key]),
        ]
    lost = sum(text.startswith("lost") for text in failures)
    leaked = sum(text.startswith("leaked") for text in failures)
    doubled = sum(text.startswith("unknown") for text in failures)
    return Counts(points=kills, lost=lost, duplicated=doubled, leaked=leaked, failures=tuple(failures))


def _runs(
    folder: Path, server: Sandbox, draw: Callable[[], float], until: float
) -> Iterator[tuple[int, bytes]]:
    """Each run's exit status and output, up to the first that is not killed and exits 0."""
    environment = os.environ | {"METEROID_BASE_URL": server.url, "METEROID_API_KEY": server.api_key}
    for _ in range(GIVE_UP):
        with (folder / "output").open("w+b") as output:
            process = subprocess.Popen(APPLY, cwd=folder, env=environment, stdout=output, stderr=output)
            if time.monotonic() < until:
                _kill(process, server, draw())
            status = process.wait(timeout=600)
            output.seek(0)
            yield status, output.read()
        if status == 0:
            return


def _kill(process: subprocess.Popen[bytes], server: Sandbox, delay: float) -> None:
    """SIGKILL `delay` seconds after the run's first write request, if it lives that long."""
    before = _writes(server)
    while process.poll() is None and _writes(server) == before:
        time.sleep(0.002)
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        process.kill()


def _writes(server: Sandbox) -> int:
    return sum(server.calls[name] for name in ("create", "rotate", "delete"))


def _judged(state: State, world: World, identity: Secret, apps: int) -> Iterator[str]:
    """What the sandbox, which keeps the truth, has against the state."""
    keys = identities_from(identity)
    live = {app.id: app for app in world.apps()}
    if state.open:
        yield f"lost: {len(state.open)} operations are open"
    if len(state.records) != apps:
        yield f"lost: {len(state.records)} of {apps} apps are recorded"
    for address, record in state.records.items():
        app = live.pop(record.app.id, None)
        secret = client_secret(record, lambda sealed: open_sealed(sealed, keys)).reveal().decode()
        if app is None or not world.confirms(app.client_id, secret):
            yield f"lost: the secret of {address} is not the live one"
    for app in live.values():
        yield f"unknown: {app.name} is on the server and in no record"


def _leaked(folder: Path, outputs: bytes, canaries: list[str]) -> Iterator[str]:
    texts = [outputs, *(path.read_bytes() for path in folder.rglob("*") if path.is_file())]
    everything = b"\n".join(texts)
    for canary in canaries:
        if canary.encode() in everything:
            yield "leaked: a secret stands in clear in the working folder or an output"
            return
