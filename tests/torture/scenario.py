"""What is put to the torture: a state that is there, a manifest, what is typed, and who knows the truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from counterparts.places import KINDS, declared

from provisioner.sandbox.world import Commit, OAuthApp, World, utc_now

Command = tuple[str, ...]
APPLY: Command = ("apply", "--auto-approve", "--allow", "replace", "--allow", "delete")
EVERYTHING: Command = ("--allow", "recreate-all", "--max-deletes", "9")
_ROTATING: Command = (*APPLY, "--allow", "rotate")
_ROTATE: Command = ("rotate", "one", "--auto-approve")
_REPLACE: Command = (*APPLY, "--replace", "one")
_DESTROY: Command = ("destroy", "--auto-approve", "--allow", "delete")
_IMPORT: Command = ("import", "one", "{one}")
_IMPORT_AND_ROTATE: Command = (*_IMPORT, "--rotate")
_STATE_MV: Command = ("state", "mv", "one", "first")
_STATE_RM: Command = ("state", "rm", "one")
_DELIVER: Command = ("secret", "deliver")
UNSETTLED = timedelta(minutes=5)  # longer than any point takes
SINKS = ("first", "second")  # two sealed files
LONG_AGO = "2020-01-01T00:00:00Z"
FOREIGN = ("https://somebody-else.example/cb",)


@dataclass(frozen=True, slots=True)
class App:
    """An app of a manifest: the path of its redirect URI, its name where that is not its key, its care."""

    path: str = "cb"
    name: str = ""
    protect: bool | None = None
    rotate_after: str = ""


Apps = Mapping[str, App]
Befell = Callable[[Path, World], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is there before, what the manifest says then, and what is typed. What else comes of it is a flaw.

    `before` was made by an apply, `by_hand` otherwise; `befell` happened since. `stays` are the names of apps
    that end in no record, untouched. In a command `{one}` is the id of the app of that name.
    """

    name: str
    before: Apps
    wanted: Apps
    asks: tuple[str, ...] = ()  # its write requests; none where only the state changes
    command: Command = APPLY
    then: tuple[Command, ...] = (APPLY,)  # what is typed after it, the last one over and over
    moved: Mapping[str, str] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()  # keys, each of the app that was made by hand under this name
    by_hand: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    befell: Befell | None = None
    single: bool = True  # one secret, and its request is the last
    regretted: bool = False  # what is typed then contradicts the first command
    sinks: tuple[str, ...] = ()  # where every app's secret is to be, by names of `counterparts.places`
    delivered: bool = False  # whether it was there before
    sink_only: bool = False  # whether it is to be nowhere else
    alike: str = ""  # a scenario with the same requests and writes, which shows what comes of errors

    @property
    def withdrawable(self) -> bool:
        """Whether it can be told what an emptied manifest comes to, however far the command had come."""
        protects = any(app.protect for apps in (self.before, self.wanted) for app in apps.values())
        return not (self.by_hand or self.stays or self.regretted or self.sinks or protects)

    @property
    def destroys(self) -> bool:
        """Whether it ends with nothing, whatever the manifest says."""
        return self.then[-1][0] == "destroy"


def come_late(folder: Path, world: World) -> None:
    """Let a rotation have come through after its successor was saved (F28): what makes `apply` rotate."""
    until = (world.now() + UNSETTLED).strftime("%Y-%m-%dT%H:%M:%SZ")
    for path, record in _records(folder):
        record["secret"] |= {"origin": "rotate", "unsettled_until": until}
        path.write_text(json.dumps(record))
        world.rotate(record["object"]["id"])


def grow_old(folder: Path, _: World) -> None:
    """Let every secret have been held for years."""
    for path, record in _records(folder):
        record["secret"]["time"] = LONG_AGO
        path.write_text(json.dumps(record))


def rotate_elsewhere(folder: Path, world: World) -> None:
    """Let somebody have rotated every secret in the web interface."""
    for _, record in _records(folder):
        world.rotate(record["object"]["id"])


