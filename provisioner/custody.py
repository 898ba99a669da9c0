"""From a record to its client secret; what was sealed must answer for the app that the record is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from provisioner.envelope import Label, unpack
from provisioner.errors import NotOpenedError, SealingError
from provisioner.model import Address, Secret
from provisioner.reply import UnusableError, created_from, rotated_from
from provisioner.state import AppRecord, SealedSecret
from provisioner.text import escape

Opener = Callable[[str], Secret]
_SHOWN = 10


def client_secret(record: AppRecord, opener: Opener) -> Secret:
    """The record's secret. Raises SealingError where there is none, or where it answered for another app."""
    if record.secret is None:
        raise SealingError(
            f"The secret of {record.address} is not held",
            "It was shown once, and not to this tool.",
            _new_one(record),
        )
    if record.secret.sealed is None:
        raise SealingError(
            f"The secret of {record.address} is only in its sinks",
            "The app is `sink_only`: once every sink had it, the sealed copy was dropped."
            + "".join(f" It is in {sink}." for sink in _sinks(record, record.secret)),
            f"Take it from there; or {_new_one(record)}",
        )
    label, body = unpack(unsealed(record.secret, record.secret.sealed, opener))
    try:
        app_id, secret = _read(label, body)
    except UnusableError as error:
        raise SealingError(
            f"What is sealed for {record.address} holds no usable secret", f"In it {error}."
        ) from None
    if app_id != record.app.id or label.operation != record.secret.operation:
        raise SealingError(
            f"What is sealed for {record.address} answered another request",
            "Somebody put another record's sealed secret, or an older one, into this record.",
            "Bring the record back from version control.",
        )
    return secret


def unsealed(secret: SealedSecret, sealed: str, opener: Opener) -> Secret:
    """What is `sealed`; where it is not opened, the error says who could, as far as the record knows."""
    try:
        return opener(sealed)
    except NotOpenedError as error:
        if not secret.recipients:
            raise
        known = [escape(recipient, 120) for recipient in secret.recipients[:_SHOWN]]
        known += ["…"] * (len(secret.recipients) > _SHOWN)
        detail = f"{error.detail} By its record it can be opened by: {', '.join(known)}."
        raise NotOpenedError(error.summary, detail, error.hint) from None


def _new_one(record: AppRecord) -> str:
    command = f"`provisioner rotate {record.address.key}`"
    return f"{command} gives it a new one; the present one stops working at once."


def _sinks(record: AppRecord, secret: SealedSecret) -> Iterator[str]:
    """Those that have this very secret, by their receipts."""
    for name, receipt in sorted(record.deliveries.items()):
        if receipt.operation == secret.operation:
            yield f"{escape(name, 80)} ({escape(receipt.place, 200)})"


def naming(address: Address, opener: Opener) -> Opener:
    """As `opener`, where several are opened: its errors say whose secret it was."""

    def named(sealed: str) -> Secret:
        try:
            return opener(sealed)
        except SealingError as error:
            raise type(error)(
                f"The secret of {address} cannot be opened", f"{error.summary}. {error.detail}", error.hint
            ) from None

    return named


def _read(label: Label, body: Secret) -> tuple[str | None, Secret]:
    if label.kind == "create":
        app, secret = created_from(body)
        return app.id, secret
    return label.app_id, rotated_from(body)[1]
