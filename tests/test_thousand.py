"""Apps being created while every run is killed: the short part of `make torture`'s thousand."""

from __future__ import annotations

import pytest
from torture import thousand

pytestmark = pytest.mark.unmeasured


def test_f4_apps_that_are_created_under_fire_are_all_recorded_with_live_secrets_and_once() -> None:
    counts = thousand.torture(seed=1, seconds=8, apps=120, latest=0.05)
    assert counts.failures == ()
    assert counts.points >= 3, "hardly a run was killed, so nothing was shown"
