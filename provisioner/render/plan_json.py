"""A plan as a document, in the form of `terraform show -json`; no secret in it, sealed or not."""

from __future__ import annotations

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
    ActionKind.IMPORT: ["no-op"],  # as Terraform has it: `importing` and `previous_address` tell
    ActionKind.MOVE: ["no-op"],
    ActionKind.NOOP: ["no-op"],
    None: ["update"],  # an open operation to be closed
}
_SECRET = {"client_secret": True}
_NEW = {"client_id": True, "client_secret": True, "client_secret_hint": True, "id": True}
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
    before = _attributes(item.before)
    hints = [change.before for change in item.changes if change.name == "client_secret_hint"]
    if hints:
        before["client_secret_hint"] = hints[0]  # of the secret that is held
    after = None if item.app is None else _attributes(item.app)
    actions = ["delete"] if after is None else ["update"]
    return {**_named(item.address), "change": {"actions": actions, "before": before, "after": after}}


def changed(action: Action) -> dict[str, Any]:
    """One entry of `resource_changes`."""
    entry = _named(action.address)
    if action.moved_from:
        entry["previous_address"] = str(action.moved_from)
    entry["change"] = _change(action)
    if action.kind is ActionKind.RESUME and action.open:
        entry["resuming"] = {"operation": action.open.operation.id, "kind": action.open.operation.kind.value}
    reason = _REASONS.get((action.kind, action.reason))
    if reason is None and action.reason is not None:
        reason = action.reason.name.lower()
    if reason is not None:
        entry["action_reason"] = reason
    return entry


def _named(address: Address) -> dict[str, Any]:
    return {"address": str(address), "type": RESOURCE_TYPE, "name": address.key}


def _change(action: Action) -> dict[str, Any]:
    kind = action.shown_as
    app = action.observed or (action.record.app if action.record else None)
    held = app is not None and not (kind is ActionKind.CREATE and action.kind is not ActionKind.RESUME)
    before = None if app is None or not held else _attributes(app) | _protected(action, before=True)
    change: dict[str, Any] = {
        "actions": _ACTIONS[kind],
        "before": before,
        "after": _after(action, app),
        "after_unknown": {},
        "before_sensitive": _SECRET if before else {},
        "after_sensitive": {},
    }
    if kind in (ActionKind.CREATE, ActionKind.REPLACE):
        change["after_unknown"] = _NEW
    elif kind is ActionKind.ROTATE:
        change["after_unknown"] = {"client_secret": True, "client_secret_hint": True}
    if change["after"] is not None:
        change["after_sensitive"] = _SECRET
    if kind is ActionKind.REPLACE:
        change["replace_paths"] = [[item.name] for item in action.changes]
    if action.kind is ActionKind.IMPORT:
        change["importing"] = {"id": action.import_id}
    return change


def _after(action: Action, app: App | None) -> dict[str, Any] | None:
    kind = action.shown_as
    if kind in (ActionKind.DELETE, ActionKind.FORGET):
        return None
    if kind in (ActionKind.CREATE, ActionKind.REPLACE):
        return None if action.spec is None else _wanted(action.spec) | _protected(action)
    if app is None:
        return None
    after = _attributes(app)
    if kind is ActionKind.ROTATE:
        del after["client_secret_hint"]
    return after | _protected(action)


def _protected(action: Action, *, before: bool = False) -> dict[str, Any]:
    recorded = action.record is not None and action.record.protect
    return {"protect": recorded if before else action.protect}


def _attributes(app: App) -> dict[str, Any]:
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
