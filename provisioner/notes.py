"""What a reader of a plan should know, and the plan does nothing about."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner import diff
from provisioner.drift import rotated_elsewhere
from provisioner.due import age_of
from provisioner.model import App
from provisioner.phases import Event
from provisioner.plan import Action, ActionKind, Note
from provisioner.state import AppRecord
from provisioner.world import World

_STAYS = (ActionKind.NOOP, ActionKind.MOVE, ActionKind.PROTECT)


def notes(actions: tuple[Action, ...], world: World) -> Iterator[Note]:
    """All of them, in the order of the actions. Nothing is said of what was left out on request."""
    for action in actions:
        for text in _of(action, world):
            yield Note(action.address, text)


def _of(action: Action, world: World) -> Iterator[str]:
    unsure = action.finding is not None and action.finding.event is Event.UNSURE
    if action.kind is ActionKind.RESUME and not unsure and _outdated(action, world):
        yield "what an earlier run left open is finished first; what the manifest says needs another apply"
    if action.address in world.moves.waiting:
        new = world.moves.waiting[action.address]
        yield f"it is moved to {new} once what an earlier run left open is finished"
    app = action.observed
    if app is None or (action.record is not None and action.record.app.id != app.id):
        return
    if not app.is_active:
        yield "it is inactive; it is shown and left alone"
    if action.kind is ActionKind.IMPORT:
        yield f"its secret will not be held; `provisioner rotate {action.address.key}` gives it a new one"
    elif action.record is not None:
        yield from _of_its_secret(action, action.record, app, world)


def _of_its_secret(action: Action, record: AppRecord, app: App, world: World) -> Iterator[str]:
    key = action.address.key
    stays = action.kind in _STAYS and world.refreshed
    if record.secret is None:
        if action.kind in _STAYS:
            yield f"its secret is not held; `provisioner rotate {key}` gives it one"
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
    if action.like is ActionKind.CREATE:
        return action.open is not None and action.open.operation.spec != wanted
    recorded = action.record if action.like is not ActionKind.DELETE else None
    return wanted is not None and (recorded is None or not diff.same(recorded.app, wanted))
