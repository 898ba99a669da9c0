"""HTTP for the sinks that speak it: a connection a request, bounded in time and size, without redirects."""

from __future__ import annotations

import json
import logging
import re
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import field
from functools import partial
from threading import Thread
from typing import Any, Final

import httpx

from provisioner import __version__
from provisioner.endpoint import check_base_url
from provisioner.errors import Problem, SinkError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.text import escape, quote

_LOG: Final = logging.getLogger("provisioner.sinks")
_STEP: Final = 10.0  # seconds for connecting, and for each read and write
_BASE_URL: Final = re.compile(
    r"(?P<origin>[A-Za-z]+://[^/?#]*)(?P<path>(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)/?"
)
_FORM: Final = Problem(
    "after the host and port stands nothing, or a path of letters, digits, . _ ~ -", secret=True
)
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and takes no time to make
# ImportError: a proxy of SOCKS without what httpx needs for it; ValueError: one of no known form.
_RAISED: Final = (
    *(httpx.HTTPError, httpx.InvalidURL, httpx.StreamError),
    *(OSError, ValueError, ImportError, RuntimeError),  # the last one where no thread can be started
)
_OURS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"provisioner/{__version__}",
}


class NoAnswerError(SinkError):
    """No usable answer came. `sent`: the request may have been carried out all the same."""

    def __init__(self, summary: str, detail: str, hint: str, *, sent: bool) -> None:
        super().__init__(summary, detail, hint)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; any part of it may hold a secret. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Secret

    def json(self) -> Any:
        """The body as JSON, or None where it is something else."""
        with suppress(ValueError, RecursionError):
            return json.loads(self.body.reveal())
        return None


@dataclass(frozen=True, slots=True)
class Server:
    """One server that tokens may go to. `url` is what `base_url` returned; `name` is for messages.

    Without `tls` it is trusted as the system trusts it. `timeout` (seconds) is for a whole request, `limit`
    (bytes) for an answer's body; `check` says what to look at where it is not reached.
    """

    url: str
    name: str
    check: str
    tls: ssl.SSLContext | None = None
    timeout: float = 30.0
    limit: int = 1024 * 1024

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | Secret],
        document: Any = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Send one request, once. `path` starts with / and is percent-encoded; `document` goes as JSON.

        Any status is an answer. NoAnswerError where none came, or one that cannot be used.
        """
        content = None if document is None else json.dumps(document).encode()
        typed = {} if content is None else {"Content-Type": content_type}
        result: Future[Answer] = Future()
        work = partial(self._answer, method, path, {**_OURS, **typed, **headers}, content)
        # httpx bounds each step, but neither their sum nor the lookup of a name; a thread can be left behind.
        try:
            Thread(target=_settle, args=(result, work), daemon=True).start()
            answer = result.result(self.timeout)
        except _RAISED as error:
            what, sent = _fault(error)
        else:
            _LOG.debug("%s %s%s: %d", method, self.url, path, answer.status)
            return answer
        # Out here it has no context: the library's errors hold the request, with its headers.
        raise NoAnswerError(
            f"{self.name} gave no answer that can be used",
            f"{method} {escape(self.url + path, 200)}: {what}.",
            self.check,
            sent=sent,
        )

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str | Secret], content: bytes | None
    ) -> Answer:
        # httpcore logs the headers of answers at DEBUG, httpx URLs at INFO: neither is for our logs.
        for name in ("httpcore", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
        secure = self.url.startswith("https:")
        filled = {name: value if isinstance(value, str) else _text(value) for name, value in headers.items()}
        with (
            # Of the environment httpx reads proxies only; plain http is for loopback, and goes straight.
            httpx.Client(
                verify=(self.tls or system_trust()) if secure else _NO_TLS,
                trust_env=secure,
                timeout=_STEP,
                event_hooks={"response": [_stay]},
            ) as client,
            client.stream(method, self.url + path, headers=filled, content=content) as response,
        ):
            return Answer(response.status_code, dict(response.headers), self._body(response))

    def _body(self, response: httpx.Response) -> Secret:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _UnusableError("the answer is compressed, though that was not accepted")
        body = bytearray()
        for chunk in response.iter_raw():  # raw: decoding would let a small answer grow without bound
            body += chunk
            if len(body) > self.limit:
                raise _UnusableError(f"the answer is larger than {self.limit:,} bytes")
        return Secret(bytes(body))


def base_url(url: str, source: str) -> str:
    """`url` without a last slash, its host in lower case: https, or http on loopback. Or a SinkError.

    `source` says where it comes from, for the error: a variable, an option.
    """
    parts = _BASE_URL.fullmatch(url)
    origin = parts["origin"].lower() if parts else url
    problem = check_base_url(origin) or _FORM
    if parts and problem is _FORM:
        return origin + parts["path"]
    rule = problem.rule[0].upper() + problem.rule[1:]
    found = "" if problem.secret or not parts else f" It is {quote(url, 80)}."
    raise SinkError(f"{source} cannot be used", f"{rule}.{found}", problem.remedy or f"Correct {source}.")


def system_trust() -> ssl.SSLContext:
    """Trust whom the system trusts; OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR."""
    import truststore  # noqa: PLC0415  # only https needs it, and it takes a while

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def private_trust(pem: bytes, source: str) -> ssl.SSLContext:
    """Trust the authorities in `pem` and nobody else. SinkError where there are none; it names `source`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        pass
    else:
        return context
    raise SinkError(
        f"{source} holds no certificates",
        "It should hold one or more certificate authorities as PEM (-----BEGIN CERTIFICATE-----).",
        f"Correct {source}.",
    )


