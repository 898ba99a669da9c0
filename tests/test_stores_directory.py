"""The state as a folder: what is written is read back, what is damaged is refused, and one run holds it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import EXIT_LOCKED, FileError, LockedError, StateError
from provisioner.files import Files
from provisioner.journal import framed, operation_to, sight_to
from provisioner.model import Address, App, AppSpec
from provisioner.operation import Answer, OpenOperation, Operation, Sight, Step
from provisioner.phases import Kind, Phase
from provisioner.ports import StateStore
from provisioner.state import AppRecord, Header, SealedSecret, State, header_to, record_to
from provisioner.stores.directory import DirectoryStore

HEADER = Header("lineage-1", "https://api.meteroid.com", "org_1")
APP = App("app_1", "org_1", "Portal", "cid", "hint", (), (), True, "2026-01-02T03:04:05Z")
SECRET = SealedSecret("sealed", "hint", "create", "op_1", "2026-01-02T03:04:06Z")
SIGHT = Sight("run_1", frozenset(["app_0"]), "Fri, 02 Jan 2026 03:04:05 GMT")
SPEC = AppSpec("Portal", ("https://p.example/cb",))
CREATE = Operation("op_1", Kind.CREATE, Address("portal"), "lineage-1", SPEC, None, "run_1")
CREATING = Step(Phase.CREATING)
CREATED = Step(Phase.CREATED, Answer(201, True, "sealed " * 20, "app_1", "cid", "hint"))
OWN = ["state.json", "apps/portal.json", ".journal/op_1.op", ".journal/run_1.sight"]
HEAD = struct.calcsize(">II")


def record(key: str = "portal", name: str = "Portal") -> AppRecord:
    return AppRecord(Address(key), replace(APP, name=name), SECRET)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state"


@pytest.fixture
def store(folder: Path) -> DirectoryStore:
    return DirectoryStore(folder)


@pytest.fixture
def journal(folder: Path, store: DirectoryStore) -> Path:
    """A state with a header, a record, a sight, and an open operation that was answered; that one's file."""
    store.write_header(HEADER)
    store.write_record(record())
    store.write_sight(SIGHT)
    entry = store.open_operation(CREATE, CREATING, 1000)
    entry.step(CREATED)
    entry.leave()
    return folder / ".journal" / "op_1.op"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat(follow_symlinks=False).st_mode)


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder with what would tell that it was touched."""
    return {
        str(path.relative_to(folder)): (found.st_ino, found.st_mtime_ns, found.st_mode)
        for path in [folder, *folder.rglob("*")]
        for found in [path.stat(follow_symlinks=False)]
    }


def test_it_is_a_state_store(store: DirectoryStore) -> None:
    contract: StateStore = store
    assert contract.read() == State()


# --- reading what was written


def test_a_folder_that_is_not_there_is_an_empty_state_and_reading_does_not_make_it(
    store: DirectoryStore, folder: Path
) -> None:
    assert store.read() == State()
    assert not folder.parent.exists()


def test_a_folder_that_only_was_locked_is_an_empty_state(store: DirectoryStore) -> None:
    with store.lock("apply"):
        assert store.read() == State()
    assert store.read() == State()


def test_what_is_written_is_read_back(store: DirectoryStore) -> None:
    store.write_header(HEADER)
    store.write_record(record("b"))
    store.write_record(record("a", "Ünïcödé \u202e"))
    state = store.read()
    assert state.header == HEADER
    assert list(state.records.items()) == [
        (Address("a"), record("a", "Ünïcödé \u202e")),
        (Address("b"), record("b")),
    ]
    assert state.open == ()


def test_a_record_is_replaced_and_taken_away_and_may_be_gone_already(store: DirectoryStore) -> None:
    store.write_header(HEADER)
    store.write_record(record())
    store.write_record(record(name="Renamed"))
    assert store.read().records == {Address("portal"): record(name="Renamed")}
    for _ in range(2):
        store.delete_record(Address("portal"))
        assert store.read() == State(HEADER)


def test_taking_away_a_record_of_a_state_that_has_none_is_no_error(store: DirectoryStore) -> None:
    store.delete_record(Address("portal"))
    store.close_operation("op_1")
    assert store.read() == State()


def test_a_thousand_records_are_read_in_order_and_none_is_touched(
    store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a thousand times twice takes its time
    store.write_header(HEADER)
    keys = [f"app-{number:04}" for number in range(1000)]
    for key in reversed(keys):
        store.write_record(record(key))
    before = tree(folder)
    assert [address.key for address in store.read().records] == keys
    assert tree(folder) == before


def test_whatever_is_made_is_for_its_owner_alone(journal: Path, store: DirectoryStore, folder: Path) -> None:
    with store.lock("apply"):
        found = {str(path.relative_to(folder)): mode(path) for path in folder.rglob("*")}
    assert found == {
        **dict.fromkeys(["apps", ".journal"], 0o700),
        **dict.fromkeys([*OWN, ".lock", ".gitignore"], 0o600),
    }
    assert mode(folder) == mode(folder.parent) == 0o700


@pytest.mark.parametrize(
    "name",
    ["README.md", ".gitignore", "apps/README.md", "apps/.portal.json.0a1b2c3d.tmp", "apps/portal.json.orig",
     ".journal/op_9.op.bak", ".journal/.op_9.op.tmp", ".state.json.0a1b2c3d.tmp", "apps/.hidden.json"],
)  # fmt: skip
def test_files_of_another_kind_are_not_read(
    journal: Path, store: DirectoryStore, folder: Path, name: str
) -> None:
    before = store.read()
    (folder / name).write_bytes(b"<<<<<<<")
    assert store.read() == before


# --- what is damaged


def test_b63_a_header_that_is_missing_beside_records_is_no_empty_state(
    store: DirectoryStore, folder: Path
) -> None:
    store.write_record(record())
    with pytest.raises(StateError, match=r'state/state.json" is missing') as caught:
        store.read()
    assert "this is not an empty state" in caught.value.detail
    assert "version control" in caught.value.hint


def test_b63_a_header_that_is_missing_beside_an_open_operation_is_no_empty_state(
    store: DirectoryStore,
) -> None:
    store.open_operation(CREATE, CREATING, 0).leave()
    with pytest.raises(StateError, match="is missing"):
        store.read()


def test_b63_an_operation_of_another_lineage_is_refused(store: DirectoryStore, journal: Path) -> None:
    store.write_header(replace(HEADER, lineage="lineage-2"))
    with pytest.raises(StateError) as caught:
        store.read()
    assert "Its entry op_1 belongs to another lineage" in caught.value.detail
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "data", "check"),
    [
        ("state.json", b"", "it is empty (0 bytes)"),
        ("state.json", header_to(HEADER)[:-3], "it is not whole JSON"),
        (
            "state.json",
            header_to(HEADER).replace(b'"format": 1', b'"format": 2'),
            "a newer provisioner wrote it",
        ),
        ("apps/portal.json", b"", "it is empty (0 bytes)"),
        ("apps/portal.json", record_to(record("other")), 'the record of another key than "portal"'),
        ("apps/Portal.json", record_to(record()), "it is not named after a key"),
        (".journal/op_2.op", framed(b"{}") + framed(b"{}"), "its format is not one that was ever written"),
        (".journal/op_1.op", framed(operation_to(CREATE)) + framed(b"{}"), "a step in it lacks field"),
        (".journal/op_1.op", framed(operation_to(CREATE)) + framed(b"x"), "it is not whole JSON"),
        (".journal/run_1.sight", sight_to(SIGHT)[:-3], "it is not whole JSON"),
        (".journal/run_1.sight", b"", "it is empty (0 bytes)"),
    ],
)
def test_b63_a_damaged_file_is_named_with_the_check_that_failed(
    journal: Path, store: DirectoryStore, folder: Path, name: str, data: bytes, check: str
) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(StateError) as caught:
        store.read()
    assert f'/deep/state/{name}"' in caught.value.summary
    assert check in caught.value.detail


@pytest.mark.parametrize("name", OWN)
def test_a_file_of_the_state_that_is_a_link_is_refused_and_its_target_left_alone(
    journal: Path, store: DirectoryStore, folder: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "elsewhere"
    (folder / name).rename(target)
    target.chmod(0o644)
    (folder / name).symlink_to(target)
    with store.lock("apply"), pytest.raises(FileError) as caught:
        store.read()
    assert "a symbolic link is not followed here" in caught.value.detail
    assert mode(target) == 0o644


@pytest.mark.parametrize("name", ["state.json", "apps/x.json", ".journal/op_2.op"])
def test_a_folder_in_the_place_of_a_file_is_refused(
    store: DirectoryStore, folder: Path, journal: Path, name: str
) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    with pytest.raises(FileError, match="Could not read"):
        store.read()


def test_a_file_in_the_place_of_the_folder_is_refused(store: DirectoryStore, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_bytes(b"")
    with pytest.raises(FileError):
        store.read()
    with pytest.raises(FileError), store.lock("apply"):
        pytest.fail("it holds a lock nowhere")


# --- the journal


def test_an_operation_is_found_open_at_its_last_step_until_it_is_closed(store: DirectoryStore) -> None:
    store.write_header(HEADER)
    entry = store.open_operation(CREATE, CREATING, 1000)
    assert store.read().open == (OpenOperation(CREATE, CREATING),)
    for step in (CREATED, replace(CREATED, phase=Phase.ROTATED), Step(Phase.ROTATING_AGAIN)):
        entry.step(step)
        assert store.read().open == (OpenOperation(CREATE, step),)
    entry.close()
    assert store.read() == State(HEADER)


def test_an_operation_that_is_left_stays_open_for_the_next_run(store: DirectoryStore, folder: Path) -> None:
    store.write_header(HEADER)
    store.open_operation(CREATE, CREATING, 1000).leave()
    assert DirectoryStore(folder).read().open == (OpenOperation(CREATE, CREATING),)
    store.close_operation(CREATE.id)
    assert store.read() == State(HEADER)


def test_an_entry_that_is_written_anew_stands_for_the_old_one(
    store: DirectoryStore, folder: Path, journal: Path
) -> None:
    again = Step(Phase.CREATING_AGAIN)
    store.open_operation(CREATE, again, 0).leave()
    assert store.read().open == (OpenOperation(CREATE, again, SIGHT),)
    assert sorted(path.name for path in journal.parent.iterdir()) == ["op_1.op", "run_1.sight"]


def test_an_entry_that_cannot_be_written_anew_stays_as_it_was(
    store: DirectoryStore, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(FileError, match="Could not write"):
            store.open_operation(CREATE, Step(Phase.CREATING_AGAIN), 0)
    assert store.read().open == (OpenOperation(CREATE, CREATED, SIGHT),)


def test_operations_are_found_in_the_order_of_their_ids(store: DirectoryStore) -> None:
    store.write_header(HEADER)
    delete = Operation("op_0", Kind.DELETE, Address("old"), "lineage-1", app=APP)
    for operation in (CREATE, delete):
        store.open_operation(operation, CREATING, 0).leave()
    assert [entry.operation for entry in store.read().open] == [delete, CREATE]


def test_an_operation_is_found_with_what_its_own_run_had_seen(store: DirectoryStore) -> None:
    store.write_header(HEADER)
    store.write_sight(SIGHT)
    for number, sight in enumerate(["run_1", "run_2", None]):
        store.open_operation(replace(CREATE, id=f"op_{number}", sight=sight), CREATING, 0).leave()
    assert [entry.sight for entry in store.read().open] == [SIGHT, None, None]


def test_what_a_run_had_seen_is_kept_while_an_operation_is_open_and_removed_afterwards(
    store: DirectoryStore, folder: Path, journal: Path
) -> None:
    with store.lock("apply"):
        assert (folder / ".journal" / "run_1.sight").exists()
    store.close_operation(CREATE.id)
    (journal.parent / "README").touch()
    with store.lock("apply"):
        assert [path.name for path in journal.parent.iterdir()] == ["README"]


@pytest.mark.parametrize("size", [0, 1000, 64 * 1024, 1024 * 1024])
def test_there_is_room_for_the_sealed_form_of_the_largest_answer(store: DirectoryStore, size: int) -> None:
    store.write_header(HEADER)
    entry = store.open_operation(CREATE, CREATING, size)
    sealed = "\n".join(["x" * 64] * (size * 4 // 3 // 64 + 100))  # armor, and a header of 6 KB
    step = Step(Phase.CREATED, Answer(201, True, sealed, "app_1", "cid", "\u202e" * 1000))
    entry.step(step)
    entry.leave()
    assert store.read().open == (OpenOperation(CREATE, step),)


def test_an_answer_that_does_not_fit_is_refused_and_the_operation_stays_open(store: DirectoryStore) -> None:
    store.write_header(HEADER)
    entry = store.open_operation(CREATE, CREATING, 0)
    with pytest.raises(FileError, match="no room"):
        entry.step(Step(Phase.CREATED, Answer(201, True, "x" * 100_000)))
    entry.step(CREATED)
    entry.leave()
    assert store.read().open == (OpenOperation(CREATE, CREATED),)


@pytest.mark.parametrize(
    ("operation", "size"),
    [
        (CREATE, 3 * 1024 * 1024),
        (replace(CREATE, spec=AppSpec("Portal", ("https://p.example/" + "x" * 5_000_000,))), 0),
    ],
)
def test_what_could_not_be_read_back_is_refused_before_it_is_asked_for(
    store: DirectoryStore, folder: Path, operation: Operation, size: int
) -> None:
    with pytest.raises(StateError, match="portal is too large") as caught:
        store.open_operation(operation, CREATING, size)
    assert "the limit is 4,194,304" in caught.value.detail
    assert not (folder / ".journal").exists()


def frame_ends(data: bytes) -> list[int]:
    """Where each frame ends: the operation, its first step, the step with the answer."""
    ends, at = [], 0
    for _ in range(3):
        at += HEAD + struct.unpack_from(">I", data, at)[0]
        ends.append(at)
    return ends


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "cut off": lambda data, at: data[:at],
    "never written from here on": lambda data, at: data[:at] + bytes(len(data) - at),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_an_answer_that_was_torn_at_any_byte_counts_as_none(
    store: DirectoryStore, journal: Path, damage: Callable[[bytes, int], bytes]
) -> None:
    whole = journal.read_bytes()
    _, first, second = frame_ends(whole)
    for at in range(first, second):
        journal.write_bytes(damage(whole, at))
        assert store.read().open == (OpenOperation(CREATE, CREATING, SIGHT),), at
    journal.write_bytes(damage(whole, second))
    assert store.read().open == (OpenOperation(CREATE, CREATED, SIGHT),)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_b63_an_intent_that_is_torn_at_any_byte_is_refused(
    store: DirectoryStore, journal: Path, damage: Callable[[bytes, int], bytes]
) -> None:
    whole = journal.read_bytes()
    for at in range(frame_ends(whole)[1]):
        journal.write_bytes(damage(whole, at))
        with pytest.raises(StateError, match="The journal cannot be trusted") as caught:
            store.read()
        assert "Its first frames are damaged" in caught.value.detail
        assert "do not delete it" in caught.value.hint


def test_a_bit_that_turned_in_an_answer_makes_it_count_as_none(store: DirectoryStore, journal: Path) -> None:
    whole = journal.read_bytes()
    _, first, second = frame_ends(whole)
    for at in range(first, second, 5):
        journal.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert store.read().open == (OpenOperation(CREATE, CREATING, SIGHT),), at


@pytest.mark.parametrize(
    "name", ["op_.op", "OP_1.op", "op_A.op", "op_1\x1b.op", "op_1.x.op", "op_" + "1" * 65 + ".op"]
)
def test_b63_a_file_of_the_journal_that_is_none_of_its_entries_is_refused(
    store: DirectoryStore, journal: Path, name: str
) -> None:
    journal.with_name(name).write_bytes(journal.read_bytes())
    with pytest.raises(StateError, match="none of its entries") as caught:
        store.read()
    assert caught.value.summary.isprintable()


def test_b63_an_entry_under_anothers_name_is_refused(store: DirectoryStore, journal: Path) -> None:
    journal.rename(journal.with_name("op_2.op"))
    with pytest.raises(StateError, match="under another's name"):
        store.read()


def test_the_journal_is_read_before_the_records_so_that_an_operation_is_seen_in_one_of_them_at_least(
    store: DirectoryStore, folder: Path
) -> None:
    """A plan reads without the lock, while an apply may be writing."""
    store.write_header(HEADER)
    entry = store.open_operation(CREATE, CREATING, 0)

    class Interleaved(Files):
        def read(self, path: Path, limit: int) -> bytes:
            data = super().read(path, limit)
            if path.suffix == ".op":
                store.write_record(record())
                entry.close()
            return data

    state = DirectoryStore(folder, Interleaved()).read()
    assert (state.open, list(state.records)) == ((), [Address("portal")])


def test_an_entry_whose_file_is_another_ones_by_the_time_it_is_read_is_passed_over(
    store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_header(HEADER)
    entry = store.open_operation(CREATE, CREATING, 0)
    opened = os.open
    taken: list[bytes] = []

    def opening(path: str | Path, flags: int, *others: object, **named: object) -> int:
        fd = opened(path, flags, *others, **named)
        if str(path).endswith("/op_1.op") and not taken:
            entry.close()
            store.open_operation(replace(CREATE, id="op_2"), CREATING, 0).leave()
            taken.append(os.pread(fd, 1000, 0))
        return fd

    monkeypatch.setattr(os, "open", opening)
    assert store.read() == State(HEADER)
    assert b"op_2" in taken[0], "it was not the same file, so this shows nothing"


def test_nothing_is_left_of_the_entries_of_a_run_once_it_ends(store: DirectoryStore, folder: Path) -> None:
    for error in (None, StateError("It failed")):
        with contextlib.suppress(StateError), store.lock("apply"):
            for _ in range(2):
                entry = store.open_operation(CREATE, CREATING, 0)
                entry.step(CREATED)
                entry.close()
            assert [path.read_bytes().strip(b"\0") for path in (folder / ".journal").iterdir()] == [b""]
            if error:
                raise error
        assert list((folder / ".journal").iterdir()) == []


def test_a_file_that_an_apply_takes_away_while_the_state_is_read_is_no_error(
    store: DirectoryStore, folder: Path, journal: Path
) -> None:
    class Interleaved(Files):
        def read(self, path: Path, limit: int) -> bytes:
            if path.parent != folder:
                path.unlink()
            return super().read(path, limit)

    assert DirectoryStore(folder, Interleaved()).read() == State(HEADER)


# --- a folder that is somebody else's


@pytest.mark.parametrize("name", ["notes.txt", "apps.yaml", "state", "state.json.orig", "notes.tmp"])
def test_a_folder_that_holds_other_things_is_not_made_a_state(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for other in ("README.md", name):
        (folder / other).touch()
    before = tree(folder)
    with (
        pytest.raises(StateError, match="is not for a state alone") as caught,
        DirectoryStore(folder).lock("x"),
    ):
        pytest.fail("it is held")
    assert f'"{name}"' in caught.value.detail
    assert "Name a folder of its own" in caught.value.hint
    assert tree(folder) == before


def test_a_folder_that_is_prepared_or_was_left_by_a_first_run_that_was_killed_becomes_a_state(
    folder: Path,
) -> None:
    for name in ("apps", ".journal", ".git", "lost+found"):
        (folder / name).mkdir(parents=True)
    own = [".lock", ".gitignore", ".state.json.0a1b2c3d.tmp", "..gitignore.0a1b2c3d.tmp"]
    for name in [*own, "README.md", ".gitkeep", ".gitattributes", ".journal/run_1.sight"]:
        (folder / name).touch()
    with DirectoryStore(folder).lock("apply"):
        assert mode(folder) == 0o700


def test_a_state_that_is_one_may_have_other_things_beside_it(store: DirectoryStore, folder: Path) -> None:
    store.write_header(HEADER)
    (folder / "notes.txt").touch()
    with store.lock("apply"):
        assert store.read() == State(HEADER)


# --- the lock


def test_another_run_is_told_who_holds_the_state(store: DirectoryStore, folder: Path) -> None:
    with store.lock("apply"), pytest.raises(LockedError) as caught, DirectoryStore(folder).lock("apply"):
        pytest.fail("two hold it")
    error = caught.value
    assert error.exit_code == EXIT_LOCKED == 4
    who = f"process {os.getpid()} on {socket.gethostname()}"
    assert error.detail.startswith(f"`provisioner apply` holds it: {who}, for ")
    assert error.detail.endswith((" 0 s.", " 1 s."))
    assert "Wait until it is done" in error.hint
    with store.lock("apply"):
        assert json.loads((folder / ".lock").read_bytes())["pid"] == os.getpid()


def test_the_lock_is_given_back_after_an_error(store: DirectoryStore) -> None:
    with pytest.raises(RuntimeError), store.lock("apply"):
        raise RuntimeError
    with store.lock("apply"):
        pass


def test_a_run_that_may_wait_gets_the_lock_once_it_is_free(store: DirectoryStore, folder: Path) -> None:
    with contextlib.ExitStack() as first:
        first.enter_context(store.lock("apply"))
        release = threading.Timer(0.05, first.close)
        release.start()
        with DirectoryStore(folder).lock("apply", timeout=30):
            assert json.loads((folder / ".lock").read_bytes())["operation"] == "apply"
        release.join()


def test_a_run_waits_no_longer_than_it_may(store: DirectoryStore, folder: Path) -> None:
    with store.lock("apply"), pytest.raises(LockedError), DirectoryStore(folder).lock("apply", timeout=0.01):
        pytest.fail("two hold it")


def test_the_age_of_a_lock_is_told_in_seconds(store: DirectoryStore, folder: Path) -> None:
    with store.lock("apply"):
        note = json.loads((folder / ".lock").read_bytes())
        for since, told in ((note["since"] - 3600, 3600), (note["since"] + 3600, 0)):
            (folder / ".lock").write_text(json.dumps(note | {"since": since}))
            with pytest.raises(LockedError) as caught, store.lock("apply"):
                pytest.fail("two hold it")
            assert int(caught.value.detail.split()[-2]) - told in (0, 1)


NOTES = {
    "empty": b"",
    "not JSON": b"x",
    "not UTF-8": b"\xff\xfe\xff",
    "a list": b"[]",
    "a string": b'"x"',
    "no fields": b"{}",
    "no time": b'{"host": "h", "pid": 1, "operation": "apply", "since": null}',
    "words": b'{"host": "h", "pid": "many", "operation": "apply", "since": 1}',
    "no number": b'{"host": "h", "pid": 1, "operation": "apply", "since": NaN}',
    "no end": b'{"host": "h", "pid": 1, "operation": "apply", "since": 1e999}',
    "depth": b"[" * 5000,
    "length": b'{"host": "' + b"h" * 5000 + b'", "pid": 1, "operation": "apply", "since": 1}',
}


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_a_note_that_cannot_be_read_is_no_reason_to_go_on(
    store: DirectoryStore, folder: Path, note: bytes
) -> None:
    with store.lock("apply"):
        (folder / ".lock").write_bytes(note)
        with pytest.raises(LockedError) as caught, store.lock("apply"):
            pytest.fail("two hold it")
    assert caught.value.detail == "Another run holds it; its note cannot be read."


def test_a_note_is_shown_escaped_and_cut(store: DirectoryStore, folder: Path) -> None:
    note = {"host": "\x1b[31m" + "h" * 500, "pid": 1, "operation": "\u202e" + "o" * 500, "since": 0}
    with store.lock("apply"):
        (folder / ".lock").write_text(json.dumps(note))
        with pytest.raises(LockedError) as caught, store.lock("apply"):
            pytest.fail("two hold it")
    assert r"\x1b[31mhhh" in caught.value.detail
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 300


# --- what is put in order under the lock


def test_what_git_checked_out_looser_is_tightened_under_the_lock_and_not_before(
    journal: Path, store: DirectoryStore, folder: Path
) -> None:
    folders = [folder, folder / "apps", folder / ".journal"]
    own = [folder / name for name in OWN]
    looser = [*((path, 0o755) for path in folders), *zip(own, (0o644, 0o755, 0o666, 0o640), strict=True)]
    for path, loose in looser:
        path.chmod(loose)
    before = store.read()
    assert [mode(path) for path, _ in looser] == [loose for _, loose in looser]
    with store.lock("apply"):
        assert [mode(path) for path in folders] == [0o700] * 3
        assert [mode(path) for path in own] == [0o600] * 4
        assert store.read() == before


def test_the_folder_tells_git_what_belongs_to_one_machine_alone(store: DirectoryStore, folder: Path) -> None:
    with store.lock("apply"):
        lines = (folder / ".gitignore").read_text().splitlines()
    assert {".lock", ".journal/", ".*.tmp"} <= set(lines)
    (folder / ".gitignore").write_text("my own\n")
    with store.lock("apply"):
        assert (folder / ".gitignore").read_text() == "my own\n"


def test_what_killed_writes_left_is_removed_under_the_lock_and_not_read_before(
    journal: Path, store: DirectoryStore, folder: Path
) -> None:
    left = [".state.json.0a1b2c3d.tmp", "..gitignore.0a1b2c3d.tmp", "apps/.portal.json.0a1b2c3d.tmp"]
    left += [".journal/.op_1a.op.tmp", ".journal/.run_1.sight.0a1b2c3d.tmp"]
    for name in left:
        (folder / name).write_bytes(b"half")
    before = store.read()
    with store.lock("apply"):
        assert [name for name in left if (folder / name).exists()] == []
        assert store.read() == before


@pytest.mark.parametrize(
    "name",
    ["README.md", "package.json", ".env", "notes.tmp", ".notes.tmp", ".x.json.tmp", "apps/README.md",
     "apps/.portal.json.tmp", "apps/.portal.json.0A1B2C3D.tmp", "apps/.P.json.0a1b2c3d.tmp", ".journal/x"],
)  # fmt: skip
def test_what_is_not_the_states_is_neither_removed_nor_tightened(
    journal: Path, store: DirectoryStore, folder: Path, name: str
) -> None:
    (folder / name).write_bytes(b"a user's")
    (folder / name).chmod(0o644)
    with store.lock("apply"):
        pass
    assert mode(folder / name) == 0o644


def test_the_lock_touches_no_file_that_is_in_order(
    journal: Path, store: DirectoryStore, folder: Path
) -> None:
    with store.lock("apply"):
        pass
    before = tree(folder)
    with store.lock("apply"):
        pass
    after = tree(folder)
    assert {name for name in before if before[name] != after[name]} <= {".lock"}


def test_a_run_that_finds_the_state_locked_puts_nothing_in_order(
    journal: Path, store: DirectoryStore, folder: Path
) -> None:
    with store.lock("apply"):
        (folder / "state.json").chmod(0o644)
        (folder / ".journal" / ".op_2.op.tmp").write_bytes(b"being written by the holder")
        with pytest.raises(LockedError), store.lock("apply"):
            pytest.fail("two hold it")
        assert mode(folder / "state.json") == 0o644
        assert (folder / ".journal" / ".op_2.op.tmp").exists()
