"""An operation: one app's way through its write requests, as the journal keeps it."""

from __future__ import annotations

from provisioner.frozen import dataclass
from provisioner.model import Address, App, AppSpec
from provisioner.phases import Kind, Phase


@dataclass(frozen=True, slots=True)
class Sight:
    """What the list showed before a run's first write: ids, and the server's `Date`. Kept once a run."""

    run: str
    ids: frozenset[str]
    date: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """The intent, durable before the first request. From then on the request counts as sent."""

    id: str
    kind: Kind
    address: Address
    lineage: str
    spec: AppSpec | None = None  # what a create or a replacement asks for
    app: App | None = None  # whom a rotate, a delete or a replacement is meant for
    sight: str | None = None  # the run whose sight it is


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the journal keeps it: sealed, and in clear only what a tolerant look could find."""

    status: int | None
    complete: bool
    sealed: str
    app_id: str | None = None
    client_id: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """How far an operation has come; the journal's last whole one counts.

    `app_id` is the app that is rotated. `unsettled` says that an earlier rotate may yet come through.
    `since` is the server's `Date` when the latest request was about to go out or, once `sent`, had gone out.
    """

    phase: Phase
    answer: Answer | None = None
    app_id: str | None = None
    unsettled: bool = False
    since: str | None = None
    sent: bool = False


@dataclass(frozen=True, slots=True)
class OpenOperation:
    """An operation that an earlier run left in the journal."""

    operation: Operation
    step: Step
    sight: Sight | None = None
