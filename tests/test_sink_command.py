"""Delivering by a program: what it gets, what it never gets, and every way in which it can end."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.model import Address, Secret
from provisioner.sinks.command import CommandSink, sink

ADDRESS = Address("partner-portal")
CANARY = "canary-" + secrets.token_hex(16)
GRACE = 0.1
BIG = "i" * 1_000_000  # far more than a pipe holds
OPTIONS = {
    "prefix": "",
    "keys": {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"},
    "command": ["./deliver"],
    "remove": [],
    "format": "json",
    "timeout": "20s",
    "env": [],
}


def target(folder: Path, keep: bool = False, **options: Any) -> Target:
    return Target(DeclaredSink("tool", "command", {**OPTIONS, **options}, folder, keep), ADDRESS)


def pair(client_id: str = "id-1", secret: str = CANARY) -> Credentials:
    return Credentials(ADDRESS, client_id, Secret(secret.encode()))


def environment() -> dict[str, str]:
    return {**os.environ, "METEROID_API_KEY": CANARY, "SOPS_AGE_KEY": CANARY, "VAULT_TOKEN": "of-the-vault"}


def runner(**more: str) -> CommandSink:
    return CommandSink({**environment(), **more}, GRACE)


def script(path: Path, text: str, interpreter: str = "/bin/sh") -> None:
    path.write_text(f"#!{interpreter}\n{text}\n")
    path.chmod(0o755)


Script = Callable[[str], Path]


@pytest.fixture
def deliver(tmp_path: Path) -> Script:
    """Write the program `deliver` into the test's folder, which is returned."""

    def write(text: str) -> Path:
        script(tmp_path / "deliver", text)
        return tmp_path

    return write


@pytest.fixture(autouse=True)
def nothing_leaks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """After every test: no canary in our output, logs or temporary folder, and no descriptor left open."""
    before = descriptors()
    yield
    printed = capfd.readouterr()
    assert CANARY not in printed.out + printed.err + caplog.text
    assert descriptors() <= before


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def error_of(action: Callable[[], None]) -> SinkError:
    """The error, which holds no canary and brings no other error along."""
    with pytest.raises(SinkError) as caught:
        action()
    error = caught.value
    assert CANARY not in f"{error.summary} {error.detail} {error.hint} {error!r}"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert all(text.isprintable() for text in (error.summary, error.detail, error.hint))
    return error


def failed(folder: Path, credentials: Credentials | None = None, **options: Any) -> SinkError:
    """A delivery that goes wrong."""
    return error_of(lambda: runner().deliver(target(folder, **options), credentials or pair()))


def read_environment(path: Path) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in path.read_text().split("\0") if entry)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def gone(written: Path) -> bool:
    """Whether the process that wrote its number down ends within a moment, if it came so far at all."""
    number = written.read_text() if written.exists() else ""
    until = time.monotonic() + 5
    while number and is_alive(int(number)) and time.monotonic() < until:
        time.sleep(0.01)
    return not number or not is_alive(int(number))


# What it gets


def test_the_pair_is_json_on_standard_input_and_the_folder_is_the_manifest_s(deliver: Script) -> None:
    folder = deliver("cat > got; pwd -P > where")
    runner().deliver(target(folder), pair())
    assert json.loads((folder / "got").read_text()) == {"CLIENT_ID": "id-1", "CLIENT_SECRET": CANARY}
    assert (folder / "where").read_text() == f"{folder.resolve()}\n"


def test_the_pair_is_dotenv_under_the_names_that_the_sink_gives(deliver: Script) -> None:
    folder = deliver("cat > got")
    names = {"client_id": "ID", "client_secret": "SECRET"}
    runner().deliver(target(folder, format="dotenv", prefix="{KEY}_", keys=names), pair())
    assert (folder / "got").read_text() == f"PARTNER_PORTAL_ID='id-1'\nPARTNER_PORTAL_SECRET='{CANARY}'\n"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_every_secret_that_there_can_be_arrives_as_it_is(deliver: Script, secret: str) -> None:
    folder = deliver("cat > got")
    runner().deliver(target(folder), pair(secret=secret))
    assert json.loads((folder / "got").read_text())["CLIENT_SECRET"] == secret


