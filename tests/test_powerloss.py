"""F11: the power goes at any moment of an apply, and what was not synced is lost, kept, or kept in part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from torture.disk import Disk, Photo, Stopped, torn
from torture.driver import seeded
from torture.planted import too_soon
from torture.powerloss import SCENARIOS, Bench, after_kill, album, chain, exhaustive, finds, honest

from provisioner.files import Files
from provisioner.sinks.places import Place

pytestmark = pytest.mark.unmeasured

LIMIT = 64  # ways to find the disk, for one moment; no moment here has more


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("name", SCENARIOS)
def test_f11_the_power_may_go_at_any_moment_and_the_next_applies_make_it_good(bench, name: str) -> None:
    counts = exhaustive(bench, name, seeded(0), LIMIT)
    assert counts.failures == ()
    assert counts.points > 10


@pytest.mark.parametrize("seed", range(60))
def test_f11_crash_after_crash_with_faults_of_the_api_converges(bench, seed: int) -> None:
    assert chain(bench, seed).failures == ()


def named(*endings: str) -> Callable[[str, Path], bool]:
    """Syncs of files whose names end so do nothing."""
    return lambda kind, path: kind != "folder" and path.name.removesuffix(".tmp").endswith(endings)


def folder(name: str) -> Callable[[str, Path], bool]:
    """Syncs of this folder do nothing."""
    return lambda kind, path: kind == "folder" and path.name == name


PLANTED = {
    "the folder of the records is not synced": ("create", folder("apps")),
    "the folder of the journal is not synced": ("create", folder(".journal")),
    "the folder of the state is not synced": ("create", folder("state")),
    "the intent is not synced": ("create", named(".op")),
    "the answer is not synced": ("rotate", lambda kind, _: kind == "fdatasync"),
    "the record is not synced": ("rotate", lambda kind, path: kind == "fsync" and "one.json" in path.name),
    "the header is not synced": ("create", lambda kind, path: kind == "fsync" and "state.json" in path.name),
    "what is delivered is not synced": ("create and deliver", named(".env")),
    "the folder of what is delivered is not synced": ("create and deliver", folder("manifest")),
    "nothing is synced": ("delete", lambda _kind, _path: True),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(bench, fault: str) -> None:
    name, lies = PLANTED[fault]
    assert finds(bench, name, seeded(0), 8, lies)


def test_an_entrys_file_that_is_used_again_before_its_name_is_gone_for_good_is_found(
    bench, monkeypatch
) -> None:
    monkeypatch.setattr(Files, "take_away", too_soon(Files.take_away))
    assert finds(bench, "mix", seeded(0), 8, honest)


def test_every_moment_between_two_changes_is_visited(bench) -> None:
    """As many as there are changes and requests in a create, so that none can go unseen."""
    moments = album(bench, "create")
    assert len({len(moment.server.world.apps()) for moment in moments}) == 2
    assert sum(moment.photo.pending != () for moment in moments) > 20
    assert any(moment.photo.frames for moment in moments)


def left(disk: Disk) -> set[tuple[tuple[str, bytes | None], ...]]:
    trees = disk.photo().survivors(seeded(0), LIMIT)
    return {tuple(sorted((str(path), data) for path, data in tree)) for tree in trees}


def test_a_file_that_was_synced_in_a_folder_that_was_not_may_be_gone(tmp_path) -> None:
    with Disk(tmp_path) as disk:
        Files().write(tmp_path / "a", b"old")
        assert left(disk) == {(("a", b"old"),)}
        fd = os.open(tmp_path / "b", os.O_WRONLY | os.O_CREAT)
        os.pwrite(fd, b"new", 0)
        os.fsync(fd)
        assert left(disk) == {(("a", b"old"),), (("a", b"old"), ("b", b"new"))}
        os.close(fd)


def test_a_rename_is_done_whole_or_not_at_all_and_its_data_may_be_missing(tmp_path) -> None:
    with Disk(tmp_path) as disk:
        Files().write(tmp_path / "a", b"old!")
        fd = os.open(tmp_path / "b", os.O_WRONLY | os.O_CREAT)
        os.pwrite(fd, b"new!", 0)
        os.close(fd)
        (tmp_path / "b").rename(tmp_path / "a")
        contents = (b"", b"\0\0\0\0", b"ne", b"new!")
        renamed = {(("a", data),) for data in contents}
        both = {(("a", b"old!"), ("b", data)) for data in contents}
        assert left(disk) == renamed | both | {(("a", b"old!"),)}


def test_what_lies_in_a_folder_goes_with_it(tmp_path) -> None:
    with Disk(tmp_path) as disk:
        (tmp_path / "f").mkdir()
        Files().write(tmp_path / "f" / "a", b"x")
        assert left(disk) == {(), (("f", None), ("f/a", b"x"))}
        Files().sync_folder(tmp_path)
        assert left(disk) == {(("f", None), ("f/a", b"x"))}


def test_a_dead_process_changes_nothing_more(tmp_path) -> None:
    disk = Disk(tmp_path)
    disk.dies_in = 3
    with pytest.raises(Stopped), disk:
        Files().write(tmp_path / "a", b"x")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"]  # its temporary is not taken away
    assert not (tmp_path / "a").exists()


def test_bytes_before_those_that_were_not_synced_stay() -> None:
    assert torn(b"abcdef", bytes(6)) == (b"abcdef", bytes(6), b"\0\0\0def")
    assert torn(b"ab\0\0\0\0", b"abcdef") == (b"ab\0\0\0\0", b"abcd\0\0", b"abcdef")


@pytest.mark.parametrize("name", ["create", "rotate", "replace"])
def test_f8_a_run_makes_durable_what_a_killed_one_left_before_it_builds_on_it(bench, name: str) -> None:
    kills = [at for at, moment in enumerate(album(bench, name)) if renames_a_record(moment.photo)]
    assert len(kills) == 1
    assert after_kill(bench, name, kills[0], seeded(0), limit=4).failures == ()


def test_f8_what_a_killed_run_took_from_a_sink_is_gone_for_good_before_its_receipt_is(tmp_path) -> None:
    with Disk(tmp_path) as disk:
        Files().write(tmp_path / "secret", b"ours")
        (tmp_path / "secret").unlink()
        Place.of(tmp_path, "secret").remove(lambda content: content == b"ours", b"mark")
        assert left(disk) == {()}


def test_f8_a_sinks_folder_that_a_killed_run_made_is_durable_before_its_receipt_is(tmp_path) -> None:
    with Disk(tmp_path) as disk:
        (tmp_path / "f").mkdir(0o700)
        Place.of(tmp_path, "f/secret").write(b"x")
        assert left(disk) == {(("f", None), ("f/secret", b"x"))}


def renames_a_record(photo: Photo) -> bool:
    """Whether a record has its name, and a power loss could take it away again."""
    return any(
        change.come and change.come[0].parent.name == "apps" for change in photo.pending if change.gone
    )


def test_f8_a_run_makes_durable_the_state_folder_that_a_killed_one_made(bench) -> None:
    moments = album(bench, "create")
    made = next(at for at, moment in enumerate(moments) if moment.photo.pending)
    assert after_kill(bench, "create", made, seeded(0), limit=4).failures == ()
