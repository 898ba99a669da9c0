"""A manifest as YAML says it, before any rule of ours: plain values which know where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Protocol, TypeAlias

import yaml

from provisioner.errors import Problem
from provisioner.frozen import dataclass
from provisioner.manifest.faults import Fault, Loc, Place, fault_at
from provisioner.model import KEY


class Mark(Protocol):
    """A position as PyYAML gives it: line and column count from 0, columns in characters."""

    line: int
    column: int


# Line and column in one number: of a hundred thousand small objects the garbage collector would grow slow.
Position: TypeAlias = int
_COLUMN_BITS = 32


def position(mark: Mark) -> Position:
    """A mark as a `Position`."""
    return mark.line << _COLUMN_BITS | mark.column


def place_of(file: str, at: Position) -> Place:
    """A position in a file, counted from 1."""
    line, column = divmod(at, 1 << _COLUMN_BITS)
    return Place(file, line + 1, column + 1)


class Map(dict[str, "Node"]):
    """A mapping in the order written. `at` and `key_at` hold where each value and its key start."""

    __slots__ = ("at", "key_at")

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[str, Position] = {}
        self.key_at: dict[str, Position] = {}


class List(list["Node"]):
    """A list; `at` holds where each item starts."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        super().__init__()
        self.at: list[Position] = []


@dataclass(frozen=True, slots=True)
class Misread:
    """A plain scalar that YAML 1.1 takes for something else than its text: `NO`, `22:22`, `1.20`."""

    text: str
    tag: str


class Refused(Enum):
    """Stands where a value was refused, so that no later rule complains of it again."""

    VALUE = "refused"


Node: TypeAlias = str | int | bool | Misread | Refused | Map | List | None
_KINDS = {"bool": "boolean", "int": "number", "float": "number", "timestamp": "date"}


def reading(node: Node) -> str:
    """What YAML makes of a value, in words: `the boolean false`, `the number 1342`, `null`."""
    if node is None:
        return "null"
    if isinstance(node, bool):
        return f"the boolean {str(node).lower()}"
    if isinstance(node, int):
        return f"the number {node}"
    if isinstance(node, Map | List):
        return "a mapping" if isinstance(node, Map) else "a list"
    if not isinstance(node, Misread):
        return "a string"
    try:
        value = yaml.SafeLoader("").construct_object(yaml.ScalarNode(node.tag, node.text))
        shown = str(value).lower()
    except (ValueError, OverflowError, yaml.YAMLError):
        shown = ""  # no such day, or a number longer than Python writes out
    kind = _KINDS.get(node.tag.rpartition(":")[2], "special value")
    return f"the {kind} {shown}" if shown and len(shown) <= 40 else f"a {kind}"


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read: its root and where that starts."""

    name: str
    root: Map
    start: Position

    def section(self, key: str) -> Map:
        """The mapping under `key`, empty where there is none or where something else stands."""
        node = self.root.get(key)
        return node if isinstance(node, Map) else Map()

    def find(self, loc: Loc) -> tuple[Node, Position, Position]:
        """The value at `loc`, where it and its key start; those of the nearest parent if it is missing."""
        node: Node = self.root
        at = key_at = self.start
        for step in loc:
            if isinstance(node, Map) and isinstance(step, str) and step in node:
                at, key_at, node = node.at[step], node.key_at[step], node[step]
            elif isinstance(node, List) and isinstance(step, int):
                at = key_at = node.at[step]
                node = node[step]
            else:
                break
        return node, at, key_at

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """Where the value at `loc` (or its key) starts."""
        _, at, key_at = self.find(loc)
        return place_of(self.name, key_at if key else at)

    def fault(self, loc: Loc, problem: Problem, found: str | None = None) -> Fault:
        """A fault of the value at `loc`."""
        return fault_at(self.place(loc), loc, problem, found)

    def key_fault(self, loc: Loc, problem: Problem) -> Fault:
        """A fault shown at the key of `loc`: its name is in the path already."""
        return fault_at(self.place(loc, key=True), loc, problem)


def apps(documents: list[Document]) -> Iterator[tuple[Document, str, Map]]:
    """Every app of a well-formed key."""
    for document in documents:
        for key, app in document.section("apps").items():
            if isinstance(app, Map) and KEY.fullmatch(key):
                yield document, key, app
