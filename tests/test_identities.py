"""Where private keys are found, who else may reach them, and the passphrase that some need."""

from __future__ import annotations

import getpass
import os
import pty
import secrets
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from provisioner.cli import identities as module
from provisioner.cli.identities import find_identities
from provisioner.cli.opening import opener
from provisioner.errors import FileError, SealingError
from provisioner.model import Secret
from provisioner.sealing import Sealer, generate_identity, open_sealed, takes_passphrase, unlock
from provisioner.settings import Settings, from_environment

COMMAND = [sys.executable, "-m", "provisioner"]
# Takes a terminal for its own and becomes the command; the standard streams stay what they are.
ATTACH = "import fcntl, os, sys, termios; fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); "
ATTACH += "os.execvp(sys.argv[2], sys.argv[2:])"
ENCRYPTED = b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 18\n"
MANIFEST = "version: 1\napps: {one: {redirect_uris: ['https://one.example/cb']}}\n"
PASSPHRASE = f"canary passphrase ü {secrets.token_urlsafe(12)}"


def at_terminal(command: Sequence[str], answer: str, prompts: int = 1) -> tuple[int, bytes, bytes, bytes]:
    """Status, standard output, standard error, and what the terminal showed. Standard input is a pipe."""
    ours, theirs = pty.openpty()
    attached = [sys.executable, "-c", ATTACH, str(theirs), *command]
    with subprocess.Popen(
        attached, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, pass_fds=[theirs],
    ) as process:  # fmt: skip
        shown = b""
        for number in range(1, prompts + 1):
            while shown.count(b": ") < number:
                shown += os.read(ours, 4096)
            os.write(ours, answer.encode() + b"\n")
        out, err = process.communicate(timeout=60)
    os.set_blocking(ours, False)
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:
            break
    os.close(ours)
    os.close(theirs)
    return process.returncode, out, err, shown


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    """An identity file as it should be, and the public half."""
    private, public = generate_identity()
    path = tmp_path / "key.txt"
    path.touch(0o600)
    path.write_bytes(b"# a comment\n" + private.reveal() + b"\n")
    return path, public


def publics(settings: Settings) -> list[str | None]:
    return [identity.public for identity in find_identities(settings)]


def refused(settings: Settings) -> SealingError:
    with pytest.raises(SealingError) as caught:
        find_identities(settings)
    return caught.value


# --- several


def test_several_identities_in_one_file_are_all_found_and_each_opens_what_is_its_own(
    key: tuple[Path, str],
) -> None:
    private, public = generate_identity()
    with key[0].open("ab") as file:
        file.write(b"\n# the second\n" + private.reveal() + b"\n")
    found = find_identities(Settings(identity_file=key[0]))
    assert [identity.public for identity in found] == [key[1], public]
    for recipient in (key[1], public):
        assert open_sealed(Sealer([recipient]).seal(Secret(b"x")), found) == Secret(b"x")


def test_sops_age_key_opens_what_the_file_that_is_named_does_not(
    key: tuple[Path, str], provisioner, sandbox, monkeypatch
) -> None:
    private, public = generate_identity()
    monkeypatch.setenv("SOPS_AGE_KEY", private.reveal().decode())
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(key[0]))
    Path("apps.yaml").write_text(MANIFEST)
    sealed_to = provisioner("plan", "--no-refresh").out
    assert f"  {key[1]} (your own identity)\n" in sealed_to  # and to it alone, as before there was another
    assert public not in sealed_to
    monkeypatch.setenv("PROVISIONER_AGE_RECIPIENTS", public)
    assert provisioner("apply", "--auto-approve").status == 0
    assert provisioner("secret", "get", "one").status == 0


