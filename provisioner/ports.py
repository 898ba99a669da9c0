"""The contracts between the core and its edges. Adapters satisfy them by shape."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from provisioner.delivery import Credentials, Target
from provisioner.model import Address, App, AppSpec, Introspection, Listing, Reply, Secret
from provisioner.operation import Operation, Sight, Step
from provisioner.state import AppRecord, Header, State


class OAuthAppsApi(Protocol):
    """The six operations. A write is sent once and comes back as a `Reply`; a read raises ApiError."""

    def list_apps(self) -> Listing: ...
    def get_app(self, app_id: str) -> App | None: ...
    def create_app(self, spec: AppSpec) -> Reply: ...
    def rotate_secret(self, app_id: str) -> Reply: ...
    def delete_app(self, app_id: str) -> Reply: ...
    def introspect(self, client_id: str, client_secret: Secret) -> Introspection: ...


class JournalEntry(Protocol):
    """One open operation, with room for its answers."""

    def step(self, step: Step) -> None:
        """Make how far it has come durable."""

    def close(self) -> None:
        """The operation is over: take the entry away."""

    def leave(self) -> None:
        """The operation stays open: keep the entry for the next run."""


class StateStore(Protocol):
    """Where the state lives. Each call is durable when it returns; each error names what failed."""

    def where(self, path: str = "") -> str:
        """What the state, or the file at `path` in it, is called in messages."""

    def read(self) -> State: ...
    def lock(self, operation: str, timeout: float = 0.0) -> AbstractContextManager[None]: ...
    def write_header(self, header: Header) -> None: ...
    def write_record(self, record: AppRecord) -> None: ...
    def delete_record(self, address: Address) -> None: ...
    def write_sight(self, sight: Sight) -> None: ...
    def open_operation(self, operation: Operation, step: Step, reply_bytes: int) -> JournalEntry:
        """A new entry, or the same one written anew, whole or not at all."""

    def close_operation(self, operation_id: str) -> None: ...


class Sealer(Protocol):
    """Seals to the recipients that it was made for."""

    @property
    def recipients(self) -> tuple[str, ...]: ...
    def seal(self, content: Secret) -> str: ...


class SecretSink(Protocol):
    """One place that secrets are delivered to. Every failure is a SinkError, which never shows a secret."""

    def place(self, target: Target) -> str:
        """Where this app's copy is, for people: `age file "secrets/portal.env.age"`. Needs no network."""

    def probe(self, target: Target) -> None:
        """Prove, before anything is sent to the API, that a delivery can work. Changes nothing."""

    def deliver(self, target: Target, credentials: Credentials) -> None:
        """Put the pair there, in place of any earlier one of this app. The same again does no harm."""

    def remove(self, target: Target) -> None:
        """Take this app's copy away; that it is gone already is no error. Somebody else's is left alone."""


class Clock(Protocol):
    """Time for people: in records and messages, never in decisions."""

    def now(self) -> str:
        """RFC 3339, UTC, to the second."""
