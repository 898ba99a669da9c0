"""Several files as one manifest: what may stand once only, and their sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from provisioner import name
from provisioner.duration import duration
from provisioner.errors import Problem
from provisioner.manifest.document import App, Root, State
from provisioner.manifest.faults import Fault, Loc, Place, fault_at
from provisioner.manifest.policy import policy_faults
from provisioner.manifest.sinks import declared
from provisioner.manifest.targets import target_faults
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
    yield from target_faults(documents)
    yield from policy_faults(documents)


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


def _state(document: Document, state: State) -> StateSettings:
    """A folder, or a branch where `git` is stated."""
    git = None
    if "git" in document.section("state"):
        lease = duration(state.git.lease) or timedelta()
        git = GitSettings(state.git.remote, state.git.branch, lease)
    return StateSettings(state.path or DEFAULT_STATE, document.name, tuple(state.recipients), git)


def _name_place(document: Document, key: str) -> Place:
    """Where an app's name stands: by itself, or as its key."""
    apps = document.section("apps")
    app = apps[key]
    at = app.at["name"] if isinstance(app, Map) and "name" in app else apps.key_at[key]
    return place_of(document.name, at)


def joined(
    documents: list[Document], roots: list[Root], variables: Mapping[str, str], warnings: tuple[Fault, ...]
) -> Manifest:
    """The sum of the files, which have no faults."""
    first = documents[0], roots[0]
    stated = {key: pair for pair in zip(documents, roots, strict=True) for key in pair[0].root}
    provider = stated.get("provider", first)[1].provider
    state_document, state = stated.get("state", first)[0], stated.get("state", first)[1].state
    recovery = stated.get("recovery", first)[1].recovery
    policy = stated.get("policy", first)[1].policy
    defaults = stated.get("defaults", first)[1].defaults
    return Manifest(
        provider=ProviderSettings(provider.type, provider.base_url or None, provider.organization_id or None),
        state=_state(state_document, state),
        recovery=RecoverySettings(recovery.mode == "auto", duration(recovery.settle) or timedelta()),
        policy=PolicySettings(frozenset(policy.allow), policy.max_deletes),
        default_scopes=None if defaults.scopes is None else tuple(defaults.scopes),
        default_protect=defaults.protect,
        default_sinks=tuple(defaults.sinks),
        sinks={
            name: declared(name, sink, document.name)
            for document, root in zip(documents, roots, strict=True)
            for name, sink in root.sinks.items()
        },
        apps={
            Address(key): _declared(document, key, app)
            for document, root in zip(documents, roots, strict=True)
            for key, app in root.apps.items()
        },
        moved={Address.parse(move.source): Address.parse(move.to) for root in roots for move in root.moved},
        removed={Address.parse(gone.app): gone.destroy for root in roots for gone in root.removed},
        imports={Address.parse(taken.to): taken.id for root in roots for taken in root.imports},
        variables=variables,
        warnings=warnings,
    )


def _declared(document: Document, key: str, app: App) -> DeclaredApp:
    return DeclaredApp(
        place=place_of(document.name, document.section("apps").key_at[key]),
        name_place=_name_place(document, key),
        name=app.name or None,
        redirect_uris=tuple(app.redirect_uris),
        scopes=None if app.scopes is None else tuple(app.scopes),
        scopes_stated="scopes" in app.model_fields_set,
        protect=app.protect if "protect" in app.model_fields_set else None,
        rotate_after=duration(app.rotate_after),
        sinks=tuple(app.sinks) if "sinks" in app.model_fields_set else None,
        sink_only=app.sink_only,
    )