def test_an_identity_that_opens_nothing_is_named_with_its_place_and_so_are_those_who_could(
    key: tuple[Path, str], provisioner, sandbox, monkeypatch
) -> None:
    (_, theirs), (text, ours) = generate_identity(), generate_identity()
    monkeypatch.setenv("PROVISIONER_AGE_RECIPIENTS", theirs)
    Path("apps.yaml").write_text(MANIFEST)
    assert provisioner("apply", "--auto-approve").status == 0
    monkeypatch.setenv("PROVISIONER_AGE_KEY_FILE", key[0].name)
    monkeypatch.setenv("SOPS_AGE_KEY", text.reveal().decode())
    for command in (("get", "one"), ("exec", "one", "--", "true"), ("rekey", "--yes")):
        ran = provisioner("secret", *command)
        assert ran.status == 1
        assert f'Tried: {key[1]} in "{key[0]}", {ours} in SOPS_AGE_KEY.' in ran.err
        assert f"By its record it can be opened by: {theirs}." in ran.err


# --- where none is


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("command", [True, False])
def test_where_there_is_no_identity_those_of_sops_are_named_and_neither_read_nor_run(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch, there: bool, command: bool
) -> None:
    path = clean_environment / ".config/sops/age/keys.txt"
    if there:
        path.parent.mkdir(parents=True)
        path.touch(0o000)
    if command:
        monkeypatch.setenv("SOPS_AGE_KEY_CMD", "touch ran")
    with pytest.raises(SealingError) as caught:
        opener(from_environment())
    assert caught.value.summary == "There is no identity to open a secret with"
    assert (f"SOPS_AGE_KEY_FILE={path}" in caught.value.hint) is there
    assert ('SOPS_AGE_KEY="$(eval "$SOPS_AGE_KEY_CMD")"' in caught.value.hint) is command
    assert not Path("ran").exists()


# --- paths


def test_what_is_wrong_with_sopss_key_is_only_told_where_a_file_has_one(key, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(key[0]))
    monkeypatch.setenv("SOPS_AGE_KEY", "AGE-SECRET-KEY-PQ-1QQQ")
    assert [found.public for found in find_identities(from_environment())] == [key[1]]
    said = capsys.readouterr().err
    assert "SOPS_AGE_KEY is passed over: Line 1 of SOPS_AGE_KEY is not an age identity" in said
    assert "1QQQ" not in said


@pytest.mark.parametrize("variable", ["PROVISIONER_AGE_KEY_FILE", "SOPS_AGE_KEY_FILE"])
def test_a_key_file_below_a_tilde_that_no_shell_resolved_is_refused_and_not_made(
    provisioner, monkeypatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, "~/.config/age.txt")
    ran = provisioner("init")
    assert ran.status == 1
    assert ran.err.startswith(f'Error: {variable} is "~/.config/age.txt", and ~ stands for no folder here\n')
    assert list(tmp_path.iterdir()) == []


