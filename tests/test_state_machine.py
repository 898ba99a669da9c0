"""Random lives of a few apps: edits, faults, crashes, power losses, strangers, late requests, and time."""

from __future__ import annotations

import pytest
from torture import life

pytestmark = pytest.mark.unmeasured


def test_whatever_befalls_it_nothing_is_lost_doubled_or_stuck() -> None:
    life.live(examples=25, steps=25)
