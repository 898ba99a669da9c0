"""Secrets in files in clear: only where it was said, never where git would take them up."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.model import Address, Secret
from provisioner.ports import SecretSink
from provisioner.sinks import make, worktree

Tool = Callable[[str], str]
PAIR = "CLIENT_ID='id'\nCLIENT_SECRET='{}'\n"


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}


def declared(folder: Path, path: str = "secrets/{key}.env", **options: Any) -> DeclaredSink:
    """A sink as the manifest hands it over, defaults filled in."""
    names = {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
    filled = {"path": path, "format": "dotenv", "plaintext": True, "prefix": "", "keys": names, **options}
    return DeclaredSink("env", "file", filled, folder)


def sink_and_target(declaration: DeclaredSink, **variables: str) -> tuple[SecretSink, Target]:
    return make(declaration, environment() | variables), Target(declaration, Address("portal"))


def credentials(value: str = "s3cret") -> Credentials:
    return Credentials(Address("portal"), "id", Secret(value.encode()))


def files(folder: Path) -> dict[str, str]:
    """What is there, without git's own."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in found if path.name != ".gitignore"}


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


def test_it_is_probed_delivered_again_and_taken_away(tmp_path: Path) -> None:
    sink, target = sink_and_target(declared(tmp_path))
    sink.probe(target)
    assert list(tmp_path.iterdir()) == []
    for secret in ("first", "first", "second"):
        sink.deliver(target, credentials(secret))
        sink.probe(target)
        assert files(tmp_path) == {"secrets/portal.env": PAIR.format(secret)}
    made = tmp_path / "secrets" / "portal.env"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent)] == [0o600, 0o700]
    for _ in range(2):
        sink.remove(target)
        assert files(tmp_path) == {}


@pytest.mark.parametrize(("written", "read"), [("json", json.loads), ("yaml", str)])
def test_it_is_written_in_the_format_and_under_the_names_that_were_asked_for(
    tmp_path: Path, written: str, read: Callable[[str], object]
) -> None:
    sink, target = sink_and_target(declared(tmp_path, "app", format=written, prefix="{KEY}_"))
    sink.deliver(target, credentials())
    expected = {
        "json": {"PORTAL_CLIENT_ID": "id", "PORTAL_CLIENT_SECRET": "s3cret"},
        "yaml": '"PORTAL_CLIENT_ID": "id"\n"PORTAL_CLIENT_SECRET": "s3cret"\n',
    }
    assert read(files(tmp_path)["app"]) == expected[written]
    sink.remove(target)
    assert files(tmp_path) == {}


def test_another_format_and_other_names_take_the_place_of_an_earlier_delivery(tmp_path: Path) -> None:
    for options in ({"format": "dotenv"}, {"format": "json", "prefix": "P_"}, {"format": "yaml"}, {}):
        sink, target = sink_and_target(declared(tmp_path, "app", **options))
        sink.probe(target)
        sink.deliver(target, credentials())
    assert files(tmp_path) == {"app": PAIR.format("s3cret")}


def test_its_place_is_named_without_a_look_at_it(tmp_path: Path) -> None:
    sink, target = sink_and_target(declared(tmp_path / "gone"))
    assert sink.place(target) == 'plain file "secrets/portal.env"'


@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_without_the_word_plaintext_nothing_is_written_in_clear(tmp_path: Path, value: object) -> None:
    error = refused(lambda: make(declared(tmp_path, plaintext=value), environment()))
    assert error.summary == 'The sink "env" would write secrets in clear'
    assert "plaintext: true" in error.hint


def test_the_sink_does_not_show_the_environment(tmp_path: Path) -> None:
    sink, _ = sink_and_target(declared(tmp_path), METEROID_API_KEY="canary")
    assert "canary" not in repr(sink)


# --- broken before, during and after


BROKEN: Mapping[str, tuple[dict[str, Any], str]] = {
    "b52-dots": ({"path": "../{key}.env"}, 'Not a path for a secret: "../portal.env"'),
    "b55-lower case": ({"prefix": "{key}_"}, "Not a name for an environment variable"),
    "b55-a digit first": ({"prefix": "1"}, "Not a name for an environment variable"),
    "b55-one name": ({"keys": {"client_id": "A", "client_secret": "A"}}, "have one name"),
    "format": ({"format": "toml"}, "Not a format"),
}


