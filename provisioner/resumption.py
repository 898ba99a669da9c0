"""What the next apply does about an operation that an earlier run left open."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.operation import OpenOperation
from provisioner.phases import Event, Kind
from provisioner.plan import Action, ActionKind, Reason
from provisioner.recovery import find
from provisioner.state import AppRecord
from provisioner.world import World, came_late

_FOUND: Mapping[Event, tuple[Reason, ActionKind | None]] = {
    Event.ALREADY: (Reason.NOTHING_LEFT, None),
    Event.ABSENT: (Reason.SEND_AGAIN, ActionKind.CREATE),
    Event.OURS: (Reason.TAKE_OVER, ActionKind.CREATE),
    Event.UNSURE: (Reason.NOT_SETTLED, None),
    Event.UNWANTED: (Reason.NEVER_MADE, None),
    Event.DIFFERS: (Reason.ROTATE_AGAIN, ActionKind.ROTATE),
    Event.MISSING: (Reason.NOTHING_LEFT, None),
    Event.KEPT: (Reason.KEPT, None),
}
_SHOWN = {
    Kind.CREATE: ActionKind.CREATE,
    Kind.ROTATE: ActionKind.ROTATE,
    Kind.DELETE: ActionKind.DELETE,
    Kind.REPLACE: ActionKind.REPLACE,
}


def resumed(entry: OpenOperation, record: AppRecord | None, world: World) -> Action:
    """What an open operation comes to in the next apply."""
    address, kind = entry.operation.address, entry.operation.kind
    wanted = entry.operation.spec or world.wanted(address)
    if not world.refreshed:
        return Action(
            ActionKind.RESUME, address, wanted, record,
            reason=Reason.NOT_LOOKED_FOR, open=entry, like=_SHOWN[kind],
        )  # fmt: skip
    finding = find(entry, record, world.scene(address))
    reason, like = _shown(entry, finding.event)
    found = finding.app
    if finding.event is Event.ALREADY and record:
        found = world.by_id.get(record.app.id)
        if found and came_late(record, found):  # only closing the entry would leave a dead secret
            reason, like = Reason.UNSETTLED, ActionKind.ROTATE
    if finding.event is Event.UNSURE and finding.evidence:
        reason = Reason.WHOSE
    if finding.app and finding.event is not Event.UNWANTED:
        world.owners.setdefault(finding.app.id, address)  # the name is settled under this address first
    return Action(
        ActionKind.RESUME, address, wanted, record, found,
        reason=reason, open=entry, finding=finding, like=like,
    )  # fmt: skip


def _shown(entry: OpenOperation, event: Event) -> tuple[Reason, ActionKind | None]:
    """The words for a finding, and the kind of change that it comes to."""
    kind = entry.operation.kind
    match event:
        case Event.RESTART:
            return Reason.ROTATE_AGAIN, ActionKind.ROTATE if kind is Kind.ROTATE else ActionKind.CREATE
        case Event.ABSENT if kind is Kind.REPLACE:
            return Reason.HALF_REPLACED, ActionKind.CREATE
        case Event.FITS:
            return Reason.ANSWER_ON_DISK, ActionKind.ROTATE if kind is Kind.ROTATE else ActionKind.CREATE
        case Event.THERE:
            return Reason.DELETE_AGAIN, _SHOWN[kind]
        case Event.GONE:
            deleted = kind is Kind.DELETE
            return (
                (Reason.DELETED, ActionKind.DELETE) if deleted else (Reason.HALF_REPLACED, ActionKind.CREATE)
            )
        case _:
            return _FOUND[event]
