"""The rules that each value is held against by itself, whatever else is wrong in its file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from provisioner import name, redirect_uri, scope
from provisioner.duration import duration
from provisioner.errors import Problem
from provisioner.manifest.faults import Fault, Loc, Place
from provisioner.manifest.structure import secret_key
from provisioner.manifest.tree import Document, List, Map, Node

Check = Callable[[str], Iterable[Problem]]
CheckRecipient = Callable[[str], Problem | None]

_HOME = Problem(
    "A path is relative to the file that states it; ~ stands for no folder here.",
    "Write the path in full, or from that file on.",
)
_NO_TIME = Problem(
    "A secret cannot be rotated after no time at all.", "Write how old it may grow, or remove the key."
)
_UNPRINTABLE = Problem("A path holds no control or invisible character.", "Remove it.")


def leaf_faults(document: Document, check_recipient: CheckRecipient | None) -> Iterator[Fault]:
    """What is wrong with each name, URI, scope, period, recipient and path of one file."""

    def recipient(text: str) -> Iterable[Problem]:
        problem = check_recipient(text) if check_recipient else None
        return (problem,) if problem else ()

    for variable in document.section("variables"):
        if problem := secret_key(variable):
            yield document.key_fault(("variables", variable), problem)
    state, defaults = document.section("state"), document.section("defaults")
    yield from _value(document, ("state", "path"), state.get("path"), _path)
    yield from _set(document, ("state", "recipients"), state.get("recipients"), recipient)
    yield from _set(document, ("defaults", "scopes"), defaults.get("scopes"), scope.check)
    allow = document.section("policy").get("allow")
    yield from _set(document, ("policy", "allow"), allow, lambda _: ())
    for key, app in document.section("apps").items():
        if isinstance(app, Map):
            yield from _app(document, ("apps", key), app)


def _app(document: Document, loc: Loc, app: Map) -> Iterator[Fault]:
    yield from _value(document, (*loc, "name"), app.get("name"), name.check)
    uris = app.get("redirect_uris")
    yield from _set(document, (*loc, "redirect_uris"), uris, redirect_uri.check, redirect_uri.canonical)
    yield from _set(document, (*loc, "scopes"), app.get("scopes"), scope.check)
    yield from _value(document, (*loc, "rotate_after"), app.get("rotate_after"), _period)


def _value(document: Document, loc: Loc, node: Node, check: Check) -> Iterator[Fault]:
    if isinstance(node, str):
        yield from _shown(document, loc, node, tuple(check(node)))


def _shown(document: Document, loc: Loc, text: str, problems: tuple[Problem, ...]) -> Iterator[Fault]:
    """The problems of one value, which none of them shows where one takes it for a secret."""
    found = None if any(problem.secret for problem in problems) else text
    for problem in problems:
        yield document.fault(loc, problem, found)


def _set(
    document: Document, loc: Loc, node: Node, check: Check, form: Callable[[str], str] = str
) -> Iterator[Fault]:
    """Each item by itself, and those that say the same as an earlier one once both are in one `form`."""
    if not isinstance(node, List):
        return
    first: dict[str, int] = {}
    for index, item in enumerate(node):
        if isinstance(item, str):
            problems = tuple(check(item))
            earlier = first.setdefault(form(item), index) if len(node) > 1 else index
            if earlier != index:
                problems += (_again(earlier, document.place((*loc, earlier))),)
            if problems:
                yield from _shown(document, (*loc, index), item, problems)


def _again(index: int, place: Place) -> Problem:
    rule = f"The list holds this already, as item [{index}] at line {place.line}."
    return Problem(rule, "Remove one of the two.")


def _path(path: str) -> Iterator[Problem]:
    if path.startswith("~"):
        yield _HOME
    if not path.isprintable():
        yield _UNPRINTABLE


def _period(text: str) -> Iterator[Problem]:
    if duration(text) == timedelta():
        yield _NO_TIME
