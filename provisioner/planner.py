"""The planner: pure in what is wanted, what was recorded, and what the API lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from provisioner import diff
from provisioner.conflicts import made_late, not_ours_any_more, taken, too_early, unsure
from provisioner.desired import DesiredState
from provisioner.errors import PlanError
from provisioner.model import Address, App, AppSpec, Listing
from provisioner.name import fold
from provisioner.operation import OpenOperation
from provisioner.phases import Event, Kind, Phase
from provisioner.plan import Action, ActionKind, Conflict, Note, Observed, Plan, Reason, in_order
from provisioner.recovery import DEFAULT_RULES, Rules, Scene, find, http_date
from provisioner.state import AppRecord, State

_CREATES = (Phase.CREATING, Phase.CREATING_AGAIN, Phase.CREATED, Phase.REPLACING)
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


def build(
    desired: DesiredState, prior: State, observed: Observed | None, rules: Rules = DEFAULT_RULES
) -> Plan:
    """The plan. Raises PlanError where names go round in a circle, or the API's list cannot be whole."""
    world = _World(desired, prior, observed, rules)
    addresses = sorted({*desired.apps, *prior.records, *world.open})
    actions = tuple(_action(address, desired.apps.get(address), world) for address in addresses)
    ordered = _waiting(actions, world)
    return Plan(
        actions=ordered,
        conflicts=tuple(_conflicts(ordered, world)),
        notes=tuple(_notes(ordered, desired)),
        refreshed=observed is not None,
    )


def build_rotation(
    addresses: Iterable[Address], desired: DesiredState, prior: State, observed: Observed
) -> Plan:
    """The plan that rotates just these recorded apps' secrets, whatever the manifest says of them."""
    world = _World(desired, prior, observed, DEFAULT_RULES)
    actions = tuple(_rotation(address, world) for address in addresses)
    return Plan(actions, tuple(_conflicts(actions, world)), tuple(_notes(actions, desired)))


def _rotation(address: Address, world: _World) -> Action:
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
    return Action(ActionKind.ROTATE, address, None, record, app, reason=Reason.REQUESTED)


class _World:
    """Look-ups over what is, made once."""

    def __init__(self, desired: DesiredState, prior: State, observed: Observed | None, rules: Rules) -> None:
        self.records: Mapping[Address, AppRecord] = prior.records
        self.open = {entry.operation.address: entry for entry in reversed(prior.open)}
        self.desired = desired.apps
        self.refreshed = observed is not None
        self.gone = observed.gone if observed else frozenset[str]()
        self.date = observed.date if observed else None
        self.apps = observed.apps if observed else tuple(record.app for record in prior.records.values())
        self.by_id = {app.id: app for app in self.apps}
        self.by_name: dict[str, list[App]] = {}
        for app in self.apps:
            self.by_name.setdefault(fold(app.name), []).append(app)
        first_wanted = sorted(prior.records, key=lambda address: (address not in desired.apps, address))
        self.owners = {prior.records[address].app.id: address for address in reversed(first_wanted)}
        self.organization_id = prior.header.organization_id if prior.header else None
        self.rules = rules

    def observed(self, record: AppRecord) -> App | None:
        """The app of a record as it is now; None where it is gone for certain."""
        app = self.by_id.get(record.app.id)
        if app is None and record.app.id not in self.gone:
            raise PlanError(
                f"The API's list is not whole: {record.address} is missing from it",
                f"It still answers for {record.app.id}, so the list cannot be trusted.",
                "Run the command again; if it persists, nothing can be planned safely.",
            )
        return app

    def recorded_elsewhere(self, record: AppRecord) -> bool:
        """Whether another record stands for the same app: one that is wanted, else the first of them."""
        return self.owners[record.app.id] != record.address

    def scene(self, address: Address) -> Scene:
        """What is known for looking into an open operation."""
        listing = Listing(self.apps, self.date)
        return Scene(listing, self.organization_id, self.owners.keys(), self.desired.get(address), self.rules)


def _action(address: Address, spec: AppSpec | None, world: _World) -> Action:
    record = world.records.get(address)
    entry = world.open.get(address)
    if entry:
        return _resume(entry, spec, record, world)
    if record is None:
        return Action(ActionKind.CREATE, address, spec)
    app = world.observed(record)
    if app is None:
        kind = ActionKind.FORGET if spec is None else ActionKind.CREATE
        return Action(kind, address, spec, record, reason=Reason.DELETED_OUTSIDE)
    if spec is None and world.recorded_elsewhere(record):
        return Action(ActionKind.FORGET, address, None, record, app, reason=Reason.RECORDED_TWICE)
    if spec is None:
        return Action(ActionKind.DELETE, address, None, record, app, reason=Reason.NOT_IN_MANIFEST)
    changes = diff.changes(app, spec)
    if changes:
        return Action(ActionKind.REPLACE, address, spec, record, app, changes)
    if _came_late(record, app):
        return Action(ActionKind.ROTATE, address, spec, record, app, reason=Reason.UNSETTLED)
    return Action(ActionKind.NOOP, address, spec, record, app, settles=_settled(record, world.date))


