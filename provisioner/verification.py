"""Prove stored secrets by introspection: the server says whether it takes them, and nothing changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

from provisioner.custody import Opener, client_secret
from provisioner.errors import ProvisionerError
from provisioner.frozen import dataclass
from provisioner.model import Address, Introspection
from provisioner.ports import OAuthAppsApi
from provisioner.state import AppRecord

_AT_ONCE = 10


class Verdict(Enum):
    """What is known of one stored secret."""

    CONFIRMED = "confirmed"
    UNCONFIRMED_UNTIL_NOW = "unconfirmed until now"  # recorded by a recovery that could not try it
    WRONG = "wrong"
    NOT_HELD = "not held"
    COULD_NOT_ASK = "could not ask"

    @property
    def good(self) -> bool:
        """Whether the server takes the secret."""
        return self in (Verdict.CONFIRMED, Verdict.UNCONFIRMED_UNTIL_NOW)


@dataclass(frozen=True, slots=True)
class Verified:
    """One record's verdict, and why where it could not be had; `help` says more, in lines."""

    address: Address
    verdict: Verdict
    reason: str = ""
    help: str = ""


def verify(records: Iterable[AppRecord], opener: Opener, api: OAuthAppsApi) -> Iterator[Verified]:
    """A verdict a record, in order; ten introspections at a time."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="verify") as pool:
        yield from pool.map(lambda record: _verify(record, opener, api), records)


def _verify(record: AppRecord, opener: Opener, api: OAuthAppsApi) -> Verified:
    if record.secret is None:
        return Verified(record.address, Verdict.NOT_HELD)
    if record.secret.sealed is None:
        return Verified(record.address, Verdict.NOT_HELD, "only its sinks have it")
    try:
        answer = api.introspect(record.app.client_id, client_secret(record, opener))
    except ProvisionerError as error:
        more = "\n".join(filter(None, (error.detail, error.hint)))
        return Verified(record.address, Verdict.COULD_NOT_ASK, error.summary, more)
    if answer is Introspection.WRONG:
        return Verified(record.address, Verdict.WRONG, "the server does not take the secret that is stored")
    known = Verdict.CONFIRMED if record.secret.confirmed else Verdict.UNCONFIRMED_UNTIL_NOW
    return Verified(record.address, known)
