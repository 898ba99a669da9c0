"""The look at the API, and what is refused before anything is planned."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from provisioner.errors import ApiError, PlanError
from provisioner.model import Address, App, Listing
from provisioner.operation import OpenOperation, Operation, Step
from provisioner.phases import Event as What
from provisioner.phases import Kind, Phase
from provisioner.plan import Action, ActionKind, Observed, Plan, Reason
from provisioner.recovery import Finding
from provisioner.refresh import check_base_url, check_not_emptied, check_organization, observe
from provisioner.state import AppRecord, Header, State


def app(number: int, organization: str = "org_1") -> App:
    return App(
        f"app_{number}", organization, f"n{number}", "cid", "hint", (), (), True, "2026-01-01T00:00:00Z"
    )


def state(*apps: App, organization: str | None = "org_1") -> State:
    records = {
        Address(f"a{number}"): AppRecord(Address(f"a{number}"), held) for number, held in enumerate(apps)
    }
    return State(Header("lineage", "https://api.example", organization), records)


class Api:
    """Lists some apps and finds some by id."""

    def __init__(self, listed: tuple[App, ...], found: tuple[App, ...] = (), *, broken: bool = False) -> None:
        self.listed, self.found, self.broken = listed, {held.id: held for held in found}, broken
        self.asked: list[str] = []

    def list_apps(self) -> Listing:
        return Listing(self.listed)

    def get_app(self, app_id: str) -> App | None:
        self.asked.append(app_id)
        if self.broken:
            raise ApiError("out of order")
        return self.found.get(app_id)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a look does not call {name}")


def test_an_app_that_is_listed_is_not_asked_for() -> None:
    api = Api((app(1), app(2)))
    assert observe(api, state(app(1))) == Observed((app(1), app(2)))
    assert api.asked == []


def test_a_recorded_app_that_is_not_listed_is_asked_for_by_id_before_it_is_called_gone() -> None:
    api = Api((app(1),), found=(dataclasses.replace(app(2), is_active=False),))
    assert observe(api, state(app(1), app(2), app(3))).gone == {"app_3"}
    assert api.asked == ["app_2", "app_3"]


def test_where_asking_fails_nothing_is_called_gone() -> None:
    with pytest.raises(ApiError):
        observe(Api((), broken=True), state(app(1)))


@pytest.mark.parametrize(
    ("pinned", "wanted", "seen"),
    [
        ("org_1", None, "org_2"),
        (None, "org_1", "org_2"),
        ("org_1", "org_2", None),
        ("org_1", "org_2", "org_1"),
        ("org_1", "org_1", "org_2"),
    ],
)
def test_organizations_that_differ_are_refused(
    pinned: str | None, wanted: str | None, seen: str | None
) -> None:
    with pytest.raises(PlanError):
        check_organization(state(organization=pinned), (app(1, seen),) if seen else (), wanted)


@pytest.mark.parametrize(
    ("pinned", "wanted", "seen"),
    [
        (None, None, None),
        (None, None, "org_1"),
        ("org_1", None, None),
        ("org_1", "org_1", "org_1"),
        (None, "org_1", None),
    ],
)
def test_organizations_that_agree_or_are_not_known_yet_pass(
    pinned: str | None, wanted: str | None, seen: str | None
) -> None:
    check_organization(state(organization=pinned), (app(1, seen),) if seen else (), wanted)


def test_a_first_run_has_no_organization_to_agree_with() -> None:
    check_organization(State(), (app(1),), None)


def test_nothing_is_asked_for_by_id_with_a_token_of_another_organization() -> None:
    api = Api((app(9, "org_2"),))
    with pytest.raises(PlanError):
        observe(api, state(app(1), app(2)))
    assert api.asked == []


def test_a_state_of_another_host_is_refused() -> None:
    check_base_url(state(), "https://api.example")
    check_base_url(State(), "https://other.example")
    with pytest.raises(PlanError):
        check_base_url(state(), "https://other.example")


def lost(kind: ActionKind) -> Plan:
    record = AppRecord(Address("a0"), app(1))
    return Plan((Action(kind, Address("a0"), record=record, reason=Reason.DELETED_OUTSIDE),))


@pytest.mark.parametrize("kind", [ActionKind.CREATE, ActionKind.FORGET])
@pytest.mark.parametrize("listed", [(), (app(7), app(8))])
def test_a_list_with_none_of_the_recorded_apps_is_refused(listed: tuple[App, ...], kind: ActionKind) -> None:
    with pytest.raises(PlanError) as caught:
        check_not_emptied(lost(kind), state(app(1), app(2)), Observed(listed))
    assert f"lists {len(listed)} apps, and none of the 2" in caught.value.summary


def test_one_recorded_app_in_the_list_is_enough() -> None:
    check_not_emptied(lost(ActionKind.CREATE), state(app(1), app(2)), Observed((app(2), app(9))))


@pytest.mark.parametrize("event", [What.GONE, What.ABSENT, What.MISSING])
def test_an_open_operation_is_no_reason_to_trust_an_empty_list(event: What) -> None:
    record = AppRecord(Address("a0"), app(1))
    resumed = Plan((Action(ActionKind.RESUME, Address("a0"), record=record, finding=Finding(event)),))
    with pytest.raises(PlanError):
        check_not_emptied(resumed, state(app(1)), Observed(()))


def test_without_records_an_empty_list_is_what_it_should_be() -> None:
    check_not_emptied(Plan((Action(ActionKind.CREATE, Address("a0")),)), State(), Observed(()))


def test_an_inactive_app_may_be_left_out_of_the_list_and_an_active_one_may_not() -> None:
    asleep = dataclasses.replace(app(2), is_active=False)
    assert observe(Api((app(1),), found=(asleep,)), state(app(1), asleep)).apps == (app(1), asleep)
    with pytest.raises(PlanError):
        observe(Api((app(1),), found=(app(2),)), state(app(1), app(2)))


def test_the_apps_of_open_operations_are_asked_for_too() -> None:
    entry = OpenOperation(
        Operation("op_1", Kind.ROTATE, Address("a1"), "lineage", None, app(2)),
        Step(Phase.ROTATED, None, "app_3"),
    )
    api = Api((app(1),))
    assert observe(api, dataclasses.replace(state(app(1)), open=(entry,))).gone == {"app_2", "app_3"}
