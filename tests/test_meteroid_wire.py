"""The wire against real sockets on loopback: what breaks on the way, TLS, proxies."""

import itertools
import logging
import re
import select
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpcore
import pytest

from provisioner.errors import ApiError
from provisioner.meteroid import MeteroidApi, proxy_of
from provisioner.model import AppSpec, Outcome, Reply, Secret

TOKEN = "canary-token-4c1f"
SPEC = AppSpec("Partner Portal", ("https://portal.example/cb",))
BODY = b'{"app": {}, "client_secret": "canary-secret-77aa"}'
TLS_HANDSHAKE = b"\x16"
Script = Callable[[socket.socket], None]


class Loopback(socketserver.ThreadingTCPServer):
    """Reads one request after another from each connection and lets a script answer it."""

    request_queue_size = 32

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.script = script
        self.tls = tls
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self.connections += 1
        connection.settimeout(5)
        return (self.tls.wrap_socket(connection, server_side=True) if self.tls else connection), address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what half of these tests are about."""


class Exchange(socketserver.BaseRequestHandler):
    server: Loopback
    request: socket.socket

    def handle(self) -> None:
        while received := self.receive():
            self.server.requests.append(received)
            self.server.script(self.request)
            if self.request.fileno() < 0:
                return

    def receive(self) -> bytes:
        received = b""
        while not self.whole(received) and (more := self.request.recv(65536)):
            received += more
        return received

    def whole(self, received: bytes) -> bool:
        head, end, body = received.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)content-length: (\d+)", head)
        return head.startswith(TLS_HANDSHAKE) or (bool(end) and len(body) == int(found[1] if found else 0))


Serve = Callable[..., Loopback]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[tuple[Loopback, threading.Thread]] = []

    def start(script: Script, tls: ssl.SSLContext | None = None) -> Loopback:
        server = Loopback(script, tls)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def says(*parts: bytes, close: bool = True) -> Script:
    def script(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        if close:
            connection.shutdown(socket.SHUT_WR)

    return script


def resets(*parts: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        says(*parts, close=False)(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    return script


def head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def framed(status: str, body: bytes, *headers: str) -> bytes:
    return head(status, f"Content-Length: {len(body)}", *headers) + body


def create(server: Loopback, *, timeout: float = 5.0) -> Reply:
    with MeteroidApi(server.url, Secret(TOKEN.encode()), timeout=timeout, wait=lambda _: False) as api:
        return api.create_app(SPEC)


def test_a_whole_201_is_done(serve: Serve) -> None:
    server = serve(says(framed("201 Created", BODY)))
    reply = create(server)
    assert (reply.outcome, reply.status, reply.complete) == (Outcome.DONE, 201, True)
    assert reply.body == Secret(BODY)
    (request,) = server.requests
    assert request.startswith(b"POST /api/v1/oauth-apps HTTP/1.1\r\n")
    assert f"Authorization: Bearer {TOKEN}".encode() in request


def test_no_library_logs_what_came_and_went(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    create(serve(says(framed("201 Created", BODY, f"X-Echo: {TOKEN}"))))
    assert {record.name for record in caplog.records} == {"provisioner.meteroid"}
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(
            [head("201 Created", "Transfer-Encoding: chunked"), b"5\r\nhello\r\n0\r\n\r\n"], id="chunked"
        ),
        pytest.param(
            [head("103 Early Hints"), framed("201 Created", b"hello")], id="after an interim answer"
        ),
        pytest.param([framed("201 Created", b"hello")[:-3], b"l", b"lo"], id="in pieces"),
    ],
)
def test_a_whole_201_is_done_however_it_comes(serve: Serve, parts: list[bytes]) -> None:
    reply = create(serve(says(*parts)))
    assert (reply.outcome, reply.body) == (Outcome.DONE, Secret(b"hello"))


@pytest.mark.parametrize(
    ("script", "status", "kept"),
    [
        pytest.param(
            says(framed("201 Created", BODY)[:-9]), 201, BODY[:-9], id="f15 cut short of its length"
        ),
        pytest.param(says(head("201 Created") + BODY[:-9]), 201, BODY[:-9], id="f16 cut, with no length"),
        pytest.param(says(head("201 Created") + BODY), 201, BODY, id="f16 whole, with no length"),
        pytest.param(
            says(head("201 Created", "Transfer-Encoding: chunked") + b"9\r\n" + BODY[:4]),
            201,
            BODY[:4],
            id="f15 cut in a chunk",
        ),
        pytest.param(
            says(head("201 Created", "Transfer-Encoding: chunked") + b"4\r\n" + BODY[:4] + b"\r\n"),
            201,
            BODY[:4],
            id="f15 cut between chunks",
        ),
        pytest.param(
            says(framed("201 Created", b"\x1f\x8bgarbage", "Content-Encoding: gzip")),
            201,
            b"\x1f\x8bgarbage",
            id="f17 garbage in gzip",
        ),
        pytest.param(says(framed("409 Conflict", BODY)[:-9]), 409, BODY[:-9], id="f15 a refusal cut short"),
        pytest.param(says(b""), None, b"", id="f14 closed without an answer"),
        pytest.param(says(b"HTTP/1.1 201 Cre"), None, b"", id="f14 closed within the status line"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n"), None, b"", id="f14 not HTTP"),
        pytest.param(
            says(head("201 Created", "Content-Length: five")), None, b"", id="f15 a length that is none"
        ),
        pytest.param(says(head("101 Switching Protocols")), None, b"", id="another protocol"),
        pytest.param(resets(), None, b"", id="f14 reset"),
    ],
)
def test_what_breaks_after_the_first_byte_is_ambiguous_and_sent_once(
    serve: Serve, script: Script, status: int | None, kept: bytes
) -> None:
    server = serve(script)
    reply = create(server)
    assert (reply.outcome, reply.status, reply.complete) == (Outcome.AMBIGUOUS, status, False)
    assert reply.body == Secret(kept)
    assert len(server.requests) == 1
    assert "canary" not in reply.message


def test_f14_a_reset_within_the_body_is_ambiguous(serve: Serve) -> None:
    reply = create(serve(resets(framed("201 Created", BODY)[:-9])))
    assert (reply.outcome, reply.complete) == (Outcome.AMBIGUOUS, False)


@pytest.mark.parametrize(
    "sent_first", [b"", framed("201 Created", BODY)[:-9]], ids=["no answer", "half a body"]
)
def test_f12_an_answer_that_does_not_come_in_time_is_ambiguous(serve: Serve, sent_first: bytes) -> None:
    gone = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(sent_first)
        gone.wait(5)
        connection.close()

    server = serve(script)
    reply = create(server, timeout=0.1)
    gone.set()
    assert (reply.outcome, reply.complete) == (Outcome.AMBIGUOUS, False)
    assert "no answer came in time" in reply.message
    assert len(server.requests) == 1


def test_a_server_that_drips_is_given_up_after_ten_timeouts(serve: Serve) -> None:
    server = serve(says(framed("201 Created", BODY)))
    ticks = itertools.chain([0] * 4, range(0, 10**9, 1000))  # it is sent at once
    with MeteroidApi(server.url, Secret(TOKEN.encode()), clock=lambda: float(next(ticks))) as api:
        reply = api.create_app(SPEC)
    assert (reply.outcome, reply.complete) == (Outcome.AMBIGUOUS, False)
    assert reply.message == "201 Created, but the answer took too long to come whole"


def test_an_endless_body_is_read_up_to_the_cap_and_no_further(serve: Serve) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(head("201 Created", "Content-Length: 99999999999"))
        while True:
            connection.sendall(b"x" * 65536)

    reply = create(serve(script))
    assert (reply.outcome, reply.complete, len(reply.body)) == (Outcome.AMBIGUOUS, False, 64 * 1024)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_f20_a_redirect_is_named_and_nothing_is_sent_to_its_target(serve: Serve, status: str) -> None:
    target = serve(says(framed("201 Created", BODY)))
    server = serve(says(framed(status, b"", f"Location: {target.url}/api/v1/oauth-apps")))
    reply = create(server)
    assert reply.outcome is Outcome.AMBIGUOUS
    assert reply.message.endswith('to "127.0.0.1"; nothing was sent there')
    assert (len(server.requests), len(target.requests)) == (1, 0)


def test_a_port_that_nobody_listens_on_is_never_sent_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with MeteroidApi(f"http://127.0.0.1:{port}", Secret(b"t"), wait=lambda _: False) as api:
        reply = api.create_app(SPEC)
    assert (reply.outcome, reply.message) == (Outcome.NOT_SENT, "the host refuses connections on that port")


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (socket.gaierror(-2, "unknown"), Outcome.NOT_SENT, "the name of the host cannot be resolved"),
        (OSError(101, "unreachable"), Outcome.NOT_SENT, "no connection could be made"),
        (TimeoutError(), Outcome.NOT_SENT, "the connection was not made in time"),
        (
            UnicodeError("label too long"),
            Outcome.AMBIGUOUS,
            "the name of the host or of the proxy cannot be used",
        ),
    ],
)
def test_what_the_system_says_of_a_connection_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: Outcome, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    with MeteroidApi("http://localhost:1", Secret(b"t"), wait=lambda _: False) as api:
        reply = api.create_app(SPEC)
    assert (reply.outcome, reply.message) == (outcome, message)


def test_there_are_as_many_connections_as_requests_at_once(serve: Serve) -> None:
    server = serve(says(framed("201 Created", BODY), close=False))
    with (
        MeteroidApi(server.url, Secret(TOKEN.encode())) as api,
        ThreadPoolExecutor(4) as pool,
    ):
        replies = list(pool.map(lambda _: api.create_app(SPEC), range(40)))
    assert {reply.outcome for reply in replies} == {Outcome.DONE}
    assert len(server.requests) == 40
    assert server.connections <= 4


def test_b61_the_environment_alone_puts_no_proxy_in_between(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(says(framed("201 Created", BODY)))
    proxy = serve(says(framed("201 Created", BODY)))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert create(server).outcome is Outcome.DONE
    assert proxy.requests == []


def through(proxy: str) -> MeteroidApi:
    used = proxy_of("https://api.meteroid.com", {"HTTPS_PROXY": proxy})
    return MeteroidApi("https://api.meteroid.com", Secret(TOKEN.encode()), wait=lambda _: False, proxy=used)


@pytest.mark.parametrize("user", ["", "fleet:hun%40ter2@"])
def test_b61_a_proxy_that_refuses_has_seen_neither_token_nor_request(serve: Serve, user: str) -> None:
    proxy = serve(says(framed("407 Proxy Authentication Required", b"")))
    with through(f"http://{user}127.0.0.1:{proxy.port}") as api:
        reply = api.create_app(SPEC)
    assert (reply.outcome, reply.message) == (Outcome.NOT_SENT, "the proxy did not connect to the host")
    assert all(request.startswith(b"CONNECT api.meteroid.com:443 ") for request in proxy.requests)
    assert TOKEN.encode() not in b"".join(proxy.requests)
    authorized = b"Proxy-Authorization: Basic " + b64encode(b"fleet:hun@ter2")
    assert all((authorized in request) is bool(user) for request in proxy.requests)
    assert len(proxy.requests) == 4


def test_b61_requests_go_through_a_proxy_that_connects(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The proxy hands the connection on to a host with a certificate, and sees neither token nor request."""
    with certificate(tmp_path) as (chain, context):
        monkeypatch.setenv("SSL_CERT_FILE", str(chain))
        host = serve(says(framed("201 Created", BODY)), context)
        proxy = serve(lambda connection: tunnel(connection, host.port))
        used = proxy_of(f"https://127.0.0.1:{host.port}", {"ALL_PROXY": f"127.0.0.1:{proxy.port}"})
        with MeteroidApi(f"https://127.0.0.1:{host.port}", Secret(TOKEN.encode()), proxy=used) as api:
            assert api.create_app(SPEC).outcome is Outcome.DONE
    (asked,) = proxy.requests
    assert asked.startswith(f"CONNECT 127.0.0.1:{host.port} ".encode())
    assert f"Authorization: Bearer {TOKEN}".encode() in host.requests[0]


