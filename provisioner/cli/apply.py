"""`provisioner apply`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import (
    NO_REPORTS,
    Asked,
    Reports,
    Seconds,
    approve_option,
    choice_options,
    destroy_option,
    lock_option,
    manifest_options,
    no_color_option,
    parallelism_option,
    report_options,
)
from provisioner.errors import (
    EXIT_ERROR,
    EXIT_UNFINISHED,
    PlanError,
    ProvisionerError,
    UsageError,
)
from provisioner.frozen import dataclass

if TYPE_CHECKING:
    from provisioner.cli.identities import Find
    from provisioner.cli.saving import Promised
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
@report_options
@click.option("--digest", metavar="sha256:…", help="Apply only if the plan is the one with this digest.")
@click.option("--max-age", type=Seconds(), metavar="DURATION", help="Refuse a saved plan that is older.")
@parallelism_option
@lock_option
@no_color_option
@click.argument("plan_file", required=False, metavar="[PLANFILE]")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    auto_approve: bool,
    destroy: bool,
    asked: Asked,
    reports: Reports,
    digest: str | None,
    max_age: float | None,
    parallelism: int,
    lock_timeout: float,
    no_color: bool,
    plan_file: str | None,
) -> int:
    """Do what plan shows, after asking.

    Each client secret is sealed to its readers and recorded before anything else happens to it. What an
    earlier run left unfinished is part of the plan, and finished first.

    With PLANFILE, made by `plan --out`, it does not ask: the plan is made again and must be the same, else
    nothing is done. --digest does that without the file; it takes the flags that the plan was made with.
    """
    from provisioner.cli.saving import promise

    manifest = (files, variables, var_files)
    promised, asked, destroy = promise(plan_file, digest, max_age, asked, destroy)
    approved = auto_approve or promised is not None
    return start(manifest, asked, destroy, approved, parallelism, lock_timeout, no_color, promised, reports)


def start(
    manifest: tuple[Sequence[str], Sequence[str], Sequence[str]],
    asked: Asked,
    destroy: bool,
    auto_approve: bool,
    parallelism: int,
    lock_timeout: float,
    no_color: bool,
    promised: Promised | None = None,
    reports: Reports = NO_REPORTS,
) -> int:
    """An apply, whichever command began it."""
    from provisioner.cli.identities import found_once
    from provisioner.cli.planning import choices_from, planner
    from provisioner.cli.workspace import base_url, connect, open_workspace, readers

    if reports.as_json and not auto_approve:
        raise UsageError("--json cannot ask", "", "Give --auto-approve, or `apply` a plan that was saved.")
    choices = choices_from(asked)
    workspace, find = open_workspace(*manifest), found_once()
    stop = threading.Event()
    with connect(workspace, stop.wait) as api:
        job = Job(
            workspace,
            api,
            planner(workspace, choices, destroy),
            choices.consent.with_policy(workspace.desired.policy.allow),
            readers(workspace, find),
            find,
            base_url(workspace),
            parallelism,
            lock_timeout,
            False if no_color else workspace.settings.colour,
            stop,
            destroy,
            asked,
            promised,
            reports,
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
    find: Find
    base_url: str
    parallelism: int
    lock_timeout: float
    colour: bool | None
    stop: threading.Event
    destroy: bool = False
    asked: Asked = field(default_factory=Asked)
    promised: Promised | None = None
    reports: Reports = NO_REPORTS
    can_be_saved: bool = True  # by `plan --out`

    def look(self) -> tuple[State, Plan, Observed, float]:
        """The state, one list call, the plan, and when that began (seconds of a steady clock)."""
        from provisioner.cli.planning import look
        from provisioner.steady import steady

        began = steady()

        prior = self.workspace.store.read()
        observed = look(self.workspace, self.api, prior, self.base_url)
        return prior, self.planner(prior, observed), observed, began


@dataclass(frozen=True, slots=True)
class Ended:
    """What was planned, and what came of it."""

    plan: Plan
    result: ApplyResult


def apply_approved(job: Job) -> int:
    """The lock first, so that there is one list call in all."""
    from provisioner.apply import settle
    from provisioner.cli.approving import check_consent
    from provisioner.plan import ApplyResult

    def work() -> Ended:
        prior, plan, observed, began = job.look()
        show(job, plan)
        if job.promised:
            from provisioner.cli.saving import content_of

            job.promised.check(content_of(plan, prior, job.workspace, job.readers, job.asked, job.destroy))
        if not plan.changes or plan.conflicts:
            settle(plan, job.workspace.store)
            return Ended(plan, ApplyResult(()))
        check_consent(job.consent, plan, job.reports, saved=job.promised is not None)
        return Ended(plan, run(job, prior, plan, observed, began))

    return conclude(job, locked(job, work))


def apply_asked(job: Job) -> int:
    """The prompt first, then the lock and the plan once more, which must still be the one shown."""
    from provisioner.apply import outdated, settle
    from provisioner.cli.approving import confirmed
    from provisioner.plan import ApplyResult

    _, plan, _, _ = job.look()
    show(job, plan)
    if not plan.changes or plan.conflicts:
        if outdated(plan):
            with job.workspace.store.lock("apply", job.lock_timeout):
                settle(job.look()[1], job.workspace.store)
        return conclude(job, Ended(plan, ApplyResult(())))
    if not confirmed(plan, job.consent, destroy=job.destroy, can_be_saved=job.can_be_saved):
        return EXIT_ERROR

    def work() -> Ended:
        prior, again, observed, began = job.look()
        if again != plan:
            raise PlanError(
                "The plan is not the one you approved any more",
                "The API or the state changed while you were asked. Nothing was done.",
                "Run `provisioner apply` again and look at the new plan.",
            )
        return Ended(plan, run(job, prior, plan, observed, began))

    return conclude(job, locked(job, work))


def locked(job: Job, work: Callable[[], Ended]) -> Ended:
    """Do it under the state's lock. An error when that is given back takes nothing from what was done."""
    from provisioner.handover import told

    ended: Ended | None = None
    try:
        with job.workspace.store.lock("apply", job.lock_timeout):
            ended = work()
    except ProvisionerError as error:
        if ended is None:
            raise
        return replace(ended, result=replace(ended.result, trouble=told(error)))
    return ended


