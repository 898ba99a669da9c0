"""The truth: every app there is, with its secret, whoever made or changed it."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from provisioner.sandbox.ids import new_client_id, new_id, new_secret


class NameTakenError(ValueError):
    """Another app of the organization holds the name."""


class NoSuchAppError(LookupError):
    """There is no app with this id."""


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An app as it really is. The secret, and the hint made from it, stay out of its repr."""

    id: str
    organization_id: str
    name: str
    client_id: str
    client_secret: str = field(repr=False)
    client_secret_hint: str = field(repr=False)
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    is_active: bool
    created_at: str
    updated_at: str | None = None


@dataclass(frozen=True, slots=True)
class Quirks:
    """What nobody knows of the real API yet. The sandbox plays either answer."""

    rotate_sets_updated_at: bool = True
    keep_uri_order: bool = True  # else redirect URIs come back sorted
    hint_prefix: str = ""  # the hint is the prefix and
    hint_length: int = 4  # this many last characters of the secret; with 0, a rotation does not show
    list_inactive: bool = True
    inactive_hold_name: bool = True
    fold_names: bool = False  # names that differ only by case and outer spaces are one name


AS_DOCUMENTED = Quirks()


@dataclass(frozen=True, slots=True)
class Commit:
    """One change of the world: an app as it is from now on, or, without one, the end of it."""

    id: str
    app: OAuthApp | None


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class World:
    """The apps of one organization. Safe to use from several threads.

    `on_commit` sees each change before it takes place; when it raises, nothing has changed.
    """

    def __init__(
        self,
        apps: Iterable[OAuthApp] = (),
        *,
        organization_id: str | None = None,
        quirks: Quirks = AS_DOCUMENTED,
        clock: Callable[[], datetime] = utc_now,
        on_commit: Callable[[Commit], None] = lambda _: None,
    ) -> None:
        self.organization_id = organization_id or new_id("org")
        self.quirks = quirks
        self.now = clock
        self._on_commit = on_commit
        self._lock = threading.RLock()
        self._apps: dict[str, OAuthApp] = {}
        self._names: dict[str, str] = {}
        self._clients: dict[str, str] = {}
        for app in apps:
            self._keep(app)

    def apps(self) -> tuple[OAuthApp, ...]:
        """Every app, listed or not, in the order of creation."""
        with self._lock:
            return tuple(self._apps.values())

    def listed(self) -> tuple[OAuthApp, ...]:
        """The apps that a list shows."""
        return tuple(app for app in self.apps() if app.is_active or self.quirks.list_inactive)

    def get(self, app_id: str) -> OAuthApp:
        """The app with this id; NoSuchAppError when there is none."""
        with self._lock:
            if app_id not in self._apps:
                raise NoSuchAppError(app_id)
            return self._apps[app_id]

    def create(
        self, name: str, redirect_uris: Iterable[str], scopes: Iterable[str] | None = None
    ) -> OAuthApp:
        """Make an app, as the API does, or somebody by hand; NameTakenError when the name is held."""
        secret = new_secret()
        app = OAuthApp(
            id=new_id("app"),
            organization_id=self.organization_id,
            name=name,
            client_id=new_client_id(),
            client_secret=secret,
            client_secret_hint=self._hint(secret),
            redirect_uris=self._ordered(redirect_uris),
            scopes=tuple(scopes or ()),
            is_active=True,
            created_at=self._timestamp(),
        )
        return self._commit(app)

    def rotate(self, app_id: str) -> OAuthApp:
        """Give the app a new secret; the old one is dead at once."""
        secret = new_secret()
        with self._lock:
            app = self.get(app_id)
            updated_at = self._timestamp() if self.quirks.rotate_sets_updated_at else app.updated_at
            hint = self._hint(secret)
            return self._commit(
                replace(app, client_secret=secret, client_secret_hint=hint, updated_at=updated_at)
            )

    def set(self, app_id: str, **changes: Any) -> OAuthApp:
        """Change fields of the app, as somebody might in the web interface; `updated_at` follows."""
        for name in changes.keys() & {"redirect_uris", "scopes"}:
            changes[name] = tuple(changes[name])
        with self._lock:
            return self._commit(replace(self.get(app_id), **{"updated_at": self._timestamp(), **changes}))

    def delete(self, app_id: str) -> None:
        """End the app; its name is free again."""
        with self._lock:
            app = self.get(app_id)
            self._on_commit(Commit(app_id, None))
            self._release(app)
            del self._apps[app_id], self._clients[app.client_id]

    def confirms(self, client_id: str, client_secret: str) -> bool:
        """Whether the pair is that of an active app."""
        with self._lock:
            app = self._apps.get(self._clients.get(client_id, ""))
        right = hmac.compare_digest((app.client_secret if app else "").encode(), client_secret.encode())
        return app is not None and app.is_active and right

    def _commit(self, app: OAuthApp) -> OAuthApp:
        with self._lock:
            if self._holds_name(app) and self._names.get(self._key(app.name), app.id) != app.id:
                raise NameTakenError(app.name)
            self._on_commit(Commit(app.id, app))
            self._keep(app)
        return app

    def _keep(self, app: OAuthApp) -> None:
        if app.id in self._apps:
            self._release(self._apps[app.id])
        if self._holds_name(app):
            self._names[self._key(app.name)] = app.id
        self._clients[app.client_id] = app.id
        self._apps[app.id] = app

    def _release(self, app: OAuthApp) -> None:
        if self._names.get(self._key(app.name)) == app.id:
            del self._names[self._key(app.name)]

    def _holds_name(self, app: OAuthApp) -> bool:
        return app.is_active or self.quirks.inactive_hold_name

    def _key(self, name: str) -> str:
        return name.strip().casefold() if self.quirks.fold_names else name

    def _hint(self, secret: str) -> str:
        return self.quirks.hint_prefix + secret[len(secret) - self.quirks.hint_length :]

    def _ordered(self, redirect_uris: Iterable[str]) -> tuple[str, ...]:
        return tuple(redirect_uris) if self.quirks.keep_uri_order else tuple(sorted(redirect_uris))

    def _timestamp(self) -> str:
        return self.now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
