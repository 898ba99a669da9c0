"""Misbehaviour on request: `OPERATION[@N[xCOUNT]]:KIND[=VALUE]`, like `create@2:lost-after`.

OPERATION is list, create, get, delete, rotate, introspect, or `*` for any of them. The fault strikes at the
Nth such call from when it was given (default 1), and at COUNT calls in a row (default 1; `*` is for ever).
Where two faults strike at one call, the one given first is played, and the other has had its turn.

| KIND | VALUE | done? | what the client gets |
|---|---|---|---|
| `NNN`, `NNN-before` (300 to 599) | 3xx: Location (default `/elsewhere`); else Retry-After (default none) | no | that status, with a `RestErrorResponse` |
| `NNN-after` | as above | yes | as above |
| `lost-before`, `lost-after` | | no, yes | the connection is closed without a reply (FIN) |
| `reset-before`, `reset-after` | | no, yes | the connection is reset without a reply (RST) |
| `hang-before`, `hang-after` | | no, yes | nothing, for as long as it waits |
| `late` | a duration (default 500ms) | after that time | as `lost-before` |
| `slow` | a duration (default 500ms) | yes, at once | the right reply, after that time |
| `trickle` | a duration (default 500ms) | yes, at once | the right reply, its body in pieces over that time |
| `truncated` | bytes of body sent (default half) | yes | Content-Length of the whole, part of it, the end |
| `truncated-no-length` | bytes of body sent (default half) | yes | no Content-Length, part of it, the end |
| `html-before`, `html-after` | a status (default 502) | no, yes | the page of a proxy |
| `gzip-garbage` | | yes | the right status, Content-Encoding: gzip and a body that is not |
| `extra` | | yes | the right reply, with unknown fields in every object |
| `without` | a field, `app.id` or `data.0.name` | yes | the right reply, without that field or element |
| `with` | a field, `=` and JSON: `client_secret=""` | yes | the right reply, with that value there |
| `no-date` | | yes | the right reply, without Date |

A duration is a number with `ms` or `s`. "Done" is what was asked for, as far as the API would have done it: a
create of a name that exists is refused, `lost-after` or not.
"""  # noqa: E501  (a table's rows cannot be broken)

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from provisioner.errors import UsageError
from provisioner.sandbox.api import OPERATIONS
from provisioner.text import quote

ANY = "*"
STATUS = "NNN"  # as the table has it; no kind is written in capitals
FORM = "OPERATION[@N[xCOUNT]]:KIND[=VALUE]"
_SPEC = re.compile(
    r"(?P<operation>[a-z]+|\*)(?:@(?P<first>[1-9][0-9]{0,8})(?:x(?P<count>[1-9][0-9]{0,8}|\*))?)?"
    r":(?P<kind>[a-z0-9-]+?)(?:-(?P<side>before|after))?(?:=(?P<value>.*))?",
    re.DOTALL,
)
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s)")
_STATUS = re.compile(r"[3-5][0-9][0-9]")
_FIELD = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


