"""Where a secret's file may be: nothing leads elsewhere, nobody shares it, and it is whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import SinkError
from provisioner.sinks import places
from provisioner.sinks.places import Place, beside

MARK = b"MY_SECRET"


def ours(content: bytes) -> bool:
    return content.startswith(b"ours")


def place(folder: Path, path: str = "secrets/portal/app.env") -> Place:
    return Place.of(folder, path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat(follow_symlinks=False).st_mode)


def tree(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def every_way(of: Place) -> list[Callable[[], None]]:
    return [
        lambda: of.check(ours, private=False),
        lambda: of.write(b"ours"),
        lambda: of.remove(ours, MARK),
    ]


def refused(call: Callable[[], object]) -> SinkError:
    before = descriptors()
    with pytest.raises(SinkError) as caught:
        call()
    assert descriptors() == before
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


# --- the path as it is written


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/etc/passwd", "does not stay below"),
        ("//x", "does not stay below"),
        ("~/x", "does not stay below"),
        ("~root/x", "does not stay below"),
        ("", "an empty one"),
        (".", ". or .."),
        ("./", "an empty one"),
        ("..", ". or .."),
        ("../x", ". or .."),
        ("a/../b", ". or .."),
        ("a/..", ". or .."),
        ("a/./b", ". or .."),
        ("a//b", "an empty one"),
        (".//etc", "an empty one"),
        ("a/", "an empty one"),
        ("a\0b", "cannot be seen"),
        ("a\nb", "cannot be seen"),
        ("a\x1b[2Jb", "cannot be seen"),
        ("a\u202eb", "cannot be seen"),
        ("a\udc80b", "cannot be seen"),
        ("x" * 121, "longer than 120 bytes"),
        ("é" * 61 + "/x", "longer than 120 bytes"),
    ],
)
def test_b52_a_path_that_is_not_plainly_below_its_folder_is_refused(path: str, rule: str) -> None:
    error = refused(lambda: Place.of(Path("/folder"), path))
    assert rule in error.detail
    assert error.summary.isprintable()


@pytest.mark.parametrize("path", ["app.env", "./app.env", "a/b/c.age", ".env", "a b/é.env", "...", "x" * 120])
def test_a_path_of_names_is_taken(path: str) -> None:
    assert place(Path("/f"), path) == Place(Path("/f"), PurePosixPath(path))


@given(st.lists(st.sampled_from(["..", ".", "", "~", "a", "b.env"]), min_size=1, max_size=5))
def test_b52_whatever_is_taken_stays_below_its_folder(parts: list[str]) -> None:
    with contextlib.suppress(SinkError):
        taken = place(Path("/folder"), "/".join(parts))
        assert os.path.normpath(taken.folder / taken.path).startswith("/folder/")


# --- what is on the way


@pytest.mark.parametrize("at", ["secrets", "secrets/portal", "secrets/portal/app.env"])
def test_b52_a_symbolic_link_in_any_component_is_refused_by_every_operation(tmp_path: Path, at: str) -> None:
    (tmp_path / "elsewhere" / "portal").mkdir(parents=True)
    (tmp_path / "elsewhere" / "app.env").write_bytes(b"ours")
    (tmp_path / "elsewhere" / "portal" / "app.env").write_bytes(b"ours")
    link = tmp_path / "root" / at
    link.parent.mkdir(parents=True)
    target = tmp_path / "elsewhere"
    link.symlink_to(target / "app.env" if link.name == "app.env" else target)
    before = tree(tmp_path)
    check, write, remove = every_way(place(tmp_path / "root"))
    for call in (check, remove) if link.name == "app.env" else (check, write, remove):
        assert "is a symbolic link, not" in refused(call).summary
    assert tree(tmp_path) == before
    assert link.is_symlink()


def test_b52_a_link_that_takes_the_files_place_after_the_check_is_replaced_and_not_followed(
    tmp_path: Path,
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    (tmp_path / "app.env").symlink_to("elsewhere")
    place(tmp_path, "app.env").write(b"ours")
    assert tree(tmp_path) == {"elsewhere": b"theirs", "app.env": b"ours"}


@pytest.mark.parametrize("operation", range(3))
def test_b52_a_link_that_takes_a_folders_place_after_the_look_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: int
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "app.env").write_bytes(b"ours")
    (tmp_path / "secrets").mkdir()
    real = os.stat

    def swapping(*arguments: object, **options: object) -> os.stat_result:
        found = real(*arguments, **options)
        if arguments[0] == "secrets" and not (tmp_path / "secrets").is_symlink():
            (tmp_path / "secrets").rmdir()
            (tmp_path / "secrets").symlink_to("elsewhere")
        return found

    monkeypatch.setattr(os, "stat", swapping)
    error = refused(every_way(place(tmp_path, "secrets/app.env"))[operation])
    assert error.summary.startswith("Could not open the folder")
    assert tree(tmp_path) == {"elsewhere/app.env": b"ours"}


def test_the_sinks_own_folder_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    place(tmp_path / "link").write(b"ours")
    place(tmp_path / "link").check(ours, private=True)
    assert tree(tmp_path / "real") == {"secrets/portal/app.env": b"ours"}


@pytest.mark.parametrize("at", ["secrets", "secrets/portal"])
def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path, at: str) -> None:
    (tmp_path / at).parent.mkdir(exist_ok=True)
    (tmp_path / at).write_bytes(b"ours")
    for call in every_way(place(tmp_path)):
        assert "not a folder" in refused(call).summary
    assert tree(tmp_path) == {at: b"ours"}


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"), [(Path.mkdir, "a folder"), (os.mkfifo, "a FIFO"), (make_socket, "a socket")]
)
def test_b53_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None], kind: str) -> None:
    make(tmp_path / "app.env")
    (tmp_path / "app.env").chmod(0o640)
    check, _, remove = every_way(place(tmp_path, "app.env"))
    for call in (check, remove):
        error = refused(call)
        assert f"is {kind}, not a file" in error.summary
        assert f"mode 0640 and belongs to user id {os.geteuid()}" in error.detail
    assert os.path.lexists(tmp_path / "app.env")


def test_b53_a_file_of_another_user_is_refused_with_its_mode_and_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.env").write_bytes(b"ours")
    (tmp_path / "app.env").chmod(0o644)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 4321)
    check, _, remove = every_way(place(tmp_path, "app.env"))
    for call in (check, remove):
        error = refused(call)
        assert "belongs to another user" in error.summary
        assert (
            error.detail
            == f"It has mode 0644 and belongs to user id {owner}; this is user id {owner + 4321}."
        )
    assert tree(tmp_path) == {"app.env": b"ours"}


@pytest.mark.parametrize("loose", [0o601, 0o604, 0o610, 0o620, 0o640, 0o644, 0o700, 0o4600, 0o666])
def test_b53_a_file_looser_than_0600_is_refused_where_it_must_be_private(tmp_path: Path, loose: int) -> None:
    (tmp_path / "app.env").write_bytes(b"ours")
    (tmp_path / "app.env").chmod(loose)
    error = refused(lambda: place(tmp_path, "app.env").check(ours, private=True))
    assert error.summary.endswith('app.env" is not private')
    assert f"mode {loose:04o} and belongs to user id {os.geteuid()}" in error.detail
    assert "chmod 600" in error.hint
    place(tmp_path, "app.env").check(ours, private=False)


@pytest.mark.parametrize("tight", [0o600, 0o400])
def test_b53_a_file_that_is_private_passes(tmp_path: Path, tight: int) -> None:
    (tmp_path / "app.env").write_bytes(b"ours")
    (tmp_path / "app.env").chmod(tight)
    place(tmp_path, "app.env").check(ours, private=True)


@pytest.mark.parametrize("loose", [0o770, 0o775, 0o777, 0o702, 0o720])
@pytest.mark.parametrize("at", ["secrets", "secrets/portal"])
def test_b53_a_folder_that_others_may_write_to_is_refused_with_its_mode_and_owner(
    tmp_path: Path, at: str, loose: int
) -> None:
    (tmp_path / "secrets" / "portal").mkdir(parents=True, mode=0o700)
    (tmp_path / at).chmod(loose)
    for call in every_way(place(tmp_path)):
        error = refused(call)
        assert error.summary == f'Others may write to the folder "{tmp_path / at}"'
        assert f"mode {loose:04o} and belongs to user id {os.geteuid()}" in error.detail
        assert error.hint == f'Type: chmod go-w "{tmp_path / at}"'
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("safe", [0o700, 0o755, 0o1777, 0o1770])
def test_b53_a_folder_in_which_others_cannot_replace_a_file_is_used(tmp_path: Path, safe: int) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets").chmod(safe)
    for call in every_way(place(tmp_path, "secrets/app.env"))[:2]:
        call()
    assert tree(tmp_path) == {"secrets/app.env": b"ours"}
    assert mode(tmp_path / "secrets") == safe


@pytest.mark.parametrize(("path", "taken"), [("secrets/app.env", True), ("app.env", False)])
def test_b53_the_sinks_own_folder_is_looked_at_where_the_file_lies_in_it(
    tmp_path: Path, path: str, taken: bool
) -> None:
    tmp_path.chmod(0o777)
    for call in every_way(place(tmp_path, path)):
        if taken:
            call()
        else:
            assert "Others may write" in refused(call).summary


def test_b53_a_folder_of_another_user_is_refused_unless_the_sinks_folder_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)
    try:
        os.chown(tmp_path / "secrets", 4321, -1)
    except PermissionError:
        pytest.skip("NOT TESTED: this user may not give a folder to another user")
    for call in every_way(place(tmp_path, "secrets/app.env")):
        error = refused(call)
        assert "belongs to another user" in error.summary
        assert "mode 0755 and belongs to user id 4321" in error.detail
    os.chown(tmp_path, 4321, -1)
    for call in every_way(place(tmp_path, "secrets/app.env")):
        call()


# --- a look before anything is sent


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    place(tmp_path).check(ours, private=True)
    assert list(tmp_path.iterdir()) == []


def test_a_check_where_nothing_may_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def access(path: str, bits: int, *, dir_fd: int, effective_ids: bool) -> bool:
        asked.append((path, bits, os.fstat(dir_fd).st_ino, effective_ids))
        return False

    monkeypatch.setattr(os, "access", access)
    (tmp_path / "secrets").mkdir()
    error = refused(lambda: place(tmp_path).check(ours, private=False))
    assert error.summary.startswith("Could not write ")
    assert "read-only" in error.detail
    assert asked == [(".", os.W_OK | os.X_OK, (tmp_path / "secrets").stat().st_ino, True)]


def test_a_sink_whose_folder_is_gone_can_take_nothing_and_has_nothing(tmp_path: Path) -> None:
    check, write, remove = every_way(place(tmp_path / "gone"))
    for call in (check, write):
        assert refused(call).detail == "No such file or directory."
    remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_else_wrote_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "apps.yaml").write_bytes(b"version: 1\n")
    error = refused(lambda: place(tmp_path, "apps.yaml").check(ours, private=False))
    assert error.summary.endswith('apps.yaml" was not written by provisioner')
    (tmp_path / "apps.yaml").write_bytes(b"")
    place(tmp_path, "apps.yaml").check(ours, private=False)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.env").write_bytes(b"ours")
    monkeypatch.setattr(places, "read_in", lambda *_: os.open(tmp_path / "app.env" / "x", os.O_RDONLY))
    check, _, remove = every_way(place(tmp_path, "app.env"))
    for call in (check, remove):
        assert refused(call).summary.startswith("Could not read ")


# --- whole or not at all


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_folders_are_0700_and_the_file_is_0600_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        place(tmp_path).write(b"ours")
    paths = ("secrets", "secrets/portal", "secrets/portal/app.env")
    assert [mode(tmp_path / path) for path in paths] == [0o700, 0o700, 0o600]
    assert tree(tmp_path) == {"secrets/portal/app.env": b"ours"}


def test_it_is_0600_before_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = os.pwrite

    def writing(fd: int, data: bytes, offset: int) -> int:
        seen.append(mode(Path(f"/proc/self/fd/{fd}").resolve()))
        return real(fd, data[:2], offset)

    monkeypatch.setattr(os, "pwrite", writing)
    with umask(0):
        place(tmp_path).write(b"ours")
    assert seen == [0o600, 0o600]
    assert tree(tmp_path) == {"secrets/portal/app.env": b"ours"}


def test_it_is_synced_before_it_gets_its_name_and_every_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, rename = os.fsync, os.rename

    def syncing(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").resolve()
        order.append(path.name if path.is_dir() else "file")
        sync(fd)

    def renaming(*names: str, **options: int) -> None:
        order.append("rename")
        rename(*names, **options)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "rename", renaming)
    place(tmp_path).write(b"ours")
    place(tmp_path).remove(ours, MARK)
    assert order == [tmp_path.name, "secrets", "file", "rename", "portal", "portal"]


def test_it_replaces_what_was_there_and_tightens_it(tmp_path: Path) -> None:
    (tmp_path / "app.env").write_bytes(b"ours, an earlier one that was longer")
    (tmp_path / "app.env").chmod(0o644)
    for _ in range(2):
        place(tmp_path, "app.env").write(b"ours")
        assert tree(tmp_path) == {"app.env": b"ours"}
        assert mode(tmp_path / "app.env") == 0o600


FAILING = [
    (call, code) for call in ("fchmod", "pwrite", "fsync", "rename") for code in (errno.ENOSPC, errno.EIO)
]


@pytest.mark.parametrize(("call", "code"), FAILING)
@pytest.mark.parametrize("old", [None, b"ours, old"])
def test_f34_a_write_that_fails_leaves_what_was_there_and_the_next_one_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, old: bytes | None
) -> None:
    if old:
        (tmp_path / "app.env").write_bytes(old)
    before = tree(tmp_path)

    def failing(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        error = refused(lambda: place(tmp_path, "app.env").write(b"ours, new"))
    assert error.summary == f'Could not write "{tmp_path / "app.env"}"'
    assert error.detail == f"{os.strerror(code)}."
    assert tree(tmp_path) == before
    place(tmp_path, "app.env").write(b"ours, new")
    assert tree(tmp_path) == {"app.env": b"ours, new"}


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", failing)
    error = refused(lambda: place(tmp_path).write(b"ours"))
    assert error.summary == f'Could not make the folder "{tmp_path / "secrets"}"'


def test_a_folder_that_somebody_else_makes_meanwhile_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def late(name: str, *arguments: int, **options: int) -> None:
        real(name, *arguments, **options)
        real(name, *arguments, **options)

    monkeypatch.setattr(os, "mkdir", late)
    place(tmp_path).write(b"ours")
    assert tree(tmp_path) == {"secrets/portal/app.env": b"ours"}


KILLED = """
import os, signal, sys
from pathlib import Path
from provisioner.sinks.places import Place
setattr(os, sys.argv[2], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
Place.of(Path(sys.argv[1]), "app.env").write(b"ours, new")
"""


@pytest.mark.parametrize("call", ["fchmod", "pwrite", "fsync", "rename"])
def test_f9_what_a_killed_run_leaves_is_for_its_owner_alone_and_the_next_takes_it_away(
    tmp_path: Path, call: str
) -> None:
    (tmp_path / "app.env").write_bytes(b"ours, old")
    (tmp_path / ".0.app.env").write_bytes(b"mine")
    (tmp_path / ".0a1b2c3d.app.env").mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), call], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = (
        path for path in tmp_path.iterdir() if path.is_file() and path.name not in ("app.env", ".0.app.env")
    )
    assert mode(left) == 0o600
    assert (tmp_path / "app.env").read_bytes() == b"ours, old"
    if call == "rename":
        place(tmp_path, "app.env").remove(ours, MARK)
        assert tree(tmp_path) == {".0.app.env": b"mine"}
    place(tmp_path, "app.env").write(b"ours, new")
    assert tree(tmp_path) == {"app.env": b"ours, new", ".0.app.env": b"mine"}


@pytest.mark.parametrize(("name", "pattern"), [(".env", ".env.*"), (".env", ".env*"), ("app.env", "*.env")])
def test_the_name_until_it_is_whole_is_hidden_and_covered_by_the_usual_patterns(
    name: str, pattern: str
) -> None:
    unfinished = beside(name, "0a1b2c3d")
    assert unfinished.startswith(".")
    assert PurePosixPath(unfinished).match(pattern)
    assert len(beside("x" * 120, "0a1b2c3d")) <= 255
    assert len(beside("." * 120, "0a1b2c3d")) <= 255


# --- taking it away


def test_a_removed_file_is_gone_and_may_be_so_already(tmp_path: Path) -> None:
    place(tmp_path).remove(ours, MARK)
    assert list(tmp_path.iterdir()) == []
    place(tmp_path).write(b"ours")
    for _ in range(2):
        place(tmp_path).remove(ours, MARK)
        assert tree(tmp_path) == {}


def test_a_removed_file_may_be_looser_than_it_was_made(tmp_path: Path) -> None:
    (tmp_path / "app.env").write_bytes(b"ours")
    (tmp_path / "app.env").chmod(0o644)
    place(tmp_path, "app.env").remove(ours, MARK)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("content", [b"", b"theirs", b"theirs" * 100_000])
def test_somebody_elses_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "app.env").write_bytes(content)
    place(tmp_path, "app.env").remove(ours, MARK)
    assert tree(tmp_path) == {"app.env": content}


def test_a_file_that_was_changed_and_may_still_hold_the_secret_is_left_alone_and_said(tmp_path: Path) -> None:
    (tmp_path / "app.env").write_bytes(b"# mine\nMY_SECRET='canary'\n")
    error = refused(lambda: place(tmp_path, "app.env").remove(ours, MARK))
    assert "was changed since it was delivered" in error.summary
    assert 'It still says "MY_SECRET".' in error.detail
    assert "canary" not in error.summary + error.detail + error.hint
    assert list(tree(tmp_path)) == ["app.env"]


def test_a_removal_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.env").write_bytes(b"ours")

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    assert refused(lambda: place(tmp_path, "app.env").remove(ours, MARK)).summary.startswith(
        "Could not remove "
    )
