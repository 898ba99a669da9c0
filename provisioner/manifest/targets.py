"""Apps and sinks held against each other: is there such a sink, does it fit, has each app a place in it."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.errors import Problem
from provisioner.manifest.collisions import collisions, off_limits
from provisioner.manifest.faults import SHOWN_FAULTS, Fault, Loc
from provisioner.manifest.options import misfit
from provisioner.manifest.places import spots
from provisioner.manifest.tree import Document, List, Map, Node, apps
from provisioner.manifest.uses import Sinks, Use, default_sinks, uses
from provisioner.manifest.words import near
from provisioner.text import quote

_NOWHERE = Problem(
    "sink_only leaves the only copies of the secret in the app's sinks, and the app has none.",
    "Give it sinks, or remove this key.",
)


def target_faults(documents: list[Document]) -> Iterator[Fault]:
    """What apps and sinks have against each other."""
    sinks = Sinks(documents)
    yield from _nowhere(documents)
    if sinks.whole:
        yield from _undeclared(documents, list(sinks.files))
    fitting = []
    for use in uses(documents, sinks):
        unfit = misfit(use.sink.type, use.options, use.names)
        if unfit is None:
            fitting.append((use, spots(use)))
        else:
            yield use.fault(_unfit(sinks, use, *unfit))
    yield from off_limits(documents, sinks, fitting)
    yield from collisions(sinks, fitting)


def _nowhere(documents: list[Document]) -> Iterator[Fault]:
    default = default_sinks(documents)
    for document, key, app in apps(documents):
        if app.get("sink_only") is True and app.get("sinks", default) == []:
            yield document.key_fault(("apps", key, "sink_only"), _NOWHERE)


def _undeclared(documents: list[Document], known: list[str]) -> Iterator[Fault]:
    """Names of no sink. A near one is looked for as long as faults are shown."""
    there = set(known)
    unknown = (found for document in documents for found in _named(document) if found[2] not in there)
    for count, (document, loc, name) in enumerate(unknown):
        close = near(name, known) if count < SHOWN_FAULTS else ""
        problem = Problem("The manifest declares no such sink.", close or "Declare it under `sinks`.")
        yield document.fault(loc, problem, name)


def _named(document: Document) -> Iterator[tuple[Document, Loc, str]]:
    """Every name of a sink, where it stands: in the defaults, and in apps."""
    parts: list[tuple[Loc, Node]] = [(("defaults",), document.section("defaults"))]
    parts += [(("apps", key), app) for key, app in document.section("apps").items()]
    for loc, part in parts:
        node = part.get("sinks") if isinstance(part, Map) else None
        for index, name in enumerate(node if isinstance(node, List) else ()):
            if isinstance(name, str):
                yield document, (*loc, "sinks", index), name


def _unfit(sinks: Sinks, use: Use, option: str, text: str, problem: Problem) -> Problem:
    """Why a sink that fits other apps does not fit this one."""
    rule = f"{sinks.shown(use.sink.name, option)}, makes {quote(text, 80)} of this app's key. {problem.rule}"
    return Problem(
        rule, f"Give the app a sink of its own, with `{option}:` as it must be; or give it another key."
    )
