"""Look at the API once, and refuse what cannot be the tenant that the state was made for."""

from __future__ import annotations

from provisioner.errors import PlanError
from provisioner.model import App
from provisioner.plan import Observed, Plan, Reason
from provisioner.ports import OAuthAppsApi
from provisioner.state import State
from provisioner.text import escape


def observe(api: OAuthAppsApi, prior: State, wanted: str | None = None) -> Observed:
    """One list call, of the right organization; a recorded app that it lacks is asked for by id."""
    listing = api.list_apps()
    check_organization(prior, listing.apps, wanted)
    listed = {app.id for app in listing.apps}
    missing = [record.app.id for record in prior.records.values() if record.app.id not in listed]
    gone = frozenset(app_id for app_id in missing if api.get_app(app_id) is None)
    return Observed(listing.apps, gone, listing.date)


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
    """A token for an empty tenant must neither make everything again nor forget it.

    Apps that an earlier run was asked to destroy are missing rightly.
    """
    lost = [action for action in plan.actions if action.reason is Reason.DELETED_OUTSIDE]
    listed = {app.id for app in observed.apps}
    recorded = [record.app.id for record in prior.records.values()]
    if lost and listed.isdisjoint(recorded):
        raise PlanError(
            f"The API lists {len(listed)} apps, and none of the {len(recorded)} in the state",
            "Either the token is for another tenant, or every app was deleted outside of provisioner.",
            "Check METEROID_API_KEY. If they are really gone, go on with --allow recreate-all.",
        )
