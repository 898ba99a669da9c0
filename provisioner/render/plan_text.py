"""A plan as text, in Terraform's dialect: symbols, phrases and summary line as its users know them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from provisioner.plan import Action, ActionKind, Conflict, Counts, Plan, Reason
from provisioner.render.drift_text import drift_lines
from provisioner.render.lengths import length
from provisioner.render.phrases import (
    AS_REQUESTED,
    CLOSED,
    DELIVERED,
    MEANINGS,
    PHRASES,
    RESUMED,
    SCOPES_ONLY,
    SYMBOLS,
    WORDS,
)
from provisioner.render.plan_bodies import body
from provisioner.text import quote

_UPDATES: Mapping[ActionKind | None, str] = {
    ActionKind.PROTECT: "will be updated in the state only",
    ActionKind.DELIVER: DELIVERED,
    None: CLOSED,
}


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
    words = [WORDS[action.shown_as] for action in changes]
    for symbol, meaning in dict.fromkeys((SYMBOLS[word], MEANINGS.get(word, word)) for word in words):
        yield f"{symbol:>3} {meaning}"
    yield ""


def _block(action: Action) -> Iterator[str]:
    yield f"  # {_headline(action)}"
    yield from (f"  # ({reason})" for reason in _reasons(action))
    lines = list(body(action))
    if lines:
        yield f'{SYMBOLS[WORDS[action.shown_as]]:>3} resource "oauth_app" "{action.address.key}" {{'
        yield from lines
        yield "    }"
    yield ""


def _headline(action: Action) -> str:
    if action.kind is ActionKind.MOVE:
        return f"{action.moved_from} {PHRASES['move']} to {action.address}"
    if action.kind is ActionKind.REPLACE and action.reason is Reason.REQUESTED:
        return f"{action.address} {AS_REQUESTED}"
    resumed = RESUMED.get(action.reason) if action.reason else None
    return f"{action.address} {resumed or _UPDATES.get(action.shown_as) or PHRASES[WORDS[action.shown_as]]}"


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
