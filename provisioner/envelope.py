"""What is sealed: one line that says which request was answered, then the answer's body as it came."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import Any

from provisioner.errors import SealingError
from provisioner.frozen import dataclass
from provisioner.model import Secret

_VERSION = 1
_KINDS = ("create", "rotate")


@dataclass(frozen=True, slots=True)
class Label:
    """Which request a sealed body answered; it is sealed too, so a body cannot pass for another's."""

    operation: str
    kind: str  # "create" or "rotate"
    app_id: str | None  # known beforehand for a rotate, read from the answer for a create


def pack(label: Label, body: Secret) -> Secret:
    """The bytes to seal."""
    head = json.dumps({"provisioner": _VERSION, **asdict(label)}, sort_keys=True)
    return Secret(head.encode("ascii") + b"\n" + body.reveal())


def unpack(opened: Secret) -> tuple[Label, Secret]:
    """The other way; raises SealingError where it is none of ours."""
    head, newline, body = opened.reveal().partition(b"\n")
    fields = _fields(head)
    version = fields.pop("provisioner", None)
    if isinstance(version, int) and version > _VERSION:
        raise SealingError("What was sealed is of a form that this version does not know")
    if not newline or type(version) is not int or version != _VERSION or not _is_label(fields):
        raise SealingError("What was sealed is not of this tool's form")
    return Label(**fields), Secret(body)


def _fields(head: bytes) -> dict[str, Any]:
    """The head's fields, none where it is no JSON object; json's own error would hold the head."""
    with contextlib.suppress(ValueError, RecursionError):
        fields = json.loads(head.decode("ascii"))
        if isinstance(fields, dict):
            return fields
    return {}


def _is_label(fields: dict[str, Any]) -> bool:
    """Anybody can seal to a public key, so what was sealed is not to be trusted."""
    return (
        fields.keys() == set(Label.__match_args__)
        and isinstance(fields["operation"], str)
        and fields["kind"] in _KINDS
        and isinstance(fields["app_id"], str | None)
    )
