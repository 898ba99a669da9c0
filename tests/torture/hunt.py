"""What a worker is asked for: the points there are, one of them, or whether a planted fault is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from torture.bench import Bench, Plant
from torture.grid import delivered, exhaustive, in_flight, pairwise, seeded
from torture.planted import NEAR, OF_SINKS
from torture.point import Point, held, visit
from torture.report import Counts
from torture.scenario import BY_NAME, DELIVERING, SCENARIOS

ENOUGH, PATIENCE = 600, 300.0  # points, seconds: after that a planted fault counts as not found


def single(bench: Bench, scenario: str) -> list[Point]:
    """Every point of one scenario with one crash and ok replies."""
    return exhaustive(bench, BY_NAME[scenario])


def sent(bench: Bench, scenario: str) -> list[Point]:
    """Every point of one scenario with a kill while a write request is under way."""
    return in_flight(bench, BY_NAME[scenario])


def delivering(bench: Bench, scenario: str) -> list[Point]:
    """Every point of one scenario on the way to sinks."""
    return delivered(bench, BY_NAME[scenario])


def locked_out(bench: Bench, scenario: str) -> Counts:
    """The point at which another process holds the lock."""
    return held(bench, scenario)


def at(bench: Bench, point: Point) -> Counts:
    """One point."""
    return visit(bench, point)


def caught(bench: Bench, plant: str, seed: int) -> tuple[str, Counts]:
    """The grid in seeded order, against a command with a planted fault, until a point shows it.

    A point that is red without the fault too shows nothing.
    """
    total, until = Counts(), time.time() + PATIENCE
    for play in _order(bench, plant, seeded(seed)):
        counts = play(((plant,),))
        if counts.failures and play(()).failures:
            continue
        total += counts
        if total.failures or total.points >= ENOUGH or time.time() > until:
            break
    return plant, total


def _order(bench: Bench, plant: str, random: Random) -> Iterator[Callable[[tuple[Plant, ...]], Counts]]:
    plants = ((plant,),)
    for scenario in SCENARIOS:
        yield partial(held, bench, scenario.name)
        yield partial(visit, bench, Point(scenario.name))
    points = pairwise(random)
    for scenario in SCENARIOS:
        points += exhaustive(bench, scenario, plants) + in_flight(bench, scenario, plants)
    if plant in OF_SINKS:
        points = [point for scenario in DELIVERING for point in delivered(bench, scenario)]
    random.shuffle(points)
    points.sort(key=lambda point: NEAR.get(plant, "") not in str(point))
    for point in points:
        yield partial(visit, bench, point)