def test_init_says_in_full_where_the_identity_is_that_it_made_or_found(
    provisioner, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROVISIONER_AGE_KEY_FILE", "keys/age.txt")
    for manifest in ("a.yaml", "b.yaml"):
        assert f'the identity in "{tmp_path}/keys/age.txt":' in provisioner("init", "-f", manifest).out


# --- plugins

PLUGIN = b"AGE-PLUGIN-YUBIKEY-1QQPCANARY7QZQQ"


def test_a_line_for_a_plugin_is_passed_over_with_a_note_and_the_others_are_used(
    key: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    key[0].write_bytes(PLUGIN + b"\n" + key[0].read_bytes() + b"  age-plugin-se-1qq\n")
    assert publics(Settings(identity_file=key[0])) == [key[1]]
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f'Note: passed over lines 1, 4 of "{key[0]}": plugins of age are not supported here.\n'


def test_a_file_for_plugins_alone_is_no_hindrance_where_another_place_has_a_key(
    key: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = generate_identity()
    key[0].write_bytes(PLUGIN + b"\n")
    assert publics(Settings(identity_file=key[0], identity_text=private)) == [public]
    assert capsys.readouterr().err.count("Note: ") == 1
    error = refused(Settings(identity_file=key[0]))
    assert error.summary == f'No identity in "{key[0]}" can be used'
    assert "plugins are not supported" in error.detail
    assert "X25519" in error.hint
    assert "SSH" in error.hint


def test_the_error_about_a_line_names_the_file_that_it_is_in(key: tuple[Path, str]) -> None:
    key[0].write_bytes(b"# a comment\nnothing\n")
    assert refused(Settings(identity_file=key[0])).summary == f'Line 2 of "{key[0]}" is not an age identity'
    error = refused(Settings(identity_text=Secret(b"nothing")))
    assert error.summary == "Line 1 of SOPS_AGE_KEY is not an age identity"


# --- modes


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666, 0o677, 0o601])
def test_b58_an_identity_file_of_ones_own_that_others_can_reach_is_refused_with_its_mode_and_the_remedy(
    key: tuple[Path, str], capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    key[0].chmod(mode)
    error = refused(Settings(identity_file=key[0]))
    assert error.summary == f'The identity file "{key[0]}" is open to others'
    assert f"Its mode is {mode:04o}." in error.detail
    assert error.hint.startswith(f"Type: chmod 600 {key[0]}\n")
    assert "SOPS_AGE_KEY" in error.hint
    assert capsys.readouterr() == ("", "")
    command = error.hint.splitlines()[0].removeprefix("Type: ")
    subprocess.run(command, shell=True, check=True)  # noqa: S602  it is what a user types
    assert publics(Settings(identity_file=key[0])) == [key[1]]


def test_b58_the_remedy_for_a_name_with_a_space_can_be_typed_as_it_is(key: tuple[Path, str]) -> None:
    path = key[0].rename(key[0].with_name("my $key; x.txt"))
    path.chmod(0o644)
    command = refused(Settings(identity_file=path)).hint.splitlines()[0].removeprefix("Type: ")
    subprocess.run(command, shell=True, check=True)  # noqa: S602  it is what a user types
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_an_identity_file_for_its_owner_alone_is_taken_without_a_word(
    key: tuple[Path, str], capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    key[0].chmod(mode)
    assert publics(Settings(identity_file=key[0])) == [key[1]]
    assert capsys.readouterr() == ("", "")


def test_b58_a_link_is_judged_by_the_file_that_it_leads_to(key: tuple[Path, str]) -> None:
    link = key[0].with_name("link")
    link.symlink_to(key[0])
    assert publics(Settings(identity_file=link)) == [key[1]]
    key[0].chmod(0o644)
    assert "0644" in refused(Settings(identity_file=link)).detail


def anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY | os.ST_NOSUID))


@pytest.mark.parametrize("where", [anothers, read_only])
@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o604, True), (0o640, False), (0o400, False)])
def test_b58_a_file_whose_mode_its_user_cannot_change_is_taken_with_a_warning_where_everybody_can_reach_it(
    key: tuple[Path, str], capsys, monkeypatch, where: Callable[..., None], mode: int, warned: bool
) -> None:
    key[0].chmod(mode)
    where(monkeypatch)
    assert publics(Settings(identity_file=key[0])) == [key[1]]
    warning = f'Warning: everybody on this machine can reach the identity file "{key[0]}" ({mode:04o}).\n'
    assert capsys.readouterr() == ("", warning if warned else "")


