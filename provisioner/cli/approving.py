"""What an apply may do, by consent or by a `yes`, and what its exit status says of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from provisioner.errors import EXIT_INTERRUPTED, EXIT_UNFINISHED, PlanError

if TYPE_CHECKING:
    from provisioner.cli.options import Reports
    from provisioner.consent import Consent
    from provisioner.plan import Action, ApplyResult, Plan


def check_consent(consent: Consent, plan: Plan, reports: Reports, *, saved: bool) -> None:
    """With --auto-approve what destroys must have been agreed to by name."""
    from provisioner.cli.output import say

    missing = consent.missing(plan.actions)
    if missing:
        if not reports.as_json:
            say("")
        raise PlanError(
            f"{len(missing)} of these changes need consent, and nobody gave it",
            "Where nobody is asked, nothing is destroyed or rotated that was not allowed by name.",
            f"If the plan is right, {'make and save it' if saved else 'run it'} again with: "
            + _allows(missing),
        )


def _allows(missing: Iterable[Action]) -> str:
    return " ".join(
        f"--allow {action.shown_as.value}:{action.address.key}" for action in missing if action.shown_as
    )


def confirmed(plan: Plan, consent: Consent, *, destroy: bool, can_be_saved: bool) -> bool:
    """Ask; only the literal yes will do. `consent` says what it takes where nobody is there."""
    from provisioner.cli.asking import says_yes
    from provisioner.plan import ActionKind

    destroyed = [str(action.address) for action in plan.actions if action.destroys]
    rotated = [str(action.address) for action in plan.actions if action.shown_as is ActionKind.ROTATE]
    lines = ["\nDo you really want to destroy all of them?" if destroy else "\nDo you want to do this?"]
    if destroyed:
        lines.append(f"  The client ids and tokens of {', '.join(destroyed)} stop working, for good.")
    if rotated:
        lines.append(f"  The present secrets of {', '.join(rotated)} stop working at once.")
    given = f"--auto-approve {_allows(consent.missing(plan.actions))}".rstrip()
    plan_it = f"`provisioner plan {'--destroy ' if destroy else ''}--out FILE`"
    saved = f"; or save the plan with {plan_it}, and apply that" if can_be_saved else ""
    return says_yes("\n".join(lines), "Apply cancelled. Nothing was done.", f"Give {given}{saved}.")


def outlives(action: Action) -> bool:
    """Whether an open operation was finished that leaves an app behind."""
    from provisioner.plan import ActionKind

    return action.kind is ActionKind.RESUME and action.like in (ActionKind.CREATE, ActionKind.ROTATE)


def exit_status(result: ApplyResult) -> int:
    """0, 3 where something is left undone, 130 where that is because of an interrupt and nothing is open."""
    from provisioner.plan import Status

    if result.done:
        return 0
    return EXIT_INTERRUPTED if result.interrupted and not result.having(Status.OPEN) else EXIT_UNFINISHED
