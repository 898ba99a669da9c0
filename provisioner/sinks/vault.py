"""Vault and OpenBao: for each app a secret of its own in a mount of KV version 2, which bears our mark."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Final

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.sinks.formats import named, render
from provisioner.sinks.vault_secret import KeyValueSecret
from provisioner.sinks.vault_session import Logins, encoded
from provisioner.text import quote

_LOG: Final = logging.getLogger("provisioner.sinks")


def sink(declared: DeclaredSink, environment: Mapping[str, str]) -> VaultSink:
    """A sink that is reached as VAULT_ADDR and its kin say. They are looked at when it is used."""
    return VaultSink(declared, Logins(environment))


@dataclass(frozen=True, slots=True)
class VaultSink:
    """Delivers into KV version 2: where nothing is yet, and where its mark is."""

    declared: DeclaredSink
    logins: Logins

    def place(self, target: Target) -> str:
        """The secret's mount and path, and its namespace where the manifest names one."""
        options = target.options
        inside = f" in namespace {quote(options['namespace'], 80)}" if options["namespace"] else ""
        return f"vault secret {quote(options['mount'] + '/' + options['path'], 200)}{inside}"

    def probe(self, target: Target) -> None:
        """The token is valid, the mount is KV version 2, policies suffice, no secret of others' is there."""
        secret = self._secret(target)
        secret.session.data("look the token up", "GET", "auth/token/lookup-self")
        secret.require_version_2()
        secret.require_capabilities()
        secret.version()

    def deliver(self, target: Target, credentials: Credentials) -> None:
        """Write the pair as a new version, unless the present one holds just that."""
        pair = json.loads(render("json", named(target, credentials)).reveal())
        secret = self._secret(target)
        for _ in range(2):  # once more after a write of somebody else's, on what it left
            if _put(secret, pair):
                return
        raise SinkError(
            f"{secret.shown} is being changed by somebody else",
            "It changed again and again between looking at it and writing.",
            "Find out what else writes there, then run it again.",
        )

    def remove(self, target: Target) -> None:
        """Delete the secret with all its versions, where it bears our mark."""
        secret = self._secret(target)
        metadata = secret.metadata()
        if metadata is not None and secret.is_ours(metadata):
            secret.delete()
        elif metadata is not None:
            _LOG.info("%s is left alone: it does not bear the mark of %s", secret.shown, secret.address)

    def _secret(self, target: Target) -> KeyValueSecret:
        options = target.options
        mount, path = options["mount"], options["path"]
        encoded(mount, "mount"), encoded(path, "path")  # before anything is sent
        session = self.logins.session(options, target.sink.folder)
        return KeyValueSecret(session, mount, path, target.owner, self.place(target))


def _put(secret: KeyValueSecret, pair: Mapping[str, str]) -> bool:
    """False where somebody else wrote in between."""
    version = secret.version()
    if version is None:
        return _create(secret, pair)
    return secret.content() == pair or secret.write(pair, version)


def _create(secret: KeyValueSecret, pair: Mapping[str, str]) -> bool:
    """The mark comes first: whatever breaks off then, the next delivery finds a secret of ours."""
    secret.mark(secret.owner)
    if secret.write(pair, 0) or secret.content() == pair:
        return True
    secret.mark({})
    raise secret.foreign("somebody else wrote it just as it was to be made")
