"""Many measurements as one figure: the median, with the quartiles for its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A median between its quartiles, of `count` measurements."""

    median: float
    low: float
    high: float
    count: int


def figure(values: Sequence[float]) -> Figure:
    """The figure of at least one measurement; of less than three, low and high are the extremes."""
    if len(values) < 3:
        return Figure(median(values), min(values), max(values), len(values))
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Figure(median(values), low, high, len(values))


def ratio(values: Sequence[float], bases: Sequence[float]) -> Figure:
    """How many times its base each measurement is, pair by pair: both of a pair were taken in one round."""
    return figure([value / base for value, base in zip(values, bases, strict=False)])


def seconds(value: float) -> str:
    """A length of time for a table: `0.036 s`, `12.4 s`, `794 s`."""
    return f"{value:.3f} s" if value < 1 else f"{_three_figures(value)} s"


def spread(of: Figure) -> str:
    """A figure in seconds, with its quartiles: `0.036 s (0.035 to 0.038)`."""
    if of.count == 1:
        return seconds(of.median)
    low, high = (seconds(value).removesuffix(" s") for value in (of.low, of.high))
    return f"{seconds(of.median)} ({low} to {high})"


def times(of: Figure) -> str:
    """A ratio, with its quartiles."""
    shown = [_three_figures(value) for value in (of.median, of.low, of.high)]
    spread_of_it = "" if of.count == 1 else f" ({shown[1]} to {shown[2]})"
    return f"{shown[0]} {TIMES}{spread_of_it}"


def _three_figures(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
