"""The first Ctrl-C, SIGTERM or SIGHUP lets nothing new start; the second stops at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from _thread import start_new_thread
from collections.abc import Iterator
from types import FrameType

from provisioner.cli.output import complain
from provisioner.errors import EXIT_INTERRUPTED

_PATIENCE = 2.0  # seconds
_TOLD = "\nInterrupted: nothing new is started; what is in flight is recorded. Once more to stop at once."
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """The first signal sets `stop`. One that is ignored already, as `nohup` has it, stays so."""
    caught: list[int] = []
    told = threading.Event()

    def tell() -> None:
        stop.set()
        try:
            complain(_TOLD)
        finally:
            told.set()

    def handle(number: int, _frame: FrameType | None) -> None:
        if caught:
            os._exit(EXIT_INTERRUPTED)
        caught.append(number)
        # Not in this thread, which may hold what they would wait for: the lock in `stop`, a stream. Nor by
        # `threading`, whose own locks it may hold, too.
        try:
            start_new_thread(tell, ())
        except RuntimeError:  # there may be no more
            tell()

    minded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in minded}
    try:
        yield
    finally:
        if caught:
            told.wait(_PATIENCE)  # nobody may be reading
        for number, handler in before.items():
            signal.signal(number, handler)
