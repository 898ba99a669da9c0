"""The classes of result of one request, and how often each is worth trying."""

from __future__ import annotations

from typing import Final

from provisioner.meteroid.answer import Answer
from provisioner.model import Outcome

REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 409, 413, 415, 422, 429})
_PASSING: Final = frozenset({408, 500, 502, 503, 504})
_TRIES: Final = 4
_TRIES_WHEN_LIMITED: Final = 8


def outcome_of(answer: Answer, expected: int) -> Outcome:
    """What is known of a write after `answer`, where `expected` is the status of success."""
    if answer.status is None:
        return answer.fault.outcome if answer.fault else Outcome.AMBIGUOUS
    if not answer.complete:
        return Outcome.AMBIGUOUS
    if answer.status == expected:
        return Outcome.DONE
    if answer.status == 404 and answer.is_foreign:
        return Outcome.AMBIGUOUS  # a proxy's "not found" must not pass for "the app is gone"
    return Outcome.REFUSED if answer.status in REFUSALS else Outcome.AMBIGUOUS


def write_tries(answer: Answer) -> int:
    """How often a write may be sent that was answered so: more than once only where it committed nothing."""
    if answer.status == 429 and answer.complete:
        return _TRIES_WHEN_LIMITED
    unsent = answer.status is None and answer.fault is not None and answer.fault.outcome is Outcome.NOT_SENT
    return _TRIES if unsent and answer.fault is not None and answer.fault.again else 1


def read_tries(answer: Answer) -> int:
    """How often a request without side effects may be sent that was answered so."""
    if answer.status == 429:
        return _TRIES_WHEN_LIMITED
    passing = answer.fault.again if answer.fault else answer.status in _PASSING
    return _TRIES if passing else 1
