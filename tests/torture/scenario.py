"""What is put to the torture: a state that is there, a manifest that is wanted, and who knows the truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from provisioner.sandbox.world import Commit, OAuthApp, World, utc_now

APPLY = ("apply", "--auto-approve", "--allow", "replace", "--allow", "delete")
RECREATE = ("--allow", "recreate-all")
ROTATE = ("rotate", "one", "--auto-approve")
UNSETTLED = timedelta(minutes=5)  # longer than any point takes
FOREIGN = ("https://somebody-else.example/cb",)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Apps by name with the path of their redirect URI, before and as wanted; `asks` are its requests."""

    name: str
    before: Mapping[str, str]
    wanted: Mapping[str, str]
    asks: tuple[str, ...]
    command: tuple[str, ...] = APPLY  # the first one; after it comes nothing but apply
    emptied: bool = False  # the list may come to show none of the apps
    late: bool = False  # a rotation has come through late: the next apply rotates
    single: bool = True  # one secret, and its request is the last


SCENARIOS = (
    Scenario("create", {}, {"one": "cb"}, ("create",)),
    Scenario("rotate", {"one": "cb"}, {"one": "cb"}, ("rotate",), command=ROTATE),
    Scenario("unsettled", {"one": "cb"}, {"one": "cb"}, ("rotate",), late=True),
    Scenario("delete", {"one": "cb", "two": "cb"}, {"one": "cb"}, ("delete",)),
    Scenario("replace", {"one": "cb", "keep": "cb"}, {"one": "other", "keep": "cb"}, ("delete", "create")),
    Scenario(
        "mix",
        {"gone": "cb", "swap": "cb", "keep": "cb"},
        {"new": "cb", "swap": "other", "keep": "cb"},
        ("delete", "create"),
        single=False,
    ),
)
LAST = Scenario(  # an empty list could be another tenant's: that it is not takes a word of the user's
    "last", {"one": "cb"}, {"one": "other"}, ("delete", "create"), emptied=True
)
BY_NAME = {scenario.name: scenario for scenario in (*SCENARIOS, LAST)}


def manifest(apps: Mapping[str, str], recipient: str) -> str:
    """The YAML. The reader is named in it, so that no command needs an identity."""
    lines = [f"  {name}: {{redirect_uris: ['{uri(name, path)}']}}\n" for name, path in apps.items()]
    listed = "".join(lines) or "  {}\n"
    return f"version: 1\nstate: {{recipients: ['{recipient}']}}\napps:\n{listed}"


def uri(name: str, path: str) -> str:
    """An app's redirect URI."""
    return f"https://{name}.example/{path}"


class Judge(World):
    """A world that remembers each secret it made, lets others be quicker, and has a clock that can jump."""

    def __init__(self, apps: Iterable[OAuthApp] = (), organization_id: str | None = None) -> None:
        self.made: list[str] = []
        self.usurp = False  # at the next create
        self.foreign: OAuthApp | None = None
        self.ahead = timedelta(0)  # of the machine's clock
        super().__init__(apps, organization_id=organization_id, clock=self._clock, on_commit=self._remember)
        self.made += [app.client_secret for app in self.apps()]

    def create(
        self, name: str, redirect_uris: Iterable[str], scopes: Iterable[str] | None = None
    ) -> OAuthApp:
        """As the API does; where somebody is quicker the name is taken."""
        if self.usurp:
            self.usurp = False
            self.foreign = super().create(name, FOREIGN)
        return super().create(name, redirect_uris, scopes)

    def _clock(self) -> datetime:
        return utc_now() + self.ahead

    def _remember(self, commit: Commit) -> None:
        if commit.app:
            self.made.append(commit.app.client_secret)


def come_late(folder: Path, world: World) -> None:
    """Let a rotation have come through after its successor was saved (F28): what makes `apply` rotate."""
    until = (world.now() + UNSETTLED).strftime("%Y-%m-%dT%H:%M:%SZ")
    for path in (folder / "state/apps").glob("*.json"):
        record = json.loads(path.read_bytes())
        record["secret"] |= {"origin": "rotate", "unsettled_until": until}
        path.write_text(json.dumps(record))
        world.rotate(record["object"]["id"])
