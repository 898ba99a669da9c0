"""One request and its answer over httpcore. What the network does comes back as a value, not as an exception.

Not over httpx, which follows, decodes, remembers and logs: all that had to be kept from it, one by one.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from provisioner.errors import ApiError
from provisioner.meteroid.answer import HEADERS, Answer
from provisioner.meteroid.faults import ENCODED, FAULTS, TOO_LARGE, TOO_SLOW, Fault, fault_of
from provisioner.meteroid.library import httpcore
from provisioner.model import Secret

if TYPE_CHECKING:
    from provisioner.meteroid.environment import Proxy
    from provisioner.meteroid.sent import Request

_RAISED: Final = tuple(FAULTS)
_CONNECT_TIMEOUT: Final = 10.0  # seconds
# Below uvicorn's 5 s, the shortest among common servers. A POST on a connection that the server has just
# closed would be ambiguous though nothing happened; giving idle ones up first makes that rare.
_KEEPALIVE: Final = 4.0
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and takes no time to make


class Sender(Protocol):
    """One connection, as httpcore's pools are one: made when it is needed, and made again."""

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send it, and come back with the head of the answer."""
        ...

    def close(self) -> None:
        """Give the connection up."""
        ...


class Wire:
    """Connections to one host, as many as there are requests at once. It never repeats or redirects one.

    A pool that threads share looks at all of its idle connections before each request, under one lock.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        user_agent: str,
        clock: Callable[[], float],
        proxy: Proxy | None,
        connect: Callable[[], Sender] | None,
    ) -> None:
        self._timeout = timeout
        self._clock = clock
        logging.getLogger("httpcore").setLevel(logging.WARNING)  # at DEBUG it logs the headers of answers
        parts = urlsplit(base_url)
        self._url = partial(httpcore.URL, scheme=parts.scheme, host=parts.hostname or "", port=parts.port)
        self._always = [
            (b"Host", parts.netloc.encode("ascii")),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"Cache-Control", b"no-cache"),  # a list from a cache would show apps that are gone
            (b"User-Agent", user_agent.encode("ascii")),
        ]
        each = dict.fromkeys(("read", "write", "pool"), timeout)
        self._timeouts = each | {"connect": min(timeout, _CONNECT_TIMEOUT)}
        self._connect = connect or partial(_connection, _trust(base_url), proxy)
        self._made = [self._connect()]  # what is wrong with the settings is said before anything is sent
        self._idle = list(self._made)
        self._closed = False

    def close(self) -> None:
        """Close the connections. What the system says of that changes nothing any more."""
        self._closed = True
        for sender in self._made:
            with contextlib.suppress(OSError):
                sender.close()

    @contextlib.contextmanager
    def _sender(self) -> Iterator[Sender]:
        """One that nobody else uses meanwhile; the last one used, which is the least likely to be stale."""
        if self._closed:
            raise RuntimeError("the connections to the API are closed")
        try:
            sender = self._idle.pop()
        except IndexError:
            sender = self._connect()
            self._made.append(sender)
        try:
            yield sender
        finally:
            self._idle.append(sender)

    def send(self, request: Request) -> Answer:
        """Send `request` once. A body that broke off is kept as far as it came."""
        status: int | None = None
        headers: dict[str, str] = {}
        body = bytearray()
        fault: Fault | None
        try:
            with (
                self._sender() as sender,
                contextlib.closing(sender.handle_request(self._built(request))) as response,
            ):
                status = response.status
                headers = _kept(response.headers)
                fault = self._receive(response, body, request.limit) or _encoding_fault(headers)
        except _RAISED as error:
            fault = fault_of(error)
        return Answer(status, headers, Secret(bytes(body)), fault)

    def _built(self, request: Request) -> httpcore.Request:
        return httpcore.Request(
            request.method,
            self._url(target=request.path),
            headers=[*self._always, *_headers(request)],
            content=request.content,
            extensions={"timeout": self._timeouts},
        )

    def _receive(self, response: httpcore.Response, body: bytearray, limit: int) -> Fault | None:
        # Each read is timed, so a server that drips would hold a thread for ever: this bounds the whole.
        deadline = self._clock() + 10 * self._timeout
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > limit:
                del body[limit:]
                return TOO_LARGE
            if self._clock() > deadline:
                return TOO_SLOW
        return None


def _headers(request: Request) -> Iterator[tuple[bytes, bytes]]:
    yield b"Authorization", request.authorization.reveal()
    if request.content is not None:
        yield b"Content-Type", request.content_type.encode("ascii")
    if request.method == "POST":  # RFC 9110 §8.6: also where there is no content
        yield b"Content-Length", str(len(request.content or b"")).encode("ascii")


def _kept(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Those that are looked at; what came more than once is joined (RFC 9110 §5.3)."""
    kept: dict[str, str] = {}
    for raw, value in headers:
        name, text = raw.decode("ascii").lower(), value.decode("latin-1")
        if name in HEADERS:
            kept[name] = f"{kept[name]}, {text}" if name in kept else text
    return kept


def _encoding_fault(headers: dict[str, str]) -> Fault | None:
    encoding = headers.get("content-encoding", "").strip().lower()
    return None if encoding in ("", "identity") else ENCODED


def _connection(trust: ssl.SSLContext, proxy: Proxy | None) -> Sender:
    """A pool of one."""
    kept: dict[str, Any] = {"ssl_context": trust, "max_connections": 1, "keepalive_expiry": _KEEPALIVE}
    if proxy is None:
        return httpcore.ConnectionPool(**kept)
    url = httpcore.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/")
    kept |= {"proxy_url": url, "proxy_auth": proxy.auth}
    if proxy.scheme in ("http", "https"):
        return httpcore.HTTPProxy(**kept, proxy_ssl_context=trust if proxy.scheme == "https" else None)
    try:
        return httpcore.SOCKSProxy(**kept)
    except RuntimeError:
        raise ApiError(
            "The connection to the API cannot be set up",
            f"{proxy} is a SOCKS proxy, and the Python package that speaks SOCKS is not installed.",
            "Install socksio, or name a proxy that speaks HTTP in HTTPS_PROXY or ALL_PROXY.",
        ) from None


def _trust(base_url: str) -> ssl.SSLContext:
    """Whom the system trusts; OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR."""
    if not base_url.startswith("https:"):
        return _NO_TLS
    import truststore  # noqa: PLC0415  # only https needs it, and it takes a while

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
