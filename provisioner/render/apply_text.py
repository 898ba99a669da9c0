"""An apply as text: a line when an action starts, one when it ends, and how it all ended."""

from __future__ import annotations

from provisioner.plan import Action, ActionKind, ApplyResult, Event, Result, Started, Status
from provisioner.text import escape

_DOING = {
    ActionKind.CREATE: ("Creating", "Creation"),
    ActionKind.REPLACE: ("Replacing", "Replacement"),
    ActionKind.ROTATE: ("Rotating", "Rotation"),
    ActionKind.DELETE: ("Destroying", "Destruction"),
    ActionKind.FORGET: ("Forgetting", "Removal from the state"),
    ActionKind.IMPORT: ("Importing", "Import"),
    ActionKind.MOVE: ("Moving", "Move"),
    ActionKind.DELIVER: ("Delivering", "Delivery"),
    ActionKind.PROTECT: ("Updating the record", "Update of the record"),
    ActionKind.RESUME: ("Resuming", "Completion of the earlier run"),
}


def progress(event: Event, seconds: float) -> str:
    """One line for one event; `seconds` is how long the action took."""
    if isinstance(event, Started):
        return f"{event.action.address}: {_DOING[event.action.kind][0]}...{_id(event.action)}"
    noun = _DOING[event.action.kind][1]
    match event.status:
        case Status.DONE:
            made = f" [id={event.app.id}]" if event.app else ""
            but = f", but {'; '.join(event.problems)}" if event.problems else ""
            return f"{event.action.address}: {noun} complete after {seconds:.0f}s{made}{but}"
        case Status.SKIPPED:
            return f"{event.action.address}: Not started: {event.message}"
        case Status.OPEN:
            return f"{event.action.address}: {noun} left open: {event.message}"
        case _:
            return f"{event.action.address}: {noun} failed: {event.message}"


def _id(action: Action) -> str:
    return f" [id={action.record.app.id}]" if action.record and action.destroys else ""


def ending(result: ApplyResult, destroy: bool = False) -> str:
    """`Apply complete! …`, or what is left and what to type next."""
    counts = result.counts
    imported = f"{counts.imported} imported, " if counts.imported else ""
    done = f"{imported}{counts.add} added, {counts.change} changed, {counts.destroy} destroyed."
    undone = result.unfinished
    if result.done and destroy:
        return f"Destroy complete! Resources: {counts.destroy} destroyed.\n"
    if result.done:
        return f"Apply complete! Resources: {done}\n"
    if not undone:
        return f"Error: What was done is not where others see it\n\nResources: {done} {result.trouble}\n"
    broken = "Interrupted before everything was done" if result.interrupted else "Not everything was done"
    lines = [
        f"Error: {broken}",
        "",
        f"Resources: {done} {len(undone)} of {len(result.results)} changes are not finished:",
        *(_undone(item) for item in undone),
        "",
        "What was done is recorded. `provisioner plan` shows what is left; `provisioner apply` goes on.",
    ]
    if any(item.problems or item.action.kind is ActionKind.DELIVER for item in undone):
        lines.append(
            "A secret that was not delivered is sealed in the state: delivering it takes an identity."
        )
    if result.trouble:
        lines.append(f"Others do not see it yet: {result.trouble}")
    return "\n".join(lines) + "\n"


def _undone(result: Result) -> str:
    if result.status is Status.DONE:
        return f"  {result.action.address}: done and recorded, but {'; '.join(result.problems)}"
    return f"  {result.action.address}: {result.status.value}: {escape(result.message)}"
