"""A manifest in the hands of a user: whatever is edited, what comes of it can be loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Self

from provisioner.desired import DesiredState, resolve
from provisioner.manifest import Source, load
from provisioner.model import AppSpec
from provisioner.name import fold

MONTH = timedelta(days=30)  # how old a secret may grow, where that is stated


@dataclass(slots=True)
class Manifest:
    """Its sections by key. What an edit makes contradictory is taken out, as the errors would say."""

    apps: dict[str, AppSpec] = field(default_factory=dict)
    protect: dict[str, bool] = field(default_factory=dict)  # where it is stated
    ageing: set[str] = field(default_factory=set)  # rotate_after
    moved: dict[str, str] = field(default_factory=dict)
    removed: dict[str, bool] = field(default_factory=dict)  # whether it is destroyed
    imports: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Self:
        """Another one that says the same."""
        return deepcopy(self)

    def has_name(self, name: str, but: str = "") -> bool:
        """Whether an app, but for that of one key, has a name that may be the same to the API."""
        return any(fold(spec.name) == fold(name) for key, spec in self.apps.items() if key != but)

    def declare(self, key: str, spec: AppSpec) -> None:
        """Add an app, or give it other fields."""
        self.apps[key] = spec
        self._mend()

    def look_after(self, key: str, protect: bool | None, ages: bool) -> None:
        """Whether it may be destroyed, where that is stated, and whether its secret is renewed."""
        self.protect.pop(key, None)
        if protect is not None:
            self.protect[key] = protect
        self.ageing = self.ageing | {key} if ages else self.ageing - {key}

    def drop(self, key: str, destroy: bool | None = None) -> None:
        """Take an app out; where `destroy` is stated, `removed` says what becomes of it."""
        self.apps.pop(key, None)
        if destroy is not None:
            self.moved.pop(key, None)
            self.removed[key] = destroy
        self._mend()

    def rename(self, old: str, new: str, says: bool) -> None:
        """The app, and what is said of it, under another key; `moved` tells, or does not."""
        self.apps[new] = self.apps.pop(old)
        if old in self.protect:
            self.protect[new] = self.protect.pop(old)
        if old in self.ageing:
            self.ageing = self.ageing - {old} | {new}
        if says:
            self.moved = {start: end for start, end in self.moved.items() if end != new} | {old: new}
        self._mend()

    def keep(self, key: str) -> None:
        """Say no more that it was moved, nor of what was moved to it, which led on."""
        self.moved.pop(key, None)
        self._mend()

    def adopt(self, key: str, app_id: str, spec: AppSpec) -> None:
        """Import an existing app."""
        self.imports = {to: taken for to, taken in self.imports.items() if taken != app_id} | {key: app_id}
        self.moved = {old: new for old, new in self.moved.items() if new != key}
        self.declare(key, spec)

    def tidy(self) -> None:
        """Take out what was said of apps that were: it is done, or given up."""
        self.moved, self.removed, self.imports = {}, {}, {}

    def only(self, keys: Iterable[str]) -> Self:
        """The same with these apps alone."""
        again = self.copy()
        again.apps = {key: spec for key, spec in self.apps.items() if key in {*keys}}
        again._mend()
        return again

    def desired(self) -> DesiredState:
        """What the product makes of it."""
        return resolve(load([Source("apps.yaml", json.dumps(self._document()).encode())]))

    def _mend(self) -> None:
        apps = self.apps.keys()
        self.protect = {key: stated for key, stated in self.protect.items() if key in apps}
        self.ageing &= apps
        self.removed = {key: destroy for key, destroy in self.removed.items() if key not in apps}
        known, moved = set[str](), self.moved
        while known != moved.keys():  # an entry that goes may have been what another led to
            known = {*moved}
            ends = {*apps, *known, *self.removed}
            moved = {old: new for old, new in moved.items() if old not in apps and new in ends}
        self.moved = moved
        self.removed = {key: destroy for key, destroy in self.removed.items() if key not in moved}
        ends = {*moved.values()}
        self.imports = {to: taken for to, taken in self.imports.items() if to in apps and to not in ends}

    def _document(self) -> dict[str, Any]:
        return {
            "version": 1,
            "apps": {key: self._app(key, spec) for key, spec in self.apps.items()},
            "moved": [{"from": old, "to": new} for old, new in self.moved.items()],
            "removed": [{"app": key, "destroy": destroy} for key, destroy in self.removed.items()],
            "import": [{"to": key, "id": app_id} for key, app_id in self.imports.items()],
        }

    def _app(self, key: str, spec: AppSpec) -> dict[str, Any]:
        fields: dict[str, Any] = asdict(spec)
        if key in self.protect:
            fields["protect"] = self.protect[key]
        if key in self.ageing:
            fields["rotate_after"] = f"{MONTH.days}d"
        return fields
