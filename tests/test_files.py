"""Files that are whole or not there, for their owner alone, and one lock that dies with its holder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.errors import FileError
from provisioner.files import Files, Slot, make_private, tighten, write_new
from provisioner.locking import locked
from provisioner.reading import read_input, reporting, shown
from provisioner.syncs import Turns

LIMIT = 1000
UMASKS = [0o000, 0o022, 0o077, 0o277, 0o777]


@pytest.fixture
def files() -> Files:
    return Files()


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat(follow_symlinks=False).st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Fault:
    """Makes one system call fail: the `at`-th time that it is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, code: int, at: int = 1) -> None:
        self.calls = 0
        real = getattr(os, call)

        def failing(*arguments: object, **options: object) -> object:
            self.calls += 1
            if self.calls == at:
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        monkeypatch.setattr(os, call, failing)


# --- folders


@pytest.mark.parametrize("mask", UMASKS)
def test_folders_are_made_with_their_parents_and_for_their_owner_whatever_the_umask(
    files: Files, tmp_path: Path, mask: int
) -> None:
    with umask(mask):
        files.folder(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / path) for path in ("a", "a/b", "a/b/c")] == [0o700] * 3


@pytest.mark.parametrize("loose", [0o755, 0o777, 0o2770, 0o500])
def test_a_folder_that_exists_is_kept_to_its_owner_and_its_parents_are_left_alone(
    files: Files, tmp_path: Path, loose: int
) -> None:
    folder = tmp_path / "parent" / "state"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o755)
    folder.chmod(loose)
    files.folder(folder)
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o755)


def test_a_relative_folder_is_made_in_the_working_folder(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files.folder(Path("state/apps"))
    assert mode(tmp_path / "state" / "apps") == 0o700


def test_the_name_of_each_new_folder_is_made_durable(tmp_path: Path) -> None:
    synced = []

    class Recording(Files):
        def sync_folder(self, path: Path) -> None:
            synced.append(path)

    Recording().folder(tmp_path / "a" / "b")
    Recording().folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]


def test_a_file_where_a_folder_should_be_is_refused(files: Files, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    for path in (tmp_path / "state", tmp_path / "state" / "apps"):
        with pytest.raises(FileError, match="Could not make the folder"):
            files.folder(path)


# --- whole or not at all


@pytest.mark.parametrize("mask", UMASKS)
def test_what_is_written_is_for_its_owner_alone_whatever_the_umask(
    files: Files, tmp_path: Path, mask: int
) -> None:
    with umask(mask):
        files.write(tmp_path / "written", b"1")
        files.slot(tmp_path / "slot", b"1", 10).close()
        write_new(tmp_path / "new", b"1")
        with locked(tmp_path / ".lock", b"1"):
            pass
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ["written", "slot", "new", ".lock"], 0o600
    )


