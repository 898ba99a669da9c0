"""A plan and its result as values: printable, comparable, countable; no function, no secret in them."""

from __future__ import annotations

from dataclasses import field, replace
from datetime import timedelta
from enum import Enum
from graphlib import CycleError, TopologicalSorter

from provisioner.delivery import Handover
from provisioner.diff import AttributeChange
from provisioner.errors import PlanError
from provisioner.frozen import dataclass
from provisioner.model import Address, App, AppSpec
from provisioner.operation import OpenOperation
from provisioner.recovery import Finding
from provisioner.state import AppRecord


class ActionKind(Enum):
    """What is done to one app."""

    CREATE = "create"
    REPLACE = "replace"  # the API has no update: delete, then create
    DELETE = "delete"
    ROTATE = "rotate"  # a new secret, and the old one dead at once
    FORGET = "forget"  # only the record goes
    IMPORT = "import"  # an app that exists already is recorded; its secret is not held
    MOVE = "move"  # only the address changes
    DELIVER = "deliver"  # a secret that is held goes to its sinks
    PROTECT = "protect"  # only the record changes: whether it may be destroyed
    RESUME = "resume"  # an operation that an earlier run left open
    NOOP = "no-op"


class Reason(Enum):
    """Why, for readers; nothing is decided by it."""

    NOT_IN_MANIFEST = "because oauth_app.{key} is not in the manifest"
    DELETED_OUTSIDE = "because it was deleted outside of provisioner"
    RECORDED_TWICE = (
        "because the same app is recorded at another address too, as after a move that was cut off"
    )
    REMOVED = "because `removed` says so; the app stays in the API, its sealed secret goes with the record"
    REQUESTED = "as requested"
    DUE = "because its secret is {age} old, and rotate_after is {limit}"
    DRIFTED = "because its secret was rotated elsewhere: the sealed one is not the live one"
    UNSETTLED = "because an earlier rotation came through late: the sealed secret is not the live one"
    ANSWER_ON_DISK = "an earlier run got its secret and stopped; it is sealed in the journal"
    SEND_AGAIN = "an earlier run asked for it and got no answer; the API does not list it"
    TAKE_OVER = "an earlier run made it, but its secret was lost on the way; a new one is made for it"
    HALF_REPLACED = "an earlier run destroyed the old one and stopped; the new one is made now"
    ROTATE_AGAIN = "an earlier run rotated it and got no answer; it is rotated again"
    DELETE_AGAIN = "an earlier run asked for that and got no answer; it is still there"
    DELETED = "an earlier run asked for that and stopped; it is gone"
    WHOSE = "an earlier run asked for it and got no answer; whose app has its name now is not certain"
    NOT_SETTLED = "an earlier run asked for it; the request may still be on its way, so it is kept in mind"
    NOT_LOOKED_FOR = "an earlier run left it open; what became of it is not known without asking the API"
    NEVER_MADE = "an earlier run asked for it; it was never made, and nobody wants it any more"
    KEPT = "an earlier run asked to destroy it; it is still there, and wanted after all"
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
    finding: Finding | None = None
    like: ActionKind | None = None  # what resuming an open operation comes to; None for closing it
    settles: bool = field(default=False, compare=False)  # nothing can be late any more: the record may say so
    moved_from: Address | None = None  # where its record still is
    protect: bool = False  # whether its record will say that it must not be destroyed
    age: timedelta | None = field(default=None, compare=False)  # of the secret, where a rotation is due
    limit: timedelta | None = None  # and what `rotate_after` says
    import_id: str | None = None
    handover: Handover = field(default_factory=Handover)
    left_out: bool = False  # on request: nothing is done or said about it

    @property
    def shown_as(self) -> ActionKind | None:
        """The kind that a reader sees: of an open operation, what it comes to."""
        return self.like if self.kind is ActionKind.RESUME else self.kind

    @property
    def destroys(self) -> bool:
        """Whether an app's client id stops working, which needs consent."""
        resumed = self.kind is ActionKind.RESUME and self.reason is not Reason.DELETE_AGAIN
        return self.shown_as in (ActionKind.DELETE, ActionKind.REPLACE) and not resumed

    @property
    def needs_consent(self) -> bool:
        """Whether it must be agreed to by name: what destroys, and a rotation that nobody asked for yet."""
        asked = self.kind is ActionKind.RESUME or self.reason is Reason.UNSETTLED
        return self.destroys or (self.kind is ActionKind.ROTATE and not asked)


