"""Records as text: everything but the sealed secret itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from provisioner.state import AppRecord, State
from provisioner.text import escape, quote


def state_text(state: State) -> str:
    """The whole state, ending in a newline."""
    if state.header is None:
        return "The state is empty: nothing has been applied yet.\n"
    organization = state.header.organization_id or "(known after the first app)"
    head = (
        f"# organization {organization} at {quote(state.header.base_url)}, lineage {state.header.lineage}\n\n"
    )
    unfinished = [entry.operation for entry in state.open]
    notes = [f"# {operation.address}: an earlier run left {operation.id} open\n" for operation in unfinished]
    records = (record_text(state.records[address]) for address in sorted(state.records))
    return head + "".join(notes) + "\n".join(records)


def record_text(record: AppRecord) -> str:
    """One record, as a plan shows an app."""
    return "\n".join([f"# {record.address}:", *_lines(record)]) + "\n"


def removal_text(record: AppRecord, file: str, *, done: bool) -> str:
    """What goes with a record, or is `done` and gone, and what brings it back; `file` is where it is kept."""
    return "".join(f"{line}\n" for line in _removal(record, file, done=done))


def _removal(record: AppRecord, file: str, *, done: bool) -> Iterator[str]:
    address, app, secret = record.address, record.app, record.secret
    yield f"{'Removed' if done else 'Would remove'} {address} [id={app.id}]"
    was, went = ("was", "went") if done else ("is", "goes")
    if record.protect:
        yield f"  It {was} protected; its app stays in the API."
    if secret is not None and secret.sealed is not None:
        yield f"  Its sealed secret {went} with it. If the state is committed, git brings back {file}."
    for receipt in record.deliveries.values():
        yield f"  A copy of its secret stays in {escape(receipt.place)}."
    if secret is not None:
        yield f"  `provisioner import {address.key} {app.id}` takes the app in again, without its secret."


def _lines(record: AppRecord) -> Iterator[str]:
    app, secret = record.app, record.secret
    yield f'resource "oauth_app" "{record.address.key}" {{'
    yield f"    client_id     = {quote(app.client_id)}"
    yield "    client_secret = (sensitive value)"
    yield f"    created_at    = {quote(app.created_at)}"
    yield f"    id            = {quote(app.id)}"
    yield f"    is_active     = {str(app.is_active).lower()}"
    yield f"    name          = {quote(app.name)}"
    yield from _list("redirect_uris", app.redirect_uris)
    yield from _list("scopes", app.scopes)
    if record.protect:
        yield "    protect       = true"
    if secret is None:
        yield "    # its secret is not held"
    elif secret.sealed is None:
        yield f"    # its secret is only in its sinks: {quote(secret.origin)}, {quote(secret.time)}"
    else:
        origin, time, hint = map(quote, (secret.origin, secret.time, secret.hint))
        yield f"    # its secret is sealed: {origin}, {time}, hint {hint}"
    for name, receipt in sorted(record.deliveries.items()):
        held = secret is not None and secret.operation == receipt.operation
        which = "has it" if held else "has an earlier one"
        yield f"    # {quote(name)} {which}, since {quote(receipt.time)}: {quote(receipt.place)}"
    yield "}"


def _list(name: str, values: Iterable[str]) -> Iterator[str]:
    yield f"    {name:<13} = ["
    yield from (f"        {quote(value)}," for value in sorted(values))
    yield "    ]"
