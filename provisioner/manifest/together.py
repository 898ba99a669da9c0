"""Several files as one manifest: what may stand once only, and their sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from provisioner import name
from provisioner.delivery import DeclaredSink
from provisioner.duration import duration
from provisioner.errors import Problem
from provisioner.manifest.faults import Fault, Loc, Place, fault_at
from provisioner.manifest.patterns import DEFAULTS
from provisioner.manifest.policy import policy_faults
from provisioner.manifest.rules import STATE_PATH
from provisioner.manifest.transitions import transition_faults
from provisioner.manifest.tree import Document, Map, place_of
from provisioner.manifest.values import (
    DEFAULT_STATE,
    DeclaredApp,
    GitSettings,
    Manifest,
    PolicySettings,
    ProviderSettings,
    RecoverySettings,
    StateSettings,
)
from provisioner.model import Address

_REQUIRED = {
    "version": Problem("The version of the manifest's format is required.", "Start with `version: 1`."),
    "apps": Problem(
        "The apps are required: none at all would mean to destroy what exists.",
        "Add them; `apps: {}` says that there are none.",
    ),
}
_ONCE = ("provider", "state", "recovery", "variables", "defaults", "sinks", "policy")


def joint_faults(documents: list[Document]) -> Iterator[Fault]:
    """What is missing from every file, and what stands twice in all of them."""
    for key, problem in _REQUIRED.items():
        if not any(key in document.root for document in documents):
            yield documents[0].fault((key,), problem)
    yield from _sections(documents)
    yield from _keys(documents)
    yield from _names(documents)
    yield from transition_faults(documents)
    if any(map(_speaks_of_sinks, documents)):
        from provisioner.manifest.targets import target_faults  # noqa: PLC0415  # most manifests have no sinks

        yield from target_faults(documents)
    yield from policy_faults(documents)


def _speaks_of_sinks(document: Document) -> bool:
    root = document.root
    inside = (root.get("defaults"), *document.section("apps").values())
    return "sinks" in root or any(
        isinstance(part, Map) and ("sinks" in part or "sink_only" in part) for part in inside
    )


def _sections(documents: list[Document]) -> Iterator[Fault]:
    for key in _ONCE:
        stating = [document for document in documents if key in document.root]
        for document in stating[1:]:
            first = stating[0].place((key,), key=True)
            rule = f"Only one file of a manifest has {key}; it stands at {first} already."
            yield document.key_fault((key,), Problem(rule, "Put all of it into one of them."))


def _keys(documents: list[Document]) -> Iterator[Fault]:
    first: dict[str, Document] = {}
    for document in documents:
        for key in document.section("apps"):
            loc: Loc = ("apps", key)
            earlier = first.setdefault(key, document)
            if earlier is not document:
                rule = f"This app is declared already, at {earlier.place(loc, key=True)}."
                yield document.key_fault(loc, Problem(rule, "Rename one of the two, or remove it."))


def _names(documents: list[Document]) -> Iterator[Fault]:
    """Names are unique in the API, which may ignore case and composition."""
    first: dict[str, tuple[str, str, Document]] = {}
    for document in documents:
        for key, app in document.section("apps").items():
            text = app.get("name", key) if isinstance(app, Map) else None
            if isinstance(text, str):
                other, other_key, other_file = first.setdefault(name.fold(text), (text, key, document))
                if key != other_key:  # one key twice is said already
                    same = "has this name" if other == text else "has a name that may collide with this one"
                    place = _name_place(other_file, other_key)
                    rule = f"oauth_app.{other_key} {same}, at {place}; names are unique in the API."
                    problem = Problem(rule, "Rename one of the two.")
                    yield fault_at(_name_place(document, key), ("apps", key, "name"), problem, text)


def _name_place(document: Document, key: str) -> Place:
    """Where an app's name stands: by itself, or as its key."""
    apps = document.section("apps")
    app = apps[key]
    at = app.at["name"] if isinstance(app, Map) and "name" in app else apps.key_at[key]
    return place_of(document.name, at)


def joined(documents: list[Document], variables: Mapping[str, str], warnings: tuple[Fault, ...]) -> Manifest:
    """The sum of the files, which have no faults."""
    provider, recovery = _stated(documents, "provider"), _stated(documents, "recovery")
    policy, defaults = _stated(documents, "policy"), _stated(documents, "defaults")
    return Manifest(
        provider=ProviderSettings(
            provider["type"], provider["base_url"] or None, provider["organization_id"] or None
        ),
        state=_state(documents),
        recovery=RecoverySettings(recovery["mode"] == "auto", duration(recovery["settle"]) or timedelta()),
        policy=PolicySettings(frozenset(policy["allow"]), policy["max_deletes"]),
        default_scopes=None if defaults["scopes"] is None else tuple(defaults["scopes"]),
        default_protect=defaults["protect"],
        default_sinks=tuple(defaults["sinks"]),
        sinks=_sinks(documents),
        apps={
            Address(key): _declared(document, key, app)
            for document in documents
            for key, app in document.section("apps").items()
        },
        moved={
            Address.parse(entry["from"]): Address.parse(entry["to"]) for entry in _entries(documents, "moved")
        },
        removed={Address.parse(entry["app"]): entry["destroy"] for entry in _entries(documents, "removed")},
        imports={Address.parse(entry["to"]): entry["id"] for entry in _entries(documents, "import")},
        variables=variables,
        warnings=warnings,
    )


def _stated(documents: list[Document], section: str) -> dict[str, Any]:
    """A section, in whichever file it stands, with what is meant by all that it leaves out."""
    stated = next((document.section(section) for document in documents if section in document.root), Map())
    return DEFAULTS[section] | stated


def _state(documents: list[Document]) -> StateSettings:
    """A folder, or a branch where `git` is stated."""
    stating = next((document for document in documents if "state" in document.root), documents[0])
    stated = stating.section("state")
    state: dict[str, Any] = DEFAULTS["state"] | stated
    git = None
    if "git" in stated:
        branch: dict[str, Any] = DEFAULTS["git"] | state["git"]
        git = GitSettings(branch["remote"], branch["branch"], duration(branch["lease"]) or timedelta())
    path, recipients = state["path"] or DEFAULT_STATE, tuple(state["recipients"])
    return StateSettings(path, stating.name, recipients, git, stating.place(STATE_PATH))


def _sinks(documents: list[Document]) -> dict[str, DeclaredSink]:
    found = [
        (name, node, document) for document in documents for name, node in document.section("sinks").items()
    ]
    if not found:
        return {}
    from provisioner.manifest.sinks import declared_if_well_formed  # noqa: PLC0415  # it needs pydantic

    declared = (declared_if_well_formed(name, node, document.name) for name, node, document in found)
    return {sink.name: sink for sink in declared if sink is not None}


def _entries(documents: list[Document], section: str) -> Iterator[Any]:
    for document in documents:
        stated: Any = document.root.get(section, ())
        yield from stated


def _declared(document: Document, key: str, node: Any) -> DeclaredApp:
    app: dict[str, Any] = node
    scopes, sinks = app.get("scopes"), app.get("sinks")
    return DeclaredApp(
        place=place_of(document.name, document.section("apps").key_at[key]),
        name_place=_name_place(document, key),
        name=app.get("name") or None,
        redirect_uris=tuple(app["redirect_uris"]),
        scopes=None if scopes is None else tuple(scopes),
        scopes_stated="scopes" in app,
        protect=app.get("protect"),
        rotate_after=duration(app.get("rotate_after", "")),
        sinks=None if sinks is None else tuple(sinks),
        sink_only=app.get("sink_only", False),
    )
