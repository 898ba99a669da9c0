"""`--target` and `--exclude`: the part of a plan that was asked for."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.consent import Choices
from provisioner.errors import UsageError
from provisioner.model import Address
from provisioner.plan import Action, ActionKind


def selected(actions: tuple[Action, ...], choices: Choices) -> tuple[Action, ...]:
    """The actions, of which those that were not asked for do nothing."""
    by_address = {action.address: action for action in actions}
    kept = _with_those_before(choices.target, by_address) if choices.target else set(by_address)
    kept -= choices.exclude
    return tuple(action if action.address in kept else _left_out(action) for action in actions)


def check_addresses(choices: Choices, actions: tuple[Action, ...], moved: Mapping[Address, Address]) -> None:
    """An address that the plan has nothing of is a slip of the pen."""
    known = {action.address for action in actions}
    for flag, addresses in choices.addresses.items():
        for address in sorted(addresses - known):
            if address in moved:
                raise UsageError(
                    f"{flag} names {address}, which is moved to {moved[address]}", "", "Name that."
                )
            raise UsageError(
                f"{flag} names {address}, of which this plan has nothing",
                "It is not recorded, and this plan does not make it.",
                "`provisioner state list` shows what is recorded, `provisioner plan` what would be made.",
            )


def _with_those_before(targets: frozenset[Address], actions: Mapping[Address, Action]) -> set[Address]:
    kept, left = set[Address](), [*targets]
    while left:
        address = left.pop()
        if address in actions and address not in kept:
            kept.add(address)
            left.extend(actions[address].after)
    return kept


def _left_out(action: Action) -> Action:
    """Nothing is done or said about it, but that its record is there stays known."""
    return Action(
        ActionKind.NOOP, action.address, record=action.record, protect=action.protect, left_out=True
    )
