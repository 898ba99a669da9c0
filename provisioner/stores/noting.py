"""A journal entry that tells when something was written, and when its app is no longer on its way."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.operation import Step
from provisioner.ports import JournalEntry


class Noting:
    """A journal entry whose steps are noted."""

    def __init__(self, entry: JournalEntry, note: Callable[[], None], done: Callable[[], None]) -> None:
        self._entry = entry
        self._note = note
        self._once = [done]

    def step(self, step: Step) -> None:
        """Make how far it has come durable here; the branch has it soon."""
        self._entry.step(step)
        self._note()

    def close(self) -> None:
        """The operation is over."""
        try:
            self._entry.close()
        finally:
            self._done()
        self._note()

    def _done(self) -> None:
        """Once, though an entry whose end fails is left as well."""
        while self._once:
            self._once.pop()()

    def leave(self) -> None:
        """The operation stays open for the next run."""
        try:
            self._entry.leave()
        finally:
            self._done()
