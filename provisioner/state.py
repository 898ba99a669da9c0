"""The state as values, and the way from and to its versioned JSON documents. No files here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from provisioner import documents
from provisioner.documents import FORMAT, refuse
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
    """

    sealed: str
    hint: str
    origin: str  # "create" or "rotate"
    operation: str
    time: str  # RFC 3339, UTC
    confirmed: bool = True
    unsettled_until: str | None = None  # RFC 3339, UTC


@dataclass(frozen=True, slots=True)
class AppRecord:
    """One app of ours: as the API returned it, its sealed secret, and whether it must not be destroyed."""

    address: Address
    app: App
    secret: SealedSecret | None = None
    protect: bool = False


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

    `protect` stands only where it is true.
    """
    secret = None if record.secret is None else asdict(record.secret)
    fields = {"format": FORMAT, "key": record.address.key, "object": asdict(record.app), "secret": secret}
    return documents.dump({**fields, **({"protect": True} if record.protect else {})})


def record_from(data: bytes, where: str, key: str) -> AppRecord:
    """The other way. A record belongs to the key that its file is named after."""
    document = documents.load(data, where, {"format", "key", "object", "secret"}, {"protect"})
    if not KEY.fullmatch(key):
        refuse(where, f"it is not named after a key: {KEY_RULE}")
    if document["key"] != key:
        refuse(where, f"it says it is the record of another key than {quote(key, 80)}")
    secret = document["secret"]
    app = documents.app(document["object"], where)
    held = None if secret is None else _secret(secret, where)
    return AppRecord(
        Address(key), app, held, documents.flag(document.get("protect", False), where, "protect")
    )


def _secret(value: Any, where: str) -> SealedSecret:
    fields = documents.mapping(value, where, set(SealedSecret.__match_args__), "secret")
    for name in ("sealed", "hint", "origin", "operation", "time"):
        documents.string(fields[name], where, f"secret.{name}", empty=name == "hint")
    documents.flag(fields["confirmed"], where, "secret.confirmed")
    documents.moment(fields["unsettled_until"], where, "secret.unsettled_until")
    return SealedSecret(**fields)
