"""Vault's API, as far as one mount of KV version 2 goes; held against OpenBao by tests/test_sink_vault.py."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

TOKEN = "hvs.canary" + secrets.token_hex(12)
MOUNT = "secret"
Document = dict[str, Any]
_ABSENT: tuple[int, Document] = (404, {"errors": []})


@dataclass
class Kept:
    """One secret: its versions, the first of them number 1, and what is said of it."""

    versions: list[Document] = field(default_factory=list)
    custom: Document | None = None


@dataclass
class Vault:
    """A server with one mount, `secret`, and one token that may do everything."""

    held: dict[str, Kept] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Document]:
        if headers.get("X-Vault-Token") != TOKEN:
            return 403, {"errors": ["permission denied"]}
        document = json.loads(body) if body else {}
        match unquote(target).removeprefix("/v1/").split("/", 2):
            case ["auth", "token", "lookup-self"]:
                return 200, {"data": {"policies": ["root"]}}
            case ["sys", "internal", mount]:
                if mount != f"ui/mounts/{MOUNT}":
                    return 403, {"errors": ["preflight capability check returned 403"]}
                return 200, {"data": {"path": f"{MOUNT}/", "type": "kv", "options": {"version": "2"}}}
            case ["sys", "capabilities-self"]:
                return 200, {"data": {path: ["root"] for path in document["paths"]}}
            case [mount, "metadata", path] if mount == MOUNT:
                with self.guard:
                    return self._metadata(method, path, document)
            case [mount, "data", path] if mount == MOUNT:
                with self.guard:
                    return self._data(method, path, document)
        return 404, {"errors": [f"no handler for route {target}"]}

    def _metadata(self, method: str, path: str, document: Document) -> tuple[int, Document]:
        kept = self.held.get(path)
        if method == "POST":
            kept = self.held.setdefault(path, Kept())
            kept.custom = document["custom_metadata"] or None
            return 204, {}
        if method == "DELETE":
            self.held.pop(path, None)
            return 204, {}
        if kept is None:
            return _ABSENT
        said = {"current_version": len(kept.versions), "custom_metadata": kept.custom}
        return 200, {"data": said}

    def _data(self, method: str, path: str, document: Document) -> tuple[int, Document]:
        kept = self.held.get(path)
        if method == "GET":
            if kept is None or not kept.versions:
                return _ABSENT
            return 200, {"data": {"data": kept.versions[-1], "metadata": {"version": len(kept.versions)}}}
        if document["options"]["cas"] != (len(kept.versions) if kept else 0):
            return 400, {"errors": ["check-and-set parameter did not match the current version"]}
        kept = self.held.setdefault(path, Kept())
        kept.versions.append(document["data"])
        return 200, {"data": {"version": len(kept.versions), "custom_metadata": kept.custom}}
