"""A question, and the `yes` that alone will do."""

from __future__ import annotations

import sys

from provisioner.cli.output import say
from provisioner.errors import UsageError


def says_yes(question: str, cancelled: str, hint: str) -> bool:
    """Ask. Raises UsageError, with `hint`, where nobody is there to answer: nothing was declined."""
    say(f"{question}\n  Only 'yes' will be accepted to approve.\n\n  Enter a value: ", end="")
    try:
        answer = sys.stdin.readline() if sys.stdin else ""  # None where it is closed
    except (OSError, ValueError):  # it is open for writing only
        answer = ""
    if answer.strip() == "yes":
        say("")
        return True
    if answer:
        say(f"\n{cancelled}")
        return False
    say("")
    raise UsageError("There is no answer", "Standard input is at its end. Nothing was done.", hint)
