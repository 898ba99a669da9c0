"""Sealing with age: who can read it, who cannot, and that no key shows in an error."""

from __future__ import annotations

import base64
import copy
import pickle
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import SealingError
from provisioner.model import Secret
from provisioner.sealing import (
    Identity,
    Sealer,
    check_recipient,
    generate_identity,
    identities_from,
    is_encrypted,
    open_sealed,
    takes_passphrase,
    unlock,
)

Tool = Callable[[str], str]
CONTENT = Secret(b"canary-7Qz \x00\xff\n")
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


@pytest.fixture(scope="module")
def own() -> tuple[Secret, str]:
    return generate_identity()


@pytest.fixture
def ssh_key(tool: Tool, tmp_path: Path) -> Callable[..., tuple[Secret, str]]:
    """Make an SSH key pair as users do: the private key's file, and the line of the .pub file."""
    program = tool("ssh-keygen")

    def make(*options: str, passphrase: str = "") -> tuple[Secret, str]:
        path = tmp_path / f"id{len(list(tmp_path.iterdir()))}"
        command = [program, "-q", "-N", passphrase, "-C", "me@example", "-f", str(path), *options]
        subprocess.run(command, check=True, capture_output=True)
        return Secret(path.read_bytes()), path.with_suffix(".pub").read_text().strip()

    return make


def everything_in(error: BaseException | None) -> Iterator[str]:
    """Whatever an error and those behind it could print, with all that they hold."""
    while error is not None:
        yield from (repr(error), str(error), repr(error.args), repr(vars(error)))
        error = error.__cause__ or error.__context__


def refused(call: Callable[[], object], hidden: str = "canary-7Qz") -> SealingError:
    """The error of a call, after a look into all of it for what must not be in there."""
    with pytest.raises(SealingError) as caught:
        call()
    assert not [text for text in everything_in(caught.value) if hidden in text]
    assert caught.value.__context__ is None
    return caught.value


# --- round trips


def test_what_is_sealed_to_an_age_recipient_is_opened_by_its_identity(own: tuple[Secret, str]) -> None:
    identity, recipient = own
    sealed = Sealer([recipient]).seal(CONTENT)
    assert sealed.startswith("-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert sealed.isascii()
    assert open_sealed(sealed, identities_from(identity)) == CONTENT


@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048"), ("-t", "rsa", "-b", "2048", "-m", "PEM")]
)
def test_what_is_sealed_to_an_ssh_key_is_opened_by_it(
    ssh_key: Callable[..., tuple[Secret, str]], options: tuple[str, ...]
) -> None:
    private, public = ssh_key(*options)
    identities = identities_from(private)
    assert [identity.public for identity in identities] == [None]
    for recipient in (public, public.removesuffix(" me@example")):
        assert open_sealed(Sealer([recipient]).seal(CONTENT), identities) == CONTENT


def test_every_recipient_can_open_it_and_nobody_else(
    own: tuple[Secret, str], ssh_key: Callable[..., tuple[Secret, str]]
) -> None:
    second, third, stranger = generate_identity(), ssh_key("-t", "ed25519"), generate_identity()
    sealer = Sealer([own[1], second[1], third[1]])
    assert sealer.recipients == (own[1], second[1], third[1])
    sealed = sealer.seal(CONTENT)
    for private, _ in (own, second, third):
        assert open_sealed(sealed, identities_from(private)) == CONTENT
    refused(lambda: open_sealed(sealed, identities_from(stranger[0])))
    both = (*identities_from(stranger[0]), *identities_from(third[0]))
    assert open_sealed(sealed, both) == CONTENT


@given(st.binary(max_size=300))
@settings(max_examples=50)
def test_any_bytes_come_back_as_they_were(content: bytes) -> None:
    private, public = generate_identity()
    assert open_sealed(Sealer([public]).seal(Secret(content)), identities_from(private)) == Secret(content)


def test_two_sealings_of_one_secret_differ(own: tuple[Secret, str]) -> None:
    sealer = Sealer([own[1]])
    assert sealer.seal(CONTENT) != sealer.seal(CONTENT)


