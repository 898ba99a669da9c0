"""Which points there are: every single crash, and seeded pairs of everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from random import Random
from typing import Any

from torture.bench import INLINE, Bench, Plant
from torture.point import FOREIGN, PLACES, Crash, Point, Short
from torture.scenario import BY_NAME, EVERY, SCENARIOS, Scenario
from torture.strace import ERRNOS, NETWORK, WRITES, Call, Strike

OK = "ok"
REPLIES = (
    OK, "lost-before", "lost-after", "reset-after", "late=3600s", "truncated", "truncated-no-length", "409",
    "429=0", "401", "500-before", "500-after", "503", "307-after", "308-after=/api/v1/oauth-apps",
    "html-before", "html-after", "gzip-garbage", "without=client_secret", FOREIGN,
)  # fmt: skip
_NOT_OF_A_DELETE = (
    "gzip-garbage",
    "without=client_secret",
    "truncated",
    "truncated-no-length",
)  # it has no body
_EDITED = ("late=3600s", "lost-after", FOREIGN)  # after which the manifest is edited too
SHORTS = ("on", "full", "kill")
ACTIONS = ("SIGKILL", *ERRNOS, *(f"short-{then}" for then in SHORTS))
_STRUCK = (  # those of which every call is on the state, or nearly
    "pwrite64", "fsync", "fdatasync", "rename", "unlink", "ftruncate", "flock", "fallocate", "mkdir", "chmod",
    "fchmod", "sendto", "recvfrom",
)  # fmt: skip
_ON_RECORDS = ("pwrite64", "fsync", "rename", "unlink", "ftruncate", "flock", "fchmod")
_TAKE_SPACE = ("pwrite64", "fallocate", "mkdir", "rename")
_SELDOM = {"fdatasync": 2, "flock": 1, "fallocate": 2, "ftruncate": 2, "mkdir": 3, "chmod": 3, "unlink": 3}
_OFTEN = 8
_LOOKS = 20
TROUBLES = ("lost-before", "lost-after", "500-before", "500-after")  # with a server of a sink's
_LOST = ("lost-before", "lost-after", "500-after", "truncated")


def exhaustive(bench: Bench, scenario: Scenario, plants: tuple[Plant, ...] = ()) -> list[Point]:
    """One crash, an ok reply: a kill and EIO at every syscall on the state, ENOSPC or EDQUOT at writes.

    What comes before the first change is the same everywhere, and left to those SCENARIOS that ask for
    something. One that is `alike` another is only killed.
    """
    seen, folder = dry_run(bench, scenario, plants)
    whole = scenario in SCENARIOS and scenario.asks
    first = 0 if whole else next(n for n, call in enumerate(seen) if _changes(call, folder))
    points = [Point(scenario.name)]
    for call in seen[first:]:
        ours = call.touches(folder)
        if ours or call.name in NETWORK:
            points.append(Point(scenario.name, (), (Strike(call.name, call.ordinal),), exact=True))
        if not scenario.alike:
            points += [Point(scenario.name, (), (crash,), exact=True) for crash in _errors(call, ours)]
    return points


def _changes(call: Call, folder: str) -> bool:
    """Whether it is the first step of a change of a record, of the journal or of the header."""
    return call.touches(folder) and (".tmp" in call.arguments or call.name == "unlink")


def _errors(call: Call, ours: bool) -> Iterator[Crash]:
    """What may go wrong at one call, but for a kill."""
    if ours:
        errnos = ["EIO", *["ENOSPC"] * (call.name in WRITES), *["EDQUOT"] * (call.name in _TAKE_SPACE)]
        yield from (Strike(call.name, call.ordinal, errno) for errno in errnos)
    if call.name == "pwrite64":
        yield from (Short(call.ordinal, then) for then in SHORTS)


def in_flight(bench: Bench, scenario: Scenario, plants: tuple[Plant, ...] = ()) -> list[Point]:
    """Killed at each step of each write request, whatever the sandbox makes of the request."""
    if scenario.alike or not scenario.asks:
        return []
    seen, _ = dry_run(bench, scenario, plants)
    first = next(n for n, call in enumerate(seen) if call.name == "sendto" and "GET" not in call.arguments)
    strikes = [Strike(call.name, call.ordinal) for call in seen[first:] if call.name in NETWORK]
    return [
        Point(scenario.name, _replies(scenario, ask, reply), (strike,), withdrawn=withdrawn, exact=True)
        for ask in scenario.asks
        for reply in REPLIES[1:]
        for strike in strikes
        for withdrawn in ((False, True) if reply in _EDITED and scenario.withdrawable else (False,))
        if _can_be(ask, reply)
    ]


def delivered(bench: Bench, scenario: Scenario) -> list[Point]:
    """On the way to sinks: a kill at every syscall, an error at those on their files, lost answers of all."""
    seen, folder = dry_run(bench, scenario)
    writes = bench.places.writes
    thread = seen[0].thread  # what a program of the user's does has its ordinals to itself
    first = next(n for n, call in enumerate(seen) if _changes(call, folder) or _of_a_sink(call, folder))
    calls = [call for call in seen[first:] if call.thread == thread]
    kills = [Strike(call.name, call.ordinal) for call in calls if call.touches(folder) or call.speaks]
    errors = [crash for call in calls if _of_a_sink(call, folder) for crash in _errors(call, ours=True)]
    points = [Point(scenario.name, (), (crash,), exact=True) for crash in (*kills, *errors)]
    told = [f"{PLACES}{how}@{number}" for how in TROUBLES for number in range(1, writes + 1)]
    told += [f"{ask}:{reply}" for ask in scenario.asks for reply in _LOST]
    points += [Point(scenario.name, (reply,)) for reply in told]
    return points + [
        Point(scenario.name, (reply,), (kill,)) for reply in told for kill in kills[-len(told) :]
    ]


def some(points: Sequence[Point], random: Random, singly: int, in_a_row: int) -> list[Point]:
    """A few of one scenario's points, and of them a few one after the other."""
    crashing = [point for point in points if point.crashes and not point.replies]
    pairs = [random.sample(crashing, 2) for _ in range(in_a_row)]
    doubled = [replace(one, crashes=one.crashes + two.crashes, exact=False) for one, two in pairs]
    return random.sample(points, min(len(points), singly)) + doubled


