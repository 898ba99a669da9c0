"""Standard streams that are closed, full, broken or poor in characters never stop what is being done."""

from __future__ import annotations

import errno
import gc
import io
import json
import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from provisioner import __version__, cli
from provisioner.cli import output, root
from provisioner.cli.log import LogFile
from provisioner.errors import FileError
from provisioner.files import make_private

COMMAND = [sys.executable, "-m", "provisioner"]
MANIFEST = """\
version: 1
apps:
  one: {name: Ünïcode, redirect_uris: ['https://one.example/cb']}
  two: {redirect_uris: ['https://two.example/cb']}
"""
PRINTING = [["--version"], ["--help"], ["plan", "--help"], ["completion", "bash"]]
FULL = "Error: standard output could not be written: No space left on device\n"


@dataclass(frozen=True, slots=True)
class Ran:
    """What one process did."""

    status: int
    out: str
    err: str


def shell(redirections: str, *arguments: str, given: bytes = b"", **environment: str) -> Ran:
    """The command in a process of its own, with its streams as a shell would redirect them."""
    ran = subprocess.run(
        ["bash", "-c", f'exec "$@" {redirections}', "bash", *COMMAND, *arguments],
        input=given, capture_output=True, env=os.environ | environment, check=False, timeout=60,
    )  # fmt: skip
    assert b"Traceback" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


def without_a_reader(*arguments: str) -> Ran:
    """The command, with a standard output that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(writing)
    return Ran(ran.returncode, "", ran.stderr)


@pytest.fixture
def works(provisioner, sandbox, tmp_path) -> Callable[[str], bool]:
    """A manifest and an identity; the function tells whether an app's sealed secret is the right one."""
    assert provisioner("init", "-f", "starter.yaml").status == 0
    (tmp_path / "apps.yaml").write_text(MANIFEST)

    def check(key: str) -> bool:
        client_id = json.loads(Path(f"state/apps/{key}.json").read_bytes())["object"]["client_id"]
        return sandbox.world.confirms(client_id, provisioner("secret", "get", key).out)

    return check


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_what_a_full_disk_swallowed_is_exit_1_and_is_said(arguments: list[str]) -> None:
    ran = shell(">/dev/full", *arguments)
    assert ran.status == 1
    assert ran.err.startswith(FULL)


@pytest.mark.parametrize("arguments", PRINTING[:2], ids=" ".join)
def test_a_standard_output_that_is_closed_is_exit_1_and_is_said(arguments: list[str]) -> None:
    ran = shell(">&-", *arguments)
    assert ran.status == 1
    assert ran.err.startswith("Error: standard output could not be written: Bad file descriptor\n")


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_that_has_gone_is_no_error(arguments: list[str]) -> None:
    assert without_a_reader(*arguments) == Ran(0, "", "")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_an_error_that_cannot_be_said_keeps_its_exit_status(redirection: str) -> None:
    assert shell(redirection, "nope") == Ran(1, "", "")


@pytest.mark.parametrize("redirections", [">/dev/full", "<&- >&- 2>&-"])
def test_an_apply_whose_words_are_lost_is_done_to_its_end_and_is_exit_1(works, redirections: str) -> None:
    assert shell(redirections, "apply", "--auto-approve").status == 1
    assert works("one")
    assert works("two")


def test_an_unfinished_apply_keeps_its_own_exit_status_without_a_standard_output(works, sandbox) -> None:
    sandbox.add_fault("create:422")
    ran = shell(">/dev/full", "apply", "--auto-approve", "--parallelism", "1")
    assert ran.status == 3
    assert FULL in ran.err


def test_an_apply_in_colours_outlives_a_full_disk_too(works) -> None:
    assert shell(">/dev/full", "apply", "--auto-approve", FORCE_COLOR="1").status == 1
    assert works("one")


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_broken_standard_error_takes_nothing_from_standard_output(works, redirection: str) -> None:
    ran = shell(redirection, "apply", "--auto-approve", PROVISIONER_LOG="debug")
    assert ran.status == 0
    assert ran.out.endswith("\nApply complete! Resources: 2 added, 0 changed, 0 destroyed.\n")


