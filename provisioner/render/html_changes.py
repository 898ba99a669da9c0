"""One entry of the plan document as markup: what is to be done, why, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.frozen import dataclass
from provisioner.plan import Reason
from provisioner.render.html_difference import Entry, difference
from provisioner.render.html_markup import Markup, element, named, prose, quoted, shown, together
from provisioner.render.phrases import (
    AS_REQUESTED,
    CLOSED,
    DELIVERED,
    PHRASES,
    RESUMED,
    SCOPES_ONLY,
    SYMBOLS,
    kind_of,
)
from provisioner.render.plan_json import cuts_off

_RESUMED = {reason.name.lower(): words for reason, words in RESUMED.items()} | {
    "replace_by_request": AS_REQUESTED
}
_REASONS = {reason.name.lower(): reason.value for reason in Reason} | {
    "due": "because its secret is older than rotate_after allows",  # how old is not in the document
    "delete_because_no_resource_config": Reason.NOT_IN_MANIFEST.value,
}
_TOLD = {"replace_because_cannot_update", "replace_by_request"}  # by the headline
_DELIVERIES = {"deliver": "its secret goes to ", "remove": "its copy is removed from "}


def reason_of(entry: Entry) -> str:
    """Why, in words."""
    reason = entry.get("action_reason", "")
    words = _REASONS.get(reason, reason.replace("_", " "))
    return str(words.replace("{key}", entry["name"]))


@dataclass(frozen=True, slots=True)
class Change:
    """An entry that does something; its anchor is where links to it lead."""

    anchor: str
    kind: str
    entry: Entry


def changes_of(document: Mapping[str, Any]) -> tuple[Change, ...]:
    """The entries that do something, in their order."""
    kinds = ((kind_of(entry), entry) for entry in document["resource_changes"])
    listed = [(kind, entry) for kind, entry in kinds if kind]
    return tuple(Change(f"c{number}", kind, entry) for number, (kind, entry) in enumerate(listed, 1))


def change_item(change: Change, *, unfolded: bool, drifted: bool) -> Markup:
    """A change as an item of the list; `drifted` where its app was changed outside as well."""
    entry = change.entry
    headline = [
        element("span", shown(SYMBOLS[change.kind]), class_="sign"),
        named(entry["address"]),
        element("span", _phrase(entry, change.kind), class_="what"),
        *(element("b", shown(badge)) for badge in _badges(entry, drifted)),
    ]
    told = [element("p", words) for words in _told(entry)]
    return element(
        "li",
        folded(together(headline, " "), *told, difference(entry["change"]), unfolded=unfolded),
        id=change.anchor,
    )


def folded(summary: Markup, *content: Markup, unfolded: bool = False) -> Markup:
    """Content behind a line that opens it."""
    return element("details", element("summary", summary), *content, open="open" if unfolded else "")


def _phrase(entry: Entry, kind: str) -> Markup:
    words = _RESUMED.get(entry.get("action_reason", "")) or PHRASES.get(kind) or _updated(entry)
    paths = ", ".join(path[0] for path in entry["change"].get("replace_paths", ()))
    if "previous_address" in entry:
        origin = [shown(", moved from " if kind != "move" else " from "), named(entry["previous_address"])]
        return together([shown(words), *origin])
    return shown(f"{words}: {paths}" if paths else words)


def _updated(entry: Entry) -> str:
    if "resuming" in entry:
        return CLOSED
    protected = [(entry["change"][end] or {}).get("protect") for end in ("before", "after")]
    if protected[0] != protected[1]:
        return "will be protected" if protected[1] else "will lose its protection"
    return DELIVERED if "deliveries" in entry else "will be updated"


def _badges(entry: Entry, drifted: bool) -> Iterator[str]:
    if cuts_off(entry):
        yield "cuts off"
    if entry.get("action_reason") == "due":
        yield "due"
    if "resuming" in entry:
        yield "open"
    if drifted:
        yield "drifted"


def _told(entry: Entry) -> Iterator[Markup]:
    """The sentences under a headline."""
    if "action_reason" in entry and entry["action_reason"] not in _TOLD:
        yield prose(reason_of(entry))
    if entry["change"].get("replace_paths") == [["scopes"]]:
        yield shown(SCOPES_ONLY)
    if "resuming" in entry:
        operation = entry["resuming"]
        yield together(
            [shown("the open operation: "), named(operation["operation"]), shown(f", {operation['kind']}")]
        )
    if "importing" in entry["change"]:
        app_id = entry["change"]["importing"]["id"] or ""
        yield together([shown("from "), quoted(app_id), shown("; nothing is changed in the API")])
    for delivery in entry.get("deliveries", ()):
        lead = shown(_DELIVERIES[delivery["action"]])
        yield together([lead, named(delivery["sink"]), shown(f" ({delivery['type']})")])
