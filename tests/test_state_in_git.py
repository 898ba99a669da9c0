"""The state in git as pipelines use it: from a pull request to drift, and runners that die at every step."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provisioner.sandbox.application import Sandbox
from provisioner.sandbox.faults import Faults

COMMAND = [sys.executable, "-m", "provisioner"]
NAME = "provisioner-state"
HEAD = "version: 1\nstate: {git: {}}\nrecovery: {settle: 1s}\n"
APPS = {key: f"https://{key}.example/cb" for key in ("one", "two", "three")}
SEED = 20261125


def manifest(apps: dict[str, str]) -> str:
    lines = [f"  {key}: {{redirect_uris: [{uri}]}}\n" for key, uri in apps.items()]
    return HEAD + ("apps:\n" + "".join(lines) if lines else "apps: {}\n")


@dataclass
class Team:
    """A repository with a manifest, its sandbox, and runners that each have a clone of their own."""

    clone: Callable[..., Path]
    sandbox: Sandbox
    folder: Path
    names: Iterator[str] = field(default_factory=lambda: (f"runner{number}" for number in range(10_000)))

    def runner(self, branch: str = "main") -> Path:
        """A fresh disk."""
        return self.clone(next(self.names), "--depth=1", f"--branch={branch}")

    def git(self, folder: Path, *arguments: str) -> str:
        who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")
        command = ["git", "-C", str(folder), *who, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, text: str, branch: str = "main") -> None:
        """A manifest on a branch, pushed by somebody."""
        folder = self.clone(next(self.names))
        self.git(folder, "checkout", "--quiet", "-B", branch)
        (folder / "apps.yaml").write_text(text)
        self.git(folder, "add", "apps.yaml")
        self.git(folder, "commit", "--quiet", "--allow-empty", "--message=manifest")
        self.git(folder, "push", "--quiet", "--force", "origin", branch)

    def run(self, folder: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
        """The command in a process of its own."""
        environment = os.environ | ({"PATH": path} if path else {})
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def unlock(self, folder: Path) -> bool:
        """Break the lock that a dead run has left, if there is one, as its refusal says."""
        refused = self.run(folder, "state", "unlock")
        found = re.search(r"provisioner state unlock (lock_\w+)", refused.stderr)
        if found is None:
            assert "not locked" in refused.stderr
            return False
        assert self.run(folder, "state", "unlock", found[1]).returncode == 0
        return True

    def problems(self, folder: Path, expected: dict[str, str]) -> list[str]:
        """What does not hold after a recovery: exactly these apps, each with a secret that the API takes."""
        found = []
        apps = {app.name: app for app in self.sandbox.world.apps()}
        if {name: app.redirect_uris for name, app in apps.items()} != {
            name: (uri,) for name, uri in expected.items()
        } or len(apps) != len(self.sandbox.world.apps()):
            found.append(f"the API has {sorted(apps)}")
        verified = self.run(folder, "verify", "--json")
        held = {entry["address"] for entry in json.loads(verified.stdout or "{}").get("verdicts", ())}
        if verified.returncode != 0 or held != {f"oauth_app.{key}" for key in expected}:
            found.append(f"verify: {verified.stdout}{verified.stderr}")
        planned = self.run(folder, "plan", "--detailed-exitcode")
        if planned.returncode != 0:
            found.append(f"plan is not empty: {planned.stdout[-500:]}{planned.stderr}")
        return found + self.leaks()

    def leaks(self) -> list[str]:
        """Secrets that anybody pushed in clear, whatever became of the commit."""
        origin = self.folder / "origin.git"
        every = subprocess.run(
            ["git", "-C", str(origin), "cat-file", "--batch-all-objects", "--batch", "--unordered"],
            capture_output=True, timeout=60, check=True,
        ).stdout  # fmt: skip
        secrets = [app.client_secret for app in self.sandbox.world.apps()] + [self.sandbox.api_key]
        forms = [form for text in secrets for form in (text.encode(), base64.b64encode(text.encode())[:-4])]
        return ["a secret was pushed in clear"] * any(form in every for form in forms)


@pytest.fixture
def team(clone, sandbox, tmp_path, monkeypatch, provisioner) -> Team:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert provisioner("init", "-f", str(tmp_path / "starter.yaml")).status == 0
    return Team(clone, sandbox, tmp_path)


# The whole way of a change


def test_where_there_is_no_branch_yet_drift_and_verify_say_so_and_are_no_success(team: Team) -> None:
    team.commit(manifest(APPS))
    runner = team.runner()
    said = (
        f"Warning: there is no state in the branch {NAME} of origin: nothing was {{}}; is it the right one?\n"
    )
    for arguments, undone in ((("drift", "--detailed-exitcode"), "compared"), (("verify",), "verified")):
        ran = team.run(runner, *arguments)
        assert (ran.returncode, ran.stderr) == (1, said.format(undone))


def test_a_change_goes_from_a_pull_request_to_an_apply_by_digest_and_drift_is_seen(team: Team) -> None:
    team.commit(manifest({}))
    team.commit(manifest(APPS), "change")
    planned = team.run(team.runner("change"), "plan", "--out", "plan.json")
    digest = re.search(r"sha256:[0-9a-f]{64}", planned.stdout)
    assert digest, planned.stderr
    assert team.sandbox.calls["create"] == 0

    merger = team.clone("merger")  # somebody reads the plan, approves its digest, and merges
    team.git(merger, "merge", "--quiet", "--no-edit", "origin/change")
    team.git(merger, "push", "--quiet", "origin", "HEAD:main")
    wrong = team.run(team.runner(), "apply", "--digest", "sha256:" + "0" * 64)
    assert wrong.returncode == 1
    assert team.sandbox.calls["create"] == 0
    applied = team.run(team.runner(), "apply", "--digest", digest[0])
    assert applied.returncode == 0, applied.stderr
    assert "Apply complete! Resources: 3 added" in applied.stdout
    assert team.problems(team.runner(), APPS) == []
    again = team.run(team.runner(), "apply", "--digest", digest[0])  # what was approved is done
    assert again.returncode == 1
    assert team.sandbox.calls["create"] == 3

    app = next(app for app in team.sandbox.world.apps() if app.name == "two")
    team.sandbox.world.set(app.id, redirect_uris=("https://elsewhere.example/cb",))
    drifted = team.run(team.runner(), "drift")
    assert "oauth_app.two" in drifted.stdout
    assert "https://elsewhere.example/cb" in drifted.stdout
    team.sandbox.world.set(app.id, redirect_uris=("https://two.example/cb",))
    assert team.run(team.runner(), "plan", "--detailed-exitcode").returncode == 0


def test_a_state_in_a_folder_is_taken_along_by_the_command_that_the_page_shows(team: Team) -> None:
    page = Path(__file__).parent.parent / "docs" / "pipelines.md"
    (command,) = re.findall(r"^git push origin .*commit-tree.*$", page.read_text("utf-8"), re.MULTILINE)
    folder, two = team.runner(), {key: APPS[key] for key in ("one", "two")}
    (folder / "apps.yaml").write_text(manifest(two).replace("git: {}", "path: state"))
    assert team.run(folder, "apply", "--auto-approve").returncode == 0
    team.git(folder, "add", "state")
    team.git(folder, "commit", "--quiet", "--message=state")
    who = {f"GIT_{role}_{what}": "dev" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=os.environ | who, capture_output=True, check=True
    )
    (folder / "apps.yaml").write_text(manifest(two))
    shutil.rmtree(folder / "state")
    assert team.problems(folder, two) == []
    (folder / "apps.yaml").write_text(manifest(APPS))
    assert team.run(folder, "apply", "--auto-approve").returncode == 0
    assert team.problems(folder, APPS) == []


def test_of_two_runners_at_once_one_waits_and_finds_nothing_left_to_do(team: Team) -> None:
    team.commit(manifest(APPS))
    folders = [team.runner(), team.runner()]
    ended: list[subprocess.CompletedProcess[str]] = []

    def work(folder: Path) -> None:
        ended.append(team.run(folder, "apply", "--auto-approve", "--lock-timeout", "60s"))

    threads = [threading.Thread(target=work, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done.returncode for done in ended] == [0, 0], ended
    assert sorted("3 added" in done.stdout for done in ended) == [False, True]
    assert team.sandbox.calls["create"] == 3
    assert team.problems(team.runner(), APPS) == []


def test_a_second_runner_that_does_not_wait_is_refused_with_exit_4_and_the_way_out(team: Team) -> None:
    team.commit(manifest(APPS))
    team.sandbox.add_fault("create:hang-before")
    first = started(team.runner(), "apply", "--auto-approve")
    try:
        until_played(team.sandbox, first)
        refused = team.run(team.runner(), "apply", "--auto-approve")
        assert refused.returncode == 4
        assert f"process {first.pid} on" in refused.stderr
        assert "If that run is dead: provisioner state unlock lock_" in refused.stderr
    finally:
        first.kill()
        first.wait()
    assert team.unlock(team.runner())


@pytest.mark.slow  # tries again, as it should
def test_a_git_host_that_is_gone_in_the_middle_stops_the_run_and_the_next_one_here_goes_on(
    team: Team, faulty_git: Callable[[str], str]
) -> None:
    team.commit(manifest(APPS))
    folder = team.runner()
    gone = faulty_git('case " $* " in *" push "*) [ "$COUNT" -gt 9 ] && exit 128;; esac')
    ended = team.run(folder, "apply", "--auto-approve", "--parallelism", "1", path=gone)
    assert ended.returncode == 3, ended
    assert "could not be pushed to origin" in ended.stderr
    made = team.sandbox.calls["create"]
    assert 0 < made < 3
    team.unlock(folder)
    again = team.run(folder, "apply", "--auto-approve")
    assert again.returncode == 0, again.stderr
    assert "Note: what an earlier run had recorded here and not pushed is pushed now." in again.stderr
    assert team.sandbox.calls["create"] == 3
    assert team.sandbox.calls["rotate"] == 0  # nothing was lost, so nothing had to be replaced
    assert team.problems(team.runner(), APPS) == []


@pytest.mark.slow  # as above
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_git_host_that_is_gone_at_the_end_leaves_what_was_done_here_and_says_so(
    team: Team, faulty_git: Callable[[str], str], form: tuple[str, ...]
) -> None:
    team.commit(manifest({"one": APPS["one"]}))
    folder = team.runner()
    gone = faulty_git('case " $* " in *" push "*) [ "$COUNT" -gt 8 ] && exit 128;; esac')
    ended = team.run(folder, "apply", "--auto-approve", *form, path=gone)
    assert ended.returncode == 3
    assert "Apply complete" not in ended.stdout
    said = ended.stdout if form else ended.stderr
    assert "Error: What was done is not where others see it" in said
    assert "The state could not be pushed to origin." in said
    team.unlock(folder)
    again = team.run(folder, "apply", "--auto-approve")
    assert "Note: what an earlier run had recorded here and not pushed is pushed now." in again.stderr
    assert team.sandbox.calls["create"] == 1
    assert team.problems(team.runner(), {"one": APPS["one"]}) == []


def test_git_is_started_without_the_token_and_the_identity(team: Team, faulty_git, tmp_path: Path) -> None:
    team.commit(manifest(APPS))
    seen = tmp_path / "seen"
    telling = faulty_git(f'env >> "{seen}"; echo "$*" >> "{seen}"')
    ended = team.run(team.runner(), "apply", "--auto-approve", path=telling)
    assert ended.returncode == 0, ended.stderr
    text = seen.read_text()
    assert "HOME=" in text
    assert team.sandbox.api_key not in text
    assert "METEROID_API_KEY" not in text
    assert "AGE_KEY" not in text


# Runners that die, and their disks with them


@pytest.fixture
def faulty_git(tmp_path: Path, tool: Callable[[str], str]) -> Callable[[str], str]:
    """A PATH whose git first runs `script` (sh): $COUNT is how often it was started, $GIT the real one."""
    numbers = iter(range(10_000))

    def make(script: str) -> str:
        folder = tmp_path / f"git{next(numbers)}"
        folder.mkdir()
        counting = f"echo >> {folder}/calls\nCOUNT=$(wc -l < {folder}/calls)\nGIT={tool('git')}"
        program = folder / "git"
        program.write_text(f'#!/bin/sh\n{counting}\n{script}\nexec "$GIT" "$@"\n')
        program.chmod(0o755)
        return f"{folder}{os.pathsep}{os.environ['PATH']}"

    return make


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command, on its way."""
    silent = subprocess.DEVNULL
    return subprocess.Popen([*COMMAND, *arguments], cwd=folder, stdout=silent, stderr=silent)


