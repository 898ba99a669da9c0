"""`Manifest` → `DesiredState`: every app with its defaults, ready to be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provisioner import name
from provisioner.manifest import DeclaredApp, Fault, Manifest, Place
from provisioner.model import Address, AppSpec


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The apps that should exist, in file order, and where each is declared."""

    apps: Mapping[Address, AppSpec]
    places: Mapping[Address, Place]
    warnings: tuple[Fault, ...] = ()


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
    places = {address: app.place for address, app in manifest.apps.items()}
    return DesiredState(apps, places, tuple(_lookalikes(manifest)))


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
