"""The first Ctrl-C, SIGTERM or SIGHUP lets nothing new start; the second stops at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from provisioner.cli.output import complain
from provisioner.errors import EXIT_INTERRUPTED

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """The first signal sets `stop`. One that is ignored already, as `nohup` has it, stays so."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        stop.set()
        complain(
            "\nInterrupted: nothing new is started; what is in flight is recorded. Once more to stop at once."
        )

    minded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in minded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
