"""The planner: pure in what is wanted, what was recorded, and what the API lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from provisioner import diff
from provisioner.conflicts import conflicts, too_many
from provisioner.consent import Choices
from provisioner.deliveries import with_deliveries
from provisioner.desired import DesiredState
from provisioner.drift import drift, rotated_elsewhere
from provisioner.due import overdue
from provisioner.errors import PlanError
from provisioner.model import Address, App, AppSpec
from provisioner.notes import notes
from provisioner.plan import Action, ActionKind, Drift, Observed, Plan, Reason
from provisioner.recovery import DEFAULT_RULES, Rules
from provisioner.resumption import resumed
from provisioner.selection import check_addresses, selected
from provisioner.state import AppRecord, State
from provisioner.turns import in_turn, linked
from provisioner.world import World, came_late, settled


def build(
    desired: DesiredState,
    prior: State,
    observed: Observed | None,
    rules: Rules = DEFAULT_RULES,
    choices: Choices | None = None,
) -> Plan:
    """The plan. Raises PlanError where names go round in a circle, or the API's list cannot be whole."""
    choices = choices or Choices()
    plan = _built(World(desired, prior, observed, rules), choices)
    return _braked(plan, desired.policy.max_deletes if choices.max_deletes is None else choices.max_deletes)


def build_destruction(
    desired: DesiredState,
    prior: State,
    observed: Observed | None,
    rules: Rules = DEFAULT_RULES,
    choices: Choices | None = None,
) -> Plan:
    """The plan that destroys every recorded app which is not protected; only a typed limit counts."""
    nothing = replace(desired, apps={}, imports={}, sinks={})
    world = World(nothing, prior, observed, rules, why_deleted=Reason.REQUESTED)
    choices = choices or Choices()
    return _braked(_built(world, choices), choices.max_deletes)


def look_for_drift(desired: DesiredState, prior: State, observed: Observed) -> tuple[Drift, ...]:
    """What happened outside of provisioner, whatever the manifest says of it."""
    return tuple(drift(World(replace(desired, moved={}), prior, observed)))


def build_rotation(
    addresses: Iterable[Address], desired: DesiredState, prior: State, observed: Observed
) -> Plan:
    """The plan that rotates just these recorded apps' secrets, whatever the manifest says of them."""
    world = World(replace(desired, moved={}), prior, observed)
    actions = tuple(_rotation(address, world) for address in addresses)
    return Plan(actions, tuple(conflicts(actions, world)), tuple(notes(actions, world)))


def _braked(plan: Plan, limit: int | None) -> Plan:
    brake = () if limit is None else too_many(plan.actions, limit)
    return replace(plan, conflicts=(*plan.conflicts, *brake))


def _built(world: World, choices: Choices) -> Plan:
    actions = linked(tuple(_action(address, world, choices) for address in world.addresses), world)
    check_addresses(choices, actions, world.wants.moved)
    chosen = in_turn(selected(actions, choices), world)
    return Plan(
        actions=chosen,
        conflicts=tuple(conflicts(chosen, world)),
        notes=tuple(notes(chosen, world, choices.replace)),
        drift=tuple(drift(world)) if world.refreshed else (),
        refreshed=world.refreshed,
        complete=not (choices.target or choices.exclude),
        destruction=world.destruction,
    )


def _rotation(address: Address, world: World) -> Action:
    record = world.records.get(address)
    if record is None:
        raise PlanError(f"{address} is not in the state", "", "`provisioner state list` shows what is.")
    if address in world.open:
        raise PlanError(
            f"{address} has an operation that an earlier run left open",
            "It must be finished before another one begins.",
            "Run `provisioner apply` first.",
        )
    app = world.observed(record)
    if app is None:
        raise PlanError(
            f"{address} does not exist any more: {record.app.id} was deleted outside of provisioner",
            "There is no secret to rotate.",
            "`provisioner plan` shows what apply would do about it.",
        )
    action = Action(
        ActionKind.ROTATE, address, None, record, app, reason=Reason.REQUESTED, protect=record.protect
    )
    return with_deliveries(action, world)


