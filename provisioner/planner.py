"""The planner: pure in what is wanted, what was recorded, and what the API lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from provisioner import diff
from provisioner.desired import DesiredState
from provisioner.errors import PlanError
from provisioner.model import Address, App, AppSpec
from provisioner.name import fold
from provisioner.operation import OpenOperation, OperationKind, ReplyFrame
from provisioner.plan import Action, ActionKind, Conflict, Note, Observed, Plan, Reason, in_order
from provisioner.state import AppRecord, State
from provisioner.text import quote


def build(desired: DesiredState, prior: State, observed: Observed | None) -> Plan:
    """The plan. Raises PlanError where names go round in a circle, or the API's list cannot be whole."""
    world = _World(prior, observed)
    addresses = sorted({*desired.apps, *prior.records, *world.open})
    actions = tuple(_action(address, desired.apps.get(address), world) for address in addresses)
    ordered = _waiting(actions, world)
    return Plan(
        actions=ordered,
        conflicts=tuple(_conflicts(ordered, world)),
        notes=tuple(_notes(ordered)),
        refreshed=observed is not None,
    )


class _World:
    """Look-ups over what is, made once."""

    def __init__(self, prior: State, observed: Observed | None) -> None:
        self.records: Mapping[Address, AppRecord] = prior.records
        self.open = {entry.operation.address: entry for entry in prior.open}
        self.refreshed = observed is not None
        self.gone = observed.gone if observed else frozenset[str]()
        apps = observed.apps if observed else tuple(record.app for record in prior.records.values())
        self.by_id = {app.id: app for app in apps}
        self.by_name: dict[str, list[App]] = {}
        for app in apps:
            self.by_name.setdefault(fold(app.name), []).append(app)
        self.owners = {record.app.id: address for address, record in prior.records.items()}

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


def _action(address: Address, spec: AppSpec | None, world: _World) -> Action:
    record = world.records.get(address)
    entry = world.open.get(address)
    if entry:
        return _resume(entry, spec, record, world)
    if record is None:
        return Action(ActionKind.CREATE, address, spec)
    app = world.observed(record)
    if app is None:
        if spec is None:
            return Action(ActionKind.FORGET, address, None, record, reason=Reason.DELETED_OUTSIDE)
        return Action(ActionKind.CREATE, address, spec, record, reason=Reason.DELETED_OUTSIDE)
    if spec is None:
        return Action(ActionKind.DELETE, address, None, record, app, reason=Reason.NOT_IN_MANIFEST)
    changes = diff.changes(app, spec)
    kind = ActionKind.REPLACE if changes else ActionKind.NOOP
    return Action(kind, address, spec, record, app, changes)


def _resume(entry: OpenOperation, spec: AppSpec | None, record: AppRecord | None, world: _World) -> Action:
    """What an open operation comes to: record its answer, send it again, or only close it."""
    operation = entry.operation
    wanted = operation.spec or spec
    recorded = record is not None and record.secret is not None and record.secret.operation == operation.id
    if operation.kind is OperationKind.DELETE or recorded:
        return Action(
            ActionKind.RESUME, operation.address, wanted, record, reason=Reason.NOTHING_LEFT, open=entry
        )
    app = world.by_id.get(entry.reply.app_id or "") if entry.reply else None
    found = app if entry.reply and app and answers_for(entry.reply, app) else None
    reason = (
        Reason.ANSWER_ON_DISK if found else Reason.SEND_AGAIN if world.refreshed else Reason.NOT_LOOKED_FOR
    )
    return Action(ActionKind.RESUME, operation.address, wanted, record, found, reason=reason, open=entry)


def answers_for(reply: ReplyFrame, app: App) -> bool:
    """Whether a sealed answer is this app's: a whole 201 with the same ids and hint."""
    seen = (reply.app_id, reply.client_id, reply.hint)
    return reply.complete and reply.status == 201 and seen == (app.id, app.client_id, app.client_secret_hint)


def _waiting(actions: tuple[Action, ...], world: _World) -> tuple[Action, ...]:
    """Let each action that takes a name wait for the one that frees it; refuse circles."""
    freeing = {action.address for action in actions if action.destroys}
    linked = []
    for action in actions:
        holders = {world.owners.get(app.id) for app in _holders(action, world)} - {None, action.address}
        after = frozenset(address for address in holders if address in freeing)
        linked.append(replace(action, after=after) if after else action)
    in_order(tuple(linked))
    return tuple(linked)


def _holders(action: Action, world: _World) -> list[App]:
    """The apps that now have the name which an action will take."""
    if action.spec is None or action.kind is ActionKind.NOOP or action.reason is Reason.NOTHING_LEFT:
        return []
    return world.by_name.get(fold(action.spec.name), [])


def _conflicts(actions: tuple[Action, ...], world: _World) -> Iterator[Conflict]:
    for action in actions:
        yield from _not_ours_any_more(action)
        if action.observed is not None and action.kind is ActionKind.RESUME:
            continue  # its name is held by the very app that is to be recorded
        for app in _holders(action, world):
            owner = world.owners.get(app.id)
            if owner == action.address or owner in action.after:
                continue
            yield _taken(action, app, owner)


def _not_ours_any_more(action: Action) -> Iterator[Conflict]:
    """Before a delete, id, client id and creation time must be the record's."""
    if not action.destroys or action.record is None or action.observed is None:
        return
    recorded, now = action.record.app, action.observed
    if (recorded.client_id, recorded.created_at) != (now.client_id, now.created_at):
        yield Conflict(
            action.address,
            f"{action.address} is not the app that was recorded",
            f"{now.id} has another client id or creation time than the record, so it is not deleted.",
            "Find out who made it, and bring the state back from version control if it is the wrong one.",
        )


def _taken(action: Action, app: App, owner: Address | None) -> Conflict:
    name = quote(app.name, 80)
    if owner is not None:
        return Conflict(
            action.address,
            f"The name {name} is still held by {owner}",
            f"{owner} keeps it in this plan ({app.id}), and names are unique.",
            "Give one of the two another name.",
        )
    if action.open is not None:
        return Conflict(
            action.address,
            f"An earlier run asked for {name} and got no answer; an app of that name exists now",
            f"{app.id}, created {app.created_at}, is probably what it made; its secret was never seen.",
            f"If nobody else made it, delete {app.id} in Meteroid's web interface and apply again.",
        )
    return Conflict(
        action.address,
        f"The name {name} exists remotely, but not in the state",
        f"{app.id}, created {app.created_at}, was not made from this state. It is never taken over silently.",
        f"A later version adopts it with: provisioner import {action.address} {app.id}\n"
        "Until then give the app another name, or delete the one that exists.",
    )


def _notes(actions: tuple[Action, ...]) -> Iterator[Note]:
    for action in actions:
        record, app = action.record, action.observed
        if record is None or app is None or record.secret is None:
            continue
        if app.client_secret_hint != record.secret.hint:
            yield Note(
                action.address, "its secret was likely rotated elsewhere: the sealed one is not the live one"
            )
        if not app.is_active:
            yield Note(action.address, "it is inactive; it is shown and left alone")
