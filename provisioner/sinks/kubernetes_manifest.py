"""The YAML of a Secret in a file, in clear, for somebody else to apply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from provisioner.delivery import Credentials, Target
from provisioner.frozen import dataclass
from provisioner.model import Address
from provisioner.sinks.kubernetes_object import ANNOTATION, LABEL, MANAGER, encoded, trial, where
from provisioner.sinks.places import Ours, Place
from provisioner.sinks.worktree import require_ignored
from provisioner.text import quote

_TEXT = r'"[A-Za-z0-9_.+/=-]+"'
_FORM = rf"""apiVersion: v1
kind: Secret
metadata:
  name: {_TEXT}
  namespace: {_TEXT}
  labels:
    {re.escape(LABEL)}: {_TEXT}
  annotations:
    {re.escape(ANNOTATION)}: ADDRESS
type: Opaque
data:
(?:  {_TEXT}: {_TEXT}
){{2}}"""


@dataclass(frozen=True, slots=True, repr=False)
class ManifestSink:
    """One file an app."""

    environment: Mapping[str, str]

    def place(self, target: Target) -> str:
        """Where it is, as the manifest has it."""
        return f"kubernetes manifest {quote(target.options['manifest'], 200)}"

    def probe(self, target: Target) -> None:
        """The names, the path, what is there already, and git."""
        _content(target, trial(target))
        self._checked(target)

    def deliver(self, target: Target, credentials: Credentials) -> None:
        """Write it, whole or not at all."""
        content = _content(target, credentials)
        self._checked(target).write(content)

    def remove(self, target: Target) -> None:
        """Take it away where it is still as it was delivered, and this app's."""
        owner = f"{ANNOTATION}: {json.dumps(str(target.owner))}"
        _place(target).remove(_form(target.owner), owner.encode("ascii"))

    def _checked(self, target: Target) -> Place:
        place = _place(target)
        place.check(_form(None), private=True)
        require_ignored(place, self.environment)
        return place


def _place(target: Target) -> Place:
    return Place.of(target.sink.folder, target.options["manifest"])


def _form(address: Address | None) -> Ours:
    """Whether a file is one that was delivered: for that app, or for any."""
    owner = _TEXT if address is None else re.escape(json.dumps(str(address)))
    form = re.compile(_FORM.replace("ADDRESS", owner).encode("ascii"))
    return lambda content: form.fullmatch(content) is not None


def _content(target: Target, credentials: Credentials) -> bytes:
    """JSON strings of printable ASCII are double-quoted scalars (YAML 1.2 §7.3.1)."""
    namespace, name = where(target)
    data = encoded(target, credentials)
    lines = [
        "apiVersion: v1",
        "kind: Secret",
        "metadata:",
        f"  name: {json.dumps(name)}",
        f"  namespace: {json.dumps(namespace)}",
        "  labels:",
        f"    {LABEL}: {json.dumps(MANAGER)}",
        "  annotations:",
        f"    {ANNOTATION}: {json.dumps(str(target.owner))}",
        "type: Opaque",
        "data:",
        *(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in data.items()),
        "",
    ]
    return "\n".join(lines).encode("ascii")
