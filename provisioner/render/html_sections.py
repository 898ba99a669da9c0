"""What stands on the page, section by section; one that would be empty is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from provisioner.frozen import dataclass
from provisioner.render.html_changes import Change, change_item, changes_of, folded, reason_of
from provisioner.render.html_difference import Entry, difference
from provisioner.render.html_markup import Markup, element, lines, named, prose, quoted, shown, together, void
from provisioner.render.phrases import SYMBOLS
from provisioner.render.plan_json import cuts_off

_UNFOLDED = 12  # changes, or drifted apps, that are shown open
_LONG = 200  # changes that a browser lays out as they come into sight
_SHORT = 20  # entries of a list that is not folded away
_CUT_OFF = "Client ids stop working, tokens are revoked, connected accounts must consent again."
_ROTATED = "Each present secret stops working before the new one can be in use."
_DRIFTED = "As recorded, and as it is in the API now. What is done about it stands under the changes."
_IF_NOT_FOR = "What would be done if nothing stood in the way."
_TEXT = "The plan as it was printed"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    anchor: str
    heading: str
    count: str
    content: Markup


def sections(document: Mapping[str, Any], text: str) -> tuple[Section, ...]:
    """The page's parts in their order: what stands in the way first, what is to be looked up last."""
    changes = changes_of(document)
    cut = [change for change in changes if cuts_off(change.entry)]
    rotated = [change for change in changes if change.kind == "rotate"]
    drift = document["resource_drift"]
    parts = (
        _section("conflicts", "Conflicts", document["conflicts"], map(_conflict, document["conflicts"])),
        _section("warnings", "Warnings", document["notes"], map(_note, document["notes"])),
        _section("cut", "Cut off", cut, map(_cut, cut), f"{_counted(cut)} {_CUT_OFF}"),
        _section("rotations", "Rotations", rotated, map(_rotated, rotated), _ROTATED),
        _section("drift", "Drift", drift, (_drifted(entry, len(drift)) for entry in drift), _DRIFTED),
        _changes(document, changes),
        Section("text", "As text", "", folded(shown(_TEXT), element("pre", lines(text)))),
    )
    return tuple(part for part in parts if part.content)


def _section(
    anchor: str, heading: str, entries: Sequence[Any], items: Iterable[Markup], lead: str = ""
) -> Section:
    """A list under a sentence, folded where it is long."""
    count = len(entries)
    if not count:
        return Section(anchor, heading, "", Markup(""))
    kind = {"conflicts": "block", "drift": _list(count)}.get(anchor, "many")
    whole = element("ul", *items, class_=kind)
    if kind == "many" and count > _SHORT:
        whole = folded(shown(f"All {count:,}"), whole)
    return Section(anchor, heading, f"{count:,}", together([*_paragraph(lead), whole]))


def _paragraph(words: str) -> list[Markup]:
    return [element("p", shown(words))] if words else []


def _conflict(conflict: Mapping[str, Any]) -> Markup:
    return element(
        "li",
        element("h3", shown(conflict["summary"])),
        element("div", *_lines(conflict["detail"]), class_="detail"),
        element("div", *_lines(conflict["hint"])),
    )


def _lines(text: str) -> Iterator[Markup]:
    """A paragraph a line; those that are set in from the others are items."""
    for line in filter(None, text.split("\n")):
        inner = line.removeprefix("  ")
        yield element("p", prose(inner), class_="item" if inner != line else "")


def _note(note: Mapping[str, Any]) -> Markup:
    return element("li", named(note["address"]), shown(" "), element("span", prose(note["text"])))


def _cut(change: Change) -> Markup:
    what = "replaced" if change.kind == "replace" else "destroyed for good"
    client_id = change.entry["change"]["before"]["client_id"]
    return _linked(change, shown(f"{what}; client id "), quoted(client_id))


def _counted(cut: Sequence[Change]) -> str:
    replaced = sum(change.kind == "replace" for change in cut)
    return f"{replaced:,} replaced, {len(cut) - replaced:,} destroyed for good."


def _rotated(change: Change) -> Markup:
    return _linked(change, prose(reason_of(change.entry)))


def _linked(change: Change, *words: Markup) -> Markup:
    """An address that leads to its change, and what is to be said about it here."""
    link = element("a", named(change.entry["address"]), href=f"#{change.anchor}")
    return element("li", link, shown(" "), element("span", *words))


def _drifted(entry: Entry, count: int) -> Markup:
    change = entry["change"]
    before, after = change["before"] or {}, change["after"]
    differing = [name for name in before if after is not None and before[name] != after.get(name)]
    if after is None:
        words = "has been deleted"
    elif differing == ["client_secret_hint"]:
        words = "had its secret rotated, likely"
    else:
        words = f"has changed: {', '.join(differing)}"
    sign = element("span", shown("-" if after is None else "~"), class_="sign")
    headline = together([sign, named(entry["address"]), element("span", shown(words), class_="what")], " ")
    kind = "destroy" if after is None else "update"
    return element(
        "li", folded(headline, difference(change, brief=True), unfolded=count <= _UNFOLDED), class_=kind
    )


def _changes(document: Mapping[str, Any], changes: tuple[Change, ...]) -> Section:
    """The changes by kind, which kinds are shown, and how many apps are not among them."""
    kinds = Counter(change.kind for change in changes)
    drifted = {entry["address"] for entry in document["resource_drift"]}
    unchanged = len(document["resource_changes"]) - len(changes)
    content = [
        *_paragraph(_IF_NOT_FOR if document["errored"] and changes else ""),
        *([_choice(kinds)] if len(kinds) > 1 else []),
        *(_group(kind, changes, kinds[kind], drifted) for kind in SYMBOLS if kinds[kind]),
        *_paragraph(_unchanged(unchanged)),
    ]
    return Section("changes", "Changes", f"{len(changes):,}", together(content))


def _unchanged(count: int) -> str:
    return f"{count:,} app{' is' if count == 1 else 's are'} unchanged, and not listed." if count else ""


def _group(kind: str, changes: tuple[Change, ...], count: int, drifted: set[str]) -> Markup:
    """The changes of one kind."""
    unfolded = len(changes) <= _UNFOLDED
    items = [
        change_item(change, unfolded=unfolded, drifted=change.entry["address"] in drifted)
        for change in changes
        if change.kind == kind
    ]
    heading = element("h3", shown(f"{kind.capitalize()} "), element("span", shown(f"{count:,}")))
    return element("div", heading, element("ul", *items, class_=_list(count)), class_=f"group {kind}")


def _list(count: int) -> str:
    return "list long" if count > _LONG else "list"


def _choice(kinds: Counter[str]) -> Markup:
    """Radio buttons that a style sheet acts on."""
    rows = [_radio("all", "all", sum(kinds.values()), checked=True)]
    rows += [
        _radio(kind, f"{symbol} {kind}", kinds[kind], checked=False)
        for kind, symbol in SYMBOLS.items()
        if kinds[kind]
    ]
    return element("fieldset", element("legend", shown("Show")), *rows)


def _radio(kind: str, words: str, count: int, *, checked: bool) -> Markup:
    button = void(
        "input",
        type="radio",
        name="show",
        value=kind,
        id=f"show-{kind}",
        checked="checked" if checked else "",
    )
    return element(
        "label", button, element("span", shown(f"{words} "), element("small", shown(f"{count:,}")))
    )
