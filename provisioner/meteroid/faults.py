"""What can go wrong on the way: every exception of httpcore, with what it means for a write that met it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from typing import Final

from provisioner.frozen import dataclass
from provisioner.meteroid.library import httpcore
from provisioner.model import Outcome
from provisioner.text import escape


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an answer did not come, or not whole. A clause of ours: the library's words may quote headers."""

    outcome: Outcome
    what: str
    again: bool = True  # another try may fare better
    hint: str = ""


def _unsent(what: str, *, again: bool = True, hint: str = "") -> Fault:
    return Fault(Outcome.NOT_SENT, what, again, hint)


def _unclear(what: str, *, again: bool = True, hint: str = "") -> Fault:
    return Fault(Outcome.AMBIGUOUS, what, again, hint)


_HOST_HINT = "Check METEROID_BASE_URL and the network."
_PROXY_HINT = "Check HTTPS_PROXY and NO_PROXY."
_LATER_HINT = "Run it again in a while."

NO_CONNECTION = _unsent("no connection could be made", hint=_HOST_HINT)
STOPPED = _unsent("the run was stopped before it was sent", again=False)
HELD_BACK = _unsent(
    "the server wanted no request for too long", again=False, hint="Run it again in a few minutes."
)
TOO_LARGE = _unclear("the answer is larger than is accepted", again=False, hint=_HOST_HINT)
TOO_SLOW = _unclear("the answer took too long to come whole", hint=_LATER_HINT)
ENCODED = _unclear(
    "the answer is compressed, though that was not accepted",
    again=False,
    hint="Something between here and the API changes answers: " + _PROXY_HINT,
)
_BROKEN = _unclear("the connection broke before the whole answer was here", hint=_LATER_HINT)
_LATE = _unclear("no answer came in time", hint=_LATER_HINT)
_NOT_HTTP = _unclear("the connection was closed, or what came is not HTTP", hint=_LATER_HINT)
_MISUSE = _unclear("the HTTP library was used wrongly, which is a bug of this tool", again=False)

# NOT_SENT only where httpcore raises it before the first byte of the request and nowhere else:
# LocalProtocolError comes from building the head, ProxyError from CONNECT and SOCKS, ConnectError from
# connecting and from the TLS handshake.
FAULTS: Final[dict[type[Exception], Fault]] = {
    httpcore.ConnectError: NO_CONNECTION,
    httpcore.ConnectTimeout: _unsent("the connection was not made in time", hint=_HOST_HINT),
    httpcore.PoolTimeout: _unsent(
        "no connection was free in time", hint="Run it with a lower --parallelism."
    ),
    httpcore.ProxyError: _unsent("the proxy did not connect to the host", hint=_PROXY_HINT),
    httpcore.UnsupportedProtocol: _unsent("the URL is neither https nor http", again=False, hint=_HOST_HINT),
    httpcore.LocalProtocolError: _unsent("the request cannot be written as HTTP", again=False),
    httpcore.ReadTimeout: _LATE,
    httpcore.WriteTimeout: _unclear("the request could not be sent in time", hint=_LATER_HINT),
    httpcore.TimeoutException: _LATE,
    httpcore.ReadError: _BROKEN,
    httpcore.WriteError: _BROKEN,
    httpcore.NetworkError: _BROKEN,
    httpcore.RemoteProtocolError: _NOT_HTTP,
    httpcore.ProtocolError: _NOT_HTTP,
    httpcore.ConnectionNotAvailable: _MISUSE,  # its pools keep that to themselves
    # A proxy's or a host's name that cannot be looked up passes through it as it is.
    UnicodeError: _unclear(
        "the name of the host or of the proxy cannot be used", again=False, hint=_PROXY_HINT
    ),
}

_CERTIFICATE = _unsent(
    "the host's certificate is not trusted",
    again=False,
    hint="If your organization has an authority of its own, name its file in SSL_CERT_FILE.",
)
# What the operating system said, most specific first.
_ROOTS: Final[tuple[tuple[type[OSError], Fault], ...]] = (
    (socket.gaierror, _unsent("the name of the host cannot be resolved", hint=_HOST_HINT)),
    (ssl.SSLCertVerificationError, _CERTIFICATE),
    (ssl.SSLError, _unsent("no TLS connection could be made", hint=_HOST_HINT)),
    (ConnectionRefusedError, _unsent("the host refuses connections on that port", hint=_HOST_HINT)),
)


def fault_of(error: Exception) -> Fault:
    """The fault that `error` stands for; `error` is of a class in FAULTS or derived from one."""
    fault = next(FAULTS[kind] for kind in type(error).__mro__ if kind in FAULTS)
    if fault is not NO_CONNECTION:
        return fault
    root = _root(error)
    fault = next((known for kind, known in _ROOTS if isinstance(root, kind)), fault)
    reason = getattr(root, "verify_message", "") if fault is _CERTIFICATE else ""
    return replace(fault, what=f"{fault.what} ({escape(reason, 120)})") if reason else fault


def _root(error: BaseException | None) -> OSError | None:
    """What the system said: an argument of httpcore's error."""
    while error is not None:
        found = next((arg for arg in (error, *error.args) if isinstance(arg, OSError)), None)
        if found is not None:
            return found
        error = error.__cause__ or error.__context__
    return None
