"""Wiring for deliveries: the sinks, each made once, and the identities, looked up when one is needed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from provisioner.custody import Opener
from provisioner.delivery import DeclaredSink
from provisioner.model import Secret
from provisioner.ports import SecretSink
from provisioner.setting import Outlets
from provisioner.settings import Settings, environment


def outlets(settings: Settings) -> Outlets:
    """What deliveries work through."""
    return Outlets(_sinks(), _opener(settings))


def _sinks() -> Callable[[DeclaredSink], SecretSink]:
    """The sinks of one run. A sink's library is loaded when it is used."""
    made: dict[str, SecretSink] = {}
    guard = Lock()  # several apps are made at the same time

    def sink(declared: DeclaredSink) -> SecretSink:
        from provisioner.sinks import make

        with guard:
            if declared.name not in made:
                made[declared.name] = make(declared, environment())
            return made[declared.name]

    return sink


def _opener(settings: Settings) -> Opener:
    """Opens with the user's identities. Raises SealingError where there is none, once one is needed."""
    found: list[Opener] = []
    guard = Lock()  # a passphrase is asked for once

    def opened(sealed: str) -> Secret:
        from provisioner.cli.opening import opener

        with guard:
            if not found:
                found.append(opener(settings))
        return found[0](sealed)

    return opened
