"""What stands in a plan's way, in words: what it is, why nothing is done about it, and what to type."""

from __future__ import annotations

from provisioner.diff import AttributeChange
from provisioner.model import Address, App
from provisioner.plan import Action, ActionKind, Conflict
from provisioner.text import quote


def not_ours_any_more(action: Action, now: App) -> Conflict:
    """Another app has the id of ours."""
    return Conflict(
        action.address,
        f"{action.address} is not the app that was recorded",
        f"{now.id} has another client id or creation time than the record, so it is left alone.",
        "Find out who made it, and bring the state back from version control if it is the wrong one.",
    )


def protected(action: Action) -> Conflict:
    """`protect` is stronger than every consent; it is lifted by an apply of its own."""
    address, recorded = action.address, action.record is not None and action.record.protect
    blocked = "destroyed" if action.shown_as is ActionKind.DELETE else "replaced"
    changed = ", ".join(change.name for change in action.changes)
    why = f": {changed} would change, and the API has no update" if changed else ""
    if recorded and action.kind is ActionKind.RESUME:  # which comes before any change of the record
        lift = (
            "An earlier run began this. Let the manifest say what the app is now, and apply: that closes "
            "what was begun.\nThen lift the protection, if that is meant."
        )
    elif recorded:
        lift = (
            "If that is meant, let an apply say `protect: false` first (back in the manifest, with nothing "
            "else changed)\nand make this change in the next one. It guards against mistakes, so no flag is "
            "enough."
        )
    else:
        lift = "If that is meant, say `protect: false` for it in the manifest."
    return Conflict(
        address,
        f"{address} is protected, and would be {blocked}",
        f"Its client id would stop working, and connected accounts with it{why}.",
        lift,
    )


def too_many(destroyed: list[Action], limit: int) -> Conflict:
    """The plan as a whole."""
    count = len(destroyed)
    replaced = sum(action.shown_as is ActionKind.REPLACE for action in destroyed)
    return Conflict(
        None,
        f"{count} app{'' if count == 1 else 's'} would be destroyed or replaced, and the limit is {limit}",
        f"{count - replaced} destroyed for good, {replaced} replaced: each loses its client id, its tokens "
        "and its connected accounts.",
        f"If that is meant, run it again with --max-deletes {count}, or raise policy.max_deletes.",
    )


def both_recorded(old: Address, new: Address) -> Conflict:
    """`moved` cannot be carried out: its end has an app of its own."""
    return Conflict(
        old,
        f"{old} cannot be moved to {new}: both are in the state",
        "They are two apps, and one address cannot stand for both.",
        f"If {old} is to stay, take the move out of `moved` and put {old} back into the manifest.\n"
        f"If it is to take the place of the app at {new}, take the move out, destroy that app by "
        f"`provisioner destroy --target {new}`,\nand put the move back.",
    )


def no_such_app(address: Address, app_id: str) -> Conflict:
    """There is nothing to import."""
    return Conflict(
        address,
        f"There is no app {quote(app_id, 80)} to import as {address}",
        "The API does not know this id in the token's organization.",
        "Check the id under `import`, or take the entry out.",
    )


def imported_twice(address: Address, app: App, owner: Address) -> Conflict:
    """One app is not recorded at two addresses."""
    return Conflict(
        address,
        f"{app.id} cannot be imported as {address}: it is {owner} already",
        "One app is recorded once.",
        "Take the entry out of `import`; to rename an address, use `moved`.",
    )


def asked_for(address: Address, app: App, asking: Address) -> Conflict:
    """It may be what a lost request of ours made."""
    return Conflict(
        address,
        f"{app.id} cannot be imported as {address} yet: an earlier run asked for an app of its name",
        f"It was asked for as {asking}, got no answer, and may be the very app.",
        f"Finish that first: provisioner apply --target {asking}\nThen look at the plan again.",
    )


def imported_to_be_replaced(action: Action, changes: tuple[AttributeChange, ...]) -> Conflict:
    """Who imports an app wants to keep it; the next apply would destroy it."""
    names = ", ".join(change.name for change in changes)
    lines = "\n".join(
        f"  {change.name}: it has {_value(change.before)}, the manifest says {_value(change.after)}"
        for change in changes
    )
    return Conflict(
        action.address,
        f"{action.address} would be imported, and then replaced: it differs in {names}",
        lines,
        "Let the manifest say what the app has now, and apply. A change after that is a replacement.",
    )


def _value(value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return quote(value, 200)
    return "[" + ", ".join(quote(item, 200) for item in value) + "]"


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


def being_asked_for(action: Action, owner: Address) -> Conflict:
    """An open operation that was left out on request asked for the same name."""
    name = quote(action.spec.name, 80) if action.spec else ""
    return Conflict(
        action.address,
        f"The name {name} was asked for by {owner}, and an earlier run left that open",
        "Names are unique: whichever request is carried out first gets it.",
        f"Let {owner} be finished first: do not leave it out.",
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
        _room(action, app),
    )


def _room(action: Action, app: App) -> str:
    """How the name can be had: by import where nothing is recorded that would be lost of it."""
    if action.kind is not ActionKind.CREATE:
        return (
            f"Give {action.address} another name in the manifest, if that still has it.\n"
            f"Or, if {app.id} is yours and unused, delete it in Meteroid's web interface."
        )
    typed = f"provisioner import {action.address} {app.id}"
    if action.record:  # of an app that was deleted outside
        typed = f"provisioner state rm {action.address} && {typed}"
    return f"If it is the app that you mean: {typed}\nOtherwise give the app another name."
