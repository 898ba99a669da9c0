"""httpx without its command line and event loops, which nobody uses here: half of its import is theirs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_UNUSED = ("httpx._main", "anyio", "trio")


@contextmanager
def lean() -> Iterator[None]:
    """Let httpx and httpcore think that what is unused and not there yet is not installed.

    They do without; None in its place is how Python is told so. The second is imported by the first client.
    """
    missing = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]  # as above
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


with lean():
    import httpx

__all__ = ["httpx", "lean"]