def test_arguments_go_as_they_stand_through_no_shell_and_with_the_key_filled_in(tmp_path: Path) -> None:
    code = "import sys, json\njson.dump(sys.argv[1:], open('got', 'w'))\nsys.stdin.read()"
    script(tmp_path / "deliver", code, sys.executable)
    argv = ["./deliver", "--to={key}", "{KEY}", "$HOME; `id` *", "", "two\nlines"]
    runner().deliver(target(tmp_path, command=argv), pair())
    got = json.loads((tmp_path / "got").read_text())
    assert got == ["--to=partner-portal", "PARTNER_PORTAL", "$HOME; `id` *", "", "two\nlines"]


def test_the_environment_is_what_programs_need_what_env_names_and_what_this_is_about(
    deliver: Script, tmp_path: Path
) -> None:
    folder = deliver(
        "cat > /dev/null; cat /proc/$$/environ > environ; tr '\\0' '\\n' < /proc/$$/cmdline > argv"
    )
    ways = CommandSink(
        {**environment(), "LANG": "C.UTF-8", "TMPDIR": "/var/tmp", "PROVISIONER_KEY": "x"}, GRACE
    )
    ways.deliver(target(folder, env=["VAULT_TOKEN", "PROVISIONER_KEY"]), pair())
    got = read_environment(folder / "environ")
    for name in ("PWD", "SHLVL", "_", "OLDPWD"):  # a shell's own
        got.pop(name, None)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LC_ALL") if name in os.environ}
    assert got == {
        **kept,
        "LANG": "C.UTF-8",
        "TMPDIR": "/var/tmp",
        "VAULT_TOKEN": "of-the-vault",
        "PROVISIONER_ADDRESS": "oauth_app.partner-portal",
        "PROVISIONER_KEY": "partner-portal",
        "PROVISIONER_SINK": "tool",
        "PROVISIONER_EVENT": "deliver",
    }
    assert CANARY not in (folder / "environ").read_text() + (folder / "argv").read_text()


def test_identities_are_handed_on_where_env_names_them(deliver: Script) -> None:
    folder = deliver('cat > /dev/null; printf %s "$SOPS_AGE_KEY" > identity')
    runner(SOPS_AGE_KEY="an identity").deliver(target(folder, env=["SOPS_AGE_KEY"]), pair())
    assert (folder / "identity").read_text() == "an identity"


def test_it_is_in_a_session_of_its_own_and_what_it_makes_is_for_its_owner_alone(tmp_path: Path) -> None:
    code = "import os, sys\nsys.stdin.read()\nopen('got', 'w').write(f'{os.getsid(0)} {os.getpid()}')"
    script(tmp_path / "deliver", code, sys.executable)
    runner().deliver(target(tmp_path), pair())
    session, process = (tmp_path / "got").read_text().split()
    assert session == process != str(os.getsid(0))
    assert stat.S_IMODE((tmp_path / "got").stat().st_mode) == 0o600


def test_nobody_sees_the_environment_that_the_sink_was_given() -> None:
    assert "of-the-vault" not in repr(sink(DeclaredSink("tool", "command", OPTIONS), environment()))


# What it does with its standard input


def test_more_than_a_pipe_holds_arrives_whole_at_a_program_that_takes_its_time(deliver: Script) -> None:
    folder = deliver("sleep 0.1; cat > got")
    runner().deliver(target(folder), pair(client_id=BIG))
    assert json.loads((folder / "got").read_text()) == {"CLIENT_ID": BIG, "CLIENT_SECRET": CANARY}


