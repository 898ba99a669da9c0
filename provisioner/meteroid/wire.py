"""One request and its answer over httpx. What the network does comes back as a value, not as an exception."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, Final

from provisioner.errors import ApiError
from provisioner.meteroid.answer import HEADERS, Answer
from provisioner.meteroid.faults import ENCODED, FAULTS, TOO_LARGE, TOO_SLOW, Fault, fault_of
from provisioner.meteroid.library import httpx, lean
from provisioner.model import Secret

if TYPE_CHECKING:
    from provisioner.meteroid.sent import Request

_RAISED: Final = tuple(FAULTS)
_CONNECT_TIMEOUT: Final = 10.0
# Below uvicorn's 5 s, the shortest among common servers. A POST on a connection that the server has just
# closed would be ambiguous though nothing happened; giving idle ones up first makes that rare.
_KEEPALIVE: Final = 4.0
_KEPT: Final = "provisioner.headers"
_URLS: Final = 16  # kept parsed: that of every list and create, and some
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and takes no time to make


class _NoCookies(CookieJar):
    """Keeps none, so that no answer can change a later request."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Leave them."""


class Wire:
    """One connection to one host for each thread. It never repeats a request and follows no redirect.

    A pool that threads share looks at all of its idle connections before each request, under one lock.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        user_agent: str,
        clock: Callable[[], float],
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout
        self._clock = clock
        # httpcore logs the headers of answers at DEBUG, httpx URLs at INFO: neither is for our logs.
        for name in ("httpcore", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._make = partial(_client, base_url, timeout, user_agent, _trust(base_url), transport)
        with lean():
            first = self._make()  # what is wrong with the settings is said before anything is sent
        self._clients = [first]
        self._idle = [first]
        self._own = threading.local()
        self._always = first.headers.raw
        self._extensions = {"timeout": first.timeout.as_dict()}
        self._urls: dict[str, httpx.URL] = {}

    def close(self) -> None:
        """Close the connections. What the system says of that changes nothing any more."""
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.close()

    def _client(self) -> httpx.Client:
        """This thread's own."""
        client: httpx.Client | None = getattr(self._own, "client", None)
        if client is None:
            try:
                client = self._idle.pop()
            except IndexError:
                client = self._make()
                self._clients.append(client)
            self._own.client = client
        return client

    def send(self, request: Request) -> Answer:
        """Send `request` once. A body that broke off is kept as far as it came."""
        status: int | None = None
        headers: dict[str, str] = {}
        body = bytearray()
        fault: Fault | None
        try:
            response = self._client().send(self._built(request), stream=True)
            with contextlib.closing(response):
                status = response.status_code
                headers = response.extensions[_KEPT]
                fault = self._receive(response, body, request.limit) or _encoding_fault(headers)
        except _RAISED as error:
            fault = fault_of(error)
        return Answer(status, headers, Secret(bytes(body)), fault)

    def _built(self, request: Request) -> httpx.Request:
        """Whole, because the client's own merging of what every request has costs as much as sending it."""
        url = self._urls.get(request.path)
        if url is None:
            url = httpx.URL(self._base_url + request.path)
            if len(self._urls) < _URLS:
                self._urls[request.path] = url
        return httpx.Request(
            request.method,
            url,
            headers=[*self._always, *_headers(request)],
            content=request.content,
            extensions=dict(self._extensions),
        )

    def _receive(self, response: httpx.Response, body: bytearray, limit: int) -> Fault | None:
        # httpx times each read, so a server that drips would hold a thread for ever: this bounds the whole.
        deadline = self._clock() + 10 * self._timeout
        # Raw: decoding would let a small answer grow without bound.
        for chunk in response.iter_raw():
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


def _encoding_fault(headers: dict[str, str]) -> Fault | None:
    encoding = headers.get("content-encoding", "").strip().lower()
    return None if encoding in ("", "identity") else ENCODED


def _keep_headers(response: httpx.Response) -> None:
    """Put the headers aside, and keep httpx from building the request that a redirect asks for.

    It does so even where redirects are not followed: with our headers, and raising on a target that it cannot
    parse, which would lose the status of an answer that has come.
    """
    response.extensions[_KEPT] = {
        name: response.headers[name] for name in HEADERS if name in response.headers
    }
    response.headers.pop("location", None)


def _client(
    base_url: str,
    timeout: float,
    user_agent: str,
    trust: ssl.SSLContext,
    transport: httpx.BaseTransport | None,
) -> httpx.Client:
    try:
        _ = httpx.URL(base_url).host  # a name it cannot decode would raise later, in the middle of a request
        return httpx.Client(
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Cache-Control": "no-cache",  # a list from a cache would show apps that are gone
                "User-Agent": user_agent,
            },
            verify=trust,
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT)),
            limits=httpx.Limits(
                max_connections=1,
                max_keepalive_connections=1,
                keepalive_expiry=_KEEPALIVE,
            ),
            follow_redirects=False,
            event_hooks={"response": [_keep_headers]},
            cookies=_NoCookies(),
            # Of the environment httpx 0.28 reads proxies only: no netrc, and `verify` holds the certificates.
            # Plain http, which is for loopback, would show a proxy the token: it goes straight.
            trust_env=trust is not _NO_TLS,
            transport=transport,
        )
    except (ValueError, httpx.InvalidURL, ImportError):
        reason = "the base URL, HTTPS_PROXY, ALL_PROXY or NO_PROXY is of a form that it does not know"
    raise ApiError(
        "The connection to the API cannot be set up",
        f"The HTTP library refuses its settings: {reason}.",
        "Correct the variable; a proxy is written like http://proxy.example:3128.",
    )


def _trust(base_url: str) -> ssl.SSLContext:
    """Whom the system trusts; OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR."""
    if not base_url.startswith("https:"):
        return _NO_TLS
    import truststore  # noqa: PLC0415  # only https needs it, and it takes a while

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