@pytest.mark.parametrize(("options", "summary"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_work_is_refused_by_the_probe_and_by_a_delivery(
    tmp_path: Path, options: dict[str, Any], summary: str
) -> None:
    sink, target = sink_and_target(declared(tmp_path, **options))
    assert summary in refused(lambda: sink.probe(target)).summary
    assert summary in refused(lambda: sink.deliver(target, credentials())).summary
    assert files(tmp_path) == {}


@pytest.mark.parametrize("loose", [0o644, 0o640, 0o606])
def test_b53_a_file_that_others_may_read_is_refused_and_left_as_it_is(tmp_path: Path, loose: int) -> None:
    sink, target = sink_and_target(declared(tmp_path, "app.env"))
    sink.deliver(target, credentials("old"))
    (tmp_path / "app.env").chmod(loose)
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        assert f"mode {loose:04o} and belongs to user id {os.geteuid()}" in refused(call).detail
    assert files(tmp_path) == {"app.env": PAIR.format("old")}
    sink.remove(target)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("content", ["A=1\n", "version: 1\napps: {}\n", PAIR.format("x") + "MINE='1'\n"])
def test_b54_a_file_that_holds_something_else_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "app.env").write_text(content)
    (tmp_path / "app.env").chmod(0o600)
    sink, target = sink_and_target(declared(tmp_path, "app.env"))
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        assert "was not written by provisioner" in refused(call).summary
    assert files(tmp_path) == {"app.env": content}


def test_what_is_edited_by_hand_is_not_taken_away_and_that_is_said(tmp_path: Path) -> None:
    sink, target = sink_and_target(declared(tmp_path, "app.env"))
    (tmp_path / "app.env").write_text("# mine\n" + PAIR.format("s3cret"))
    assert "was changed since it was delivered" in refused(lambda: sink.remove(target)).summary
    (tmp_path / "app.env").write_text("OTHER=1\n")
    sink.remove(target)
    assert files(tmp_path) == {"app.env": "OTHER=1\n"}


@pytest.mark.parametrize("secret", ["it's", "back\\slash", "${HOME}"])
def test_b55_a_secret_that_dotenv_cannot_carry_is_refused_and_the_old_file_stays(
    tmp_path: Path, secret: str
) -> None:
    sink, target = sink_and_target(declared(tmp_path, "app.env"))
    sink.deliver(target, credentials("old"))
    refused(lambda: sink.deliver(target, credentials(f"canary-{secret}")), "canary-")
    assert files(tmp_path) == {"app.env": PAIR.format("old")}


@pytest.mark.parametrize("call", ["pwrite", "fsync", "rename"])
def test_f34_a_delivery_that_fails_half_way_leaves_the_old_one_and_the_next_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    sink, target = sink_and_target(declared(tmp_path, "app.env"))
    sink.deliver(target, credentials("old"))

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        error = refused(lambda: sink.deliver(target, credentials()))
    assert error.detail == "No space left on device."
    assert files(tmp_path) == {"app.env": PAIR.format("old")}
    sink.deliver(target, credentials())
    assert files(tmp_path) == {"app.env": PAIR.format("s3cret")}


def test_f10_a_delivery_that_nobody_heard_of_is_healed_by_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, target = sink_and_target(declared(tmp_path, "app.env"))
    real, calls = os.fsync, []

    def failing(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 2:  # the folder's, once the file has its name
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        refused(lambda: sink.deliver(target, credentials()))
    assert files(tmp_path) == {"app.env": PAIR.format("s3cret")}
    sink.probe(target)
    sink.deliver(target, credentials())
    assert files(tmp_path) == {"app.env": PAIR.format("s3cret")}


# --- git


@pytest.fixture
def git(tool: Tool, tmp_path: Path) -> Callable[..., str]:
    """A work tree in the test's folder, and git in it."""
    program = tool("git")

    def run(*arguments: str, folder: Path = tmp_path) -> str:
        identity = {
            f"GIT_{who}_{what}": "x@example.com"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        command = [program, "-C", str(folder), *arguments]
        done = subprocess.run(
            command, env=environment() | identity, check=True, capture_output=True, text=True
        )
        return done.stdout

    run("init", "--quiet")
    return run


def both_refuse(folder: Path, path: str = "secrets/{key}.env", **variables: str) -> SinkError:
    """The error of a probe, which a delivery raises too, and nothing was written."""
    sink, target = sink_and_target(declared(folder, path), **variables)
    before = files(folder)
    errors = [refused(lambda: sink.probe(target)), refused(lambda: sink.deliver(target, credentials()))]
    assert errors[0].summary == errors[1].summary
    assert files(folder) == before
    return errors[0]


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("secrets/portal.env", ""),
        ("secrets/portal.env", "*.json\n"),
        ("secrets/portal.env", "secrets/*\n!secrets/portal.env\n"),
        ("portal.env", "/secrets/\n"),
        (".env", "# .env\n"),
        (":!x.env", ""),
        ("[a-z]/*.env", ""),
    ],
)
def test_b54_a_file_that_git_would_take_up_is_refused_and_the_way_out_works(
    git: Callable[..., str], tmp_path: Path, path: str, lines: str
) -> None:
    (tmp_path / ".gitignore").write_text(lines)
    error = both_refuse(tmp_path, path)
    assert error.summary == f'Git would take up the secret in "{tmp_path / path}"'
    assert f'the work tree "{tmp_path}", and nothing there ignores it' in error.detail
    typed = error.hint.removeprefix("Type: ").split(";")[0]
    subprocess.run(["sh", "-c", typed], check=True)
    sink, target = sink_and_target(declared(tmp_path, path))
    sink.probe(target)
    sink.deliver(target, credentials())
    assert git("status", "--porcelain", "--untracked-files=all").split() == ["??", ".gitignore"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("secrets/portal.env", "/secrets/"),
        ("secrets/portal.env", "secrets"),
        ("secrets/portal.env", "*.env"),
        ("secrets/portal.env", "secrets/*\n!secrets/keep"),
        ("portal.env", "*.env"),
        (".env", ".env.*\n.env"),
        (".env", ".env*"),
        (".env.local", ".env*"),
        ("a/b/c/portal.env", "a/**"),
        (":(top)/:!x.env", "*.env"),
        ("a b/[x]*.env", "*.env"),
    ],
)
@pytest.mark.parametrize("where", [".gitignore", ".git/info/exclude"])
def test_b54_a_file_that_git_ignores_is_written(
    git: Callable[..., str], tmp_path: Path, path: str, line: str, where: str
) -> None:
    (tmp_path / where).write_text(line + "\n")
    sink, target = sink_and_target(declared(tmp_path, path))
    for secret in ("old", "new"):
        sink.probe(target)
        sink.deliver(target, credentials(secret))
    assert files(tmp_path) == {path: PAIR.format("new")}