def _came_late(record: AppRecord, app: App) -> bool:
    """A rotation that was asked for came through after its successor was saved: the hints tell (A7)."""
    secret = record.secret
    if secret is None or secret.origin != "rotate" or secret.unsettled_until is None:
        return False
    return secret.hint != app.client_secret_hint


def _settled(record: AppRecord | None, date: str | None) -> bool:
    now = http_date(date)
    until = record.secret.unsettled_until if record and record.secret else None
    return until is not None and now is not None and now >= datetime.fromisoformat(until)


def _resume(entry: OpenOperation, spec: AppSpec | None, record: AppRecord | None, world: _World) -> Action:
    """What an open operation comes to in the next apply."""
    address, kind = entry.operation.address, entry.operation.kind
    wanted = entry.operation.spec or spec
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
        if found and _came_late(record, found):  # only closing the entry would leave a dead secret
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


def _waiting(actions: tuple[Action, ...], world: _World) -> tuple[Action, ...]:
    """Let each action that takes a name wait for the one that has it or asks for it; refuse circles."""
    freeing = set(world.open) | {
        action.address for action in actions if action.shown_as in (ActionKind.DELETE, ActionKind.REPLACE)
    }
    asking: dict[str, Address] = {}
    for address, entry in world.open.items():
        if entry.operation.spec and entry.step.phase in _CREATES:
            asking[fold(entry.operation.spec.name)] = address
    linked = []
    for action in actions:
        holders = {world.owners.get(app.id) for app in _holders(action, world)} & freeing
        if action.kind is not ActionKind.RESUME and _takes_a_name(action) and action.spec:
            holders |= {asking.get(fold(action.spec.name))}
        after = frozenset(address for address in holders if address and address != action.address)
        linked.append(replace(action, after=after) if after else action)
    in_order(tuple(linked))
    return tuple(linked)


def _takes_a_name(action: Action) -> bool:
    return action.shown_as in (ActionKind.CREATE, ActionKind.REPLACE)


def _holders(action: Action, world: _World) -> list[App]:
    """The apps that now have the name which an action will take."""
    if action.spec is None or not _takes_a_name(action):
        return []
    own = action.observed.id if action.observed and action.kind is ActionKind.RESUME else None
    return [app for app in world.by_name.get(fold(action.spec.name), []) if app.id != own]


def _conflicts(actions: tuple[Action, ...], world: _World) -> Iterator[Conflict]:
    for action in actions:
        yield from not_ours_any_more(action)
        if action.reason is Reason.WHOSE:
            yield unsure(action)
        if action.kind in (ActionKind.DELETE, ActionKind.REPLACE) and _may_come_twice(action, world):
            yield too_early(action)
        if action.kind is ActionKind.FORGET and action.reason is Reason.DELETED_OUTSIDE:
            yield from _not_forgotten(action, world)
        for app in _holders(action, world):
            owner = world.owners.get(app.id)
            if owner != action.address and owner not in action.after:
                yield taken(action, app, owner)


def _may_come_twice(action: Action, world: _World) -> bool:
    """Whether an earlier request for the recorded app could still be carried out, once its name is free."""
    secret = action.record.secret if action.record else None
    return (
        secret is not None and secret.unsettled_until is not None and not _settled(action.record, world.date)
    )


def _not_forgotten(action: Action, world: _World) -> Iterator[Conflict]:
    """A record whose request was repeated is the one trace of what its first try may make, or has made."""
    record = action.record
    if record is None or record.secret is None or record.secret.unsettled_until is None:
        return
    named = world.by_name.get(fold(record.app.name), [])
    late = [app for app in named if app.id not in world.owners]
    if late:
        yield made_late(action, late[0])
    elif _may_come_twice(action, world):
        yield too_early(action)


def _notes(actions: tuple[Action, ...], desired: DesiredState) -> Iterator[Note]:
    for action in actions:
        unsure = action.finding is not None and action.finding.event is Event.UNSURE
        if action.kind is ActionKind.RESUME and not unsure and _outdated(action, desired):
            text = (
                "what an earlier run left open is finished first; what the manifest says needs another apply"
            )
            yield Note(action.address, text)
        record, app = action.record, action.observed
        if record is None or app is None or record.app.id != app.id:
            continue
        if not app.is_active:
            yield Note(action.address, "it is inactive; it is shown and left alone")
        if record.secret is None:
            text = f"its secret is not held; `provisioner rotate {action.address.key}` gives it one"
            yield Note(action.address, text)
            continue
        if app.client_secret_hint != record.secret.hint and action.kind is ActionKind.NOOP:
            text = "its secret was likely rotated elsewhere: the sealed one is not the live one"
            yield Note(action.address, text)


def _outdated(action: Action, desired: DesiredState) -> bool:
    """Whether finishing an open operation leaves something to do for the next plan."""
    wanted = desired.apps.get(action.address)
    if action.like is ActionKind.CREATE:
        return action.open is not None and action.open.operation.spec != wanted
    recorded = action.record if action.like is not ActionKind.DELETE else None
    return wanted is not None and (recorded is None or not diff.same(recorded.app, wanted))
