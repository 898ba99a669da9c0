"""The manifest's own policy, held against its apps: where they lead, and whether they are protected."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner import redirect_uri
from provisioner.errors import Problem
from provisioner.manifest.faults import Fault
from provisioner.manifest.tree import Document, List, Map, apps
from provisioner.text import quote

_NOT_PROTECTED = Problem(
    "policy.require_protect says that every app is protected, and this one is not.",
    "Add `protect: true` to it, or to `defaults`.",
)


def policy_faults(documents: list[Document]) -> Iterator[Fault]:
    """Every app that the policy does not allow, at its own line."""
    policy = next((document.section("policy") for document in documents if document.section("policy")), Map())
    hosts = policy.get("redirect_hosts")
    if isinstance(hosts, List):
        allowed = [text for text in hosts if isinstance(text, str)]
        for document, key, app in apps(documents):
            yield from _strangers(document, key, app, allowed)
    if policy.get("require_protect") is True:
        default = any(document.section("defaults").get("protect") is True for document in documents)
        for document, key, app in apps(documents):
            if app.get("protect", default) is not True:
                yield document.key_fault(("apps", key), _NOT_PROTECTED)


def fits(uri: str, pattern: str) -> bool:
    """Whether a redirect URI leads where `pattern` allows: a host, all below one, a scheme with its colon."""
    scheme, host = redirect_uri.destination(uri)
    if pattern.endswith(":"):
        return not host and f"{scheme}:" == pattern
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[1:]
    return host == pattern


def _strangers(document: Document, key: str, app: Map, allowed: list[str]) -> Iterator[Fault]:
    uris = app.get("redirect_uris")
    for index, uri in enumerate(uris if isinstance(uris, List) else ()):
        if isinstance(uri, str) and not any(fits(uri, pattern) for pattern in allowed):
            listed = ", ".join(quote(pattern, 80) for pattern in allowed[:10]) + ", …" * (len(allowed) > 10)
            problem = Problem(
                f"policy.redirect_hosts does not allow this place. It allows {listed}.",
                "Use another URI, or add its host to the policy, where somebody reviews it.",
            )
            yield document.fault(("apps", key, "redirect_uris", index), problem, uri)
