"""Secrets in sealed files: the stock age opens them, nobody else does, and they may be committed."""

from __future__ import annotations

import os
import secrets
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.model import Address, Secret
from provisioner.ports import SecretSink
from provisioner.sealing import generate_identity, identities_from, open_sealed
from provisioner.sinks import make

Tool = Callable[[str], str]
PAIR = "CLIENT_ID='id'\nCLIENT_SECRET='{}'\n"


@pytest.fixture(scope="module")
def own() -> tuple[Secret, str]:
    return generate_identity()


def declared(folder: Path, *recipients: str, **options: Any) -> DeclaredSink:
    """A sink as the manifest hands it over, defaults filled in."""
    names = {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
    filled = {"path": "secrets/{key}.env.age", "format": "dotenv", "prefix": "", "keys": names, **options}
    return DeclaredSink("env", "age", {**filled, "recipients": list(recipients)}, folder)


def sink_and_target(declaration: DeclaredSink, key: str = "portal") -> tuple[SecretSink, Target]:
    return make(declaration, {}), Target(declaration, Address(key))


def credentials(value: str = "s3cret", key: str = "portal") -> Credentials:
    return Credentials(Address(key), "id", Secret(value.encode()))


def opened(path: Path, identity: Secret) -> str:
    return open_sealed(path.read_text(), identities_from(identity)).reveal().decode()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def everything_in(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield from (repr(error), repr(error.args), repr(vars(error)))
        error = error.__cause__ or error.__context__


def refused(call: Callable[[], object], canary: str = "s3cret") -> SinkError:
    with pytest.raises(SinkError) as caught:
        call()
    assert not [text for text in everything_in(caught.value) if canary in text]
    return caught.value


# --- delivering


def test_it_is_probed_delivered_again_and_taken_away(tmp_path: Path, own: tuple[Secret, str]) -> None:
    sink, target = sink_and_target(declared(tmp_path, own[1]))
    sink.probe(target)
    assert list(tmp_path.iterdir()) == []
    made = tmp_path / "secrets" / "portal.env.age"
    for secret in ("first", "first", "second"):
        sink.deliver(target, credentials(secret))
        sink.probe(target)
        assert opened(made, own[0]) == PAIR.format(secret)
        assert names(tmp_path) == ["secrets/portal.env.age"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent)] == [0o600, 0o700]
    for _ in range(2):
        sink.remove(target)
        assert names(tmp_path) == []


@pytest.mark.parametrize("written", ["dotenv", "json", "yaml"])
def test_the_age_of_the_system_opens_it_for_every_recipient(
    tool: Tool, tmp_path: Path, own: tuple[Secret, str], written: str
) -> None:
    age, second, stranger = tool("age"), generate_identity(), generate_identity()
    sink, target = sink_and_target(declared(tmp_path, own[1], second[1], format=written))
    sink.deliver(target, credentials())
    found = []
    for identity, _ in (own, second, stranger):
        (tmp_path / "identity").write_bytes(identity.reveal())
        command = [age, "-d", "-i", str(tmp_path / "identity"), str(tmp_path / "secrets/portal.env.age")]
        done = subprocess.run(command, capture_output=True, check=False)
        found.append((done.returncode, done.stdout.decode()))
    expected = {
        "dotenv": PAIR.format("s3cret"),
        "json": '{\n  "CLIENT_ID": "id",\n  "CLIENT_SECRET": "s3cret"\n}\n',
        "yaml": '"CLIENT_ID": "id"\n"CLIENT_SECRET": "s3cret"\n',
    }
    assert found == [(0, expected[written])] * 2 + [(1, "")]


def test_the_age_of_the_system_opens_it_for_an_ssh_key(tool: Tool, tmp_path: Path) -> None:
    age, key = tool("age"), tmp_path / "key"
    command = [tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "me@example", "-f", str(key)]
    subprocess.run(command, check=True)
    sink, target = sink_and_target(declared(tmp_path, (tmp_path / "key.pub").read_text().strip()))
    sink.deliver(target, credentials())
    command = [age, "-d", "-i", str(key), str(tmp_path / "secrets/portal.env.age")]
    assert subprocess.run(command, capture_output=True, check=True).stdout.decode() == PAIR.format("s3cret")


def test_a_file_that_was_sealed_again_by_hand_is_still_ours(
    tool: Tool, tmp_path: Path, own: tuple[Secret, str]
) -> None:
    sink, target = sink_and_target(declared(tmp_path, own[1], path="app.age"))
    command = [tool("age"), "-r", own[1], "-o", str(tmp_path / "app.age")]
    subprocess.run(command, input=b"by hand", check=True)
    sink.probe(target)
    sink.deliver(target, credentials())
    assert opened(tmp_path / "app.age", own[0]) == PAIR.format("s3cret")


def test_a_file_that_git_checked_out_for_all_to_read_is_taken_and_tightened(
    tmp_path: Path, own: tuple[Secret, str]
) -> None:
    sink, target = sink_and_target(declared(tmp_path, own[1], path="app.age"))
    sink.deliver(target, credentials("old"))
    (tmp_path / "app.age").chmod(0o644)
    sink.probe(target)
    sink.deliver(target, credentials())
    assert stat.S_IMODE((tmp_path / "app.age").stat().st_mode) == 0o600


def test_it_may_lie_in_a_work_tree_and_git_takes_it_up(
    tool: Tool, tmp_path: Path, own: tuple[Secret, str]
) -> None:
    git = [tool("git"), "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    sink, target = sink_and_target(declared(tmp_path, own[1]))
    sink.deliver(target, credentials())
    subprocess.run([*git, "add", "."], check=True)
    listed = subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True)
    assert listed.stdout.split() == ["secrets/portal.env.age"]
    sink.probe(target)


def test_its_place_is_named_without_a_look_at_it(tmp_path: Path) -> None:
    sink, target = sink_and_target(declared(tmp_path / "gone"))
    assert sink.place(target) == 'age file "secrets/portal.env.age"'


def test_several_apps_are_delivered_at_the_same_time(tmp_path: Path, own: tuple[Secret, str]) -> None:
    declaration = declared(tmp_path, own[1], path="a/b/{key}.age")
    sink = make(declaration, {})
    keys = [f"app-{number}" for number in range(24)]

    def deliver(key: str) -> None:
        sink.deliver(Target(declaration, Address(key)), credentials(key, key))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, keys))
    assert {opened(tmp_path / "a" / "b" / f"{key}.age", own[0]) for key in keys} == set(
        map(PAIR.format, keys)
    )
    assert len(names(tmp_path)) == len(keys)


