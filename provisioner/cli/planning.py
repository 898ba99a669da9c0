"""From a workspace to a plan, and what may be done with it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from provisioner.cli.workspace import Workspace
from provisioner.errors import UsageError
from provisioner.model import Address
from provisioner.plan import Action, ActionKind, Observed, Plan
from provisioner.planner import build
from provisioner.ports import OAuthAppsApi
from provisioner.recovery import Rules
from provisioner.refresh import check_base_url, check_not_emptied, observe
from provisioner.state import Header, State
from provisioner.text import quote

RECREATE_ALL = "recreate-all"
_CLASSES = {"delete": ActionKind.DELETE, "replace": ActionKind.REPLACE, "rotate": ActionKind.ROTATE}


@dataclass(frozen=True, slots=True)
class Consent:
    """What was agreed to by name: classes of action, each for one address or for all (None)."""

    agreed: frozenset[tuple[ActionKind, Address | None]] = frozenset()
    recreate_all: bool = False

    def missing(self, actions: Iterable[Action]) -> tuple[Action, ...]:
        """The actions that need consent and have none."""
        return tuple(action for action in actions if action.needs_consent and not self._agrees_to(action))

    def _agrees_to(self, action: Action) -> bool:
        kind = action.shown_as
        return any(agreed is kind and address in (None, action.address) for agreed, address in self.agreed)

    def check_addresses(self, plan: Plan) -> None:
        """An address that is neither in the manifest nor in the state is a slip of the pen."""
        known = {action.address for action in plan.actions}
        for _, address in self.agreed:
            if address is not None and address not in known:
                raise UsageError(
                    f"--allow names {address}, which is neither in the manifest nor in the state"
                )


def consent_from(allowed: Sequence[str]) -> Consent:
    """Read `--allow`; a class that is not known stops the run."""
    agreed = set()
    for text in allowed:
        if text == RECREATE_ALL:
            continue
        name, colon, address = text.partition(":")
        if name not in _CLASSES:
            known = ", ".join([*_CLASSES, RECREATE_ALL])
            raise UsageError(
                f"--allow does not know {quote(text, 80)}", f"It takes {known}, or CLASS:ADDRESS."
            )
        agreed.add((_CLASSES[name], Address.parse(address) if colon else None))
    return Consent(frozenset(agreed), RECREATE_ALL in allowed)


def look(workspace: Workspace, api: OAuthAppsApi, prior: State, base_url: str) -> Observed:
    """One list call, of the tenant that the state was made for."""
    check_base_url(prior, base_url)
    return observe(api, prior, workspace.manifest.provider.organization_id)


def planned(workspace: Workspace, consent: Consent, prior: State, observed: Observed) -> Plan:
    """The plan of the whole manifest."""
    plan = build(workspace.desired, prior, observed, rules(workspace))
    if not consent.recreate_all:
        check_not_emptied(plan, prior, observed)
    consent.check_addresses(plan)
    return plan


def rules(workspace: Workspace) -> Rules:
    """The manifest's `recovery`."""
    recovery = workspace.manifest.recovery
    return Rules(recovery.auto, recovery.settle)


def pinned(prior: State, base_url: str, observed: Observed) -> Header:
    """The state's header; the first apply makes it, and pins the organization that was seen, if any."""
    header = prior.header or Header(lineage=str(uuid.uuid4()), base_url=base_url)
    if header.organization_id is not None:
        return header
    return replace(header, organization_id=next((app.organization_id for app in observed.apps), None))
