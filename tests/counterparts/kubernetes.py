"""A cluster's API, as far as Secrets go: what its published description and its documentation say of them."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

ADMIN = "admin-" + secrets.token_hex(8)
USERS = {f"user-{number}": f"user-{number}-{secrets.token_hex(8)}" for number in range(40)}
Document = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """An operation as the published description of the API (v1.37) has it, as far as it is used."""

    method: str
    path: str
    queries: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def fits(self, method: str, path: str) -> bool:
        form = re.sub(r"\{[a-z]+\}", "[a-z0-9.-]+", self.path)
        return method == self.method and re.fullmatch(form, path) is not None


JSON = ("application/json",)
PATCHES = ("application/apply-patch+yaml", "application/merge-patch+json")
SECRETS = "/api/v1/namespaces/{namespace}/secrets"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
WRITE = ("dryRun", "fieldManager", "fieldValidation")
OPERATIONS = (
    Operation("GET", "/api/v1/namespaces/{name}"),
    Operation("POST", "/api/v1/namespaces", WRITE, JSON),
    Operation("DELETE", "/api/v1/namespaces/{name}", ("dryRun",), JSON),
    Operation("GET", SECRETS + "/{name}"),
    Operation("POST", SECRETS, WRITE, JSON),
    Operation("PATCH", SECRETS + "/{name}", (*WRITE, "force"), PATCHES),
    Operation("DELETE", SECRETS + "/{name}", ("dryRun", "gracePeriodSeconds", "propagationPolicy"), JSON),
    Operation("POST", REVIEWS, WRITE, JSON),
    Operation("POST", ROLES + "/roles", WRITE, JSON),
    Operation("POST", ROLES + "/rolebindings", WRITE, JSON),
)
VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
Leaf = tuple[str, ...]  # the way to a field that one manager owns as a whole
Owner = tuple[str, str]  # a field manager, and Apply or Update


class Refused(Exception):  # noqa: N818  (it is an answer)
    """A `Status` that is a failure."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "apiVersion": "v1",
            "kind": "Status",
            "metadata": {},
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            "details": details,
        }


@dataclass
class Model:
    """A server that keeps Secrets, as far as is needed: who owns which field, and who may do what."""

    held: dict[tuple[str, ...], Document] = field(default_factory=dict)
    owners: dict[tuple[str, ...], dict[Owner, set[Leaf]]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    version: int = 100
    guard: threading.RLock = field(default_factory=threading.RLock)

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Document | str]:
        parts = urlsplit(target)
        fitting = [each for each in OPERATIONS if each.fits(method, parts.path)]
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        kind = headers.get("Content-Type", "")
        if (
            not fitting
            or not set(query) <= set(fitting[0].queries)
            or (body and kind not in fitting[0].types)
        ):
            self.faults.append(f"{method} {target} {kind}")
            return 404, "404 page not found\n"
        with self.guard:
            try:
                user = self.user(headers.get("Authorization", ""))
                document = json.loads(body) if body else {}
                code, found = self.carried_out(user, method, parts.path, query, kind, document)
            except Refused as refused:
                return refused.code, refused.body
        if "as=PartialObjectMetadata" in headers.get("Accept", "") and found["kind"] != "Status":
            found = {
                "apiVersion": "meta.k8s.io/v1",
                "kind": "PartialObjectMetadata",
                "metadata": found["metadata"],
            }
        return code, found

    def user(self, authorization: str) -> str:
        known = {f"Bearer {token}": name for name, token in {**USERS, "admin": ADMIN}.items()}
        if authorization not in known:
            raise Refused(401, "Unauthorized", "Unauthorized")
        return known[authorization]

    def carried_out(
        self, user: str, method: str, path: str, query: Document, kind: str, document: Document
    ) -> tuple[int, Document]:
        if path == REVIEWS:
            asked = document["spec"]["resourceAttributes"]
            allowed = self.allows(
                user, asked["namespace"], asked["verb"], asked["resource"], asked.get("name")
            )
            return 201, {**document, "metadata": {}, "status": {"allowed": allowed}}
        steps = path.removeprefix("/apis/rbac.authorization.k8s.io/v1").removeprefix("/api/v1").split("/")[2:]
        namespace, resource, name = [*steps, "", "", ""][:3]
        if len(steps) < 2:
            resource, namespace, name = "namespaces", "", namespace
        if not self.allows(user, namespace, VERBS[method], resource, name):
            raise Refused(
                403,
                "Forbidden",
                f'{resource} "{name}" is forbidden: User "{user}" cannot {VERBS[method]} resource'
                f' "{resource}" in API group "" in the namespace "{namespace}"',
            )
        name = name or document["metadata"]["name"]
        act = Act(self, (resource, namespace, name), query, document)
        if method == "GET":
            return 200, act.read()
        if method == "POST":
            return 201, act.create()
        if method == "DELETE":
            return 200, act.delete()
        return 200, act.apply() if "apply" in kind else act.merge()

    def allows(self, user: str, namespace: str, verb: str, resource: str, name: str | None) -> bool:
        """By the roles of the namespace (RBAC)."""
        for key, binding in list(self.held.items()):
            if key[:2] == ("rolebindings", namespace) and binding["subjects"][0]["name"] == user:
                role = self.held["roles", namespace, binding["roleRef"]["name"]]
                for rule in role["rules"]:
                    named = "resourceNames" not in rule or name in rule["resourceNames"]
                    if verb in rule["verbs"] and resource in rule["resources"] and named:
                        return True
        return user == "admin"


