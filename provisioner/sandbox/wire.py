"""How an answer, or none, goes over the connection: whole, slowly, in part, or not at all."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from provisioner.sandbox.api import Answer
from provisioner.sandbox.faults import Fault

_PIECES = 8
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: closing sends RST instead of FIN


class Protocol(H11Protocol):
    """uvicorn's, which also shows the application its transport, so that it can be cut."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        # asyncio does this only where the listener names TCP; without it each answer waits 40 ms for an ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


def deliver(answer: Answer, fault: Fault | None) -> ASGIApp:
    """What sends `answer`, in the way the fault asks for."""
    number = fault.number if fault else None
    match fault.kind if fault else "":
        case "lost" | "late":
            return lost
        case "reset":
            return reset
        case "hang":
            return hang
        case "slow":
            return slow(answer, number or 0.0)
        case "trickle":
            return trickle(answer, number or 0.0)
        case "truncated" | "truncated-no-length" as kind:
            return cut(answer, None if number is None else int(number), told=kind == "truncated")
        case _:
            return whole(answer)


def whole(answer: Answer) -> Response:
    """The answer as it is."""
    response = Response(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers[name] = value
    return response


def slow(answer: Answer, seconds: float) -> ASGIApp:
    """The answer, after a while."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(seconds)
        await whole(answer)(scope, receive, send)

    return app


def trickle(answer: Answer, seconds: float) -> ASGIApp:
    """The head at once, the body in pieces over that time."""
    size = max(1, -(-len(answer.body) // _PIECES))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(answer.body), size):
            await asyncio.sleep(seconds / _PIECES)
            yield answer.body[start : start + size]

    head = whole(answer).headers
    return StreamingResponse(pieces(), answer.status, head)


def cut(answer: Answer, keep: int | None, *, told: bool) -> ASGIApp:
    """The first `keep` bytes of the body (by default half), then the end; `told`: with its whole length."""
    length = (("content-length", str(len(answer.body))),) if told else ()
    headers = (*answer.headers, *length, ("connection", "close"))
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", *map(": ".join, headers), "", ""]
    sent = (
        "\r\n".join(lines).encode("latin-1") + answer.body[: len(answer.body) // 2 if keep is None else keep]
    )

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        _transport(scope).write(sent)
        await lost(scope, receive, _)

    return app


async def lost(scope: Scope, receive: Receive, _: Send) -> None:
    """The connection closed (FIN), after what was written to it."""
    _transport(scope).close()
    await _gone(receive)


async def reset(scope: Scope, receive: Receive, _: Send) -> None:
    """The connection reset (RST)."""
    transport = _transport(scope)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    await _gone(receive)


async def hang(_: Scope, receive: Receive, __: Send) -> None:
    """Nothing, until the client gives up."""
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait for the end of the connection: uvicorn sends a 500 for whoever returns before it.

    The request was read to its end, after which an ASGI server has nothing but the disconnection to tell.
    """
    await receive()


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["state"]["transport"]
    return transport
