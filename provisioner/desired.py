"""`Manifest` → `DesiredState`: every app with its defaults, ready to be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import timedelta

from provisioner import name
from provisioner.delivery import DeclaredSink, Target
from provisioner.frozen import dataclass
from provisioner.manifest import DeclaredApp, Fault, Manifest, Place
from provisioner.model import Address, AppSpec


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How an app is looked after. `protect` None is not stated: it stays as it is recorded.

    `sink_only` drops the sealed secret from the state, once every sink of the app has given its receipt.
    """

    protect: bool | None = None
    rotate_after: timedelta | None = None
    sink_only: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What is agreed to for every run (delete, replace, rotate), and how many apps one plan may destroy."""

    allow: frozenset[str] = frozenset()
    max_deletes: int = 3


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The apps that should exist, in file order, where each is declared, and what becomes of others.

    `moved` maps an address that was to the one that is; `forgotten` are dropped from the state and kept
    in the API; `imports` are ids of existing apps, by the address that takes them. `sinks` has the targets
    of each app that has any, in the order of delivery; `declared_sinks` are all sinks, by name.
    """

    apps: Mapping[Address, AppSpec]
    places: Mapping[Address, Place]
    warnings: tuple[Fault, ...] = ()
    lifecycles: Mapping[Address, Lifecycle] = field(default_factory=dict)
    moved: Mapping[Address, Address] = field(default_factory=dict)
    forgotten: frozenset[Address] = frozenset()
    imports: Mapping[Address, str] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    sinks: Mapping[Address, tuple[Target, ...]] = field(default_factory=dict)
    declared_sinks: Mapping[str, DeclaredSink] = field(default_factory=dict)

    def lifecycle(self, address: Address) -> Lifecycle:
        """How the app at this address is looked after; nothing stated where it is not in the manifest."""
        return self.lifecycles.get(address, _NOTHING)


_NOTHING = Lifecycle()


def resolve(manifest: Manifest) -> DesiredState:
    """Fill in the defaults. It cannot fail: names are unique and values good in a `Manifest`."""
    apps = {
        address: AppSpec(
            name=_name(address, app),
            redirect_uris=app.redirect_uris,
            scopes=app.scopes if app.scopes_stated else manifest.default_scopes,
        )
        for address, app in manifest.apps.items()
    }
    return DesiredState(
        apps=apps,
        places={address: app.place for address, app in manifest.apps.items()},
        warnings=tuple(_lookalikes(manifest)),
        lifecycles={
            address: Lifecycle(_protect(app, manifest), app.rotate_after, app.sink_only)
            for address, app in manifest.apps.items()
        },
        moved=_ends(manifest.moved),
        forgotten=frozenset(address for address, destroy in manifest.removed.items() if not destroy),
        imports=manifest.imports,
        policy=Policy(manifest.policy.allow, manifest.policy.max_deletes),
        sinks=_targets(manifest),
        declared_sinks=manifest.sinks,
    )


def _protect(app: DeclaredApp, manifest: Manifest) -> bool | None:
    """The app's own word, else the default's where that is true: a default lifts no protection."""
    return (manifest.default_protect or None) if app.protect is None else app.protect


def _targets(manifest: Manifest) -> dict[Address, tuple[Target, ...]]:
    """Where the secret of each app goes: to its own sinks, else to the default ones."""
    targets = {}
    for address, app in manifest.apps.items():
        names = manifest.default_sinks if app.sinks is None else app.sinks
        if names:
            targets[address] = tuple(Target(manifest.sinks[name], address) for name in names)
    return targets


def _ends(steps: Mapping[Address, Address]) -> dict[Address, Address]:
    """Where each address leads in the end. Each step is taken once, however long the chains are."""
    ends: dict[Address, Address] = {}
    for start in steps:
        path = []
        at = start
        while at in steps and at not in ends:
            path.append(at)
            at = steps[at]
        ends.update(dict.fromkeys(path, ends.get(at, at)))
    return ends


def _name(address: Address, app: DeclaredApp) -> str:
    return address.key if app.name is None else app.name


def _lookalikes(manifest: Manifest) -> Iterator[Fault]:
    """Names that people could take for an earlier one's; found by their skeleton, not pair by pair."""
    first: dict[str, tuple[Address, str, Place]] = {}
    for address, app in manifest.apps.items():
        text, place = _name(address, app), app.name_place
        other_address, other, other_place = first.setdefault(name.skeleton(text), (address, text, place))
        problem = name.lookalike(text, other)
        if problem is not None:
            yield Fault(
                place.file,
                place.line,
                place.column,
                f"apps.{address.key}.name",
                text,
                f"{problem.rule} The other is that of {other_address}, at {other_place}.",
                problem.remedy,
                warning=True,
            )
