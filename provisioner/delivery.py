"""Where secrets are delivered, as values: a sink as declared, one app's target in it, and its receipt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from provisioner.frozen import dataclass
from provisioner.model import Address, Secret

_HERE = PurePath()
BY_KEY = ("command",)  # types that are told whose a secret is, beside their options, and may go by that


@dataclass(frozen=True, slots=True)
class DeclaredSink:
    """A sink as the manifest states it. `folder` is what its paths are relative to.

    `options` are those of its type, checked and with their defaults: JSON values, no secret among them.
    Strings in them may hold {key} (the app's key) and {KEY} (in capitals, _ for -).
    """

    name: str
    type: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    folder: PurePath = _HERE
    keep: bool = False  # the copy stays where the app is destroyed


@dataclass(frozen=True, slots=True)
class Target:
    """One app's place in one sink: the sink's options with the key filled in.

    Where the app was moved and its place is the same, its copy is still marked with what it was `formerly`.
    """

    sink: DeclaredSink
    address: Address
    formerly: Address | None = None

    @property
    def owner(self) -> Address:
        """Whose the copy is by the mark that it bears, in sinks that have marks."""
        return self.formerly or self.address

    @property
    def options(self) -> Mapping[str, Any]:
        """The options for this app."""
        filled: Mapping[str, Any] = _filled(self.sink.options, self.address.key)
        return filled

    @property
    def names(self) -> tuple[str, str]:
        """What the client id and the client secret are called there: `prefix` and `keys` of every sink."""
        options = self.options
        prefix, keys = options.get("prefix", ""), options.get("keys", {})
        return (
            prefix + keys.get("client_id", "CLIENT_ID"),
            prefix + keys.get("client_secret", "CLIENT_SECRET"),
        )

    @property
    def fingerprint(self) -> str:
        """Of all that decides what is delivered, and where; the same in every run and from every folder."""
        stated: dict[str, Any] = {"type": self.sink.type, "options": self.options}
        if self.sink.type in BY_KEY:
            stated["address"] = str(self.address)
        from hashlib import sha256  # noqa: PLC0415  # it loads OpenSSL

        return sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """That a sink has an app's secret: which one (the operation that it came of), where, and since when.

    `address` is the one that the copy is marked with.
    """

    operation: str
    address: str
    fingerprint: str
    place: str  # for people
    time: str  # RFC 3339, UTC


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is delivered."""

    address: Address
    client_id: str
    client_secret: Secret


@dataclass(frozen=True, slots=True)
class Handover:
    """What an action does about the copies of an app's secret.

    `targets` are all that should have it; `deliver` those that do not; `withdraw` those whose copy goes. With
    `sink_only` the state drops the sealed secret once every target has a receipt.
    """

    targets: tuple[Target, ...] = ()
    deliver: tuple[Target, ...] = ()
    withdraw: tuple[Target, ...] = ()
    sink_only: bool = False

    def __bool__(self) -> bool:
        return bool(self.deliver or self.withdraw)


def _filled(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace("{key}", key).replace("{KEY}", key.upper().replace("-", "_"))
    if isinstance(value, Mapping):
        return {name: _filled(item, key) for name, item in value.items()}
    return [_filled(item, key) for item in value] if isinstance(value, list | tuple) else value
