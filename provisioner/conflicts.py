"""What stands in a plan's way, in words: what it is, why nothing is done about it, and what to type."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.model import Address, App
from provisioner.plan import Action, ActionKind, Conflict
from provisioner.text import quote


def not_ours_any_more(action: Action) -> Iterator[Conflict]:
    """Before a delete or a rotation, id, client id and creation time must be the record's."""
    touches = action.destroys or action.kind is ActionKind.ROTATE
    if not touches or action.record is None or action.observed is None:
        return
    recorded, now = action.record.app, action.observed
    if (recorded.id, recorded.client_id, recorded.created_at) != (now.id, now.client_id, now.created_at):
        yield Conflict(
            action.address,
            f"{action.address} is not the app that was recorded",
            f"{now.id} has another client id or creation time than the record, so it is left alone.",
            "Find out who made it, and bring the state back from version control if it is the wrong one.",
        )


def too_early(action: Action) -> Conflict:
    """Its name must not become free while an earlier request for it may still be on its way."""
    until = action.record.secret.unsettled_until if action.record and action.record.secret else None
    return Conflict(
        action.address,
        f"{action.address} cannot be destroyed or forgotten yet",
        "A request for it got no answer and was repeated. The first may still be on its way: once the name\n"
        "is free, it would make an app that nobody recorded.",
        f"Run the command again after {until}.",
    )


def made_late(action: Action, app: App) -> Conflict:
    """An app of the name that a repeated request asked for, after the recorded one was deleted by hand."""
    return Conflict(
        action.address,
        f"{app.id} has the name of {action.address}, whose app was deleted outside of provisioner",
        f"It was created {app.created_at}. A request of ours was repeated; its first try may have made it.",
        f"If nobody else made it, delete {app.id} in Meteroid's web interface; else forget the record:\n"
        f"provisioner state rm {action.address}",
    )


def unsure(action: Action) -> Conflict:
    """The evidence, and what settles it; nothing is rotated on a guess."""
    finding, entry = action.finding, action.open
    if finding is None or finding.app is None or entry is None:
        raise ValueError(f"{action.address} has nothing to be unsure of")
    app = finding.app
    checks = [f"  {'yes' if check.holds else 'NO '}  {check.text}" for check in finding.evidence]
    strong = all(check.holds for check in finding.evidence)
    asks = (
        "All of it holds, but recovery.mode is ask."
        if strong
        else "Not all of it holds, so it may be somebody else's."
    )
    return Conflict(
        action.address,
        f"Whose is {app.id}? An earlier run asked for {quote(app.name, 80)} and got no answer",
        "\n".join([f"It exists now, created {app.created_at}. The evidence that it is ours:", *checks, asks]),
        f"If it is yours and unused, delete {app.id} in Meteroid's web interface and apply again.\n"
        "If it is somebody else's, give the app in the manifest another name and wait some minutes.",
    )


def taken(action: Action, app: App, owner: Address | None) -> Conflict:
    """Somebody has the name that the action would take: another address of ours, or nobody we know."""
    name = quote(app.name, 80)
    if owner is not None:
        return Conflict(
            action.address,
            f"The name {name} is still held by {owner}",
            f"{owner} keeps it in this plan ({app.id}), and names are unique.",
            "Give one of the two another name.",
        )
    return Conflict(
        action.address,
        f"The name {name} exists remotely, but not in the state",
        f"{app.id}, created {app.created_at}, was not made from this state. It is never taken over silently.",
        f"If it is the app that you mean: provisioner import {action.address} {app.id}\n"
        "Otherwise give the app another name.",
    )
