"""The catalogue of faults, injected into the real command: nothing lost, doubled or leaked."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.files import Files, Slot
from provisioner.meteroid import MeteroidApi
from provisioner.sandbox.application import Sandbox
from provisioner.sandbox.faults import Faults
from provisioner.stores.directory import DirectoryStore

ONE = "apps:\n  one:\n    redirect_uris: [https://one.example/cb]\n"
COMMAND = [sys.executable, "-m", "provisioner"]
APPLY = ("apply", "--auto-approve", "--parallelism", "1")


class Killed(BaseException):
    """What SIGKILL is to a process: nothing after it is done."""


@pytest.fixture
def begun(provisioner, sandbox, tmp_path) -> Callable[..., Any]:
    """A manifest that names its recipient, so that an apply needs no identity."""
    provisioner("init", "-f", "starter.yaml")
    recipient = (
        (Path.home() / ".config/provisioner/identity.txt").read_text().split("public key: ")[1].split()[0]
    )
    (tmp_path / "apps.yaml").write_text(f"version: 1\nstate: {{recipients: [{recipient}]}}\n{ONE}")
    return provisioner


@contextlib.contextmanager
def killed(owner: type, name: str, *, after: bool = False, at: int = 1, only: str = "") -> Iterator[None]:
    """Kill the run in, or right after, the `at`th call of a method (of those whose path holds `only`)."""
    original, count = getattr(owner, name), 0

    def deadly(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal count
        if only and only not in str(arguments[0]):
            return original(self, *arguments, **named)
        count += 1
        if count == at and not after:
            raise Killed
        result = original(self, *arguments, **named)
        if count == at:
            raise Killed
        return result

    setattr(owner, name, deadly)
    try:
        with pytest.raises(Killed):
            yield
    finally:
        setattr(owner, name, original)


def converged(provisioner: Callable[..., Any], sandbox: Sandbox, runs: int = 1) -> None:
    """After `runs` more applies there is one app, recorded, and its secret is confirmed."""
    for _ in range(runs):
        ran = provisioner(*APPLY)
    assert ran.status == 0, ran.out + ran.err
    (app,) = sandbox.world.apps()
    record = json.loads(Path("state/apps/one.json").read_bytes())
    assert record["object"]["id"] == app.id
    assert sandbox.world.confirms(app.client_id, provisioner("secret", "get", "one").out)
    assert list(Path("state/.journal").iterdir()) == []
    assert provisioner("plan").out.startswith("No changes.")


def test_f1_killed_before_the_intent_is_durable_nothing_was_sent(begun, sandbox) -> None:
    with killed(Files, "slot"):
        begun(*APPLY)
    assert sandbox.calls["create"] == 0
    converged(begun, sandbox)
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 0)


def test_f2_killed_between_the_intent_and_the_request_it_is_asked_for_once_more(begun, sandbox) -> None:
    with killed(MeteroidApi, "create_app"):
        begun(*APPLY)
    assert sandbox.calls["create"] == 0
    converged(begun, sandbox)
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 0)


def test_f3_killed_in_flight_and_committed_later_it_is_taken_over(begun, sandbox) -> None:
    sandbox.add_fault("create:late=60s")
    with killed(MeteroidApi, "create_app", after=True):
        begun(*APPLY)
    assert sandbox.world.apps() == ()
    sandbox.settle()
    converged(begun, sandbox)
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 1)


def test_f3_killed_in_flight_and_committed_after_the_second_request_there_is_one(begun, sandbox) -> None:
    sandbox.add_fault("create:late=60s")
    with killed(MeteroidApi, "create_app", after=True):
        begun(*APPLY)
    converged(begun, sandbox)
    sandbox.settle()
    converged(begun, sandbox)


def test_f4_f5_killed_after_the_commit_before_the_answer_is_on_disk_it_is_taken_over(begun, sandbox) -> None:
    with killed(MeteroidApi, "create_app", after=True):
        begun(*APPLY)
    assert len(sandbox.world.apps()) == 1
    converged(begun, sandbox)
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 1)


def test_f6_a_torn_answer_frame_counts_as_none(begun, sandbox, monkeypatch) -> None:
    write = Slot.write

    def torn(self: Slot, data: bytes, offset: int) -> None:
        write(self, data[: len(data) // 2], offset)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Slot, "write", torn)
        with pytest.raises(Killed):
            begun(*APPLY)
    converged(begun, sandbox)
    assert sandbox.calls["rotate"] == 1


def test_f7_an_answer_on_disk_is_recorded_without_an_identity_and_without_a_write(begun, sandbox) -> None:
    with killed(DirectoryStore, "write_record"):
        begun(*APPLY)
    identity = Path.home() / ".config/provisioner/identity.txt"
    hidden = identity.rename(identity.with_suffix(".hidden"))
    assert "will be recorded" in begun("plan").out
    assert begun(*APPLY).status == 0
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 0)
    hidden.rename(identity)
    converged(begun, sandbox)
    assert "unconfirmed until now" in begun("verify").out


@pytest.mark.parametrize("after", [False, True])
def test_f8_killed_while_the_record_is_renamed_it_is_old_or_new_and_never_half(begun, sandbox, after) -> None:
    with killed(Files, "sync_folder", after=after, only="apps"):
        begun(*APPLY)
    converged(begun, sandbox)
    assert sandbox.calls["rotate"] == 0


def test_f10_killed_before_the_entry_is_closed_the_next_run_only_closes_it(begun, sandbox) -> None:
    with killed(Files, "take_away"):
        begun(*APPLY)
    planned = begun("plan")
    assert "nothing is left to do but to close its journal entry" in planned.out
    assert "Plan: 0 to add, 1 to change, 0 to destroy." in planned.out
    assert begun("plan", "--detailed-exitcode").status == 2
    converged(begun, sandbox)
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 0)


def test_f13_a_late_rotate_never_wins_unnoticed(begun, sandbox) -> None:
    sandbox.add_fault("create:lost-after")
    sandbox.add_fault("rotate:late=60s")
    converged(begun, sandbox)
    sandbox.settle()
    assert begun("verify").status == 1
    converged(begun, sandbox)


def test_f23_a_name_that_is_taken_by_nothing_that_is_listed_stops_the_run(begun, sandbox) -> None:
    sandbox.add_fault("create:lost-before")
    sandbox.add_fault("create@1x*:409")
    ran = begun(*APPLY)
    assert ran.status == 3
    assert sandbox.calls["rotate"] == 0
    sandbox.faults = Faults(())
    converged(begun, sandbox)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 1 MiB, mounted at state/."""
    folder = tmp_path / "state"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("NOT TESTED: a filesystem cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


FILLER = "README.md"  # a folder that holds other things is not made a state


def fill(folder: Path) -> Path:
    """Take what room there is."""
    filler = folder / FILLER
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    return filler


def test_f33_a_disk_that_fills_after_the_intent_still_holds_the_answer(
    begun, small_disk, sandbox, monkeypatch
) -> None:
    create = MeteroidApi.create_app

    def filling(self: MeteroidApi, spec: Any) -> Any:
        fill(small_disk)
        return create(self, spec)

    monkeypatch.setattr(MeteroidApi, "create_app", filling)
    ran = begun(*APPLY)
    assert ran.status == 3
    assert "No space left on device" in ran.err
    assert sandbox.calls["rotate"] == 0
    monkeypatch.setattr(MeteroidApi, "create_app", create)
    (small_disk / FILLER).unlink()
    assert "will be recorded" in begun("plan").out
    converged(begun, sandbox)
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 0)


