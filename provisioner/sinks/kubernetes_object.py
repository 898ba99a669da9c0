"""A Secret as Kubernetes takes it: its name, the mark that makes it ours, and the pair in base64."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from provisioner.delivery import Credentials, Target
from provisioner.errors import SinkError
from provisioner.model import Address, Secret
from provisioner.sinks.formats import named, render
from provisioner.text import quote

LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "provisioner"
ANNOTATION: Final = "provisioner/oauth-app"
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"  # RFC 1123 §2.1, in lower case
_NAMESPACE: Final = re.compile(_LABEL)
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


def where(target: Target) -> tuple[str, str]:
    """The namespace and the name of this app's Secret. SinkError where they are no names."""
    namespace, name = target.options["namespace"], target.options["name"]
    for option, value, form in (("namespace", namespace, _NAMESPACE), ("name", name, _NAME)):
        if not form.fullmatch(value):
            raise SinkError(
                f"`{option}` is not a name in Kubernetes: {quote(value, 80)}",
                f"It is what {target.address} gets there. A name is a to z, 0 to 9 and -, with a letter or"
                " digit at both ends; that of a Secret may have dots.",
                f"Correct `{option}` of the sink.",
            )
    return namespace, name


def mark(address: Address) -> dict[str, dict[str, str]]:
    """The metadata that say whose it is."""
    return {"labels": {LABEL: MANAGER}, "annotations": {ANNOTATION: str(address)}}


def is_ours(metadata: Mapping[str, Any], address: Address) -> bool:
    """Whether a Secret's metadata bear the mark."""
    for part, wanted in mark(address).items():
        found = metadata.get(part)
        if not isinstance(found, dict) or not wanted.items() <= found.items():
            return False
    return True


def encoded(target: Target, credentials: Credentials) -> dict[str, str]:
    """The pair under the names that this target wants, in base64: `data` of a Secret."""
    pair = json.loads(render("json", named(target, credentials)).reveal())
    return {name: b64encode(value.encode("ascii")).decode("ascii") for name, value in pair.items()}


def trial(target: Target) -> Credentials:
    """What can be delivered in place of a secret, to see whether one could be."""
    return Credentials(target.address, "probe", Secret(b"probe"))
