"""What a reader of a plan should know, and the plan does nothing about."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner import diff
from provisioner.deliveries import left_behind, without_receipt
from provisioner.drift import rotated_elsewhere
from provisioner.due import age_of
from provisioner.model import Address, App
from provisioner.phases import Event
from provisioner.plan import Action, ActionKind, Note, Reason
from provisioner.state import AppRecord
from provisioner.world import World

_STAYS = (ActionKind.NOOP, ActionKind.MOVE, ActionKind.PROTECT, ActionKind.DELIVER)
_INACTIVE = {
    **dict.fromkeys((*_STAYS, ActionKind.IMPORT), "it is inactive; it is shown and left alone"),
    ActionKind.REPLACE: "it is inactive; the one that replaces it will be active",
}


def notes(
    actions: tuple[Action, ...], world: World, replaced: frozenset[Address] = frozenset()
) -> Iterator[Note]:
    """All of them, in the order of the actions. Nothing is said of what was left out on request.

    `replaced` are addresses that were to be replaced by request.
    """
    deleted = {action.address for action in actions if action.kind is ActionKind.DELETE}
    for action in actions:
        if action.left_out:
            continue
        if action.address in replaced and action.kind is not ActionKind.REPLACE:
            yield Note(
                action.address, "--replace does nothing for it in this plan: it is not there to be replaced"
            )
        for text in (*_of_its_key(action, deleted), *_of(action, world)):
            yield Note(action.address, text)


def _of_its_key(action: Action, deleted: set[Address]) -> Iterator[str]:
    """What a renamed key costs, and how it would cost nothing."""
    renamed = sorted(action.after & deleted) if action.kind is ActionKind.CREATE else []
    if renamed:
        line = f"moved: [{{from: {renamed[0].key}, to: {action.address.key}}}]"
        yield f"{renamed[0]}, which has its name, is destroyed; if only the key was renamed, say so: {line}"
    old, app = action.moved_from, action.observed
    named = any(change.name == "name" for change in action.changes)
    if old is not None and app is not None and named and app.name == old.key:
        yield f"it is replaced because its name was its key; `name: {old.key}` keeps the app"


def _of(action: Action, world: World) -> Iterator[str]:
    unsure = action.finding is not None and action.finding.event is Event.UNSURE
    if action.kind is ActionKind.RESUME and not unsure and _outdated(action, world):
        yield "what an earlier run left open is finished first; what is left to do needs another run"
    for place in left_behind(action):
        yield f"a copy of its secret stays in {place}"
    if action.address in world.moves.waiting:
        new = world.moves.waiting[action.address]
        yield f"it is moved to {new} once what an earlier run left open is finished"
    app = action.observed
    imported = action.kind is ActionKind.IMPORT
    if app is None or (action.record is not None and action.record.app.id != app.id and not imported):
        return
    if not app.is_active:
        yield _INACTIVE.get(action.kind, "it is inactive")
    if imported:
        yield f"its secret will not be held; `provisioner rotate {action.address.key}` gives it a new one"
    elif action.record is not None:
        yield from _of_its_secret(action, action.record, app, world)


def _of_its_secret(action: Action, record: AppRecord, app: App, world: World) -> Iterator[str]:
    key = action.address.key
    stays = action.kind in _STAYS and world.refreshed
    if record.secret is None:
        if action.kind in _STAYS:
            yield f"its secret is not held; `provisioner rotate {key}` gives it one"
    elif stays and record.secret.sealed is None and not action.handover.targets:
        names = ", ".join(sorted(record.deliveries))
        yield (
            f"only {names} has its secret, and is not among its sinks any more; the copy stays until "
            f"`provisioner rotate {key}` makes one that the state holds"
        )
    elif stays and record.secret.sealed is None and any(without_receipt(record, action.handover.targets)):
        names = ", ".join(target.sink.name for target in without_receipt(record, action.handover.targets))
        yield f"only other sinks have its secret, not {names}; `provisioner rotate {key}` makes one for all"
    elif stays and rotated_elsewhere(record, app):
        yield (
            "its secret was likely rotated elsewhere: the sealed one is not the live one; "
            f"`provisioner rotate {key}` makes a new one"
        )
    elif stays and world.wants.lifecycle(action.address).rotate_after and age_of(record, world.date) is None:
        yield "whether its secret is due for rotation is not known: the API did not say what time it is"


def _outdated(action: Action, world: World) -> bool:
    """Whether finishing an open operation leaves something to do for the next plan."""
    wanted = world.wanted(action.address)
    if action.like in (ActionKind.CREATE, ActionKind.REPLACE):
        return action.open is not None and action.open.operation.spec != wanted
    forgotten = action.address in world.wants.forgotten
    if action.record is None or action.like is ActionKind.DELETE or action.reason is Reason.NEVER_MADE:
        return wanted is not None and not forgotten
    return wanted is None or forgotten or not diff.same(action.record.app, wanted)
