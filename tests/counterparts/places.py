"""Every kind of place that secrets go to: what the manifest says of it, and what it holds in truth."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyrage
import yaml

from counterparts import github, kubernetes, vault
from counterparts.listening import Speak, listening

AGE = {"age": "age", "first": "first", "second": "second"}  # sinks of this type, and their folders
FOLDERS = {**AGE, "file": "file", "command": "prod", "manifest": "manifest"}
KINDS = ("age", "file", "command", "vault", "kubernetes", "manifest", "github")
CLEAR = ("file", "command", "manifest")  # in whose folders a secret may be read
SERVERS = ("vault", "kubernetes", "github")
_DECLARED = {
    **{
        name: f"{{type: age, path: '{folder}/{{key}}.env.age', recipients: [READER]}}"
        for name, folder in AGE.items()
    },
    "file": "{type: file, path: 'file/{key}.env', plaintext: true}",
    "command": "{type: command, command: [./deliver, --to, prod], remove: [./deliver, --from, prod]}",
    "vault": "{type: vault, path: 'apps/{key}'}",
    "kubernetes": "{type: kubernetes, name: '{key}'}",
    "manifest": "{type: kubernetes, name: '{key}', manifest: 'manifest/{key}.yaml', plaintext: true}",
    "github": "{type: github-actions, repository: acme/shop, prefix: '{KEY}_'}",
}
_PAGE = Path(__file__).resolve().parents[2] / "docs" / "sinks" / "command.md"
_SECRETS = "/repos/acme/shop/actions/secrets"
_KUBECONFIG = """apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "URL"}}]
users: [{name: u, user: {token: TOKEN}}]
"""
Pair = tuple[str, str]


def declared(names: Collection[str], reader: str) -> str:
    """The sinks of these names, as a manifest has them, and that every app goes to all of them."""
    listed = "".join(f"  {name}: {_DECLARED[name]}\n" for name in names)
    return f"defaults: {{sinks: [{', '.join(names)}]}}\nsinks:\n{listed}".replace("READER", reader)


@dataclass(eq=False, slots=True)
class Places:
    """The servers, running until `close`. What the command needs to find them is in `environment`.

    `faults` say what befalls the how-manieth write request to any of them, `down` what befalls every request:
    `lost-before`, `lost-after`, `500-before` or `500-after` it is done.
    """

    folder: Path
    faults: dict[int, str] = field(default_factory=dict)
    down: str = ""
    writes: int = 0
    struck: int = 0
    vault: vault.Vault = field(default_factory=vault.Vault)
    kubernetes: kubernetes.Model = field(default_factory=kubernetes.Model)
    github: github.Hub = field(default_factory=github.Hub)
    environment: dict[str, str] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        of_vault, of_kubernetes = (
            self._open.enter_context(listening(self._befallen(answer)))
            for answer in (self.vault.answer, self.kubernetes.answer)
        )
        self._open.enter_context(github.serving(self.github))
        self.github.say = self._said
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(
            _KUBECONFIG.replace("URL", of_kubernetes.url).replace("TOKEN", kubernetes.ADMIN)
        )
        self.environment |= {
            "VAULT_ADDR": of_vault.url,
            "VAULT_TOKEN": vault.TOKEN,
            "KUBECONFIG": str(kubeconfig),
            "GITHUB_API_URL": self.github.url,
            "GITHUB_TOKEN": github.TOKEN,
        }
        self.restore(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the servers."""
        self._open.close()

    def befall(self, faults: dict[int, str]) -> None:
        """What befalls write requests, counted from now."""
        self.faults, self.writes = faults, 0

    def calm(self) -> None:
        """Nothing befalls a request any more."""
        self.faults, self.down = {}, ""

    def prepare(self, folder: Path) -> None:
        """Put into a manifest's folder what its sinks need there: the program of the page on commands."""
        (program,) = re.findall(r"^```sh\n(#!.*?)^```", _PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        (folder / "deliver").write_text(program)
        (folder / "deliver").chmod(0o700)

    @property
    def tokens(self) -> tuple[str, ...]:
        """What opens the servers."""
        return vault.TOKEN, kubernetes.ADMIN, github.TOKEN

    # What is there.

    def held(self, name: str, folder: Path, key: str, identity: pyrage.x25519.Identity) -> Pair | None:
        """The pair of an app in the place of that name, read without any code of the product's.

        None where nothing is there, an empty pair where it cannot be read.
        """
        if name in FOLDERS:
            return in_file(name, folder, key, identity)
        if name == "vault":
            kept = self.vault.held.get(f"apps/{key}")
            return _pair(kept.versions[-1] if kept and kept.versions else {})
        if name == "kubernetes":
            found = self.kubernetes.held.get(("secrets", "default", key), {})
            return _pair(_decoded(found.get("data", {})))
        return _pair(self.github.opened(_SECRETS), f"{key.upper()}_")

    def remains(self, names: Collection[str], folder: Path, keys: Collection[str]) -> list[str]:
        """Whatever the places of these names hold that is not of these apps, nor anything whole."""
        return sorted(item for item in self._items(names, folder) if item not in {*self._of(names, keys)})

    def _items(self, names: Collection[str], folder: Path) -> Iterator[str]:
        for name in names:
            if name in FOLDERS:
                inside = sorted((folder / FOLDERS[name]).glob("*"))
                yield from (f"{name}: {path.name}" for path in inside)
        if "vault" in names:
            yield from (f"vault: {path}" for path in self.vault.held)
        if "kubernetes" in names:
            yield from (f"kubernetes: {key[2]}" for key in self.kubernetes.held if key[0] == "secrets")
        if "github" in names:
            yield from (f"github: {name}" for name in self.github.kept[_SECRETS])

    def _of(self, names: Collection[str], keys: Collection[str]) -> Iterator[str]:
        for name in names:
            for key in keys:
                if name == "github":
                    yield from (f"github: {key.upper()}_{half}" for half in ("CLIENT_ID", "CLIENT_SECRET"))
                elif name in FOLDERS:
                    yield f"{name}: {key}{_ENDINGS.get(name, '.env.age')}"
                else:
                    yield f"{name}: {'apps/' * (name == 'vault')}{key}"

    def mark(self, names: Collection[str], folder: Path) -> object:
        """What is another thing once anything was delivered or taken away, be it to the same effect."""
        files = [path for name in names if name in FOLDERS for path in (folder / FOLDERS[name]).glob("*")]
        return self.snapshot(), [
            (path, path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(files)
        ]

    def snapshot(self) -> object:
        """What the servers hold."""
        kept = (self.vault.held, self.kubernetes.held, self.kubernetes.owners, self.github.kept)
        return deepcopy(kept)

    def restore(self, kept: Any) -> None:
        """Have the servers hold that again; nothing, and one namespace, where it is None."""
        self.calm()
        self.writes = self.struck = 0
        self.github.seen.clear()
        empty = ({}, {}, {}, {path: {} for path in self.github.kept})
        chosen = deepcopy(kept or empty)
        self.vault.held, self.kubernetes.held, self.kubernetes.owners, self.github.kept = chosen
        if kept is None:
            namespace = {"kind": "Namespace", "metadata": {"name": "default"}}
            kubernetes.Act(self.kubernetes, ("namespaces", "", "default"), {}, namespace).create()

    # What befalls requests.

    def _befallen(self, answer: Callable[..., tuple[int, Any]]) -> Speak:
        def speak(
            method: str, path: str, headers: dict[str, str], body: bytes
        ) -> tuple[int, bytes, dict[str, str]] | None:
            how = self._fault(method, path)
            # In trouble it says what it was told, as proxies and debug modes do.
            trouble = None if how.startswith("lost") else (500, body, {"X-Told": body.hex()[:4000]})
            if how.endswith("before"):
                return trouble
            status, found = answer(method, path, headers, body)
            content = b"" if status == 204 else found if isinstance(found, str) else json.dumps(found)
            sent = content if isinstance(content, bytes) else content.encode()
            return trouble if how else (status, sent, {"Content-Type": "application/json"})

        return speak

    def _said(self, _number: int, method: str, path: str) -> github.Answer | str | None:
        how = self._fault(method, path)
        if how.startswith("lost"):
            return how.replace("-", " ")
        return github.Answer(500, after=how == "500-after") if how else None

    def _fault(self, method: str, path: str) -> str:
        with self._guard:
            if method == "GET" or "dryRun" in path or "selfsubject" in path or "capabilities" in path:
                return self.down
            self.writes += 1
            how = self.down or self.faults.get(self.writes, "")
            self.struck += bool(how)
            return how


def in_file(name: str, folder: Path, key: str, identity: pyrage.x25519.Identity) -> Pair | None:
    """As `Places.held`, of those that are files."""
    path = folder / FOLDERS[name] / f"{key}{_ENDINGS.get(name, '.env.age')}"
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
        content = pyrage.decrypt(content, [identity]) if name in AGE else content
        return _pair(_READ.get(name, _dotenv)(content.decode()))
    except (ValueError, KeyError, TypeError, yaml.YAMLError, pyrage.DecryptError):
        return "", ""


def _pair(found: Mapping[str, str], prefix: str = "") -> Pair | None:
    client_id, client_secret = (found.get(f"{prefix}{half}", "") for half in ("CLIENT_ID", "CLIENT_SECRET"))
    return (client_id, client_secret) if client_id or client_secret else None


def _dotenv(text: str) -> dict[str, str]:
    return {name: value.strip("'") for name, value in (line.split("=", 1) for line in text.splitlines())}


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


_ENDINGS = {"file": ".env", "command": ".json", "manifest": ".yaml"}
_READ: Mapping[str, Callable[[str], Mapping[str, str]]] = {
    "command": json.loads,
    "manifest": lambda text: _decoded(yaml.safe_load(text)["data"]),
}
