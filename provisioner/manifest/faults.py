"""What is wrong with a manifest: where it stands, what was found, the rule, and a way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from provisioner.errors import Problem, ProvisionerError
from provisioner.frozen import dataclass
from provisioner.text import escape, quote

SHOWN_FAULTS = 100  # a reader fixes a hundred before running again; a log keeps its size
_PRIVATE_KEY_MARKS = ("AGE-SECRET-KEY-", "PRIVATE KEY-----")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the manifest: its path as errors show it, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file, counted from 1. Line 0 is outside of every file: a flag, the environment."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        file = escape(self.file)
        return f"{file}:{self.line}:{self.column}" if self.line else file


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `found` is raw, and None where it may be a secret or says nothing."""

    file: str
    line: int
    column: int
    path: str
    found: str | None
    rule: str
    remedy: str = ""
    warning: bool = False

    def render(self) -> str:
        """The lines of text: place, path and what was found; then the rule; then the way out."""
        head = [str(Place(self.file, self.line, self.column))]
        head += [self.path] if self.path else []
        head += [quote(self.found, 80)] if self.found is not None else []
        return "\n  ".join(filter(None, (": ".join(head), self.rule, self.remedy)))


class ManifestError(ProvisionerError):
    """Everything that is wrong with a manifest (or a file of variables), in file order."""

    def __init__(self, faults: Iterable[Fault], what: str = "manifest") -> None:
        self.faults = tuple(faults)
        count = sum(not fault.warning for fault in self.faults)
        detail = "\n".join(
            "Warning: " * fault.warning + fault.render() for fault in self.faults[:SHOWN_FAULTS]
        )
        if len(self.faults) > SHOWN_FAULTS:
            detail += f"\n… and {len(self.faults) - SHOWN_FAULTS:,} more."
        super().__init__(f"The {what} has {count:,} fault{'s' * (count != 1)}", detail)


def fault_at(place: Place, loc: Loc, problem: Problem, found: str | None = None) -> Fault:
    """The one way to make a `Fault`, so that what may be a secret is left out in one place."""
    hidden = found is None or problem.secret or holds_private_key(found)
    return Fault(
        place.file,
        place.line,
        place.column,
        path_of(loc),
        None if hidden else found,
        problem.rule,
        problem.remedy,
        problem.warning,
    )


def in_file_order(sources: Iterable[Source]) -> Callable[[Fault], tuple[int, int, int]]:
    """The sort key of faults: the order in which the files were given, then line and column."""
    order = {name: index for index, name in reversed(list(enumerate(source.name for source in sources)))}
    return lambda fault: (order.get(fault.file, len(order)), fault.line, fault.column)


def holds_private_key(text: str) -> bool:
    """Whether `text` has the marks of a private key: age's own, or those of a PEM block."""
    upper = text.upper()
    return any(mark in upper for mark in _PRIVATE_KEY_MARKS)


def path_of(loc: Loc) -> str:
    """`apps.billing.redirect_uris[2]`; a key that is no plain word stands in quotes, escaped."""
    return "".join(map(_step, loc)).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if holds_private_key(step):
        return ".(not shown)"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f".{quote(step, 80)}"
