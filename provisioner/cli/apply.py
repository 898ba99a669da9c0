"""`provisioner apply`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import allow_option, manifest_options, no_color_option
from provisioner.errors import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_UNFINISHED, PlanError

if TYPE_CHECKING:
    from provisioner.cli.planning import Consent
    from provisioner.cli.workspace import Readers, Workspace
    from provisioner.plan import ApplyResult, Observed, Plan
    from provisioner.ports import OAuthAppsApi
    from provisioner.state import State


@click.command()
@manifest_options
@click.option("--auto-approve", is_flag=True, help="Do not ask. What destroys still needs --allow.")
@allow_option
@click.option(
    "--parallelism",
    default=10,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Creates at the same time.",
)
@no_color_option
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    auto_approve: bool,
    allowed: Sequence[str],
    parallelism: int,
    no_color: bool,
) -> int:
    """Do what plan shows, after asking.

    Each client secret is sealed to its readers and recorded before anything else happens to it.
    """
    from provisioner.cli.interrupt import stopping
    from provisioner.cli.planning import consent_from
    from provisioner.cli.workspace import connect, open_workspace

    consent = consent_from(allowed)
    workspace = open_workspace(files, variables, var_files)
    with stopping() as stop, connect(workspace, parallelism, stop.wait) as api:
        run = _Apply(
            workspace, api, consent, parallelism, False if no_color else workspace.settings.colour, stop
        )
        return run.approved() if auto_approve else run.asked()


class _Apply:
    """One apply, from the look at the world to the last line."""

    def __init__(
        self,
        workspace: Workspace,
        api: OAuthAppsApi,
        consent: Consent,
        parallelism: int,
        colour: bool | None,
        stop: threading.Event,
    ) -> None:
        from provisioner.cli.workspace import base_url, readers

        self._workspace = workspace
        self._api = api
        self._consent = consent
        self._parallelism = parallelism
        self._colour = colour
        self._stop = stop
        self._base_url = base_url(workspace)
        self._readers: Readers = readers(workspace)

    def approved(self) -> int:
        """The lock first, so that there is one list call in all."""
        with self._workspace.store.lock("apply"):
            prior, plan, observed = self._look()
            self._show(plan)
            if not plan.changes or plan.conflicts:
                return self._nothing(plan)
            self._check_consent(plan)
            return self._run(prior, plan, observed)

    def asked(self) -> int:
        """The prompt first, then the lock and the plan once more, which must still be the one shown."""
        _, plan, _ = self._look()
        self._show(plan)
        if not plan.changes or plan.conflicts:
            return self._nothing(plan)
        if not self._confirmed(plan):
            return EXIT_ERROR
        with self._workspace.store.lock("apply"):
            prior, again, observed = self._look()
            if again != plan:
                raise PlanError(
                    "The plan is not the one you approved any more",
                    "The API, the state or the manifest changed while you were asked. Nothing was done.",
                    "Run `provisioner apply` again and look at the new plan.",
                )
            return self._run(prior, plan, observed)

    def _look(self) -> tuple[State, Plan, Observed]:
        from provisioner.cli.planning import look

        prior = self._workspace.store.read()
        plan, observed = look(self._workspace, self._api, prior, self._base_url, self._consent)
        return prior, plan, observed

    def _show(self, plan: Plan) -> None:
        from provisioner.cli.output import say_painted
        from provisioner.render.plan_text import plan_text

        say_painted(plan_text(plan, self._readers.lines()), self._colour)

    def _nothing(self, plan: Plan) -> int:
        from provisioner.cli.output import say

        if plan.conflicts:
            return EXIT_ERROR
        say("\nApply complete! Resources: 0 added, 0 changed, 0 destroyed.")
        return 0

    def _check_consent(self, plan: Plan) -> None:
        missing = self._consent.missing(plan.actions)
        if missing:
            allows = " ".join(f"--allow {action.kind.value}:{action.address.key}" for action in missing)
            raise PlanError(
                f"{len(missing)} of these changes destroy an app, and nobody agreed to that",
                "With --auto-approve nothing is destroyed that was not allowed by name. Nothing was done.",
                f"If the plan is right, run it again with: {allows}",
            )

    def _confirmed(self, plan: Plan) -> bool:
        from provisioner.cli.output import say

        destroyed = [str(action.address) for action in plan.actions if action.destroys]
        say("\nDo you want to do this?")
        if destroyed:
            say(f"  The client ids and tokens of {', '.join(destroyed)} stop working, for good.")
        say("  Only 'yes' will be accepted to approve.\n\n  Enter a value: ", end="")
        if sys.stdin.readline().strip() == "yes":
            say("")
            return True
        say("\nApply cancelled. Nothing was done.")
        return False

    def _run(self, prior: State, plan: Plan, observed: Observed) -> int:
        from provisioner.apply import Ports, apply
        from provisioner.cli.clock import SystemClock
        from provisioner.cli.output import complain, say
        from provisioner.cli.planning import pinned
        from provisioner.cli.progress import reporting
        from provisioner.render.apply_text import ending
        from provisioner.sealing import Sealer

        ports = Ports(self._api, self._workspace.store, Sealer(self._readers.recipients), SystemClock())
        header = pinned(prior, self._base_url, observed, self._workspace.manifest.provider.organization_id)
        with reporting(len(plan.changes), self._colour) as report:
            result = apply(plan, header, ports, self._parallelism, report, self._stop)
        tell = say if done(result) else complain
        tell("\n" + ending(result).rstrip())
        return exit_status(result)


def done(result: ApplyResult) -> bool:
    """Whether everything was done."""
    from provisioner.plan import Status

    return len(result.having(Status.DONE)) == len(result.results)


def exit_status(result: ApplyResult) -> int:
    """0, 3 where something is left undone, 130 where that is because of an interrupt and nothing is open."""
    from provisioner.plan import Status

    if done(result):
        return 0
    left = result.having(Status.OPEN) or result.having(Status.FAILED)
    return EXIT_INTERRUPTED if result.interrupted and not left else EXIT_UNFINISHED
