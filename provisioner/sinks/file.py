"""Secrets in a file in clear, for this user alone, and never where git would take it up."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.ports import SecretSink
from provisioner.sinks.formats import is_rendered, named, render
from provisioner.sinks.places import Place
from provisioner.sinks.worktree import require_ignored
from provisioner.text import quote


def sink(declared: DeclaredSink, environment: Mapping[str, str]) -> SecretSink:
    """A sink of type `file`. Of the environment, git is handed PATH and where its user's settings are."""
    if declared.options.get("plaintext") is not True:
        raise SinkError(
            f"The sink {quote(declared.name, 80)} would write secrets in clear",
            "A sink of type file does that only where the manifest says so.",
            "Add `plaintext: true` to it, or use the type age.",
        )
    return FileSink(environment)


@dataclass(frozen=True, slots=True, repr=False)
class FileSink:
    """One file an app."""

    environment: Mapping[str, str]

    def place(self, target: Target) -> str:
        """Where it is, as the manifest has it."""
        return f"plain file {quote(target.options['path'], 200)}"

    def probe(self, target: Target) -> None:
        """The names, the path, what is there already, and git."""
        _content(target, Credentials(target.address, "probe", Secret(b"probe")))
        self._checked(target)

    def deliver(self, target: Target, credentials: Credentials) -> None:
        """Write it, whole or not at all."""
        content = _content(target, credentials)
        self._checked(target).write(content.reveal())

    def remove(self, target: Target) -> None:
        """Take it away where it is still as it was delivered."""
        _place(target).remove(is_rendered, target.names[1].encode())

    def _checked(self, target: Target) -> Place:
        place = _place(target)
        place.check(is_rendered, private=True)
        require_ignored(place, self.environment)
        return place


def _place(target: Target) -> Place:
    return Place.of(target.sink.folder, target.options["path"])


def _content(target: Target, credentials: Credentials) -> Secret:
    return render(target.options["format"], named(target, credentials))
