"""One thread that passes on what others wrote: at once where somebody waits for it, else soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from provisioner.errors import ProvisionerError, StateError

SOON = 5.0  # seconds that something written may lie here alone
_GATHERED = 0.03  # seconds in which those who come after the first one go along with it


class Pusher:
    """Calls `push` whenever it is due: a waiting writer, `SOON` after a change, or `renewal` seconds.

    After the first error nothing is pushed any more, and every wait raises it.
    """

    def __init__(self, push: Callable[[], None], renewal: float) -> None:
        self._push = push
        self._renewal = renewal
        self._changed = threading.Condition()
        self._written = self._pushed = 0  # counts of changes
        self._waiting = 0
        self._closed = False
        self._since: float | None = None  # when the oldest change came that is not pushed
        self._at = time.monotonic()  # of the last push
        self._error: ProvisionerError | None = None
        self._thread = threading.Thread(target=self._run, name="pusher", daemon=True)
        self._thread.start()

    def note(self) -> None:
        """Something was written."""
        with self._changed:
            self._written += 1
            if self._since is None:
                self._since = time.monotonic()
                self._changed.notify_all()

    def wait(self) -> None:
        """Until all that was noted before is pushed. Raises what stands against that."""
        with self._changed:
            mine = self._written
            self._waiting += 1
            self._changed.notify_all()
            try:
                while self._pushed < mine and self._error is None and not self._closed:
                    self._changed.wait()
            finally:
                self._waiting -= 1
            if self._error is not None:
                raise self._error
            if self._pushed < mine:
                raise StateError(
                    "The lock of the state has been given back", "Nothing is written without it."
                )

    def close(self) -> None:
        """End the thread, once it has pushed what it is about to."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while self._due():
            with self._changed:
                upto, self._since = self._written, None
            try:
                self._push()
            except ProvisionerError as error:
                failed: ProvisionerError | None = error
            except Exception as error:  # noqa: BLE001  # whoever waits would wait for ever
                failed = StateError("The state could not be pushed", f"{type(error).__name__}.")
            else:
                failed = None
            with self._changed:
                self._at = time.monotonic()
                self._error = failed
                self._pushed = upto if failed is None else self._pushed
                self._changed.notify_all()
            if failed is not None:
                return

    def _due(self) -> bool:
        """Wait until there is something to push; False once there never will be."""
        with self._changed:
            while not self._closed:
                if self._waiting and self._pushed < self._written:
                    break
                left = self._at + self._renewal - time.monotonic()
                if self._since is not None:
                    left = min(left, self._since + SOON - time.monotonic())
                if left <= 0:
                    return True
                self._changed.wait(left)
            else:
                return False
        time.sleep(_GATHERED)
        return True
