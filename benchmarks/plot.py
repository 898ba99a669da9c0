"""Seconds over the number of apps, both on logarithmic scales, as an SVG that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 240, 20, 45
_COLOURS = ("#0b6e4f", "#1f77b4", "#d1495b", "#edae49", "#6b4c9a", "#66717e")
_DASHES = ("", "6 3", "2 3")

Point = tuple[float, float]  # the number of apps, seconds


def plot(series: Mapping[str, Sequence[Point]]) -> str:
    """One line for each series that has points; numbers below or at zero have no place here."""
    shown = {name: [point for point in points if min(point) > 0] for name, points in series.items()}
    shown = {name: sorted(points) for name, points in shown.items() if points}
    xs = _decades([x for points in shown.values() for x, _ in points])
    ys = _decades([y for points in shown.values() for _, y in points])
    body = [*_grid(xs, ys)]
    for number, (name, points) in enumerate(shown.items()):
        body += _line(number, name, [_at(point, xs, ys) for point in points])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>Seconds over the number of apps</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The exponents of ten between which all values lie, at least one decade."""
    low = math.floor(math.log10(min(values, default=1)))
    high = math.ceil(math.log10(max(values, default=1)))
    return low, max(high, low + 1)


def _at(point: Point, xs: tuple[int, int], ys: tuple[int, int]) -> Point:
    right = _share(point[0], xs) * (WIDTH - _LEFT - _RIGHT)
    up = _share(point[1], ys) * (HEIGHT - _TOP - _BOTTOM)
    return round(_LEFT + right, 1), round(HEIGHT - _BOTTOM - up, 1)


def _share(value: float, decades: tuple[int, int]) -> float:
    return (math.log10(value) - decades[0]) / (decades[1] - decades[0])


def _grid(xs: tuple[int, int], ys: tuple[int, int]) -> Iterator[str]:
    for exponent in range(xs[0], xs[1] + 1):
        x, bottom = _at((10.0**exponent, 10.0 ** ys[0]), xs, ys)
        yield f'<path d="M{x} {_TOP}V{bottom}" stroke="#ddd"/>'
        yield f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{10**exponent:,}</text>'
    for exponent in range(ys[0], ys[1] + 1):
        left, y = _at((10.0 ** xs[0], 10.0**exponent), xs, ys)
        yield f'<path d="M{left} {y}H{WIDTH - _RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{10.0**exponent:g} s</text>'
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">apps</text>'


def _line(number: int, name: str, points: Sequence[Point]) -> Iterator[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
    style = f'stroke="{colour}" fill="none" stroke-width="2"' + (
        f' stroke-dasharray="{dash}"' if dash else ""
    )
    yield f'<polyline points="{" ".join(f"{x},{y}" for x, y in points)}" {style}/>'
    for x, y in points:
        yield f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
    at = _TOP + 14 + 18 * number
    yield f'<path d="M{WIDTH - _RIGHT + 14} {at - 4}h22" {style}/>'
    yield f'<text x="{WIDTH - _RIGHT + 42}" y="{at}">{escape(name)}</text>'