def tunnel(connection: socket.socket, port: int) -> None:
    """What a proxy does after CONNECT, until either side has enough."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as behind:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        ends = {connection: behind, behind: connection}
        while True:
            for end in select.select(list(ends), [], [], 5)[0]:
                data = end.recv(65536)
                if not data:
                    connection.close()
                    return
                ends[end].sendall(data)


@pytest.mark.parametrize(
    "proxy",
    [
        *(
            "http://[::1",
            "ftp://user:hunter2@proxy.example",
            "http://user:hunter2@a:b",
            "http://user:hunter2",
        ),
        *(
            "[hunter2@]",
            "http://user:hunter2@",
            "http://proxy\x1b.example",
            "http://pröxy.example",
            "a:0",
            "a:65536",
        ),
    ],
)
def test_b61_a_proxy_that_cannot_be_used_is_an_error_that_does_not_show_it(proxy: str) -> None:
    with pytest.raises(ApiError, match="cannot be set up") as caught:
        through(proxy)
    assert "HTTPS_PROXY" in caught.value.detail
    assert "hunter2" not in caught.value.detail + caught.value.hint
    assert caught.value.__context__ is None


def test_b61_a_socks_proxy_is_an_error_that_says_what_is_missing() -> None:
    """The package that speaks SOCKS is none of ours; where it is installed, httpcore uses it."""
    with pytest.raises(ApiError, match="cannot be set up") as caught:
        through("socks5h://user:hunter2@proxy.example")
    assert "socks5h://proxy.example is a SOCKS proxy" in caught.value.detail
    assert "hunter2" not in caught.value.detail


def test_a_netrc_file_does_not_replace_the_token(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\ndefault login a password b\n", encoding="ascii")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = serve(says(framed("201 Created", BODY)))
    create(server)
    assert f"Authorization: Bearer {TOKEN}".encode() in server.requests[0]


def test_a_host_that_does_not_speak_tls_is_never_sent_to(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(says(framed("400 Bad Request", b"")))
    with MeteroidApi(f"https://127.0.0.1:{server.port}", Secret(b"t"), wait=lambda _: False) as api:
        reply = api.create_app(SPEC)
    assert (reply.outcome, reply.message) == (Outcome.NOT_SENT, "no TLS connection could be made")


@contextmanager
def certificate(folder: Path) -> Iterator[tuple[Path, ssl.SSLContext]]:
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl is not installed: TLS with a certificate of our own was NOT tried")
    key, chain = folder / "key.pem", folder / "chain.pem"
    name = ["-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [openssl, "req", "-x509", *curve, *name, "-keyout", str(key), "-out", str(chain)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    yield chain, context


def test_b61_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with certificate(tmp_path) as (_, context):
        server = serve(says(framed("201 Created", BODY)), context)
        with (
            MeteroidApi(f"https://127.0.0.1:{server.port}", Secret(b"t")) as api,
            pytest.raises(ApiError) as caught,
        ):
            api.list_apps()
        reply = api_reply(server)
    assert "the host's certificate is not trusted (self-signed certificate)" in caught.value.detail
    assert "SSL_CERT_FILE" in caught.value.hint
    assert reply.outcome is Outcome.NOT_SENT
    assert server.requests == []
    assert server.connections == 2


def test_b61_an_authority_of_one_s_own_is_named_in_ssl_cert_file(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with certificate(tmp_path) as (chain, context):
        monkeypatch.setenv("SSL_CERT_FILE", str(chain))
        assert api_reply(serve(says(framed("201 Created", BODY)), context)).outcome is Outcome.DONE


def api_reply(server: Loopback) -> Reply:
    with MeteroidApi(f"https://127.0.0.1:{server.port}", Secret(b"t"), wait=lambda _: False) as api:
        return api.create_app(SPEC)


def test_an_error_while_closing_is_no_error_of_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: httpcore.ConnectionPool) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(httpcore.ConnectionPool, "close", broken)
    with MeteroidApi("http://127.0.0.1:9", Secret(b"token")):
        pass