def test_a_file_is_never_looser_than_0600_even_before_it_is_whole(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(os, "fchmod", lambda fd, _: seen.append(stat.S_IMODE(os.fstat(fd).st_mode)))
    with umask(0):
        files.write(tmp_path / "written", b"1")
        files.slot(tmp_path / "slot", b"1", 10).close()
    assert seen == [0o600, 0o600]


def test_a_write_replaces_what_was_there(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"old", b"", b"new" * 100_000):
        files.write(path, data)
        assert path.read_bytes() == data
    assert names(tmp_path) == ["file"]


def test_a_write_replaces_a_symbolic_link_and_not_what_it_points_at(files: Files, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "file").symlink_to("other")
    files.write(tmp_path / "file", b"new")
    assert (tmp_path / "other").read_bytes() == b"other"
    assert not (tmp_path / "file").is_symlink()


def test_a_write_is_synced_before_it_gets_its_name_and_the_name_after(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    sync, rename = os.fsync, os.rename

    def syncing(fd: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        sync(fd)

    def renaming(*paths: Path) -> None:
        order.append("rename")
        rename(*paths)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "rename", renaming)
    files.write(tmp_path / "file", b"1")
    files.slot(tmp_path / "slot", b"1", 10).close()
    files.remove(tmp_path / "file")
    write_new(tmp_path / "new", b"1")
    assert order == [*["file", "rename", "folder"] * 2, "folder", "file", "folder"]


def test_a_write_that_the_system_takes_in_pieces_is_finished(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:3], offset))
    files.write(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


BEFORE_THE_NAME = [
    (call, code)
    for call in ("open", "fchmod", "pwrite", "fsync", "rename")
    for code in (errno.ENOSPC, errno.EIO, errno.EROFS)
]


@pytest.mark.parametrize(("call", "code"), BEFORE_THE_NAME)
def test_a_write_that_fails_leaves_the_old_file_whole_and_nothing_beside_it(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    files.write(tmp_path / "file", b"old")
    before = open_descriptors()
    fault = Fault(monkeypatch, call, code)
    with pytest.raises(FileError, match="Could not write") as caught:
        files.write(tmp_path / "file", b"new")
    assert fault.calls == 1
    assert caught.value.detail == f"{os.strerror(code)}."
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]
    assert open_descriptors() == before


def test_a_write_whose_name_could_not_be_made_durable_is_an_error_and_the_new_file_is_whole(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "file", b"old")
    Fault(monkeypatch, "fsync", errno.EIO, at=2)
    with pytest.raises(FileError):
        files.write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_a_write_that_is_interrupted_leaves_the_old_file_whole_and_nothing_beside_it(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "file", b"old")

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_write_into_a_folder_that_is_gone_says_so(files: Files, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="gone/file") as caught:
        files.write(tmp_path / "gone" / "file", b"")
    assert caught.value.detail == "No such file or directory."


def test_a_removed_file_is_gone_and_may_be_so_already(files: Files, tmp_path: Path) -> None:
    files.write(tmp_path / "file", b"")
    files.remove(tmp_path / "file")
    files.remove(tmp_path / "file")
    files.remove(tmp_path / "gone" / "file")
    assert names(tmp_path) == []


def test_a_removal_that_fails_is_an_error(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "file", b"")
    Fault(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(FileError, match="Could not remove"):
        files.remove(tmp_path / "file")


# --- files that must not exist yet


def test_a_new_file_does_not_replace_another(tmp_path: Path) -> None:
    write_new(tmp_path / "file", b"first")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(FileError, match="Could not make") as caught:
            write_new(tmp_path / name, b"second")
        assert caught.value.detail == "File exists."
    assert (tmp_path / "file").read_bytes() == b"first"
    assert names(tmp_path) == ["file", "link"]


@pytest.mark.parametrize(("mask", "found"), [(0o000, 0o644), (0o022, 0o644), (0o077, 0o600), (0o777, 0o600)])
def test_the_umask_counts_for_a_new_file_that_others_may_read(tmp_path: Path, mask: int, found: int) -> None:
    with umask(mask):
        write_new(tmp_path / "file", b"", 0o644)
    assert mode(tmp_path / "file") == found


@pytest.mark.parametrize(("call", "at"), [("pwrite", 1), ("fsync", 1), ("fsync", 2)])
def test_a_new_file_that_could_not_be_finished_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    Fault(monkeypatch, call, errno.ENOSPC, at)
    with pytest.raises(FileError, match="Could not make"):
        write_new(tmp_path / "file", b"data")
    assert names(tmp_path) == []


def test_a_private_file_is_made_where_there_is_none_and_one_that_exists_is_left_as_it_is(
    tmp_path: Path,
) -> None:
    with umask(0):
        make_private(tmp_path / "new")
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "old").chmod(0o644)
    make_private(tmp_path / "old")
    assert (mode(tmp_path / "new"), (tmp_path / "new").read_bytes()) == (0o600, b"")
    assert (mode(tmp_path / "old"), (tmp_path / "old").read_bytes()) == (0o644, b"old")


def test_a_private_file_is_not_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(FileError, match="Could not write"):
        make_private(tmp_path / "link")
    assert names(tmp_path) == ["link"]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_private_file_is_not_made_of_what_is_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "strange")
    with without_waiting(), pytest.raises(FileError, match="Could not write"):
        make_private(tmp_path / "strange")


