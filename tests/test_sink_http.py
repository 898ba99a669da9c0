"""HTTP for sinks, against real sockets on loopback: what may be asked, what comes back, what breaks."""

from __future__ import annotations

import json
import logging
import re
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from provisioner.errors import SinkError
from provisioner.model import Secret
from provisioner.sinks import http
from provisioner.sinks.http import NoAnswerError, Server, base_url, private_trust

TOKEN = "canary-token-90d2"
BODY = "canary-body-5be1"
AUTHORITY = b"""\
-----BEGIN CERTIFICATE-----
MIIBjDCCATOgAwIBAgIUDMuoNulU3qtWJfrxYzVSY3C0vywwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRRXhhbXBsZSBhdXRob3JpdHkwHhcNMjYxMTI1MDMxMzM0WhcN
MzYxMTIyMDMxMzM0WjAcMRowGAYDVQQDDBFFeGFtcGxlIGF1dGhvcml0eTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABAqHPKA/IZpuxZmmviUDsthdNfnxC6OvHS6f
ikcDlgsQH77pX280xAE940hTQvveOzruyXs002ABp4hkpxBwIJmjUzBRMB0GA1Ud
DgQWBBS1vHGZdN+/I270CWiYShGmHivodzAfBgNVHSMEGDAWgBS1vHGZdN+/I270
CWiYShGmHivodzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIDAx
NAE6v2df1fTKyKN0Lduo076K+eL36ZEo5QH14jWmAiBsm71c2v4cTpvlv6JLVe+a
BRsMroveE6mwCSwxR+MI4w==
-----END CERTIFICATE-----
"""
HEADERS = {"X-Token": Secret(TOKEN.encode())}
Script = Callable[[socket.socket], None]