# --- broken before, during and after


@pytest.mark.parametrize(
    ("recipients", "summary", "shown"),
    [
        ([], "there are no recipients", ""),
        (["age1abc"], "Recipient 2 of 2 cannot be used", "age1abc"),
        (["AGE-SECRET-KEY-1S3CRET"], "Recipient 2 of 2 cannot be used", "private key"),
        (["ecdsa-sha2-nistp256 AAAA"], "Recipient 2 of 2 cannot be used", "ECDSA"),
    ],
)
def test_b56_b57_recipients_that_cannot_be_sealed_to_are_refused(
    tmp_path: Path, own: tuple[Secret, str], recipients: list[str], summary: str, shown: str
) -> None:
    given = [own[1], *recipients] if recipients else []
    sink, target = sink_and_target(declared(tmp_path, *given))
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        error = refused(call, "S3CRET")
        assert summary in error.summary
        assert shown in error.detail
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ({"path": "/etc/{key}"}, "Not a path for a secret"),
        ({"prefix": "{key}."}, "Not a name for an environment variable"),
        ({"format": "toml"}, "Not a format"),
        ({"keys": {"client_id": "A", "client_secret": "A"}}, "have one name"),
    ],
)
def test_b52_b55_what_cannot_work_is_refused_by_the_probe_and_by_a_delivery(
    tmp_path: Path, own: tuple[Secret, str], options: dict[str, Any], summary: str
) -> None:
    sink, target = sink_and_target(declared(tmp_path, own[1], **options))
    assert summary in refused(lambda: sink.probe(target)).summary
    assert summary in refused(lambda: sink.deliver(target, credentials())).summary
    assert names(tmp_path) == []


