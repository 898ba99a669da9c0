"""One Secret in a cluster: looked at, made, applied and deleted, and never taken from anybody else."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.model import Address
from provisioner.sinks.http import Answer
from provisioner.sinks.kubernetes_object import ANNOTATION, LABEL, MANAGER, is_ours, mark
from provisioner.sinks.kubernetes_session import Session, status_of
from provisioner.text import quote

_APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
_DRY: Final = "&dryRun=All"
_CONFLICT: Final = "FieldManagerConflict"
_MANAGER_NAMED: Final = re.compile(r'conflict with "([^"\\]{1,80})"')


@dataclass(frozen=True, slots=True)
class Version:
    """A Secret as it was found: which one (`uid`), and in which state of it."""

    uid: str
    resource_version: str
    ours: bool
    leaving: bool

    @property
    def metadata(self) -> dict[str, str]:
        """What a request must find unchanged."""
        return {"uid": self.uid, "resourceVersion": self.resource_version}


@dataclass(frozen=True, slots=True)
class ClusterSecret:
    """One Secret. `shown` is what it is called in messages, `kubectl` what is typed before a verb there."""

    session: Session
    namespace: str
    name: str
    address: Address
    shown: str
    kubectl: str

    def put(self, data: Mapping[str, str]) -> bool:
        """Have it hold `data`; False where somebody else changed it meanwhile."""
        found = self._ours() or self._made(self._make())
        return found is not None and self._applied(self._apply(data, found), data, found)

    def would_put(self, data: Mapping[str, str]) -> bool:
        """Have the server do all that it does with `data`, but for the change; False as with `put`."""
        found = self._ours()
        answer = self._make(_DRY) if found is None else self._apply(data, found, _DRY)
        if answer.status == 400 and status_of(answer):  # so it says where a webhook knows no dry run
            return True
        if found is None:
            return self._made(answer) is not None
        return self._applied(answer, data, found)

    def found(self) -> Version | None:
        """It as it is now; None where it is not there."""
        answer = self.session.call("GET", self._path)
        if status_of(answer).get("reason") == "NotFound" and answer.status == 404:
            return None
        return self._version(answer, 200, f"look at {self.shown}")

    def delete(self, found: Version) -> bool:
        """Delete it; False where it is not as it was found."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": found.metadata}
        answer = self.session.call("DELETE", self._path, options)
        if answer.status in (404, 409) and status_of(answer):
            return False
        document = answer.json()
        if answer.status not in (200, 202) or not isinstance(document, dict):
            raise self.session.refusal(answer, f"delete {self.shown}", silent=True)
        metadata = document.get("metadata")
        finalizers = metadata.get("finalizers") if isinstance(metadata, dict) else None
        if finalizers:
            raise SinkError(
                f"{self.shown} is not gone yet",
                f"It is to be deleted, and its finalizers hold it: {quote(str(finalizers), 200)}.",
                "Have them removed by what they belong to; then run this again.",
            )
        return True

    def _ours(self) -> Version | None:
        """It as it is now, fit to be written; None where it is not there."""
        found = self.found()
        if found is not None and not found.ours:
            raise self._foreign()
        if found is not None and found.leaving:
            raise SinkError(
                f"{self.shown} is being deleted",
                "Its finalizers hold it; what is written now would go with it.",
                "Wait until it is gone, or have its finalizers removed; then run this again.",
            )
        return found

    def _make(self, dry: str = "") -> Answer:
        """Ask for it with our mark and nothing in it.

        Applying would make it, too, but would also add the pair to one that somebody else makes meanwhile.
        """
        path = f"{self._collection}?fieldManager={MANAGER}{dry}"
        return self.session.call("POST", path, self._document({}))

    def _made(self, answer: Answer) -> Version | None:
        """What was made; None where somebody else was first."""
        if answer.status == 409 and status_of(answer).get("reason") == "AlreadyExists":
            return None
        return self._version(answer, 201, f"make {self.shown}")

    def _apply(self, data: Mapping[str, str], found: Version, dry: str = "") -> Answer:
        """Ask for `data`, where it is still as it was found."""
        path = f"{self._path}?fieldManager={MANAGER}&force=false{dry}"
        return self.session.call("PATCH", path, self._document(found.metadata, data), _APPLY)

    def _applied(self, answer: Answer, data: Mapping[str, str], found: Version) -> bool:
        """False where it was not as it was found."""
        status = status_of(answer)
        if answer.status in (404, 409) and status:
            managers = _managers(status, data)
            if managers is None:
                return False
            raise self._conflict(managers)
        doing = f"write {self.shown}"
        if self._version(answer, 200, doing, silent=True).uid != found.uid:
            raise self.session.refusal(answer, doing, silent=True)
        return True

    def _version(self, answer: Answer, status: int, doing: str, *, silent: bool = False) -> Version:
        """What an answer of that status is about; SinkError for any other."""
        document = answer.json()
        metadata = document.get("metadata") if isinstance(document, dict) else None
        if answer.status == status and isinstance(metadata, dict) and metadata.get("name") == self.name:
            uid, version = metadata.get("uid"), metadata.get("resourceVersion", "")
            if isinstance(uid, str) and isinstance(version, str) and uid and (version or status == 201):
                ours = is_ours(metadata, self.address)
                return Version(uid, version, ours, bool(metadata.get("deletionTimestamp")))
        raise self.session.refusal(answer, doing, silent=silent)

    def _document(self, metadata: Mapping[str, str], data: Mapping[str, str] | None = None) -> dict[str, Any]:
        identity = {"name": self.name, "namespace": self.namespace}
        whole = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**identity, **metadata, **mark(self.address)},
            "type": "Opaque",
        }
        return whole if data is None else {**whole, "data": data}

    def _conflict(self, managers: list[str]) -> SinkError:
        names = ", ".join(quote(name, 40) for name in managers[:5]) or "another field manager"
        return SinkError(
            f"{self.shown} was changed by somebody else",
            f"It bears our mark, but what is to be written was set by {names}. Nothing of it was changed.",
            f"Have that leave it alone; type: {self.kubectl} delete secret {self.name}; and run this again.",
        )

    def _foreign(self) -> SinkError:
        take = "; ".join(
            f"{self.kubectl} {verb} secret {self.name} {part} --overwrite"
            for verb, part in (
                ("label", f"{LABEL}={MANAGER}"),
                ("annotate", f"{ANNOTATION}={self.address}"),
            )
        )
        return SinkError(
            f"{self.shown} is not ours to write",
            f"It exists, and its label and annotation do not say that it is for {self.address}. Nothing of it"
            " was changed.",
            f"Give the sink another `name`. If it is to be taken over: {take}",
        )

    @property
    def _collection(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets"

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self.name}"


def _managers(status: Mapping[str, Any], data: Mapping[str, str]) -> list[str] | None:
    """Who else set what is to be written; None where it is not that which was in the way."""
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    said = [
        str(cause.get("message"))
        for cause in causes or []
        if isinstance(cause, dict) and cause.get("reason") == _CONFLICT
    ]
    hidden = [*data.values(), *(b64decode(value).decode("ascii") for value in data.values())]
    found = (match[1] for match in map(_MANAGER_NAMED.match, said) if match)
    names = {name for name in found if not any(value in name for value in hidden)}
    return sorted(names) if said else None
