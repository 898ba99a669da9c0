"""What the operations of one apply work with, and how one of them ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from typing import Protocol

from provisioner.custody import Opener
from provisioner.delivery import DeclaredSink
from provisioner.errors import ProvisionerError, SealingError, SinkError
from provisioner.frozen import dataclass
from provisioner.model import App, Secret
from provisioner.operation import Sight
from provisioner.ports import Clock, OAuthAppsApi, Sealer, SecretSink, StateStore
from provisioner.recovery import Rules
from provisioner.state import AppRecord


class Places(Protocol):
    """As many as may ask at once: a semaphore."""

    def acquire(self) -> object:
        """Wait for one."""

    def release(self) -> object:
        """Give one back."""


def no_sinks(declared: DeclaredSink) -> SecretSink:
    """Where nothing was wired."""
    raise SinkError(f"There is no way to {declared.name} here")


def no_identity(sealed: str) -> Secret:
    """Where nothing was wired."""
    raise SealingError("There is no identity here that could open a secret")


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where secrets go, and what opens those that are sealed; by default nowhere, and nothing."""

    sinks: Callable[[DeclaredSink], SecretSink] = no_sinks
    opener: Opener = no_identity


@dataclass(frozen=True, slots=True)
class Ports:
    """The edges that an apply works through."""

    api: OAuthAppsApi
    store: StateStore
    sealer: Sealer
    clock: Clock
    outlets: Outlets = field(default_factory=Outlets)


class Turn:
    """A place among those that are asking: from before an intent until its answer is here."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._taken = False

    def take(self) -> None:
        """Wait for a place, unless this one has one."""
        if not self._taken:
            self._places.acquire()
            self._taken = True

    def give(self) -> None:
        """Let another one ask. A second time does nothing."""
        if self._taken:
            self._taken = False
            self._places.release()


@dataclass(frozen=True, slots=True)
class Setting:
    """What the operations of one apply share."""

    lineage: str
    organization_id: Callable[[], str | None]
    pin: Callable[[str], None]  # refuses another organization than the state's
    sight: Sight
    server_now: Callable[[], datetime | None]  # from the list's `Date` and a clock that never jumps
    recorded: frozenset[str]
    rules: Rules


@dataclass(frozen=True, slots=True)
class End:
    """Where an operation ended: done as asked, or open in the journal, or neither. `status` is HTTP's."""

    done: bool
    open: bool
    message: str = ""
    app: App | None = None
    status: int | None = None
    destroyed: bool = False
    record: AppRecord | None = None  # as it was written
    secret: Secret | None = None  # where this run has it in hand


class OpenError(ProvisionerError):
    """An error that left an operation open in the journal."""

    def __init__(self, error: ProvisionerError, destroyed: bool) -> None:
        super().__init__(error.summary, error.detail, error.hint)
        self.destroyed = destroyed