def _of_a_sink(call: Call, folder: str) -> bool:
    return call.touches(folder) and not call.touches(folder, ("state",))


def dry_run(bench: Bench, scenario: Scenario, plants: tuple[Plant, ...] = ()) -> tuple[list[Call], str]:
    """What the command does when nothing goes wrong, and the folder that it did it in."""
    for _ in range(_LOOKS):
        with bench.case(scenario, (*plants, INLINE)) as case:
            ran = bench.struck(case)
        if ran.calls and ran.calls[0].name == "read":  # of the pipe on which the child waits for strace
            return list(ran.calls), str(case.folder)
    raise RuntimeError(f"strace came too early to {scenario.name}, {_LOOKS} times")


def seeded(seed: int) -> Random:
    """Chance that can be had again."""
    return Random(seed)  # noqa: S311  (nothing is kept secret by it)


def pairwise(random: Random) -> list[Point]:
    """Points among which every two values of any two of these occur together at least once."""
    action_and_crashes: dict[str, Sequence[Any]] = {"action": ACTIONS, "crashes": (1, 2, 3)}
    asking: dict[str, Sequence[Any]] = {
        "scenario": [scenario.name for scenario in EVERY if scenario.asks],
        "reply": REPLIES,
        "call": _STRUCK,
        **action_and_crashes,
        "again": ("", "lost-before", "lost-after", "500-after", "late=3600s"),  # the rotate of a take-over
        "after": ("", "late", "withdrawn"),
    }
    recording: dict[str, Sequence[Any]] = {
        "scenario": [scenario.name for scenario in EVERY if not scenario.asks],
        "call": _ON_RECORDS,
        **action_and_crashes,
        "after": ("", "withdrawn"),
    }
    return [_point(row, random) for axes in (asking, recording) for row in _covering(axes, random)]


def _covering(axes: dict[str, Sequence[Any]], random: Random) -> Iterator[dict[str, Any]]:
    """Rows that cover all pairs, greedily: of random rows with a missing pair, the one that adds most."""
    names = list(axes)
    missing = {
        (first, one, second, two)
        for first, second in combinations(names, 2)
        for one in axes[first]
        for two in axes[second]
    }
    ordered = sorted(missing, key=repr)
    random.shuffle(ordered)
    for first, one, second, two in ordered:
        if (first, one, second, two) not in missing:
            continue
        rows = [
            {name: random.choice(axes[name]) for name in names} | {first: one, second: two} for _ in range(20)
        ]
        best = max(rows, key=lambda row: len(_pairs(row) & missing))
        missing -= _pairs(best)
        yield best


def _pairs(row: dict[str, Any]) -> set[tuple[str, Any, str, Any]]:
    return {(first, row[first], second, row[second]) for first, second in combinations(row, 2)}


def _point(row: dict[str, Any], random: Random) -> Point:
    scenario = BY_NAME[row["scenario"]]
    asks = [ask for ask in scenario.asks if _can_be(ask, row["reply"])]
    calls = _STRUCK if scenario.asks else _ON_RECORDS
    crashes = [_crash(row["call"], row["action"], random)]
    while len(crashes) < row["crashes"]:
        crashes.append(_crash(random.choice(calls), random.choice(ACTIONS), random))
    return Point(
        scenario.name,
        _replies(scenario, random.choice(asks), row["reply"], row["again"]) if asks else (),
        tuple(crashes),
        late_after=row["after"] == "late",
        withdrawn=row["after"] == "withdrawn" and scenario.withdrawable,
        inline=random.random() < 0.5,
    )


def _crash(call: str, action: str, random: Random) -> Crash:
    ordinal = random.randint(1, _SELDOM.get(call, _OFTEN))
    if action.startswith("short-"):
        return Short(ordinal, action.removeprefix("short-"))
    return Strike(call, ordinal, "" if action == "SIGKILL" or call in NETWORK else action)


def _can_be(ask: str, reply: str) -> bool:
    """Whether a request of this kind can be answered so."""
    return not (reply == FOREIGN and ask != "create") and not (
        ask == "delete" and reply.startswith(_NOT_OF_A_DELETE)
    )


def _replies(scenario: Scenario, ask: str, reply: str, again: str = "") -> tuple[str, ...]:
    """The sandbox's faults: at the request, and at the rotate of a take-over."""
    chosen = [] if reply == OK else [FOREIGN] if reply == FOREIGN else [f"{ask}:{reply}"]
    if again and "create" in scenario.asks:
        chosen.append(f"rotate:{again}")
    return tuple(chosen)
