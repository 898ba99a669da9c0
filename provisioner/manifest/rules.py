"""The rules that each value is held against by itself, whatever else is wrong in its file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from provisioner import name, redirect_uri, scope
from provisioner.duration import duration
from provisioner.errors import Problem
from provisioner.manifest.faults import Fault, Loc, Place
from provisioner.manifest.tree import Document, List, Map, Node
from provisioner.manifest.words import secret_key

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
    for variable in document.section("variables"):
        if problem := secret_key(variable):
            yield document.key_fault(("variables", variable), problem)
    state, defaults = document.section("state"), document.section("defaults")
    yield from value_faults(document, ("state", "path"), state.get("path"), path_problems)
    recipients = state.get("recipients")
    yield from set_faults(document, ("state", "recipients"), recipients, recipient_check(check_recipient))
    yield from set_faults(document, ("defaults", "scopes"), defaults.get("scopes"), scope.check)
    yield from set_faults(document, ("defaults", "sinks"), defaults.get("sinks"), anything)
    yield from set_faults(document, ("policy", "allow"), document.section("policy").get("allow"), anything)
    for key, app in document.section("apps").items():
        if isinstance(app, Map):
            yield from _app(document, ("apps", key), app)


def recipient_check(check_recipient: CheckRecipient | None) -> Check:
    """The check that whoever knows recipients gave, as one of ours."""

    def check(text: str) -> Iterable[Problem]:
        problem = check_recipient(text) if check_recipient else None
        return (problem,) if problem else ()

    return check


def _app(document: Document, loc: Loc, app: Map) -> Iterator[Fault]:
    yield from value_faults(document, (*loc, "name"), app.get("name"), name.check)
    uris = app.get("redirect_uris")
    yield from set_faults(document, (*loc, "redirect_uris"), uris, redirect_uri.check, redirect_uri.canonical)
    yield from set_faults(document, (*loc, "scopes"), app.get("scopes"), scope.check)
    yield from set_faults(document, (*loc, "sinks"), app.get("sinks"), anything)
    yield from value_faults(document, (*loc, "rotate_after"), app.get("rotate_after"), _period)


def value_faults(document: Document, loc: Loc, node: Node, check: Check) -> Iterator[Fault]:
    """What is wrong with a string; what is none is passed over."""
    if isinstance(node, str):
        yield from _shown(document, loc, node, tuple(check(node)))


def _shown(document: Document, loc: Loc, text: str, problems: tuple[Problem, ...]) -> Iterator[Fault]:
    """The problems of one value, which none of them shows where one takes it for a secret."""
    found = None if any(problem.secret for problem in problems) else text
    for problem in problems:
        yield document.fault(loc, problem, found)


def set_faults(
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


def path_problems(path: str) -> Iterator[Problem]:
    """What no path may hold."""
    if path.startswith("~"):
        yield _HOME
    if not path.isprintable():
        yield _UNPRINTABLE


def anything(_: str) -> Iterable[Problem]:
    """Of lists whose items are checked elsewhere, and may not stand in them twice."""
    return ()


def _period(text: str) -> Iterator[Problem]:
    if duration(text) == timedelta():
        yield _NO_TIME
