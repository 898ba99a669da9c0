"""`make bench`: measure, and write docs/benchmarks.md with its plot."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from compileall import compile_dir
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import provisioner
from benchmarks import terraform
from benchmarks.machine import described
from benchmarks.plot import plot
from benchmarks.report import lines_of, report
from benchmarks.suite import Extent, parts

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str]) -> int:
    """Run it: 0, and the files are written."""
    given = _parsed(arguments)
    began = time.monotonic()
    compile_dir(str(Path(provisioner.__file__).parent), quiet=1)
    binary = None if given.no_terraform else terraform.found()
    extent = Extent(given.sizes, given.latencies, given.rounds, given.budget, binary)
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder) as name:
        facts = described(Path(name), binary)
        for part in parts(extent, Path(name), ROOT / "examples" / "apps.yaml"):
            found.append(part)
            taken = ", ".join(f"{who} {of.time.median:.3f} s" for who, of in part.series.items())
            sys.stderr.write(
                f"{time.monotonic() - began:6.0f} s  {part.name}, {part.size:,} apps, "
                f"{part.latency} ms: {taken}\n"
            )
    command = "make bench" + (f' BENCH="{shlex.join(arguments)}"' if arguments else "")
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(report(found, facts, command, date), encoding="utf-8")
    given.out.with_suffix(".svg").write_text(plot(lines_of(found)), encoding="utf-8")
    sys.stderr.write(f"{time.monotonic() - began:6.0f} s  wrote {given.out} and its plot\n")
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='make bench BENCH="..."', description=__doc__)
    add = parser.add_argument
    add(
        "--sizes",
        type=_numbers,
        default=[1, 100, 1000, 10_000, 100_000],
        help="numbers of apps, as 1,100,1000",
    )
    add("--latencies", type=_numbers, default=[0, 20, 50], help="of the sandbox in ms, as 0,20,50")
    add("--rounds", type=int, default=7, help="at most so many for each part")
    add("--budget", type=float, default=8.0, help="seconds after which a part begins no further round")
    add("--no-terraform", action="store_true", help="leave it out though it is on the PATH")
    add("--folder", type=Path, help="work below this folder, for the file system that is meant")
    add(
        "--out",
        type=Path,
        default=ROOT / "docs" / "benchmarks.md",
        help="the page; the plot stands beside it",
    )
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _ended(number: int, _: object) -> NoReturn:
    """As Ctrl-C does it: the folders and the sandboxes go, too."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _ended)
    sys.exit(main(sys.argv[1:]))
