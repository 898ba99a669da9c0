"""The lock of a state that is a branch: who holds it, and until when unless it is renewed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from provisioner.frozen import dataclass
from provisioner.text import escape

_FAR = 1 << 53  # of seconds: no time that anybody means
_SKEW = 60  # seconds by which the clocks of two runners may differ


@dataclass(frozen=True, slots=True)
class Lease:
    """Held by one run. `since` and `until` are seconds since 1970, by the holder's clock.

    `renewal` counts, so that no two commits of one lease are the same: a push must replace exactly the last.
    """

    id: str
    host: str
    pid: int
    operation: str
    since: int
    until: int
    renewal: int = 0

    def renewed(self, now: float, seconds: float) -> Lease:
        """The same, for `seconds` from now."""
        return replace(self, until=int(now + seconds), renewal=self.renewal + 1)

    def expired(self, now: float) -> bool:
        """Whether its holder had time enough to renew it, and did not."""
        return now > self.until + _SKEW

    def told(self, now: float) -> str:
        """Who holds it, for people."""
        return (
            f"`provisioner {escape(self.operation, 80)}`, process {self.pid} on {escape(self.host, 80)}, "
            f"for {max(0, int(now - self.since))} s"
        )


def lease_to(lease: Lease) -> bytes:
    """As the message of a commit."""
    return json.dumps(asdict(lease), sort_keys=True).encode() + b"\n"


def lease_from(message: bytes) -> Lease | None:
    """The other way; None for what is no lease, which never expires."""
    try:
        found = json.loads(message)
        lease = Lease(**found)
        kinds = [type(value) for value in asdict(lease).values()]
    except (ValueError, TypeError, RecursionError):
        return None
    sound = kinds == [str, str, int, str, int, int, int] and abs(lease.since) + abs(lease.until) < _FAR
    return lease if sound else None
