"""Apps as a manifest that imports them. Whatever stands in a name, it is text to YAML and to a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count
from types import MappingProxyType

from provisioner.model import Address, App
from provisioner.text import BLANK

# Beside the manifest, so that the line works wherever the folder is cloned to, without the network.
SCHEMA_FILE = "provisioner.schema.json"
SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"

_LONGEST_KEY = 63  # as model.KEY has it
_NOT_OF_A_KEY = re.compile(r"[^a-z0-9_]+")
_NAMELESS = "app"

# ASCII that every YAML parser reads as itself, in a block and in brackets; everything else is quoted.
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./?=&%~+@()-]|:(?=[A-Za-z0-9/])| (?=[A-Za-z0-9(]))*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # YAML 1.1's own

_NONE_DECLARED: Mapping[str, Address] = MappingProxyType({})


def manifest_text(
    apps: Iterable[App], taken: Iterable[Address] = (), declared: Mapping[str, Address] = _NONE_DECLARED
) -> str:
    """A whole manifest of `apps` as they are, each with its import, eldest first; ends in a newline.

    Its first line tells editors where its schema is.
    No key of it is one of `taken`. `declared` has, by id, addresses that the present manifest holds for
    some of the apps: these are imported, not declared again.
    """
    ordered = sorted(apps, key=_age)
    new = [app for app in ordered if app.id not in declared]
    keys = _keys([app.name for app in new], {address.key for address in taken})
    addresses = {**declared, **{app.id: Address(key) for app, key in zip(new, keys, strict=True)}}
    lines = [SCHEMA_LINE, "version: 1", "apps:" if new else "apps: {}"]
    for app in new:
        lines += _declaration(addresses[app.id].key, app)
    lines += ["import:"] if ordered else []
    lines += [f"  - {{to: {_scalar(addresses[app.id].key)}, id: {_scalar(app.id)}}}" for app in ordered]
    return "\n".join(lines) + "\n"


def _age(app: App) -> tuple[datetime, str]:
    return datetime.fromisoformat(app.created_at.upper()), app.id


def _declaration(key: str, app: App) -> Iterator[str]:
    if not app.is_active:
        yield "  # inactive"
    yield f"  {_scalar(key)}:"
    yield f"    name: {_scalar(app.name)}"
    yield from _list("redirect_uris", app.redirect_uris)
    yield from _list("scopes", app.scopes)


def _list(name: str, values: tuple[str, ...]) -> Iterator[str]:
    yield f"    {name}:" if values else f"    {name}: []"
    yield from (f"      - {_scalar(value)}" for value in values)


def _keys(names: Iterable[str], used: set[str]) -> list[str]:
    """A key for each name, none of them used."""
    keys: list[str] = []
    used, ways = {*used}, dict[str, Iterator[str]]()
    for name in names:
        base = _key_of(name)
        numbered = ways.setdefault(base, _numbered(base))
        keys.append(next(key for key in numbered if key not in used))
        used.add(keys[-1])
    return keys


def _key_of(name: str) -> str:
    """`cafe-no-1` for `Café No. 1`: what is left of a letter without its accents, and dashes between."""
    parts = unicodedata.normalize("NFD", name.casefold())
    letters = "".join(char for char in parts if not unicodedata.combining(char))
    return _NOT_OF_A_KEY.sub("-", letters).strip("-_")[:_LONGEST_KEY].rstrip("-_") or _NAMELESS


def _numbered(key: str) -> Iterator[str]:
    yield key
    for number in count(2):
        ending = f"-{number}"
        yield key[: _LONGEST_KEY - len(ending)].rstrip("-_") + ending


def _scalar(text: str) -> str:
    """`text` as YAML, in which the manifest's loader finds no variable to fill in. Plain only where safe."""
    text = text.replace("${", "$${")
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(char: str) -> str:
    """One character between double quotes (YAML §5.7): what is invisible or acts on terminals is escaped.

    JSON's pairs of surrogates would not do: YAML writes a character beyond U+FFFF in one escape.
    """
    if char in '"\\':
        return "\\" + char
    if char.isprintable() and not BLANK.match(char):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