@pytest.mark.parametrize("client_id", ["id-1", BIG], ids=["fits the pipe", "does not fit"])
@pytest.mark.parametrize("text", ["exit 0", "exec <&-; exit 0"], ids=["leaves", "closes it"])
def test_a_program_that_ends_well_without_reading_anything_has_delivered_nothing(
    deliver: Script, text: str, client_id: str
) -> None:
    error = failed(deliver(text), pair(client_id))
    assert "exit status is 0, yet it read nothing of its standard input" in error.detail


@pytest.mark.parametrize("client_id", ["id-1", BIG], ids=["fits the pipe", "does not fit"])
def test_a_program_that_reads_what_it_needs_and_ends_well_has_delivered(
    deliver: Script, client_id: str
) -> None:
    folder = deliver("head -c 20 > got")
    runner().deliver(target(folder), pair(client_id))
    assert (folder / "got").read_text() == f'{{\n  "CLIENT_ID": "{client_id[:2]}'


def test_standard_input_can_be_opened_by_its_name(deliver: Script) -> None:
    folder = deliver("cp /dev/stdin got")
    runner().deliver(target(folder), pair())
    assert CANARY in (folder / "got").read_text()


@pytest.mark.parametrize("client_id", ["id-1", BIG], ids=["fits the pipe", "does not fit"])
@pytest.mark.parametrize("text", ["sleep 60", "exec <&-; sleep 60"], ids=["does not read", "closes it"])
def test_a_program_that_hangs_is_ended_when_its_time_is_up(
    deliver: Script, text: str, client_id: str
) -> None:
    folder = deliver(f"echo $$ > pid; {text}")
    error = failed(folder, pair(client_id), timeout="150ms")
    assert error.detail.startswith("It was not done within 150ms, its `timeout`, and was ended.")
    assert gone(folder / "pid")


# How it ends


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 3", "Its exit status is 3."),
        ("cat > /dev/null; exit 255", "Its exit status is 255."),
        ("no-such-program-here", "Its exit status is 127, a shell's word for a program that is not found"),
        ("/dev/null", "Its exit status is 126, a shell's word for a program that may not be run."),
        ("kill -KILL $$", "It was ended by SIGKILL."),
        ("kill -40 $$", "It was ended by signal 40."),
    ],
)
@pytest.mark.parametrize("client_id", ["id-1", BIG], ids=["fits the pipe", "does not fit"])
def test_a_program_that_fails_is_told_by_its_status_or_signal(
    deliver: Script, text: str, why: str, client_id: str
) -> None:
    error = failed(deliver(text), pair(client_id))
    assert error.summary == 'The command "./deliver" did not deliver the secret of oauth_app.partner-portal'
    assert error.detail.startswith(why)
    assert error.detail.endswith("What it printed is not shown: it could hold the secret.")
    assert error.hint.endswith("provisioner secret get partner-portal --format json | ./deliver")


def test_what_it_prints_goes_nowhere_whether_it_fails_or_not(
    deliver: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    text = 'got=$(cat); i=0; while [ $i -lt 2000 ]; do echo "$got"; echo "$got" >&2; i=$((i+1)); done'
    runner().deliver(target(deliver(text)), pair())
    failed(deliver(f"{text}; exit 1"))
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_a_program_that_ignores_sigterm_is_ended_with_sigkill_and_its_children_with_it(
    deliver: Script,
) -> None:
    folder = deliver(
        "trap '' TERM; sleep 60 & echo $! > child; echo $$ > pid; cat > /dev/null; sleep 60; sleep 60"
    )
    error = failed(folder, timeout="150ms")
    assert "was ended" in error.detail
    assert gone(folder / "pid")
    assert gone(folder / "child")


def test_a_program_may_tidy_up_when_its_time_is_up(deliver: Script) -> None:
    folder = deliver("trap 'echo tidy > tidied; exit 0' TERM; cat > /dev/null; while :; do sleep 0.02; done")
    ways = CommandSink(environment(), 5)
    error = error_of(lambda: ways.deliver(target(folder, timeout="500ms"), pair()))
    assert "was not done within 500ms" in error.detail
    assert (folder / "tidied").read_text() == "tidy\n"


def test_a_child_that_keeps_every_descriptor_holds_nobody_up_where_the_program_ended_well(
    deliver: Script,
) -> None:
    folder = deliver("sleep 60 <&0 & echo $! > child; cat > got")
    runner().deliver(target(folder), pair())
    child = int((folder / "child").read_text())
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)
    assert CANARY in (folder / "got").read_text()


