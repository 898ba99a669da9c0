"""What was measured, as Markdown: where it was taken, a table for each part, and what it does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from benchmarks.figures import TIMES, figure, seconds, spread, times
from benchmarks.rounds import Series
from benchmarks.suite import APPLY, EMPTY_PLAN, FLOOR, OURS, RECOVERY, START_UP, SYNCS, TRANSFER, Part
from benchmarks.terraform import BLOCKS, FOR_EACH

_TITLES = {
    START_UP: "Start-up",
    "validate": "`validate`",
    "first plan": "First `plan`",
    APPLY: "`apply`",
    RECOVERY: "`apply` after a killed one",
    "plan --no-refresh": "`plan --no-refresh`",
    EMPTY_PLAN: "Empty `plan`",
}
_NOTES = {
    START_UP: "Whole processes, with the example manifest where a command needs one.",
    "first plan": "Nothing was ever applied; ours asks the API, Terraform asks nobody.",
    APPLY: "From nothing to all apps, 10 at a time, with a new sandbox each time. *Waiting* is the latency "
    "of all requests, 10 at a time, which no client can beat; *syncs* is one small file an app, made and "
    "synced one after the other, where ours syncs up to three. Beside each stands how many times that ours "
    "takes. What our earlier rounds made stays until all is measured: for minutes after files were deleted, "
    "ext4 makes new ones more slowly.",
    RECOVERY: "The run before it got SIGKILL once half of the apps were recorded. This one finishes what was "
    "open, and makes the rest.",
    "plan --no-refresh": "With everything applied, and without asking the API.",
    EMPTY_PLAN: "With everything applied, and one list call. *Transfer* is that list alone, read over a bare "
    "socket from the same server; beside it stands how many times that ours takes.",
}

_READING = """\
Each figure is a median, with the quartiles in brackets (the extremes of less than three rounds). What
stands in one row was measured in turn, round after round, so compare within a row: a ratio is the median of
those of single rounds. Peak memory is the largest resident set that the kernel counted for the process.

Terraform runs its builtin `terraform_data` with local state: no provider, no request, no secret. That is
what its engine costs by itself. Ours asks a real HTTP server, our own sandbox, which is a process of its
own on the same machine and takes a core of it. Not measured: the real API, TLS, another network than
loopback with a fixed latency, more than one run at a time, and other file systems than the one above.
Terraform was not run with more than 1,000 apps, where it takes many minutes.""".splitlines()


def report(parts: Sequence[Part], facts: Mapping[str, str], command: str, date: str) -> str:
    """The whole page. It shows the plot that is beside it as benchmarks.svg."""
    lines = ["# How fast", "", f"Taken by `{command}` on {date}, and written by it.", ""]
    lines += table(["", ""], ([name, text] for name, text in facts.items()))
    lines += ["", *_READING, "", "![Seconds over the number of apps](benchmarks.svg)", ""]
    lines += [*(f"- {said}" for said in summary(parts)), ""]
    for name, of in groupby(parts_in_order(parts), key=lambda part: part.name):
        lines += [f"## {_TITLES[name]}", ""]
        lines += [_NOTES[name], ""] if name in _NOTES else []
        found = list(of)
        lines += start_up(found[0]) if name == START_UP else sized(found)
        lines.append("")
    return "\n".join(lines)


def parts_in_order(parts: Iterable[Part]) -> list[Part]:
    """By name, as they are titled here, then by size and latency."""
    order = list(_TITLES)
    return sorted(parts, key=lambda part: (order.index(part.name), part.size, part.latency))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def start_up(part: Part) -> list[str]:
    """Each command beside Python's own start."""
    base = part.series[FLOOR]
    rows = [
        [f"`{name}`", spread(of.time), times(of.over(base)), f"{of.peak:.0f} MiB", str(of.time.count)]
        for name, of in part.series.items()
    ]
    return table(["command", "median (quartiles)", f"÷ `{FLOOR}`", "peak memory", "rounds"], rows)