class Loopback(socketserver.ThreadingTCPServer):
    """Reads a request from each connection and lets a script answer it."""

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.script = script
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some of these tests are about."""


class Exchange(socketserver.BaseRequestHandler):
    server: Loopback
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(5)
        received = b""
        while not whole(received) and (more := self.request.recv(65536)):
            received += more
        self.server.requests.append(received)
        self.server.script(self.request)


def whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    return head.startswith(b"\x16") or (bool(end) and len(body) == int(found[1] if found else 0))


Serve = Callable[[Script], Loopback]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[tuple[Loopback, threading.Thread]] = []

    def start(script: Script) -> Loopback:
        server = Loopback(script)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def says(*parts: bytes) -> Script:
    return lambda connection: connection.sendall(b"".join(parts))


def framed(status: str, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return head.encode() + body


def asking(server: Loopback) -> Server:
    return Server(server.url, "The server", "Look at it.", timeout=5)


def broken(server: Server, method: str = "GET") -> NoAnswerError:
    with pytest.raises(NoAnswerError) as caught:
        server.send(method, "/v1/x", HEADERS, {"secret": BODY})
    error = caught.value
    assert error.__context__ is None
    assert error.summary == "The server gave no answer that can be used"
    shown = f"{error!r} {error.summary} {error.detail} {error.hint}"
    assert TOKEN not in shown
    assert BODY not in shown
    return error


def test_a_request_has_its_headers_and_its_document(serve: Serve) -> None:
    server = serve(says(framed("200 OK", b"{}")))
    asking(server).send("PATCH", "/v1/a%20b", HEADERS, {"a": "é"}, "application/merge-patch+json")
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    assert head.startswith("PATCH /v1/a%20b HTTP/1.1\r\n")
    lines = {name.lower(): value for name, value in re.findall(r"(\S+): (.*)\r?", head)}
    assert lines["x-token"].strip() == TOKEN
    assert lines["content-type"].strip() == "application/merge-patch+json"
    assert lines["accept-encoding"].strip() == "identity"
    assert json.loads(body) == {"a": "é"}


def test_a_request_without_a_document_has_no_body(serve: Serve) -> None:
    server = serve(says(framed("204 No Content", b"")))
    assert asking(server).send("DELETE", "/v1/x", HEADERS).status == 204
    assert b"content-type" not in server.requests[0].lower()


def test_an_answer_has_status_headers_and_body(serve: Serve) -> None:
    answer = asking(serve(says(framed("418 Teapot", b'{"a": [1]}', "Retry-After: 7")))).send("GET", "/", {})
    assert (answer.status, answer.headers["retry-after"], answer.json()) == (418, "7", {"a": [1]})
    assert "Teapot" not in repr(answer)
    assert "7" not in repr(answer)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe{", b"[" * 100_000])
def test_a_body_that_is_no_json_is_none(serve: Serve, body: bytes) -> None:
    assert asking(serve(says(framed("200 OK", body)))).send("GET", "/", {}).json() is None


def test_a_redirect_is_an_answer_and_is_not_followed(serve: Serve) -> None:
    other = serve(says(framed("200 OK", b"{}")))
    server = serve(says(framed("307 Temporary Redirect", b"", f"Location: {other.url}/v1/x")))
    assert asking(server).send("POST", "/v1/x", HEADERS, {"secret": BODY}).status == 307
    assert other.requests == []


def test_a_redirect_to_what_is_no_address_is_an_answer_too(serve: Serve) -> None:
    server = serve(says(framed("301 Moved", b"", "Location: http://[::1/x")))
    assert asking(server).send("GET", "/", {}).status == 301


def test_an_answer_beyond_the_limit_is_refused(serve: Serve) -> None:
    server = serve(says(framed("200 OK", BODY.encode() * 100)))
    error = broken(replace(asking(server), limit=1000))
    assert "larger than 1,000 bytes" in error.detail
    assert error.sent


def test_an_answer_that_is_compressed_is_refused(serve: Serve) -> None:
    error = broken(asking(serve(says(framed("200 OK", b"x", "Content-Encoding: gzip")))))
    assert "compressed" in error.detail


def test_a_connection_that_is_refused_sent_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # without listening
        error = broken(Server(f"http://127.0.0.1:{taken.getsockname()[1]}", "The server", "Look at it."))
    assert "refuses connections" in error.detail
    assert not error.sent
    assert error.hint == "Look at it."


def test_where_no_thread_can_be_started_nothing_is_sent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise RuntimeError("can't start new thread")

    asked = asking(serve(says(framed("200 OK", b"{}"))))
    monkeypatch.setattr(threading.Thread, "start", full)
    error = broken(asked)
    assert "no thread could be started for it" in error.detail
    assert not error.sent


def test_a_name_that_nobody_knows_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = broken(Server("https://vault.example", "The server", "Look at it."))
    assert "name of the host cannot be resolved" in error.detail
    assert not error.sent


def test_a_server_without_tls_is_not_spoken_to_over_https(serve: Serve) -> None:
    server = serve(says(framed("400 Bad Request", b"")))
    error = broken(Server(server.url.replace("http:", "https:"), "The server", "Look at it."))
    assert "no TLS connection" in error.detail
    assert not error.sent
    assert TOKEN.encode() not in b"".join(server.requests)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


LOST = {
    "closed": (says(), "closed, or what came is not HTTP"),
    "reset": (resets, "the connection broke"),
    "cut off": (says(framed("200 OK", BODY.encode())[:-3]), "closed, or what came is not HTTP"),
    "not HTTP": (says(b"SSH-2.0-OpenSSH_9.6\r\n"), "closed, or what came is not HTTP"),
}


@pytest.mark.parametrize(("script", "what"), LOST.values(), ids=LOST)
def test_an_answer_that_is_lost_may_have_been_a_done_one(serve: Serve, script: Script, what: str) -> None:
    error = broken(asking(serve(script)), "POST")
    assert what in error.detail
    assert error.sent


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set when the test is over: what a server waits for that is not to answer."""
    event = threading.Event()
    yield event
    event.set()


SLOW = {"nothing": b"", "a part of the head": b"HTTP/1.1 200 OK\r\nX-A: ", "a part of the body": None}


