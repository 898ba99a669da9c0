"""YAML events → tree. What could mislead or explode is refused here, before any value is built of it."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from provisioner.errors import Problem
from provisioner.manifest.decoding import decoded, end_of
from provisioner.manifest.faults import Fault, Loc, Place, Source, fault_at, holds_private_key
from provisioner.manifest.syntax import ANCHOR, MAX_DEPTH, TAG, TOO_DEEP, syntax_fault
from provisioner.manifest.tree import (
    Document,
    List,
    Map,
    Misread,
    Node,
    Position,
    Refused,
    place_of,
    position,
    reading,
)
from provisioner.text import quote

MAX_STRING = 8 << 10  # characters
MAX_ENTRIES = 100_000  # of one mapping or list: so many apps
MAX_VALUES = 2_000_000  # of one file
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where PyYAML was built with it
_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers
_SURROGATE = "[\ud800-\udfff]"  # PyYAML's own parser makes them of escapes
_KEY_BODY = r"(?i)AGE-SECRET-KEY-[0-9A-Z-]{16}|BEGIN [A-Z ]*PRIVATE KEY-----"
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")

MERGE = Problem("Merge keys (<<) are not allowed.", "Write the keys out where they are needed.")
ONE_DOCUMENT = Problem("A file holds exactly one YAML document.", "Remove the others, and their `---` lines.")
EMPTY = Problem(
    "The file is empty, where a mapping is expected.", "Write keys and values, as in `version: 1`."
)
NOT_A_MAPPING = Problem("The file must hold a mapping of keys to values.", "Write them as in `version: 1`.")
PRIVATE_KEY = Problem(
    "A private key stands here.",
    "Remove it, and make a new key pair: this one must count as known to others. "
    "Recipients are public keys, which start with age1, ssh-ed25519 or ssh-rsa.",
    secret=True,
)
LONG_STRING = Problem(f"A string may have at most {MAX_STRING:,} characters.", "Shorten it.")
SURROGATE = Problem("The text holds half a character (a surrogate).", "Write the character itself.")
COMPLEX_KEY = Problem("A key must be a string.", "Write a plain word before the colon.")
TOO_MANY = Problem(
    f"A mapping or list may have at most {MAX_ENTRIES:,} entries, and a file {MAX_VALUES:,} values.",
    "Spread the apps over several manifests, each with a state of its own.",
)


class _StopError(Exception):
    """Reading cannot go on; why is among the faults already."""


def read(source: Source) -> tuple[Document | None, list[Fault]]:
    """The document of one file, None where it has none; and everything refused on the way."""
    text = decoded(source)
    if isinstance(text, Fault):
        return None, [text]
    builder = _Builder(source.name, text)
    try:
        builder.build()
    except _StopError:
        return None, builder.faults
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        return None, [*builder.faults, syntax_fault(error, source.name, text)]
    if builder.suspect and not any(fault.rule == PRIVATE_KEY.rule for fault in builder.faults):
        builder.faults += _key_in_a_comment(source.name, text)
    root = builder.root
    if not isinstance(root, Map):
        if root is not Refused.VALUE:
            builder.fault(EMPTY if root is None else NOT_A_MAPPING, builder.start)
        return None, builder.faults
    return Document(source.name, root, builder.start), builder.faults


class _Frame:
    """A container that is still open; `key` is its latest key, None where what follows is left out."""

    __slots__ = ("expects_key", "key", "key_at", "node")

    def __init__(self, node: Map | List, at: Position) -> None:
        self.node = node
        self.key: str | None = None
        self.key_at = at
        self.expects_key = isinstance(node, Map)


class _Builder:
    """One pass over the events of one file, with the open containers on a stack: no recursion."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.suspect = holds_private_key(text)  # looked for once, so that most files need no closer look
        self.faults: list[Fault] = []
        self.root: Node = None
        self.start: Position = 0
        self.documents = 0
        self.values = 0
        self.open: list[_Frame] = []

    def build(self) -> None:
        """Run through the events, tested in the order in which they are most frequent."""
        next_event = PARSER(self.text).get_event
        while (event := next_event()) is not None:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent:
                self.begin(Map(), event)
            elif kind is yaml.SequenceStartEvent:
                self.begin(List(), event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.open.pop()
            elif kind is yaml.AliasEvent:
                at = position(event.start_mark)
                self.place(Refused.VALUE, "", at)
                self.fault(ANCHOR, at)
            elif kind is yaml.DocumentStartEvent:
                self.documents += 1
                if self.documents > 1:
                    self.stop(ONE_DOCUMENT, position(event.start_mark))

    def begin(self, node: Map | List, event: Any) -> None:
        """A container opens, and takes its place at once: what comes next is added to it."""
        at = position(event.start_mark)
        self.place(node, "", at)
        if len(self.open) >= MAX_DEPTH:
            self.stop(TOO_DEEP, at)
        self.refuse_properties(event, at)
        self.open.append(_Frame(node, at))

    def scalar(self, event: Any) -> None:
        text: str = event.value
        at = position(event.start_mark)
        clean = text.isascii() and len(text) <= MAX_STRING and not self.suspect
        problem = None if clean else unfit(text)
        if problem is not None:
            self.place(Refused.VALUE, "", at)
            self.fault(problem, at)
        elif event.implicit[0] and text[:1] in _RESOLVERS:
            self.place(resolved(text), text, at)
        else:
            self.place(text, text, at)
        if event.anchor is not None or event.tag is not None:
            self.refuse_properties(event, at)

    def refuse_properties(self, event: Any, at: Position) -> None:
        if event.anchor is not None:
            self.fault(ANCHOR, at)
        if event.tag is not None:
            self.fault(TAG, at)

    def place(self, node: Node, text: str, at: Position) -> None:
        """Put a value where it belongs, or take it as the key of the next one."""
        if not self.open:
            self.root, self.start = node, at
            return
        frame = self.open[-1]
        parent = frame.node
        self.values += 1
        if len(parent) >= MAX_ENTRIES or self.values > MAX_VALUES:
            self.stop(TOO_MANY, at)
        if isinstance(parent, List):
            parent.append(node)
            parent.at.append(at)
        elif frame.expects_key:
            self.take_key(frame, parent, node, text, at)
        else:
            frame.expects_key = True
            if frame.key is not None:
                parent[frame.key] = node
                parent.at[frame.key], parent.key_at[frame.key] = at, frame.key_at

    def take_key(self, frame: _Frame, parent: Map, node: Node, text: str, at: Position) -> None:
        """Remember a key until its value comes; one that is refused leaves its value out."""
        frame.expects_key, frame.key, frame.key_at = False, text, at
        if isinstance(node, str) and text not in parent:
            return
        is_merge = isinstance(node, Misread) and text == "<<"
        if is_merge or isinstance(node, Map | List | Refused):
            frame.key = None
            if node is not Refused.VALUE:
                self.fault(MERGE if is_merge else COMPLEX_KEY, at)
            return
        if not isinstance(node, str):  # it is read on all the same, for what stands under it
            self.fault(_misread_key(node, text), at)
        if text in parent:
            self.fault(_twice(place_of(self.name, parent.key_at[text])), at)
            frame.key = None

    def loc(self) -> Loc:
        """Where the latest value stands, from the root."""
        steps: list[str | int] = []
        for frame in self.open:
            if isinstance(frame.node, List):
                steps.append(max(len(frame.node) - 1, 0))
            elif frame.key is not None:
                steps.append(frame.key)
        return tuple(steps)

    def fault(self, problem: Problem, at: Position) -> None:
        self.faults.append(fault_at(place_of(self.name, at), self.loc(), problem))

    def stop(self, problem: Problem, at: Position) -> NoReturn:
        self.fault(problem, at)
        raise _StopError


def resolved(text: str) -> Node:
    """What YAML 1.1 makes of a plain scalar, where that is unmistakable; else its text, or `Misread`."""
    for tag, form in _RESOLVERS.get(text[:1], ()):
        if form.match(text):
            if tag == "tag:yaml.org,2002:null":
                return None
            if text in {"true", "false"}:
                return text == "true"
            return int(text) if _INTEGER.fullmatch(text) else Misread(text, tag)
    return text


def unfit(text: str) -> Problem | None:
    """Why a string can stand nowhere in a manifest."""
    if holds_private_key(text):
        return PRIVATE_KEY
    if len(text) > MAX_STRING:
        return LONG_STRING
    return SURROGATE if re.search(_SURROGATE, text) else None


def _twice(first: Place) -> Problem:
    return Problem(
        f"This key stands twice in one mapping, first at line {first.line}.", "Keep one of the two."
    )


def _misread_key(node: Node, text: str) -> Problem:
    remedy = f"Write {quote(text, 80)} in quotes." if text else "Write a word before the colon."
    return Problem(f"A key must be a string; YAML reads this one as {reading(node)}.", remedy)


def _key_in_a_comment(name: str, text: str) -> list[Fault]:
    """Private keys outside of every value: a comment is committed and shared like the rest."""
    found = re.search(_KEY_BODY, text)
    return [] if found is None else [fault_at(end_of(text[: found.start()], name), (), PRIVATE_KEY)]
