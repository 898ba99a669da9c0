"""A plan as text, in Terraform's dialect: symbols, phrases and summary line as its users know them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from provisioner.model import App, AppSpec
from provisioner.plan import Action, ActionKind, Conflict, Counts, Plan, Reason
from provisioner.render.attributes import changed, line, members, merged
from provisioner.render.drift_text import drift_lines
from provisioner.render.lengths import length
from provisioner.text import quote

_SYMBOLS: Mapping[ActionKind | None, tuple[str, str]] = {
    ActionKind.CREATE: ("+", "create"),
    ActionKind.REPLACE: ("-/+", "destroy and then create replacement"),
    ActionKind.DELETE: ("-", "destroy"),
    ActionKind.ROTATE: ("~", "update in place"),
    ActionKind.FORGET: (".", "forget"),
    ActionKind.IMPORT: ("=", "import"),
    ActionKind.MOVE: (">", "move"),
    ActionKind.PROTECT: ("~", "update in place"),
    ActionKind.DELIVER: ("~", "update in place"),
    None: ("~", "update in place"),
}
_PHRASES: Mapping[ActionKind | None, str] = {
    ActionKind.CREATE: "will be created",
    ActionKind.REPLACE: "must be replaced",
    ActionKind.DELETE: "will be destroyed",
    ActionKind.ROTATE: "will have its secret rotated",
    ActionKind.FORGET: "will be forgotten",
    ActionKind.IMPORT: "will be imported",
    ActionKind.PROTECT: "will be updated in the state only",
    ActionKind.DELIVER: "will have its secret delivered",
    None: "has an open operation, which will be closed",
}
_RESUMED: Mapping[Reason | None, str] = {
    Reason.ANSWER_ON_DISK: "will be recorded",
    Reason.TAKE_OVER: "will be taken over, with a new secret",
    Reason.NOT_SETTLED: "is left open",
    Reason.WHOSE: "is left open",
}
# Scopes are documented as not enforced yet; when they are, this line and its use go.
SCOPES_ONLY = "only the scopes differ, and Meteroid does not enforce scopes today: it has no effect but this"
_UNKNOWN = "(known after apply)"
_SENSITIVE = "(sensitive value)"


def plan_text(plan: Plan, readers: Iterable[str] = ()) -> str:
    """The plan without colours, in whole lines; conflicts are apart, for standard error.

    `readers` are those who can open new secrets.
    """
    return "".join(f"{text}\n" for text in _lines(plan, tuple(readers)))


def summary(counts: Counts, lead: str = "Plan: ") -> str:
    """`Plan: 1 to add, 0 to change, 0 to destroy.`, word for word what tools match."""
    imported = f"{counts.imported} to import, " if counts.imported else ""
    state_only = "".join(
        f", {count} to {what}" for count, what in ((counts.forget, "forget"), (counts.move, "move")) if count
    )
    risky = f"{counts.add} to add, {counts.change} to change, {counts.destroy} to destroy"
    return f"{lead}{imported}{risky}{state_only}."


def _lines(plan: Plan, readers: tuple[str, ...]) -> Iterator[str]:
    if not plan.refreshed:
        yield "Drift was not looked for: the API was not asked (--no-refresh).\n"
    if not plan.complete:
        yield "The plan is a part of what the manifest says: --target or --exclude leaves the rest out.\n"
    yield from drift_lines(plan.drift)
    for note in plan.notes:
        yield f"Warning: {note.address}: {note.text}\n"
    changes = plan.changes
    if not changes and not plan.conflicts:
        yield f"No changes. Nothing to do: {_why_nothing(plan)}."
        return
    if changes:
        yield from _legend(changes)
        for action in changes:
            yield from _block(action)
    if any(_seals(action) for action in changes):
        yield from _who_can_read(readers)
    if not plan.conflicts:
        yield summary(plan.counts)
        yield from _risk(changes)


def _risk(changes: tuple[Action, ...]) -> Iterator[str]:
    """What hurts, counted apart: replacements and deletions, and secrets that stop working."""
    destroyed = [action.shown_as for action in changes if action.destroys]
    replaced = destroyed.count(ActionKind.REPLACE)
    rotated = sum(action.shown_as is ActionKind.ROTATE for action in changes)
    if destroyed:
        gone = len(destroyed) - replaced
        yield (
            f"Cut off: {len(destroyed)} ({replaced} replaced, {gone} destroyed for good). "
            "Client ids stop working, tokens are revoked, accounts must consent again."
        )
    if rotated:
        yield f"Rotated: {rotated}. Each present secret stops working before the new one can be in use."


def _why_nothing(plan: Plan) -> str:
    if not plan.complete:
        return "the rest was left out on request"
    if plan.destruction:
        return "the state is empty"
    return f"{'the API' if plan.refreshed else 'the state'} has what the manifest says"


def _legend(changes: tuple[Action, ...]) -> Iterator[str]:
    yield "provisioner will do the following; the symbols mean:"
    for symbol, meaning in dict.fromkeys(map(_symbol, changes)):
        yield f"{symbol:>3} {meaning}"
    yield ""


def _symbol(action: Action) -> tuple[str, str]:
    """The symbol and what it means."""
    return _SYMBOLS[action.shown_as]


def _block(action: Action) -> Iterator[str]:
    yield f"  # {_headline(action)}"
    yield from (f"  # ({reason})" for reason in _reasons(action))
    body = list(_body(action))
    if body:
        yield f'{_symbol(action)[0]:>3} resource "oauth_app" "{action.address.key}" {{'
        yield from body
        yield "    }"
    yield ""


def _headline(action: Action) -> str:
    if action.kind is ActionKind.MOVE:
        return f"{action.moved_from} has moved to {action.address}"
    if action.kind is ActionKind.REPLACE and action.reason is Reason.REQUESTED:
        return f"{action.address} will be replaced, as requested"
    return f"{action.address} {_RESUMED.get(action.reason) or _PHRASES[action.shown_as]}"


def _body(action: Action) -> Iterator[str]:
    match action.shown_as:
        case ActionKind.CREATE:
            return _created(action)
        case ActionKind.REPLACE:
            return _replaced(action)
        case ActionKind.DELETE | ActionKind.FORGET:
            return _gone(action)
        case ActionKind.ROTATE | ActionKind.MOVE | ActionKind.PROTECT | ActionKind.DELIVER:
            return _kept(action)
        case ActionKind.IMPORT if action.observed:
            return _imported(action, action.observed)
        case _:
            return iter(())


def _reasons(action: Action) -> Iterator[str]:
    if action.reason and not (action.kind is ActionKind.REPLACE and action.reason is Reason.REQUESTED):
        yield action.reason.value.format(
            key=action.address.key, age=length(action.age), limit=length(action.limit)
        )
    if action.moved_from and action.kind is not ActionKind.MOVE:
        yield f"moved from {action.moved_from}"
    if action.destroys:
        yield "its client id stops working, its tokens are revoked, connected accounts must consent again"
    if action.kind is ActionKind.REPLACE and [change.name for change in action.changes] == ["scopes"]:
        yield SCOPES_ONLY
    rotated = action.shown_as is ActionKind.ROTATE and action.reason is not Reason.ANSWER_ON_DISK
    if rotated or action.reason is Reason.TAKE_OVER:
        yield "its present secret stops working at once, and the new one is sealed to its readers"
    if action.kind is ActionKind.IMPORT:
        yield f"from {quote(action.import_id or '', 80)}; nothing is changed in the API"
    yield from _handover(action)
    for address in sorted(action.after):
        yield f"after {address}, which has its name or asked for it"


def _handover(action: Action) -> Iterator[str]:
    """Which sinks get the secret, and which copies go."""
    handover = action.handover
    if handover.deliver:
        names = ", ".join(f"{target.sink.name} ({target.sink.type})" for target in handover.deliver)
        yield f"its secret goes to {names}"
    if handover.deliver and _from_the_state(action):
        yield "which takes an identity that can open the sealed one"
    for target in handover.withdraw:
        yield f"its copy in {target.sink.name} ({target.sink.type}) is removed"
    if handover.sink_only and handover.deliver:
        yield "once they have it the state drops its sealed copy: `sink_only`"


def _from_the_state(action: Action) -> bool:
    """Whether a secret is delivered that this run does not make."""
    return not _seals(action)


def _created(action: Action) -> Iterator[str]:
    app = action.observed if action.kind is ActionKind.RESUME else None
    if action.spec is None:
        return
    yield line("+", "client_id", quote(app.client_id) if app else _UNKNOWN)
    yield line("+", "client_secret", _SENSITIVE)
    yield line("+", "id", quote(app.id) if app else _UNKNOWN)
    yield line("+", "name", quote(action.spec.name))
    if action.protect:
        yield line("+", "protect", "true")
    yield from members("+", "redirect_uris", ((uri, "+") for uri in sorted(action.spec.redirect_uris)))
    if action.spec.scopes is not None:
        yield from members("+", "scopes", ((scope, "+") for scope in sorted(action.spec.scopes)))


def _replaced(action: Action) -> Iterator[str]:
    app, spec = _present(action), action.spec
    if spec is None:
        return
    yield line("~", "client_id", f"{quote(app.client_id)} -> {_UNKNOWN}")
    yield line("~", "client_secret", _SENSITIVE)
    yield line("~", "id", f"{quote(app.id)} -> {_UNKNOWN}")
    if app.name != spec.name:
        yield line("~", "name", f"{quote(app.name)} -> {quote(spec.name)} # forces replacement")
    else:
        yield line(" ", "name", quote(app.name))
    for name, before, after in _sets(app, spec):
        marked, why = (" ", "") if before == after else ("~", " # forces replacement")
        yield from members(marked, name, merged(before, after), why)
    if spec.scopes is None and app.scopes:  # the new app does not get them
        yield from members("~", "scopes", ((it, "-") for it in sorted(app.scopes)), after=f" -> {_UNKNOWN}")


def _gone(action: Action) -> Iterator[str]:
    app, deleted = _present(action), action.shown_as is ActionKind.DELETE
    symbol, ending = ("-", " -> null") if deleted else (".", "")
    for name, value in (("client_id", app.client_id), ("id", app.id), ("name", app.name)):
        yield line(symbol, name, quote(value) + ending)
    for name, values in (("redirect_uris", app.redirect_uris), ("scopes", app.scopes)):
        yield from members(symbol, name, ((value, symbol) for value in sorted(values)), after=ending)


def _kept(action: Action) -> Iterator[str]:
    app = _present(action)
    yield line(" ", "client_id", quote(app.client_id))
    if action.shown_as is ActionKind.ROTATE:
        yield line("~", "client_secret", _SENSITIVE)
    yield line(" ", "id", quote(app.id))
    yield from _protection(action)


def _imported(action: Action, app: App) -> Iterator[str]:
    for name, value in (("client_id", app.client_id), ("id", app.id), ("name", app.name)):
        yield line(" ", name, quote(value))
    if action.protect:
        yield line("+", "protect", "true")
    for name, values in (("redirect_uris", app.redirect_uris), ("scopes", app.scopes)):
        yield from members(" ", name, ((value, " ") for value in sorted(values)))


def _protection(action: Action) -> Iterator[str]:
    """Only where it changes: kept in the state, not in the API."""
    before = action.record.protect if action.record else False
    if action.protect != before:
        yield from changed("protect", str(before).lower(), str(action.protect).lower())


def _present(action: Action) -> App:
    """The app that an action is about: as it is now, as it was recorded, or as the journal has it."""
    known = (
        action.observed,
        action.record.app if action.record else None,
        action.open.operation.app if action.open else None,
    )
    app = next((app for app in known if app), None)
    if app is None:
        raise ValueError(f"{action.address} has no app to be shown")
    return app


def _sets(app: App, spec: AppSpec) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    yield "redirect_uris", frozenset(app.redirect_uris), frozenset(spec.redirect_uris)
    if spec.scopes is not None:
        yield "scopes", frozenset(app.scopes), frozenset(spec.scopes)


def _seals(action: Action) -> bool:
    """Whether a new secret comes of it; one that is on disk already is sealed already."""
    made = action.shown_as in (ActionKind.CREATE, ActionKind.REPLACE, ActionKind.ROTATE)
    return made and action.reason is not Reason.ANSWER_ON_DISK


def _who_can_read(readers: tuple[str, ...]) -> Iterator[str]:
    yield "New secrets will be sealed, and can be read by:"
    yield from (
        f"  {reader}" for reader in readers or ("(nobody: apply will refuse; see `provisioner init`)",)
    )
    yield ""


def conflicts_text(plan: Plan) -> str:
    """What stands in the way, and what to do about it; ends in a newline where there is anything."""
    return "\n".join(map(_conflict, plan.conflicts))


def _conflict(conflict: Conflict) -> str:
    return f"Error: {conflict.summary}\n\n{conflict.detail}\n{conflict.hint}\n"
