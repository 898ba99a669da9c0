"""Files where no secret belongs, and two deliveries to one place, which would overwrite each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath, PurePosixPath

from provisioner.errors import Problem
from provisioner.manifest.faults import Fault
from provisioner.manifest.options import with_key
from provisioner.manifest.places import FILE, PREFIX, Spot, file_of, whereabouts
from provisioner.manifest.tree import Document, Map
from provisioner.manifest.uses import Sinks, Use
from provisioner.manifest.values import DEFAULT_STATE

_MANIFEST = Problem("This is a file of the manifest itself.", "Write another path.")
_STATE = Problem("This is in the folder of the state, which holds nothing else.", "Write another path.")

Placed = tuple[Use, tuple[Spot, ...]]


class _Reserved:
    """The files that are no place for a secret, as far as their names tell."""

    def __init__(self, documents: list[Document]) -> None:
        stating = next((document for document in documents if "state" in document.root), documents[0])
        stated = stating.root.get("state", Map())
        path = stated.get("path", DEFAULT_STATE) if isinstance(stated, Map) and "git" not in stated else None
        folder = str(PurePath(stating.name).parent)
        self.files = {whereabouts("", document.name) for document in documents}
        self.state = PurePosixPath(whereabouts(folder, path)) if isinstance(path, str) else None

    def problem(self, where: str) -> Problem | None:
        """What is against a file that is there."""
        if where in self.files:
            return _MANIFEST
        in_state = self.state is not None and PurePosixPath(where).is_relative_to(self.state)
        return _STATE if in_state else None


def off_limits(documents: list[Document], sinks: Sinks, placed: Iterable[Placed]) -> Iterator[Fault]:
    """Files of the manifest and of the state: those of a sink itself, and those that a key makes of one."""
    reserved = _Reserved(documents)
    said = set()
    for name, sink in sinks.sound.items():
        option = file_of(sink)
        path = sink.options[option] if option else None
        problem = reserved.problem(whereabouts(str(sink.folder), path)) if path else None
        if problem:
            said.add(name)
            yield sinks.files[name].fault(("sinks", name, str(option)), problem, path)
    for use, places in placed:
        for spot in places:
            problem = reserved.problem(spot.identity[1]) if spot.identity[0] == FILE else None
            if problem and use.sink.name not in said:
                option = sinks.shown(use.sink.name, spot.option)
                rule = f"{option}, leads this app to {spot.shown()}. {problem.rule}"
                yield use.fault(Problem(rule, problem.remedy))


def collisions(sinks: Sinks, placed: Iterable[Placed]) -> Iterator[Fault]:
    """Two deliveries to one place. Each is held against the first that is there, not against all others."""
    first: dict[tuple[str, ...], tuple[Use, Spot]] = {}
    for use, places in placed:
        for spot in places:
            other, its = first.setdefault(spot.identity, (use, spot))
            if (other.address, other.sink.name) != (
                use.address,
                use.sink.name,
            ):  # of one given twice, `rules` says it
                yield use.fault(Problem(_taken(spot, other, its), _apart(sinks, use, spot, other, its)))
                break


def _taken(spot: Spot, other: Use, its: Spot) -> str:
    place, there = spot.shown(), its.shown()
    place = place[0].upper() + place[1:]
    whose = f"{other.address} in sinks.{other.sink.name}, at {other.place()}"
    if spot.texts == its.texts:
        return f"{place} is taken by {whose}."
    return f"{place} may be the same as {there}, which is taken by {whose}."


def _apart(sinks: Sinks, use: Use, spot: Spot, other: Use, its: Spot) -> str:
    """How to give each of the two a place of its own."""
    option = sinks.shown(use.sink.name, spot.option)
    if use.sink.name != other.sink.name:
        return f"Change {option}; or {sinks.shown(other.sink.name, its.option)}."
    if spot.option != PREFIX:
        return f"Use {{key}} in {option}."
    if with_key("{KEY}", use.address) == with_key("{KEY}", other.address):
        return "In capitals the two keys are one: give one of the apps another key, or a sink of its own."
    return f"Use {{KEY}} in {option}."
