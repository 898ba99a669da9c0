"""The way to Vault or OpenBao: which server, by whose certificate, and with which token."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path, PurePath
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as percent_encoded

from provisioner.errors import FileError, SinkError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.reading import read_input
from provisioner.sinks.http import Answer, Server, base_url, private_trust
from provisioner.text import quote

if TYPE_CHECKING:
    from ssl import SSLContext

_PEM_LIMIT: Final = 1024 * 1024
_VISIBLE: Final = re.compile(r"[!-~]+")  # what can stand in a header (RFC 9110 §5.5)
_RENEW: Final = 0.9  # of a token's life; then a new one is fetched
_CHECK: Final = "Check VAULT_ADDR, VAULT_CACERT and the network."
_REASONS: Final = {
    400: ("the request was refused as malformed", "Check the sink's options."),
    403: (
        "permission denied: the token is not valid here or has expired, or no policy of it allows this",
        "Check the token and its policies, and the namespace; the page on this sink has a policy to copy.",
    ),
    404: (
        "there is nothing at that path",
        "Check `mount`, `approle_mount` and `namespace` of the sink, and VAULT_NAMESPACE.",
    ),
    429: ("it is asked too often", "Run it again in a while."),
    503: ("it is sealed, starting, or has no active node", "Unseal it, or wait for it; then run it again."),
}
_REDIRECTS: Final = (
    "it redirects elsewhere, and a token does not follow",
    "Set VAULT_ADDR to the active node, with https:// where it is one.",
)
_ELSE: Final = ("that is not what Vault or OpenBao answer here", "Check VAULT_ADDR, and the server's log.")


@dataclass(frozen=True, slots=True)
class Session:
    """One server, one namespace, one token."""

    server: Server
    namespace: str
    token: Secret | None = None

    def call(self, method: str, path: str, document: Any = None) -> Answer:
        """Ask for `/v1/<path>`; any status is an answer. Raises NoAnswerError."""
        headers: dict[str, str | Secret] = {"X-Vault-Request": "true"}  # proxies of theirs may insist on it
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        if self.token is not None:
            headers["X-Vault-Token"] = self.token
        return self.server.send(method, f"/v1/{path}", headers, document)

    def data(self, doing: str, method: str, path: str, document: Any = None) -> dict[str, Any]:
        """The `data` of a 200; SinkError for anything else."""
        return part(self.call(method, path, document), "data", doing)


@dataclass(frozen=True, slots=True)
class Logins:
    """Opens sessions as the environment says. A token from AppRole is kept in memory, as long as it lives."""

    environment: Mapping[str, str] = field(repr=False)
    timeout: float = 30.0  # seconds, for each request
    clock: Callable[[], float] = time.monotonic
    _guard: Lock = field(default_factory=Lock, repr=False)
    _tokens: dict[tuple[str, ...], tuple[float, Secret]] = field(default_factory=dict, repr=False)

    def session(self, options: Mapping[str, Any], folder: PurePath) -> Session:
        """A session for a sink with these options; `folder` is what `ca_cert` is relative to."""
        session = Session(self._server(options, folder), self._namespace(options))
        if options["auth"] == "approle":
            token = self._logged_in(session, options["approle_mount"])
        else:
            token = self._credential("TOKEN", "Set it, or let the sink say `auth: approle`.")
        return Session(session.server, session.namespace, token)

    def _server(self, options: Mapping[str, Any], folder: PurePath) -> Server:
        address = self._variable("ADDR")
        if not address:
            raise SinkError(
                "VAULT_ADDR is not set",
                "It says where the token goes, which is not for the manifest to say.",
                "Set VAULT_ADDR (or BAO_ADDR), like https://vault.example.com:8200.",
            )
        url, stated = base_url(address, "VAULT_ADDR"), options["address"]
        if stated and base_url(stated, "`address` of the sink") != url:
            raise SinkError(
                "The manifest names another Vault",
                f"`address` is {quote(stated, 80)}; the token goes to {quote(url, 80)} only.",
                "Remove `address`, or set VAULT_ADDR to the same URL where you trust it.",
            )
        return Server(url, "Vault", _CHECK, self._trust(options["ca_cert"], folder), self.timeout)

    def _trust(self, stated: str, folder: PurePath) -> SSLContext | None:
        named = stated or self._variable("CACERT")
        if not named:
            return None
        path = Path(folder / named if stated else named)
        source = "`ca_cert` of the sink" if stated else "VAULT_CACERT"
        try:
            pem = read_input(path, _PEM_LIMIT)
        except FileError as error:
            failure = SinkError(error.summary, error.detail, f"Correct {source}.")
        else:
            return private_trust(pem, source)
        raise failure

    def _namespace(self, options: Mapping[str, Any]) -> str:
        namespace = (options["namespace"] or self._variable("NAMESPACE")).strip("/")
        if namespace and not _VISIBLE.fullmatch(namespace):
            raise SinkError(
                f"Not a namespace: {quote(namespace, 80)}",
                "A namespace is a path of visible ASCII, like team/payments.",
                "Correct `namespace` of the sink, or VAULT_NAMESPACE.",
            )
        return namespace

    def _logged_in(self, session: Session, mount: str) -> Secret:
        kept = (session.server.url, session.namespace, mount)
        with self._guard:
            until, token = self._tokens.get(kept, (0.0, Secret(b"")))
            now = self.clock()
            if now >= until:
                token, life = self._login(session, mount)
                self._tokens[kept] = (now + life * _RENEW, token)
            return token

    def _login(self, session: Session, mount: str) -> tuple[Secret, float]:
        """A token and how long it lives, in seconds."""
        way_out = "Set VAULT_ROLE_ID and VAULT_SECRET_ID."
        pair = {
            "role_id": self._credential("ROLE_ID", way_out).reveal().decode("ascii"),
            "secret_id": self._credential("SECRET_ID", way_out).reveal().decode("ascii"),
        }
        where = f"auth/{encoded(mount, 'approle_mount')}/login"
        doing = f"log in at {where}"
        answer = session.call("POST", where, pair)
        if answer.status == 400:  # so it says of a wrong pair
            raise SinkError(
                "Vault did not take VAULT_ROLE_ID and VAULT_SECRET_ID",
                "They do not belong together, or the secret id has expired or was used up, or may not be used"
                " from here.",
                "Get a new secret id for the role.",
            )
        auth = part(answer, "auth", doing)
        token, life = auth.get("client_token"), auth.get("lease_duration")
        if not isinstance(token, str) or not _VISIBLE.fullmatch(token) or not isinstance(life, int):
            raise refusal(answer, doing)
        return Secret(token.encode("ascii")), life or float("inf")

    def _credential(self, name: str, way_out: str) -> Secret:
        value = self._variable(name)
        if not value:
            raise SinkError(f"VAULT_{name} is not set", "It is read from the environment alone.", way_out)
        if not _VISIBLE.fullmatch(value):
            raise SinkError(
                f"VAULT_{name} cannot be used",
                "It is visible ASCII, without spaces and line breaks. It is not shown.",
                "Copy it again from where it was made; write it with printf '%s', not echo.",
            )
        return Secret(value.encode("ascii"))

    def _variable(self, name: str) -> str:
        """VAULT_<name>, or BAO_<name>; empty counts as unset."""
        found = {value for prefix in ("VAULT_", "BAO_") if (value := self.environment.get(prefix + name))}
        if len(found) > 1:
            raise SinkError(
                f"VAULT_{name} and BAO_{name} differ",
                "Which of them is meant cannot be told, and a token must not go to the wrong place.",
                "Unset one of them.",
            )
        return next(iter(found), "")


def encoded(path: str, option: str) -> str:
    """`path` for a URL. SinkError where a server would take it for another path."""
    segments = path.split("/")
    if not path.isprintable() or any(segment.strip() in ("", ".", "..") for segment in segments):
        raise SinkError(
            f"`{option}` is not a path in Vault: {quote(path, 80)}",
            "It is names with / between them: none is empty, `.` or `..`, and nothing in it is invisible.",
            f"Correct `{option}` of the sink.",
        )
    return "/".join(percent_encoded(segment, safe="") for segment in segments)


def part(answer: Answer, name: str, doing: str) -> dict[str, Any]:
    """An object in a 200; SinkError where it is not there."""
    document = answer.json()
    found = document.get(name) if isinstance(document, dict) else None
    if answer.status != 200 or not isinstance(found, dict):
        raise refusal(answer, doing)
    return found


def refusal(answer: Answer, doing: str) -> SinkError:
    """What an unwanted answer means, by its status: its text may hold what was sent."""
    reason, hint = _REASONS.get(answer.status, _REDIRECTS if answer.status in range(300, 400) else _ELSE)
    return SinkError(f"Could not {doing}", f"Vault answered {answer.status}: {reason}.", hint)
