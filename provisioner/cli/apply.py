"""`provisioner apply`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import (
    Asked,
    approve_option,
    choice_options,
    destroy_option,
    lock_option,
    manifest_options,
    no_color_option,
    parallelism_option,
)
from provisioner.errors import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_UNFINISHED, PlanError

if TYPE_CHECKING:
    from provisioner.cli.workspace import Readers, Workspace
    from provisioner.consent import Consent
    from provisioner.plan import ApplyResult, Observed, Plan
    from provisioner.ports import OAuthAppsApi
    from provisioner.state import State


@click.command()
@manifest_options
@approve_option
@destroy_option
@choice_options
@parallelism_option
@lock_option
@no_color_option
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    auto_approve: bool,
    destroy: bool,
    asked: Asked,
    parallelism: int,
    lock_timeout: float,
    no_color: bool,
) -> int:
    """Do what plan shows, after asking.

    Each client secret is sealed to its readers and recorded before anything else happens to it. What an
    earlier run left unfinished is part of the plan, and finished first.
    """
    manifest = (files, variables, var_files)
    return start(manifest, asked, destroy, auto_approve, parallelism, lock_timeout, no_color)


def start(
    manifest: tuple[Sequence[str], Sequence[str], Sequence[str]],
    asked: Asked,
    destroy: bool,
    auto_approve: bool,
    parallelism: int,
    lock_timeout: float,
    no_color: bool,
) -> int:
    """An apply, whichever command began it."""
    from provisioner.cli.planning import choices_from, planner
    from provisioner.cli.workspace import base_url, connect, open_workspace, readers

    choices = choices_from(asked)
    workspace = open_workspace(*manifest)
    stop = threading.Event()
    with connect(workspace, parallelism, stop.wait) as api:
        job = Job(
            workspace,
            api,
            planner(workspace, choices, destroy),
            choices.consent.with_policy(workspace.desired.policy.allow),
            readers(workspace),
            base_url(workspace),
            parallelism,
            lock_timeout,
            False if no_color else workspace.settings.colour,
            stop,
            destroy,
        )
        return apply_approved(job) if auto_approve else apply_asked(job)


@dataclass(frozen=True, slots=True)
class Job:
    """What one apply works with."""

    workspace: Workspace
    api: OAuthAppsApi
    planner: Callable[[State, Observed], Plan]
    consent: Consent
    readers: Readers
    base_url: str
    parallelism: int
    lock_timeout: float
    colour: bool | None
    stop: threading.Event
    destroy: bool = False

    def look(self) -> tuple[State, Plan, Observed, float]:
        """The state, one list call, the plan, and when that began (seconds of a steady clock)."""
        from provisioner.apply import steady
        from provisioner.cli.planning import look

        began = steady()

        prior = self.workspace.store.read()
        observed = look(self.workspace, self.api, prior, self.base_url)
        return prior, self.planner(prior, observed), observed, began


def apply_approved(job: Job) -> int:
    """The lock first, so that there is one list call in all."""
    from provisioner.apply import settle

    with job.workspace.store.lock("apply", job.lock_timeout):
        prior, plan, observed, began = job.look()
        show(job, plan)
        if not plan.changes or plan.conflicts:
            settle(plan, job.workspace.store)
            return nothing(job, plan)
        check_consent(job, plan)
        return run(job, prior, plan, observed, began)


def apply_asked(job: Job) -> int:
    """The prompt first, then the lock and the plan once more, which must still be the one shown."""
    from provisioner.apply import outdated, settle

    _, plan, _, _ = job.look()
    show(job, plan)
    if not plan.changes or plan.conflicts:
        if outdated(plan):
            with job.workspace.store.lock("apply", job.lock_timeout):
                settle(job.look()[1], job.workspace.store)
        return nothing(job, plan)
    if not confirmed(job, plan):
        return EXIT_ERROR
    with job.workspace.store.lock("apply", job.lock_timeout):
        prior, again, observed, began = job.look()
        if again != plan:
            raise PlanError(
                "The plan is not the one you approved any more",
                "The API or the state changed while you were asked. Nothing was done.",
                "Run `provisioner apply` again and look at the new plan.",
            )
        return run(job, prior, plan, observed, began)


def show(job: Job, plan: Plan) -> None:
    """The plan on standard output, what stands in its way on standard error."""
    from provisioner.cli.output import complain, say_painted
    from provisioner.render.plan_text import conflicts_text, plan_text

    say_painted(plan_text(plan, job.readers.lines()), job.colour)
    if plan.conflicts:
        complain(conflicts_text(plan))


def nothing(job: Job, plan: Plan) -> int:
    """There is nothing to do, or nothing that may be done."""
    from provisioner.cli.output import complain, say
    from provisioner.plan import ApplyResult
    from provisioner.render.apply_text import ending

    if plan.conflicts:
        complain("Nothing was applied.")
        return EXIT_ERROR
    say("\n" + ending(ApplyResult(()), job.destroy).rstrip())
    return 0


def check_consent(job: Job, plan: Plan) -> None:
    """With --auto-approve what destroys must have been agreed to by name."""
    from provisioner.cli.output import say

    missing = job.consent.missing(plan.actions)
    if missing:
        say("")
        allows = " ".join(
            f"--allow {action.shown_as.value}:{action.address.key}" for action in missing if action.shown_as
        )
        raise PlanError(
            f"{len(missing)} of these changes need consent, and nobody gave it",
            "With --auto-approve nothing is destroyed or rotated that was not allowed by name.",
            f"If the plan is right, run it again with: {allows}",
        )


def confirmed(job: Job, plan: Plan) -> bool:
    """Ask; only the literal yes will do."""
    from provisioner.cli.output import say
    from provisioner.plan import ActionKind

    destroyed = [str(action.address) for action in plan.actions if action.destroys]
    rotated = [str(action.address) for action in plan.actions if action.shown_as is ActionKind.ROTATE]
    say("\nDo you really want to destroy all of them?" if job.destroy else "\nDo you want to do this?")
    if destroyed:
        say(f"  The client ids and tokens of {', '.join(destroyed)} stop working, for good.")
    if rotated:
        say(f"  The present secrets of {', '.join(rotated)} stop working at once.")
    say("  Only 'yes' will be accepted to approve.\n\n  Enter a value: ", end="")
    if sys.stdin is not None and sys.stdin.readline().strip() == "yes":
        say("")
        return True
    say("\nApply cancelled. Nothing was done.")
    return False


def run(job: Job, prior: State, plan: Plan, observed: Observed, began: float) -> int:
    """Under the lock: do it, and say how it ended. From here on a signal lets nothing new start."""
    from provisioner.apply import Approved, Ports, apply, settle
    from provisioner.cli.clock import SystemClock
    from provisioner.cli.interrupt import stopping
    from provisioner.cli.output import complain, say
    from provisioner.cli.planning import pinned, rules
    from provisioner.cli.progress import reporting
    from provisioner.render.apply_text import ending
    from provisioner.sealing import Sealer

    store = job.workspace.store
    ports = Ports(job.api, store, Sealer(job.readers.recipients), SystemClock())
    approved = Approved(plan, pinned(prior, job.base_url, observed), observed, rules(job.workspace), began)
    with stopping(job.stop), reporting(len(plan.changes), job.colour) as report:
        result = apply(approved, ports, job.parallelism, report, job.stop)
        settle(plan, store)
    tell = say if result.done else complain
    tell("\n" + ending(result, job.destroy).rstrip())
    return exit_status(result)


def exit_status(result: ApplyResult) -> int:
    """0, 3 where something is left undone, 130 where that is because of an interrupt and nothing is open."""
    from provisioner.plan import Status

    if result.done:
        return 0
    return EXIT_INTERRUPTED if result.interrupted and not result.having(Status.OPEN) else EXIT_UNFINISHED
