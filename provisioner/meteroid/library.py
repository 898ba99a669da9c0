"""httpcore, which httpx sends with, without event loops: nobody uses them here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_UNUSED = ("anyio", "trio")


@contextmanager
def _lean() -> Iterator[None]:
    """For the moment of an import; whoever else imports them afterwards gets them.

    httpcore does without them; None in their place is how Python is told that they are not installed.
    """
    missing = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]  # None, as above
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


with _lean():
    import httpcore

__all__ = ["httpcore"]
