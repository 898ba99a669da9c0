"""What may become of a few apps, whoever tells it: edits of the manifest, and what others do."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from provisioner.consent import Choices, Consent
from provisioner.model import Address, AppSpec
from provisioner.plan import ActionKind
from provisioner.sandbox.world import NameTakenError, OAuthApp
from torture.manifest import MONTH, Manifest
from torture.server import Server

KEYS = ("a", "b", "c", "d")
SHARED = "shared"  # a name that each of them may have, one after the other

LONG = int(MONTH.total_seconds()) + 1000  # seconds, after which a secret is too old

Method = TypeVar("Method", bound=Callable[..., None])

keys = st.sampled_from(KEYS)
chance = st.integers(0, 1_000_000)
some = st.frozensets(keys, max_size=1)
rare = st.integers(0, 3).flatmap(lambda number: some if number == 3 else st.just(frozenset[str]()))


PATHS = st.sampled_from([(), ("cb",), ("cb", "other"), ("other", "cb")])
SCOPES = st.sampled_from([None, (), ("read",), ("write", "read"), ("read", "write")])


EVENTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {}
"""What may happen, by the name of its method, and with which arguments."""


def event(**arguments: st.SearchStrategy[Any]) -> Callable[[Method], Method]:
    """A rule of a state machine, which a story without such a machine may draw as well."""

    def mark(method: Method) -> Method:
        EVENTS[method.__name__] = arguments
        return cast(Method, cast(Any, rule)(**arguments)(method))

    return mark


@dataclass(frozen=True, slots=True)
class Flags:
    """What a command line asks for, by key: `--allow rotate:KEY`, and the flags of these names."""

    allow: frozenset[str] = frozenset()
    replace: frozenset[str] = frozenset()
    target: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()

    def within(self, known: Collection[str]) -> Flags:
        """The same of these apps alone: another would be refused."""
        return Flags(*(keys & {*known} for keys in astuple(self)))

    def choices(self) -> Choices:
        """As the planner takes them."""
        consent = Consent(frozenset((ActionKind.ROTATE, Address(key)) for key in self.allow))
        return Choices(consent, _addresses(self.replace), _addresses(self.target), _addresses(self.exclude))


NO_FLAGS = Flags()
flags = st.builds(Flags, allow=st.frozensets(keys), replace=rare, target=rare, exclude=rare)


class Story(RuleBasedStateMachine):
    """A user's manifest and the world it is about. When it is applied, and what must hold, others say."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: tuple[str, ...] = KEYS  # fewer make it likelier that things happen to one and the same app
        self.server = Server()
        self.manifest = Manifest()
        self.touched: set[str] = set()  # ids of apps that somebody changed by hand
        self.deleted: set[str] = set()  # and of those that somebody deleted by hand
        self.adopted: set[str] = set()  # and of those that the user wanted to import

    # What the user writes.

    @event(key=keys, path=st.sampled_from(["cb", "other"]), shares=st.booleans())
    def declare(self, key: str, path: str, shares: bool) -> None:
        """Add an app, or change one; a change is a replacement."""
        key = self.near(key)
        name = SHARED if shares else f"app-{key}"
        if not self.manifest.has_name(name, but=key):
            self.manifest.declare(key, AppSpec(name, (f"https://{key}.example/{path}",)))

    @event(which=chance, name=st.none() | chance, paths=PATHS, scopes=SCOPES)
    def alter(
        self, which: int, name: int | None, paths: tuple[str, ...], scopes: tuple[str, ...] | None
    ) -> None:
        """Change anything about an app; its name may be one that another had."""
        key = self.any_key(which)
        if key is None:
            return
        spec = self.manifest.apps[key]
        if name is not None and not self.manifest.has_name(self.any_name(name), but=key):
            spec = replace(spec, name=self.any_name(name))
        uris = tuple(f"https://{key}.example/{path}" for path in paths) or spec.redirect_uris
        self.manifest.declare(key, AppSpec(spec.name, uris, scopes))

    @event(key=keys, destroy=st.none() | st.booleans())
    def forget(self, key: str, destroy: bool | None = None) -> None:
        """Take an app out of the manifest; `removed` may say what becomes of it."""
        known = key in self.manifest.apps
        self.manifest.drop(key if known else self.any_key(KEYS.index(key)) or self.near(key), destroy)

    @event(which=chance, new=chance, says=st.booleans())
    def rename(self, which: int, new: int, says: bool) -> None:
        """An app under another key, with the name that it had; `moved` may say so."""
        old = self.any_key(which)
        free = [key for key in KEYS[: len(self.keys) + 1] if key not in self.manifest.apps]
        if old and free:
            self.manifest.rename(old, free[new % len(free)], says)

    @event(key=keys, which=chance, as_it_is=st.booleans())
    def adopt(self, key: str, which: int, as_it_is: bool) -> None:
        """Import an app that exists, whoever made it, with the fields that it has, or with others."""
        app, key = self.any_app(which), self.near(key)
        if app and not self.manifest.has_name(app.name, but=key):
            uris = app.redirect_uris if as_it_is else ("https://mistaken.example/cb",)
            self.manifest.adopt(key, app.id, AppSpec(app.name, uris))
            self.adopted.add(app.id)

    @event(which=chance, protect=st.none() | st.booleans(), ages=st.booleans())
    def look_after(self, which: int, protect: bool | None, ages: bool) -> None:
        """State how an app is looked after, or leave it unstated."""
        key = self.any_key(which)
        if key is not None:
            self.manifest.look_after(key, protect, ages)

    @event()
    def tidy(self) -> None:
        """Take `moved`, `removed` and `import` out of the manifest."""
        self.manifest.tidy()

    # What others do.

    @event(seconds=st.sampled_from([1, 10, 59, 61, 500, LONG, LONG]))
    def wait(self, seconds: int) -> None:
        """Time passes, and with it what can be no later."""
        self.server.wait(timedelta(seconds=seconds))

    @event(which=chance)
    def intrude(self, which: int) -> None:
        """A stranger takes a name, with fields of its own."""
        name = SHARED.title() if which % 8 == 7 else self.any_name(which)
        with suppress(NameTakenError):
            self.server.world.create(name, ["https://stranger.example/cb"])

    @event(which=chance)
    def rotate_by_hand(self, which: int) -> None:
        """Somebody rotates a secret in the web interface."""
        app = self.any_app(which)
        if app:
            self.server.world.rotate(app.id)
            self.touched.add(app.id)

    @event(which=chance)
    def delete_by_hand(self, which: int) -> None:
        """Somebody deletes an app by hand."""
        app = self.any_app(which)
        if app:
            self.remove_by_hand(app.id)

    @event(which=chance, active=st.booleans())
    def switch_by_hand(self, which: int, active: bool) -> None:
        """Somebody makes an app inactive, or active again."""
        app = self.any_app(which)
        if app and app.is_active != active:
            self.server.world.set(app.id, is_active=active)
            self.touched.add(app.id)

    def remove_by_hand(self, app_id: str) -> None:
        """Somebody deletes this app."""
        self.server.world.delete(app_id)
        self.deleted.add(app_id)

    def near(self, key: str) -> str:
        """The key that stands for another in a story of fewer."""
        return self.keys[KEYS.index(key) % len(self.keys)]

    def any_key(self, which: int) -> str | None:
        """One of the manifest's."""
        apps = sorted(self.manifest.apps)
        return apps[which % len(apps)] if apps else None

    def any_name(self, which: int) -> str:
        """One of those that the apps may have."""
        names = [*(f"app-{key}" for key in self.keys), SHARED]
        return names[which % len(names)]

    def any_app(self, which: int) -> OAuthApp | None:
        """One of those that there are."""
        apps = self.server.world.apps()
        return apps[which % len(apps)] if apps else None


def _addresses(keys: Collection[str]) -> frozenset[Address]:
    return frozenset(map(Address, keys))
