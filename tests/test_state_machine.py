"""Random lives of a few apps: edits, faults, crashes, power losses, strangers, late requests, and time."""

from __future__ import annotations

from torture import life


def test_whatever_befalls_it_nothing_is_lost_doubled_or_stuck() -> None:
    life.live(examples=25, steps=25)
