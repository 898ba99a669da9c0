"""The state as values, and the way from and to its versioned JSON documents. No files here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

from provisioner import documents
from provisioner.delivery import Receipt
from provisioner.documents import FORMAT, refuse
from provisioner.frozen import dataclass
from provisioner.model import KEY, KEY_RULE, Address, App
from provisioner.operation import OpenOperation
from provisioner.text import quote


@dataclass(frozen=True, slots=True)
class Header:
    """What the whole state belongs to. The organization is pinned by the first apply that learns it."""

    lineage: str
    base_url: str
    organization_id: str | None = None


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A sealed answer of the API: age, armored. `hint` came with it, so a later difference stays visible.

    Until `unsettled_until` (server time) an earlier rotate may come through and make another secret the live
    one. `confirmed` says that the answer came whole to the run that asked, or that introspection took it.
    `sealed` is None where the sinks have the only copies; `recipients` is None where they are not known.
    """

    sealed: str | None
    hint: str
    origin: str  # "create" or "rotate"
    operation: str
    time: str  # RFC 3339, UTC
    confirmed: bool = True
    unsettled_until: str | None = None  # RFC 3339, UTC
    recipients: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class AppRecord:
    """One app of ours: as the API returned it, its sealed secret, and what else is to be known of it.

    `protect` says that it must not be destroyed; `deliveries` are the receipts, by the sink's name.
    """

    address: Address
    app: App
    secret: SealedSecret | None = None
    protect: bool = False
    deliveries: Mapping[str, Receipt] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """Everything known of earlier runs. `header` is None before the first apply."""

    header: Header | None = None
    records: Mapping[Address, AppRecord] = field(default_factory=lambda: MappingProxyType({}))
    open: tuple[OpenOperation, ...] = ()


def header_to(header: Header) -> bytes:
    """`state.json`."""
    provider = {"base_url": header.base_url, "organization_id": header.organization_id}
    return documents.dump({"format": FORMAT, "lineage": header.lineage, "provider": provider})


def header_from(data: bytes, where: str) -> Header:
    """The other way; `where` names the file in errors."""
    document = documents.load(data, where, {"format", "lineage", "provider"})
    provider = documents.mapping(document["provider"], where, {"base_url", "organization_id"}, "provider")
    return Header(
        documents.string(document["lineage"], where, "lineage"),
        documents.string(provider["base_url"], where, "provider.base_url"),
        documents.optional(provider["organization_id"], where, "provider.organization_id"),
    )


def record_to(record: AppRecord) -> bytes:
    """`apps/<key>.json`: sorted keys, one value a line, so that a diff reads like a sentence.

    `protect`, `deliveries` and the recipients stand only where they say something.
    """
    secret = None if record.secret is None else documents.fields(record.secret)
    if secret is not None and secret["recipients"] is None:
        del secret["recipients"]
    fields = {
        "format": FORMAT,
        "key": record.address.key,
        "object": documents.fields(record.app),
        "secret": secret,
    }
    if record.protect:
        fields["protect"] = True
    if record.deliveries:
        fields["deliveries"] = {
            name: documents.fields(receipt) for name, receipt in record.deliveries.items()
        }
    return documents.dump(fields)


def record_from(data: bytes, where: str, key: str) -> AppRecord:
    """The other way. A record belongs to the key that its file is named after."""
    document = documents.load(data, where, {"format", "key", "object", "secret"}, {"protect", "deliveries"})
    if not KEY.fullmatch(key):
        refuse(where, f"it is not named after a key: {KEY_RULE}")
    if document["key"] != key:
        refuse(where, f"it says it is the record of another key than {quote(key, 80)}")
    deliveries = _deliveries(document.get("deliveries", {}), where)
    secret = None if document["secret"] is None else _secret(document["secret"], where)
    if (
        secret
        and secret.sealed is None
        and all(it.operation != secret.operation for it in deliveries.values())
    ):
        refuse(where, "secret.sealed is not a string, and no sink has a receipt for it")
    protect = documents.flag(document.get("protect", False), where, "protect")
    return AppRecord(Address(key), documents.app(document["object"], where), secret, protect, deliveries)


def _secret(value: Any, where: str) -> SealedSecret:
    wanted = set(SealedSecret.__match_args__)
    given = documents.mapping(value, where, None, "secret")
    fields = documents.mapping(given, where, wanted - ({"recipients"} - given.keys()), "secret")
    documents.optional(fields["sealed"], where, "secret.sealed")
    if fields["sealed"] == "":
        refuse(where, "secret.sealed is not a string")
    for name in ("hint", "origin", "operation", "time"):
        documents.string(fields[name], where, f"secret.{name}", empty=name == "hint")
    documents.flag(fields["confirmed"], where, "secret.confirmed")
    documents.moment(fields["unsettled_until"], where, "secret.unsettled_until")
    if "recipients" in fields:
        fields["recipients"] = documents.texts(fields["recipients"], where, "secret.recipients")
    return SealedSecret(**fields)


def _deliveries(value: Any, where: str) -> Mapping[str, Receipt]:
    receipts = {}
    for name, item in documents.mapping(value, where, None, "deliveries").items():
        fields = documents.mapping(item, where, set(Receipt.__match_args__), "a delivery")
        for part in Receipt.__match_args__:
            documents.string(fields[part], where, f"deliveries.{part}")
        receipts[name] = Receipt(**fields)
    return receipts
