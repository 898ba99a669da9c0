"""`provisioner secret list`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from provisioner.cli.options import state_options
from provisioner.text import escape

if TYPE_CHECKING:
    from provisioner.cli.workspace import Readers
    from provisioner.delivery import Receipt
    from provisioner.ports import StateStore
    from provisioner.state import AppRecord, SealedSecret

_HEAD = ("ADDRESS", "HINT", "AGE", "ORIGIN", "STATUS", "READERS", "DELIVERED TO")
_NOTHING = "-"


@click.command("list", short_help="Show which secrets are held, who can read them, and where they are.")
@state_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    folder: str | None,
    as_json: bool,
    addresses: Sequence[str],
) -> None:
    """Show which secrets are held: since when, how many can read them, and where they were delivered.

    It opens none of them and needs no identity. Who can read a secret is what its record says; age does not
    tell. What the manifest's recipients are is not known with --state.
    """
    from provisioner.cli.clock import SystemClock
    from provisioner.cli.output import say
    from provisioner.cli.records import records_of, warn_absent, warn_open

    store, expected = _look(files, variables, var_files, folder)
    state = store.read()
    warn_absent(state, store, "nothing is listed")
    records = records_of(state, addresses)
    now = datetime.fromisoformat(SystemClock().now())
    say(_as_json(records, expected) if as_json else _as_text(records, expected, now), end="")
    warn_open(state, records)
    _warn_of_others(records, expected)


def _look(
    files: Sequence[str], variables: Sequence[str], var_files: Sequence[str], folder: str | None
) -> tuple[StateStore, Readers | None]:
    """The state, and who should be able to read it, where that is said anywhere."""
    from provisioner.cli.workspace import open_store, open_workspace, readers

    if folder is not None:
        return open_store(folder, files, variables, var_files), None
    workspace = open_workspace(files, variables, var_files)
    stated = readers(workspace, lambda _: ())  # one's own identity may need a passphrase
    return workspace.store, stated if stated.recipients else None


def _warn_of_others(records: Sequence[AppRecord], expected: Readers | None) -> None:
    from provisioner.cli.output import complain
    from provisioner.rekeying import has_others

    secrets = [record.secret for record in records if record.secret and record.secret.sealed]
    others = sum(has_others(secret, expected.recipients) for secret in secrets) if expected else 0
    if expected and others:
        complain(
            f"Warning: {others} of {len(secrets)} sealed secrets can be read by others than the recipients of"
            f" {expected.said_by} or not by all of them; `provisioner secret rekey` seals them anew."
        )


def _as_text(records: Sequence[AppRecord], expected: Readers | None, now: datetime) -> str:
    if not records:
        return "No app is recorded: there are no secrets.\n"
    rows = [_HEAD, *(_row(record, expected, now) for record in records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _row(record: AppRecord, expected: Readers | None, now: datetime) -> tuple[str, ...]:
    secret = record.secret
    if secret is None:
        return (str(record.address), *[_NOTHING] * 3, "not held", *[_NOTHING] * 2)
    return (
        str(record.address),
        escape(secret.hint, 20) or _NOTHING,
        _age(secret, now),
        escape(secret.origin, 20),
        ("confirmed" if secret.confirmed else "unconfirmed") + ("" if secret.sealed else ", in sinks only"),
        _readers(secret, expected),
        ", ".join(_sinks(record)) or _NOTHING,
    )


def _age(secret: SealedSecret, now: datetime) -> str:
    from provisioner.render.lengths import length
    from provisioner.reply import is_moment

    if not is_moment(secret.time):
        return "not known"
    since = datetime.fromisoformat(secret.time.upper())
    return length(max(now - since, now - now))  # another machine's clock may be ahead


def _readers(secret: SealedSecret, expected: Readers | None) -> str:
    from provisioner.rekeying import has_others, key_of

    if secret.sealed is None:
        return _NOTHING
    if secret.recipients is None:
        return "not known"
    count = len({*map(key_of, secret.recipients)})
    return f"{count}, others" if expected and has_others(secret, expected.recipients) else str(count)


def _sinks(record: AppRecord) -> Iterator[str]:
    for name, receipt in sorted(record.deliveries.items()):
        yield escape(name, 80) + ("" if _current(record, receipt) else " (older)")


def _as_json(records: Sequence[AppRecord], expected: Readers | None) -> str:
    secrets = [_object(record, expected) for record in records]
    return json.dumps({"format_version": "1.0", "secrets": secrets}, indent=2) + "\n"


def _object(record: AppRecord, expected: Readers | None) -> Mapping[str, Any]:
    from provisioner.rekeying import has_others

    secret = record.secret
    known = secret is not None and secret.recipients is not None
    return {
        "address": str(record.address),
        "client_id": record.app.client_id,
        "held": secret is not None,
        "sealed": secret is not None and secret.sealed is not None,
        "hint": secret and secret.hint,
        "since": secret and secret.time,
        "origin": secret and secret.origin,
        "confirmed": secret and secret.confirmed,
        "recipients": secret and secret.recipients,
        "as_stated": not has_others(secret, expected.recipients) if secret and known and expected else None,
        "deliveries": {
            name: {"place": receipt.place, "since": receipt.time, "current": _current(record, receipt)}
            for name, receipt in sorted(record.deliveries.items())
        },
    }


def _current(record: AppRecord, receipt: Receipt) -> bool:
    """Whether it has the secret that is held, and not an older one."""
    return record.secret is not None and receipt.operation == record.secret.operation