def test_what_a_failed_program_leaves_behind_delivers_nothing_later(deliver: Script) -> None:
    folder = deliver("sleep 60 <&0 & echo $! > child; exit 1")
    failed(folder)
    assert gone(folder / "child")


def test_a_delivery_that_was_carried_out_before_the_program_broke_is_healed_by_the_next(
    deliver: Script,
) -> None:
    store = "cat > store.tmp && mv store.tmp store"
    failed(deliver(f"{store}; kill -KILL $$"))
    folder = deliver(store)
    for _ in range(2):
        runner().deliver(target(folder), pair())
    assert json.loads((folder / "store").read_text())["CLIENT_SECRET"] == CANARY


def test_one_that_broke_before_it_read_everything_is_healed_by_the_next(deliver: Script) -> None:
    failed(deliver("head -c 10 > store; kill -KILL $$"))
    folder = deliver("cat > store")
    runner().deliver(target(folder), pair())
    assert json.loads((folder / "store").read_text())["CLIENT_SECRET"] == CANARY


def test_an_interruption_of_ours_ends_it_too(deliver: Script) -> None:
    folder = deliver("echo $$ > pid; cat > /dev/null; sleep 60")

    def interrupt(number: int, frame: object) -> None:
        if (folder / "pid").exists() and (folder / "pid").read_text():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with pytest.raises(KeyboardInterrupt):
            runner().deliver(target(folder), pair())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert gone(folder / "pid")


def test_an_end_that_nobody_can_tell_is_no_good_one(deliver: Script) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        error = failed(deliver("cat > /dev/null"))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert error.summary == 'The command "./deliver" could not be run'
    assert "SIGCHLD ignored" in error.detail


