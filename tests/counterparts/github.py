"""GitHub's API, as far as the secrets of its Actions go; held to its published description by its test."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from nacl.public import PrivateKey, SealedBox

TOKEN = "github_pat_canary" + secrets.token_hex(12)
PLACES = {
    "a repository": ({}, "/repos/acme/shop/actions/secrets"),
    "an environment": ({"environment": "prod"}, "/repos/acme/shop/environments/prod/secrets"),
}


@dataclass(frozen=True)
class Exchange:
    """A request as it came, and what was answered: 0 where that is not what GitHub would have said."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer: bytes


@dataclass
class Answer:
    """What is said in place of what would be."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False  # once it is done


class Hub(ThreadingHTTPServer):
    """GitHub, as far as its secrets go: it keeps them sealed, and opens them for the tests alone."""

    daemon_threads = True

    def __init__(self, base: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.base = base
        self.url = f"http://127.0.0.1:{self.server_address[1]}{base}"
        self.keys = {path: PrivateKey.generate() for _, path in PLACES.values()}
        self.kept: dict[str, dict[str, Any]] = {path: {} for path in self.keys}
        self.seen: list[Exchange] = []
        self.say: Callable[[int, str, str], Answer | str | None] = lambda number, method, path: None
        self.count = 0
        self.arrived, self.hold = threading.Event(), threading.Event()

    @property
    def asked(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.seen]

    def opened(self, path: str) -> dict[str, str]:
        """What a workflow would get."""
        box = SealedBox(self.keys[path])
        return {name: box.decrypt(sealed).decode() for name, sealed in self.kept[path].items()}

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that are cut are what some of these tests are about."""

    def done(self, method: str, path: str, document: Any) -> tuple[int, Any]:
        place, _, name = urlsplit(path).path.removeprefix(self.base).rpartition("/")
        if name == "secrets" and (listed := f"{place}/{name}") in self.kept:
            times = {"created_at": "2026-11-25T03:00:00Z", "updated_at": "2026-11-25T03:00:00Z"}
            found = [{"name": one, **times} for one in self.kept[listed]]
            return 200, {"total_count": len(found), "secrets": found[:1]}
        if place not in self.kept:
            return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}
        if method == "GET" and name == "public-key":
            public = b64encode(bytes(self.keys[place].public_key)).decode()
            return 200, {"key_id": self.key_id(place), "key": public}
        there = self.kept[place]
        if method == "PUT":
            if document["key_id"] != self.key_id(place):
                return 422, {"message": "Bad key", "documentation_url": "https://docs.github.com/rest"}
            created = name not in there
            there[name] = b64decode(document["encrypted_value"], validate=True)
            return (201, {}) if created else (204, None)
        return (204, None) if there.pop(name, None) is not None else (404, {"message": "Not Found"})

    def key_id(self, place: str) -> str:
        return str(int.from_bytes(bytes(self.keys[place].public_key)[:8], "big"))


class Asked(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (as it is called there)
        """Nothing on standard error: it is searched for secrets."""

    def answer(self) -> None:
        hub = self.server
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # who asked died over it
            return
        hub.count += 1
        said = hub.say(hub.count, self.command, self.path)
        if said == "hold":
            hub.arrived.set()
            hub.hold.wait(10)
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, document, more = self.outcome(said, headers.get("authorization"), json.loads(body or b"null"))
        sent = document if isinstance(document, bytes) else written(document)
        ours = 0 if isinstance(said, Answer) else status
        path = self.path.removeprefix(hub.base)
        hub.seen.append(Exchange(self.command, path, headers, body, ours, sent))
        if not status or said == "lost after":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        for name, value in {**more, "Content-Length": str(len(sent))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def outcome(
        self, said: Answer | str | None, authorization: str | None, document: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        if said in ("lost before", "hold"):
            return 0, None, {}
        if isinstance(said, Answer):
            if said.after:
                self.server.done(self.command, self.path, document)
            return said.status, said.body, said.headers
        if authorization != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}, {}
        return *self.server.done(self.command, self.path, document), {}

    do_GET = do_PUT = do_DELETE = answer  # noqa: N815  (as it is called there)


def written(document: Any) -> bytes:
    return b"" if document is None else json.dumps(document).encode()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    with hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.hold.set()
            hub.shutdown()
            thread.join()
