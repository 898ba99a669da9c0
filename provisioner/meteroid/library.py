"""httpcore, which httpx sends with, without what nobody uses here: that is half of its import."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# Event loops, which it does without; None is how Python is told that they are not installed. And a list of
# authorities that it would fall back on: with an empty module in its place, none but the system's can count.
_UNUSED = {"anyio": None, "trio": None, "certifi": ModuleType("certifi")}


@contextmanager
def lean() -> Iterator[None]:
    """For the moment of an import; whoever else imports them afterwards gets them."""
    missing = {name: module for name, module in _UNUSED.items() if name not in sys.modules}
    sys.modules.update(missing)  # type: ignore[arg-type]  # None, as above
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


with lean():
    import httpcore

__all__ = ["httpcore"]
