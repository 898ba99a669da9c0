"""What stands between the braces of a plan's entries: attribute by attribute, with what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.model import App, AppSpec
from provisioner.plan import Action, ActionKind
from provisioner.render.attributes import changed, line, members, merged
from provisioner.text import quote

_UNKNOWN = "(known after apply)"
_SENSITIVE = "(sensitive value)"


def body(action: Action) -> Iterator[str]:
    """Its lines; none where there is nothing to show."""
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
