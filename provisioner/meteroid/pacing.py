"""Trying again, within bounds: how long to wait, and one brake for all threads."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from random import SystemRandom
from typing import Final

from provisioner.meteroid.answer import Answer, moment
from provisioner.meteroid.faults import HELD_BACK, STOPPED, Fault

LONGEST_WAIT: Final = 60.0
PATIENCE: Final = 300.0  # seconds over which one request is tried again
_FIRST_WAIT: Final = 0.5
_SPREAD: Final = 0.5  # threads that were held back together do not come back together
_HOLDING: Final = frozenset({429, 503})  # the answers that speak for the server as a whole
_RANDOM: Final = SystemRandom().random
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def retry_after(answer: Answer) -> float | None:
    """The seconds that `Retry-After` asks for (RFC 9110 §10.2.3), None where it says nothing usable.

    A date is measured against the answer's own `Date`: our clock may be days off.
    """
    value = answer.headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value) if _SECONDS.fullmatch(value) else LONGEST_WAIT
    then, now = moment(value), moment(answer.headers.get("date"))
    return (then - now).total_seconds() if then and now else None


class Pacer:
    """Sends until the answer stands. `wait` takes seconds and returns true to stop, as `Event.wait` does."""

    def __init__(
        self,
        clock: Callable[[], float],
        wait: Callable[[float], bool],
        random: Callable[[], float] = _RANDOM,
    ) -> None:
        self._clock = clock
        self._wait = wait
        self._random = random
        self._lock = threading.Lock()
        self._held_until = clock()

    def run(self, send: Callable[[], Answer], tries_for: Callable[[Answer], int]) -> tuple[Answer, int]:
        """The last answer and how often it was tried; `tries_for` says how many tries an answer is worth."""
        until = self._clock() + PATIENCE
        answer: Answer | None = None
        tries = 0
        while (fault := self._kept_back(until)) is None:
            answer, tries = send(), tries + 1
            delay = self._delay(answer, tries)
            holding = answer.status in _HOLDING
            if holding:
                self._hold(delay)
            if tries >= tries_for(answer) or self._clock() + delay > until:
                break
            if not holding and self._wait(delay):
                break
        return answer or Answer(fault=fault), tries

    def _delay(self, answer: Answer, tries: int) -> float:
        """What the server asks for, else exponential with full jitter; never more than LONGEST_WAIT."""
        asked = retry_after(answer)
        if asked is not None and asked > 0:
            return min(LONGEST_WAIT, asked)
        return self._random() * min(LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (tries - 1))

    def _hold(self, delay: float) -> None:
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + delay)

    def _kept_back(self, until: float) -> Fault | None:
        """Wait for as long as the server wants no requests; why this one is not to be sent, if it is not."""
        while (left := self._held_until - self._clock()) > 0:
            if self._clock() + left > until:
                return HELD_BACK
            if self._wait(left + self._random() * _SPREAD):
                return STOPPED
        return HELD_BACK if self._clock() > until + _SPREAD else None  # after that, the machine slept