def test_f32_a_full_disk_stops_before_any_request(begun, small_disk, sandbox) -> None:
    filler = fill(small_disk)
    ran = begun(*APPLY)
    assert ran.status == 1
    assert "No space left on device" in ran.err
    assert sandbox.calls["create"] == 0
    filler.unlink()
    converged(begun, sandbox)


@pytest.mark.parametrize("reason", [errno.EIO, errno.EDQUOT])
def test_f35_a_record_that_cannot_be_synced_is_written_afresh_by_the_next_run(
    begun, sandbox, monkeypatch, reason: int
) -> None:
    sync = os.fsync

    def failing(fd: int) -> None:
        if "/apps/" in str(Path(f"/proc/self/fd/{fd}").readlink()):
            raise OSError(reason, "injected")
        sync(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        ran = begun(*APPLY)
    assert ran.status == 3
    assert os.strerror(reason) in ran.err
    converged(begun, sandbox)
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 0)


def test_f36_a_state_that_is_no_folder_is_an_error_before_any_request(begun, sandbox) -> None:
    Path("state").write_text("")
    ran = begun(*APPLY)
    assert ran.status == 1
    assert sandbox.calls["create"] == 0


def test_f37_two_runs_at_once_one_has_the_lock_and_the_other_waits_or_says_who(begun, sandbox) -> None:
    sandbox.latency = 0.1
    command = [*COMMAND, *APPLY]
    runs = [
        subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for more in ((), ("--lock-timeout", "30s"), ("--lock-timeout", "30s"))
    ]
    ended = [(run.communicate(timeout=60), run.returncode) for run in runs]
    assert {status for _, status in ended} <= {0, 4}
    assert [status for _, status in ended][1:] == [0, 0]
    assert sandbox.calls["create"] == 1
    sandbox.latency = 0
    converged(begun, sandbox)