@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")
def test_a_program_that_no_signal_reaches_holds_nobody_up(
    deliver: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = deliver("cat > /dev/null; exec sleep 60"), list[int]()

    def refuse(group: int, _number: int) -> None:
        asked.append(group)
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", refuse)
        error = failed(folder, timeout="100ms")
    assert "was not done within 100ms" in error.detail
    left = asked[0]
    assert asked == [left, left]
    os.killpg(left, signal.SIGKILL)
    os.waitpid(left, 0)


# Before anything is sent


def probed(folder: Path, ways: CommandSink | None = None, **options: Any) -> SinkError:
    """A probe that finds a fault, which a delivery meets in the same words."""
    ways = ways or runner()
    error = error_of(lambda: ways.probe(target(folder, **options)))
    again = error_of(lambda: ways.deliver(target(folder, **options), pair()))
    assert (again.summary, again.detail) == (error.summary, error.detail)
    return error


def test_a_probe_looks_the_programs_up_and_runs_none(deliver: Script) -> None:
    folder = deliver("touch ran")
    shutil.copy(folder / "deliver", folder / "take-back")
    runner().probe(target(folder, remove=["./take-back"]))
    assert not (folder / "ran").exists()


def test_a_program_on_the_path_is_found_there(tmp_path: Path) -> None:
    runner().deliver(target(tmp_path, command=["sh", "-c", "cat > got"]), pair())
    assert CANARY in (tmp_path / "got").read_text()


def test_without_a_path_the_system_s_own_folders_are_searched(tmp_path: Path) -> None:
    CommandSink({}, GRACE).deliver(target(tmp_path, command=["sh", "-c", "cat > got"]), pair())
    assert CANARY in (tmp_path / "got").read_text()


def test_the_folders_of_path_and_of_the_program_are_seen_from_the_manifest_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "manifest", tmp_path / "elsewhere"
    (folder / "tools").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    script(folder / "tools" / "hand-over", "cat > got")
    for command, path in (
        (["./tools/hand-over"], "/bin"),
        (["hand-over"], "/bin:tools"),
        (["tools/hand-over"], ""),
    ):
        (folder / "got").unlink(missing_ok=True)
        there = target(Path("../manifest"), command=command)
        ways = CommandSink({**environment(), "PATH": path + ":/bin:/usr/bin"}, GRACE)
        ways.probe(there)
        ways.deliver(there, pair())
        assert CANARY in (folder / "got").read_text()


def test_a_program_that_is_missing_is_found_out_before(tmp_path: Path) -> None:
    error = probed(tmp_path, command=["./no-such"])
    assert error.summary == 'There is no program "./no-such"'
    assert str(tmp_path) in error.detail
    error = probed(tmp_path, command=["no-such-program"])
    assert error.summary == 'There is no program "no-such-program"'
    assert error.detail == "No folder of PATH has one that may be run."
    assert error.hint == "Install it."


def test_a_program_beside_the_manifest_is_named_with_its_folder(deliver: Script) -> None:
    assert probed(deliver("exit 0"), command=["deliver"]).hint.endswith("write ./deliver.")


def test_a_program_that_is_not_executable_is_found_out_before(tmp_path: Path) -> None:
    (tmp_path / "deliver").write_text("#!/bin/sh\n")
    error = probed(tmp_path)
    assert error.summary == '"./deliver" may not be run'
    assert error.hint == f"Type: chmod +x {tmp_path}/deliver"


def test_a_folder_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "deliver").mkdir()
    assert probed(tmp_path).summary == 'There is no program "./deliver"'


def test_the_program_that_removes_is_looked_up_before_too(deliver: Script) -> None:
    folder = deliver("exit 0")
    error = error_of(lambda: runner().probe(target(folder, remove=["./take-back"])))
    assert error.summary == 'There is no program "./take-back"'


@pytest.mark.parametrize("value", [{}, {"CONTEXT": ""}], ids=["not set", "empty"])
def test_a_variable_that_is_not_set_is_found_out_before(deliver: Script, value: Mapping[str, str]) -> None:
    ways = CommandSink({**environment(), **value}, GRACE)
    error = probed(deliver("exit 0"), ways, env=["VAULT_TOKEN", "CONTEXT", "ALSO\x1b[2J"])
    assert error.detail == "Not set, or empty: CONTEXT, ALSO\\x1b[2J."


def test_the_key_of_the_api_is_handed_to_nobody_even_where_env_names_it(deliver: Script) -> None:
    error = probed(deliver("env > got"), env=["METEROID_API_KEY"])
    assert error.summary == "The sink tool would hand METEROID_API_KEY to its command"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "dotenv", "prefix": "a b="}, "Not a name for"),
        ({"format": "dotenv", "prefix": "{key}_"}, "Not a name for"),
        ({"format": "dotenv", "prefix": "1"}, "Not a name for"),
        ({"keys": {"client_id": "X", "client_secret": "X"}}, "have one name"),
        ({"format": "toml"}, "Not a format"),
    ],
)
def test_b55_names_and_formats_that_nobody_could_read_are_found_out_before(
    deliver: Script, options: Mapping[str, Any], said: str
) -> None:
    assert said in probed(deliver("exit 0"), **options).summary