def test_b54_what_the_user_ignores_everywhere_counts(git: Callable[..., str], tmp_path: Path) -> None:
    ignore = Path(os.environ["HOME"], ".config", "git", "ignore")
    ignore.parent.mkdir(parents=True)
    ignore.write_text("*.env\n")
    sink, target = sink_and_target(declared(tmp_path))
    sink.probe(target)


@pytest.mark.parametrize(("path", "line"), [(".env", ".env"), ("portal.env", "/portal.env")])
def test_b54_what_a_killed_run_may_leave_must_be_ignored_too(
    git: Callable[..., str], tmp_path: Path, path: str, line: str
) -> None:
    (tmp_path / ".gitignore").write_text(line + "\n")
    error = both_refuse(tmp_path, path)
    assert "a killed run may leave that behind" in error.detail
    subprocess.run(["sh", "-c", error.hint.removeprefix("Type: ").split(";")[0]], check=True)
    sink, target = sink_and_target(declared(tmp_path, path))
    sink.probe(target)


def test_b54_a_file_that_git_has_already_is_refused_though_it_is_ignored(
    git: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / ".gitignore").write_text("*.env\n")
    sink, target = sink_and_target(declared(tmp_path, "portal.env"))
    sink.deliver(target, credentials("old"))
    git("add", "--force", "portal.env")
    error = both_refuse(tmp_path, "portal.env")
    assert error.summary == f'Git has the file "{tmp_path / "portal.env"}" already'
    assert "rotate" in error.hint
    git("rm", "--quiet", "--cached", "portal.env")
    sink.probe(target)


