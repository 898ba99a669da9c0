"""Wiring for deliveries: the sinks, each made once, and the identities, looked up when one is needed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from provisioner.cli.identities import Find
from provisioner.custody import Opener
from provisioner.delivery import DeclaredSink
from provisioner.model import Secret
from provisioner.ports import SecretSink
from provisioner.setting import Outlets
from provisioner.settings import Settings, environment


def outlets(settings: Settings, find: Find) -> Outlets:
    """What deliveries work through; identities are found as `find` does, once one is needed."""
    return Outlets(_sinks(), _opener(settings, find))


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


def _opener(settings: Settings, find: Find) -> Opener:
    """Opens with the user's identities. Raises SealingError where there is none, once one is needed."""

    def opened(sealed: str) -> Secret:
        from provisioner.cli.opening import opener

        return opener(settings, find)(sealed)

    return opened
