"""What was agreed to by name, and what a command line asks of a plan beyond the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from provisioner.frozen import dataclass
from provisioner.model import Address
from provisioner.plan import Action, ActionKind

CLASSES: Mapping[str, ActionKind] = {
    "delete": ActionKind.DELETE,
    "replace": ActionKind.REPLACE,
    "rotate": ActionKind.ROTATE,
}


@dataclass(frozen=True, slots=True)
class Consent:
    """Classes of action, each for one address or for all (None). Protection is stronger than any of it."""

    agreed: frozenset[tuple[ActionKind, Address | None]] = frozenset()
    recreate_all: bool = False

    def to(self, kind: ActionKind | None, address: Address) -> bool:
        """Whether this was agreed to."""
        return any(agreed is kind and whom in (None, address) for agreed, whom in self.agreed)

    def missing(self, actions: Iterable[Action]) -> tuple[Action, ...]:
        """The actions that need consent and have none."""
        return tuple(
            action
            for action in actions
            if action.needs_consent and not self.to(action.shown_as, action.address)
        )

    def with_policy(self, allow: Iterable[str]) -> Consent:
        """And what the manifest agrees to for every run."""
        return Consent(self.agreed | {(CLASSES[name], None) for name in allow}, self.recreate_all)

    @property
    def addresses(self) -> frozenset[Address]:
        """Those that were named."""
        return frozenset(address for _, address in self.agreed if address is not None)


@dataclass(frozen=True, slots=True)
class Choices:
    """Addresses to replace though nothing differs, to keep to, and to leave out; and the brakes.

    `max_deletes` None is the manifest's limit. A target takes along what must free its name first.
    """

    consent: Consent = field(default_factory=Consent)
    replace: frozenset[Address] = frozenset()
    target: frozenset[Address] = frozenset()
    exclude: frozenset[Address] = frozenset()
    max_deletes: int | None = None

    @property
    def addresses(self) -> Mapping[str, frozenset[Address]]:
        """Every address that was named, by the flag that named it."""
        return {
            "--allow": self.consent.addresses,
            "--replace": self.replace,
            "--target": self.target,
            "--exclude": self.exclude,
        }
