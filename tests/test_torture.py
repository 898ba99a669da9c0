"""The torture grid, a short seeded part of it: real kills and errors at the command's syscalls, by strace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from counterparts.places import KINDS
from torture.bench import Bench, Case
from torture.grid import delivered, exhaustive, in_flight, pairwise, seeded
from torture.oracle import Flaw, counted, finished, leaks, unasked
from torture.order import broken
from torture.planted import PLANTED
from torture.point import Point, Short, held, once_only, visit
from torture.report import Counts
from torture.scenario import BY_NAME, DELIVERING, EVERY, MORE, SCENARIOS
from torture.strace import Strike, calls

pytestmark = pytest.mark.unmeasured

SEED = 3
EACH = 5  # points of each kind
REVEALED_BY = {  # one point of the grid that shows the planted fault; `make torture` looks for one by itself
    "no sync of folders": Point("create"),
    "no sync of answers": Point("create"),
    "no intent before the request": Point("create", (), (Strike("fallocate", 1),)),
    "answer read before it is kept": Point("rotate"),
    "a POST sent again by the library": Point("create", ("create:lost-after",)),
    "a redirect followed": Point("create", ("create:307-after",)),
    "an ambiguous create closed": Point("create", ("create:lost-after",)),
    "closed without settling": Point(
        "create", ("create:late=3600s",), (Strike("fdatasync", 1),), withdrawn=True
    ),
    "a rotation never unsettled": Point("rotate", ("rotate:late=3600s",), late_after=True),
    "a secret printed with an error": Point("create", (), (Strike("fdatasync", 1, "EIO"),)),
    "a record written in place": Point("create", (), (Strike("pwrite64", 8),)),
    "an entry's file used again too soon": Point("create"),
    "a take-over without evidence": Point("create", ("foreign", "create:500-after")),
    "a move that begins with the old record": Point("move", (), (Strike("rename", 2, "EIO"),)),
    "a move that was cut off taken for two apps": Point("state mv", (), (Strike("unlink", 1),)),
    "files for everybody": Point("create"),
    "a receipt before the delivery": Point("create and deliver to vault", ("places:500-before@1",)),
    "a sink's refusal passed over": Point("create and deliver to github", ("places:500-before@1",)),
    "a sink's file written in place": Point("create and deliver to file", (), (Short(10, "full"),)),
    "a mark that comes last": Point("create and deliver to vault", ("places:lost-after@1",)),
}  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as made:
        yield made


@pytest.fixture
def strace(tool: Callable[[str], str]) -> str:
    return tool("strace")


def sample(points: list[Point], size: int = EACH) -> list[Point]:
    return seeded(SEED).sample(points, size)


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("scenario", [scenario.name for scenario in SCENARIOS])
def test_f1_to_f10_a_kill_or_an_error_at_any_syscall_on_the_state_loses_nothing(
    bench: Bench, scenario: str
) -> None:
    points = exhaustive(bench, BY_NAME[scenario])
    assert len(points) > (300 if BY_NAME[scenario].asks else 50)
    counts = sum((visit(bench, point) for point in sample(points)), Counts())
    assert not counts.failures
    assert counts.points + counts.misses == EACH


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("scenario", [scenario.name for scenario in MORE])
def test_every_other_action_comes_through_a_kill_and_does_what_it_is_for_and_no_more(
    bench: Bench, scenario: str
) -> None:
    (point,) = sample(exhaustive(bench, BY_NAME[scenario]), 1)
    counts = visit(bench, point)
    assert not counts.failures
    assert counts.points + counts.misses == 1


WAYS = (*KINDS, "everywhere", "everywhere")


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("number", range(len(WAYS)), ids=lambda number: f"{number}-{WAYS[number]}")
def test_f9_f10_a_kill_or_a_lost_answer_on_the_way_to_any_sink_loses_nothing_and_delivers_once(
    bench: Bench, number: int
) -> None:
    random = seeded(SEED * 100 + number)
    ways = [scenario for scenario in DELIVERING if scenario.name.endswith(f" {WAYS[number]}")]
    points = delivered(bench, random.choice(ways))
    assert len(points) > 50
    counts = visit(bench, random.choice(points))
    assert not counts.failures
    assert counts.points + counts.misses == 1


def test_f9_trouble_with_one_sink_is_none_for_the_others(bench: Bench) -> None:
    point = Point("rotate and deliver to everywhere", ("places:lost-after@4",))
    assert visit(bench, point).failures == ()


@pytest.mark.usefixtures("strace")
def test_f3_f4_a_kill_while_a_request_is_under_way_loses_nothing(bench: Bench) -> None:
    points = [point for name in ("replace", "last", "regret") for point in in_flight(bench, BY_NAME[name])]
    assert sum((visit(bench, point) for point in sample(points)), Counts()).failures == ()


@pytest.mark.usefixtures("strace")
def test_crashes_in_a_row_with_any_answer_lose_nothing(bench: Bench) -> None:
    points = pairwise(seeded(SEED))
    counts = sum((visit(bench, point) for point in sample(points)), Counts())
    assert not counts.failures
    assert sum(counts.in_a_row[2:]) > 0


def test_f28_a_run_that_only_had_to_close_an_entry_does_not_pass_over_a_dead_secret(bench: Bench) -> None:
    point = Point("rotate", ("rotate:late=3600s",), (Strike("recvfrom", 2), Strike("unlink", 1)))
    assert visit(bench, point).failures == ()


@pytest.mark.usefixtures("strace")
def test_a_move_that_was_cut_off_is_finished_before_its_app_is_replaced(bench: Bench) -> None:
    point = Point("half moved", (), (Strike("sendto", 3),))  # of its create
    assert visit(bench, point).failures == ()


def test_f37_a_held_lock_ends_the_run_before_any_request(bench: Bench) -> None:
    assert held(bench, "create").clean
    assert held(bench, "create", (("the lock not taken",),)).wrong


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("plant", REVEALED_BY)
def test_a_planted_fault_turns_the_grid_red(bench: Bench, plant: str) -> None:
    assert visit(bench, REVEALED_BY[plant], ((plant,),)).failures
    assert not visit(bench, REVEALED_BY[plant]).failures


def unprotect(case: Case) -> None:
    path = case.folder / "state/apps/one.json"
    path.write_bytes(path.read_bytes().replace(b'"protect": true', b'"protect": false'))


UNEXPECTED: list[tuple[str, Callable[[Case], object], str]] = [
    ("import", lambda case: case.judge.rotate(case.ids["one"]), "recorded for one is not the live one"),
    ("import", lambda case: case.judge.create("stray", ["https://stray.example"]), "is in no record"),
    ("protect", unprotect, "one is not protected"),
    ("move", lambda case: case.judge.set(case.ids["one"], name="first"), "first is not as the manifest"),
    ("forget", lambda case: case.judge.delete(case.ids["one"]), "one should have stayed"),
    ("state rm", lambda case: case.judge.rotate(case.ids["one"]), "one was to stay as it was"),
    ("destroy", lambda case: case.judge.delete(case.ids["else"]), "else should have stayed"),
    ("deliver to file", lambda case: (case.folder / "file/one.env").unlink(), "file has nothing of one"),
    ("deliver to age", lambda case: (case.folder / "age/.left").touch(), "age: .left is left in a sink"),
]


@pytest.mark.parametrize(("scenario", "befall", "flaw"), UNEXPECTED)
def test_what_a_scenario_does_not_expect_is_a_flaw(
    bench: Bench, scenario: str, befall: Callable[[Case], object], flaw: str
) -> None:
    with bench.case(BY_NAME[scenario]) as case:
        assert bench.run(case, case.first, None, ()).status == 0
        assert list(finished(bench, case, case.end(case.first))) == []
        befall(case)
        assert flaw in str(list(finished(bench, case, case.end(case.first))))


def test_a_request_that_nobody_wanted_is_a_flaw(bench: Bench) -> None:
    with bench.case(BY_NAME["move"]) as case:
        assert bench.run(case, ("rotate", "one", "--auto-approve"), None, ()).status == 0
        assert "a rotate was asked for" in str(list(unasked(bench, case)))


def test_every_planted_fault_is_looked_for() -> None:
    assert set(PLANTED) == {*REVEALED_BY, "the lock not taken"}


def test_every_pair_of_a_scenario_a_reply_and_a_number_of_crashes_is_among_the_pairs() -> None:
    points = pairwise(seeded(SEED))
    assert {(point.scenario, len(point.crashes)) for point in points} == {
        (scenario.name, crashes) for scenario in EVERY for crashes in (1, 2, 3)
    }
    assert {crash.then for point in points for crash in point.crashes if isinstance(crash, Short)} == {
        "on", "full", "kill",
    }  # fmt: skip


def test_a_point_at_which_nothing_struck_is_none() -> None:
    assert counted([], "there", crashes=1, struck=0).points == 0
    assert counted([], "there", crashes=2, struck=1).misses == 1
    assert not counted([], "there", crashes=1, struck=0).clean
    assert counted([Flaw("lost", "it")], "there").failures == ("there: lost: it",)


def test_a_sink_that_is_written_to_for_nothing_is_a_flaw(bench: Bench) -> None:
    with bench.case(BY_NAME["deliver to github"]) as case:
        assert bench.run(case, case.first, None, ()).status == 0
        assert list(once_only(bench, case)) == []
        record = case.folder / "state/apps/one.json"
        record.write_text(json.dumps(json.loads(record.read_bytes()) | {"deliveries": {}}))
        assert "a sink was written to though it had what it should" in str(list(once_only(bench, case)))


def test_a_secret_in_clear_where_none_belongs_is_a_flaw(bench: Bench) -> None:
    with bench.case(BY_NAME["deliver to file"]) as case:
        assert bench.run(case, case.first, None, ()).status == 0
        assert list(leaks(bench, case)) == []
        (case.folder / "elsewhere.env").write_bytes((case.folder / "file/one.env").read_bytes())
        assert "a secret is in elsewhere.env" in str(list(leaks(bench, case)))


LOG = """\
7  flock(3</w/state/.lock>, LOCK_EX|LOCK_NB) = 0
7  pwrite64(4</w/state/.journal/.op_1.op.tmp>, "x"..., 9, 0) = 9
7  fsync(4</w/state/.journal/.op_1.op.tmp>) = 0
7  rename("state/.journal/.op_1.op.tmp", "state/.journal/op_1.op") = 0
7  fsync(5</w/state/.journal>) = 0
7  sendto(6<socket:[1]>, "POST /api/v1/oauth-apps "..., 300, 0, NULL, 0) = 300
7  pwrite64(4</w/state/.journal/op_1.op>, "x"..., 9, 9) = 9
7  fdatasync(4</w/state/.journal/op_1.op>) = 0
7  pwrite64(8</w/state/apps/.one.json.0.tmp>, "x"..., 9, 0) = 9
7  fsync(8</w/state/apps/.one.json.0.tmp>) = 0
7  rename("state/apps/.one.json.0.tmp", "state/apps/one.json") = 0
7  fsync(9</w/state/apps>) = 0
7  rename("state/.journal/op_1.op", "state/.journal/.op_1.op.tmp") = 0
7  fsync(5</w/state/.journal>) = 0
7  pwrite64(4</w/state/.journal/.op_1.op.tmp>, "\\0"..., 18, 0) = 18
7  unlink("state/.journal/.op_1.op.tmp") = 0
7  +++ exited with 0 +++
"""


def test_a_trace_in_the_promised_order_is_not_found_fault_with() -> None:
    assert list(broken(calls(LOG), "/w", finished=True)) == []


@pytest.mark.parametrize("line", [0, 2, 3, 4, 7, 9, 11, 13])
def test_a_trace_without_one_of_its_syncs_renames_or_locks_is_found_fault_with(line: int) -> None:
    lines = LOG.splitlines()
    assert list(broken(calls("\n".join(lines[:line] + lines[line + 1 :])), "/w", finished=True))


SINK_LOG = """\
7  flock(3</w/state/.lock>, LOCK_EX|LOCK_NB) = 0
7  mkdirat(5</w>, "age", 0700) = 0
7  fsync(5</w>) = 0
7  pwrite64(4</w/age/.0a1b2c3d.one.env.age>, "x"..., 9, 0) = 9
7  fsync(4</w/age/.0a1b2c3d.one.env.age>) = 0
7  renameat(6</w/age>, ".0a1b2c3d.one.env.age", 6</w/age>, "one.env.age") = 0
7  fsync(6</w/age>) = 0
7  pwrite64(8</w/state/apps/.one.json.0.tmp>, "x"..., 9, 0) = 9
7  fsync(8</w/state/apps/.one.json.0.tmp>) = 0
7  rename("state/apps/.one.json.0.tmp", "state/apps/one.json") = 0
7  fsync(9</w/state/apps>) = 0
7  +++ exited with 0 +++
"""


@pytest.mark.parametrize("line", [None, 2, 4, 6])
def test_a_receipt_that_is_on_the_disk_before_its_delivery_is_found_fault_with(line: int | None) -> None:
    lines = [text for number, text in enumerate(SINK_LOG.splitlines()) if number != line]
    found = list(broken(calls("\n".join(lines)), "/w", finished=True))
    assert bool(found) is (line is not None)


def test_a_request_after_its_entry_was_closed_is_found_fault_with() -> None:
    lines = LOG.splitlines()
    again = [*lines[:-1], lines[5], lines[-1]]
    assert "a request was sent without an entry" in str(
        list(broken(calls("\n".join(again)), "/w", finished=True))
    )


def test_a_call_that_another_threads_came_between_is_put_together() -> None:
    log = (
        "7  fsync(4</w/state/a> <unfinished ...>\n"
        "8  close(5)                = 0\n"
        "7  <... fsync resumed>)    = -1 EIO (Input/output error) (INJECTED)\n"
        "8  fsync(6</w/state/b> <unfinished ...>\n"
        "8  +++ killed by SIGKILL +++\n"
    )
    first, _, last = calls(log)
    assert (first.arguments, first.injected) == ("4</w/state/a>", True)
    assert (last.ordinal, last.cut_off) == (1, True)
    assert Strike("fsync", 1, "EIO").struck(calls(log), "/w")
    assert not Strike("fsync", 1, "EIO").struck(calls(log), "/elsewhere")
