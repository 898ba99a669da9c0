"""Standard output and error. A reader that has gone away never stops what is being done."""

from __future__ import annotations

import os
import sys
from typing import TextIO

import click


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

    try:
        console(sys.stdout).print(paint(text), end="")
    except BrokenPipeError:
        drop_streams()


def drop_streams() -> None:
    """Let what is still written go nowhere, so that nothing fails for want of a reader."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _write(stream: TextIO, text: str) -> None:
    try:
        click.echo(text, file=stream, nl=False)
        stream.flush()
    except BrokenPipeError:
        drop_streams()
