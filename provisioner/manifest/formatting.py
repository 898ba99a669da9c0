"""A manifest in one form: two spaces, lists indented, one blank line at most. Comments and meaning stay."""

from __future__ import annotations

import io
import re
from typing import Any

from provisioner.errors import Problem
from provisioner.manifest.events import read
from provisioner.manifest.faults import ManifestError, Place, Source, fault_at
from provisioner.manifest.tree import Node

_WIDE = 100_000  # no line is broken
_BLANK = re.compile(r"\n{3,}")
_CHANGED = Problem(
    "It cannot be put in form without a change of what it says.",
    "Write it by hand; the file was left as it is.",
)


def formatted(source: Source) -> bytes:
    """The file in form. Raises ManifestError where it is not YAML that a manifest may have.

    It is the same for a file that is in form already, and says the same for every other.
    """
    before = _tree(source)
    text = _written(source.data.decode())
    for candidate in () if text is None else (_tidied(text, source.data.decode()), text):
        if _tree(Source(source.name, candidate.encode())) == before:
            return candidate.encode()
    raise ManifestError([fault_at(Place(source.name, 1, 1), (), _CHANGED)])


def _tree(source: Source) -> Node:
    document, faults = read(source)
    if document is None or faults:
        raise ManifestError(faults)
    return document.root


def _written(text: str) -> str | None:
    """In form; None where ruamel takes a plain word for a number or a date, and then cannot read it: `._`."""
    from ruamel.yaml import YAML  # noqa: PLC0415  # 100 ms, and only `fmt` needs it
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415  # as above

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _null)
    out = io.StringIO()
    try:
        yaml.dump(yaml.load(text), out)
    except (YAMLError, ValueError, OverflowError):
        return None
    return out.getvalue()


def _null(representer: Any, _: None) -> Any:
    """Said, not left out: in a manifest null means something."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _tidied(text: str, before: str) -> str:
    """Comments on lines of their own stay with what they stood with; blank lines are single."""
    lines = [line.rstrip() for line in text.split("\n")]
    follow = _with_what_follows(before.split("\n"))
    comments = [index for index, line in enumerate(lines) if _is_comment(line)]
    after, above = _next_depths(lines), _next_depths(lines[::-1])[::-1]
    if len(comments) == len(follow):
        for index, with_next in zip(comments, follow, strict=True):
            within = min(max(_depth(lines[index]), after[index]), max(after[index], above[index]))
            lines[index] = " " * (after[index] if with_next else within) + lines[index].lstrip()
    return _BLANK.sub("\n\n", "\n".join(lines).strip("\n")) + "\n"


def _with_what_follows(lines: list[str]) -> list[bool]:
    """Of each comment on a line of its own, whether it starts where what follows it starts."""
    return [
        _depth(line) == depth
        for line, depth in zip(lines, _next_depths(lines), strict=True)
        if _is_comment(line)
    ]


def _next_depths(lines: list[str]) -> list[int]:
    """Of each line, where the next one starts that is neither blank nor a comment; 0 where none is."""
    depths, depth = [], 0
    for line in reversed(lines):
        depths.append(depth)
        if line.strip() and not _is_comment(line):
            depth = _depth(line)
    return depths[::-1]


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