def test_b54_the_nearest_work_tree_decides(git: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n")
    (tmp_path / "secrets").mkdir()
    git("init", "--quiet", folder=tmp_path / "secrets")
    assert f'the work tree "{tmp_path / "secrets"}"' in both_refuse(tmp_path).detail


def test_b54_a_linked_work_tree_is_one(git: Callable[..., str], tmp_path: Path) -> None:
    git("commit", "--quiet", "--allow-empty", "--message", "first")
    git("worktree", "add", "--quiet", "linked")
    assert (tmp_path / "linked" / ".git").is_file()
    assert "nothing there ignores it" in both_refuse(tmp_path / "linked").detail


def test_b54_a_sinks_folder_that_is_a_link_into_a_work_tree_is_in_it(
    git: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path / "inside")
    assert "nothing there" in both_refuse(tmp_path.parent / f"{tmp_path.name}-link").detail


def test_b54_a_relative_folder_is_looked_at_where_it_is(
    git: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apps").mkdir()
    monkeypatch.chdir(tmp_path / "apps")
    error = both_refuse(Path())
    assert error.summary == 'Git would take up the secret in "secrets/portal.env"'
    (tmp_path / ".gitignore").write_text("/apps/secrets/\n")
    sink, target = sink_and_target(declared(Path()))
    sink.deliver(target, credentials())
    assert files(tmp_path) == {"apps/secrets/portal.env": PAIR.format("s3cret")}


def test_b54_without_git_a_work_tree_is_refused_and_said_why(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*\n")
    error = both_refuse(tmp_path, PATH=str(tmp_path))
    assert error.summary == f'Whether git ignores "{tmp_path / "secrets/portal.env"}" could not be found out'
    assert error.detail == f'It lies in the work tree "{tmp_path}". Git is not installed.'


def test_b54_outside_of_a_work_tree_git_is_not_needed(tmp_path: Path) -> None:
    sink, target = sink_and_target(declared(tmp_path), PATH="")
    sink.probe(target)
    sink.deliver(target, credentials())
    assert list(files(tmp_path)) == ["secrets/portal.env"]


def test_b54_a_work_tree_that_git_does_not_understand_is_refused_with_its_words(
    tool: Tool, tmp_path: Path
) -> None:
    tool("git")
    (tmp_path / ".git").mkdir()
    assert 'Git said: "fatal: not a git repository' in both_refuse(tmp_path).detail


def program(folder: Path, text: str) -> str:
    """A PATH on which git is another program."""
    path = folder / "bin" / "git"
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o755)
    return f"{path.parent}:{os.environ['PATH']}"


def test_b54_a_git_that_does_not_answer_is_not_waited_for(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worktree, "_TIMEOUT", 0.05)
    (tmp_path / ".git").mkdir()
    path = program(tmp_path_factory.mktemp("slow"), "#!/bin/sh\nexec sleep 60\n")
    assert "Git could not be asked (TimeoutExpired)" in both_refuse(tmp_path, PATH=path).detail


def test_b54_a_git_that_cannot_be_run_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    (tmp_path / ".git").mkdir()
    path = program(tmp_path_factory.mktemp("broken"), "#!/no/such/program\n")
    assert "Git could not be asked (FileNotFoundError)" in both_refuse(tmp_path, PATH=path).detail


def test_git_is_asked_without_running_what_the_repository_names(
    git: Callable[..., str], tmp_path: Path
) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path / 'ran'}'\n")
    hook.chmod(0o755)
    git("config", "core.fsmonitor", str(hook))
    both_refuse(tmp_path)
    assert not (tmp_path / "ran").exists()


# --- nothing leaks


def test_neither_a_secret_nor_a_token_reaches_git_or_stays_anywhere_else(
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secret, token = (f"canary-{secrets.token_hex(16)}" for _ in range(2))
    seen, temporary = tmp_path_factory.mktemp("seen"), tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    script = (
        "#!/bin/sh\n"
        f"{{ tr '\\0' '\\n' </proc/$$/cmdline; env; cat; }} >>'{seen}/all'\n"
        "printf './portal.env\\0./.00000000.portal.env\\0'\n"
    )
    path = program(tmp_path_factory.mktemp("program"), script)
    (tmp_path / ".git").mkdir()
    sink, target = sink_and_target(declared(tmp_path, "portal.env"), PATH=path, METEROID_API_KEY=token)
    with caplog.at_level("DEBUG"):
        sink.probe(target)
        sink.deliver(target, credentials(secret))
        (tmp_path / "portal.env").chmod(0o644)
        refused(lambda: sink.deliver(target, credentials(secret)), secret)
        (tmp_path / "portal.env").chmod(0o600)
        monkeypatch.setattr(os, "rename", lambda *_, **__: os.close(-1))
        refused(lambda: sink.deliver(target, credentials(secret)), secret)
    found = {path.name for path in tmp_path.iterdir() if path.is_file() and secret in path.read_text()}
    assert found == {"portal.env"}
    asked = (seen / "all").read_text()
    assert "check-ignore" in asked
    assert "LC_ALL=C" in asked
    outputs = [asked, caplog.text, *capfd.readouterr(), *(path.name for path in temporary.rglob("*"))]
    assert not [text for text in outputs if secret in text or token in text]
