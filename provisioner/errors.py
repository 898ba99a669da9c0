"""The error family: a summary, a detail, the next command to type, and an exit status. Never a secret."""

from __future__ import annotations

from provisioner.frozen import dataclass

EXIT_ERROR = 1
EXIT_CHANGES = 2
EXIT_UNFINISHED = 3
EXIT_LOCKED = 4
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule has against one value: the rule (with its RFC) and a way out. It never quotes the value."""

    rule: str
    remedy: str = ""
    warning: bool = False
    secret: bool = False  # the value may be a secret: show its place, never itself


class ProvisionerError(Exception):
    """An error a user can act on. Untrusted text in it is escaped by whoever raises it."""

    exit_code = EXIT_ERROR

    def __init__(self, summary: str, detail: str = "", hint: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.detail = detail
        self.hint = hint


class UsageError(ProvisionerError):
    """The command line or the environment asks for something that cannot be."""


class StateError(ProvisionerError):
    """The state could not be read, or is not what it says it is. Never treated as an empty state."""


class ApiError(ProvisionerError):
    """The API could not be asked, or answered with something other than what was asked for."""


class SealingError(ProvisionerError):
    """Something could not be sealed or opened."""


class NotOpenedError(SealingError):
    """What is sealed was sealed to others, or is damaged: none of the identities opens it."""


class FileError(ProvisionerError):
    """A file could not be read or written."""


class SinkError(ProvisionerError):
    """A secret could not be delivered. What the other side said is shown where it cannot hold the secret."""


class PlanError(ProvisionerError):
    """There is no plan to be had from this manifest, state and API."""


class LockedError(ProvisionerError):
    """Another run holds the lock."""

    exit_code = EXIT_LOCKED


class UnfinishedError(ProvisionerError):
    """Some of it was done, the rest was not; running it again goes on from there."""

    exit_code = EXIT_UNFINISHED
