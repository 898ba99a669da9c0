"""`provisioner secret rekey`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from provisioner.cli.options import lock_option, manifest_options
from provisioner.errors import EXIT_ERROR, FileError, StateError, UnfinishedError, UsageError
from provisioner.text import escape

if TYPE_CHECKING:
    from provisioner.cli.workspace import Readers, Workspace
    from provisioner.ports import StateStore
    from provisioner.rekeying import Opened
    from provisioner.sealing import Identity, Sealer
    from provisioner.state import AppRecord, State


@click.command("rekey", short_help="Seal held secrets anew to the present recipients.")
@manifest_options
@click.option("--auto-approve", "--yes", "-y", "approved", is_flag=True, help="Do not ask.")
@lock_option
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
def command(
    files: Sequence[str],
    variables: Sequence[str],
    var_files: Sequence[str],
    approved: bool,
    lock_timeout: float,
    addresses: Sequence[str],
) -> int:
    """Seal held secrets anew to the present recipients, all of them or those at ADDRESS, after asking.

    The recipients are the manifest's, else the environment's, else your own identity. It takes an identity
    that opens every one of the secrets: they are all opened before the first is written. The secrets
    themselves do not change, and the API is not asked: whoever could read one may have kept it.
    """
    from provisioner.cli.workspace import open_workspace

    return rekey(open_workspace(files, variables, var_files), addresses, approved, lock_timeout)


def rekey(workspace: Workspace, addresses: Sequence[str], approved: bool, lock_timeout: float) -> int:
    """Open all, ask, and write one record after the other."""
    from provisioner.cli.identities import find_identities
    from provisioner.cli.opening import opener_of
    from provisioner.cli.output import say
    from provisioner.cli.workspace import readers
    from provisioner.rekeying import open_all
    from provisioner.sealing import Sealer

    settings = workspace.settings
    identities = find_identities(settings)  # once: they may take a passphrase
    present = readers(workspace, lambda _: identities)
    sealer, store, opener = Sealer(present.recipients), workspace.store, opener_of(identities, settings)
    with ExitStack() as held:
        if approved:
            held.enter_context(store.lock("secret rekey", lock_timeout))
        state = store.read()
        opened = open_all(_chosen(state, addresses), opener)
        if not opened:
            say("There is nothing to seal anew.")
            return 0
        _show(opened, present, identities)
        if not approved:
            if not _confirmed():
                return EXIT_ERROR
            held.enter_context(store.lock("secret rekey", lock_timeout))
            _still(state, store.read())
        _write(opened, sealer, store)
    _advise(opened, sealer.recipients)
    return 0


def _chosen(state: State, addresses: Sequence[str]) -> list[AppRecord]:
    """The records that are meant, each with a sealed secret; one that has none is passed over with a word.

    Raises UsageError where it was meant by name, and where an earlier run left something open.
    """
    from provisioner.cli.output import say
    from provisioner.cli.records import records_of, refuse_open

    records = records_of(state, addresses)
    meant = {record.address for record in records}
    refuse_open(state, meant if addresses else {entry.operation.address for entry in state.open})
    for record in records:
        if record.secret is None or record.secret.sealed is None:
            if addresses:
                raise UsageError(
                    f"There is no sealed secret of {record.address}",
                    "It is not held, or it is only in its sinks. Nothing was done.",
                    "`provisioner secret list` shows what is held.",
                )
            say(f"{record.address}: there is no sealed secret, so nothing is done about it.")
    return records


def _show(opened: Sequence[Opened], present: Readers, identities: Sequence[Identity]) -> None:
    """What will be done, and who can read the secrets then."""
    from provisioner.cli.output import complain, say
    from provisioner.rekeying import taken_off

    say("These secrets will be sealed anew:")
    for item in opened:
        say(f"  {item.record.address}")
    say("\nThey can then be read by:")
    for line in present.lines():
        say(f"  {line}")
    gone = [taken_off(item.secret, present.recipients) for item in opened]
    if any(gone):
        say("\nNo longer by:")
        for reader in sorted(set().union(*filter(None, gone))):
            say(f"  {escape(reader, 120)}")
    if None in gone:
        say("\nOf some of them it is not known who could read them until now.")
    own = [identity.public for identity in identities]
    if None not in own and not {*own} & {*present.recipients}:
        complain("Warning: none of your identities is among the readers: you could not open these any more.")


def _confirmed() -> bool:
    from provisioner.cli.asking import says_yes

    return says_yes("\nDo you want to do this?", "Cancelled. Nothing was done.", "Give --auto-approve.")


def _still(before: State, now: State) -> None:
    if now != before:
        raise StateError(
            "The state changed while you were asked",
            "Nothing was done.",
            "Run `provisioner secret rekey` again and look at what it shows.",
        )


def _write(opened: Sequence[Opened], sealer: Sealer, store: StateStore) -> None:
    """Raises UnfinishedError where some are written and another cannot be."""
    from provisioner.cli.output import say
    from provisioner.rekeying import seal_anew

    done = 0
    try:
        for record in seal_anew(opened, sealer, store):
            done += 1
            say(f"{record.address}: sealed anew")
    except FileError as error:
        if not done:
            raise
        raise UnfinishedError(
            error.summary,
            f"{error.detail} {done} of {len(opened)} were sealed anew, the others are as they were.",
            "Run `provisioner secret rekey` again.",
        ) from None


def _advise(opened: Sequence[Opened], recipients: Sequence[str]) -> None:
    """What sealing anew does not do: whoever could read a secret may have kept it."""
    from provisioner.cli.output import complain, say
    from provisioner.rekeying import taken_off

    say(f"\nDone: {len(opened)} sealed to {len(recipients)} recipient{'s' * (len(recipients) != 1)}.")
    keys = [item.record.address.key for item in opened if taken_off(item.secret, recipients) != set()]
    if not keys:
        say("By what the records said, nobody was taken off who could read them before.")
        return
    complain(
        "Warning: whoever could read these secrets before may know them, and version control keeps what was"
        " sealed to them.\nOnly new secrets end that; the present ones stop working at once:\n"
        f"  provisioner rotate {' '.join(keys)}"
    )
