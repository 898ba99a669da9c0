"""Where commands are put to the torture: a sandbox that is the judge, a nursery, folders to work in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyrage
from counterparts.places import Places

from provisioner.sandbox.faults import Faults
from provisioner.sandbox.server import running
from provisioner.sandbox.world import OAuthApp
from torture.scenario import APPLY, EVERYTHING, Apps, Command, Judge, Scenario, manifest, uri
from torture.strace import Call, Strike, calls, options

TESTS = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds for one command: longer than any wait of its own
Plant = tuple[Any, ...]  # a name in planted.py, and its arguments
INLINE: Plant = ("inline",)  # one thread, so that a call's ordinal is the same in every run


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command did. `calls` where strace was there."""

    arguments: Command
    status: int
    out: str
    err: str
    calls: tuple[Call, ...] = ()

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


@dataclass(slots=True)
class Case:
    """A folder to work in with its world, the apps it had at first, and everything that was run there."""

    scenario: Scenario
    folder: Path
    judge: Judge
    wanted: Apps
    plants: tuple[Plant, ...] = ()
    withdrawn: bool = False
    began: tuple[OAuthApp, ...] = ()
    ran: list[Ran] = field(default_factory=list)

    @property
    def journal(self) -> list[str]:
        """The open operations' files."""
        return sorted(map(str, (self.folder / "state/.journal").glob("*.op")))

    @property
    def contradicted(self) -> bool:
        """Whether what is wanted is not what a command before asked for."""
        return self.withdrawn or self.scenario.regretted

    @property
    def first(self) -> Command:
        """The scenario's command."""
        return self._typed(self.scenario.command)

    def then(self, turn: int) -> Command:
        """What is typed after it."""
        if self.withdrawn:
            return (*APPLY, *EVERYTHING)
        return self._typed(self.scenario.then[min(turn, len(self.scenario.then) - 1)])

    def end(self, arguments: Command) -> Apps:
        """What is to be recorded once a command has ended with 0."""
        return {} if arguments[0] == "destroy" else self.wanted

    @property
    def ids(self) -> dict[str, str]:
        """The ids of the apps that there were at first, by name."""
        return {app.name: app.id for app in self.began}

    def _typed(self, command: Command) -> Command:
        return tuple(part.format(**self.ids) for part in command)


@dataclass(frozen=True, slots=True)
class _Template:
    folder: Path
    judge: Judge
    places: object


