"""A repeated create whose first request comes late is remembered when the app is made anew."""

from __future__ import annotations

import pytest
from torture.life import Life

pytestmark = pytest.mark.unmeasured


def test_f13_a_record_is_not_forgotten_while_an_earlier_request_for_its_app_may_come_or_has_come() -> None:
    life = Life()
    life.declare(key="a", path="cb", shares=False)
    life.apply(faults=["create@1:late"], dies_in=None, power=None, rotate=set())
    life.server.world.delete(life.server.world.apps()[0].id)  # by hand
    life.forget(key="a")
    life.apply_in_peace()
    assert "cannot be destroyed or forgotten yet" in life.applied.plan.conflicts[0].summary
    life.wait(seconds=61)
    life.apply_in_peace()
    (late,) = life.server.world.apps()
    assert f"{late.id} has the name of oauth_app.a" in life.applied.plan.conflicts[0].summary
    life.server.world.delete(late.id)
    life.apply_in_peace()
    assert life.applied.plan.conflicts == ()
    life.teardown()


def test_f13_an_app_made_anew_is_not_destroyed_while_an_earlier_request_for_it_may_come() -> None:
    life = Life()
    life.declare(key="a", path="cb", shares=False)
    life.apply(faults=["create@1:late"], dies_in=None, power=None, rotate=set())
    life.server.world.delete(life.server.world.apps()[0].id)  # by hand
    life.apply_in_peace()
    life.forget(key="a")
    life.apply_in_peace()
    life.wait(seconds=61)
    life.every_app_of_ours_is_known()
    life.teardown()
