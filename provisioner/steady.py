"""A clock that never jumps."""

from __future__ import annotations

import time
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Seconds since some moment; on Linux they go on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)
