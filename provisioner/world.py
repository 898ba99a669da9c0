"""What is wanted, recorded and listed, with the look-ups that a planner needs, made once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from provisioner.desired import DesiredState
from provisioner.errors import PlanError
from provisioner.model import Address, App, AppSpec, Listing
from provisioner.moves import moved
from provisioner.name import fold
from provisioner.plan import Observed, Reason
from provisioner.recovery import DEFAULT_RULES, Rules, Scene, http_date
from provisioner.state import AppRecord, State


class World:
    """Look-ups over what is. `why_deleted` is told of apps that are not wanted."""

    def __init__(
        self,
        desired: DesiredState,
        prior: State,
        observed: Observed | None,
        rules: Rules = DEFAULT_RULES,
        why_deleted: Reason = Reason.NOT_IN_MANIFEST,
    ) -> None:
        self.moves = moved(prior, desired.moved)
        self.records: Mapping[Address, AppRecord] = self.moves.records
        self.open = {entry.operation.address: entry for entry in reversed(prior.open)}
        self.wants = desired
        self.desired = desired.apps
        self.refreshed = observed is not None
        self.gone = observed.gone if observed else frozenset[str]()
        self.date = observed.date if observed else None
        self.apps = observed.apps if observed else tuple(record.app for record in prior.records.values())
        self.by_id = {app.id: app for app in self.apps}
        self.by_name: dict[str, list[App]] = {}
        for app in self.apps:
            self.by_name.setdefault(fold(app.name), []).append(app)
        first_wanted = sorted(self.records, key=self._claim)
        self.owners = {self.records[address].app.id: address for address in reversed(first_wanted)}
        # By id, not by address: after a move that was cut off one app has two records.
        self.protected_ids = {record.app.id for record in self.records.values() if record.protect}
        forgotten = desired.forgotten & self.records.keys()
        self.forgotten_ids = {self.records[address].app.id for address in forgotten}
        self.places = {target.fingerprint for wanted in desired.sinks.values() for target in wanted}
        self.organization_id = prior.header.organization_id if prior.header else None
        self.rules = rules
        self.why_deleted = why_deleted

    def _claim(self, address: Address) -> tuple[bool, bool, Address]:
        """Of several records of one app, which is it: one that is wanted, under the name that it has."""
        spec, record = self.desired.get(address), self.records[address]
        return spec is None, spec is not None and spec.name != record.app.name, address

    @property
    def destruction(self) -> bool:
        """Whether everything is to go."""
        return self.why_deleted is Reason.REQUESTED

    @property
    def addresses(self) -> list[Address]:
        """All that the plan is about, in order: but for those that wait for a record to be moved to them."""
        awaited = {*self.moves.waiting.values()} - {*self.records, *self.open}
        return sorted({*self.desired, *self.records, *self.open} - awaited)

    def observed(self, record: AppRecord) -> App | None:
        """The app of a record as it is now; None where it is gone for certain."""
        app = self.by_id.get(record.app.id)
        if app is None and record.app.id not in self.gone:
            raise PlanError(
                f"The API's list is not whole: {record.address} is missing from it",
                f"It still answers for {record.app.id}, so the list cannot be trusted.",
                "Run the command again; if it persists, nothing can be planned safely.",
            )
        return app

    def recorded_elsewhere(self, record: AppRecord) -> bool:
        """Whether another record stands for the same app: one that is wanted, else the first of them."""
        return self.owners[record.app.id] != record.address

    def protected(self, address: Address) -> bool:
        """Whether it is to be recorded as protected: as the manifest says, else as it was."""
        stated, record = self.wants.lifecycle(address).protect, self.records.get(address)
        return (record is not None and record.protect) if stated is None else stated

    def wanted(self, address: Address) -> AppSpec | None:
        """What the manifest wants of whatever is open at an address; of what is forgotten: as it is."""
        record, end = self.records.get(address), self.moves.waiting.get(address, address)
        if end in self.wants.forgotten and record:
            return AppSpec(record.app.name, record.app.redirect_uris, record.app.scopes)
        return self.desired.get(end)

    def scene(self, address: Address) -> Scene:
        """What is known for looking into an open operation."""
        listing = Listing(self.apps, self.date)
        return Scene(listing, self.organization_id, self.owners.keys(), self.wanted(address), self.rules)


def came_late(record: AppRecord, app: App) -> bool:
    """A rotation that was asked for came through after its successor was saved: the hints tell (A7)."""
    secret = record.secret
    if secret is None or secret.origin != "rotate" or secret.unsettled_until is None:
        return False
    return secret.hint != app.client_secret_hint


def settled(record: AppRecord | None, date: str | None) -> bool:
    """Whether by the server's clock no request of ours for the recorded app can come late any more."""
    now = http_date(date)
    until = record.secret.unsettled_until if record and record.secret else None
    return until is not None and now is not None and now >= datetime.fromisoformat(until)
