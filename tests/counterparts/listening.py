"""HTTP on loopback: a server that says what a function says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Speaking(BaseHTTPRequestHandler):
    """Hands each request to a function of the server's."""

    server: Listening
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (as it is called there)
        """Nothing on standard error: it is searched for secrets."""

    def speak(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.close_connection = True
        if len(body) < length:  # who asked died over it
            return
        said = self.server.speak(self.command, self.path, dict(self.headers.items()), body)
        if said is None:
            return
        status, content, headers = said
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = speak  # noqa: N815  (as it is called there)


Speak = Callable[[str, str, dict[str, str], bytes], tuple[int, bytes, dict[str, str]] | None]


class Listening(ThreadingHTTPServer):
    """A server on loopback that says what a function says."""

    daemon_threads = True

    def __init__(self, speak: Speak, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Speaking)
        self.speak = speak
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_address[1]}"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that are cut are what some of this is for."""


@contextmanager
def listening(speak: Speak, tls: ssl.SSLContext | None = None) -> Iterator[Listening]:
    with Listening(speak, tls) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
