"""From a record to its client secret; what was sealed must answer for the app that the record is of."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.envelope import Label, unpack
from provisioner.errors import SealingError
from provisioner.model import Address, Secret
from provisioner.reply import UnusableError, created_from, rotated_from
from provisioner.state import AppRecord

Opener = Callable[[str], Secret]


def client_secret(record: AppRecord, opener: Opener) -> Secret:
    """The record's secret. Raises SealingError where there is none, or where it answered for another app."""
    if record.secret is None:
        raise SealingError(
            f"The secret of {record.address} is not held",
            "It was shown once, and not to this tool.",
        )
    if record.secret.sealed is None:
        raise SealingError(
            f"The secret of {record.address} is only in its sinks",
            "The app is `sink_only`: once every sink had it, the sealed copy was dropped.",
        )
    label, body = unpack(opener(record.secret.sealed))
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


def naming(address: Address, opener: Opener) -> Opener:
    """As `opener`, where several are opened: its errors say whose secret it was."""

    def opened(sealed: str) -> Secret:
        try:
            return opener(sealed)
        except SealingError as error:
            raise SealingError(
                f"The secret of {address} cannot be opened", f"{error.summary}. {error.detail}", error.hint
            ) from None

    return opened


def _read(label: Label, body: Secret) -> tuple[str | None, Secret]:
    if label.kind == "create":
        app, secret = created_from(body)
        return app.id, secret
    return label.app_id, rotated_from(body)[1]
