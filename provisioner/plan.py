"""A plan and its result as values: printable, comparable, countable; no function, no secret in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from graphlib import CycleError, TopologicalSorter

from provisioner.diff import AttributeChange
from provisioner.errors import PlanError
from provisioner.model import Address, App, AppSpec
from provisioner.operation import OpenOperation
from provisioner.state import AppRecord


class ActionKind(Enum):
    """What is done to one app."""

    CREATE = "create"
    REPLACE = "replace"  # the API has no update: delete, then create
    DELETE = "delete"
    FORGET = "forget"  # gone from the API and from the manifest: only the record goes
    RESUME = "resume"  # an operation that an earlier run left open
    NOOP = "no-op"


class Reason(Enum):
    """Why, for readers; nothing is decided by it."""

    NOT_IN_MANIFEST = "because oauth_app.{key} is not in the manifest"
    DELETED_OUTSIDE = "because it was deleted outside of provisioner"
    ANSWER_ON_DISK = "an earlier run created it and stopped; its sealed secret is in the journal"
    SEND_AGAIN = "an earlier run asked for it and got no answer; the API does not list it"
    NOT_LOOKED_FOR = "an earlier run left it open; what became of it is not known without asking the API"
    NOTHING_LEFT = "an earlier run stopped; nothing is left to do but to close its journal entry"


@dataclass(frozen=True, slots=True)
class Action:
    """One app's part of the plan. `after` are the addresses that must first free its name."""

    kind: ActionKind
    address: Address
    spec: AppSpec | None = None
    record: AppRecord | None = None
    observed: App | None = None
    changes: tuple[AttributeChange, ...] = ()
    reason: Reason | None = None
    after: frozenset[Address] = frozenset()
    open: OpenOperation | None = None

    @property
    def destroys(self) -> bool:
        """Whether an app's client id stops working, which needs consent."""
        return self.kind in (ActionKind.DELETE, ActionKind.REPLACE)


@dataclass(frozen=True, slots=True)
class Conflict:
    """What stands in the way; while there is one, nothing is applied. Its texts are escaped."""

    address: Address
    summary: str
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader should know and the plan does nothing about. Its text is escaped."""

    address: Address
    text: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What the API holds now. `gone` are recorded ids that were not listed and then not found by id."""

    apps: tuple[App, ...]
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures of the summary line."""

    add: int = 0
    change: int = 0
    destroy: int = 0
    forget: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is reviewed and approved. `observed` is None where the API was not asked."""

    actions: tuple[Action, ...]
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[Note, ...] = ()
    refreshed: bool = True

    @property
    def changes(self) -> tuple[Action, ...]:
        """The actions that do something."""
        return tuple(action for action in self.actions if action.kind is not ActionKind.NOOP)

    @property
    def counts(self) -> Counts:
        """A replacement is one to add and one to destroy."""
        return counts(self.actions)


class Status(Enum):
    """How one action ended."""

    DONE = "done"
    FAILED = "failed"  # refused, or never sent: it changed nothing
    OPEN = "open"  # it may have been committed; the journal keeps it for the next run
    SKIPPED = "skipped"  # not started


@dataclass(frozen=True, slots=True)
class Result:
    """One action's end. `message` is escaped."""

    action: Action
    status: Status
    message: str = ""
    app: App | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """An action begins."""

    action: Action


Event = Started | Result


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """How an apply ended."""

    results: tuple[Result, ...]
    interrupted: bool = False

    def having(self, status: Status) -> tuple[Result, ...]:
        """The results of one kind."""
        return tuple(result for result in self.results if result.status is status)

    @property
    def counts(self) -> Counts:
        """What was done."""
        return counts(tuple(result.action for result in self.having(Status.DONE)))


def counts(actions: tuple[Action, ...]) -> Counts:
    """Add up actions for a summary line."""
    kinds = [action.kind for action in actions]
    closing = sum(action.reason is Reason.NOTHING_LEFT for action in actions)
    replaced = kinds.count(ActionKind.REPLACE)
    return Counts(
        add=kinds.count(ActionKind.CREATE) + replaced + kinds.count(ActionKind.RESUME) - closing,
        change=closing,
        destroy=kinds.count(ActionKind.DELETE) + replaced,
        forget=kinds.count(ActionKind.FORGET),
    )


def in_order(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """The actions so that each comes after those that it waits for."""
    by_address = {action.address: action for action in actions}
    graph = {action.address: action.after & by_address.keys() for action in actions}
    try:
        return tuple(by_address[address] for address in TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle: list[Address] = error.args[1]
        raise PlanError(
            "Names go round in a circle",
            "Each of these wants the name that the next one still has: "
            + " -> ".join(map(str, circle))
            + ".",
            "Give one of them a name that nobody has, apply, then give it the name it should have.",
        ) from None