class _UnusableError(ValueError):
    """Why an answer is not taken, in our words."""


def _settle(result: Future[Answer], work: partial[Answer]) -> None:
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001  # it is raised where the result is awaited
        result.set_exception(error)


def _text(value: Secret) -> str:
    return value.reveal().decode("ascii")


def _stay(response: httpx.Response) -> None:
    """Keep httpx from building the request that a redirect asks for: it does, and raises on a bad target."""
    response.headers.pop("location", None)


# What it means and whether the request was on its way by then, the first that fits; httpx's words may quote
# headers, so none of them is shown.
_FAULTS: Final[tuple[tuple[type[Exception], str, bool], ...]] = (
    (socket.gaierror, "the name of the host cannot be resolved", False),
    (ssl.SSLCertVerificationError, "the certificate of the host is not trusted", False),
    (ssl.SSLError, "no TLS connection could be made", False),
    (RuntimeError, "no thread could be started for it", False),
    (ConnectionRefusedError, "the host refuses connections on that port", False),
    (httpx.ConnectTimeout, "no connection was made in time", False),
    (httpx.ConnectError, "no connection could be made", False),
    (httpx.ProxyError, "the proxy of HTTPS_PROXY did not connect to the host", False),
    (httpx.LocalProtocolError, "the request cannot be written as HTTP", False),
    (httpx.TimeoutException, "no answer came in time", True),
    (TimeoutError, "no whole answer came in time", True),
    (httpx.RemoteProtocolError, "the connection was closed, or what came is not HTTP", True),
    (httpx.TransportError, "the connection broke before the whole answer was here", True),
)


def _fault(error: Exception) -> tuple[str, bool]:
    if isinstance(error, _UnusableError):
        return str(error), True
    # What the system said is an argument of httpcore's error, the cause of httpx's; after connecting it is
    # of less use than httpx's class.
    root = _root(error) if isinstance(error, httpx.ConnectError) else error
    reason = getattr(root, "verify_message", "")
    for kind, what, sent in _FAULTS:
        if isinstance(root, kind) or isinstance(error, kind):
            return (f"{what} ({escape(reason, 120)})" if reason else what), sent
    return "the HTTP library cannot use the address, a proxy's address, or a header", False


def _root(error: BaseException | None) -> BaseException | None:
    while error is not None:
        found = next((arg for arg in (error, *error.args) if isinstance(arg, OSError)), None)
        if found is not None:
            return found
        error = error.__cause__ or error.__context__
    return None
