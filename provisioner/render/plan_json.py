"""A plan as a document, in the form of `terraform show -json`; no secret in it, sealed or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provisioner.model import RESOURCE_TYPE, Address, App, AppSpec
from provisioner.plan import Action, ActionKind, Counts, Drift, Plan, Reason

FORMAT_VERSION = "1.0"
_ACTIONS = {
    ActionKind.CREATE: ["create"],
    ActionKind.REPLACE: ["delete", "create"],
    ActionKind.DELETE: ["delete"],
    ActionKind.FORGET: ["forget"],
    ActionKind.ROTATE: ["update"],
    ActionKind.PROTECT: ["update"],
    ActionKind.DELIVER: ["update"],
    ActionKind.IMPORT: ["no-op"],  # as Terraform has it: `importing` and `previous_address` tell
    ActionKind.MOVE: ["no-op"],
    ActionKind.NOOP: ["no-op"],
    None: ["update"],  # an open operation to be closed
}
_SECRET = {"client_secret": True}
_NEW = ("client_id", "client_secret", "client_secret_hint", "id", "is_active")
_REASONS = {
    (ActionKind.DELETE, Reason.NOT_IN_MANIFEST): "delete_because_no_resource_config",
    (ActionKind.REPLACE, None): "replace_because_cannot_update",
    (ActionKind.REPLACE, Reason.REQUESTED): "replace_by_request",
}


def document(plan: Plan) -> dict[str, Any]:
    """The plan document. The same for equal plans: who prints it adds the time."""
    return {
        "format_version": FORMAT_VERSION,
        "refreshed": plan.refreshed,
        "applyable": bool(plan.changes) and not plan.conflicts and plan.refreshed,
        "complete": plan.complete,
        "destruction": plan.destruction,
        "errored": bool(plan.conflicts),
        "summary": counted(plan.counts),
        "resource_drift": [drifted(item) for item in plan.drift],
        "resource_changes": [changed(action) for action in plan.actions],
        "conflicts": [
            {
                "address": None if conflict.address is None else str(conflict.address),
                "summary": conflict.summary,
                "detail": conflict.detail,
                "hint": conflict.hint,
            }
            for conflict in plan.conflicts
        ],
        "notes": [{"address": str(note.address), "text": note.text} for note in plan.notes],
    }


def counted(counts: Counts) -> dict[str, int]:
    """The summary line's figures, by the names of Terraform's `change_summary`."""
    return {
        "import": counts.imported,
        "add": counts.add,
        "change": counts.change,
        "remove": counts.destroy,
        "forget": counts.forget,
        "move": counts.move,
    }


def drifted(item: Drift) -> dict[str, Any]:
    """One entry of `resource_drift`."""
    before = attributes(item.before)
    hints = [change.before for change in item.changes if change.name == "client_secret_hint"]
    if hints:
        before["client_secret_hint"] = hints[0]  # of the secret that is held
    after = None if item.app is None else attributes(item.app)
    actions = ["delete"] if after is None else ["update"]
    return {**named(item.address), "change": _ends(actions, before, after)}


def changed(action: Action) -> dict[str, Any]:
    """One entry of `resource_changes`."""
    entry = named(action.address)
    if action.moved_from:
        entry["previous_address"] = str(action.moved_from)
    entry["change"] = _change(action)
    if action.kind is ActionKind.RESUME and action.open:
        entry["resuming"] = {"operation": action.open.operation.id, "kind": action.open.operation.kind.value}
    if action.handover:
        entry["deliveries"] = [
            {"sink": target.sink.name, "type": target.sink.type, "action": done}
            for done, targets in (("deliver", action.handover.deliver), ("remove", action.handover.withdraw))
            for target in targets
        ]
    reason = _REASONS.get((action.kind, action.reason))
    if reason is None and action.reason is not None:
        reason = action.reason.name.lower()
    if reason is not None:
        entry["action_reason"] = reason
    return entry


def cuts_off(entry: Mapping[str, Any]) -> bool:
    """Whether by an entry of `resource_changes` a client id stops working; what is gone already does not."""
    gone = "resuming" in entry and entry.get("action_reason") != "delete_again"
    return "delete" in entry["change"]["actions"] and not gone


def named(address: Address) -> dict[str, Any]:
    """Where it is, as Terraform's documents say it."""
    return {"address": str(address), "mode": "managed", "type": RESOURCE_TYPE, "name": address.key}


def _ends(
    actions: list[str],
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    unknown: Iterable[str] = (),
) -> dict[str, Any]:
    """A change from one end to the other. Of an end that is none nothing is sensitive: `false`."""
    return {
        "actions": actions,
        "before": before,
        "after": after,
        "after_unknown": dict.fromkeys(unknown, True),
        "before_sensitive": False if before is None else _SECRET,
        "after_sensitive": False if after is None else _SECRET,
    }


def _change(action: Action) -> dict[str, Any]:
    kind = action.shown_as
    app = action.observed or (action.record.app if action.record else None)
    held = app is not None and kind is not ActionKind.CREATE
    before = attributes(app) | _protected(action, before=True) if app and held else None
    change = _ends(_ACTIONS[kind], before, _after(action, app), _unknown(action))
    if kind is ActionKind.REPLACE and action.changes:
        change["replace_paths"] = [[item.name] for item in action.changes]
    if action.kind is ActionKind.IMPORT:
        change["importing"] = {"id": action.import_id}
    return change


def _after(action: Action, app: App | None) -> dict[str, Any] | None:
    kind = action.shown_as
    if kind in (ActionKind.DELETE, ActionKind.FORGET):
        return None
    if kind in (ActionKind.CREATE, ActionKind.REPLACE):
        return None if action.spec is None else _made(action) | _wanted(action.spec) | _protected(action)
    if app is None:
        return None
    after = attributes(app)
    if kind is ActionKind.ROTATE:
        del after["client_secret_hint"]
    return after | _protected(action)


def _made(action: Action) -> dict[str, Any]:
    """What is known of an app that an earlier run made."""
    app = action.observed if action.kind is ActionKind.RESUME and action.like is ActionKind.CREATE else None
    return {} if app is None else {"client_id": app.client_id, "id": app.id, "is_active": app.is_active}


def _unknown(action: Action) -> list[str]:
    if action.shown_as is ActionKind.ROTATE:
        return ["client_secret", "client_secret_hint"]
    if action.shown_as not in (ActionKind.CREATE, ActionKind.REPLACE) or action.spec is None:
        return []
    scopes = ["scopes"] if action.spec.scopes is None else []
    return [name for name in (*_NEW, *scopes) if name not in _made(action)]


def _protected(action: Action, *, before: bool = False) -> dict[str, Any]:
    """An imported app's record begins with what it will say."""
    recorded = action.record is not None and action.record.protect
    return {"protect": recorded if before and action.kind is not ActionKind.IMPORT else action.protect}


def attributes(app: App) -> dict[str, Any]:
    """An app as the API shows it; that it has a secret is said apart."""
    return {
        "client_id": app.client_id,
        "client_secret_hint": app.client_secret_hint,
        "id": app.id,
        "is_active": app.is_active,
        "name": app.name,
        "redirect_uris": sorted(app.redirect_uris),
        "scopes": sorted(app.scopes),
    }


def _wanted(spec: AppSpec) -> dict[str, Any]:
    scopes = {} if spec.scopes is None else {"scopes": sorted(spec.scopes)}
    return {"name": spec.name, "redirect_uris": sorted(spec.redirect_uris), **scopes}