@dataclass(frozen=True, slots=True)
class Conflict:
    """What stands in the way; while there is one, nothing is applied. Its texts are escaped.

    `address` is None where it is about the plan as a whole.
    """

    address: Address | None
    summary: str
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader should know and the plan does nothing about. Its text is escaped."""

    address: Address
    text: str


@dataclass(frozen=True, slots=True)
class Drift:
    """How an app is not as it was recorded; `app` is None where it was deleted."""

    address: Address
    before: App
    app: App | None
    changes: tuple[AttributeChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """What the API holds now. `gone` are recorded ids that were not listed and then not found by id."""

    apps: tuple[App, ...]
    gone: frozenset[str] = frozenset()
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures of the summary line."""

    add: int = 0
    change: int = 0
    destroy: int = 0
    forget: int = 0
    imported: int = 0
    move: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is reviewed and approved. `refreshed` is False where the API was not asked.

    `complete` is False where some addresses were left out on request.
    """

    actions: tuple[Action, ...]
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[Note, ...] = ()
    drift: tuple[Drift, ...] = ()
    refreshed: bool = True
    complete: bool = True
    destruction: bool = False  # of everything that is recorded

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
    FAILED = "failed"  # refused, or never sent: nothing is left open
    OPEN = "open"  # it may have been committed; the journal keeps it for the next run
    SKIPPED = "skipped"  # not started


@dataclass(frozen=True, slots=True)
class Result:
    """One action's end. `message` is escaped."""

    action: Action
    status: Status
    message: str = ""
    app: App | None = None
    destroyed: bool = False  # of a replacement: the old app is gone, whatever came after
    problems: tuple[str, ...] = ()  # of the sinks: it is done and recorded, and not delivered everywhere


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
    trouble: str = ""  # what went wrong once all of that was done

    @property
    def done(self) -> bool:
        """Whether everything was done, and delivered, and others can see that it was."""
        return not self.trouble and not self.unfinished

    @property
    def unfinished(self) -> tuple[Result, ...]:
        """What was not done, or not delivered."""
        return tuple(item for item in self.results if item.status is not Status.DONE or item.problems)

    def having(self, status: Status) -> tuple[Result, ...]:
        """The results of one kind."""
        return tuple(result for result in self.results if result.status is status)

    @property
    def counts(self) -> Counts:
        """What was done, half-done replacements included."""
        done = counts(tuple(result.action for result in self.having(Status.DONE)))
        halves = sum(result.destroyed for result in self.results if result.status is not Status.DONE)
        return replace(done, destroy=done.destroy + halves)


_CHANGES = (ActionKind.ROTATE, ActionKind.PROTECT, ActionKind.DELIVER, None)


def counts(actions: tuple[Action, ...]) -> Counts:
    """Add up actions for a summary line. An open operation that is only closed is a change."""
    kinds = [action.shown_as for action in actions]
    replaced = kinds.count(ActionKind.REPLACE)
    return Counts(
        add=kinds.count(ActionKind.CREATE) + replaced,
        change=sum(kinds.count(kind) for kind in _CHANGES),
        destroy=kinds.count(ActionKind.DELETE) + replaced,
        forget=kinds.count(ActionKind.FORGET),
        imported=kinds.count(ActionKind.IMPORT),
        move=sum(action.moved_from is not None for action in actions),
    )


def in_order(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """The actions so that each comes after those that it waits for."""
    if not any(action.after for action in actions):
        return actions
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
