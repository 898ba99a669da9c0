"""Names are unique in the API: who must free one before somebody else can take it."""

from __future__ import annotations

from dataclasses import replace

from provisioner.model import Address, App
from provisioner.name import fold
from provisioner.phases import Phase
from provisioner.plan import Action, ActionKind, in_order
from provisioner.world import World

_CREATES = (Phase.CREATING, Phase.CREATING_AGAIN, Phase.CREATED, Phase.REPLACING)
_FREES = (ActionKind.DELETE, ActionKind.REPLACE)


def in_turn(actions: tuple[Action, ...], world: World) -> tuple[Action, ...]:
    """As `linked`. Raises PlanError where names go round in a circle."""
    waiting = linked(actions, world)
    in_order(waiting)
    return waiting


def linked(actions: tuple[Action, ...], world: World) -> tuple[Action, ...]:
    """Let each action that takes a name wait for the one that has it or asks for it."""
    busy = {action.address for action in actions if action.kind is ActionKind.RESUME}
    freeing = busy | {action.address for action in actions if action.shown_as in _FREES}
    asking = asked_for(world)
    waiting = []
    for action in actions:
        waited_for = {world.owners.get(app.id) for app in holders(action, world)} & freeing
        if action.kind is not ActionKind.RESUME and takes_a_name(action) and action.spec:
            waited_for |= {asking.get(fold(action.spec.name))} & busy
        after = frozenset(address for address in waited_for if address and address != action.address)
        waiting.append(replace(action, after=after) if after != action.after else action)
    return tuple(waiting)


def asked_for(world: World) -> dict[str, Address]:
    """The names that open operations asked for, folded, and whose they are."""
    return {
        fold(entry.operation.spec.name): address
        for address, entry in world.open.items()
        if entry.operation.spec and entry.step.phase in _CREATES
    }


def takes_a_name(action: Action) -> bool:
    """Whether an app of this name will be made."""
    return action.shown_as in (ActionKind.CREATE, ActionKind.REPLACE)


def holders(action: Action, world: World) -> list[App]:
    """The apps that now have the name which an action will take."""
    if action.spec is None or not takes_a_name(action):
        return []
    own = action.observed.id if action.observed and action.kind is ActionKind.RESUME else None
    return [app for app in world.by_name.get(fold(action.spec.name), []) if app.id != own]