def test_b58_the_mode_of_an_encrypted_identity_file_does_not_matter(
    key: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Secret(key[0].read_bytes())
    monkeypatch.setattr(module, "unlock", lambda *_: content)
    monkeypatch.setattr(module, "getpass", lambda _: "x")
    key[0].write_bytes(ENCRYPTED)
    key[0].chmod(0o644)
    assert publics(Settings(identity_file=key[0])) == [key[1]]


def test_the_command_says_the_mode_and_what_to_type(provisioner, clean_environment) -> None:
    provisioner("init")
    (clean_environment / ".config/provisioner/identity.txt").chmod(0o644)
    ran = provisioner("plan", "--no-refresh", "-f", "apps.yaml")
    assert ran.status == 0  # the manifest names its recipients, so nobody's identity is looked at
    Path("apps.yaml").write_text("version: 1\napps: {}\n")
    ran = provisioner("plan", "--no-refresh", "-f", "apps.yaml")
    assert ran.status == 1
    assert "Its mode is 0644." in ran.err
    assert "Type: chmod 600 " in ran.err


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a FIFO"])
def test_b58_an_identity_file_that_is_no_file_is_an_error(tmp_path: Path, make) -> None:
    make(tmp_path / "key")
    with pytest.raises(FileError) as caught:
        find_identities(Settings(identity_file=tmp_path / "key"))
    assert "not a file on a disk" in caught.value.detail
    assert caught.value.hint == "Give the key itself in SOPS_AGE_KEY."


def test_b58_an_identity_file_that_is_named_and_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        find_identities(Settings(identity_file=tmp_path / "key"))
    assert caught.value.detail == "No such file or directory."


def test_ones_own_identity_file_may_be_missing(tmp_path: Path) -> None:
    assert find_identities(Settings(config_folder=tmp_path)) == ()
    assert find_identities(Settings(config_folder=Path("nowhere"))) == ()


# --- passphrases


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], bytes, str]:
    """Identity files as the age of the system encrypts them, binary and armored; both halves of the key."""
    folder = tmp_path_factory.mktemp("stock")
    private, public = generate_identity()
    (folder / "plain").write_bytes(b"# public key: x\n" + private.reveal() + b"\n")

    def encrypted(option: str) -> bytes:
        command = ["age", option, "--passphrase", "--output", str(folder / option), str(folder / "plain")]
        status, _, err, _ = at_terminal(command, PASSPHRASE, prompts=2)
        assert status == 0, err
        return (folder / option).read_bytes()

    with ThreadPoolExecutor() as pool:
        return list(pool.map(encrypted, ["--encrypt", "--armor"])), private.reveal(), public


@pytest.fixture
def files(tool: Callable[[str], str], request: pytest.FixtureRequest) -> tuple[list[bytes], bytes, str]:
    tool("age")
    found: tuple[list[bytes], bytes, str] = request.getfixturevalue("stock")
    return found


