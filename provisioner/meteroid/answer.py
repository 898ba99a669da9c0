"""What one request came back with, before anybody judges it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.reply import UnusableError, decode

if TYPE_CHECKING:
    from datetime import datetime

    from provisioner.meteroid.faults import Fault

# The answer's headers that are looked at; the others are dropped where they come in.
HEADERS = (
    *("content-encoding", "content-length", "content-type", "date", "link", "location", "retry-after"),
    "transfer-encoding",
)
_BODILESS = frozenset({204, 304})  # RFC 9110 §15: these end with their head
_PAGE = re.compile(rb"\s*<")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with its body, or a fault, or both where the body broke off. Header names in lower case."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Secret = field(default_factory=lambda: Secret(b""))
    fault: Fault | None = None

    @property
    def complete(self) -> bool:
        """Whether the body is known to be whole.

        One that only the end of the connection delimits (RFC 9112 §6.3, rule 8) may have been cut without a
        trace: it does not count as whole.
        """
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        return self.status is not None and self.fault is None and (framed or self.status in _BODILESS)

    @property
    def is_page(self) -> bool:
        """Whether it is a web page: then a proxy or a wrong host wrote it, and the API did not."""
        return "html" in self.headers.get("content-type", "") or bool(_PAGE.match(self.body.reveal()))

    @property
    def is_foreign(self) -> bool:
        """Whether something else than the API wrote it: a web page, or a 404 in no form of the API's.

        Its own has no body (as published) or is a RestErrorResponse. Any other, as of a gateway that has lost
        its route, says nothing about an app, and must not pass for "it is gone".
        """
        return self.is_page or (self.status == 404 and not self._says_not_found())

    def _says_not_found(self) -> bool:
        body = self.body.reveal()
        try:
            document = decode(body) if body.strip() else {"code": "NOT_FOUND"}
        except UnusableError:
            return False
        return isinstance(document, dict) and document.get("code") == "NOT_FOUND"

    @property
    def date(self) -> str | None:
        """The server's `Date`, where it is one (RFC 9110 §6.6.1)."""
        value = self.headers.get("date")
        return value if moment(value) else None


def moment(value: str | None) -> datetime | None:
    """An HTTP date (RFC 9110 §5.6.7) as a time with its zone; None for anything else."""
    try:
        parsed = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else None
