"""What stands in a plan's way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provisioner import diff
from provisioner import objections as because
from provisioner.model import Address, App
from provisioner.name import fold
from provisioner.plan import Action, ActionKind, Conflict, Reason
from provisioner.state import AppRecord
from provisioner.turns import asked_for, holders, takes_a_name
from provisioner.world import World, settled

_DESTROYS = (ActionKind.DELETE, ActionKind.REPLACE)


def conflicts(actions: tuple[Action, ...], world: World) -> Iterator[Conflict]:
    """All of them; while there is one, nothing is applied."""
    asking = asked_for(world)
    for action in actions:
        if action.left_out:
            continue
        yield from _not_ours_any_more(action)
        yield from _of_kind(action, world)
        yield from _taken(action, world)
        yield from _asked(action, asking)
        if action.address in world.moves.blocked and action.kind is ActionKind.NOOP:
            yield because.both_recorded(action.address, world.moves.blocked[action.address])


def too_many(actions: tuple[Action, ...], limit: int) -> Iterator[Conflict]:
    """The brake: more apps destroyed by one plan than anybody meant to."""
    destroyed = [action for action in actions if action.destroys]
    if len(destroyed) > limit:
        yield because.too_many(destroyed, limit)


def _of_kind(action: Action, world: World) -> Iterator[Conflict]:
    if action.reason is Reason.WHOSE:
        yield because.unsure(action)
    if action.destroys and _protected(action, world):
        yield because.protected(action)
    if action.kind in _DESTROYS and _may_come_twice(action.record, world):
        yield because.too_early(action)
    if action.kind is ActionKind.FORGET and action.reason is Reason.DELETED_OUTSIDE:
        yield from _not_forgotten(action, world)
    if action.kind is ActionKind.IMPORT and action.record:
        yield from _not_forgotten(action, world)
    if action.kind is ActionKind.IMPORT and world.refreshed:
        yield from _not_imported(action, world)


def _not_ours_any_more(action: Action) -> Iterator[Conflict]:
    """Before a delete or a rotation, id, client id and creation time must be the record's."""
    touches = action.destroys or action.kind is ActionKind.ROTATE
    if not touches or action.record is None or action.observed is None:
        return
    recorded, now = action.record.app, action.observed
    if (recorded.id, recorded.client_id, recorded.created_at) != (now.id, now.client_id, now.created_at):
        yield because.not_ours_any_more(action, now)


def _protected(action: Action, world: World) -> bool:
    """By its record, or by the manifest before it is recorded; an app that is gone needs no protection."""
    recorded = action.record is not None and action.record.app.id in world.protected_ids
    return recorded or world.wants.lifecycle(action.address).protect is True


def _taken(action: Action, world: World) -> Iterator[Conflict]:
    for app in holders(action, world):
        owner = world.owners.get(app.id)
        if owner != action.address and owner not in action.after:
            yield because.taken(action, app, owner)


def _asked(action: Action, asking: Mapping[str, Address]) -> Iterator[Conflict]:
    """An open operation that was left out may still make an app of the name."""
    if action.kind is ActionKind.RESUME or not takes_a_name(action) or action.spec is None:
        return
    owner = asking.get(fold(action.spec.name))
    if owner is not None and owner != action.address and owner not in action.after:
        yield because.being_asked_for(action, owner)


def _may_come_twice(record: AppRecord | None, world: World) -> bool:
    """Whether an earlier request for the recorded app could still be carried out, once its name is free."""
    secret = record.secret if record else None
    return secret is not None and secret.unsettled_until is not None and not settled(record, world.date)


def _not_forgotten(action: Action, world: World) -> Iterator[Conflict]:
    """A record whose request was repeated is the one trace of what its first try may make, or has made."""
    record = action.record
    if record is None or record.secret is None or record.secret.unsettled_until is None:
        return
    named = world.by_name.get(fold(record.app.name), [])
    late = [app for app in named if app.id not in world.owners]
    if late:
        yield because.made_late(action, late[0])
    elif _may_come_twice(record, world):
        yield because.too_early(action)


def _not_imported(action: Action, world: World) -> Iterator[Conflict]:
    app, app_id = action.observed, action.import_id or ""
    if app is None:
        yield because.no_such_app(action.address, app_id)
        return
    owner, asking = world.owners.get(app.id), _asking(app, world)
    if owner != action.address and owner is not None:
        yield because.imported_twice(action.address, app, owner)
    elif asking is not None:
        yield because.asked_for(action.address, app, asking)
    elif action.spec and not diff.same(app, action.spec):
        yield because.imported_to_be_replaced(action, diff.changes(app, action.spec))


def _asking(app: App, world: World) -> Address | None:
    """Whose open operation asked for an app of this name: it may be the very one."""
    for address, entry in world.open.items():
        spec = entry.operation.spec
        if spec is not None and fold(spec.name) == fold(app.name):
            return address
    return None
