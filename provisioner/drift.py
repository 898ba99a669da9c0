"""What happened to recorded apps outside of provisioner."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner import diff
from provisioner.diff import AttributeChange
from provisioner.model import App
from provisioner.plan import Drift
from provisioner.state import AppRecord
from provisioner.world import World, came_late


def drift(world: World) -> Iterator[Drift]:
    """The recorded apps that are not as they were recorded, in the order of their addresses.

    What is open is not settled yet, so that nothing is said of its absence or its secret.
    """
    for address in sorted(world.records):
        record = world.records[address]
        if world.recorded_elsewhere(record):
            continue
        busy = address in world.open
        app = world.by_id.get(record.app.id) if busy else world.observed(record)
        if app is None and not busy:
            yield Drift(address, record.app, None)
        elif app is not None:
            changes = diff.drifted(record.app, app) + (() if busy else tuple(_rotated(record, app)))
            if changes:
                yield Drift(address, record.app, app, changes)


def rotated_elsewhere(record: AppRecord, app: App) -> bool:
    """Whether the sealed secret is not the live one, for no request of ours: by the hint (A7)."""
    held = record.secret
    return held is not None and held.hint != app.client_secret_hint and not came_late(record, app)


def _rotated(record: AppRecord, app: App) -> Iterator[AttributeChange]:
    if record.secret is not None and rotated_elsewhere(record, app):
        yield AttributeChange("client_secret_hint", record.secret.hint, app.client_secret_hint)
