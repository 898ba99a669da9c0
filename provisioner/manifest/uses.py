"""Which app is delivered to which sink, and where that is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.delivery import DeclaredSink, Target
from provisioner.errors import Problem
from provisioner.frozen import dataclass
from provisioner.manifest.faults import Fault, Loc, Place, fault_at
from provisioner.manifest.options import is_sound
from provisioner.manifest.sinks import declared_if_well_formed
from provisioner.manifest.tree import Document, List, Map, Node, apps
from provisioner.model import Address


class Sinks:
    """The sinks of all files by name. `sound` are those that can be looked into: they fit some app."""

    def __init__(self, documents: list[Document]) -> None:
        stating = [document for document in documents if "sinks" in document.root]
        self.files = {name: document for document in reversed(stating) for name in document.section("sinks")}
        self.whole = all(isinstance(document.root["sinks"], Map) for document in stating)
        candidates = (
            declared_if_well_formed(name, document.section("sinks")[name], document.name)
            for name, document in self.files.items()
        )
        self.sound = {sink.name: sink for sink in candidates if sink is not None and is_sound(sink)}

    def shown(self, name: str, option: str) -> str:
        """An option and its place: that of its sink, where it is not stated."""
        return f"sinks.{name}.{option}, at {self.files[name].place(('sinks', name, option), key=True)}"


@dataclass(frozen=True, slots=True)
class Use:
    """That an app is delivered to a sink, and where this is said: at the app itself if by the defaults."""

    document: Document
    loc: Loc
    address: Address
    sink: DeclaredSink
    options: Mapping[str, Any]  # for this app
    names: tuple[str, str]

    def place(self) -> Place:
        """Where it is said."""
        return self.document.place(self.loc, key=True)

    def fault(self, problem: Problem) -> Fault:
        """A fault that this app has with this sink."""
        return fault_at(self.place(), self.loc, problem, self.sink.name)


def uses(documents: list[Document], sinks: Sinks) -> Iterator[Use]:
    """Every app with each of its sinks that are sound, in the order of delivery."""
    default = default_sinks(documents)
    for document, key, app in apps(documents):
        loc = ("apps", key, "sinks")
        node = app.get("sinks", default)
        for index, name in enumerate(node if isinstance(node, List) else ()):
            if isinstance(name, str) and name in sinks.sound:
                sink, at = sinks.sound[name], (*loc, index) if "sinks" in app else loc
                target = Target(sink, Address(key))
                yield Use(document, at, target.address, sink, target.options, target.names)


def default_sinks(documents: list[Document]) -> Node:
    """What `defaults.sinks` says: an empty list where nobody says anything, None where it cannot be told."""
    stating = [document.root["defaults"] for document in documents if "defaults" in document.root]
    if not all(isinstance(defaults, Map) for defaults in stating):
        return None
    stated = (defaults["sinks"] for defaults in stating if isinstance(defaults, Map) and "sinks" in defaults)
    return next(stated, List())
