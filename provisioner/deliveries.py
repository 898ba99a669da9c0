"""What of an app's secret is still to be delivered, and which copies are to be taken away. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from provisioner.delivery import Handover, Target
from provisioner.drift import rotated_elsewhere
from provisioner.model import Address
from provisioner.plan import Action, ActionKind, Reason
from provisioner.state import AppRecord
from provisioner.world import World

_STAYS = (ActionKind.NOOP, ActionKind.MOVE, ActionKind.PROTECT)
_NEW_SECRET = (ActionKind.CREATE, ActionKind.REPLACE, ActionKind.ROTATE)


def with_deliveries(action: Action, world: World) -> Action:
    """The action with its deliveries; where there was nothing else to do, they are what is done."""
    handover = Handover(
        world.wants.sinks.get(action.address, ()),
        tuple(_delivered(action, world)),
        tuple(_withdrawn(action, world)),
        world.wants.lifecycle(action.address).sink_only,
    )
    kind = ActionKind.DELIVER if action.kind is ActionKind.NOOP and handover else action.kind
    if (kind, handover) == (action.kind, action.handover):
        return action
    return replace(action, kind=kind, handover=handover)


def undelivered(record: AppRecord, targets: tuple[Target, ...]) -> Iterator[Target]:
    """The targets that do not have the secret which the state holds."""
    if record.secret is not None and record.secret.sealed is not None:
        yield from without_receipt(record, targets)


def without_receipt(record: AppRecord, targets: tuple[Target, ...]) -> Iterator[Target]:
    """The targets that do not have the present secret, by their receipts, whoever holds it."""
    if record.secret is not None:
        for target in targets:
            receipt = record.deliveries.get(target.sink.name)
            has = (receipt.operation, receipt.fingerprint) if receipt else None
            if has != (record.secret.operation, target.fingerprint):
                yield as_marked(target, record)


def as_marked(target: Target, record: AppRecord | None) -> Target:
    """The target with the address that its copy there is marked with, where that is another one."""
    receipt = record.deliveries.get(target.sink.name) if record else None
    if receipt is None or receipt.fingerprint != target.fingerprint:
        return target
    owner = Address.parse(receipt.address)
    return target if owner == target.address else replace(target, formerly=owner)


def only_in_sinks(record: AppRecord, targets: tuple[Target, ...]) -> AppRecord:
    """The record of a `sink_only` app: without the sealed secret once every sink has it."""
    secret = record.secret
    if secret is None or secret.sealed is None or not targets or any(undelivered(record, targets)):
        return record
    return replace(record, secret=replace(secret, sealed=None, recipients=None))


def held(record: AppRecord) -> AppRecord:
    """The record without a secret that nobody has any more: not sealed, and in no sink."""
    secret = record.secret
    if secret is None or secret.sealed is not None:
        return record
    kept = any(receipt.operation == secret.operation for receipt in record.deliveries.values())
    return record if kept else replace(record, secret=None)


def left_behind(action: Action) -> Iterator[str]:
    """Where copies of a secret stay, because nothing says any more how to reach them."""
    if action.record is None:
        return
    reached = {target.sink.name for target in action.handover.withdraw}
    moved = {target.sink.name: target.fingerprint for target in action.handover.deliver}
    for name, receipt in sorted(action.record.deliveries.items()):
        gone = action.kind is ActionKind.DELETE or moved.get(name, receipt.fingerprint) != receipt.fingerprint
        if gone and name not in reached:
            yield f"{name}: {receipt.place}"


def _delivered(action: Action, world: World) -> Iterator[Target]:
    targets, record = world.wants.sinks.get(action.address, ()), action.record
    if action.shown_as in _NEW_SECRET:
        yield from (as_marked(target, record) for target in targets)
    elif record is not None and (action.kind in _STAYS or action.reason is Reason.NOTHING_LEFT):
        app = action.observed
        if app is None or not rotated_elsewhere(record, app):  # a dead secret is of no use to anybody
            yield from undelivered(record, targets)


def _withdrawn(action: Action, world: World) -> Iterator[Target]:
    """Copies that only the manifest as it is now can reach: its sinks, with the receipts' own settings.

    A place that some app is to have, this one or another, is not emptied. Nor is any while another of its
    app's lacks a secret that only sinks hold.
    """
    record = action.record
    if (
        record is None
        or action.kind in (ActionKind.FORGET, ActionKind.RESUME)
        or _irreplaceable(action, world)
    ):
        return
    for name, receipt in sorted(record.deliveries.items()):
        declared = world.wants.declared_sinks.get(name)
        if declared is None or (declared.keep and action.kind is ActionKind.DELETE):
            continue
        target = Target(declared, Address.parse(receipt.address))
        if target.fingerprint == receipt.fingerprint and target.fingerprint not in world.places:
            yield target


def _irreplaceable(action: Action, world: World) -> bool:
    """Whether the copies are all that there is of a secret which is to be somewhere else, too, or nowhere."""
    record = action.record
    gone = action.kind in (ActionKind.DELETE, ActionKind.IMPORT)  # the app is, or will be
    if gone or action.shown_as in _NEW_SECRET or record is None:
        return False
    targets = world.wants.sinks.get(action.address, ())
    only_in_sinks = record.secret is not None and record.secret.sealed is None
    return only_in_sinks and (not targets or any(without_receipt(record, targets)))
