"""A plugin that logs in to a cluster: a program that the kubeconfig names, which prints a credential."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.sinks.kubernetes_config import Entry
from provisioner.sinks.program import look_up
from provisioner.text import escape, quote

_GROUP: Final = "client.authentication.k8s.io"
_VERSIONS: Final = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")
_LIMIT: Final = 256 * 1024  # bytes of what it prints
# What programs need, and what the plugins of the large clouds log in with. Anything else the kubeconfig has
# to state: our own API key, and the tokens of other sinks, are nothing for them.
_PASSED: Final = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "HTTPS_PROXY", "NO_PROXY")
_PASSED_LOWER: Final = ("https_proxy", "no_proxy")
_FAMILIES: Final = ("AWS_", "AZURE_", "CLOUDSDK_", "GOOGLE_", "SSL_CERT_", "XDG_")
_UNSEEN: Final = "What it printed is not shown: it could hold the token."


@dataclass(frozen=True, slots=True)
class Credential:
    """What a user logs in with: a token, a client certificate (PEM), or both. `until` it may be kept."""

    token: Secret | None = None
    certificate: bytes = field(default=b"", repr=False)
    key: Secret = field(default_factory=lambda: Secret(b""))
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plugin:
    """The `exec` of a user, and what it is told of the cluster; `seconds` bound a run of it."""

    user: Entry
    cluster: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    seconds: float

    def credential(self) -> Credential:
        """Run it. SinkError where it does not print a credential; what it printed is never shown."""
        stated = Entry(f"the plugin (`exec`) of {self.user.title}", self.user.folder, self._exec())
        version, command = self._checked(stated)
        arguments, variables = _arguments(stated), _variables(stated)
        environment = (
            self._passed() | variables | {"KUBERNETES_EXEC_INFO": self._information(stated, version)}
        )
        path = look_up(command, self.user.folder, environment.get("PATH", os.defpath))
        if path is None:
            help_ = escape(" ".join(stated.text("installHint").split()), 200)
            raise stated.wrong(f"There is no program {quote(command, 80)}.", help_ or "Install it.")
        output = _output(stated, path, [command, *arguments], environment, self.seconds)
        return _credential(stated, version, output)

    def _information(self, stated: Entry, version: str) -> str:
        told = {"interactive": False, **({"cluster": self.cluster} if self.cluster else {})}
        with suppress(TypeError, ValueError, RecursionError):  # YAML has dates, and loops
            return json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": told})
        raise stated.wrong("What the cluster's `extensions` hold for it cannot be written as JSON.")

    def _exec(self) -> Mapping[str, Any]:
        found = self.user.fields["exec"]
        if not isinstance(found, dict):
            raise self.user.wrong("`exec` is not a mapping.")
        return found

    def _checked(self, stated: Entry) -> tuple[str, str]:
        version, command, mode = map(stated.text, ("apiVersion", "command", "interactiveMode"))
        if version not in _VERSIONS:
            raise stated.wrong(
                f"Its `apiVersion` is {quote(version, 80)}; {' and '.join(_VERSIONS)} are known."
            )
        if not command:
            raise stated.wrong("It has no `command`.")
        if mode not in ("Never", "IfAvailable") and (mode or version == _VERSIONS[0]):
            raise stated.wrong(
                f"Its `interactiveMode` is {quote(mode, 80)}, and here is nobody to answer it.",
                "Set it to IfAvailable or Never, where the plugin can do without; else use another user.",
            )
        return version, command

    def _passed(self) -> dict[str, str]:
        known = (*_PASSED, *_PASSED_LOWER)
        return {
            name: value
            for name, value in self.environment.items()
            if name in known or name.startswith(_FAMILIES)
        }


def _arguments(stated: Entry) -> list[str]:
    found = stated.fields.get("args") or []
    if isinstance(found, list) and all(isinstance(each, str) and "\0" not in each for each in found):
        return found
    raise stated.wrong("`args` is not a list of texts.")


def _variables(stated: Entry) -> dict[str, str]:
    found = stated.fields.get("env") or []
    pairs = [_variable(each) for each in found] if isinstance(found, list) else [None]
    if None in pairs:
        raise stated.wrong("`env` is not a list of a `name` and a `value` each. It is not shown.")
    return dict(filter(None, pairs))


def _variable(item: Any) -> tuple[str, str] | None:
    name, value = (item.get("name"), item.get("value")) if isinstance(item, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(value, str) or not name:
        return None
    return None if "=" in name or "\0" in name + value else (name, value)


def _output(
    stated: Entry, path: Path, argv: Sequence[str], environment: Mapping[str, str], seconds: float
) -> bytes:
    """What it printed before it ended with status 0."""
    try:
        process = subprocess.Popen(
            argv,
            executable=path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        reason = os.strerror(error.errno or 0)
    except ValueError:  # a character that stands for no byte
        reason = "No program can be given its arguments, or its environment"
    else:
        reason, output = _ended(process, time.monotonic() + seconds)
        if not reason:
            return output
    raise stated.wrong(f"{quote(argv[0], 80)}: {reason}. {_UNSEEN}", "Try it by hand: kubectl get secrets")


def _ended(process: subprocess.Popen[bytes], deadline: float) -> tuple[str, bytes]:
    """Why it cannot be used, or nothing; and what it printed."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe; said for the type checker
    reason, output = "It was not done in time, and was ended", b""
    with process.stdout as pipe:
        try:
            output = _read(pipe, deadline)
            if len(output) > _LIMIT:
                reason = f"It printed more than {_LIMIT:,} bytes, and was ended"
            else:
                status = process.wait(max(deadline - time.monotonic(), 0))
                reason = f"It ended with status {status}" if status else ""
        except (TimeoutError, subprocess.TimeoutExpired):
            pass
        finally:
            if process.returncode is None:  # not waited for: the number is still its own
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
    return reason, output


def _read(pipe: IO[bytes], deadline: float) -> bytes:
    """All of it, or one byte more than is allowed. Raises TimeoutError."""
    found = b""
    while len(found) <= _LIMIT:
        ready, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise TimeoutError
        part = os.read(pipe.fileno(), 65536)
        if not part:
            break
        found += part
    return found


def _credential(stated: Entry, version: str, output: bytes) -> Credential:
    try:
        document = json.loads(output)
    except (ValueError, RecursionError):
        document = None
    found = document if isinstance(document, dict) else {}
    status = found.get("status")
    if (
        found.get("kind") != "ExecCredential"
        or found.get("apiVersion") != version
        or not isinstance(status, dict)
    ):
        raise stated.wrong(f"It did not print an ExecCredential of {version} with a status. {_UNSEEN}")
    texts = {key: status.get(key) or "" for key in _FIELDS}
    if not all(isinstance(text, str) for text in texts.values()):
        raise stated.wrong(f"Something in its ExecCredential is not a text. {_UNSEEN}")
    token, certificate, key, until = texts.values()
    if bool(certificate) != bool(key) or not (token or certificate):
        raise stated.wrong(
            f"Its ExecCredential holds neither a token nor a certificate with its key. {_UNSEEN}"
        )
    return Credential(
        Secret(_bytes(token)) if token else None,
        _bytes(certificate),
        Secret(_bytes(key)),
        _time(stated, until) if until else None,
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # what is no character is refused where it is used


_FIELDS: Final = ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")


def _time(stated: Entry, text: str) -> datetime:
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    raise stated.wrong(f"Its `expirationTimestamp` is no time with a zone (RFC 3339). {_UNSEEN}")
