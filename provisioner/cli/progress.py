"""What is said while an apply runs: a line an event, or a bar on a terminal when there are many."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from provisioner.cli.output import say
from provisioner.model import Address
from provisioner.plan import Event, Result, Status
from provisioner.render.apply_text import progress

_MANY = 25


@contextlib.contextmanager
def reporting(changes: int, colour: bool | None) -> Iterator[Callable[[Event], None]]:
    """A function to tell events to."""
    lines = _Lines()
    if changes < _MANY or colour is False or not is_terminal():
        yield lines.tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    with Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("apply", total=changes)

        def tell(event: Event) -> None:
            if isinstance(event, Result):
                bar.advance(task)
                if event.status is not Status.DONE:
                    lines.tell(event)

        yield tell


@contextlib.contextmanager
def streaming() -> Iterator[Callable[[Event], None]]:
    """A function to tell events to, as one JSON object a line."""
    from provisioner.cli.clock import SystemClock
    from provisioner.render.events import apply_event

    def line(event: Event, seconds: float) -> str:
        return apply_event(event, seconds, SystemClock().now())

    yield _Lines(line).tell


class _Lines:
    """One line an event, with the time each action took."""

    def __init__(self, line: Callable[[Event, float], str] = progress) -> None:
        self._line = line
        self._started: dict[Address, float] = {}

    def tell(self, event: Event) -> None:
        now = time.monotonic()
        began = self._started.setdefault(event.action.address, now)
        say(self._line(event, now - began))
        if isinstance(event, Result):
            self._started.pop(event.action.address, None)


def is_terminal() -> bool:
    """Whether standard output is one."""
    return sys.stdout.isatty()
