"""`provisioner guard`: a secret in clear is found wherever it stands, and never shown."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from base64 import b64encode
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.cli import guard
from provisioner.delivery import Credentials
from provisioner.guarding import API_KEY, CLIENT_SECRET, IDENTITY, PRIVATE_KEY, UNSEALED, findings, is_sealed
from provisioner.journal import framed
from provisioner.model import Address, Secret
from provisioner.sandbox.ids import new_api_key, new_secret
from provisioner.sinks.formats import render

GOLDEN = Path(__file__).parent / "golden"
RECORD = (GOLDEN / "record.json").read_bytes()
KEY = str(pyrage.x25519.Identity.generate())
SECRET = "s3" + secrets.token_urlsafe(30)
BODY = b64encode(secrets.token_bytes(48)).decode()
ARMOR = (
    "-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24ub3JnL3YxCg==\n-----END AGE ENCRYPTED FILE-----\n"
)


def pem(kind: str) -> str:
    return f"-----BEGIN {kind}-----\n{BODY}\n-----END {kind}-----\n"


def record(sealed: object) -> bytes:
    document = json.loads(RECORD)
    document["secret"]["sealed"] = sealed
    return json.dumps(document, indent=2, sort_keys=True).encode()


def entry(sealed: str) -> bytes:
    """A journal entry in its pre-allocated file."""
    step = {"phase": "answered", "answer": {"status": 201, "sealed": sealed}}
    return framed(b'{"id": "op_1"}') + framed(json.dumps(step).encode()) + bytes(4096)


FOUND = {
    "an identity": (KEY, 1, IDENTITY),
    "an identity file": (f"# created: today\n# public key: age1x\n{KEY}\n", 3, IDENTITY),
    "an identity in lower case": (f"a\nb\nkey={KEY.lower()}", 3, IDENTITY),
    "an identity in UTF-16": (f"first\n{KEY}".encode("utf-16"), 2, IDENTITY),
    "an identity in a binary file": (b"\0\xff\0" + KEY.encode() + b"\0", 1, IDENTITY),
    "an identity in JSON": (json.dumps({"key": KEY}), 1, IDENTITY),
    "an OpenSSH key": ("x\n" + pem("OPENSSH PRIVATE KEY"), 2, PRIVATE_KEY),
    "a PKCS 8 key": (pem("PRIVATE KEY"), 1, PRIVATE_KEY),
    "an RSA key with a header": (
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n",
        1,
        PRIVATE_KEY,
    ),
    "a PGP key": (f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}\n", 1, PRIVATE_KEY),
    "a key in YAML": ("key: |\n    " + pem("EC PRIVATE KEY").replace("\n", "\n    "), 2, PRIVATE_KEY),
    "a key in JSON": (json.dumps({"key": pem("PRIVATE KEY")}), 1, PRIVATE_KEY),
    "a key of the sandbox": (f"export METEROID_API_KEY={new_api_key()}", 1, API_KEY),
    "a secret of the sandbox": (f"hello {new_secret()}", 1, CLIENT_SECRET),
    "a key of the API, by its name": (f"\nMETEROID_API_KEY: '{SECRET}'\n", 2, API_KEY),
    "an answer of the API": (json.dumps({"id": "app_1", "client_secret": SECRET}), 1, CLIENT_SECRET),
    "dotenv of many": (f"A=1\nPORTAL_CLIENT_SECRET={SECRET}\nB=2\n", 2, CLIENT_SECRET),
    "dotenv with Windows' line breaks": (f"A=1\r\nCLIENT_SECRET={SECRET}\r\n", 2, CLIENT_SECRET),
    "a secret in YAML": (f"oauth:\n  clientSecret: {SECRET}\n", 2, CLIENT_SECRET),
    "a record that is not sealed": (record(SECRET), 27, UNSEALED),
    "a record that is sealed to nobody": (record("-----BEGIN AGE ENCRYPTED FILE-----\n"), 27, UNSEALED),
    "a record with no text": (record(None), 27, UNSEALED),
    "a journal entry that is not sealed": (entry(SECRET), 1, UNSEALED),
}


@pytest.mark.parametrize(("content", "line", "kind"), FOUND.values(), ids=FOUND)
def test_a_secret_in_clear_is_refused_with_its_place_and_never_shown(
    content: str | bytes, line: int, kind, provisioner
) -> None:
    Path("some file").write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = provisioner("guard", "some file")
    assert ran.status == 1
    assert f"some file:{line}: {kind.what}\n" in ran.out
    assert kind.remedy in ran.err
    said = ran.out + ran.err
    assert not [part for part in (KEY, KEY.lower(), SECRET, BODY, "sandbox_") if part in said]


@pytest.mark.parametrize("form", ["dotenv", "json", "yaml"])
@pytest.mark.parametrize("secret", [SECRET, "x y", "p@$$ {word} (1)"], ids=["random", "spaced", "odd"])
def test_what_the_file_sink_writes_is_refused(form: str, secret: str, provisioner) -> None:
    credentials = Credentials(Address("portal"), "id-1", Secret(secret.encode()))
    pairs = {"CLIENT_ID": credentials.client_id, "CLIENT_SECRET": credentials.client_secret}
    Path("portal.env").write_bytes(render(form, pairs).reveal())
    ran = provisioner("guard", "portal.env")
    assert ran.status == 1
    assert f"{CLIENT_SECRET.what}\n" in ran.out
    assert secret not in ran.out + ran.err


PASSED = {
    "nothing": b"",
    "an identity's recipient": b"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    "an example whose checksum is wrong": b"AGE-SECRET-KEY-1" + b"Q" * 58,
    "an identity cut short": KEY[:-1].encode(),
    "the head of a key, as documentation has it": b"-----BEGIN OPENSSH PRIVATE KEY-----\n...\n",
    "a public key": pem("PUBLIC KEY").encode(),
    "a key from a variable": b"METEROID_API_KEY: ${{ secrets.METEROID_API_KEY }}\nMETEROID_API_KEY=...",
    "a secret from elsewhere": b"CLIENT_SECRET=$(provisioner secret get portal)\nclient_secret: ${SECRET}",
    "a program": b"client_secret=credentials.client_secret_of_the_app, client_secret: Secret",
    "a hint": b'{"client_secret_hint": "x7Qz5678901234567890"}',
    "two strings that are none": b'{\n  "name": "x",\n  "version": "1"\n}\n',
    "a sealed record": RECORD,
    "a sealed entry": entry(ARMOR),
    "a record without a secret": (GOLDEN / "record-without-a-secret.json").read_bytes(),
    "a record that is no JSON": b'<<<<<<< "object" "secret"',
    "a deep nest": b'{"object": "secret"' + b"[" * 100_000,
    "the golden files": b"".join(path.read_bytes() for path in sorted(GOLDEN.iterdir())),
}


@pytest.mark.parametrize("content", PASSED.values(), ids=PASSED)
def test_what_is_no_secret_passes(content: bytes, provisioner) -> None:
    Path("file").write_bytes(content)
    ran = provisioner("guard", "file")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_real_records_and_journals_pass(provisioner, sandbox) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text("version: 1\napps:\n  one: {redirect_uris: ['https://one.example/cb']}\n")
    sandbox.add_fault("create:lost-after")
    sandbox.add_fault("rotate@1x*:lost-before")
    assert provisioner("apply", "--auto-approve").status == 3
    names = [str(path) for path in Path("state").rglob("*") if path.is_file()]
    assert [name for name in names if name.endswith(".op")]
    assert provisioner("guard", *names).status == 0
    identity = Path.home() / ".config" / "provisioner" / "identity.txt"
    assert provisioner("guard", str(identity)).status == 1


def test_every_finding_is_told_and_each_remedy_once(provisioner) -> None:
    Path("a").write_text(f"{KEY}\n\n{KEY}\n")
    Path("b").write_text(pem("PRIVATE KEY") + KEY)
    ran = provisioner("guard", "a", "b")
    assert [line.split(": ")[0] for line in ran.out.splitlines()] == ["a:1", "a:3", "b:1", "b:4"]
    assert "Error: 4 secrets in clear" in ran.err
    assert ran.err.count(IDENTITY.remedy) == 1


def test_a_name_that_acts_is_written_out(provisioner) -> None:
    name = "--evil\n\x1b[2J.env"
    Path(name).write_text(KEY)
    ran = provisioner("guard", "--", name)
    assert ran.status == 1
    assert "--evil\\n\\x1b[2J.env:1: " in ran.out


def test_links_and_pipes_are_passed_over_and_folders_refused(provisioner) -> None:
    Path("key").write_text(KEY)
    Path("link").symlink_to("key")
    os.mkfifo("pipe")
    Path("folder").mkdir()
    assert provisioner("guard", "link", "pipe").status == 0
    assert "takes files" in provisioner("guard", "folder").err
    assert "missing" in provisioner("guard", "missing").err


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_PIECE", 1000)
    monkeypatch.setattr(guard, "_OVERLAP", 200)


@pytest.mark.parametrize("before", [0, 1, 899, 950, 999, 1000, 1001, 1799, 1850, 5000])
def test_a_huge_file_is_read_in_pieces_and_nothing_falls_between_them(
    before: int, provisioner, small_pieces
) -> None:
    Path("huge").write_bytes(b"x\n" * (before // 2) + b"x" * (before % 2) + KEY.encode() + b"\n" * 3000)
    ran = provisioner("guard", "huge")
    assert ran.out == f"huge:{before // 2 + 1}: {IDENTITY.what}\n"


def test_a_file_that_ends_with_its_piece_is_whole(provisioner, small_pieces) -> None:
    Path("exact").write_bytes(b"\n" * 1000)
    assert provisioner("guard", "exact").status == 0


def test_without_a_file_it_looks_at_all_that_git_holds_or_would_take_up(provisioner, tmp_path) -> None:
    assert "git does not say" in provisioner("guard").err
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "--quiet"], env=environment, check=True)
    Path(".gitignore").write_text("ignored\n")
    for name in ("ignored", "held", "deleted"):
        Path(name).write_text(KEY)
    subprocess.run(["git", "add", "held", "deleted"], env=environment, check=True)
    Path("deleted").unlink()
    Path("new").write_text(KEY)
    ran = provisioner("guard")
    assert [line.split(":")[0] for line in ran.out.splitlines()] == ["held", "new"]


def test_one_among_a_thousand_is_found(provisioner) -> None:
    text = b"client_id: x\n  redirect_uris: [https://a.example/cb]  # a secret is elsewhere\n" * 60
    for number in range(1000):
        Path(f"f{number}").write_bytes(text + KEY.encode() * (number == 777))
    ran = provisioner("guard", *(f"f{number}" for number in range(1000)))
    assert ran.out == f"f777:121: {IDENTITY.what}\n"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_stands_around_it_a_key_is_found_on_its_line(before: bytes, after: bytes) -> None:
    before = before.lstrip(b"\xff\xfe")
    found = findings(before + b"\n" + KEY.encode() + b"\n" + after)
    assert (before.count(b"\n") + 2, IDENTITY) in {(finding.line, finding.kind) for finding in found}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_is_sealed_by_age_is_sealed_and_one_changed_line_is_not(content: bytes) -> None:
    armored = str(
        pyrage.encrypt(content, [pyrage.x25519.Identity.from_str(KEY).to_public()], armored=True), "ascii"
    )
    assert is_sealed(armored)
    assert not is_sealed(armored.replace("YWdl", "YWdm", 1))
    assert not is_sealed(armored + "x")


@pytest.mark.parametrize(
    "body", ["", "YWdl=\n", "=\n", "Y\n", "YWdl YWdl\n", "YWdlLWVuY3J5cHRpb24ub3JnL3Yy\n"]
)
def test_armor_around_something_else_is_no_seal(body: str) -> None:
    assert not is_sealed(f"-----BEGIN AGE ENCRYPTED FILE-----\n{body}-----END AGE ENCRYPTED FILE-----\n")
