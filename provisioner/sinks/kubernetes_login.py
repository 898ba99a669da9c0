"""The way to a cluster: which one, by whose certificate it is trusted, and who logs in with what."""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final

from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.reading import shown
from provisioner.sinks.http import Server, base_url, private_trust, system_trust
from provisioner.sinks.kubernetes_config import Entry, load
from provisioner.sinks.kubernetes_plugin import Credential, Plugin
from provisioner.sinks.kubernetes_session import Session
from provisioner.text import quote

_CHECK: Final = (
    "Check the kubeconfig, its context, and the network; `kubectl version` shows what kubectl reaches."
)
_VISIBLE: Final = re.compile(r"[!-~]+")  # what can stand in a header (RFC 9110 §5.5)
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SLACK: Final = timedelta(minutes=1)  # a credential that ends sooner is fetched anew
_NOT_HERE: Final = {
    "cluster": {
        "insecure-skip-tls-verify": "nothing here turns the check of a certificate off",
        "proxy-url": "a proxy is taken from HTTPS_PROXY alone",
        "tls-server-name": "a server is checked for the name in its address",
    },
    "user": {
        "username": "a name with a password is not a way to log in to Kubernetes any more (since 1.19)",
        "password": "a name with a password is not a way to log in to Kubernetes any more (since 1.19)",
        "auth-provider": "kubectl does not know it any more (since 1.26)",
        "as": "acting as somebody else is not supported",
        "as-uid": "acting as somebody else is not supported",
        "as-groups": "acting as somebody else is not supported",
        "as-user-extra": "acting as somebody else is not supported",
    },
}
_INSTEAD: Final = {
    "cluster": "Give it `certificate-authority-data`, and an address that the server's certificate names.",
    "user": "Give it a token, a client certificate or a plugin (`exec`); a service account has a token.",
}


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens sessions as kubectl does: KUBECONFIG, ~/.kube/config, or the cluster that this runs in.

    Files are read anew each time, as tokens in them are replaced. What a plugin printed is kept in memory
    for as long as it says. `timeout` (seconds) is for each request, and for a run of a plugin.
    """

    environment: Mapping[str, str] = field(repr=False)
    service_account: Path = _SERVICE_ACCOUNT
    timeout: float = 30.0
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _guard: Lock = field(default_factory=Lock, repr=False)
    _kept: dict[tuple[str, ...], Credential] = field(default_factory=dict, repr=False)

    def session(self, context: str) -> Session:
        """A session for a context, by default the current one."""
        config = load(self._files())
        if config is not None:
            cluster, user = config.chosen(context)
            return self._of_kubeconfig(cluster, user)
        if self.environment.get("KUBECONFIG"):
            raise SinkError(
                "There is no kubeconfig",
                f"None of the files of KUBECONFIG is there: {quote(self.environment['KUBECONFIG'], 200)}.",
                "Correct KUBECONFIG, or unset it to have ~/.kube/config used.",
            )
        if context or not self.environment.get("KUBERNETES_SERVICE_HOST"):
            raise SinkError(
                "No cluster is known",
                "KUBECONFIG is not set, and there is no ~/.kube/config"
                + (", where `context` would be." if context else "; nor does this run in a cluster."),
                "Set KUBECONFIG to the path of a kubeconfig.",
            )
        return self._in_cluster()

    def _files(self) -> list[Path]:
        stated, home = self.environment.get("KUBECONFIG"), self.environment.get("HOME")
        if stated:
            return [Path(name) for name in stated.split(os.pathsep) if name]
        return [Path(home, ".kube", "config")] if home else []

    def _of_kubeconfig(self, cluster: Entry, user: Entry | None) -> Session:
        _require_known("cluster", cluster)
        url = base_url(cluster.text("server"), f"`server` of {cluster.title}")
        authority = cluster.content("certificate-authority")
        tls = None
        if url.startswith("https:"):
            tls = (
                private_trust(authority, f"`certificate-authority` of {cluster.title}")
                if authority
                else system_trust()
            )
        if user is None:
            return self._session(url, tls, Credential(), cluster)
        _require_known("user", user)
        if user.fields.get("exec") is None:
            return self._session(url, tls, _stated(user), user)
        return self._session(url, tls, self._plugged(cluster, user, authority), user)

    def _plugged(self, cluster: Entry, user: Entry, authority: bytes) -> Credential:
        others = [name for name in _WAYS if user.text(name)]
        if others:
            raise user.wrong(f"It has `exec`, and `{others[0]}` too: which of them is meant cannot be told.")
        plugin = Plugin(user, _told(cluster, user, authority), self.environment, self.timeout)
        identity = (*user.identity, *cluster.identity)
        with self._guard:
            kept = self._kept.get(identity)
            if kept is None or kept.until is None or kept.until - _SLACK <= self.clock():
                kept = self._kept[identity] = plugin.credential()
            return kept

    def _in_cluster(self) -> Session:
        host = self.environment["KUBERNETES_SERVICE_HOST"]
        host = f"[{host}]" if ":" in host else host
        port = self.environment.get("KUBERNETES_SERVICE_PORT") or "443"
        url = base_url(f"https://{host}:{port}", "KUBERNETES_SERVICE_HOST with its PORT")
        account = Entry(f"the service account in {shown(self.service_account)}", self.service_account, {})
        token, authority = (account.read(name, self.service_account / name) for name in ("token", "ca.crt"))
        tls = private_trust(authority, "ca.crt of the service account")
        return self._session(url, tls, Credential(Secret(token)), account)

    def _session(
        self, url: str, tls: ssl.SSLContext | None, credential: Credential, source: Entry
    ) -> Session:
        if credential.certificate and tls is not None:
            _present(tls, credential, source)
        token = None if credential.token is None else _token(source, credential.token)
        return Session(Server(url, "Kubernetes", _CHECK, tls, self.timeout), token)


_WAYS: Final = ("token", "tokenFile", "client-certificate", "client-certificate-data")


def _stated(user: Entry) -> Credential:
    """What the kubeconfig itself holds or names."""
    path = user.path("tokenFile")
    token = user.read("tokenFile", path) if path else user.text("token").encode("utf-8", "surrogatepass")
    certificate, key = user.content("client-certificate"), user.content("client-key")
    if bool(certificate) != bool(key):
        raise user.wrong("It has one of `client-certificate` and `client-key`, and not the other.")
    return Credential(Secret(token) if path or token else None, certificate, Secret(key))


def _token(source: Entry, token: Secret) -> Secret:
    text = token.reveal().decode("latin-1").strip()
    if not _VISIBLE.fullmatch(text):
        raise source.wrong("Its token is not visible ASCII, without spaces and line breaks. It is not shown.")
    return Secret(text.encode("ascii"))


def _require_known(kind: str, entry: Entry) -> None:
    for key, reason in _NOT_HERE[kind].items():
        if entry.fields.get(key):
            raise entry.wrong(f"It has `{key}`: {reason}.", _INSTEAD[kind])


def _told(cluster: Entry, user: Entry, authority: bytes) -> Mapping[str, Any]:
    """What a plugin that asks for it is told of the cluster."""
    stated = user.fields["exec"]
    if not isinstance(stated, dict) or stated.get("provideClusterInfo") is not True:
        return {}
    told: dict[str, Any] = {"server": cluster.text("server")}
    if authority:
        told["certificate-authority-data"] = b64encode(authority).decode("ascii")
    extensions = cluster.fields.get("extensions")
    for extension in extensions if isinstance(extensions, list) else []:
        if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec":
            told["config"] = extension.get("extension")
    return told


def _present(tls: ssl.SSLContext, credential: Credential, source: Entry) -> None:
    """Have `tls` present the client certificate.

    OpenSSL takes certificates and keys by the names of files only. These files are memory of this process
    (memfd_create(2)), in no folder, and gone when they are closed: a key is never written to a disk.
    """
    with ExitStack() as held:
        names = []
        for content in (credential.certificate, credential.key.reveal()):
            memory = held.enter_context(os.fdopen(os.memfd_create("provisioner"), "wb"))
            memory.write(content)
            memory.flush()
            names.append(f"/proc/self/fd/{memory.fileno()}")
        try:
            tls.load_cert_chain(names[0], names[1], "")  # without one, a terminal would be asked for it
        except (ssl.SSLError, OSError, ValueError):
            pass
        else:
            return
    raise source.wrong(
        "Its client certificate and key are not PEM, do not belong together, or the key is encrypted."
        " They are not shown."
    )