def test_a_private_file_is_not_a_device() -> None:
    with pytest.raises(FileError) as caught:
        make_private(Path("/dev/null"))
    assert caught.value.detail == "It is a device, not a file on a disk."


# --- slots


def test_a_slot_has_its_space_before_it_is_needed(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "slot"
    slot = files.slot(path, b"intent", 200_000)
    found = path.stat()
    assert found.st_size == 200_000
    assert found.st_blocks * 512 >= 200_000
    slot.write(b"answer", 6)
    slot.close()
    assert path.read_bytes().rstrip(b"\0") == b"intentanswer"
    assert path.stat().st_blocks == found.st_blocks
    assert names(tmp_path) == ["slot"]


@pytest.mark.parametrize(("size", "offset"), [(11, 0), (5, 6), (1, 10), (0, 11)])
def test_a_slot_takes_nothing_beyond_its_end(files: Files, tmp_path: Path, size: int, offset: int) -> None:
    slot = files.slot(tmp_path / "slot", b"intent", 10)
    with pytest.raises(FileError, match=f"no room for {size} bytes more"):
        slot.write(b"x" * size, offset)
    slot.write(b"last", 6)
    slot.close()
    assert (tmp_path / "slot").read_bytes() == b"intentlast"


def test_a_slot_waits_until_its_answer_is_on_the_disk(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = files.slot(tmp_path / "slot", b"", 10)
    fault = Fault(monkeypatch, "fdatasync", errno.EIO)
    with pytest.raises(FileError, match="Could not write") as caught:
        slot.write(b"answer", 0)
    slot.close()
    assert fault.calls == 1
    assert caught.value.detail == "Input/output error."


STEPS = ["open", "fchmod", "posix_fallocate", "pwrite", "fsync", "rename"]
FAILING_SLOTS = [(call, code) for call in STEPS for code in (errno.ENOSPC, errno.EIO)]


@pytest.mark.parametrize(("call", "code"), FAILING_SLOTS)
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_slot_that_could_not_be_made_leaves_what_was_there(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, old: bytes | None
) -> None:
    if old is not None:
        files.write(tmp_path / "slot", old)
    before = open_descriptors()
    fault = Fault(monkeypatch, call, code)
    with pytest.raises(FileError, match="Could not write"):
        files.slot(tmp_path / "slot", b"intent", 10)
    assert fault.calls == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == (
        {} if old is None else {"slot": old}
    )
    assert open_descriptors() == before


def test_a_slot_whose_name_could_not_be_made_durable_is_an_error_and_is_not_taken_back(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have replaced an older one, of which nothing is left by then."""
    before = open_descriptors()
    Fault(monkeypatch, "fsync", errno.EIO, at=2)
    with pytest.raises(FileError, match="Could not write"):
        files.slot(tmp_path / "slot", b"intent", 10)
    assert (tmp_path / "slot").read_bytes() == b"intent\0\0\0\0"
    assert names(tmp_path) == ["slot"]
    assert open_descriptors() == before


def test_a_slot_takes_the_place_of_an_older_one(files: Files, tmp_path: Path) -> None:
    files.slot(tmp_path / "slot", b"first", 10).close()
    files.slot(tmp_path / "slot", b"2nd", 5).close()
    assert (tmp_path / "slot").read_bytes() == b"2nd\0\0"


def test_a_slot_that_was_taken_away_is_the_next_one_and_holds_nothing_of_before(
    files: Files, tmp_path: Path
) -> None:
    first = files.slot(tmp_path / "first", b"first", 30)
    first.write(b"an answer", 5)
    inode = (tmp_path / "first").stat().st_ino
    files.take_away(first)
    (kept,) = tmp_path.iterdir()
    assert (kept.name, kept.read_bytes()) == (".first.tmp", bytes(30))
    second = files.slot(tmp_path / "second", b"2nd", 20)
    assert names(tmp_path) == ["second"]
    assert (tmp_path / "second").read_bytes() == b"2nd".ljust(30, b"\0")
    assert (tmp_path / "second").stat().st_ino == inode
    assert mode(tmp_path / "second") == 0o600
    second.write(b"x" * 27, 3)
    second.close()


def test_the_name_of_a_slot_is_gone_for_good_before_its_bytes_change(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = files.slot(tmp_path / "slot", b"1", 10)
    order: list[str] = []
    for call in ("rename", "fsync", "pwrite"):
        real = getattr(os, call)
        monkeypatch.setattr(os, call, lambda *given, c=call, r=real: (order.append(c), r(*given))[1])
    files.take_away(slot)
    assert order == ["rename", "fsync", "pwrite"]
    files.slot(tmp_path / "next", b"2", 10).close()
    assert order[3:] == ["pwrite", "fsync", "rename", "fsync"]


@pytest.mark.parametrize("place", ["here", "there"])
def test_a_slot_that_does_not_fit_is_let_go_and_another_is_made(
    files: Files, tmp_path: Path, place: str
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    before = open_descriptors()
    for number in range(1, 6):
        files.take_away(files.slot(tmp_path / "here" / f"{number}", b"1", 10 * number))
        assert names(tmp_path / "here") == [f".{number}.tmp"]
    files.slot(tmp_path / place / "last", b"1", 51 if place == "here" else 50).close()
    assert (names(tmp_path / "here"), names(tmp_path / "there")) == (
        (["last"], []) if place == "here" else ([], ["last"])
    )
    assert open_descriptors() == before


def test_a_slot_that_was_taken_away_has_nothing_more_to_do_with_its_file(
    files: Files, tmp_path: Path
) -> None:
    slot = files.slot(tmp_path / "slot", b"1", 10)
    files.take_away(slot)
    following = files.slot(tmp_path / "next", b"2", 10)
    with pytest.raises(FileError):
        slot.write(b"late", 0)
    slot.close()
    following.write(b"answer", 1)
    following.close()
    assert (tmp_path / "next").read_bytes() == b"2answer\0\0\0"


def test_a_slot_whose_file_somebody_has_removed_is_taken_away_without_an_error(
    files: Files, tmp_path: Path
) -> None:
    slot = files.slot(tmp_path / "slot", b"1", 10)
    (tmp_path / "slot").unlink()
    files.take_away(slot)
    assert names(tmp_path) == []
    files.slot(tmp_path / "next", b"2", 10).close()
    assert names(tmp_path) == ["next"]


def test_slots_of_many_threads_hold_what_each_of_them_wrote(files: Files, tmp_path: Path) -> None:
    def work(number: int) -> set[bytes]:
        found = set()
        for turn in range(20):
            path = tmp_path / f"{number}-{turn}"
            slot = files.slot(path, b"%d-%d" % (number, turn), 100)
            slot.write(b"answer", 50)
            found.add(path.read_bytes())
            files.take_away(slot)
        return found

    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(work, range(8))):
            wanted = {(b"%d-%d" % (number, turn)).ljust(50, b"\0") + b"answer" for turn in range(20)}
            assert found == {data.ljust(100, b"\0") for data in wanted}
    assert 1 <= len(names(tmp_path)) <= 8
    files.let_go()
    assert names(tmp_path) == []


def test_what_was_kept_for_the_next_slot_is_let_go(files: Files, tmp_path: Path) -> None:
    before = open_descriptors()
    for slot in [files.slot(tmp_path / name, b"1", 10) for name in "abc"]:
        files.take_away(slot)
    assert names(tmp_path) == [".a.tmp", ".b.tmp", ".c.tmp"]
    (tmp_path / ".b.tmp").unlink()  # by somebody who tidies up
    files.let_go()
    assert names(tmp_path) == []
    assert open_descriptors() == before


@pytest.mark.parametrize(("call", "left"), [("rename", ["slot"]), ("fsync", [".slot.tmp"])])
def test_a_slot_that_could_not_be_taken_away_for_good_is_an_error_and_not_used_again(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, left: list[str]
) -> None:
    slot = files.slot(tmp_path / "slot", b"first", 10)
    with monkeypatch.context() as patched:
        Fault(patched, call, errno.EIO)
        with pytest.raises(FileError, match="Could not remove"):
            files.take_away(slot)
    slot.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        left[0]: b"first".ljust(10, b"\0")
    }
    files.slot(tmp_path / "next", b"2", 10).close()
    assert names(tmp_path) == sorted([*left, "next"])


def test_a_slot_that_could_not_be_emptied_is_gone_all_the_same(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_descriptors()
    slot = files.slot(tmp_path / "slot", b"first", 10)
    fault = Fault(monkeypatch, "pwrite", errno.ENOSPC)
    files.take_away(slot)
    assert fault.calls == 1
    assert names(tmp_path) == []
    assert open_descriptors() == before


@pytest.mark.parametrize("call", ["pwrite", "fsync", "rename"])
def test_a_slot_that_could_not_be_used_again_leaves_nothing(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = open_descriptors()
    files.take_away(files.slot(tmp_path / "slot", b"first", 10))
    with monkeypatch.context() as patched:
        Fault(patched, call, errno.EIO)
        with pytest.raises(FileError, match="Could not write"):
            files.slot(tmp_path / "next", b"2", 10)
    assert names(tmp_path) == []
    files.slot(tmp_path / "next", b"2", 10).close()
    assert names(tmp_path) == ["next"]
    assert open_descriptors() == before


def test_a_slot_is_given_back_once_and_takes_nothing_afterwards(files: Files, tmp_path: Path) -> None:
    slot = files.slot(tmp_path / "slot", b"", 10)
    slot.close()
    with (tmp_path / "other").open("wb") as other:  # the system gives it the number that the slot had
        slot.close()
        with pytest.raises(FileError, match="Could not write"):
            slot.write(b"answer", 0)
        other.write(b"other")
    assert (tmp_path / "other").read_bytes() == b"other"


# --- reading


@pytest.fixture(params=["of ours", "of the user's"])
def read(request: pytest.FixtureRequest, files: Files) -> Callable[[Path, int], bytes]:
    """Both ways of reading: a file that this tool made, and one that the user named."""
    return files.read if request.param == "of ours" else read_input


Read = Callable[[Path, int], bytes]


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_file_is_read_up_to_its_limit(read: Read, tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    assert read(tmp_path / "file", LIMIT) == b"x" * size


@pytest.mark.parametrize("size", [LIMIT + 1, 100 * LIMIT])
def test_b15_a_file_over_its_limit_is_refused_with_the_limit(read: Read, tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    with pytest.raises(FileError) as caught:
        read(tmp_path / "file", LIMIT)
    assert caught.value.detail == "It is larger than 1,000 bytes."


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's name is short
        try:
            unix.bind(path.name)
        finally:
            os.chdir(here)


@contextlib.contextmanager
def without_waiting() -> Iterator[None]:
    """What would wait for ever fails after a second instead."""

    def too_long(*_: object) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "It is a folder, not a file on a disk."),
    "FIFO": (os.mkfifo, "It is a FIFO, not a file on a disk."),
    "socket": (make_socket, "No such device or address."),
    "absent": (lambda _: None, "No such file or directory."),
    "loop": (lambda path: path.symlink_to(path.name), "a symbolic link is not followed here, or the links"),
}


@pytest.mark.parametrize(("make", "reason"), STRANGE.values(), ids=STRANGE)
def test_b15_what_is_no_file_is_refused_without_waiting_for_it(
    read: Read, tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / "strange")
    with without_waiting(), pytest.raises(FileError) as caught:
        read(tmp_path / "strange", LIMIT)
    assert caught.value.summary == f'Could not read "{tmp_path}/strange"'
    assert reason in caught.value.detail


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dev/zero", "It is a device, not a file on a disk."),
        ("/dev/null", "It is a device, not a file on a disk."),
        ("/proc/self/status", "It is made up by the kernel (/proc), not a file on a disk."),
    ],
)
def test_b15_a_device_or_a_file_of_the_kernels_is_refused(read: Read, path: str, reason: str) -> None:
    with pytest.raises(FileError) as caught:
        read(Path(path), LIMIT)
    assert caught.value.detail == reason


def test_b15_a_file_that_may_not_be_read_is_refused(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    Fault(
        monkeypatch, "open", errno.EACCES
    )  # root may read everything, so the system's word is put in its mouth
    with pytest.raises(FileError) as caught:
        read(tmp_path / "file", LIMIT)
    assert caught.value.detail == "Permission denied."


def test_b15_a_disk_that_fails_while_reading_is_an_error(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    before = open_descriptors()
    Fault(monkeypatch, "fstat", errno.EIO)
    with pytest.raises(FileError, match="Could not read"):
        read(tmp_path / "file", LIMIT)
    assert open_descriptors() == before


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_b15_a_name_that_no_file_can_have_is_refused(read: Read, tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError) as caught:
        read(tmp_path / name, LIMIT)
    assert caught.value.detail == "No file can have this name."
    assert caught.value.summary.isprintable()


def test_b15_a_file_that_would_make_us_wait_is_read_as_far_as_it_goes(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waiting(fd: int, size: int) -> bytes:
        raise BlockingIOError(errno.EAGAIN, "wait")

    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setattr(os, "read", waiting)
    assert read(tmp_path / "file", LIMIT) == b""


def test_b15_a_file_that_the_user_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    assert read_input(tmp_path / "link", LIMIT) == b"1"


def test_a_file_of_ours_is_not_a_link(files: Files, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(FileError) as caught:
        files.read(tmp_path / "link", LIMIT)
    assert "a symbolic link is not followed here" in caught.value.detail


def test_b15_the_path_in_an_error_is_escaped_and_cut(tmp_path: Path) -> None:
    assert shown(Path("a\x1b[31m\nb")) == r'"a\x1b[31m\nb"'
    assert len(shown(Path("x" * 1000))) < 210
    with pytest.raises(FileError) as caught:
        read_input(tmp_path / "\x1b[31m", LIMIT)
    assert caught.value.summary.isprintable()


# --- errors and modes


def test_an_error_without_a_number_is_named_by_its_kind() -> None:
    with pytest.raises(FileError) as caught, reporting("read", Path("file")):
        raise TimeoutError
    assert (caught.value.summary, caught.value.detail) == ('Could not read "file"', "TimeoutError.")


def test_what_is_no_error_of_the_systems_passes() -> None:
    with pytest.raises(RuntimeError), reporting("read", Path("file")):
        raise RuntimeError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (0o644, 0o600),
        (0o755, 0o600),
        (0o777, 0o600),
        (0o600, 0o600),
        (0o400, 0o400),
        (0o444, 0o400),
        (0o4600, 0o600),
    ],
)
def test_a_file_that_was_checked_out_looser_is_tightened_and_never_loosened(
    tmp_path: Path, before: int, after: int
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(before)
    tighten(tmp_path / "file")
    assert mode(tmp_path / "file") == after


def test_a_file_that_is_gone_cannot_be_tightened(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="Could not change the mode of"):
        tighten(tmp_path / "gone")


# --- the lock


def test_whoever_finds_it_taken_is_told_by_whom(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path, b"first") as one:
        with locked(path, b"second") as two, locked(path, b"third") as three:
            assert (one, two, three) == (None, b"first", b"first")
        assert path.read_bytes() == b"first"
    with locked(path, b"2") as again:
        assert again is None
        assert path.read_bytes() == b"2"


def test_the_lock_stays_one_file_that_says_nothing_once_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path, b"note"):
        inode = path.stat().st_ino
    with pytest.raises(RuntimeError), locked(path, b"note"):
        raise RuntimeError
    assert (path.stat().st_ino, path.read_bytes()) == (inode, b"")


def test_a_note_that_cannot_be_taken_away_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path / ".lock", b"note"):
        Fault(monkeypatch, "ftruncate", errno.EIO)
    with locked(tmp_path / ".lock", b"note") as holder:
        assert holder is None


def test_an_error_of_the_holders_own_is_not_taken_for_the_locks(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), locked(tmp_path / ".lock", b""):
        raise OSError(errno.EIO, "mine")


HOLDER = """
import sys, time
from pathlib import Path
from provisioner.locking import locked
with locked(Path(sys.argv[1]), b"note of the other") as holder:
    print("taken" if holder else "held", flush=True)
    time.sleep(60)
"""


def test_another_process_sees_the_holders_note_and_a_killed_holder_frees_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            inode = path.stat().st_ino
            with locked(path, b"mine") as holder:
                assert holder == b"note of the other"
        finally:
            os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with locked(path, b"mine") as holder:
        assert holder is None
        assert path.read_bytes() == b"mine"
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("call", ["ftruncate", "pwrite", "fchmod"])
def test_the_lock_holds_without_a_note_where_the_disk_has_no_room_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    fault = Fault(monkeypatch, call, errno.ENOSPC)
    with locked(tmp_path / ".lock", b"note") as one, locked(tmp_path / ".lock", b"other") as two:
        assert (one, two) == (None, b"")
    assert fault.calls >= 1


def test_a_filesystem_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(FileError) as caught, locked(tmp_path / ".lock", b""):
        pytest.fail("it holds no lock")
    assert caught.value.detail == "No locks available."


def test_a_symbolic_link_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / ".lock").symlink_to("other")
    with pytest.raises(FileError, match="Could not open the lock"), locked(tmp_path / ".lock", b"note"):
        pytest.fail("it locked something else")
    assert (tmp_path / "other").read_bytes() == b"other"


def test_a_slot_is_what_the_files_give_out(files: Files, tmp_path: Path) -> None:
    slot = files.slot(tmp_path / "slot", b"", 1)
    slot.close()
    assert isinstance(slot, Slot)
    assert slot.path == tmp_path / "slot"


# Syncs of one folder by several threads


def waiting_for(syncs: list[threading.Event], turns: Turns, count: int) -> list[threading.Thread]:
    """`count` threads that ask for a sync; each sync that begins adds an event, and waits for it."""

    def sync() -> None:
        syncs.append(threading.Event())
        assert syncs[-1].wait(30)

    threads = [threading.Thread(target=turns.take, args=(sync,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_what_is_asked_for_during_a_sync_of_a_folder_is_done_by_one_more() -> None:
    syncs: list[threading.Event] = []
    turns = Turns()
    first = waiting_for(syncs, turns, 1)
    until(lambda: len(syncs) == 1)
    others = waiting_for(syncs, turns, 5)
    time.sleep(0.05)
    assert len(syncs) == 1  # none of the five has returned: what they wrote may be later than it
    assert all(thread.is_alive() for thread in others)
    syncs[0].set()
    until(lambda: len(syncs) == 2)
    assert all(thread.is_alive() for thread in others)
    syncs[1].set()
    for thread in [*first, *others]:
        thread.join(30)
    assert len(syncs) == 2


def test_a_sync_that_fails_is_nobody_else_s() -> None:
    turns = Turns()
    done: list[str] = []

    def failing() -> None:
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        turns.take(failing)
    turns.take(lambda: done.append("synced"))
    assert done == ["synced"]
