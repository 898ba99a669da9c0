"""What must not be committed: secrets in clear, and a state that is not sealed. It shows none of them."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from itertools import chain
from typing import Any

from provisioner.frozen import dataclass
from provisioner.journal import frames

LIMIT = 16 * 1024 * 1024  # of what is read as one document; records and journal entries are smaller
_ARMOR = re.compile(
    r"-----BEGIN AGE ENCRYPTED FILE-----\n((?:[A-Za-z0-9+/=]{1,64}\n)+)-----END AGE ENCRYPTED FILE-----\n?"
)
_AGE_HEAD = b"age-encryption.org/v1\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of finding, and what is to be done about it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Where a file holds what it must not."""

    line: int
    kind: Kind


_KNOWN = "If it was ever committed, it is known for good:"
IDENTITY = Kind(
    "a private key of age",
    f"{_KNOWN} make a new one, let `provisioner secret rekey` seal to it, and `provisioner rotate` the apps.",
)
PRIVATE_KEY = Kind("a private key", f"{_KNOWN} make a new one, and revoke this wherever it is trusted.")
API_KEY = Kind("a key of the API", f"{_KNOWN} revoke it where it was made, and make a new one.")
CLIENT_SECRET = Kind("a client secret", f"{_KNOWN} `provisioner rotate` the app that it belongs to.")
UNSEALED = Kind(
    "a record or a journal entry whose secret is not sealed",
    f"{_KNOWN} `provisioner rotate` the app of the record.",
)

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_AGE_KEY = re.compile(rb"(?i)AGE-SECRET-KEY-(?:PQ-)?1[02-9AC-HJ-NP-Z]{58}")
# Documentation and tests speak of the head alone; a key has a body, in JSON after an escaped line break.
_PEM = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:[\s>#*]|\\[nr]){0,80}"
    rb"(?:[A-Za-z0-9+/=]{40}|[A-Z][A-Za-z-]{2,30}: )"
)
_SANDBOX_KEY = re.compile(rb"sandbox_key_[A-Za-z0-9_-]{20,}")
_SANDBOX_SECRET = re.compile(rb"sandbox_secret_[A-Za-z0-9_-]{20,}")
_ASSIGNED = re.compile(
    rb"(?i)client[_-]?secret[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?"
    rb"([A-Za-z0-9_\-+/=.~]{16,4096})(?=[\"'\s,}]|$)"
)
_TOKEN = re.compile(  # a real one has no form of its own, so it is known by its name alone
    rb"(?i)METEROID_API_KEY[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?([A-Za-z0-9_\-+/=.~]{16,4096})(?=[\"'\s,}]|$)"
)
_NAMES_A_SECRET = re.compile(rb"(?i)secret|password|passwd|token|credential|api_?key")


def findings(data: bytes, lines_before: int = 0) -> set[Finding]:
    """What is wrong with a file's bytes, or with a piece of them that stands after so many lines."""
    text = _as_bytes(data)
    found = chain(_by_form(text), _unsealed(text) if len(text) <= LIMIT else ())
    return {Finding(lines_before + text.count(b"\n", 0, offset) + 1, kind) for offset, kind in found}


def delivered(data: bytes) -> Finding | None:
    """What a pair that was written by a sink is, unless nothing in it is named like a secret."""
    match = _NAMES_A_SECRET.search(data)
    return Finding(data.count(b"\n", 0, match.start()) + 1, CLIENT_SECRET) if match else None


def _as_bytes(data: bytes) -> bytes:
    """UTF-16 as UTF-8: what PowerShell's `>` writes is as readable as the rest."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data


def _by_form(data: bytes) -> Iterator[tuple[int, Kind]]:
    """Each pattern only where a literal part of it is: most files have none, and that is told fast."""
    if b"-KEY-" in data or b"-key-" in data:
        yield from ((match.start(), IDENTITY) for match in _AGE_KEY.finditer(data) if _is_bech32(match[0]))
    if b"PRIVATE KEY" in data:
        yield from ((match.start(), PRIVATE_KEY) for match in _PEM.finditer(data))
    if b"sandbox_" in data:
        yield from ((match.start(), API_KEY) for match in _SANDBOX_KEY.finditer(data))
        yield from ((match.start(), CLIENT_SECRET) for match in _SANDBOX_SECRET.finditer(data))
    if b"METEROID" in data or b"meteroid" in data:
        yield from ((match.start(), API_KEY) for match in _TOKEN.finditer(data) if _random(match[1]))
    if b"ecret" in data or b"ECRET" in data:
        yield from ((match.start(), CLIENT_SECRET) for match in _ASSIGNED.finditer(data) if _random(match[1]))


def _random(value: bytes) -> bool:
    """A name or a path in a program's text has no digits, as a rule; a secret of 16 characters has."""
    return any(48 <= byte <= 57 for byte in value) and len(set(value)) >= 8


def _is_bech32(key: bytes) -> bool:
    """Whether the checksum fits (BIP 173): a made-up example opens nothing."""
    text = key.decode("ascii").lower()
    human, _, data = text.rpartition("1")
    letters = [ord(letter) for letter in human]
    values = [*(code >> 5 for code in letters), 0, *(code & 31 for code in letters)]
    check = 1
    for value in chain(values, map(_BECH32.index, data)):
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            check ^= generator if top >> bit & 1 else 0
    return check == 1


def _unsealed(data: bytes) -> Iterator[tuple[int, Kind]]:
    """Records and journal entries, told by their form and not by their names."""
    if b'"object"' in data and b'"secret"' in data:
        record = _json(data)
        if isinstance(record, dict) and _is_open(record.get("secret")) and "object" in record:
            yield max(data.find(b'"sealed"'), 0), UNSEALED
    for payload in frames(data):
        step = _json(payload)
        if isinstance(step, dict) and _is_open(step.get("answer")):
            yield 0, UNSEALED


def _is_open(part: Any) -> bool:
    return isinstance(part, dict) and not is_sealed(part.get("sealed"))


def is_sealed(text: Any) -> bool:
    """Whether it is an armored age file, by its form: without a key nobody can tell more."""
    match = _ARMOR.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return False
    try:
        return b64decode(match[1].replace("\n", ""), validate=True).startswith(_AGE_HEAD)
    except binascii.Error:
        return False


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
