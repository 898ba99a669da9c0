"""One sandbox as an ASGI application: routes, the record of what came in, and the faults it was asked for."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import Route, Router

from provisioner.sandbox.api import OTHER, Answer, Call, answer, refusal
from provisioner.sandbox.distort import distort
from provisioner.sandbox.faults import Done, Fault, Faults
from provisioner.sandbox.wire import deliver

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from provisioner.sandbox.world import World

_REMEMBERED = 20_000
_APPS, _APP = "/api/v1/oauth-apps", "/api/v1/oauth-apps/{id}"
_ROUTES = (
    ("list", "GET", _APPS),
    ("create", "POST", _APPS),
    ("get", "GET", _APP),
    ("delete", "DELETE", _APP),
    ("rotate", "POST", f"{_APP}/rotate"),
    ("introspect", "POST", "/api/v1/oauth/introspect"),
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Sandbox:
    """The API over one world.

    `calls` counts what came in, `requests` holds the latest of it, `played` what went wrong on request.
    """

    def __init__(self, world: World, url: str, api_key: str, faults: Iterable[str], latency: float) -> None:
        self.world = world
        self.url = url
        self.api_key = api_key
        self.faults = Faults(faults)
        self.latency = latency
        self.calls: Counter[str] = Counter()
        self.requests: deque[Call] = deque(maxlen=_REMEMBERED)
        self._late: dict[object, Call] = {}

    @property
    def played(self) -> tuple[Fault, ...]:
        """The faults that struck, in order."""
        return tuple(self.faults.played)

    def add_fault(self, spec: str) -> None:
        """Misbehave from now on: the fault counts the calls to come."""
        self.faults.add(spec)

    def settle(self) -> None:
        """Do at once what faults of the kind `late` still hold back."""
        for key in list(self._late):
            self._do_late(key)

    def application(self) -> ASGIApp:
        """The ASGI application. What is none of the six operations is answered 404 and counted as other."""
        routes = [
            Route(path, partial(self._handle, name), methods=[method]) for name, method, path in _ROUTES
        ]
        other = Route("/{path:path}", partial(self._handle, OTHER), methods=_METHODS)
        return Router([*routes, other], redirect_slashes=False)

    async def _handle(self, operation: str, request: Request) -> ASGIApp:
        call = Call(
            operation,
            request.method,
            request.url.path,
            request.path_params.get("id", ""),
            dict(request.headers),
            await request.body(),
        )
        self.calls[operation] += 1
        self.requests.append(call)
        if self.latency:
            await asyncio.sleep(self.latency)
        return self._played(call, self.faults.take(operation))

    def _played(self, call: Call, fault: Fault | None) -> ASGIApp:
        if fault is None:
            return deliver(self._dated(self._answer(call)), None)
        right = refusal(503, "Nothing was done.")
        if fault.done is Done.NOW:
            right = self._answer(call)
        elif fault.done is Done.LATE:
            self._put_off(call, fault.number or 0.0)
        wrong = distort(right, fault)
        return deliver(wrong if fault.kind == "no-date" else self._dated(wrong), fault)

    def _answer(self, call: Call) -> Answer:
        return answer(self.world, self.api_key, call)

    def _dated(self, undated: Answer) -> Answer:
        """With the world's clock as Date (RFC 9110 §6.6.1): it is the one that `created_at` was read from."""
        date = format_datetime(self.world.now().astimezone(UTC), usegmt=True)
        return replace(undated, headers=(*undated.headers, ("date", date)))

    def _put_off(self, call: Call, seconds: float) -> None:
        key = object()
        self._late[key] = call
        asyncio.get_running_loop().call_later(seconds, self._do_late, key)

    def _do_late(self, key: object) -> None:
        call = self._late.pop(key, None)
        if call:
            self._answer(call)