@dataclass
class Act:
    """One thing done to one object. Of a dry run nothing stays."""

    model: Model
    key: tuple[str, ...]
    query: Document
    document: Document

    def read(self) -> Document:
        found = self.model.held.get(self.key)
        if found is None:
            resource, _, name = self.key
            raise Refused(404, "NotFound", f'{resource} "{name}" not found', name=name, kind=resource)
        return deepcopy(found)

    def create(self) -> Document:
        resource, namespace, name = self.key
        if self.key in self.model.held:
            raise Refused(409, "AlreadyExists", f'{resource} "{name}" already exists', name=name)
        if namespace:
            Act(self.model, ("namespaces", "", namespace), {}, {}).read()
        made = deepcopy(self.document)
        made["metadata"] |= {"uid": secrets.token_hex(16), "creationTimestamp": "2026-01-01T00:00:00Z"}
        if resource == "secrets":
            made.setdefault("type", "Opaque")
        return self.kept(made, {(self.manager, "Update"): leaves(made)})

    def merge(self) -> Document:
        """A merge patch: what is set is taken from everybody else."""
        before = self.read()
        after = merged(before, self.document)
        changed = {leaf for leaf in leaves(after) | leaves(before) if at(after, leaf) != at(before, leaf)}
        owners = {owner: owned - changed for owner, owned in self.owned.items()}
        mine = (self.manager, "Update")
        owners[mine] = (owners.get(mine, set()) | changed) & leaves(after)
        return self.kept(after, owners)

    def apply(self) -> Document:
        """Server-side apply."""
        wanted = self.document
        metadata = wanted["metadata"]
        if self.key not in self.model.held:
            raise conflict(self.key, "uid mismatch")  # whoever applies here names the one that is meant
        before = self.read()
        mine = (self.manager, "Apply")
        fields = leaves(wanted)
        others = {
            owner: {leaf for leaf in owned & fields if at(before, leaf) != at(wanted, leaf)}
            for owner, owned in self.owned.items()
            if owner != mine
        }
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{owner[0]}" using v1',
                "field": "." + ".".join(leaf),
            }
            for owner, taken in others.items()
            for leaf in taken
        ]
        forced = self.query.get("force") == "true"
        if causes and not forced:
            raise Refused(409, "Conflict", f"Apply failed with {len(causes)} conflict(s)", causes=causes)
        for name in ("uid", "resourceVersion"):
            if metadata.get(name, before["metadata"][name]) != before["metadata"][name]:
                raise conflict(self.key, f"{name} is another")
        if wanted["type"] != before["type"]:
            raise Refused(422, "Invalid", "type: Invalid value: field is immutable")
        if before.get("immutable") and wanted["data"] != before["data"]:
            raise Refused(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        after = deepcopy(before)
        for leaf in fields:
            set_at(after, leaf, at(wanted, leaf))
        kept_by_others = set().union(*(owned for owner, owned in self.owned.items() if owner != mine))
        for leaf in self.owned.get(mine, set()) - fields - kept_by_others:
            del_at(after, leaf)
        owners = {owner: owned - others.get(owner, set()) for owner, owned in self.owned.items()}
        return self.kept(after, {**owners, mine: fields})

    def delete(self) -> Document:
        found = self.read()
        wanted = self.document.get("preconditions", {})
        for name, value in wanted.items():
            if value != found["metadata"][name]:
                raise conflict(self.key, f"Precondition failed: {name}")
        if found["metadata"].get("finalizers") or self.key[0] == "namespaces":
            found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            return self.kept(found, self.owned)
        del self.model.held[self.key], self.model.owners[self.key]
        return {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": {}}

    @property
    def manager(self) -> str:
        return str(self.query.get("fieldManager", "unknown"))

    @property
    def owned(self) -> dict[Owner, set[Leaf]]:
        return self.model.owners[self.key]

    def kept(self, after: Document, owners: dict[Owner, set[Leaf]]) -> Document:
        owners = {owner: owned for owner, owned in owners.items() if owned}
        before = self.model.held.get(self.key)
        if after == before and owners == self.owned:
            return after
        if self.query.get("dryRun") == "All":
            return after
        self.model.version += 1
        after["metadata"]["resourceVersion"] = str(self.model.version)
        self.model.held[self.key] = deepcopy(after)
        self.model.owners[self.key] = owners
        leaving = after["metadata"].get("deletionTimestamp") and not after["metadata"].get("finalizers")
        if leaving and self.key[0] == "secrets":
            del self.model.held[self.key], self.model.owners[self.key]
        return after


def conflict(key: tuple[str, ...], why: str) -> Refused:
    name = key[2]
    return Refused(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on secrets "{name}": {why}',
        name=name,
        kind="secrets",
    )


def leaves(document: Document) -> set[Leaf]:
    metadata = document["metadata"]
    found: set[Leaf] = {("type",)} & {(name,) for name in document}
    found |= {("data", name) for name in document.get("data") or {}}
    for part in ("labels", "annotations"):
        found |= {("metadata", part, name) for name in metadata.get(part) or {}}
    return found


def at(document: Document, leaf: Leaf) -> Any:
    found: Any = document
    for step in leaf:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def set_at(document: Document, leaf: Leaf, value: Any) -> None:
    for step in leaf[:-1]:
        document = document.setdefault(step, {})
    document[leaf[-1]] = value


def del_at(document: Document, leaf: Leaf) -> None:
    for step in leaf[:-1]:
        document = document.get(step, {})
    document.pop(leaf[-1], None)


def merged(before: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    after = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        after.pop(name, None)
        if value is not None:
            after[name] = merged((before or {}).get(name) if isinstance(before, dict) else None, value)
    return after
