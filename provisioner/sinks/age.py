"""Secrets in a file that is sealed with age: it may be committed, and only its recipients open it."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SealingError, SinkError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.ports import SecretSink
from provisioner.sealing import Sealer, is_encrypted
from provisioner.sinks.formats import named, render
from provisioner.sinks.places import Place
from provisioner.text import quote


def sink(declared: DeclaredSink, environment: Mapping[str, str]) -> SecretSink:
    """A sink of type `age`. It needs nothing of the environment."""
    return AgeSink()


@dataclass(frozen=True, slots=True)
class AgeSink:
    """One sealed file an app."""

    def place(self, target: Target) -> str:
        """Where it is, as the manifest has it."""
        return f"age file {quote(target.options['path'], 200)}"

    def probe(self, target: Target) -> None:
        """The names, the recipients, the path, and what is there already."""
        _sealed(target, Credentials(target.address, "probe", Secret(b"probe")))
        _place(target).check(_is_age_file, private=False)

    def deliver(self, target: Target, credentials: Credentials) -> None:
        """Write it, whole or not at all."""
        sealed, place = _sealed(target, credentials), _place(target)
        place.check(_is_age_file, private=False)
        place.write(sealed)

    def remove(self, target: Target) -> None:
        """Take it away where it is still an age file."""
        _place(target).remove(_is_age_file, target.names[1].encode())


def _place(target: Target) -> Place:
    return Place.of(target.sink.folder, target.options["path"])


def _is_age_file(content: bytes) -> bool:
    return is_encrypted(Secret(content))


def _sealed(target: Target, credentials: Credentials) -> bytes:
    content = render(target.options["format"], named(target, credentials))
    try:
        return Sealer(target.options["recipients"]).seal(content).encode("ascii")
    except SealingError as error:
        raise SinkError(error.summary, error.detail, error.hint) from None
