"""The state as a branch: held against git itself, and against a git that fails, hangs and lies."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import LockedError, ProvisionerError, StateError, UsageError
from provisioner.model import Address, App, AppSpec
from provisioner.operation import Operation, Sight, Step
from provisioner.phases import Kind, Phase
from provisioner.ports import JournalEntry
from provisioner.state import AppRecord, Header, State
from provisioner.stores import git as git_store
from provisioner.stores import pusher as pushing
from provisioner.stores.branch import Branch, MovedError, Tips
from provisioner.stores.directory import DirectoryStore
from provisioner.stores.git import GitStore
from provisioner.stores.git_command import Git
from provisioner.stores.lease import Lease, lease_from, lease_to
from provisioner.stores.local_copy import LocalCopy
from provisioner.stores.mirror import MirroredFiles
from provisioner.stores.pusher import Pusher

NAME = "provisioner-state"
HEADER = Header("lineage-1", "https://api.example.com", "org_1")
SPEC = AppSpec("One", ("https://one.example/cb",), None)
Clone = Callable[..., Path]


def app(key: str) -> App:
    return App(
        id=f"app_{key}",
        organization_id="org_1",
        name=key,
        client_id=f"client_{key}",
        client_secret_hint="abcd",
        redirect_uris=("https://one.example/cb",),
        scopes=(),
        is_active=True,
        created_at="2026-01-01T00:00:00Z",
        updated_at=None,
    )


def record(key: str) -> AppRecord:
    return AppRecord(Address(key), app(key))


def operation(number: int, key: str = "one") -> Operation:
    return Operation(f"op_{number}", Kind.CREATE, Address(key), HEADER.lineage, SPEC, None, "run_1")


class Runner:
    """A store in one clone, with what it told people."""

    def __init__(self, folder: Path, path: str | None = None, lease: float = 600.0, **more: str) -> None:
        self.folder = folder
        self.told: list[str] = []
        environment = {"PATH": path or os.environ["PATH"], "HOME": os.environ["HOME"], **more}
        self.branch = Branch(Git(folder, environment), "origin", NAME, (0.0, 0.01, 0.01))
        self.store = GitStore(self.branch, lease, self.told.append)

    def record(self, *keys: str) -> None:
        with self.store.lock("apply"):
            self.store.write_header(HEADER)
            for key in keys:
                self.store.write_record(record(key))

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), "-c", "user.name=x", "-c", "user.email=x@localhost", *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def keys(self) -> set[str]:
        return {address.key for address in self.store.read().records}


@pytest.fixture
def here(clone: Clone) -> Runner:
    return Runner(clone("here"))


@pytest.fixture
def there(clone: Clone) -> Runner:
    return Runner(clone("there"))


@pytest.fixture
def faulty(tmp_path: Path, tool: Callable[[str], str]) -> Callable[[str], str]:
    """A PATH with a git that first runs `script` (sh), which may end it; $GIT is the real one."""

    def make(script: str) -> str:
        folder = tmp_path / "faulty"
        folder.mkdir(exist_ok=True)
        program = folder / "git"
        program.write_text(f'#!/bin/sh\nGIT={tool("git")}\n{script}\nexec "$GIT" "$@"\n')
        program.chmod(0o755)
        return f"{folder}{os.pathsep}{os.environ['PATH']}"

    return make


def on_push(script: str) -> str:
    return f'case " $* " in *" push "*) {script};; esac'


# What it holds


def test_where_there_is_no_branch_the_state_is_empty_and_reading_makes_none(here: Runner) -> None:
    assert here.store.read() == State()
    assert here.branch.tips() == Tips(None, None)


def test_it_says_where_it_is(here: Runner) -> None:
    assert here.store.where() == f"the branch {NAME} of origin"
    assert here.store.where("apps/one.json") == f"{NAME}:apps/one.json"


def test_what_was_written_under_the_lock_is_what_every_other_clone_reads(here: Runner, there: Runner) -> None:
    here.record("one", "two")
    with here.store.lock("apply"):
        here.store.delete_record(Address("two"))
        here.store.write_record(record("three"))
        assert here.keys() == {"one", "three"}
    state = there.store.read()
    assert (state.header, set(state.records)) == (HEADER, {Address("one"), Address("three")})
    assert state == here.store.read()
    assert here.branch.tips().lock is None


def test_a_journal_entry_and_what_its_run_saw_are_in_the_branch_before_a_request_can_follow(
    here: Runner, there: Runner
) -> None:
    sight = Sight("run_1", frozenset({"app_x"}), None)
    with here.store.lock("apply"):
        here.store.write_header(HEADER)
        here.store.write_sight(sight)
        entry = here.store.open_operation(operation(1), Step(Phase.CREATING), 100)
        (seen,) = there.store.read().open
        assert (seen.operation, seen.step, seen.sight) == (operation(1), Step(Phase.CREATING), sight)
        entry.step(Step(Phase.CREATED))
        entry.leave()
    assert there.store.read().open[0].step == Step(Phase.CREATED)
    with there.store.lock("apply"):
        there.store.close_operation("op_1")
    assert here.store.read().open == ()
    assert "run_1" not in here.git("ls-tree", "-r", "--name-only", f"refs/provisioner/{NAME}/state")


def test_a_journal_entry_is_pushed_without_the_room_that_its_file_has(here: Runner) -> None:
    with here.store.lock("apply"):
        here.store.write_header(HEADER)
        here.store.open_operation(operation(1), Step(Phase.CREATING), 1_000_000).leave()
    contents = here.branch.contents(here.branch.state_at(str(here.branch.tips().state)))
    assert len(contents[".journal/op_1.op"]) < 1000


def test_other_files_of_the_branch_are_left_alone(here: Runner, there: Runner) -> None:
    here.record("one")
    there.git("fetch", "--quiet", "origin", NAME)
    there.git("checkout", "--quiet", "-b", NAME, "FETCH_HEAD")
    for name in ("README.md", "apps/README.md", "apps/.gitkeep"):
        (there.folder / name).write_text("The state of our OAuth apps.\n")
    there.git("add", "README.md", "apps")
    there.git("commit", "--quiet", "--message=readme")
    there.git("push", "--quiet", "origin", NAME)
    here.record("two")
    here.store.read()
    listed = here.git("ls-tree", "-r", "--name-only", f"refs/provisioner/{NAME}/state").split()
    ours = ["apps/one.json", "apps/two.json", "state.json"]
    assert listed == ["README.md", "apps/.gitkeep", "apps/README.md", *ours]
    assert (here.told, there.told) == ([], [])


def test_nothing_appears_in_the_work_tree_and_nothing_is_staged(here: Runner) -> None:
    here.record("one")
    here.store.read()
    assert here.git("status", "--porcelain", "--ignored") == ""
    assert here.git("rev-parse", "--abbrev-ref", "HEAD") == "main\n"


def test_a_shallow_clone_writes_too_and_stays_shallow(here: Runner, clone: Clone) -> None:
    for key in ("one", "two"):
        here.record(key)
    runner = Runner(clone("runner", "--depth=1"))
    runner.record("three")
    assert here.keys() == {"one", "two", "three"}
    assert runner.git("rev-list", "--count", f"refs/provisioner/{NAME}/state") == "2\n"  # seen, and made


def commands(trace: Path, name: str) -> int:
    """How often git ran a command of its own, by GIT_TRACE."""
    lines = trace.read_text().splitlines()
    trace.write_text("")
    return len([line for line in lines if f"trace: built-in: git {name} " in line])


@pytest.mark.parametrize("left_out", ["blob:none", "tree:0"])
def test_a_partial_clone_fetches_what_it_lacks_of_the_state_at_once(
    here: Runner, clone: Clone, tmp_path: Path, left_out: str
) -> None:
    here.git("--git-dir", str(tmp_path / "origin.git"), "config", "uploadpack.allowFilter", "true")
    here.record("one", "two", "three")
    trace = tmp_path / "trace"
    partial = Runner(clone("partial", f"--filter={left_out}"), GIT_TRACE=str(trace))
    assert partial.keys() == {"one", "two", "three"}
    assert commands(trace, "fetch") == 2  # of the branch, which the clone has had, and of all its files
    assert partial.keys() == {"one", "two", "three"}
    assert commands(trace, "fetch") == 0
    here.record("four", "five")
    partial.record("six")
    assert here.keys() == {"one", "two", "three", "four", "five", "six"}
    assert commands(trace, "fetch") == 1


def test_a_partial_clone_whose_host_hands_out_no_files_by_name_reads_the_state_still(
    here: Runner, clone: Clone, tmp_path: Path, faulty: Callable[[str], str]
) -> None:
    here.git("--git-dir", str(tmp_path / "origin.git"), "config", "uploadpack.allowFilter", "true")
    here.record("one", "two")
    refuse = 'case " $* " in *" --no-filter --stdin "*) exit 128;; esac'
    assert Runner(clone("partial", "--filter=blob:none"), faulty(refuse)).keys() == {"one", "two"}


def test_all_work_trees_of_a_repository_have_the_same_copy(here: Runner, tmp_path: Path) -> None:
    here.record("one")
    here.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "second"))
    second = Runner(tmp_path / "second")
    second.record("two")
    assert here.keys() == {"one", "two"}
    assert here.told == second.told == []


def test_two_branches_are_two_states(here: Runner) -> None:
    here.record("one")
    other = Branch(here.branch.git, "origin", "teams/a")
    store = GitStore(other, 600.0, here.told.append)
    with store.lock("apply"):
        store.write_header(HEADER)
    assert store.read().records == {}
    assert here.keys() == {"one"}


# What cannot be trusted


def test_a_damaged_record_is_refused_and_told_by_branch_and_path(here: Runner) -> None:
    here.record("one")
    commit = here.branch.made(here.branch.tips(), {"apps/one.json": b"{"}, "damaged", None).state
    here.git("push", "--quiet", "origin", f"{commit}:refs/heads/{NAME}")
    with pytest.raises(StateError, match=f'"{NAME}:apps/one.json"'):
        here.store.read()


def test_a_branch_without_its_header_is_no_empty_state(here: Runner) -> None:
    here.record("one")
    commit = here.branch.made(here.branch.tips(), {"state.json": None}, "damaged", None).state
    here.git("push", "--quiet", "origin", f"{commit}:refs/heads/{NAME}")
    with pytest.raises(StateError, match=f'"{NAME}:state.json" is missing'):
        here.store.read()


def test_a_link_in_the_place_of_a_record_is_refused(here: Runner, there: Runner) -> None:
    here.record("one")
    there.git("fetch", "--quiet", "origin", NAME)
    there.git("checkout", "--quiet", "-b", NAME, "FETCH_HEAD")
    (there.folder / "apps" / "one.json").unlink()
    (there.folder / "apps" / "one.json").symlink_to("/etc/passwd")
    there.git("commit", "--quiet", "--all", "--message=link")
    there.git("push", "--quiet", "origin", NAME)
    with pytest.raises(StateError, match="not made of plain files"):
        here.store.read()
    with pytest.raises(StateError, match="not made of plain files"), here.store.lock("apply"):
        pass
    assert here.branch.tips().lock is None


def test_a_branch_that_is_gone_is_no_empty_state_and_the_hint_brings_it_back(
    here: Runner, there: Runner
) -> None:
    here.record("one")
    there.git("push", "--quiet", "origin", f":{NAME}")
    with pytest.raises(StateError, match="is gone from origin") as caught, here.store.lock("apply"):
        pass
    with pytest.raises(StateError, match="is gone from origin"):
        here.store.read()
    with pytest.raises(StateError, match="is gone from origin"), here.store.lock("apply"):
        pass  # a second time, too
    command, other = caught.value.hint.splitlines()
    here.git(*command.removeprefix("Bring it back: git ").split())
    assert str(here.folder / ".git" / "provisioner" / NAME) in other
    assert there.keys() == {"one"}


def test_a_folder_in_no_repository_is_an_error(tmp_path: Path, tool: Callable[[str], str]) -> None:
    tool("git")
    runner = Runner(tmp_path)
    with pytest.raises(StateError, match="is in no git repository"), runner.store.lock("apply"):
        pass
    with pytest.raises(StateError, match="could not be asked for at origin"):
        runner.store.read()


def test_without_git_the_error_says_what_it_is_for(here: Runner, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="Git is not installed"):
        Runner(here.folder, str(tmp_path / "nowhere")).store.read()


def test_a_git_that_cannot_be_started_is_an_error(here: Runner, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("no program\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    with pytest.raises(StateError, match="Git could not be started"):
        Runner(here.folder, str(tmp_path / "bin")).store.read()


# Who may write


def test_a_second_run_is_refused_and_told_who_holds_the_lock_and_how_it_is_broken(
    here: Runner, there: Runner
) -> None:
    with here.store.lock("apply"), pytest.raises(LockedError) as caught, there.store.lock("rotate"):
        pass
    error = caught.value
    assert error.exit_code == 4
    assert f"`provisioner apply`, process {os.getpid()} on " in error.detail
    lock_id = error.hint.rpartition(" ")[2]
    assert lock_id.startswith("lock_")
    assert f"holds it as {lock_id}. It ends in 10 min unless it is renewed." in error.detail
    there.record("two")


def test_a_run_that_waits_gets_the_lock_once_it_is_given_back(
    here: Runner, there: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_store, "_POLL", 0.05)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with here.store.lock("apply"):
            here.store.write_header(HEADER)
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    threading.Timer(0.2, leave.set).start()
    with there.store.lock("apply", 60.0):
        assert there.store.read().header == HEADER
    holder.join()


def test_the_folder_s_lock_and_the_branch_s_are_waited_for_in_one_time(
    here: Runner, there: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    clock = SimpleNamespace(time=time.time, monotonic=lambda: sum(slept), sleep=slept.append)
    in_folder = DirectoryStore.lock

    @contextmanager
    def lock_of_folder(store: DirectoryStore, *arguments: Any) -> Iterator[None]:
        clock.sleep(50.0)
        with in_folder(store, *arguments):
            yield

    with here.store.lock("apply"):
        monkeypatch.setattr(git_store, "time", clock)
        monkeypatch.setattr(DirectoryStore, "lock", lock_of_folder)
        with pytest.raises(LockedError), there.store.lock("apply", 60.0):
            pass
    assert slept == [50.0, *[git_store._POLL] * 5]


def test_a_lease_that_ran_out_is_taken_over_and_said_and_its_late_holder_can_write_nothing(
    here: Runner, there: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time

    def late() -> None:
        with here.store.lock("apply"):
            here.store.write_header(HEADER)
            here.store.open_operation(operation(1), Step(Phase.CREATING), 100).leave()
            monkeypatch.setattr(git_store.time, "time", lambda: real() + 661)
            with there.store.lock("apply"):
                assert "taken over: `provisioner apply`, process" in there.told[0]
                assert [entry.operation.id for entry in there.store.read().open] == ["op_1"]
                for number in (2, 3):
                    with pytest.raises(MovedError):
                        here.store.open_operation(operation(number), Step(Phase.CREATING), 100)

    with pytest.raises(StateError, match="lock was lost"):
        late()
    assert [entry.operation.id for entry in there.store.read().open] == ["op_1"]


def test_a_lease_is_not_taken_over_before_its_time_and_a_minute_for_clocks(
    here: Runner, there: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with here.store.lock("apply"):
        monkeypatch.setattr(git_store.time, "time", lambda: real() + 655)
        with pytest.raises(LockedError, match="locked") as caught, there.store.lock("apply"):
            pass
        assert "It is about to end." in caught.value.detail


def test_a_run_that_is_alive_renews_its_lease(here: Runner, there: Runner) -> None:
    def until() -> int:
        lock = there.branch.tips().lock
        assert lock is not None
        lease = lease_from(there.branch.note_at(lock)[1])
        assert lease is not None
        return lease.until

    runner = Runner(here.folder, lease=3.0)
    with runner.store.lock("apply"):
        first = until()
        ends = time.monotonic() + 20
        while until() == first and time.monotonic() < ends:
            time.sleep(0.1)
        assert until() > first


def test_a_broken_lock_stops_its_run_at_the_next_step(here: Runner, there: Runner) -> None:
    def broken() -> None:
        with here.store.lock("apply"):
            with pytest.raises(UsageError, match="Which lock") as caught:
                there.store.unlock(None)
            lock_id = caught.value.hint.rpartition(" ")[2]
            with pytest.raises(UsageError, match="another id"):
                there.store.unlock("lock_0")
            assert "`provisioner apply`" in there.store.unlock(lock_id)
            with pytest.raises(UsageError, match="not locked"):
                there.store.unlock(lock_id)
            with pytest.raises(MovedError):
                here.store.open_operation(operation(1), Step(Phase.CREATING), 100)

    with pytest.raises(StateError, match="lock was lost"):
        broken()
    assert there.store.read() == State()


@pytest.mark.parametrize("note", [b"somebody's own branch\n", b"[]", b'{"id": 1}', lease_to(
    Lease("x", "h", 1, "apply", 0, 0)).replace(b'"h"', b"1")])  # fmt: skip
def test_a_lock_whose_note_cannot_be_read_never_ends_and_is_broken_by_its_commit(
    here: Runner, note: bytes
) -> None:
    commit = here.branch.made(Tips(None, None), {}, "", note).lock
    here.git("push", "--quiet", "origin", f"{commit}:refs/heads/{NAME}-lock")
    with pytest.raises(LockedError, match="locked") as caught, here.store.lock("apply"):
        pass
    assert caught.value.hint.endswith(f"provisioner state unlock {commit}")
    here.store.unlock(commit)
    here.record("one")


def test_a_lease_says_what_it_is_in_its_note() -> None:
    lease = Lease("lock_1", "host", 7, "apply", 100, 200)
    assert lease_from(lease_to(lease)) == lease
    assert (lease.expired(260), lease.expired(261)) == (False, True)
    assert lease.renewed(150, 600) == Lease("lock_1", "host", 7, "apply", 100, 750, 1)
    assert Lease("l", "h\n\x1b[2J", 1, "apply", 0, 0).told(5).isprintable()


def test_of_many_runs_at_once_each_gets_in_once_and_none_writes_over_another(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_store, "_POLL", 0.05)
    runners = [Runner(clone(f"runner{number}")) for number in range(4)]
    failed: list[ProvisionerError] = []

    def work(runner: Runner, key: str) -> None:
        try:
            with runner.store.lock("apply", 60.0):
                runner.store.write_header(HEADER)
                runner.store.write_record(record(key))
        except ProvisionerError as error:
            failed.append(error)

    threads = [
        threading.Thread(target=work, args=(runner, f"key{number}")) for number, runner in enumerate(runners)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(error) for error in failed] == []
    assert runners[0].keys() == {"key0", "key1", "key2", "key3"}


# What fails on the way


LOST_AFTER = 'if [ ! -e "$HOME/lost" ]; then : > "$HOME/lost"; "$GIT" "$@" > /dev/null; exit 128; fi'
LOST_BEFORE = 'if [ ! -e "$HOME/lost" ]; then : > "$HOME/lost"; exit 128; fi'


@pytest.mark.parametrize("script", [LOST_AFTER, LOST_BEFORE], ids=["came through", "did not"])
def test_a_push_whose_answer_was_lost_is_looked_after(here, there, faulty, script: str) -> None:
    Runner(here.folder, faulty(on_push(script))).record("one")
    assert (Path(os.environ["HOME"]) / "lost").exists()
    assert there.keys() == {"one"}
    assert there.branch.tips().lock is None


def test_what_the_host_refuses_is_said_with_its_own_words(here: Runner, tmp_path: Path) -> None:
    hook = tmp_path / "origin.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'branches here are protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(StateError, match="origin does not take pushes") as caught, here.store.lock("apply"):
        pass
    assert "remote: branches here are protected" in caught.value.detail
    assert "create, push to and delete both branches" in caught.value.hint


def refuse_pushes(tmp_path: Path) -> None:
    """From now on; `unlock` ends it."""
    hook = tmp_path / "origin.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)


def unlock(runner: Runner) -> None:
    """Break the lock that a run left, as the refusal says."""
    (runner.folder.parent / "origin.git" / "hooks" / "pre-receive").unlink()
    with pytest.raises(LockedError) as caught, runner.store.lock("apply"):
        pass
    runner.store.unlock(caught.value.hint.rpartition(" ")[2])


def test_what_could_not_be_pushed_stays_here_and_goes_with_the_next_run_here(here, there, tmp_path) -> None:
    def refused() -> None:
        with here.store.lock("apply"):
            here.store.write_record(record("two"))
            refuse_pushes(tmp_path)

    here.record("one")
    with pytest.raises(StateError, match="does not take pushes"):
        refused()
    assert there.keys() == {"one"}
    unlock(there)
    with here.store.lock("apply"):
        assert there.keys() == {"one", "two"}
    assert here.told == ["Note: what an earlier run had recorded here and not pushed is pushed now."]


def test_what_could_not_be_pushed_is_set_aside_where_others_went_on_without_it(here, there, tmp_path) -> None:
    def refused() -> None:
        with here.store.lock("apply"):
            here.store.write_record(record("mine"))
            here.store.delete_record(Address("one"))
            refuse_pushes(tmp_path)

    here.record("one")
    with pytest.raises(StateError, match="does not take pushes"):
        refused()
    unlock(there)
    there.record("theirs")
    with here.store.lock("apply"):
        assert here.keys() == {"one", "theirs"}
    (told,) = here.told
    aside = Path(told.partition('"')[2].partition('"')[0])
    assert json.loads((aside / "apps" / "mine.json").read_bytes())["key"] == "mine"
    assert there.keys() == {"one", "theirs"}


def test_a_copy_that_was_being_replaced_is_replaced_again(here: Runner, there: Runner) -> None:
    here.record("one")
    copy = here.folder / ".git" / "provisioner" / NAME
    (copy / "state" / "apps" / "one.json").unlink()
    (copy / "of").write_text("?")
    with here.store.lock("apply"):
        assert here.keys() == {"one"}
    assert (here.told, there.keys()) == ([], {"one"})


def test_what_a_killed_run_recorded_here_and_did_not_push_is_pushed(here: Runner, there: Runner) -> None:
    here.record("one")
    copy = LocalCopy(here.folder / ".git" / "provisioner" / NAME)
    copy.store.write_record(record("two"))
    with here.store.lock("apply"):
        assert there.keys() == {"one", "two"}
    assert here.told == ["Note: what an earlier run had recorded here and not pushed is pushed now."]


def test_a_host_that_hangs_is_given_up(here: Runner, faulty) -> None:
    path = faulty('case " $* " in *" ls-remote "*) sleep 60 & wait;; esac')
    git = Git(here.folder, {"PATH": path, "HOME": os.environ["HOME"]}, seconds=0.3)
    with pytest.raises(StateError, match="could not be asked for") as caught:
        Branch(git, "origin", NAME).tips()
    assert "it did not end within 0 s" in caught.value.detail


def test_a_fetch_that_another_one_was_in_the_way_of_is_tried_again(here, there, faulty) -> None:
    here.record("one")
    script = 'case " $* " in *" fetch "*) if [ ! -e "$HOME/lost" ]; then : > "$HOME/lost"; exit 1; fi;; esac'
    assert Runner(there.folder, faulty(script)).keys() == {"one"}
    never = 'case " $* " in *" fetch "*) echo "fatal: no" >&2; exit 1;; esac'
    there.git("update-ref", "-d", f"refs/provisioner/{NAME}/state")
    with pytest.raises(StateError, match="could not be fetched from origin") as caught:
        Runner(there.folder, faulty(never)).store.read()
    assert "Git said: fatal: no." in caught.value.detail


class Meddled(Branch):
    """A branch that something happens to between two looks at it."""

    def __init__(self, branch: Branch, **meanwhile: Callable[[], None]) -> None:
        super().__init__(branch.git, branch.remote, branch.name, branch.waits)
        object.__setattr__(self, "meanwhile", meanwhile)

    def happens(self, name: str) -> None:
        meanwhile: dict[str, Callable[[], None]] = self.meanwhile  # type: ignore[attr-defined]  # set above
        meanwhile.pop(name, lambda: None)()

    def push(self, before: Tips, after: Tips) -> None:
        super().push(before, after)
        self.happens("pushed")

    def note_at(self, tip: str) -> tuple[str, bytes]:
        self.happens("noting")
        return super().note_at(tip)

    def contents(self, commit: str) -> dict[str, bytes]:
        self.happens("reading")
        return super().contents(commit)


def meddled(runner: Runner, **meanwhile: Callable[[], None]) -> GitStore:
    return GitStore(Meddled(runner.branch, **meanwhile), 600.0, runner.told.append)


def failing() -> None:
    raise StateError("It could not be read")


def test_a_run_that_could_not_receive_the_branch_leaves_it_and_the_copy_alone(here, there) -> None:
    here.record("one")
    there.record("two")
    for runner in (here, Runner(there.folder)):
        store = meddled(runner, reading=failing)
        with pytest.raises(StateError, match="could not be read"), store.lock("apply"):
            pass
        assert here.branch.tips().lock is None
        runner.record()
        assert runner.keys() == {"one", "two"}


def test_a_lock_that_was_lost_as_soon_as_it_was_taken_is_not_taken_for_ours(here, there) -> None:
    theirs: list[str] = []

    def break_and_take() -> None:
        lock = there.branch.tips().lock
        note = lease_to(Lease("lock_b", "h", 1, "apply", 0, 1 << 40))
        made = there.branch.made(Tips(None, None), {}, "", note)
        there.git("fetch", "--quiet", "origin", f"{NAME}-lock")
        there.branch.push(Tips(None, lock), made)
        theirs.append(str(made.lock))

    store = meddled(here, pushed=break_and_take)
    with pytest.raises(MovedError, match="is not there"), store.lock("apply"):
        pass
    assert here.branch.tips() == Tips(None, theirs[0])


def test_a_lock_that_is_given_back_while_it_is_looked_at_is_had(here: Runner, there: Runner) -> None:
    held = there.store.lock("apply")
    held.__enter__()
    with meddled(here, noting=lambda: held.__exit__(None, None, None) and None).lock("apply"):
        pass


def test_a_look_that_fails_after_the_lock_was_taken_gives_it_back(here, there, faulty) -> None:
    on_look = 'if [ -e "$HOME/pushed" ]; then rm "$HOME/pushed"; exit 1; fi'
    script = f'case " $* " in *" push "*) : > "$HOME/pushed";; *" ls-remote "*) {on_look};; esac'
    store = Runner(here.folder, faulty(script)).store
    with pytest.raises(StateError, match="could not be asked"), store.lock("apply"):
        pass
    assert there.branch.tips().lock is None


def test_a_host_that_takes_no_push_but_forward_is_good_enough(here, there, tmp_path) -> None:
    here.git("--git-dir", str(tmp_path / "origin.git"), "config", "receive.denyNonFastForwards", "true")
    with here.store.lock("apply"):
        here.store.write_header(HEADER)
        for number in (1, 2):
            here.store.open_operation(operation(number), Step(Phase.CREATING), 100).leave()
    assert len(there.store.read().open) == 2


def test_a_last_push_that_somebody_takes_back_stays_taken_back(here: Runner, there: Runner) -> None:
    here.record("one")
    first = here.branch.tips().state
    here.record("two")
    there.git("fetch", "--quiet", "origin", NAME)
    there.git("push", "--quiet", "--force", "origin", f"{first}:refs/heads/{NAME}")
    here.record()
    assert there.keys() == {"one"}


def test_an_entry_whose_end_fails_and_that_is_left_then_counts_once(here: Runner, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise StateError("It could not be removed")

    with here.store.lock("apply"):
        here.store.write_header(HEADER)
        entry = here.store.open_operation(operation(1), Step(Phase.CREATING), 100)
        monkeypatch.setattr("provisioner.files.Files.take_away", fail)
        with pytest.raises(StateError):
            entry.close()
        entry.leave()


def test_two_states_of_one_clone_are_written_at_once(here: Runner) -> None:
    failed: list[ProvisionerError] = []

    def work(name: str) -> None:
        store = GitStore(Branch(here.branch.git, "origin", name), 600.0, here.told.append)
        try:
            with store.lock("apply"):
                store.write_header(HEADER)
                for number in range(5):
                    store.open_operation(operation(number), Step(Phase.CREATING), 100).leave()
        except ProvisionerError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [f"{error} {error.detail}" for error in failed] == []


# What leaks nowhere


@pytest.mark.parametrize(
    "address",
    ["http://deploy:hunter2canary@127.0.0.1:9/x.git", "http://127.0.0.1:9/x.git?token=hunter2canary"],
)
def test_a_password_in_the_remote_s_address_is_in_no_message(here: Runner, address: str) -> None:
    here.git("remote", "set-url", "origin", address)
    with pytest.raises(StateError) as caught:
        here.store.read()
    assert "127.0.0.1" in caught.value.detail
    assert "hunter2canary" not in f"{caught.value}{caught.value.detail}{caught.value.hint}"


def test_git_gets_no_secret_of_ours_and_all_that_it_may_need(here: Runner, faulty, tmp_path: Path) -> None:
    ours = (
        "METEROID_API_KEY", "PROVISIONER_VAR_password", "PROVISIONER_AGE_KEY_FILE", "SOPS_AGE_KEY",
        "SOPS_AGE_KEY_CMD", "VAULT_TOKEN", "VAULT_SECRET_ID", "BAO_TOKEN",
    )  # fmt: skip
    kept = ("GIT_SSH_COMMAND", "SSH_AUTH_SOCK", "HTTPS_PROXY", "GITHUB_TOKEN", "GIT_CONFIG_GLOBAL")
    seen = faulty(f"env >> {tmp_path}/seen")
    Runner(here.folder, seen, **{name: f"/of/{name}" for name in (*ours, *kept)}).record("one")
    lines = set((tmp_path / "seen").read_text().splitlines())
    assert {f"{name}=/of/{name}" for name in kept} <= lines
    assert not [line for line in lines if line.startswith(ours)]


def test_a_hook_and_a_repository_that_we_run_in_have_no_say(here: Runner, there: Runner, tmp_path) -> None:
    for name in ("pre-push", "post-checkout", "reference-transaction"):
        hook = here.folder / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\n: > {tmp_path}/ran\nexit 1\n")
        hook.chmod(0o755)
    elsewhere = {"GIT_DIR": str(tmp_path / "first" / ".git"), "GIT_WORK_TREE": str(tmp_path)}
    Runner(here.folder, **elsewhere).record("one")
    assert there.keys() == {"one"}
    assert not (tmp_path / "ran").exists()


# Its parts


class Writing:
    """A copy that is written to, and what has been passed on of it."""

    def __init__(self, folder: Path) -> None:
        self.copy = LocalCopy(folder)
        self.elsewhere: dict[str, bytes] = {}
        self.entries: dict[int, JournalEntry] = {}
        self.copy.store.write_header(HEADER)

    def pass_on(self) -> None:
        for path, data in self.copy.files.taken().items():
            self.elsewhere.pop(path, None)
            if data is not None:
                self.elsewhere[path] = data

    def move(self, move: str, number: int) -> None:
        key, store, entry = f"key{number}", self.copy.store, self.entries.get(number)
        match move:
            case "record":
                store.write_record(record(key))
            case "forget":
                store.delete_record(Address(key))
            case "fail":
                self.copy.files.put_back(self.copy.files.taken())
            case "open" if entry is None:
                intent = operation(number, key)
                self.entries[number] = store.open_operation(intent, Step(Phase.CREATING), 100)
            case "step" if entry:
                entry.step(Step(Phase.CREATED))
            case "close" if entry:
                self.entries.pop(number).close()


MOVES = st.sampled_from(["record", "forget", "open", "step", "close", "fail", "pass on"])


@settings(max_examples=40, deadline=None)
@given(moves=st.lists(st.tuples(MOVES, st.integers(0, 2)), max_size=30))
def test_whatever_is_written_the_changes_handed_out_add_up_to_the_folder(tmp_path_factory, moves) -> None:
    writing = Writing(tmp_path_factory.mktemp("copy"))
    for move, number in [*moves, ("pass on", 0)]:
        writing.move(move, number)
        if move == "pass on":
            writing.pass_on()
            assert writing.elsewhere == writing.copy.contents()
    for entry in writing.entries.values():
        entry.leave()


def test_files_of_one_machine_alone_are_not_mirrored(tmp_path: Path) -> None:
    files = MirroredFiles(tmp_path)
    for name in (".gitignore", ".lock", "apps/.one.json.0.tmp", "other/one.json"):
        files.remember(tmp_path / name, b"x")
    assert files.taken() == {}


@pytest.fixture
def pusher() -> Iterator[Callable[..., Pusher]]:
    made: list[Pusher] = []

    def make(push: Callable[[], None], renewal: float = 60.0) -> Pusher:
        made.append(Pusher(push, renewal))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_many_who_wait_at_once_share_few_pushes(pusher) -> None:
    pushes: list[float] = []

    def push() -> None:
        pushes.append(time.monotonic())
        time.sleep(0.05)

    one = pusher(push)

    def write() -> None:
        for _ in range(3):
            one.note()
            one.wait()

    threads = [threading.Thread(target=write) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 3 <= len(pushes) < 15


def test_what_nobody_waits_for_is_pushed_soon(pusher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "SOON", 0.05)
    pushed = threading.Event()
    pusher(pushed.set).note()
    assert pushed.wait(30)


def test_a_push_that_failed_is_told_to_everybody_who_waits_from_then_on(pusher) -> None:
    pushes: list[int] = []

    def push() -> None:
        pushes.append(1)
        raise StateError("It did not work")

    one = pusher(push)
    for _ in range(2):
        one.note()
        with pytest.raises(StateError, match="did not work"):
            one.wait()
    assert pushes == [1]


def test_whatever_ends_the_thread_is_told_to_those_who_wait(pusher) -> None:
    def push() -> None:
        raise MemoryError

    one = pusher(push)
    one.note()
    with pytest.raises(StateError, match="could not be pushed"):
        one.wait()


def test_who_waits_for_nothing_does_not_wait(pusher) -> None:
    pusher(lambda: pytest.fail("there was nothing to push")).wait()
