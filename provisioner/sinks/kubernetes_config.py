"""A kubeconfig: several files as one, as kubectl merges them, and of it what one context names."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final

import yaml

from provisioner.errors import FileError, SinkError
from provisioner.frozen import dataclass
from provisioner.reading import read_input, shown
from provisioner.text import quote

_LIMIT: Final = 4 * 1024 * 1024  # bytes of one file; those of a hundred clusters have less than one
_PART_LIMIT: Final = 1024 * 1024  # bytes of a certificate, a key or a token
# Safe: it builds no objects but those of JSON. libyaml, where PyYAML was built with it.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What PyYAML raises for bytes that are no YAML, and for scalars that are not what their tag says.
_UNREADABLE: Final = (
    yaml.YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_HINT: Final = "Correct it; `kubectl config view` shows how kubectl reads it."


@dataclass(frozen=True, slots=True)
class Entry:
    """A mapping that people wrote, and what it is called. What is in it may be secret.

    Relative paths in it start at `folder`.
    """

    title: str
    folder: Path
    fields: Mapping[str, Any] = field(repr=False)
    identity: tuple[str, ...] = ()  # the file, and of its entries the kind and the name

    def wrong(self, detail: str, hint: str = _HINT) -> SinkError:
        """That something in it cannot be used."""
        return SinkError(f"Cannot use {self.title}", detail, hint)

    def text(self, key: str) -> str:
        """A text, empty where there is none."""
        value = self.fields.get(key)
        if value is None or isinstance(value, str):
            return value or ""
        raise self.wrong(f"`{key}` is not a text. A number or a date needs quotes there.")

    def path(self, key: str) -> Path | None:
        """A path, where one is stated."""
        value = self.text(key)
        return self.folder / value if value else None

    def content(self, key: str) -> bytes:
        """What `<key>-data` holds in base64, else what the file `<key>` holds, if either is stated."""
        data, path = self.text(f"{key}-data"), self.path(key)
        if data:
            found = self._decoded(f"{key}-data", data)
        elif path:
            found = self.read(key, path)
        else:
            return b""
        if not found:
            raise self.wrong(f"`{key}` is empty.")
        return found

    def _decoded(self, key: str, data: str) -> bytes:
        try:
            return base64.b64decode("".join(data.splitlines()), validate=True)
        except ValueError:
            pass
        raise self.wrong(f"`{key}` is not base64. It is not shown.")

    def read(self, key: str, path: Path) -> bytes:
        """A file that it names."""
        try:
            return read_input(path, _PART_LIMIT)
        except FileError as error:
            reason = f"{error.summary}. {error.detail}"
        raise self.wrong(f"`{key}`: {reason}", "Correct the path, or make the file.")


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What the files say together: of each name the first file's entry, and the first current context."""

    files: tuple[Path, ...]
    current: str
    entries: Mapping[tuple[str, str], Entry]

    def chosen(self, context: str) -> tuple[Entry, Entry | None]:
        """The cluster and the user of a context, by default the current one."""
        name = context or self.current
        if not name:
            raise SinkError(
                "No context is chosen",
                f"The kubeconfig {self._shown()} has no current-context, and the sink names none.",
                "Give the sink `context`, or type: kubectl config use-context NAME",
            )
        found = self._entry("context", name, "`context` of the sink" if context else "current-context")
        cluster, user = found.text("cluster"), found.text("user")
        return (
            self._entry("cluster", cluster, f"the context {quote(name, 80)}"),
            self._entry("user", user, f"the context {quote(name, 80)}") if user else None,
        )

    def _entry(self, kind: str, name: str, source: str) -> Entry:
        entry = self.entries.get((kind, name))
        if entry is not None:
            return entry
        known = ", ".join([quote(each, 40) for of, each in self.entries if of == kind][:8])
        raise SinkError(
            f"There is no {kind} {quote(name, 80)} in the kubeconfig {self._shown()}",
            f"It is named by {source}. There {f'are {known}' if known else 'is none'}.",
            "Correct the name, or set KUBECONFIG to the files that have it.",
        )

    def _shown(self) -> str:
        return ", ".join(map(shown, self.files))


def load(paths: Sequence[Path]) -> Kubeconfig | None:
    """The files as one; those that are not there are left out. None where there is none of them."""
    files = tuple(path for path in dict.fromkeys(paths) if os.path.lexists(path))
    current = ""
    entries: dict[tuple[str, str], Entry] = {}
    for whole in map(_read, files):
        current = current or whole.text("current-context")
        for kind in ("cluster", "user", "context"):
            entries = dict(_entries(whole, kind)) | entries
    return Kubeconfig(files, current, entries) if files else None


def _read(path: Path) -> Entry:
    title = f"the kubeconfig {shown(path)}"
    try:
        data = read_input(path, _LIMIT)
    except FileError as error:
        failure = SinkError(error.summary, error.detail, "Correct KUBECONFIG, or the file.")
    else:
        try:
            document = yaml.load(data, Loader=_LOADER)  # noqa: S506  # safe, as said where it is chosen
        except _UNREADABLE:  # what they say may quote the file
            document = ()
        if document is None or isinstance(document, dict):
            return Entry(title, path.parent, document or {}, (str(path),))
        failure = Entry(title, path.parent, {}).wrong("It is not a mapping in YAML. It is not shown.")
    raise failure


def _entries(whole: Entry, kind: str) -> Iterator[tuple[tuple[str, str], Entry]]:
    listed = whole.fields.get(f"{kind}s") or []
    if not isinstance(listed, list):
        raise whole.wrong(f"`{kind}s` is not a list.")
    seen = set()
    for item in listed:
        name, fields = (item.get("name"), item.get(kind)) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(fields, dict | None) or name in seen:
            raise whole.wrong(
                f"An entry of `{kind}s` is not a `name` of its own with a mapping `{kind}` beside it."
            )
        seen.add(name)
        title = f"the {kind} {quote(name, 80)} of {whole.title}"
        yield (kind, name), Entry(title, whole.folder, fields or {}, (*whole.identity, kind, name))