class Bench:
    """Made once a worker; a case is copied from a template, so that a point costs little."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._root = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        self._home = self._root / "home"
        self._home.mkdir()
        self._logs = self._root / "logs"
        self._logs.mkdir()
        self.sandbox = self._open.enter_context(running(Judge()))
        self.places = self._open.enter_context(Places(self._home))
        self._nursery = self._open.enter_context(_nursery())
        self.identity = pyrage.x25519.Identity.generate()
        self._number = 0
        self._templates: dict[str, _Template] = {}  # by what there is before

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the sandbox and the nursery, and take the folders away."""
        self._open.close()

    @contextmanager
    def case(self, scenario: Scenario, plants: Iterable[Plant] = ()) -> Iterator[Case]:
        """A fresh copy of what there is before, with the manifest that is wanted."""
        template = self._template(scenario)
        folder = self._fresh()
        shutil.copytree(template.folder, folder, dirs_exist_ok=True)
        judge = Judge(template.judge.apps(), template.judge.organization_id)
        judge.made += template.judge.made
        for name in scenario.by_hand:
            judge.create(name, [uri(name)])
        if scenario.befell:
            scenario.befell(folder, judge)
        case = Case(scenario, folder, judge, scenario.wanted, tuple(plants), began=judge.apps())
        (folder / "apps.yaml").write_text(self._manifest(scenario, scenario.wanted, case.ids))
        self._equip(scenario, folder)
        self._serve(judge, template.places)
        try:
            yield case
        finally:
            self.sandbox.settle()  # nothing late may befall the next case's world
            shutil.rmtree(folder)

    def withdraw(self, case: Case) -> None:
        """The manifest wants nothing any more."""
        case.wanted, case.withdrawn = {}, True
        (case.folder / "apps.yaml").write_text(self._manifest(case.scenario, case.wanted))

    def calm(self) -> None:
        """No faults any more."""
        self.sandbox.faults = Faults()
        self.places.calm()

    def struck(self, case: Case, *strikes: Strike, plants: Iterable[Plant] = ()) -> Ran:
        """The scenario's command the first time, what is typed after that later, under strace."""
        arguments = case.then(0) if case.ran else case.first
        return self.run(case, arguments, options(strikes), (*case.plants, *plants))

    def follow(self, case: Case, turn: int = 0) -> Ran:
        """One of the commands that come after it, which nothing befalls."""
        return self.run(case, case.then(turn), None, case.plants)

    def plan(self, case: Case) -> Ran:
        """One plan."""
        destroy = ["--destroy"] * (case.scenario.destroys and not case.withdrawn)
        return self.run(case, ["plan", "--detailed-exitcode", *destroy], None, case.plants)

    def run(
        self, case: Case, arguments: Sequence[str], tracing: list[str] | None, plants: Iterable[Plant]
    ) -> Ran:
        """One command in the case's folder."""
        out, err, log = (self._logs / name for name in ("out", "err", "log"))
        for path in (out, err, log):
            path.unlink(missing_ok=True)
        request = {
            "arguments": list(arguments), "folder": str(case.folder), "out": str(out), "err": str(err),
            "plants": list(plants), "held": tracing is not None, "environment": self._environment(case),
        }  # fmt: skip
        status = self._nursery.run(request, None if tracing is None else [*tracing, "-o", str(log)])
        seen = tuple(calls(log.read_text("utf-8", "replace"))) if log.exists() else ()
        case.ran.append(Ran(tuple(arguments), status, _text(out), _text(err), seen))
        return case.ran[-1]

    def _environment(self, case: Case) -> dict[str, str]:
        return {
            "HOME": str(self._home),
            "PATH": os.environ["PATH"],
            "SOPS_AGE_KEY": str(self.identity),  # for what is delivered later than it was made
            "METEROID_BASE_URL": self.sandbox.url,
            "METEROID_API_KEY": self.sandbox.api_key,
            "PROVISIONER_LOG": "debug",
            "PROVISIONER_LOG_PATH": str(case.folder / "run.log"),
            **self.places.environment,
        }

    def _template(self, scenario: Scenario) -> _Template:
        """Each beginning is made once."""
        sinks, only = (scenario.sinks, scenario.sink_only) if scenario.delivered else ((), False)
        key = str((scenario.before, sinks, only))
        if key not in self._templates:
            beginning = Scenario("beginning", {}, scenario.before, sinks=sinks, sink_only=only)
            self._templates[key] = self._prepare(beginning)
        return self._templates[key]

    def _prepare(self, scenario: Scenario) -> _Template:
        folder, judge = self._fresh(), Judge()
        self._serve(judge)
        if scenario.wanted:
            (folder / "apps.yaml").write_text(self._manifest(scenario, scenario.wanted))
            self._equip(scenario, folder)
            ran = self.follow(Case(scenario, folder, judge, scenario.wanted))
            if ran.status:
                raise RuntimeError(f"{list(scenario.wanted)} could not be prepared: {ran.err}")
        return _Template(folder, judge, self.places.snapshot() if scenario.wanted else None)

    def _equip(self, scenario: Scenario, folder: Path) -> None:
        if "command" in scenario.sinks:
            self.places.prepare(folder)

    def _manifest(self, scenario: Scenario, apps: Apps, ids: Mapping[str, str] | None = None) -> str:
        return manifest(scenario, apps, str(self.identity.to_public()), ids)

    def _serve(self, judge: Judge, places: object = None) -> None:
        self.sandbox.world = judge
        self.sandbox.calls.clear()
        self.places.restore(places)
        self.calm()

    def _fresh(self) -> Path:
        self._number += 1
        folder = self._root / f"case{self._number}"
        folder.mkdir()
        return folder


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace")


@contextmanager
def _nursery() -> Iterator[_Nursery]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "torture.nursery"],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        nursery = _Nursery(process)
        yield nursery
        nursery.close()


class _Nursery:
    """The other end of nursery.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._in, self._out = process.stdin, process.stdout
        self._heard()

    def close(self) -> None:
        self._in.close()

    def run(self, request: dict[str, Any], tracing: list[str] | None) -> int:
        """The exit status of one command, minus the signal's number where one ended it."""
        self._say(json.dumps(request))
        child = int(self._heard())
        impatience = threading.Timer(PATIENCE, os.kill, (child, signal.SIGKILL))
        impatience.start()
        try:
            return int(self._heard()) if tracing is None else self._traced(child, tracing)
        finally:
            impatience.cancel()

    def _traced(self, child: int, tracing: list[str]) -> int:
        command = ["strace", *tracing, "-p", str(child)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr
            attached = tracer.stderr.readline()
            self._say("go")
            status = int(self._heard())
            tracer.stderr.read()
        if "attached" not in attached:
            raise RuntimeError(f"strace could not attach: {attached}; the command ended with {status}")
        return status

    def _say(self, line: str) -> None:
        self._in.write(line + "\n")
        self._in.flush()

    def _heard(self) -> Any:
        line = self._out.readline()
        if not line:
            raise RuntimeError("the nursery ended")
        return json.loads(line)