def test_a_generated_identity_is_a_line_that_age_can_use(own: tuple[Secret, str]) -> None:
    identity, recipient = own
    assert identity.reveal().startswith(b"AGE-SECRET-KEY-1")
    assert [one.public for one in identities_from(identity)] == [recipient]
    assert generate_identity() != own


# --- the same with the age of the system


def test_the_age_of_the_system_opens_what_is_sealed_here(
    tool: Tool, own: tuple[Secret, str], ssh_key: Callable[..., tuple[Secret, str]], tmp_path: Path
) -> None:
    age, ssh = tool("age"), ssh_key("-t", "ed25519")
    sealed = Sealer([own[1], ssh[1]]).seal(CONTENT).encode()
    for private, _ in (own, ssh):
        (tmp_path / "key").touch(0o600)
        (tmp_path / "key").write_bytes(private.reveal())
        command = [age, "--decrypt", "--identity", str(tmp_path / "key")]
        done = subprocess.run(command, input=sealed, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, CONTENT.reveal())


def test_what_the_age_of_the_system_sealed_is_opened_here(
    tool: Tool, own: tuple[Secret, str], ssh_key: Callable[..., tuple[Secret, str]]
) -> None:
    age, ssh = tool("age"), ssh_key("-t", "rsa", "-b", "2048")
    command = [age, "--armor", "--recipient", own[1], "--recipient", ssh[1]]
    done = subprocess.run(command, input=CONTENT.reveal(), capture_output=True, check=True)
    for private, _ in (own, ssh):
        assert open_sealed(done.stdout.decode(), identities_from(private)) == CONTENT


def test_a_file_of_age_keygens_is_an_identity_file(tool: Tool, tmp_path: Path) -> None:
    program = tool("age-keygen")
    subprocess.run([program, "-o", str(tmp_path / "key")], check=True, capture_output=True)
    text = (tmp_path / "key").read_bytes()
    [identity] = identities_from(Secret(text))
    assert f"# public key: {identity.public}\n".encode() in text


# --- recipients that cannot be used

PRIVATE = "AGE-SECRET-KEY-1QQPCANARY7QZQQ"  # the form of a key, and no key
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        PRIVATE,
        PRIVATE.lower(),
        f"  {PRIVATE}  ",
        f"key: {PRIVATE}",
        "AGE-SECRET-KEY-PQ-1CANARY",
        PEM,
        PEM.replace("OPENSSH", "RSA"),
        PEM.replace("\n", ""),
        "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ",
        f"ssh-ed25519 {PRIVATE}",
    ],
)
def test_b56_a_private_key_in_the_place_of_a_recipient_is_never_shown(text: str) -> None:
    problem = check_recipient(text)
    assert problem is not None
    assert problem.secret
    assert problem.rule.startswith("This is a private key")
    assert "make a new one" in problem.remedy
    error = refused(lambda: Sealer([text]), hidden=text.strip())
    assert "It is not shown." in error.detail


def test_b56_a_whole_private_key_in_the_place_of_a_recipient_is_never_shown(own: tuple[Secret, str]) -> None:
    text = own[0].reveal().decode()
    assert "It is not shown." in refused(lambda: Sealer([own[1], text]), hidden=text[20:40]).detail


def test_b56_a_damaged_age_recipient_is_told_from_another_type(own: tuple[Secret, str]) -> None:
    recipient = own[1]
    for place in (4, 20, len(recipient) - 1):
        other = next(char for char in BECH32 if char != recipient[place])
        damaged = recipient[:place] + other + recipient[place + 1 :]
        problem = check_recipient(damaged)
        assert problem is not None
        assert "The checksum of this age recipient does not fit." in problem.rule
        assert not problem.secret
    for cut in (recipient[:-1], recipient + "q", "age1", f"age1pq{recipient[4:]}", f"age1tag{recipient[4:]}"):
        problem = check_recipient(cut)
        assert problem is not None
        assert "checksum" in problem.rule


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= me", "an ECDSA key"),
        ("sk-ssh-ed25519@openssh.com AAAA me", "an SSH key that needs its hardware"),
        ("sk-ecdsa-sha2-nistp256@openssh.com AAAA me", "an SSH key that needs its hardware"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBA me", "an SSH key other than ssh-ed25519 and ssh-rsa"),
        (
            "age1yubikey1qqqq",
            "of a plugin or of a newer",
        ),
        (
            "age1se1qqqq",
            "of a plugin or of a newer type",
        ),
        ("age1pq1qqqq", "of a plugin or of a newer type"),
        ("age1tag1qqqq", "of a plugin or of a newer type"),
    ],
)
def test_b57_a_recipient_of_another_type_is_told_which_types_are_taken(text: str, kind: str) -> None:
    problem = check_recipient(text)
    assert problem is not None
    assert kind in problem.rule
    assert "an age X25519 recipient (age1…)" in problem.remedy
    assert "ssh-ed25519 …, ssh-rsa …" in problem.remedy


