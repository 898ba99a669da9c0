"""Kubernetes: for each app a Secret of its own that bears our mark, in a cluster or as YAML in a file."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Mapping
from typing import Final

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.ports import SecretSink
from provisioner.sinks.kubernetes_access import require_access, require_namespace
from provisioner.sinks.kubernetes_login import Sessions
from provisioner.sinks.kubernetes_manifest import ManifestSink
from provisioner.sinks.kubernetes_object import encoded, trial, where
from provisioner.sinks.kubernetes_secret import ClusterSecret
from provisioner.text import escape, quote

_LOG: Final = logging.getLogger("provisioner.sinks")
_VERBS: Final = ("get", "create", "patch", "delete")


def sink(declared: DeclaredSink, environment: Mapping[str, str]) -> SecretSink:
    """A sink for the cluster that KUBECONFIG and its kin say, or for a file where `manifest` names one."""
    if not declared.options["manifest"]:
        return KubernetesSink(Sessions(environment))
    if declared.options.get("plaintext") is not True:
        raise SinkError(
            f"The sink {quote(declared.name, 80)} would write secrets in clear",
            "The data of a Secret are in base64, which everybody reads.",
            "Add `plaintext: true` to it, or use the type age.",
        )
    return ManifestSink(environment)


@dataclass(frozen=True, slots=True)
class KubernetesSink:
    """Delivers by server-side apply: where nothing is yet, and where its mark is."""

    sessions: Sessions

    def place(self, target: Target) -> str:
        """The Secret's name and namespace, and its context where the manifest names one."""
        options = target.options
        inside = f" of context {quote(options['context'], 80)}" if options["context"] else ""
        name, namespace = quote(options["name"], 80), quote(options["namespace"], 80)
        return f"kubernetes secret {name} in namespace {namespace}{inside}"

    def probe(self, target: Target) -> None:
        """The user is known and may do it, the namespace is there, and the server would take a delivery."""
        data = encoded(target, trial(target))
        secret = self._secret(target)
        verbs = _VERBS[: -1 if target.sink.keep else None]
        require_access(secret.session, secret.namespace, secret.name, verbs)
        require_namespace(secret.session, secret.namespace)
        _settle(secret, lambda: secret.would_put(data))

    def deliver(self, target: Target, credentials: Credentials) -> None:
        """Apply the pair; what others added to the Secret stays."""
        data = encoded(target, credentials)
        secret = self._secret(target)
        _settle(secret, lambda: secret.put(data))

    def remove(self, target: Target) -> None:
        """Delete the Secret, where it bears our mark."""
        secret = self._secret(target)
        _settle(secret, lambda: _removed(secret))

    def _secret(self, target: Target) -> ClusterSecret:
        namespace, name = where(target)
        context = target.options["context"]
        session = self.sessions.session(context)
        chosen = f" --context {escape(shlex.quote(context), 80)}" if context else ""
        kubectl = f"kubectl{chosen} --namespace {namespace}"
        return ClusterSecret(session, namespace, name, target.owner, self.place(target), kubectl)


def _settle(secret: ClusterSecret, act: Callable[[], bool]) -> None:
    """Once more after a change of somebody else's, on what it left; then it is an error."""
    if not act() and not act():
        raise SinkError(
            f"{secret.shown} is being changed by somebody else",
            "It changed again and again between looking at it and writing.",
            "Find out what else writes there, then run it again.",
        )


def _removed(secret: ClusterSecret) -> bool:
    found = secret.found()
    if found is None:
        return True
    if not found.ours:
        _LOG.info("%s is left alone: it does not bear the mark of %s", secret.shown, secret.address)
        return True
    return secret.delete(found)
