"""Standard output and error. What cannot be written is dropped, and never stops what is being done."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast


class Sink(io.RawIOBase):
    """The lower end of a stream: its writes never raise. The first failure is remembered."""

    def __init__(self, inner: TextIO) -> None:
        self._inner = inner  # all of it: a text stream that nobody keeps closes what is below
        self.failure = 0  # as in `errno`

    def write(self, data: Any) -> int:
        """Write, or remember why not; from then on everything leads nowhere."""
        try:
            self._inner.buffer.write(data)
            self._inner.buffer.flush()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self.failure = self.failure or getattr(error, "errno", None) or errno.EBADF
            self._drop()
        return len(data)

    def writable(self) -> bool:
        """It is, whatever becomes of what is written."""
        return True

    def isatty(self) -> bool:
        """Whether it leads to a terminal."""
        return self._inner.isatty()

    def fileno(self) -> int:
        """The descriptor that it leads to."""
        return self._inner.fileno()

    def _drop(self) -> None:
        """What still waits below would fail once more when Python ends, with a traceback."""
        with contextlib.suppress(OSError, ValueError):  # it may have no descriptor
            number = self.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


class Stream(io.TextIOWrapper):
    """`inner` with a Sink for its lower end; what its encoding lacks is written out, not raised."""

    def __init__(self, inner: TextIO) -> None:
        self.sink = Sink(inner)
        super().__init__(
            io.BufferedWriter(self.sink), inner.encoding, errors="backslashreplace", line_buffering=True
        )


def guarded(command: Callable[[], int]) -> int:
    """Run `command` with streams that cannot stop it; a 0 becomes 1 where its output could not be written.

    A pipe that was closed is no failure: whoever read it has seen enough.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = _lenient(_open(sys.stdin, "r"))
    sys.stdout = out = Stream(_open(sys.stdout, "w"))
    sys.stderr = err = Stream(_open(sys.stderr, "w"))
    try:
        status = command()
        out.flush()
        if out.sink.failure in (0, errno.EPIPE):
            return status
        from provisioner.errors import EXIT_ERROR  # --version must not pay for it

        complain(
            f"Error: standard output could not be written: {os.strerror(out.sink.failure)}\n\n"
            "The command itself ran to its end; some of what it printed is lost."
        )
        return status or EXIT_ERROR
    finally:
        err.flush()  # nobody else will: the process ends without taking its streams apart
        sys.stdin, sys.stdout, sys.stderr = before


def say(text: str, *, end: str = "\n") -> None:
    """A line on standard output."""
    _write(sys.stdout, text + end)


def complain(text: str) -> None:
    """A line on standard error."""
    _write(sys.stderr, text if text.endswith("\n") else text + "\n")


def say_painted(text: str, colour: bool | None) -> None:
    """Text on standard output, in colours where it is a terminal or `colour` says so."""
    if not (sys.stdout.isatty() if colour is None else colour):
        say(text, end="")
        return
    from provisioner.render.terminal import console, paint  # rich: 17 ms, terminals only

    console(sys.stdout).print(paint(text), end="")


def delivered() -> bool:
    """Whether everything that was said so far could be written."""
    return not (isinstance(sys.stdout, Stream) and sys.stdout.sink.failure)


def _write(stream: TextIO, text: str) -> None:
    with contextlib.suppress(RuntimeError):  # said by a signal's handler, while a write was under way
        stream.write(text)
        stream.flush()


def _open(stream: TextIO | None, mode: str) -> TextIO:
    """`stream`; where it was closed before we began, one with nothing to read that refuses what is written.

    Its descriptor takes the place of the closed one, so that no file of ours is taken for a stream.
    """
    if stream is not None:
        return stream
    return cast(TextIO, os.fdopen(os.open(os.devnull, os.O_RDONLY), mode, closefd=False))


def _lenient(stream: TextIO) -> TextIO:
    """Let what is not text be read as something that nobody meant, not raised."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        with contextlib.suppress(OSError, ValueError):  # closed, or read from already
            reconfigure(errors="replace")
    return stream