def move_halfway(folder: Path, _: World) -> None:
    """Let a move have been cut off between its two writes."""
    apps = folder / "state/apps"
    shutil.copy(apps / "one.json", apps / "first.json")
    record = json.loads((apps / "first.json").read_bytes())
    (apps / "first.json").write_text(json.dumps(record | {"key": "first"}))


def _records(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((folder / "state/apps").glob("*.json")):
        yield path, json.loads(path.read_bytes())


CB, OTHER, RENAMED = App(), App("other"), App(name="one")
ONE, TWO, KEPT = {"one": CB}, {"one": CB, "two": CB}, {"one": CB, "keep": CB}
MOVED = {"one": "first"}
SCENARIOS = (  # those in which planted faults are looked for, too
    Scenario("create", {}, ONE, ("create",)),
    Scenario("rotate", ONE, ONE, ("rotate",), _ROTATE),
    Scenario("unsettled", ONE, ONE, ("rotate",), befell=come_late),
    Scenario("delete", TWO, ONE, ("delete",)),
    Scenario("replace", KEPT, {"one": OTHER, "keep": CB}, ("delete", "create")),
    Scenario(
        "mix",
        {"gone": CB, "swap": CB, "keep": CB},
        {"new": CB, "swap": OTHER, "keep": CB},
        ("delete", "create"),
        single=False,
    ),
    Scenario("move", ONE, {"first": RENAMED}, moved=MOVED),
    Scenario("state mv", ONE, {"first": RENAMED}, (), _STATE_MV, (_STATE_MV, APPLY)),
)
MORE = (
    Scenario(
        "due", ONE, {"one": App(rotate_after="30d")}, ("rotate",), _ROTATING, (_ROTATING,),
        befell=grow_old, alike="rotate",
    ),
    Scenario(
        "drifted", ONE, ONE, ("rotate",), _ROTATING, (_ROTATING,), befell=rotate_elsewhere, alike="rotate"
    ),
    Scenario(
        "requested", KEPT, KEPT, ("delete", "create"), _REPLACE, (_REPLACE, APPLY),
        single=False, alike="replace",
    ),
    Scenario(
        "move and rotate", ONE, {"first": App(name="one", rotate_after="30d")}, ("rotate",),
        _ROTATING, (_ROTATING,), moved=MOVED, befell=grow_old, alike="rotate",
    ),
    Scenario(
        "move and replace", KEPT, {"first": OTHER, "keep": CB}, ("delete", "create"),
        moved=MOVED, alike="replace",
    ),
    Scenario(
        "half moved", KEPT, {"first": OTHER, "keep": CB}, ("delete", "create"),
        moved=MOVED, befell=move_halfway, alike="replace",
    ),
    Scenario("deliver", TWO, TWO, sinks=SINKS),
    Scenario("create and deliver", {}, ONE, ("create",), sinks=SINKS, alike="create"),
    Scenario("rotate and deliver", ONE, ONE, ("rotate",), _ROTATE, sinks=SINKS, alike="rotate"),
    Scenario("forget", KEPT, {"keep": CB}, forgotten=("one",), stays=("one",)),
    Scenario("state rm", KEPT, {"keep": CB}, (), _STATE_RM, (_STATE_RM,), stays=("one",)),
    Scenario("protect", ONE, {"one": App(protect=True)}),
    Scenario("lift", {"one": App(protect=True)}, {"one": App(protect=False)}, alike="protect"),
    Scenario(
        "import", {"keep": CB}, {"one": App(protect=True), "keep": CB}, imported=("one",), by_hand=("one",)
    ),
    Scenario("import command", {}, ONE, (), _IMPORT, (_IMPORT,), by_hand=("one",)),
    Scenario(
        "import and rotate", {"keep": CB}, KEPT, ("rotate",),
        _IMPORT_AND_ROTATE, (APPLY, _IMPORT_AND_ROTATE, APPLY), by_hand=("one",), alike="rotate",
    ),
    Scenario(
        "destroy", TWO, TWO, ("delete",), _DESTROY, ((*_DESTROY, *EVERYTHING),),
        by_hand=("else",), stays=("else",),
    ),
    Scenario(
        "regret", TWO, TWO, ("delete",), _DESTROY, ((*APPLY, *EVERYTHING),), single=False, regretted=True
    ),
)  # fmt: skip
LAST = Scenario(  # an empty list could be another tenant's: that it is not takes a word of the user's
    "last", ONE, {"one": OTHER}, ("delete", "create"), then=((*APPLY, *EVERYTHING),)
)
EVERY = (*SCENARIOS, *MORE)


def _delivering(name: str, sinks: tuple[str, ...]) -> Iterator[Scenario]:
    there = {"sinks": sinks, "delivered": True}
    yield Scenario(f"deliver to {name}", ONE, ONE, sinks=sinks, alike="deliver")
    yield Scenario(f"create and deliver to {name}", {}, ONE, ("create",), sinks=sinks, alike="create")
    yield Scenario(f"rotate and deliver to {name}", ONE, ONE, ("rotate",), _ROTATE, **there, alike="rotate")
    yield Scenario(f"withdraw from {name}", TWO, {"two": CB}, ("delete",), **there, alike="delete")
    yield Scenario(
        f"withdraw the only copy from {name}",
        TWO, {"two": CB}, ("delete",), **there, sink_only=True, alike="delete",
    )  # fmt: skip
    yield Scenario(f"keep only in {name}", {}, ONE, ("create",), sinks=sinks, sink_only=True, alike="create")
    yield Scenario(f"move within {name}", ONE, {"first": RENAMED}, moved=MOVED, **there, alike="move")


DELIVERING = tuple(  # to each kind of place alone, and to all of them
    scenario
    for name, sinks in {**{kind: (kind,) for kind in KINDS}, "everywhere": KINDS}.items()
    for scenario in _delivering(name, sinks)
)
BY_HAND = Scenario("secret deliver", TWO, TWO, (), _DELIVER, (_DELIVER, APPLY), sinks=KINDS, alike="deliver")
BY_NAME = {scenario.name: scenario for scenario in (*EVERY, LAST, *DELIVERING, BY_HAND)}


def manifest(scenario: Scenario, apps: Apps, recipient: str, ids: Mapping[str, str] | None = None) -> str:
    """The YAML. The reader is named in it, so that no command needs an identity.

    With `ids`, those of the apps there were at first, it says what became of them.
    """
    listed = "".join(_declared(key, app, scenario.sink_only) for key, app in apps.items()) or "  {}\n"
    delivered = declared(scenario.sinks, recipient) if scenario.sinks else ""
    became = "" if ids is None else _became(scenario, ids)
    return f"version: 1\nstate: {{recipients: [{recipient}]}}\napps:\n{listed}{delivered}{became}"


def _became(scenario: Scenario, ids: Mapping[str, str]) -> str:
    entries = {
        "moved": [f"from: {old}, to: {new}" for old, new in scenario.moved.items()],
        "removed": [f"app: {key}, destroy: false" for key in scenario.forgotten],
        "import": [f"to: {key}, id: {ids[key]}" for key in scenario.imported],
    }
    lines = (f"{name}:\n" + "".join(f"  - {{{text}}}\n" for text in texts) for name, texts in entries.items())
    return "".join(line for line, texts in zip(lines, entries.values(), strict=True) if texts)


def _declared(key: str, app: App, sink_only: bool) -> str:
    said = [f"redirect_uris: ['{uri(app.name or key, app.path)}']"]
    said += [f"name: {app.name}"] * bool(app.name)
    said += [] if app.protect is None else [f"protect: {str(app.protect).lower()}"]
    said += [f"rotate_after: {app.rotate_after}"] * bool(app.rotate_after)
    said += ["sink_only: true"] * sink_only
    return f"  {key}: {{{', '.join(said)}}}\n"


def uri(name: str, path: str = "cb") -> str:
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
