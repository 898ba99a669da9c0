"""What a torture run came to, as figures that add up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Points visited, and what was wrong with them: one text a fault, none where all is well.

    `lost`, `duplicated` and `leaked` count apps and secrets; `wrong` counts every other broken promise (an
    exit status, a leftover, a bug's message, the order of writes). `misses` are crashes that never struck.
    """

    points: int = 0
    lost: int = 0
    duplicated: int = 0
    leaked: int = 0
    wrong: int = 0
    misses: int = 0
    in_a_row: tuple[int, ...] = (0, 0, 0, 0)  # points with so many crashes
    failures: tuple[str, ...] = ()

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.points + other.points,
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.leaked + other.leaked,
            self.wrong + other.wrong,
            self.misses + other.misses,
            tuple(mine + theirs for mine, theirs in zip(self.in_a_row, other.in_a_row, strict=True)),
            self.failures + other.failures,
        )

    @property
    def clean(self) -> bool:
        """Whether every promise was kept, at one point at least."""
        return self.points > 0 and not self.failures and not self._broken

    @property
    def _broken(self) -> int:
        return self.lost + self.duplicated + self.leaked + self.wrong

    def line(self, what: str, seconds: float) -> str:
        """One line of the report."""
        return (
            f"{what:<28} points {self.points:>6,}  lost {self.lost}  duplicated {self.duplicated}  "
            f"leaked {self.leaked}  wrong {self.wrong}  misses {self.misses}  {seconds:.0f} s"
        )