def test_a_secret_that_was_not_printed_is_never_exit_0(works, provisioner) -> None:
    provisioner("apply", "--auto-approve")
    secret = provisioner("secret", "get", "one").out
    assert without_a_reader("secret", "get", "one").status == 1
    assert shell(">/dev/full", "secret", "get", "one").status == 1
    assert shell("2>/dev/full", "secret", "get", "one") == Ran(0, secret, "")


def test_an_answer_that_is_not_text_declines(works, sandbox) -> None:
    ran = shell("", "apply", given=b"\xff\xfe\n")
    assert ran.status == 1
    assert "Apply cancelled. Nothing was done." in ran.out
    assert sandbox.calls["create"] == 0


@pytest.mark.parametrize("redirection", ["<&-", "", "</dev/null", "0>written"])
def test_where_there_is_no_answer_to_be_read_it_is_an_error(works, sandbox, redirection: str) -> None:
    ran = shell(redirection, "apply")
    assert ran.status == 1
    assert ran.err.startswith(
        "Error: There is no answer\n\nStandard input is at its end. Nothing was done.\n"
    )
    assert "Give --auto-approve; or save the plan" in ran.err
    assert sandbox.calls["create"] == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_what_an_encoding_lacks_is_written_out(works, environment: dict[str, str]) -> None:
    ran = shell("", "plan", **environment)
    assert ran.status == 0
    assert '"\\xdcn\\xefcode"' in ran.out


def test_a_poor_locale_still_reads_names_in_every_script(works) -> None:
    ran = shell("", "plan", LC_ALL="C")
    assert ran.status == 0
    assert '"Ünïcode"' in ran.out


def fifo(path: Path) -> None:
    os.mkfifo(path)


def full(path: Path) -> None:
    path.symlink_to("/dev/full")


@pytest.mark.parametrize("make", [fifo, full, Path.mkdir])
def test_a_log_that_is_no_file_is_refused_before_anything_is_done(works, sandbox, make) -> None:
    make(Path("odd.log"))
    ran = shell("", "apply", "--auto-approve", PROVISIONER_LOG="debug", PROVISIONER_LOG_PATH="odd.log")
    assert ran.status == 1
    assert 'Could not write "odd.log"' in ran.err
    assert sandbox.calls == {}


def test_a_log_to_a_device_is_refused(works, provisioner, monkeypatch) -> None:
    monkeypatch.setenv("PROVISIONER_LOG", "debug")
    monkeypatch.setenv("PROVISIONER_LOG_PATH", "/dev/full")
    ran = provisioner("plan")
    assert ran.status == 1
    assert "It is a device, not a file on a disk." in ran.err


def test_a_private_file_is_never_a_fifo_with_a_reader_either(tmp_path) -> None:
    fifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(FileError) as caught:
            make_private(tmp_path / "fifo")
    finally:
        os.close(reading)
    assert caught.value.detail == "It is a FIFO, not a file on a disk."
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_a_log_that_cannot_be_written_any_more_says_so_once_and_stops(tmp_path, capsys) -> None:
    handler = LogFile(tmp_path / "run.log")
    handler.stream.close()
    handler.stream = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115  (the handler closes it)
    line = logging.LogRecord("test", logging.INFO, "here", 1, "a line that might hold something", (), None)
    for _ in range(3):
        if line.levelno >= handler.level:  # as a logger asks
            handler.handle(line)
    err = capsys.readouterr().err
    assert err == f'Warning: the log ends here: "{tmp_path}/run.log" could not be written. The run goes on.\n'
    with pytest.raises(OSError, match="No space left"):
        handler.close()