def sized(parts: Sequence[Part]) -> list[str]:
    """One row for each size and latency, with the columns that any of them has something for."""
    rows = [row(part) for part in parts]
    head = list(dict.fromkeys(name for cells in rows for name in cells))
    return table(head, ([cells.get(name, "—") for name in head] for cells in rows))


def row(part: Part) -> dict[str, str]:
    """The cells of one part by their column."""
    ours = part.series[OURS]
    cells = {"apps": f"{part.size:,}"}
    if part.name in (APPLY, EMPTY_PLAN):
        cells["latency"] = f"{part.latency} ms"
    cells |= {"provisioner": spread(ours.time), "peak": f"{ours.peak:.0f} MiB"}
    if part.waiting and part.name == APPLY:
        over = figure([taken / part.waiting for taken in ours.times])
        cells["waiting"] = f"{seconds(part.waiting)}, {times(over)}"
    for title, name in (("syncs", SYNCS), ("transfer", TRANSFER)):
        if name in part.series:
            floor = part.series[name]
            cells[title] = f"{seconds(floor.time.median)}, {times(ours.over(floor))}"
    cells |= dict(_theirs(ours, part.series))
    return cells | {"rounds": str(ours.time.count)}


def _theirs(ours: Series, series: Mapping[str, Series]) -> Iterator[tuple[str, str]]:
    for name, short in ((BLOCKS, "blocks"), (FOR_EACH, "for_each")):
        if name in series:
            their = series[name]
            yield f"Terraform {short}", f"{spread(their.time)}, {their.peak:.0f} MiB"
            yield f"{short} ÷ ours", times(their.over(ours))


def lines_of(parts: Sequence[Part]) -> dict[str, list[tuple[float, float]]]:
    """What is plotted: the empty plan and the apply, ours and Terraform's, without latency."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for part in parts_in_order(parts):
        if part.name in (APPLY, EMPTY_PLAN) and part.latency == 0:
            for name in (OURS, BLOCKS, FOR_EACH):
                if name in part.series:
                    point = (float(part.size), part.series[name].time.median)
                    lines.setdefault(f"{part.name}: {name}", []).append(point)
    return lines


def summary(parts: Sequence[Part]) -> list[str]:
    """What the figures say of growth: of a plan, and of each app of an apply."""
    return [*_growth(parts), *_per_app(parts), *_waiting(parts)]


def _of(parts: Sequence[Part], name: str, latency: int = 0) -> dict[int, Part]:
    return {part.size: part for part in parts if (part.name, part.latency) == (name, latency)}


def _growth(parts: Sequence[Part]) -> Iterator[str]:
    found = _of(parts, EMPTY_PLAN)
    if len(found) > 1:
        least = found[min(found)].series[OURS].time.median
        for size, part in list(found.items())[1:]:
            more = part.series[OURS].time.median - least
            yield f"An empty plan of {size:,} apps takes {seconds(more)} more than one of {min(found):,}."


def _per_app(parts: Sequence[Part]) -> Iterator[str]:
    found = _of(parts, APPLY)
    fixed = found[1].series[OURS].time.median if 1 in found else 0.0
    each = {
        size: (part.series[OURS].time.median - fixed) / size for size, part in found.items() if size >= 1000
    }
    for size, cost in each.items():
        against = f", {cost / each[min(each)]:.2f} {TIMES} that at {min(each):,}" if size > min(each) else ""
        cost_each = f"{cost * 1000:.2f} ms for each of {size:,} apps"
        yield f"An apply at 0 ms costs {cost_each}, start-up apart{against}."


def _waiting(parts: Sequence[Part]) -> Iterator[str]:
    found = [part for part in parts if part.name == APPLY and part.latency and part.waiting >= 1]
    for part in found:
        fixed = _of(parts, APPLY, part.latency).get(1)
        start = fixed.series[OURS].time.median if fixed else 0.0
        over = figure([(taken - start) / part.waiting for taken in part.series[OURS].times])
        yield (
            f"An apply of {part.size:,} apps at {part.latency} ms takes {times(over)} what its "
            "requests wait, 10 at a time; start-up apart."
        )
