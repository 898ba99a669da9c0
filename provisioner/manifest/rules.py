"""The rules that each value is held against by itself, whatever else is wrong in its file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from posixpath import normpath

from provisioner import name, redirect_uri, scope
from provisioner.duration import duration
from provisioner.endpoint import check_base_url
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
_HARDLY_ANY_TIME = Problem(
    "Under an hour, nearly every run finds the secret due, rotates it, and cuts off whoever uses it.",
    "m is minutes; months are written in days, as in 180d.",
    warning=True,
)
_HOUR = timedelta(hours=1)
SHORTEST_LEASE = timedelta(seconds=30)
_REMOTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_NO_REMOTE = Problem(
    "This is not the name of a remote.",
    "Write its name, as `git remote` lists it. A URL, which may hold a password, belongs to git itself.",
    secret=True,
)
_NO_BRANCH = Problem("This is no name for a branch.", "Write letters, digits, dots, dashes and slashes.")
_SHORT_LEASE = Problem(
    "A run that is alive must have time to renew its lease: it takes 30 seconds at least.",
    "Write 10m, or remove the key.",
)
_TWO_PLACES = Problem(
    "The state is either a folder or a branch.",
    "Remove path, or remove git.",
)
HOLDS_THE_MANIFEST = Problem(
    "The folder of the state is kept to its owner, and holds nothing else: it is neither the manifest's own "
    "folder nor one above it.",
    "Write the path of a folder of its own, as in `state`. If this one has a state already, move its "
    "state.json, apps and .journal there.",
)
STATE_PATH: Loc = ("state", "path")
_UNPRINTABLE = Problem("A path holds no control or invisible character.", "Remove it.")


def leaf_faults(document: Document, check_recipient: CheckRecipient | None) -> Iterator[Fault]:
    """What is wrong with each name, URL, URI, scope, period, recipient and path of one file."""
    for variable in document.section("variables"):
        if problem := secret_key(variable):
            yield document.key_fault(("variables", variable), problem)
    base_url = document.section("provider").get("base_url")
    yield from value_faults(document, ("provider", "base_url"), base_url, _base_url)
    state, defaults = document.section("state"), document.section("defaults")
    yield from value_faults(document, STATE_PATH, state.get("path"), _state_path)
    yield from _git(document, state)
    recipients = state.get("recipients")
    yield from set_faults(document, ("state", "recipients"), recipients, recipient_check(check_recipient))
    yield from set_faults(document, ("defaults", "scopes"), defaults.get("scopes"), scope.check)
    yield from set_faults(document, ("defaults", "sinks"), defaults.get("sinks"), anything)
    yield from set_faults(document, ("policy", "allow"), document.section("policy").get("allow"), anything)
    for key, app in document.section("apps").items():
        if isinstance(app, Map):
            yield from _app(document, ("apps", key), app)


def _git(document: Document, state: Map) -> Iterator[Fault]:
    git = state.get("git")
    if not isinstance(git, Map):
        return
    if "path" in state:
        yield document.key_fault(STATE_PATH, _TWO_PLACES)
    yield from value_faults(document, ("state", "git", "remote"), git.get("remote"), _remote)
    yield from value_faults(document, ("state", "git", "branch"), git.get("branch"), _branch)
    yield from value_faults(document, ("state", "git", "lease"), git.get("lease"), _lease)


def _remote(text: str) -> Iterator[Problem]:
    if not _REMOTE.fullmatch(text):
        yield _NO_REMOTE


def _branch(text: str) -> Iterator[Problem]:
    if not _BRANCH.fullmatch(text) or ".." in text or text.endswith((".lock", ".")):
        yield _NO_BRANCH


def _lease(text: str) -> Iterator[Problem]:
    if (duration(text) or SHORTEST_LEASE) < SHORTEST_LEASE:
        yield _SHORT_LEASE


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


def _state_path(path: str) -> Iterator[Problem]:
    """What can be said of it as it is written; what links make of it, the disk alone can tell."""
    if path and set(normpath(path).split("/")) <= {"", ".", ".."}:
        yield HOLDS_THE_MANIFEST
    if path.startswith("~"):
        yield _HOME
    if not path.isprintable():
        yield _UNPRINTABLE


def anything(_: str) -> Iterable[Problem]:
    """Of lists whose items are checked elsewhere, and may not stand in them twice."""
    return ()


def _period(text: str) -> Iterator[Problem]:
    time = duration(text)
    if time == timedelta():
        yield _NO_TIME
    elif time is not None and time < _HOUR:
        yield _HARDLY_ANY_TIME


def _base_url(text: str) -> Iterator[Problem]:
    """As whoever sends the token there judges it. That it is not empty is said already."""
    if text and (problem := check_base_url(text)):
        yield replace(problem, rule=f"This is not the base URL of an API: {problem.rule}.")
