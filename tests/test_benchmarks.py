"""The benchmarks: statistics, table and plot, and a whole run of a few apps beside a pretend Terraform."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import __main__ as bench
from benchmarks import figures, floors, machine, places, plot, process, report, terraform
from benchmarks.figures import TIMES, Figure, figure, ratio, spread, times
from benchmarks.process import FailedError, Run
from benchmarks.rounds import Contender, Series, interleaved
from benchmarks.suite import APPLY, EMPTY_PLAN, FLOOR, OURS, START_UP, SYNCS, TRANSFER, Part

TERRAFORM = """\
#!/bin/sh
echo "$(basename "$PWD") $*" >> "{log}"
[ "$1" = version ] && echo 'Terraform v0.0.1'
[ "$1" = apply ] && [ -e terraform.tfstate ] && exit 1
[ "$1" = apply ] && echo '{{}}' > terraform.tfstate
exit 0
"""


def series(name: str, *seconds: float, peak: float = 30.0) -> Series:
    return Series(name, [Run(value, value, peak) for value in seconds])


def part(name: str, size: int, latency: int = 0, **seconds: float) -> Part:
    names = {"ours": OURS, "blocks": terraform.BLOCKS, "syncs": SYNCS, "transfer": TRANSFER}
    waiting = floors.waiting(size, latency, 10)
    return Part(
        name,
        size,
        latency,
        {names[key]: series(names[key], value, value) for key, value in seconds.items()},
        waiting,
    )


def test_a_figure_is_the_median_between_its_quartiles() -> None:
    assert figure([5, 1, 4, 2, 3]) == Figure(3, 2, 4, 5)


def test_the_figure_of_two_shows_both() -> None:
    assert figure([3, 1]) == Figure(2, 1, 3, 2)


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=20))
def test_a_figure_is_in_order_and_within_what_was_measured(values: list[float]) -> None:
    found = figure(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)


def test_a_ratio_is_taken_pair_by_pair() -> None:
    # A disturbance that strikes both of a pair is not seen in it.
    assert ratio([2, 20, 2], [1, 10, 1]) == Figure(2, 2, 2, 3)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0361, "0.036 s"), (1.734, "1.73 s"), (26.94, "26.9 s"), (1794.4, "1,794 s")]
)
def test_seconds_have_three_figures_or_so(value: float, shown: str) -> None:
    assert figures.seconds(value) == shown


def test_what_was_measured_once_has_no_spread() -> None:
    assert spread(figure([0.5])) == "0.500 s"
    assert spread(figure([0.5, 0.7])) == "0.600 s (0.500 to 0.700)"
    assert times(figure([2.0])) == f"2.00 {TIMES}"
    assert times(figure([12.0, 14.0])) == f"13.0 {TIMES} (12.0 to 14.0)"


def contenders(done: list[str], took: float, now: list[float]) -> list[Contender]:
    def run(name: str) -> Run:
        done.append(name)
        now[0] += took
        return Run(took, took, 1.0)

    return [
        Contender("a", lambda: run("a"), lambda: done.append("before a")),
        Contender("b", lambda: run("b")),
    ]


def test_contenders_take_turns_and_every_other_round_runs_backwards() -> None:
    done: list[str] = []
    found = interleaved(contenders(done, 0.0, [0.0]), 3, 1.0)
    assert done == ["before a", "a", "b", "b", "before a", "a", "before a", "a", "b"]
    assert {name: len(of.runs) for name, of in found.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize(
    ("budget", "least", "count"), [(0.0, 1, 1), (39.0, 1, 1), (40.0, 1, 2), (61.0, 1, 3), (0.0, 3, 3)]
)
def test_after_the_least_no_round_is_begun_that_would_end_after_the_budget(
    budget: float, least: int, count: int
) -> None:
    now = [0.0]
    found = interleaved(contenders([], 10.0, now), 9, budget, least, lambda: now[0])
    assert len(found["a"].runs) == count


def test_a_program_is_measured_with_its_memory_and_its_processor(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "x = b'x' * (256 << 20)"]
    found = process.measured(command, tmp_path, process.environment(tmp_path))
    assert 0 < found.processor < 10
    assert 0 < found.seconds < 60
    assert 256 < found.peak < 350


def test_a_program_that_fails_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="ended with 3:\ncanary"):
        process.measured(["sh", "-c", "echo canary; exit 3"], tmp_path, process.environment(tmp_path))


def test_no_variable_of_ours_or_of_python_reaches_what_is_measured(monkeypatch, tmp_path: Path) -> None:
    for name in ("PYTHONDONTWRITEBYTECODE", "METEROID_API_KEY", "TF_LOG", "PROVISIONER_LOG"):
        monkeypatch.setenv(name, "1")
    found = process.environment(tmp_path, {"METEROID_BASE_URL": "x"})
    assert found["HOME"] == str(tmp_path)
    assert {name for name in found if name.startswith(("PYTHON", "METEROID", "TF_", "PROVISIONER"))} == {
        "METEROID_BASE_URL"
    }


def test_the_machine_is_described_from_what_the_kernel_says() -> None:
    assert machine.processor("x : y\nmodel name\t: AMD EPYC\nmodel name\t: AMD EPYC\n") == "AMD EPYC"
    assert machine.memory("MemFree: 1 kB\nMemTotal:       25165824 kB\n") == "24 GiB"
    assert machine.memory("") == "unknown"
    mounts = "a / ext4 rw 0 0\nb /tmp tmpfs rw 0 0\nbroken\n"
    assert machine.file_system(mounts, Path("/tmp/x")) == "tmpfs"
    assert machine.file_system(mounts, Path("/tmpx")) == "ext4"
    assert machine.file_system("", Path("/")) == "unknown"


def test_a_table_has_the_columns_that_some_row_has_something_for() -> None:
    parts = [
        part(EMPTY_PLAN, 1000, ours=0.5, transfer=0.01, blocks=2.0),
        part(EMPTY_PLAN, 10_000, ours=1.5, transfer=0.1),
    ]
    floors = (f"0.010 s, 50.0 {TIMES} (50.0 to 50.0)", f"0.100 s, 15.0 {TIMES} (15.0 to 15.0)")
    theirs = f"2.00 s (2.00 to 2.00), 30 MiB | 4.00 {TIMES} (4.00 to 4.00)"
    assert report.sized(parts) == [
        "| apps | latency | provisioner | peak | transfer | Terraform blocks | blocks ÷ ours | rounds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        f"| 1,000 | 0 ms | 0.500 s (0.500 to 0.500) | 30 MiB | {floors[0]} | {theirs} | 2 |",
        f"| 10,000 | 0 ms | 1.50 s (1.50 to 1.50) | 30 MiB | {floors[1]} | — | — | 2 |",
    ]


def test_an_apply_is_held_against_what_its_requests_wait() -> None:
    row = report.row(part(APPLY, 1000, 50, ours=6.0))
    assert row["waiting"] == f"5.00 s, 1.20 {TIMES} (1.20 to 1.20)"
    assert "waiting" not in report.row(part(APPLY, 1000, ours=6.0))


@pytest.mark.parametrize(("count", "waits"), [(1, 0.05), (10, 0.05), (11, 0.1), (1000, 5.0)])
def test_requests_wait_by_tens(count: int, waits: float) -> None:
    assert floors.waiting(count, 50, 10) == pytest.approx(waits)


def test_start_up_is_held_against_the_floor() -> None:
    of = Part(START_UP, 0, 0, {FLOOR: series(FLOOR, 0.02), "--help": series("--help", 0.08)})
    assert report.start_up(of)[-1] == (f"| `--help` | 0.080 s | 4.00 {TIMES} | 30 MiB | 1 |")


def test_the_summary_says_how_it_grows() -> None:
    parts = [
        part(EMPTY_PLAN, 1, ours=0.2),
        part(EMPTY_PLAN, 10_000, ours=1.2),
        part(APPLY, 1, ours=0.5),
        part(APPLY, 1000, ours=2.5),
        part(APPLY, 10_000, ours=22.5),
        part(APPLY, 1, 50, ours=0.5),
        part(APPLY, 1000, 50, ours=6.0),
    ]
    more = f"start-up apart, 1.10 {TIMES} that at 1,000."
    waits = f"takes 1.10 {TIMES} (1.10 to 1.10) what its requests wait, 10 at a time; start-up apart."
    assert report.summary(parts) == [
        "An empty plan of 10,000 apps takes 1.00 s more than one of 1.",
        "An apply at 0 ms costs 2.00 ms for each of 1,000 apps, start-up apart.",
        f"An apply at 0 ms costs 2.20 ms for each of 10,000 apps, {more}",
        f"An apply of 1,000 apps at 50 ms {waits}",
    ]


def test_of_one_size_nothing_is_said_on_growth() -> None:
    assert report.summary([part(EMPTY_PLAN, 1, ours=0.2), part(APPLY, 1, ours=0.2)]) == []


def test_the_plot_is_xml_with_a_line_for_each_series() -> None:
    drawn = plot.plot({"a & b": [(1, 0.1), (1000, 2.5)], "c": [(10, 0.01)], "nothing": [(0, 1.0)]})
    root = ET.fromstring(drawn)  # noqa: S314  # our own
    lines = [node for node in root if node.tag.endswith("polyline")]
    assert len(lines) == 2
    texts = [node.text for node in root if node.tag.endswith("text")]
    assert "a & b" in texts
    assert "nothing" not in texts
    for point in " ".join(node.attrib["points"] for node in lines).split():
        x, y = map(float, point.split(","))
        assert 0 < x < plot.WIDTH
        assert 0 < y < plot.HEIGHT


def test_more_apps_are_further_right_and_more_seconds_further_up() -> None:
    drawn = plot.plot({"a": [(1, 0.1), (1000, 2.5)]})
    match = re.search(r'points="([0-9.]+),([0-9.]+) ([0-9.]+),([0-9.]+)"', drawn)
    assert match is not None
    x1, y1, x2, y2 = map(float, match.groups())
    assert x1 < x2
    assert y1 > y2


def test_a_plot_of_nothing_is_drawn_too() -> None:
    assert plot.plot({}).startswith("<svg")


def test_terraform_gets_the_same_apps_as_we_do() -> None:
    text = places.apps_yaml(2)
    blocks = terraform.blocks(2)
    for number in range(2):
        assert f"https://app-{number}.example.com/oauth/callback" in text
        assert f"https://app-{number}.example.com/oauth/callback" in blocks
    assert blocks.count("resource ") == 2
    assert places.apps_yaml(0) == "apps: {}\n"


@pytest.mark.slow  # half a dozen seconds of whole processes
def test_a_whole_run_measures_us_beside_terraform_and_writes_the_page(monkeypatch, tmp_path: Path) -> None:
    log, pretend = tmp_path / "log", tmp_path / "bin" / "terraform"
    pretend.parent.mkdir()
    pretend.write_text(TERRAFORM.format(log=log))
    pretend.chmod(0o755)
    monkeypatch.setattr(terraform, "found", lambda: str(pretend))
    monkeypatch.setattr(bench, "compile_dir", lambda *_, **__: None)
    page = tmp_path / "docs" / "page.md"
    given = {"--folder": str(tmp_path), "--sizes": "3", "--latencies": "0", "--rounds": "1", "--budget": "0"}
    options = [word for pair in given.items() for word in pair]
    assert bench.main([*options, "--out", str(page)]) == 0
    text = page.read_text("utf-8")
    for title in ("Start-up", "`validate`", "First `plan`", "`apply`", "`plan --no-refresh`", "Empty `plan`"):
        assert f"## {title}" in text
    assert "| Terraform | 0.0.1 |" in text
    assert f'`make bench BENCH="--folder {tmp_path} --sizes 3 --latencies 0 --rounds 1 --budget 0' in text
    assert "polyline" in page.with_suffix(".svg").read_text("utf-8")
    said = log.read_text().splitlines()
    for kind in ("blocks", "for_each"):
        assert said.count(f"{kind} apply -no-color -input=false -auto-approve") == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("bench-")]


def test_without_terraform_the_page_says_that_it_was_not_measured(monkeypatch, tmp_path: Path) -> None:
    assert machine.described(tmp_path, None)["Terraform"] == "not on the PATH, not measured"
    assert json.dumps(machine.described(tmp_path, None))
