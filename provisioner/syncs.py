"""Syncs that several threads ask for at once, done once for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Turns:
    """The syncs of one folder by several threads: all that are asked for during one are done by the next."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = self._ended = 0
        self._busy = False

    def take(self, sync: Callable[[], None]) -> None:
        """Return after a sync that began after this call."""
        with self._changed:
            mine = self._begun + 1
            while self._busy and self._ended < mine:
                self._changed.wait()
            if self._ended >= mine:
                return
            self._busy, self._begun = True, self._begun + 1
            number = self._begun
        done = False
        try:
            sync()
            done = True
        finally:
            with self._changed:
                self._busy = False
                self._ended = number if done else self._ended
                self._changed.notify_all()