def test_b53_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, own: tuple[Secret, str]) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets").chmod(0o777)
    sink, target = sink_and_target(declared(tmp_path, own[1]))
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        assert f"mode 0777 and belongs to user id {os.geteuid()}" in refused(call).detail


@pytest.mark.parametrize("content", ["version: 1\napps: {}\n", PAIR.format("s3cret"), "age-encryption"])
def test_b54_a_file_that_is_not_sealed_is_not_replaced(
    tmp_path: Path, own: tuple[Secret, str], content: str
) -> None:
    (tmp_path / "apps.yaml").write_text(content)
    sink, target = sink_and_target(declared(tmp_path, own[1], path="apps.yaml"))
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        assert "was not written by provisioner" in refused(call).summary
    assert (tmp_path / "apps.yaml").read_text() == content


def test_a_file_that_was_opened_in_place_is_not_taken_away_and_that_is_said(
    tmp_path: Path, own: tuple[Secret, str]
) -> None:
    sink, target = sink_and_target(declared(tmp_path, own[1], path="app.age"))
    (tmp_path / "app.age").write_text(PAIR.format("s3cret"))
    assert 'It still says "CLIENT_SECRET"' in refused(lambda: sink.remove(target)).detail
    (tmp_path / "app.age").write_text("something else\n")
    sink.remove(target)
    assert names(tmp_path) == ["app.age"]


KILLED = """
import os, signal, sys
from pathlib import Path
from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.model import Address, Secret
from provisioner.sinks import make
folder, recipient, call = sys.argv[1:]
setattr(os, call, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
options = {"path": "app.age", "format": "dotenv", "recipients": [recipient]}
declared = DeclaredSink("env", "age", options, Path(folder))
target = Target(declared, Address("portal"))
make(declared, {}).deliver(target, Credentials(target.address, "id", Secret(sys.stdin.buffer.read())))
"""


@pytest.mark.parametrize("call", ["pwrite", "fsync", "rename"])
def test_f9_a_delivery_that_was_killed_leaves_the_old_one_and_nothing_in_clear_and_the_next_heals(
    tmp_path: Path, own: tuple[Secret, str], call: str
) -> None:
    canary = f"canary-{secrets.token_hex(16)}"
    sink, target = sink_and_target(declared(tmp_path, own[1], path="app.age"))
    sink.deliver(target, credentials("old"))
    command = [sys.executable, "-c", KILLED, str(tmp_path), own[1], call]
    killed = subprocess.run(command, input=canary.encode(), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 2
    assert opened(tmp_path / "app.age", own[0]) == PAIR.format("old")
    written = [path.read_bytes() for path in tmp_path.iterdir()]
    assert not [text for text in [*written, killed.stdout, killed.stderr] if canary.encode() in text]
    sink.probe(target)
    sink.deliver(target, credentials())
    assert names(tmp_path) == ["app.age"]
    assert opened(tmp_path / "app.age", own[0]) == PAIR.format("s3cret")


def test_no_secret_is_in_clear_anywhere(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    own: tuple[Secret, str],
) -> None:
    canary = f"canary-{secrets.token_hex(16)}"
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    written: list[bytes] = []
    real = os.pwrite

    def writing(fd: int, data: bytes, offset: int) -> int:
        written.append(bytes(data))
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", writing)
    sink, target = sink_and_target(declared(tmp_path, own[1]))
    with caplog.at_level("DEBUG"):
        sink.probe(target)
        sink.deliver(target, credentials(canary))
        refused(lambda: sink.deliver(target, credentials(f"{canary}'")), canary)
        monkeypatch.setattr(os, "rename", lambda *_, **__: os.close(-1))
        refused(lambda: sink.deliver(target, credentials(canary)), canary)
    assert len(written) == 2
    texts = [*written, caplog.text.encode(), *(text.encode() for text in capfd.readouterr())]
    assert not [text for text in texts if canary.encode() in text]
    assert list(temporary.iterdir()) == []
    assert names(tmp_path) == ["secrets/portal.env.age"]
