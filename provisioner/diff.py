"""One app against what is wanted of it. The only importer of deepdiff."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from provisioner.frozen import dataclass
from provisioner.model import App, AppSpec


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One attribute's two values: a text each, or the sorted elements of a set."""

    name: str
    before: str | tuple[str, ...]
    after: str | tuple[str, ...]


def same(app: App, spec: AppSpec) -> bool:
    """Whether the app is as wanted: URIs and scopes as sets, scopes only where they are managed."""
    return (
        app.name == spec.name
        and _equal_sets(app.redirect_uris, spec.redirect_uris)
        and (spec.scopes is None or _equal_sets(app.scopes, spec.scopes))
    )


def changes(app: App, spec: AppSpec) -> tuple[AttributeChange, ...]:
    """What differs, in the attributes' order. deepdiff is asked only about apps that do differ."""
    return () if same(app, spec) else _changes(_comparable(app, spec), _comparable(spec, spec))


def drifted(before: App, after: App) -> tuple[AttributeChange, ...]:
    """What became of an app, but for its secret."""
    alike = before == replace(after, client_secret_hint=before.client_secret_hint)
    return () if alike else _changes(_attributes(before), _attributes(after))


def _changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[AttributeChange, ...]:
    differing = frozenset[str]() if before == after else _differing(before, after)
    return tuple(
        AttributeChange(name, _shown(before[name]), _shown(after[name]))
        for name in before
        if name in differing
    )


def _equal_sets(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return one == other or frozenset(one) == frozenset(other)


def _comparable(source: App | AppSpec, spec: AppSpec) -> dict[str, Any]:
    values: dict[str, Any] = {"name": source.name, "redirect_uris": frozenset(source.redirect_uris)}
    if spec.scopes is not None:
        values["scopes"] = frozenset(source.scopes or ())
    return values


def _attributes(app: App) -> dict[str, Any]:
    values = {"name": app.name, "redirect_uris": frozenset(app.redirect_uris)}
    return {**values, "scopes": frozenset(app.scopes), "is_active": str(app.is_active).lower()}


def _differing(before: dict[str, Any], after: dict[str, Any]) -> frozenset[str]:
    from deepdiff import DeepDiff  # noqa: PLC0415  # 90 ms, and most plans have nothing to compare

    return frozenset(str(root) for root in DeepDiff(before, after, view="tree").affected_root_keys)


def _shown(value: Any) -> str | tuple[str, ...]:
    return value if isinstance(value, str) else tuple(sorted(value))
