"""A plan as markdown, for a comment or a job's summary: what matters first, the rest folded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.render.phrases import SYMBOLS, kind_of
from provisioner.render.plan_json import cuts_off
from provisioner.text import escape

LIMIT = 65_535  # of a GitHub comment; counted in bytes here, which is never less than its characters
_WORDS = (("import", "import"), ("add", "add"), ("change", "change"), ("remove", "destroy"))
_MORE = (("forget", "forget"), ("move", "move"))
_ROWS = 200  # of the table; the details have all of them
_CUT = "\n… cut here: a comment has no room for more. The whole plan is in the job's log.\n"


def markdown(document: Mapping[str, Any], text: str) -> str:
    """The plan's document and its text, in at most LIMIT bytes. Names stand in a code block only, inert."""
    head = "\n".join(_head(document)) + "\n"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    start, end = f"\n<details><summary>Details</summary>\n\n{fence}text\n", f"{fence}\n\n</details>\n"
    room = LIMIT - len((head + start + end + _CUT).encode())
    whole = text if text.endswith("\n") else text + "\n"
    body = whole.encode()
    if len(body) > room:
        whole = body[: max(room, 0)].decode(errors="ignore") + _CUT
    return head + start + whole + end


def title(document: Mapping[str, Any]) -> str:
    """The summary in one line."""
    if document["errored"]:
        count = len(document["conflicts"])
        return f"{count} conflict{'s' * (count != 1)}: nothing can be applied"
    figures = document["summary"]
    if not any(figures.values()):
        return "No changes"
    parts = [f"{figures[name]:d} to {word}" for name, word in _WORDS if name != "import" or figures[name]]
    return ", ".join(parts + [f"{figures[name]:d} to {word}" for name, word in _MORE if figures[name]])


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"### provisioner plan: {title(document)}"
    yield ""
    cut_off = [entry for entry in document["resource_changes"] if cuts_off(entry)]
    if cut_off:
        yield (
            f"> **Cuts off {len(cut_off)}**: client ids stop working, tokens are revoked, "
            "connected accounts must consent again."
        )
        yield ""
    yield _drift(document)
    if not document["complete"]:
        yield "Only a part of the manifest was planned (`--target` or `--exclude`)."
    if document["notes"]:
        yield f"Warnings: {len(document['notes'])}, in the details."
    rows = [entry for entry in document["resource_changes"] if kind_of(entry)]
    if rows:
        yield from ("", "| | address | |", "|---|---|---|")
        yield from map(_row, rows[:_ROWS])
        if len(rows) > _ROWS:
            yield f"| | … and {len(rows) - _ROWS} more | |"


def _drift(document: Mapping[str, Any]) -> str:
    if not document["refreshed"]:
        return "Drift was **not** looked for: the API was not asked."
    drifted = [entry["address"] for entry in document["resource_drift"]]
    if not drifted:
        return "Nothing was changed outside of provisioner."
    named = ", ".join(map(_code, drifted[:20])) + ", …" * (len(drifted) > 20)
    return f"Changed outside of provisioner: {named}."


def _row(entry: Mapping[str, Any]) -> str:
    reason = re.sub("[^a-z]+", " ", entry.get("action_reason", ""))
    paths = ", ".join(_code(path[0]) for path in entry["change"].get("replace_paths", ()))
    why = f"{paths} changed" if paths else reason
    return f"| `{SYMBOLS[kind_of(entry)]}` | {_code(entry['address'])} | {why} |"


def _code(text: str) -> str:
    """A piece of code on one line of a table. A saved plan may be forged: even an address is only text."""
    return "`" + escape(text).replace("`", "'").replace("|", "/") + "`"
