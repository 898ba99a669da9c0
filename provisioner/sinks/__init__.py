"""Where secrets are delivered: a module for each type of sink, loaded when the first of its type is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType

from provisioner.delivery import DeclaredSink
from provisioner.errors import SinkError
from provisioner.ports import SecretSink
from provisioner.text import quote

# By literal names, so that the import table is held against them, too.
_MODULES: Mapping[str, Callable[[], ModuleType]] = {
    "age": lambda: import_module("provisioner.sinks.age"),
    "command": lambda: import_module("provisioner.sinks.command"),
    "file": lambda: import_module("provisioner.sinks.file"),
    "github-actions": lambda: import_module("provisioner.sinks.github_actions"),
    "kubernetes": lambda: import_module("provisioner.sinks.kubernetes"),
    "vault": lambda: import_module("provisioner.sinks.vault"),
}


def make(declared: DeclaredSink, environment: Mapping[str, str]) -> SecretSink:
    """The sink that the manifest declares. `environment` holds what it may look for: addresses and tokens."""
    if declared.type not in _MODULES:
        raise SinkError(
            f"The sink {quote(declared.name, 80)} is of no type that there is: {quote(declared.type, 80)}",
            f"The types are {', '.join(_MODULES)}.",
        )
    sink: SecretSink = _MODULES[declared.type]().sink(declared, environment)
    return sink