def show(job: Job, plan: Plan) -> None:
    """The plan, wherever it is to be shown, and what stands in its way."""
    from provisioner.cli.showing import present

    present(plan, job.readers.lines(), job.reports, job.workspace.settings, job.colour)


def conclude(job: Job, ended: Ended) -> int:
    """Say how it ended, once others can see it: the exit status."""
    from provisioner.cli.approving import exit_status, outlives
    from provisioner.cli.clock import SystemClock
    from provisioner.cli.output import complain, say
    from provisioner.render.apply_text import ending
    from provisioner.render.events import result_events

    plan, result = ended.plan, ended.result
    if plan.conflicts:
        if not job.reports.as_json:
            complain("Nothing was applied.")
        return EXIT_ERROR
    if job.reports.as_json:
        for event in result_events(result, SystemClock().now()):
            say(event)
    else:
        tell = say if result.done else complain
        tell("\n" + ending(result, job.destroy).rstrip())
    if job.destroy and result.done and any(map(outlives, plan.actions)):
        complain("Not everything is destroyed yet: what an earlier run left open came first. Run it again.")
        return EXIT_UNFINISHED
    return exit_status(result)


def run(job: Job, prior: State, plan: Plan, observed: Observed, began: float) -> ApplyResult:
    """Under the lock: do it. From here on a signal lets nothing new start."""
    from provisioner.apply import Approved, Ports, apply, settle
    from provisioner.cli.clock import SystemClock
    from provisioner.cli.interrupt import stopping
    from provisioner.cli.outlets import outlets
    from provisioner.cli.planning import pinned, rules
    from provisioner.cli.progress import reporting, streaming
    from provisioner.sealing import Sealer

    store = job.workspace.store
    sealer = Sealer(job.readers.recipients)
    ports = Ports(job.api, store, sealer, SystemClock(), outlets(job.workspace.settings, job.find))
    header, wanted = pinned(prior, job.base_url, observed), job.workspace.manifest.provider.organization_id
    approved = Approved(plan, header, observed, rules(job.workspace), began, wanted)
    telling = streaming() if job.reports.as_json else reporting(len(plan.changes), job.colour)
    with stopping(job.stop), telling as report:
        result = apply(approved, ports, _at_once(job), report, job.stop)
        settle(plan, store)
    return result


def _at_once(job: Job) -> int:
    """How many requests are under way at most: a state in git has room for no more than some."""
    if job.workspace.manifest.state.git is None:
        return job.parallelism
    from provisioner.stores.git import AT_ONCE

    return min(job.parallelism, AT_ONCE)
