"""What is done to an app, in one word, with the symbol and the words that every form of a plan has for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.plan import ActionKind, Reason

# Kinds of changes, what hurts most first.
SYMBOLS = {
    "replace": "-/+",
    "destroy": "-",
    "rotate": "~",
    "update": "~",
    "create": "+",
    "import": "=",
    "move": ">",
    "forget": ".",
}
MEANINGS = {
    "replace": "destroy and then create replacement",
    "rotate": "update in place",
    "update": "update in place",
}
WORDS: Mapping[ActionKind | None, str] = {
    ActionKind.CREATE: "create",
    ActionKind.REPLACE: "replace",
    ActionKind.DELETE: "destroy",
    ActionKind.ROTATE: "rotate",
    ActionKind.FORGET: "forget",
    ActionKind.IMPORT: "import",
    ActionKind.MOVE: "move",
    ActionKind.PROTECT: "update",
    ActionKind.DELIVER: "update",
    None: "update",
}
PHRASES = {
    "create": "will be created",
    "replace": "must be replaced",
    "destroy": "will be destroyed",
    "rotate": "will have its secret rotated",
    "forget": "will be forgotten",
    "import": "will be imported",
    "move": "has moved",
}
AS_REQUESTED = "will be replaced, as requested"
DELIVERED = "will have its secret delivered"
CLOSED = "has an open operation, which will be closed"
RESUMED = {
    Reason.ANSWER_ON_DISK: "will be recorded",
    Reason.TAKE_OVER: "will be taken over, with a new secret",
    Reason.NOT_SETTLED: "is left open",
    Reason.WHOSE: "is left open",
}
# Scopes are documented as not enforced yet; when they are, this line and its use go.
SCOPES_ONLY = "only the scopes differ, and Meteroid does not enforce scopes today: it has no effect but this"

_BY_ACTIONS = {
    ("create",): "create",
    ("delete", "create"): "replace",
    ("delete",): "destroy",
    ("forget",): "forget",
}


def kind_of(entry: Mapping[str, Any]) -> str:
    """One of SYMBOLS for an entry of the plan document; empty where nothing is done."""
    change = entry["change"]
    if "importing" in change:
        return "import"
    kind = _BY_ACTIONS.get(tuple(change["actions"]))
    if kind is None and "update" in change["actions"]:
        return "rotate" if "client_secret" in change["after_unknown"] else "update"
    return kind or ("move" if "previous_address" in entry else "")
