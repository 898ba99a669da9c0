"""One secret of KV version 2, as Vault and OpenBao keep it, and the mark that makes it ours."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.model import Address
from provisioner.sinks.http import Answer
from provisioner.sinks.vault_session import Session, encoded, part, refusal
from provisioner.text import quote

# What a delivery takes, now and after a rotation, below data/ and metadata/.
_NEEDED: Final = {"data": ("create", "read", "update"), "metadata": ("create", "read")}


@dataclass(frozen=True, slots=True)
class KeyValueSecret:
    """One secret: its data in versions, and beside them metadata, which hold the mark."""

    session: Session
    mount: str
    path: str
    address: Address
    shown: str

    @property
    def owner(self) -> dict[str, str]:
        """The mark."""
        return {"managed_by": "provisioner", "oauth_app": str(self.address)}

    def is_ours(self, metadata: Mapping[str, Any]) -> bool:
        """Whether the mark is among the custom metadata."""
        custom = metadata.get("custom_metadata")
        return isinstance(custom, dict) and self.owner.items() <= custom.items()

    def foreign(self, why: str) -> SinkError:
        """That it is somebody else's."""
        at = f"-mount={shlex.quote(self.mount)} {shlex.quote(self.path)}"  # both printable, as checked
        mark = " ".join(f"-custom-metadata={name}={value}" for name, value in self.owner.items())
        return SinkError(
            f"{self.shown} is not ours to write",
            f"It exists, and {why}. Nothing of it was changed.",
            f"Give the sink another `path`. If it is to be taken over: bao kv metadata patch {mark} {at}",
        )

    def version(self) -> int | None:
        """The current version, 0 before the first; None where nothing is. SinkError where it is not ours."""
        metadata = self.metadata()
        if metadata is None:
            return None
        if not self.is_ours(metadata):
            raise self.foreign(f"its custom metadata do not say that it is for {self.address}")
        return int(metadata["current_version"])

    def metadata(self) -> dict[str, Any] | None:
        """What is said about it, its version in any case; None where nothing is."""
        doing = f"read the metadata of {self.shown}"
        answer = self.session.call("GET", self._at("metadata"))
        if _is_absent(answer):
            return None
        metadata = part(answer, "data", doing)
        if not isinstance(metadata.get("current_version"), int):
            raise refusal(answer, doing)
        return metadata

    def content(self) -> Any:
        """The pair in the current version, or None where there is none or it was deleted."""
        answer = self.session.call("GET", self._at("data"))
        return None if _is_absent(answer) else part(answer, "data", f"read {self.shown}").get("data")

    def write(self, pair: Mapping[str, str], version: int) -> bool:
        """Make a new version on top of `version`; False where another one was there first."""
        document = {"options": {"cas": version}, "data": pair}
        answer = self.session.call("POST", self._at("data"), document)
        metadata = self.metadata() if answer.status == 400 else None
        if metadata is not None and metadata["current_version"] != version:
            return False
        return bool(part(answer, "data", f"write {self.shown}"))

    def mark(self, custom: Mapping[str, str]) -> None:
        """Set the custom metadata, which makes the secret where there is none."""
        self._done("POST", f"mark {self.shown} as ours", {"custom_metadata": custom})

    def delete(self) -> None:
        """Delete every version and the metadata."""
        self._done("DELETE", f"delete {self.shown}")

    def require_version_2(self) -> None:
        """SinkError where the mount is something other than KV version 2."""
        path = f"sys/internal/ui/mounts/{encoded(self.mount, 'mount')}"
        mount = self.session.data(f"find the mount {quote(self.mount, 80)}", "GET", path)
        options = mount.get("options")
        version = options.get("version") if isinstance(options, dict) else None
        if (mount.get("path"), mount.get("type"), version) != (f"{self.mount}/", "kv", "2"):
            raise SinkError(
                f"{quote(self.mount, 80)} is not a mount of KV version 2",
                "Only version 2 has versions, check-and-set, and metadata to mark a secret with.",
                "Correct `mount` of the sink: it is the whole path of a mount. `bao kv enable-versioning`"
                " upgrades one of version 1.",
            )

    def require_capabilities(self) -> None:
        """SinkError where the token's policies do not allow all that a delivery does."""
        needed = {f"{self.mount}/{kind}/{self.path}": names for kind, names in _NEEDED.items()}
        found = self.session.data(
            "ask what the token may do", "POST", "sys/capabilities-self", {"paths": list(needed)}
        )
        for path, names in needed.items():
            held = found.get(path)
            missing = [name for name in names if not isinstance(held, list) or name not in held]
            if missing and held != ["root"]:
                raise SinkError(
                    f"The token may not {' or '.join(missing)} {quote(path, 200)}",
                    f"A delivery takes {', '.join(names)} there.",
                    "Have a policy of the token's allow it; the page on this sink has one to copy.",
                )

    def _done(self, method: str, doing: str, document: Any = None) -> None:
        answer = self.session.call(method, self._at("metadata"), document)
        if answer.status not in (200, 204):
            raise refusal(answer, doing)

    def _at(self, kind: str) -> str:
        return f"{encoded(self.mount, 'mount')}/{kind}/{encoded(self.path, 'path')}"


def _is_absent(answer: Answer) -> bool:
    """Whether the secret is not there, or its version deleted: another kind of 404 has errors, or no JSON."""
    document = answer.json() if answer.status == 404 else None
    return isinstance(document, dict) and (document.get("errors") == [] or "data" in document)