@pytest.mark.parametrize("part", SLOW.values(), ids=SLOW)
def test_a_server_that_drips_is_left_when_the_time_is_up(
    serve: Serve, released: threading.Event, part: bytes | None
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(framed("200 OK", b"x" * 1000)[:100] if part is None else part)
        while not released.wait(0.01):
            connection.sendall(b"x" if part != b"" else b"")

    error = broken(replace(asking(serve(script)), timeout=0.15))
    assert "in time" in error.detail
    assert error.sent
    released.set()


def test_the_time_of_one_step_is_bounded_too(
    serve: Serve, released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_STEP", 0.05)
    error = broken(asking(serve(lambda _: bool(released.wait(5)) and None)))
    assert error.detail.endswith("no answer came in time.")
    released.set()


UNUSABLE = {
    "a line break": Secret(b"a\r\nX-Evil: 1" + TOKEN.encode()),
    "another alphabet": Secret("é".encode() + TOKEN.encode()),
}


@pytest.mark.parametrize("value", UNUSABLE.values(), ids=UNUSABLE)
def test_a_header_that_cannot_be_written_is_not_sent_and_not_shown(serve: Serve, value: Secret) -> None:
    server = serve(says(framed("200 OK", b"{}")))
    with pytest.raises(NoAnswerError) as caught:
        asking(server).send("GET", "/", {"X-Token": value})
    assert caught.value.__context__ is None
    assert TOKEN not in f"{caught.value!r} {caught.value.detail}"
    assert not caught.value.sent
    assert b"".join(server.requests) == b""


def test_a_connection_that_failed_for_no_known_reason_sent_nothing() -> None:
    assert http._fault(httpx.ConnectError("hunter2")) == ("no connection could be made", False)


def test_plain_http_goes_past_every_proxy(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(says(framed("200 OK", b"{}")))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    assert asking(serve(says(framed("204 No Content", b"")))).send("GET", "/", HEADERS).status == 204
    assert proxy.requests == []


def test_a_proxy_that_does_not_connect_sent_nothing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(says(framed("403 Forbidden", b"")))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    error = broken(Server("https://vault.example", "The server", "Look at it."))
    assert "proxy" in error.detail
    assert not error.sent
    assert TOKEN.encode() not in proxy.requests[0]


@pytest.mark.parametrize("scheme", ["ftp", "socks5"])  # SOCKS takes a library that we do not bring
def test_a_proxy_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://user:hunter2@proxy.example")
    error = broken(Server("https://vault.example", "The server", "Look at it."))
    assert "a proxy's address" in error.detail
    assert "hunter2" not in error.detail


def test_the_loudest_log_has_the_request_line_alone(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    server = serve(says(framed("200 OK", BODY.encode(), f"X-Echo: {BODY}")))
    asking(server).send("POST", "/v1/x", HEADERS, {"secret": BODY})
    assert caplog.messages == [f"POST {server.url}/v1/x: 200"]


URLS = {
    "https://vault.example": "https://vault.example",
    "https://vault.example:8200/": "https://vault.example:8200",
    "https://ABC.gr7.eu-west-1.eks.example": "https://abc.gr7.eu-west-1.eks.example",
    "https://rancher.example/k8s/clusters/c-m-1x": "https://rancher.example/k8s/clusters/c-m-1x",
    "https://ghe.example/api/v3/": "https://ghe.example/api/v3",
    "http://127.0.0.1:8200": "http://127.0.0.1:8200",
    "http://[::1]:8200/": "http://[::1]:8200",
    "http://localhost:1": "http://localhost:1",
}


@pytest.mark.parametrize(("url", "wanted"), URLS.items())
def test_a_url_loses_its_last_slash_and_the_case_of_its_host(url: str, wanted: str) -> None:
    assert base_url(url, "VAULT_ADDR") == wanted


BAD_URLS = {
    "empty": "",
    "http to elsewhere": "http://vault.example",
    "another scheme": "ftp://vault.example",
    "no scheme": "vault.example:8200",
    "a user": "https://hvs.hunter2@vault.example",
    "a user before a path": "https://hvs.hunter2@vault.example/x",
    "a query": "https://vault.example/?token=hunter2",
    "a query at once": "https://vault.example?token=hunter2",
    "a fragment": "https://vault.example/#hunter2",
    "a dot segment": "https://vault.example/v1/../x",
    "an empty segment": "https://vault.example//x",
    "an escape": "https://vault.example/%2e%2e",
    "a space": "https://vault.example/a b",
    "a line break": "https://vault.example/\n",
    "a port that is none": "https://vault.example:0",
    "an address that looks like loopback": "http://127.1",
    "a backslash": "https://vault.example\\x",
}


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS)
def test_b59_a_url_that_tokens_must_not_go_to_is_refused(url: str) -> None:
    with pytest.raises(SinkError) as caught:
        base_url(url, "VAULT_ADDR")
    assert caught.value.summary == "VAULT_ADDR cannot be used"
    assert "hunter2" not in f"{caught.value.detail} {caught.value.hint}"
    assert caught.value.hint


def test_b59_a_url_that_is_refused_is_shown_where_it_holds_no_secret() -> None:
    with pytest.raises(SinkError) as caught:
        base_url("http://vault.example", "VAULT_ADDR")
    assert caught.value.detail.endswith('It is "http://vault.example".')


@pytest.mark.parametrize("pem", [b"", b"hunter2", b"\xff", b"-----BEGIN CERTIFICATE-----\nhunter2\n"])
def test_a_file_without_certificates_trusts_nobody_and_is_refused(pem: bytes) -> None:
    with pytest.raises(SinkError, match=r"^VAULT_CACERT holds no certificates$") as caught:
        private_trust(pem, "VAULT_CACERT")
    assert caught.value.__context__ is None
    assert "hunter2" not in caught.value.detail


def test_the_authorities_in_a_file_are_trusted_and_nobody_else() -> None:
    context = private_trust(b"# ours\n" + AUTHORITY, "VAULT_CACERT")
    (trusted,) = context.get_ca_certs()
    assert trusted["subject"] == ((("commonName", "Example authority"),),)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
