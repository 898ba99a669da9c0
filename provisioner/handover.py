"""Handing a secret to its sinks: each in its turn, and the receipts into the record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from provisioner.custody import client_secret
from provisioner.deliveries import held, only_in_sinks
from provisioner.delivery import BY_KEY, Credentials, Handover, Receipt, Target
from provisioner.errors import ProvisionerError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.ports import Clock, StateStore
from provisioner.setting import Outlets
from provisioner.state import AppRecord
from provisioner.text import escape


@dataclass(frozen=True, slots=True)
class Handed:
    """The record as it is afterwards, and what went wrong, a line for each sink. Its texts are escaped."""

    record: AppRecord
    problems: tuple[str, ...] = ()


def probe(handovers: Iterable[Handover], outlets: Outlets) -> None:
    """Before anything is sent: can every delivery work? Raises the first SinkError."""
    for handover in handovers:
        for target in handover.deliver:
            outlets.sinks(target.sink).probe(target)


def hand_over(
    record: AppRecord,
    handover: Handover,
    secret: Secret | None,
    outlets: Outlets,
    store: StateStore,
    clock: Clock,
) -> Handed:
    """Deliver and withdraw; one broken sink is not in the way of another.

    `secret` is at hand where it was made in this run; else it takes an identity. The record is written once.
    """
    receipts, problems, missed = {**record.deliveries}, list[str](), set[str]()
    if handover.deliver and secret is None:
        try:
            secret = client_secret(record, outlets.opener)
        except ProvisionerError as error:
            missed = {target.sink.name for target in handover.deliver}
            problems = [f"not delivered to {target.sink.name}: {told(error)}" for target in handover.deliver]
    # A program may go by the app's key or not: where it does not, what it takes away is put back after that.
    first = [
        target
        for target in handover.withdraw
        if target.sink.type in BY_KEY and target.sink.name not in missed
    ]
    left = _withdrawn(first, receipts, outlets)
    for target in handover.deliver:
        if secret is None:
            break  # it was said
        try:
            receipts[target.sink.name] = _delivered(record, target, secret, outlets, clock)
        except ProvisionerError as error:
            missed.add(target.sink.name)
            problems.append(f"not delivered to {target.sink.name}: {told(error)}")
    # Where a sink could not be given the new copy, its old one may be in use: it goes once there is another.
    rest = [target for target in handover.withdraw if target not in first and target.sink.name not in missed]
    left |= _withdrawn(rest, receipts, outlets)
    # A copy that is still there keeps its receipt, which is the one that knows of it: both are tried again.
    receipts |= {name: record.deliveries[name] for name in left if name in record.deliveries}
    problems += [f"not removed from {name}: {why}" for name, why in left.items()]
    after = held(replace(record, deliveries=receipts))
    if handover.sink_only and not problems:
        after = only_in_sinks(after, handover.targets)
    if after != record:
        store.write_record(after)
    return Handed(after, tuple(problems))


def _withdrawn(targets: Iterable[Target], receipts: dict[str, Receipt], outlets: Outlets) -> dict[str, str]:
    """Take copies away, and their receipts; by the names of sinks, why one could not be."""
    left = {}
    for target in targets:
        name = target.sink.name
        try:
            outlets.sinks(target.sink).remove(target)
        except ProvisionerError as error:
            left[name] = told(error)
        else:
            if name in receipts and receipts[name].fingerprint == target.fingerprint:
                del receipts[name]
    return left


def _delivered(record: AppRecord, target: Target, secret: Secret, outlets: Outlets, clock: Clock) -> Receipt:
    if record.secret is None:
        raise ProvisionerError(f"{record.address} has no secret to deliver")
    sink = outlets.sinks(target.sink)
    sink.deliver(target, Credentials(record.address, record.app.client_id, secret))
    return Receipt(
        record.secret.operation, str(target.owner), target.fingerprint, sink.place(target), clock.now()
    )


def told(error: ProvisionerError) -> str:
    """An error in one line."""
    return " ".join(part for part in (escape(error.summary) + ".", escape(error.detail)) if part)