def test_b55_a_secret_that_no_program_reads_back_is_refused_and_nothing_is_run(deliver: Script) -> None:
    folder = deliver("touch ran")
    failed(folder, pair(secret=CANARY + "\n"))
    failed(folder, pair(secret=CANARY + "'"), format="dotenv")
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("text", ["soon", "0s", "-1s", "30"])
def test_a_time_limit_that_is_none_is_found_out_before(deliver: Script, text: str) -> None:
    assert probed(deliver("exit 0"), timeout=text).summary == f'Not a length of time: "{text}"'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#!/no/such/interpreter\n", "What its first line (#!) names is not there"),
        (b"no first line", "It is neither a program for this machine nor a script"),
    ],
)
def test_what_the_system_cannot_start_is_told_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "deliver").write_bytes(content)
    (tmp_path / "deliver").chmod(0o755)
    error = failed(tmp_path)
    assert error.summary == 'The command "./deliver" could not be run'
    assert error.detail.startswith(reason)


def test_arguments_that_no_program_can_be_given_are_told(deliver: Script) -> None:
    folder = deliver("exit 0")
    assert failed(folder, command=["./deliver", "a\0b"]).detail == "No program can be given its arguments."
    assert failed(folder, command=["./deliver", "a" * 3_000_000]).detail == "Argument list too long."


# Taking it back


def test_a_copy_is_taken_away_by_its_program_which_is_given_nothing_to_read(deliver: Script) -> None:
    folder = deliver("exit 9")
    script(folder / "take-back", 'wc -c > read; echo "$1 $PROVISIONER_EVENT $PROVISIONER_KEY" > got')
    runner().remove(target(folder, remove=["./take-back", "{KEY}"]))
    assert (folder / "read").read_text().strip() == "0"
    assert (folder / "got").read_text() == "PARTNER_PORTAL remove partner-portal\n"


def test_taking_away_twice_is_for_the_program_to_allow(tmp_path: Path) -> None:
    (tmp_path / "copy").touch()
    for _ in range(2):
        runner().remove(target(tmp_path, remove=["rm", "-f", "copy"]))
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("text", "why"), [("exit 4", "Its exit status is 4."), ("sleep 60", "not done within")]
)
def test_a_removal_that_fails_is_told(tmp_path: Path, text: str, why: str) -> None:
    script(tmp_path / "take-back", f"echo {CANARY} >&2; {text}")
    there = target(tmp_path, remove=["./take-back"], timeout="150ms")
    error = error_of(lambda: runner().remove(there))
    assert (
        error.summary == 'The command "./take-back" did not take away the secret of oauth_app.partner-portal'
    )
    assert why in error.detail
    assert error.hint.endswith("type: ./take-back")


def test_without_a_way_back_the_copy_stays_and_the_error_says_how_to_go_on(deliver: Script) -> None:
    folder = deliver("touch ran")
    error = error_of(lambda: runner().remove(target(folder)))
    assert error.summary == 'Nothing says how to take back what "./deliver" delivered'
    assert "`remove`" in error.hint
    assert "`keep: true`" in error.hint
    assert not (folder / "ran").exists()


def test_where_a_copy_is_says_whether_it_can_be_taken_back() -> None:
    here, argv = Path(), ["./deliver", "--to", "a b", "{key}"]
    shown = "command \"./deliver --to 'a b' partner-portal\""
    assert runner().place(target(here, command=argv)) == f"{shown}, which cannot take it back"
    assert runner().place(target(here, command=argv, remove=["./take-back"])) == shown
    assert runner().place(target(here, keep=True, command=argv)) == shown


def test_a_command_of_many_lines_is_shown_in_one_and_cut() -> None:
    place = runner().place(target(Path(), command=["sh", "-c", "line\n\x1b[2J" * 100]))
    assert place.isprintable()
    assert len(place) < 300


def test_without_a_removal_a_copy_that_is_kept_is_left_where_it_is(tmp_path: Path) -> None:
    runner().remove(target(tmp_path, keep=True, remove=[]))
    with pytest.raises(SinkError):
        runner().remove(target(tmp_path, remove=[]))