def test_f37_a_run_that_was_killed_leaves_no_lock(begun, sandbox) -> None:
    with killed(MeteroidApi, "create_app", after=True):
        begun(*APPLY)
    assert Path("state/.lock").exists()
    converged(begun, sandbox)


def test_f39_a_record_that_was_deleted_shows_as_an_app_that_exists_remotely(begun, sandbox) -> None:
    converged(begun, sandbox)
    Path("state/apps/one.json").unlink()
    ran = begun(*APPLY)
    assert ran.status == 1
    assert "exists remotely, but not in the state" in ran.err
    assert len(sandbox.world.apps()) == 1


def test_f39_a_record_that_was_rolled_back_is_noticed_by_its_hint(begun, sandbox) -> None:
    converged(begun, sandbox)
    sandbox.world.rotate(sandbox.world.apps()[0].id)
    assert "likely rotated elsewhere" in begun("plan").out
    assert begun("verify").status == 1


@pytest.mark.parametrize("keep", [0, 10])
@pytest.mark.parametrize("file", ["state.json", "apps/one.json"])
def test_f39_a_truncated_file_is_refused_and_never_an_empty_state(
    begun, sandbox, file: str, keep: int
) -> None:
    converged(begun, sandbox)
    path = Path("state") / file
    path.write_bytes(path.read_bytes()[:keep])
    ran = begun(*APPLY)
    assert ran.status == 1
    assert "The state cannot be trusted" in ran.err
    assert sandbox.calls["create"] == 1


def test_f39_a_state_that_is_gone_plans_nothing_that_exists(begun, sandbox) -> None:
    converged(begun, sandbox)
    shutil.rmtree("state")
    ran = begun(*APPLY)
    assert ran.status == 1
    assert "exists remotely" in ran.err
    assert sandbox.calls["create"] == 1


def test_f40_what_cannot_be_sealed_is_not_asked_for(begun, sandbox, monkeypatch) -> None:
    from provisioner.errors import SealingError
    from provisioner.sealing import Sealer

    def broken(self: Sealer, content: object) -> str:
        raise SealingError("The key service does not answer")

    monkeypatch.setattr(Sealer, "seal", broken)
    ran = begun(*APPLY)
    assert ran.status == 1
    assert sandbox.calls["create"] == 0


def test_f42_a_second_signal_stops_at_once_and_the_next_run_recovers(begun, sandbox) -> None:
    import signal
    import time

    sandbox.add_fault("create:hang-after")
    with subprocess.Popen([*COMMAND, *APPLY], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while sandbox.calls["create"] < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 130
    converged(begun, sandbox)