def until_played(sandbox: Sandbox, process: subprocess.Popen[bytes]) -> None:
    """Until the fault struck, or the process ended without it."""
    ends = time.monotonic() + 60
    while not sandbox.played and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.01)


def killed_in_git(count: int, when: str) -> str:
    """A git whose call `count` ends the process that asked for it."""
    die = "kill -9 $PPID" if when == "before" else '{ "$GIT" "$@"; kill -9 $PPID; exit; }'
    return f'[ "$COUNT" = {count} ] && {die}'


@dataclass(frozen=True)
class Story:
    """What the killed run was to do, what the next one is told, and what there is in the end."""

    before: dict[str, str]
    after: dict[str, str]
    command: tuple[str, ...]
    next: tuple[str, ...] = ("apply", "--auto-approve")
    request: str = "create"


CHANGED = {"one": APPS["one"], "two": "https://other.example/cb", "four": "https://four.example/cb"}
ALLOWED = ("--allow", "delete", "--allow", "replace")
STORIES = {
    "create": Story({}, APPS, ("apply", "--auto-approve")),
    "change": Story(
        APPS, CHANGED, ("apply", "--auto-approve", *ALLOWED), ("apply", "--auto-approve", *ALLOWED), "delete"
    ),
    "rotate": Story(APPS, APPS, ("rotate", "one", "two", "--auto-approve"), request="rotate"),
}


