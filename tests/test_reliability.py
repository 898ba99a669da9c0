"""Every fault of the catalogue has a test named by it, or a reason in docs/reliability.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMES = re.findall(
    r"^def (test_\w+)", "\n".join(p.read_text() for p in (ROOT / "tests").glob("test_*.py")), re.MULTILINE
)
REASONS = set(re.findall(r"^\| F(\d+) \|", (ROOT / "docs" / "reliability.md").read_text(), re.MULTILINE))


def named() -> set[int]:
    """The numbers in the tests' names: `f7`, and all of `f14_to_f18`."""
    numbers: set[int] = set()
    for name in NAMES:
        spans = re.findall(r"_f(\d+)_to_f(\d+)(?=_)", name)
        numbers |= {number for first, last in spans for number in range(int(first), int(last) + 1)}
        numbers |= {int(number) for number in re.findall(r"_f(\d+)(?=_)", name)}
    return numbers


@pytest.mark.parametrize("number", range(1, 43))
def test_every_fault_has_a_test_or_a_reason(number: int) -> None:
    assert number in named() or str(number) in REASONS


def test_every_assumption_is_named() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert all(f"| A{number} |" in text for number in range(1, 8))
