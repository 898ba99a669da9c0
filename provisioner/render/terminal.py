"""Colours, for terminals only. rich is given text, never markup: what is in a name stays a name."""

from __future__ import annotations

import re
from typing import TextIO

from rich.console import Console
from rich.text import Text

_STYLES = (
    (re.compile(r"^\s*-/\+ "), "magenta"),
    (re.compile(r"^\s*\+ "), "green"),
    (re.compile(r"^\s*- "), "red"),
    (re.compile(r"^\s*~ "), "yellow"),
    (re.compile(r"^  # "), "bold"),
    (re.compile(r"^Error: "), "bold red"),
    (re.compile(r"^Warning: "), "bold yellow"),
    (re.compile(r"^(Plan: |No changes\.|Apply complete!)"), "bold"),
)


def paint(text: str) -> Text:
    """`text` with a style for each line that starts as the plan's lines do."""
    painted = Text(end="")
    for line in text.splitlines(keepends=True):
        painted.append(line, style=next((style for start, style in _STYLES if start.match(line)), ""))
    return painted


def console(stream: TextIO) -> Console:
    """A console that writes colours and nothing else of its own: no wrapping, no guessing at links."""
    return Console(
        file=stream, force_terminal=True, highlight=False, markup=False, emoji=False, soft_wrap=True
    )
