"""Every type of sink, broken before a delivery, during it and after it; and while a copy is taken away."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import pytest
from counterparts.places import FOLDERS, KINDS, SERVERS, Places, declared
from torture.oracle import forms

from provisioner.sandbox.application import Sandbox

pytestmark = pytest.mark.unmeasured

APPLY = ("apply", "--auto-approve", "--allow", "delete", "--allow", "recreate-all", "--max-deletes", "9")
FLOWS = {"create": APPLY, "rotate": ("rotate", "one", "--auto-approve")}
WRITES = {("vault", "rotate"): 1, ("kubernetes", "rotate"): 1}  # of a delivery, where they are not two
REMOVING = {"vault": 1, "kubernetes": 1, "github": 2}


@dataclass
class House:
    """One app, one sink, what is behind it, and everything that was printed."""

    kind: str
    folder: Path
    places: Places
    sandbox: Sandbox
    type: Callable[..., Any]
    patch: pytest.MonkeyPatch
    printed: list[str]

    def run(self, *arguments: str) -> int:
        ran = self.type(*arguments)
        self.printed += [ran.out, ran.err]
        return int(ran.status)

    def wants(self, app: bool) -> None:
        """Let the manifest have the app, or none."""
        listed = "  one: {redirect_uris: ['https://one.example/cb']}\n" if app else "  {}\n"
        (self.folder / "apps.yaml").write_text(
            f"version: 1\nstate: {{recipients: [{self.reader}]}}\napps:\n{listed}"
            + declared([self.kind], self.reader)
        )

    @property
    def identity(self) -> pyrage.x25519.Identity:
        text = (Path.home() / ".config/provisioner/identity.txt").read_text().splitlines()[-1]
        return pyrage.x25519.Identity.from_str(text)

    @property
    def reader(self) -> str:
        return str(self.identity.to_public())

    @property
    def held(self) -> tuple[str, str] | None:
        return self.places.held(self.kind, self.folder, "one", self.identity)

    @property
    def live(self) -> tuple[str, str]:
        (app,) = self.sandbox.world.apps()
        return app.client_id, app.client_secret

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "state/apps/one.json").read_bytes()))

    def asked(self) -> tuple[int, ...]:
        """How many writes the API was asked for."""
        return tuple(self.sandbox.calls[name] for name in ("create", "rotate", "delete"))


@pytest.fixture(params=KINDS)
def house(
    request: pytest.FixtureRequest, provisioner, sandbox, tmp_path: Path, monkeypatch, tmp_path_factory
) -> Iterator[House]:
    made: list[str] = []
    sandbox.world._on_commit = lambda commit: made.append(commit.app.client_secret) if commit.app else None
    with Places(tmp_path_factory.mktemp("places")) as places, monkeypatch.context() as patch:
        environment = {**places.environment, "PROVISIONER_LOG": "debug", "PROVISIONER_LOG_PATH": "run.log"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        provisioner("init", "-f", "starter.yaml")
        places.prepare(tmp_path)
        found = House(request.param, tmp_path, places, sandbox, provisioner, patch, [])
        found.wants(app=True)
        yield found
    assert made, "no secret was made, so nothing was looked for"
    clear = tmp_path / FOLDERS.get(request.param, "none")
    texts = [text.encode() for text in found.printed]
    texts += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.parent != clear]
    canaries = [form for text in (sandbox.api_key, *places.tokens, *made) for form in forms(text)]
    assert not [text for text in texts if any(form in text for form in canaries)]
    assert "Traceback" not in "".join(found.printed)


def break_before(house: House) -> None:
    """So that a probe sees it."""
    if house.kind in SERVERS:
        house.places.down = "500-before"
    elif house.kind == "command":
        (house.folder / "deliver").chmod(0o600)
    else:
        (house.folder / FOLDERS[house.kind]).mkdir(exist_ok=True)
        (house.folder / FOLDERS[house.kind]).chmod(0o777)


def break_during(house: House, flow: str) -> None:
    """Half-way: the last request is not done, the file is not renamed, the program gives up."""
    if house.kind in SERVERS:
        house.places.befall({WRITES.get((house.kind, flow), 2): "500-before"})
    elif house.kind == "command":
        rewrite(house.folder / "deliver", "mv ", "exit 1; mv ")
    else:
        house.patch.setattr(os, "rename", refusing(os.rename))


def break_after(house: House, flow: str) -> None:
    """When all is there and nobody hears of it."""
    if house.kind in SERVERS:
        house.places.befall({WRITES.get((house.kind, flow), 2): "lost-after"})
    elif house.kind == "command":
        rewrite(house.folder / "deliver", "esac", "esac; exit 1")
    else:
        house.patch.setattr(os, "fsync", failing_late(os.fsync, house.folder / FOLDERS[house.kind]))


def mend(house: House) -> None:
    house.patch.undo()
    house.places.calm()
    house.places.prepare(house.folder)
    if house.kind in FOLDERS and (folder := house.folder / FOLDERS[house.kind]).exists():
        folder.chmod(0o700)


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refusing(real: Callable[..., None]) -> Callable[..., None]:
    """Fails for files in open folders, as those of sinks are."""

    def call(*arguments: Any, **folders: Any) -> None:
        if folders:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(*arguments)

    return call


def failing_late(real: Callable[[int], None], folder: Path) -> Callable[[int], None]:
    """Fails for a folder in which a whole file is."""

    def fsync(fd: int) -> None:
        real(fd)
        here = Path(f"/proc/self/fd/{fd}").readlink()
        if here == folder and any(path.name.startswith("one.") for path in folder.iterdir()):
            assert stat.S_ISDIR(os.fstat(fd).st_mode)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    return fsync


def delivered(house: House) -> None:
    """The sink has the live pair, the state knows it, and nothing is left to be done."""
    assert house.held == house.live
    record = house.record
    assert record["deliveries"][house.kind]["operation"] == record["secret"]["operation"]
    assert house.places.remains([house.kind], house.folder, ["one"]) == []
    mark = house.places.mark([house.kind], house.folder)
    assert house.run("plan", "--detailed-exitcode") == 0
    assert house.run("secret", "deliver") == 0
    assert house.places.mark([house.kind], house.folder) == mark


def test_f9_a_sink_that_is_broken_before_ends_the_run_with_nothing_sent(house: House) -> None:
    for command in FLOWS.values():
        before = house.asked()
        break_before(house)
        assert house.run(*command) == 1
        assert house.asked() == before
        mend(house)
        assert house.run(*command) == 0
        delivered(house)


def test_f9_a_sink_that_breaks_during_a_delivery_gets_it_from_the_next_apply(house: House) -> None:
    for flow, command in FLOWS.items():
        break_during(house, flow)
        assert house.run(*command) == 3
        asked, record = house.asked(), house.record
        assert f"not delivered to {house.kind}: " in "".join(house.printed)
        assert house.held != house.live
        assert "BEGIN AGE ENCRYPTED FILE" in record["secret"]["sealed"]
        receipt = record.get("deliveries", {}).get(house.kind)
        assert receipt is None or receipt["operation"] != record["secret"]["operation"]
        house.places.befall(dict.fromkeys(range(9), "500-before"))
        assert house.run(*APPLY) == 3  # still broken, and still nothing lost
        mend(house)
        assert house.run(*APPLY) == 0
        assert house.asked() == asked
        delivered(house)


def test_f10_a_sink_that_breaks_after_a_delivery_is_given_the_same_again(house: House) -> None:
    for (flow, command), again in zip(FLOWS.items(), (APPLY, ("secret", "deliver")), strict=True):
        break_after(house, flow)
        assert house.run(*command) == 3
        asked = house.asked()
        assert house.held == house.live
        mend(house)
        assert house.run(*again) == 0
        assert house.asked() == asked
        delivered(house)


def test_f29_a_sink_that_breaks_while_a_copy_is_removed_keeps_the_app_until_it_is(house: House) -> None:
    assert house.run(*APPLY) == 0
    house.wants(app=False)
    if house.kind in SERVERS:
        house.places.befall({REMOVING[house.kind]: "lost-after"})
    elif house.kind == "command":
        rewrite(house.folder / "deliver", "esac", "esac; exit 1")
    else:
        house.patch.setattr(os, "unlink", refusing(os.unlink))
    assert house.run(*APPLY) == 3
    assert house.sandbox.calls["delete"] == 0
    assert f"not removed from {house.kind}: " in "".join(house.printed)
    assert house.kind in house.record["deliveries"]
    mend(house)
    assert house.run(*APPLY) == 0
    assert house.sandbox.world.apps() == ()
    assert house.places.remains([house.kind], house.folder, []) == []