@pytest.mark.parametrize(
    ("options", "kind"), [(("-t", "ecdsa"), "an ECDSA key"), (("-t", "rsa", "-b", "1024"), "RSA of less")]
)
def test_b57_a_real_key_that_cannot_be_sealed_to_is_refused(
    ssh_key: Callable[..., tuple[Secret, str]], options: tuple[str, ...], kind: str
) -> None:
    problem = check_recipient(ssh_key(*options)[1])
    assert problem is not None
    assert kind in problem.rule


@pytest.mark.parametrize(
    "text", ["ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2EAAA me", "ssh-ed25519 ", "ssh-ed25519 é"]
)
def test_a_damaged_ssh_key_is_told_so(text: str) -> None:
    problem = check_recipient(text)
    assert problem is not None
    assert "This SSH public key is damaged" in problem.rule


@pytest.mark.parametrize(
    "text",
    ["", "me@example.com", "github:me", "age", "AGE1QQQ", "1QQPCANARY7QZ", "age-encryption", " age1qqq"],
)
def test_b56_what_is_no_recipient_at_all_may_be_a_secret_and_is_not_shown(text: str) -> None:
    problem = check_recipient(text)
    assert problem is not None
    assert problem.rule == "This is not a recipient."
    assert problem.secret


@pytest.mark.parametrize("ending", ["\n", "\r", "\nage1other", "\0", "\u202e", "\ud800"])
def test_a_recipient_is_one_line(own: tuple[Secret, str], ending: str) -> None:
    problem = check_recipient(own[1] + ending)
    assert problem is not None
    assert problem.rule == "A recipient is one line, without control characters."


@given(
    st.text(st.characters())
    | st.sampled_from(["age1", "ssh-rsa ", "ssh-ed25519 "]).flatmap(lambda s: st.text().map(s.__add__))
)
@settings(max_examples=200)
def test_any_text_is_a_recipient_or_a_problem_that_does_not_quote_it(text: str) -> None:
    problem = check_recipient(text)
    assert problem is None or (problem.rule + problem.remedy).isprintable()


def test_b56_the_recipient_that_cannot_be_used_is_told_by_its_place(own: tuple[Secret, str]) -> None:
    error = refused(lambda: Sealer([own[1], "age1\u00e4" + "x" * 100, own[1]]))
    assert error.summary == "Recipient 2 of 3 cannot be used"
    assert 'It is "age1äxxx' in error.detail
    assert len(error.detail) < 200
    assert "Copy the whole line again" in error.hint


def test_b56_without_recipients_nothing_is_sealed() -> None:
    error = refused(lambda: Sealer([]))
    assert "Nobody could read the secrets" in error.summary
    assert "provisioner init" in error.hint