def test_an_apply_goes_on_where_its_log_fills_the_disk(works) -> None:
    limited = 'trap "" XFSZ; ulimit -f 0; exec "$@"'  # no file may grow
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # nor its
    ran = subprocess.run(
        ["bash", "-c", limited, "bash", *COMMAND, "plan"],
        env=kept | {"PROVISIONER_LOG": "debug", "PROVISIONER_LOG_PATH": "run.log"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0
    assert "Plan: 2 to add" in ran.stdout
    assert ran.stderr == ('Warning: the log ends here: "run.log" could not be written. The run goes on.\n')
    assert Path("run.log").read_bytes() == b""


@pytest.mark.parametrize(
    ("shell_name", "given"),
    [
        ("bash", {}),
        ("fish", {}),
        ("zsh", {}),
        ("bash", {"COMP_WORDS": "provisioner pl"}),
        ("bash", {"COMP_WORDS": "provisioner pl", "COMP_CWORD": "x"}),
    ],
)
def test_a_request_for_completions_without_the_shells_variables_is_an_error_and_runs_nothing(
    provisioner, sandbox, monkeypatch, shell_name: str, given: dict[str, str]
) -> None:
    for variable, value in ({"_PROVISIONER_COMPLETE": f"{shell_name}_complete"} | given).items():
        monkeypatch.setenv(variable, value)
    ran = provisioner("validate")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: completion needs COMP_WORDS and COMP_CWORD")


def test_an_exception_that_nobody_foresaw_is_called_a_bug_without_its_text(provisioner, monkeypatch) -> None:
    class Unforeseen(Exception):  # noqa: N818  (not the name that is tested)
        pass

    def fails(*_: object, **__: object) -> None:
        raise Unforeseen("canary-in-the-text", {"canary": "in-the-arguments"})

    monkeypatch.setattr(root.root, "main", fails)
    ran = provisioner("plan", "--var", "canary=in-the-command")
    assert ran.status == 1
    assert ran.err.startswith("Error: this is a bug in provisioner\n")
    place = f"Unforeseen at {__name__}:{fails.__code__.co_firstlineno + 1}, in provisioner.cli.root:"
    assert place in ran.err
    assert "provisioner version --json" in ran.err
    assert "canary" not in ran.out + ran.err


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), (None, 1), ("canary", 1)])
def test_whoever_ends_python_below_the_command_ends_it_with_a_status(
    provisioner, monkeypatch, code: object, status: int
) -> None:
    def ends(*_: object, **__: object) -> None:
        sys.exit(code)

    monkeypatch.setattr(root.root, "main", ends)
    assert provisioner("plan").status == status


def test_an_interrupt_while_modules_are_imported_is_exit_130(monkeypatch) -> None:
    def interrupted(_: object) -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    monkeypatch.setattr(cli, "run", interrupted)
    monkeypatch.setattr(cli, "leave", sys.exit)  # or it would end the tests
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


def test_a_line_that_a_signals_handler_says_during_a_write_is_dropped_and_nothing_else(
    monkeypatch,
) -> None:
    class Slow(io.RawIOBase):
        said = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:
            if not self.said:
                output.complain("from the handler")
            self.said += data
            return len(data)

    slow = Slow()
    with output.Stream(io.TextIOWrapper(io.BufferedWriter(slow))) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        output.complain("before")
        output.complain("after")
        assert slow.said == b"before\nafter\n"
        assert stream.sink.failure == 0


def test_a_stream_is_to_others_what_it_stands_for_and_outlives_it(tmp_path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as inner:
        stream = output.Stream(inner)
        assert (stream.fileno(), stream.encoding, stream.isatty()) == (inner.fileno(), "ascii", False)
        click.echo("Ünïcode".encode(), file=stream)
        print("Ünïcode", file=stream)
    print("too late", file=stream)
    assert (tmp_path / "out").read_text("utf-8") == "Ünïcode\n\\xdcn\\xefcode\n"
    assert stream.sink.failure == errno.EBADF


def test_the_streams_are_given_back(capsys) -> None:
    before = sys.stdin, sys.stdout, sys.stderr
    assert cli.run(["--version"]) == 0
    assert (sys.stdin, sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == f"provisioner v{__version__}\n"
