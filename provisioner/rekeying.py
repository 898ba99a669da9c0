"""Who can read sealed secrets, and sealing them to others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from provisioner.custody import Opener, client_secret, naming, unsealed
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.ports import Sealer, StateStore
from provisioner.state import AppRecord, SealedSecret


@dataclass(frozen=True, slots=True)
class Opened:
    """A record with its sealed secret, and what was in it: the label and the API's answer, as they came."""

    record: AppRecord
    secret: SealedSecret
    content: Secret


def open_all(records: Iterable[AppRecord], opener: Opener) -> list[Opened]:
    """Those that have a sealed secret. Raises SealingError, which says whose, where one cannot be opened."""
    return [
        Opened(record, record.secret, _content(record, record.secret, record.secret.sealed, opener))
        for record in records
        if record.secret is not None and record.secret.sealed is not None
    ]


def _content(record: AppRecord, secret: SealedSecret, sealed: str, opener: Opener) -> Secret:
    """What is sealed, once it was held against its record.

    Anybody can put what is sealed to somebody else into a record: without the check this would open what is
    none of this tool's, and hand it to all the readers.
    """
    content = unsealed(secret, sealed, naming(record.address, opener))
    client_secret(record, lambda _: content)
    return content


def seal_anew(opened: Sequence[Opened], sealer: Sealer, store: StateStore) -> Iterator[AppRecord]:
    """Each record once it is written. Only the sealed text and its readers differ."""
    sealed = [sealer.seal(item.content) for item in opened]  # what can fail without a disk has failed by now
    for item, text in zip(opened, sealed, strict=True):
        secret = replace(item.secret, sealed=text, recipients=sealer.recipients)
        record = replace(item.record, secret=secret)
        store.write_record(record)
        yield record


def key_of(recipient: str) -> str:
    """A recipient without the comment that an SSH public key may end in."""
    return " ".join(recipient.split()[:2])


def has_others(secret: SealedSecret, recipients: Iterable[str]) -> bool:
    """Whether its readers are known, and are not these."""
    known = secret.recipients
    return known is not None and {*map(key_of, known)} != {*map(key_of, recipients)}


def taken_off(secret: SealedSecret, recipients: Iterable[str]) -> set[str] | None:
    """Who can read it and is not among these; None where that is not known."""
    known = secret.recipients
    return None if known is None else {*map(key_of, known)} - {*map(key_of, recipients)}
