"""What the operations of one apply work with, and how one of them ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from provisioner.errors import ProvisionerError
from provisioner.model import App
from provisioner.operation import Sight
from provisioner.ports import Clock, OAuthAppsApi, Sealer, StateStore
from provisioner.recovery import Rules


@dataclass(frozen=True, slots=True)
class Ports:
    """The edges that an apply works through."""

    api: OAuthAppsApi
    store: StateStore
    sealer: Sealer
    clock: Clock


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


class OpenError(ProvisionerError):
    """An error that left an operation open in the journal."""

    def __init__(self, error: ProvisionerError, destroyed: bool) -> None:
        super().__init__(error.summary, error.detail, error.hint)
        self.destroyed = destroyed