class Grid:
    """One story, killed at any one place; the next runner has another disk."""

    def __init__(self, team: Team, faulty_git: Callable[[str], str], story: Story) -> None:
        self.team = team
        self.story = story
        self.faulty_git = faulty_git
        team.commit(manifest(story.before))
        if story.before:
            assert team.run(team.runner(), "apply", "--auto-approve").returncode == 0

    def calls(self) -> int:
        """How often the story starts git, when nothing goes wrong: it is done by then, and put back."""
        path = self.faulty_git("")
        self.prepare()
        ended = self.team.run(self.team.runner(), *self.story.command, path=path)
        assert ended.returncode == 0, ended.stderr
        return len((Path(path.partition(os.pathsep)[0]) / "calls").read_text())

    def prepare(self) -> None:
        """Everything as it is before the story."""
        team, story = self.team, self.story
        team.sandbox.faults = Faults()
        team.commit(manifest(story.before))
        for _ in range(9):  # what the last place left may take a second to settle, and the refusal says so
            back = team.run(team.runner(), "apply", "--auto-approve", *ALLOWED)
            if "Run the command again after" not in back.stderr:
                break
        assert back.returncode == 0, back.stderr
        team.commit(manifest(story.after))

    def point(self, place: tuple[str, int]) -> list[str]:
        """Kill it there, let the next runner go on, and say what does not hold."""
        self.prepare()
        when, count = place
        folder = self.team.runner()
        if when in ("before", "after"):
            path = self.faulty_git(killed_in_git(count, when))
            ended = self.team.run(folder, *self.story.command, path=path)
            assert ended.returncode == -signal.SIGKILL, (place, ended)
        else:
            self.killed_at_request(folder, count, when)
        runner = self.team.runner()
        self.team.unlock(runner)
        ended = self.team.run(runner, *self.story.next)
        if ended.returncode != 0:
            return [f"{place}: {ended.stdout[-1500:]}{ended.stderr}"]
        return [f"{place}: {problem}" for problem in self.team.problems(self.team.runner(), self.story.after)]

    def killed_at_request(self, folder: Path, count: int, when: str) -> None:
        self.team.sandbox.faults = Faults([f"{self.story.request}@{count}:{when}"])
        process = started(folder, *self.story.command)
        until_played(self.team.sandbox, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        self.team.sandbox.faults = Faults()


def places(calls: int) -> list[tuple[str, int]]:
    """Before and after every call of git, and each request lost before and after it was done."""
    requests = [(when, count) for when in ("hang-before", "hang-after") for count in (1, 2)]
    return [(when, count) for when in ("before", "after") for count in range(1, calls + 1)][:-1] + requests


@pytest.mark.parametrize("name", STORIES)
def test_a_runner_killed_at_a_chosen_step_loses_nothing(team: Team, faulty_git, name: str) -> None:
    """A sample of what `make grid` does everywhere."""
    grid = Grid(team, faulty_git, STORIES[name])
    chosen = random.Random(f"{SEED}{name}").sample(places(12), 1)  # noqa: S311 - the same ones each time
    assert [problem for place in chosen for problem in grid.point(place)] == []


@pytest.mark.grid
@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("name", STORIES)
def test_a_runner_killed_at_any_step_loses_nothing(team: Team, faulty_git, name: str, half: int) -> None:
    grid = Grid(team, faulty_git, STORIES[name])
    every = places(grid.calls())[half::2]
    assert len(every) > 10
    assert [problem for place in every for problem in grid.point(place)] == []