class Done(Enum):
    """Whether, and when, what was asked for is done."""

    NEVER = "never"
    NOW = "now"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour: at which calls, of what kind. `number` is in seconds, bytes, or a status."""

    operation: str
    kind: str
    done: Done = Done.NOW
    first: int = 1
    count: float = 1
    number: float | None = None
    text: str = ""

    def watches(self, operation: str) -> bool:
        """Whether calls of `operation` count for it."""
        return operation in OPERATIONS if self.operation == ANY else operation == self.operation


class Faults:
    """The faults given so far, and how many calls each has seen. Safe to use from several threads."""

    def __init__(self, specs: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._armed = [_Armed(parse(spec)) for spec in specs]
        self.played: list[Fault] = []

    def add(self, spec: str) -> None:
        """Give one more; it counts calls from now on."""
        armed = _Armed(parse(spec))
        with self._lock:
            self._armed.append(armed)

    def take(self, operation: str) -> Fault | None:
        """The fault to play at this call, which every fault that watches it counts."""
        with self._lock:
            struck = [armed.fault for armed in self._armed if armed.sees(operation)]
            self.played += struck[:1]
        return struck[0] if struck else None


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0

    def sees(self, operation: str) -> bool:
        """Count the call, where it is watched, and tell whether the fault strikes."""
        if not self.fault.watches(operation):
            return False
        self.seen += 1
        return self.fault.first <= self.seen < self.fault.first + self.fault.count


def parse(spec: str) -> Fault:
    """Read one fault as written; UsageError says what is wrong with it."""
    match = _SPEC.fullmatch(spec)
    if not match:
        raise _unusable(spec, f"A fault has the form {FORM}")
    operation, kind, side, value = match.group("operation", "kind", "side", "value")
    if operation != ANY and operation not in OPERATIONS:
        raise _unusable(spec, f"Its operation is none of {', '.join(OPERATIONS)} and *")
    status = int(kind) if _STATUS.fullmatch(kind) else None
    name = STATUS if status else kind
    if name not in _KINDS:
        raise _unusable(spec, f"Its kind is none of {', '.join(KIND_NAMES)}")
    reader, sided = _KINDS[name]
    if sided != (side is not None) and name != STATUS:
        raise _unusable(
            spec, "It must end in -before or -after" if sided else "It has no -before and no -after"
        )
    try:
        number, text = reader(value)
    except ValueError as error:
        raise _unusable(spec, str(error)) from None
    done = Done.LATE if name == "late" else Done.NEVER if sided and side != "after" else Done.NOW
    count = float("inf") if match["count"] == "*" else int(match["count"] or 1)
    return Fault(operation, name, done, int(match["first"] or 1), count, status or number, text)


def seconds(text: str) -> float:
    """A duration as written, `20ms` or `1.5s`, in seconds; UsageError when it is none."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise UsageError(
            f"Not a duration: {quote(text, 80)}", "A duration is a number with ms or s, like 20ms or 1.5s."
        )
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def _unusable(spec: str, reason: str) -> UsageError:
    return UsageError(
        f"Not a fault: {quote(spec, 120)}",
        f"{reason}.",
        f"A fault is written {FORM}, for example create:lost-after, list@2x3:429=1 or rotate:late=300ms.",
    )


def _nothing(value: str | None) -> tuple[float | None, str]:
    if value is not None:
        raise ValueError("Its kind takes no value")
    return None, ""


def _duration(value: str | None) -> tuple[float | None, str]:
    if value is None:
        return 0.5, ""
    try:
        return seconds(value), ""
    except UsageError as error:
        raise ValueError(error.detail.rstrip(".")) from None


def _bytes(value: str | None) -> tuple[float | None, str]:
    if value is not None and not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError("Its value is not a number of bytes")
    return None if value is None else int(value), ""


def _page_status(value: str | None) -> tuple[float | None, str]:
    if value is not None and not re.fullmatch(r"[2-5][0-9][0-9]", value):
        raise ValueError("Its value is not a status from 200 to 599")
    return int(value or 502), ""


def _header(value: str | None) -> tuple[float | None, str]:
    if value is not None and not re.fullmatch(r"[!-~]([ -~]*[!-~])?", value):
        raise ValueError("Its value is sent as a header, which takes printable ASCII")
    return None, value or ""


def _path(value: str | None) -> tuple[float | None, str]:
    if value is None or not _FIELD.fullmatch(value):
        raise ValueError("Its value is not a field like client_secret, app.id or data.0.name")
    return None, value


def _assignment(value: str | None) -> tuple[float | None, str]:
    path, _, content = (value or "").partition("=")
    _path(path)
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("What follows the field and = is not JSON") from None
    return None, value or ""


_KINDS: dict[str, tuple[Callable[[str | None], tuple[float | None, str]], bool]] = {
    STATUS: (_header, True),
    "lost": (_nothing, True),
    "reset": (_nothing, True),
    "hang": (_nothing, True),
    "late": (_duration, False),
    "slow": (_duration, False),
    "trickle": (_duration, False),
    "truncated": (_bytes, False),
    "truncated-no-length": (_bytes, False),
    "html": (_page_status, True),
    "gzip-garbage": (_nothing, False),
    "extra": (_nothing, False),
    "without": (_path, False),
    "with": (_assignment, False),
    "no-date": (_nothing, False),
}
KIND_NAMES = [
    "300 to 599" if kind == STATUS else f"{kind}-before, {kind}-after" if sided else kind
    for kind, (_, sided) in _KINDS.items()
]