def test_b58_the_passphrase_is_asked_for_at_the_terminal_though_standard_input_is_a_pipe(
    files: tuple[list[bytes], bytes, str], tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "key.age"
    path.write_bytes(files[0][0])
    monkeypatch.setenv("PROVISIONER_AGE_KEY_FILE", str(path))
    status, out, err, shown = at_terminal([*COMMAND, "init", "-f", str(tmp_path / "a.yaml")], PASSPHRASE)
    assert (status, err) == (0, b"")
    assert files[2] in (tmp_path / "a.yaml").read_text()
    assert shown.decode() == f'Passphrase of the identity in "{path}": \r\n'
    everything = out + b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert PASSPHRASE.encode() not in everything
    assert files[1].strip() not in everything


def test_b58_an_armored_identity_file_of_the_systems_age_is_opened_by_its_passphrase_and_no_other(
    files: tuple[list[bytes], bytes, str],
) -> None:
    armored = Secret(files[0][1])
    assert armored.reveal().startswith(b"-----BEGIN AGE ENCRYPTED FILE-----")
    assert takes_passphrase(armored)
    assert files[1] in unlock(armored, Secret(PASSPHRASE.encode())).reveal()
    with pytest.raises(SealingError) as caught:
        unlock(armored, Secret(b"canary-7Qz"))
    assert caught.value.summary == "The passphrase does not open the identity file"
    assert caught.value.__context__ is None
    assert "canary-7Qz" not in f"{caught.value!r}{vars(caught.value)}"


def test_b58_without_a_terminal_the_passphrase_is_read_from_nowhere(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "key.age"
    path.write_bytes(ENCRYPTED)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(path))
    ran = subprocess.run(
        [*COMMAND, "init", "-f", str(tmp_path / "a.yaml")], input=PASSPHRASE.encode() + b"\n",
        capture_output=True, start_new_session=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert ran.stderr.decode() == (
        f'Error: The identity in "{path}" needs a passphrase\n\n'
        "There is no terminal to ask for it on, and it is read from nowhere else.\n"
        "In a pipeline use an identity without one, or give what `age --decrypt` prints in SOPS_AGE_KEY.\n"
    )
    assert not (tmp_path / "a.yaml").exists()


def test_an_encrypted_identity_in_the_environment_is_asked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = generate_identity()
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "ü"

    def opened(given: Secret, passphrase: Secret) -> Secret:
        assert (given.reveal(), passphrase.reveal()) == (ENCRYPTED, "ü".encode())
        return private

    monkeypatch.setattr(module, "getpass", answer)
    monkeypatch.setattr(module, "unlock", opened)
    assert publics(Settings(identity_text=Secret(ENCRYPTED))) == [public]
    assert asked == ["Passphrase of the identity in SOPS_AGE_KEY: "]


def test_whatever_a_run_needs_the_identity_for_it_asks_for_the_passphrase_once(
    provisioner, sandbox, monkeypatch
) -> None:
    private, _ = generate_identity()
    asked: list[str] = []
    monkeypatch.setenv("SOPS_AGE_KEY", ENCRYPTED.decode())
    monkeypatch.setattr(module, "getpass", lambda prompt: asked.append(prompt) or "ü")
    monkeypatch.setattr(module, "unlock", lambda *_: private)
    apps = [f"  {key}: {{redirect_uris: ['https://one.example/cb']}}\n" for key in ("one", "two")]
    Path("apps.yaml").write_text("version: 1\napps:\n" + "".join(apps))

    def prompts(*arguments: str) -> int:
        asked.clear()
        ran = provisioner(*arguments)
        assert ran.status == 0, ran.err
        return len(asked)

    assert prompts("apply", "--auto-approve") == 1  # to seal to its public half
    sinks = "sinks: {env: {type: file, path: '{key}.env', plaintext: true}}\n"
    delivered = "".join(app.replace("}", ", sinks: [env]}") for app in apps)
    Path("apps.yaml").write_text(f"version: 1\n{sinks}apps:\n{delivered}")
    assert prompts("apply", "--auto-approve") == 1  # to open what is delivered, too
    assert Path("two.env").exists()
    assert prompts("secret", "deliver", "--again") == 1
    assert prompts("secret", "rekey", "--yes") == 1
    app = next(app for app in sandbox.world.apps() if app.name == "one")
    provisioner("state", "rm", "one")
    assert prompts("import", "one", app.id, "--rotate") == 1


@pytest.mark.parametrize(
    "typed", [UnicodeDecodeError("utf-8", b"canary-7Qz", 0, 1, "x"), "\udcff canary-7Qz"]
)
def test_b58_a_passphrase_that_is_no_text_is_an_error_that_does_not_show_it(monkeypatch, typed) -> None:
    def answer(_: str) -> str:
        if isinstance(typed, str):
            return typed
        raise typed

    monkeypatch.setattr(module, "getpass", answer)
    error = refused(Settings(identity_text=Secret(ENCRYPTED)))
    assert error.detail == "What was typed is not text in this terminal's encoding."
    assert error.__context__ is None
    assert "canary" not in f"{error!r}{vars(error)}"


def test_b58_ctrl_c_and_the_end_of_input_at_the_prompt_end_the_command(provisioner, monkeypatch) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", ENCRYPTED.decode())
    for ending in (KeyboardInterrupt, EOFError):

        def answer(_: str, ending: type[BaseException] = ending) -> str:
            raise ending

        monkeypatch.setattr(module, "getpass", answer)
        ran = provisioner("init")
        assert ran.status == 130
        assert "Interrupted: nothing more was done." in ran.err


def test_an_identity_file_that_is_sealed_to_another_key_is_not_asked_for(monkeypatch) -> None:
    sealed = Sealer([generate_identity()[1]]).seal(Secret(b"x"))
    monkeypatch.setattr(module, "getpass", lambda _: pytest.fail("it was asked for"))
    error = refused(Settings(identity_text=Secret(sealed.encode())))
    assert error.summary == "SOPS_AGE_KEY is itself encrypted"


def test_the_standard_librarys_getpass_is_what_asks() -> None:
    assert module.getpass is getpass.getpass
