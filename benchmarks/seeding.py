"""A state and a sandbox's data as an apply leaves them: python -m benchmarks.seeding FOLDER COUNT PORT."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.places import DATA, RECIPIENT
from provisioner.model import Address, App, Secret
from provisioner.sandbox import datafile
from provisioner.sandbox.world import OAuthApp
from provisioner.sealing import Sealer
from provisioner.state import AppRecord, Header, SealedSecret, header_to, record_to

_SCOPES = ("customers:read", "invoices:read")
_ANSWER = Secret(b"x" * 700)  # as long as the API's answer to a create, with its label


def seed(folder: Path, count: int, port: int) -> None:
    """Nothing of it is synced. A state belongs to a base URL, and so to a port."""
    sealed = Sealer([RECIPIENT]).seal(_ANSWER)
    records = folder / "state" / "apps"
    records.mkdir(parents=True)
    with datafile.opened(folder / DATA) as world:
        for number in range(count):
            uris = [f"https://app-{number}.example.com/oauth/callback"]
            made = world.create(f"App {number}", uris, _SCOPES)
            (records / f"app-{number}.json").write_bytes(record_to(_record(number, made, sealed)))
    header = Header("benchmark", f"http://127.0.0.1:{port}", world.organization_id)
    (folder / "state" / "state.json").write_bytes(header_to(header))


def _record(number: int, made: OAuthApp, sealed: str) -> AppRecord:
    fields = {name: getattr(made, name) for name in App.__match_args__}
    secret = SealedSecret(sealed, made.client_secret_hint, "create", f"op_{number}", made.created_at)
    return AppRecord(Address(f"app-{number}"), App(**fields), secret)


if __name__ == "__main__":
    seed(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
