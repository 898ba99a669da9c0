"""GitHub Actions: each app's pair as two secrets of a repository, or of one of its environments."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as percent_encoded

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.sinks.formats import named, render
from provisioner.sinks.github_session import Session, refusal
from provisioner.sinks.http import Answer
from provisioner.text import quote

if TYPE_CHECKING:
    from nacl.public import PublicKey, SealedBox

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_-]{1,100}/(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")
_NAME: Final = re.compile(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*")
_KEY_ID: Final = re.compile(r"[!-~]{1,100}")


def sink(declared: DeclaredSink, environment: Mapping[str, str]) -> GithubActionsSink:
    """A sink that is reached as GITHUB_API_URL says, with the token in GITHUB_TOKEN or GH_TOKEN."""
    return GithubActionsSink(declared, Session(environment))


@dataclass(frozen=True, slots=True)
class SealingKey:
    """What values for one repository or environment are sealed to."""

    id: str
    box: SealedBox[PublicKey]

    def seal(self, value: str) -> dict[str, str]:
        """`value` in a libsodium sealed box, as GitHub wants it."""
        sealed = self.box.encrypt(value.encode("ascii"))
        return {"encrypted_value": b64encode(sealed).decode("ascii"), "key_id": self.id}


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one repository, or of one of its environments."""

    session: Session
    path: str
    shown: str
    permission: str

    def public_key(self) -> SealingKey:
        """The key that GitHub opens with its other half."""
        doing = f"get the public key of {self.shown}"
        answer = self.session.call("GET", f"{self.path}/public-key")
        document = self._document(answer, doing)
        key_id, box = document.get("key_id"), _sealed_box(document.get("key"))
        if box is None or not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            raise self._refusal(answer, doing)
        return SealingKey(key_id, box)

    def look(self) -> None:
        """SinkError where the token may not read the list of secrets."""
        doing = f"list the secrets of {self.shown}"
        answer = self.session.call("GET", f"{self.path}?per_page=1")
        if "secrets" not in self._document(answer, doing):
            raise self._refusal(answer, doing)

    def put(self, name: str, document: Mapping[str, str]) -> None:
        """Make the secret, or write over it."""
        answer = self.session.call("PUT", f"{self.path}/{name}", document)
        if answer.status not in (201, 204):
            raise self._refusal(answer, f"write the secret {name} of {self.shown}")

    def delete(self, name: str) -> bool:
        """Whether it was there. Where it was not, neither may the place be, for this token."""
        answer = self.session.call("DELETE", f"{self.path}/{name}")
        if answer.status not in (204, 404):
            raise self._refusal(answer, f"delete the secret {name} of {self.shown}")
        return answer.status == 204

    def _document(self, answer: Answer, doing: str) -> dict[str, Any]:
        document = answer.json()
        if answer.status != 200 or not isinstance(document, dict):
            raise self._refusal(answer, doing)
        return document

    def _refusal(self, answer: Answer, doing: str) -> SinkError:
        return refusal(answer, doing, self.permission)


@dataclass(frozen=True, slots=True)
class GithubActionsSink:
    """Writes over what has the names that the manifest gives: a secret bears no mark, and cannot be read."""

    declared: DeclaredSink
    session: Session
    _guard: Lock = field(default_factory=Lock, repr=False)
    _keys: dict[str, SealingKey] = field(default_factory=dict, repr=False)

    def place(self, target: Target) -> str:
        """The names of the two secrets, and where they are."""
        client_id, client_secret = target.names
        return f"secrets {quote(client_id, 80)} and {quote(client_secret, 80)} of {_shown(target.options)}"

    def probe(self, target: Target) -> None:
        """The public key is to be had and fits, and the token may list the secrets there.

        Whether it may write them GitHub does not tell beforehand.
        """
        _check_names(target)
        secrets = _secrets(self.session, target.options)
        self._key(secrets)
        secrets.look()

    def deliver(self, target: Target, credentials: Credentials) -> None:
        """Write both secrets, in place of any that are there."""
        _check_names(target)
        secrets = _secrets(self.session, target.options)
        pair: dict[str, str] = json.loads(render("json", named(target, credentials)).reveal())
        key = self._key(secrets)
        sealed = {name: key.seal(value) for name, value in pair.items()}
        for name, document in sealed.items():
            secrets.put(name, document)

    def remove(self, target: Target) -> None:
        """Delete both secrets."""
        _check_names(target)
        secrets = _secrets(self.session, target.options)
        were_there = [secrets.delete(name) for name in reversed(target.names)]
        if not all(were_there):
            secrets.look()  # that it is gone is believed of a place that can be seen

    def _key(self, secrets: Secrets) -> SealingKey:
        with self._guard:
            if secrets.path not in self._keys:
                self._keys[secrets.path] = secrets.public_key()
            return self._keys[secrets.path]


def _secrets(session: Session, options: Mapping[str, Any]) -> Secrets:
    repository, environment = options["repository"], options["environment"]
    if not _REPOSITORY.fullmatch(repository):
        raise SinkError(
            f"Not a repository on GitHub: {quote(repository, 80)}",
            "It is owner/name, of letters, digits, -, _ and, in the name, dots.",
            "Correct `repository` of the sink.",
        )
    if not environment:
        return Secrets(
            session, f"/repos/{repository}/actions/secrets", _shown(options), _permission("Secrets")
        )
    if environment.strip() in ("", ".", "..") or not environment.isprintable():
        raise SinkError(
            f"Not an environment on GitHub: {quote(environment, 80)}",
            "Its name is not blank, `.` or `..`, and nothing in it is invisible.",
            "Correct `environment` of the sink.",
        )
    path = f"/repos/{repository}/environments/{percent_encoded(environment, safe='')}/secrets"
    return Secrets(session, path, _shown(options), _permission("Environments"))


def _shown(options: Mapping[str, Any]) -> str:
    environment = options["environment"]
    inside = f" in its environment {quote(environment, 80)}" if environment else ""
    return f"the repository {quote(options['repository'], 120)}{inside}"


def _permission(name: str) -> str:
    return (
        f"A fine-grained token needs the repository permission `{name}: write`, a classic one the scope"
        " `repo`; whoever it belongs to needs write access to the repository."
    )


def _check_names(target: Target) -> None:
    for name in target.names:
        if not _NAME.fullmatch(name):
            raise SinkError(
                f"Not a name for a secret on GitHub: {quote(name, 80)}",
                "It is A to Z, 0 to 9 and _, and starts with no digit, nor with GITHUB_.",
                "Change `prefix` or `keys` of the sink: {KEY} is the app's key in capitals.",
            )


def _sealed_box(key: object) -> SealedBox[PublicKey] | None:
    """Seals to a public key in base64 (X25519, RFC 7748); None where `key` is not one."""
    try:
        from nacl.exceptions import CryptoError  # noqa: PLC0415  # an extra, and only this sink needs it
        from nacl.public import PublicKey, SealedBox  # noqa: PLC0415  # as above
    except ImportError:
        raise SinkError(
            "PyNaCl is not installed",
            "Secrets for GitHub are sealed with libsodium, which it brings.",
            "Type: pip install pynacl",
        ) from None
    try:
        box = SealedBox(PublicKey(b64decode(key if isinstance(key, str) else "", validate=True)))
        box.encrypt(b"")  # a point of low order is found only now
    except (ValueError, CryptoError):
        return None
    return box
