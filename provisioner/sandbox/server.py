"""The sandbox as a server on the loopback interface: `running` for tests, `serve` for the command."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager

import uvicorn

from provisioner.errors import UsageError
from provisioner.sandbox.application import Sandbox
from provisioner.sandbox.ids import new_api_key
from provisioner.sandbox.wire import Protocol
from provisioner.sandbox.world import World

_HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """uvicorn's, which stops at once when told to: open connections are cut, not waited for."""

    def __init__(self, sandbox: Sandbox) -> None:
        config = uvicorn.Config(
            sandbox.application(),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
        )
        super().__init__(config)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """To be called in the event loop's thread."""
        self._stopped.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave them alone: `serve` has its own handlers, a test's thread may have none."""
        yield

    async def main_loop(self) -> None:
        await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # lets the requests in flight see that nobody is there any more
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def running(
    world: World | None = None,
    *,
    faults: Iterable[str] = (),
    latency: float = 0.0,
    api_key: str | None = None,
    port: int = 0,
) -> Iterator[Sandbox]:
    """A sandbox served from a thread of this process, on a free port unless one is given."""
    with listen(port) as listener, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        sandbox = Sandbox(world or World(), url(listener), api_key or new_api_key(), faults, latency)
        server = _Server(sandbox)
        thread = threading.Thread(target=runner.run, args=(server.serve([listener]),))
        thread.start()
        try:
            yield sandbox
        finally:
            runner.get_loop().call_soon_threadsafe(server.stop)
            thread.join()


def serve(sandbox: Sandbox, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once these end it cleanly."""
    asyncio.run(_until_told(_Server(sandbox), listener, announce))


async def _until_told(server: _Server, listener: socket.socket, announce: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    announce()
    await server.serve([listener])


def listen(port: int) -> socket.socket:
    """A socket listening on the loopback interface, at a free port for 0; UsageError when it is taken."""
    try:
        return socket.create_server((_HOST, port), backlog=512)
    except OSError as error:
        raise UsageError(
            f"Port {port} of {_HOST} cannot be listened on",
            f"{os.strerror(error.errno or 0)}.",
            "Leave the port out, and a free one is taken.",
        ) from None


def url(listener: socket.socket) -> str:
    """The base URL that reaches it."""
    return f"http://{_HOST}:{listener.getsockname()[1]}"
