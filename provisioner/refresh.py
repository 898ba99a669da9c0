"""Look at the API once, and refuse what cannot be the tenant that the state was made for."""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.errors import PlanError
from provisioner.model import App
from provisioner.phases import Event
from provisioner.plan import Action, Observed, Plan, Reason
from provisioner.ports import OAuthAppsApi
from provisioner.state import State
from provisioner.text import escape


def observe(
    api: OAuthAppsApi, prior: State, wanted: str | None = None, named: Iterable[str] = ()
) -> Observed:
    """One list call, of the right organization; an app of ours, or `named`, that it lacks is asked for by id.

    An inactive app may be left out of the list; an active one may not.
    """
    listing = api.list_apps()
    check_organization(prior, listing.apps, wanted)
    listed = {app.id for app in listing.apps}
    unlisted = [app_id for app_id in dict.fromkeys([*_ours(prior), *named]) if app_id not in listed]
    found = {app_id: api.get_app(app_id) for app_id in unlisted}
    inactive = tuple(app for app in found.values() if app)
    for app in inactive:
        if app.is_active:
            raise PlanError(
                f"The API's list is not whole: {app.id} is missing from it",
                "The API still answers for it, so the list cannot be trusted.",
                "Run the command again; if it persists, nothing can be planned safely.",
            )
    gone = frozenset(app_id for app_id, app in found.items() if app is None)
    return Observed((*listing.apps, *inactive), gone, listing.date)


def _ours(prior: State) -> dict[str, None]:
    """The ids in records and in open operations, in order and once each."""
    ids = [record.app.id for record in prior.records.values()]
    for entry in prior.open:
        answer = entry.step.answer
        known = (entry.operation.app.id if entry.operation.app else None, entry.step.app_id)
        ids += [app_id for app_id in (*known, answer.app_id if answer else None) if app_id]
    return dict.fromkeys(ids)


def check_organization(prior: State, apps: tuple[App, ...], wanted: str | None) -> None:
    """The token's organization must be the state's, and the one that the manifest pins."""
    pinned = prior.header.organization_id if prior.header else None
    seen = next((app.organization_id for app in apps), None)
    if pinned and wanted and pinned != wanted:
        raise PlanError(
            f"The manifest is for another organization than the state: {escape(wanted, 80)}",
            f"The state belongs to {pinned}.",
            "Use the state of that organization, or mend provider.organization_id in the manifest.",
        )
    for expected, who in ((pinned, "the state belongs to"), (wanted, "the manifest is for")):
        if seen and expected and seen != expected:
            raise PlanError(
                f"The token is for another organization: {seen}",
                f"But {who} {escape(expected, 80)}. Nothing was planned.",
                "Check METEROID_API_KEY, and which state and manifest this run uses.",
            )


def check_base_url(prior: State, base_url: str) -> None:
    """A state made for one host is not planned against another."""
    if prior.header and prior.header.base_url != base_url:
        raise PlanError(
            f"The state was made for another API: {escape(prior.header.base_url, 200)}",
            f"This run would ask {escape(base_url, 200)}.",
            "Check METEROID_BASE_URL and provider.base_url, or use the state of that API.",
        )


def check_not_emptied(plan: Plan, prior: State, observed: Observed) -> None:
    """A token for an empty tenant must neither make everything again nor forget it."""
    listed = {app.id for app in observed.apps}
    recorded = [record.app.id for record in prior.records.values()]
    if any(map(_lost, plan.actions)) and listed.isdisjoint(recorded):
        raise PlanError(
            f"The API lists {len(listed)} apps, and none of the {len(recorded)} in the state",
            "Either the token is for another tenant, or they were deleted, maybe by a run that was cut off.",
            "Check METEROID_API_KEY. If they are really gone, go on with --allow recreate-all.",
        )


def _lost(action: Action) -> bool:
    """Whether the action takes a recorded app's absence for granted."""
    gone = action.finding is not None and action.finding.event in (Event.GONE, Event.ABSENT, Event.MISSING)
    return action.record is not None and (action.reason is Reason.DELETED_OUTSIDE or gone)