def test_a_sealing_that_fails_says_nothing_of_what_was_to_be_sealed(
    own: tuple[Secret, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(content: bytes, *_: object, **__: object) -> bytes:
        raise pyrage.EncryptError(content)

    sealer = Sealer([own[1]])
    monkeypatch.setattr(pyrage, "encrypt", failing)
    assert refused(lambda: sealer.seal(CONTENT)).summary == "The secret could not be sealed"


# --- identities


def test_an_identity_file_has_comments_empty_lines_and_any_line_ending(own: tuple[Secret, str]) -> None:
    second = generate_identity()
    lines = [b"# created: today", b"", own[0].reveal(), b"   ", b"  " + second[0].reveal() + b"  ", b"# end"]
    for ending in (b"\n", b"\r\n", b"\r"):
        found = identities_from(Secret(ending.join(lines)))
        assert [identity.public for identity in found] == [own[1], second[1]]


@pytest.mark.parametrize(
    "line",
    [
        PRIVATE.encode(), b"canary-7Qz", b"age1canary-7Qz",
        b"AGE-SECRET-KEY-1canary-7Qz",
        b"\xff canary-7Qz", b"canary-7Qz \xc3\xa4", b"canary-7Qz\0",
    ],
)  # fmt: skip
def test_b58_a_line_that_is_no_identity_is_told_by_its_number_and_not_shown(
    own: tuple[Secret, str], line: bytes
) -> None:
    content = Secret(b"# comment\n" + own[0].reveal() + b"\n\n" + line + b"\n")
    error = refused(lambda: identities_from(content))
    assert "QQPCANARY7QZQQ" not in "".join(everything_in(error))
    assert own[0].reveal().decode() not in "".join(everything_in(error))
    assert error.summary == "Line 4 of the identity file is not an age identity"
    assert "It is not shown" in error.detail


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# public key: age1\n"])
def test_b58_an_identity_file_without_an_identity_is_refused(content: bytes) -> None:
    assert "holds no identity" in refused(lambda: identities_from(Secret(content))).summary


@pytest.mark.parametrize(
    "start",
    [b"age-encryption.org/v1\n-> scrypt canary-7Qz 18\n", b"-----BEGIN AGE ENCRYPTED FILE-----\ncanary-7Qz"],
)
def test_b58_an_identity_file_that_needs_a_passphrase_is_told_so(start: bytes) -> None:
    error = refused(lambda: identities_from(Secret(start)))
    assert error.summary == "The identity file is itself encrypted"
    assert "age --decrypt" in error.hint


SCRYPT = b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 18\nAAAA\n--- AAAA\n"
BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_b58_an_identity_file_that_a_passphrase_opens_is_known_by_its_head(ending: bytes) -> None:
    armored = ending.join([BEGIN, *base64.encodebytes(SCRYPT).splitlines(), b""])
    for content in (SCRYPT, armored):
        assert takes_passphrase(Secret(content))
        assert is_encrypted(Secret(content))


def test_b58_an_identity_file_that_a_key_opens_or_none_does_is_told_from_it(own: tuple[Secret, str]) -> None:
    binary = pyrage.encrypt(b"x", [pyrage.x25519.Recipient.from_str(own[1])])
    for content in (binary, Sealer([own[1]]).seal(CONTENT).encode(), BEGIN, BEGIN + b"\n=\n", BEGIN + b"\nA"):
        assert is_encrypted(Secret(content))
        assert not takes_passphrase(Secret(content))
    for content in (own[0].reveal(), b"# comment\n" + SCRYPT, b"", PEM.encode()):
        assert not is_encrypted(Secret(content))
        assert not takes_passphrase(Secret(content))


@given(st.binary(max_size=100), st.sampled_from([b"", BEGIN, BEGIN + b"\n", SCRYPT[:30]]))
@settings(max_examples=200)
def test_b58_any_bytes_are_a_file_that_takes_a_passphrase_or_not(content: bytes, start: bytes) -> None:
    assert takes_passphrase(Secret(start + content)) <= is_encrypted(Secret(start + content))


@pytest.mark.parametrize("passphrase", [b"canary-7Qz", b"\xff canary-7Qz", b""])
def test_b58_a_file_that_its_passphrase_does_not_open_is_an_error_without_the_passphrase(
    passphrase: bytes,
) -> None:
    error = refused(lambda: unlock(Secret(SCRYPT), Secret(passphrase)))
    assert error.summary == "The passphrase does not open the identity file"


@pytest.mark.parametrize("options", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048", "-m", "PEM")])
def test_b58_an_ssh_key_that_needs_a_passphrase_is_told_so(
    ssh_key: Callable[..., tuple[Secret, str]], options: tuple[str, ...]
) -> None:
    private, _ = ssh_key(*options, passphrase="correct horse")
    error = refused(lambda: identities_from(private), hidden=private.reveal().decode()[60:100])
    assert error.summary == "The SSH private key in the identity file cannot be used"
    assert "passphrase" in error.detail
    assert "without a passphrase" in error.hint


def test_b58_an_ssh_key_of_another_type_or_damaged_is_told_so(
    ssh_key: Callable[..., tuple[Secret, str]],
) -> None:
    ecdsa, _ = ssh_key("-t", "ecdsa")
    damaged = Secret(PEM.replace("canary", "canary-7Qz").encode())
    assert "neither ssh-ed25519 nor ssh-rsa" in refused(lambda: identities_from(ecdsa)).detail
    assert "or is damaged" in refused(lambda: identities_from(damaged)).detail


def test_an_identity_does_not_show_itself_and_is_not_copied(own: tuple[Secret, str]) -> None:
    [identity] = identities_from(own[0])
    private = own[0].reveal().decode()
    shown = f"{identity} {identity!r} {[identity]} {identity.key!r} {own}"
    assert private[16:] not in shown
    copiers: list[Callable[[Identity], object]] = [asdict, copy.deepcopy, pickle.dumps]
    for copier in copiers:
        with pytest.raises(TypeError) as caught:
            copier(identity)
        assert private[16:] not in str(caught.value)


def test_an_identity_does_not_leave_it_to_the_library_whether_the_key_shows() -> None:
    identity = Identity("canary-7Qz", None)
    assert "canary-7Qz" not in f"{identity} {identity!r} {[identity]}"


# --- what cannot be opened


@pytest.mark.parametrize(
    "sealed",
    [
        "", "junk", "é", "\ud800", "age-encryption.org/v1\n",
        "-----BEGIN AGE ENCRYPTED FILE-----\n-----END AGE ENCRYPTED FILE-----\n",
        "-----BEGIN AGE ENCRYPTED FILE-----\n!!!!\n-----END AGE ENCRYPTED FILE-----\n",
    ],
)  # fmt: skip
def test_junk_is_opened_by_nobody(own: tuple[Secret, str], sealed: str) -> None:
    error = refused(lambda: open_sealed(sealed, identities_from(own[0])))
    assert "None of your identities opens this secret" in error.summary
    assert "PROVISIONER_AGE_KEY_FILE" in error.hint


def test_what_was_tried_is_said_by_its_public_halves_and_cut_short(
    own: tuple[Secret, str], ssh_key: Callable[..., tuple[Secret, str]]
) -> None:
    keys = (*identities_from(own[0]), *identities_from(ssh_key("-t", "ed25519")[0], '"id"'))
    error = refused(lambda: open_sealed("junk", keys))
    assert error.detail.startswith(f'Tried: {own[1]} in the identity file, an SSH key in "id". It was sealed')
    assert ", …. It was" in refused(lambda: open_sealed("junk", keys * 6)).detail


def test_without_an_identity_nothing_is_opened(own: tuple[Secret, str]) -> None:
    refused(lambda: open_sealed(Sealer([own[1]]).seal(CONTENT), []))


def test_a_sealed_text_that_was_changed_at_any_place_is_not_opened_to_something_else(
    own: tuple[Secret, str],
) -> None:
    sealed, identities = Sealer([own[1]]).seal(CONTENT), identities_from(own[0])
    begin, end = sealed.index("\n") + 1, sealed.rindex("-----END")
    opened = []
    for place in range(begin, end):
        changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
        try:
            opened.append(open_sealed(changed, identities))
        except SealingError as error:
            assert error.__context__ is None
    assert set(map(Secret.reveal, opened)) <= {CONTENT.reveal()}
    assert len(opened) < 3  # base64's last character may have bits to spare


def test_a_sealed_text_that_breaks_off_is_not_opened(own: tuple[Secret, str]) -> None:
    sealed, identities = Sealer([own[1]]).seal(CONTENT), identities_from(own[0])
    for length in range(0, len(sealed.strip()), 7):
        refused(partial(open_sealed, sealed[:length], identities))
