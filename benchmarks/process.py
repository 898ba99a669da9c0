"""One run of a program: how long it took, on the wall and on the processor, and its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Without them a child would compile every module anew, or write to a coverage report.
_NOT_PASSED_ON = ("PYTHON", "COVERAGE", "METEROID_", "PROVISIONER_", "SOPS_", "TF_", "XDG_")


class FailedError(Exception):
    """A program that was to be measured failed: its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took. `peak` is its largest resident set in MiB, as the kernel counts it."""

    seconds: float
    processor: float
    peak: float


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: a home of its own, and nothing that is another tool's business."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
    return kept | {"HOME": str(home), "NO_COLOR": "1", "CHECKPOINT_DISABLE": "1"} | dict(more or {})


def measured(
    command: Sequence[str], folder: Path, env: Mapping[str, str], expected: Sequence[int] = (0,)
) -> Run:
    """Run `command` to its end in `folder`. Raises FailedError where it fails."""
    log = folder / "output.log"
    small = [sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py")), str(log)]
    ran = subprocess.run([*small, *command], cwd=folder, env=env, stdout=subprocess.PIPE, check=True)
    took, processor, peak, status = ran.stdout.split()
    if int(status) not in expected:
        said = log.read_text("utf-8", "replace")[-2000:]
        raise FailedError(f"{' '.join(command)} ended with {int(status)}:\n{said}")
    return Run(float(took), float(processor), int(peak) / 1024)


def provisioner(*arguments: str) -> list[str]:
    """Our command line, as it is installed beside this Python; else by its module."""
    script = Path(sys.executable).with_name("provisioner")
    return [str(script), *arguments] if script.exists() else [sys.executable, "-m", "provisioner", *arguments]