def _action(address: Address, world: World, choices: Choices) -> Action:
    """What is to be done at one address."""
    action = _unmoved(address, world, choices)
    origin = world.moves.origins.get(address)
    if origin and action.kind is ActionKind.NOOP:
        action = replace(action, kind=ActionKind.MOVE)
    protect = world.protected(address)
    if (origin, protect) != (action.moved_from, action.protect):
        action = replace(action, moved_from=origin, protect=protect)
    return with_deliveries(action, world)


def _unmoved(address: Address, world: World, choices: Choices) -> Action:
    record, entry = world.records.get(address), world.open.get(address)
    if entry:
        return resumed(entry, record, world)
    if record is None:
        return _absent(address, world)
    app, spec = world.observed(record), world.desired.get(address)
    blocked = address in world.moves.blocked and app is not None and not world.destruction
    if blocked or address in world.moves.waiting:
        return Action(ActionKind.NOOP, address, record=record)
    if app is None:
        return _gone(address, spec, record, world)
    if spec is None:
        return _unwanted(address, record, app, world)
    if world.recorded_elsewhere(record):
        return Action(ActionKind.CREATE, address, spec, record, reason=Reason.RECORDED_TWICE)
    return _wanted(address, spec, record, app, world, choices)


def _absent(address: Address, world: World) -> Action:
    spec, app_id = world.desired[address], world.wants.imports.get(address)
    if app_id is None:
        return Action(ActionKind.CREATE, address, spec)
    app = world.by_id.get(app_id)
    if app:
        world.owners.setdefault(app_id, address)
    return Action(ActionKind.IMPORT, address, spec, observed=app, import_id=app_id)


def _gone(address: Address, spec: AppSpec | None, record: AppRecord, world: World) -> Action:
    """A dead record gives way to an app that is to be imported in its place."""
    app_id = world.wants.imports.get(address)
    app = world.by_id.get(app_id) if app_id else None
    if spec is not None and app is not None:
        world.owners.setdefault(app.id, address)
        return Action(ActionKind.IMPORT, address, spec, record, app, import_id=app.id)
    kind = ActionKind.FORGET if spec is None else ActionKind.CREATE
    return Action(kind, address, spec, record, reason=Reason.DELETED_OUTSIDE)


def _unwanted(address: Address, record: AppRecord, app: App, world: World) -> Action:
    kind, reason = ActionKind.DELETE, world.why_deleted
    if world.recorded_elsewhere(record):
        kind, reason = ActionKind.FORGET, Reason.RECORDED_TWICE
    elif record.app.id in world.forgotten_ids:
        kind, reason = ActionKind.FORGET, Reason.REMOVED
    return Action(kind, address, None, record, app, reason=reason)


def _wanted(
    address: Address, spec: AppSpec, record: AppRecord, app: App, world: World, choices: Choices
) -> Action:
    """What becomes of an app that exists and is to stay: in the order of what hurts most."""
    act = Action(ActionKind.NOOP, address, spec, record, app)
    changes = diff.changes(app, spec)
    if changes:
        return replace(act, kind=ActionKind.REPLACE, changes=changes)
    if address in choices.replace:
        return replace(act, kind=ActionKind.REPLACE, reason=Reason.REQUESTED)
    if came_late(record, app):
        return replace(act, kind=ActionKind.ROTATE, reason=Reason.UNSETTLED)
    limit = world.wants.lifecycle(address).rotate_after
    age = overdue(record, app, limit, world.date)
    if age:
        return replace(act, kind=ActionKind.ROTATE, reason=Reason.DUE, age=age, limit=limit)
    agreed = app.is_active and choices.consent.to(ActionKind.ROTATE, address)
    if agreed and rotated_elsewhere(record, app):
        return replace(act, kind=ActionKind.ROTATE, reason=Reason.DRIFTED)
    if world.protected(address) != record.protect:
        return replace(act, kind=ActionKind.PROTECT)
    settles = settled(record, world.date)
    return replace(act, settles=settles) if settles else act
