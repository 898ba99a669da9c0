"""Which points there are: every single crash, and seeded pairs of everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from random import Random
from typing import Any

from torture.bench import INLINE, Bench, Plant
from torture.point import FOREIGN, Crash, Point, Short
from torture.scenario import BY_NAME, SCENARIOS, Scenario
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
_TAKE_SPACE = ("pwrite64", "fallocate", "mkdir", "rename")
_SELDOM = {"fdatasync": 2, "flock": 1, "fallocate": 2, "ftruncate": 2, "mkdir": 3, "chmod": 3, "unlink": 3}
_OFTEN = 8


def exhaustive(bench: Bench, scenario: Scenario, plants: tuple[Plant, ...] = ()) -> list[Point]:
    """One crash, an ok reply: a kill and EIO at every syscall on the state, ENOSPC or EDQUOT at writes."""
    seen, folder = dry_run(bench, scenario, plants)
    points = [Point(scenario.name)]
    writes = 0
    for call in seen:
        ours = call.touches(folder)
        if ours or call.name in NETWORK:
            points.append(Point(scenario.name, (), (Strike(call.name, call.ordinal),), exact=True))
        if ours:
            errnos = ["EIO", *["ENOSPC"] * (call.name in WRITES), *["EDQUOT"] * (call.name in _TAKE_SPACE)]
            strikes = [Strike(call.name, call.ordinal, errno) for errno in errnos]
            points += [Point(scenario.name, (), (strike,), exact=True) for strike in strikes]
        if call.name == "pwrite64":
            writes += 1
            points += [Point(scenario.name, (), (Short(writes, then),), exact=True) for then in SHORTS]
    return points


def in_flight(bench: Bench, scenario: Scenario, plants: tuple[Plant, ...] = ()) -> list[Point]:
    """Killed at each step of each write request, whatever the sandbox makes of the request."""
    seen, _ = dry_run(bench, scenario, plants)
    first = next(n for n, call in enumerate(seen) if call.name == "sendto" and "GET" not in call.arguments)
    strikes = [Strike(call.name, call.ordinal) for call in seen[first:] if call.name in NETWORK]
    return [
        Point(scenario.name, _replies(scenario, ask, reply), (strike,), withdrawn=withdrawn, exact=True)
        for ask in scenario.asks
        for reply in REPLIES[1:]
        for strike in strikes
        for withdrawn in ((False, True) if reply in _EDITED else (False,))
        if _can_be(ask, reply)
    ]


def dry_run(bench: Bench, scenario: Scenario, plants: tuple[Plant, ...] = ()) -> tuple[list[Call], str]:
    """What an apply does when nothing goes wrong, and the folder that it did it in."""
    with bench.case(scenario, (*plants, INLINE)) as case:
        ran = bench.struck(case)
        return list(ran.calls), str(case.folder)


def seeded(seed: int) -> Random:
    """Chance that can be had again."""
    return Random(seed)  # noqa: S311  (nothing is kept secret by it)


def pairwise(random: Random) -> list[Point]:
    """Points among which every two values of any two of these occur together at least once."""
    axes: dict[str, Sequence[Any]] = {
        "scenario": [scenario.name for scenario in SCENARIOS],
        "reply": REPLIES,
        "call": _STRUCK,
        "action": ACTIONS,
        "crashes": (1, 2, 3),
        "again": ("", "lost-before", "lost-after", "500-after", "late=3600s"),  # the rotate of a take-over
        "after": ("", "late", "withdrawn"),
    }
    return [_point(row, random) for row in _covering(axes, random)]


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
    reply = row["reply"] if asks else OK
    crashes = [_crash(row["call"], row["action"], random)]
    while len(crashes) < row["crashes"]:
        crashes.append(_crash(random.choice(_STRUCK), random.choice(ACTIONS), random))
    return Point(
        scenario.name,
        _replies(scenario, random.choice(asks or ["none"]), reply, row["again"]),
        tuple(crashes),
        late_after=row["after"] == "late",
        withdrawn=row["after"] == "withdrawn",
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
