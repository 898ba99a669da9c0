"""From a workspace to a plan, and what may be done with it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from provisioner.cli.options import Asked
from provisioner.cli.workspace import Workspace
from provisioner.consent import CLASSES, Choices, Consent
from provisioner.errors import UsageError
from provisioner.model import Address
from provisioner.plan import Observed, Plan
from provisioner.planner import build, build_destruction
from provisioner.ports import OAuthAppsApi
from provisioner.recovery import Rules
from provisioner.refresh import check_base_url, check_not_emptied, observe
from provisioner.state import Header, State
from provisioner.text import quote

RECREATE_ALL = "recreate-all"


def choices_from(asked: Asked) -> Choices:
    """What the flags say; what is not understood stops the run."""
    return Choices(
        consent_from(asked.allowed),
        _addresses(asked.replaced),
        _addresses(asked.targets),
        _addresses(asked.excluded),
        asked.max_deletes,
    )


def consent_from(allowed: Sequence[str]) -> Consent:
    """Read `--allow`; a class that is not known stops the run."""
    agreed = set()
    for text in allowed:
        if text == RECREATE_ALL:
            continue
        name, colon, address = text.partition(":")
        if name not in CLASSES:
            known = ", ".join([*CLASSES, RECREATE_ALL])
            raise UsageError(
                f"--allow does not know {quote(text, 80)}", f"It takes {known}, or CLASS:ADDRESS."
            )
        agreed.add((CLASSES[name], Address.parse(address) if colon else None))
    return Consent(frozenset(agreed), RECREATE_ALL in allowed)


def _addresses(texts: Sequence[str]) -> frozenset[Address]:
    return frozenset(map(Address.parse, texts))


def look(workspace: Workspace, api: OAuthAppsApi, prior: State, base_url: str) -> Observed:
    """One list call, of the tenant that the state was made for."""
    check_base_url(prior, base_url)
    imports = workspace.desired.imports.items()
    named = [app_id for address, app_id in imports if address not in prior.records]
    return observe(api, prior, workspace.manifest.provider.organization_id, named)


def planner(
    workspace: Workspace, choices: Choices, destroy: bool
) -> Callable[[State, Observed | None], Plan]:
    """What makes the plan: of the whole manifest, or the one that destroys everything."""
    of = build_destruction if destroy else build

    def planned(prior: State, observed: Observed | None) -> Plan:
        plan = of(workspace.desired, prior, observed, rules(workspace), choices)
        if observed is not None and not choices.consent.recreate_all:
            check_not_emptied(plan, prior, observed)
        return plan

    return planned


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
