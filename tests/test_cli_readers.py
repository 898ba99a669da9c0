"""Who can read the secrets, and what the server says, as the command shows them."""

from __future__ import annotations

import json
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyrage
import pytest

from provisioner.sandbox.application import Sandbox

ONE = "version: 1\napps:\n  one:\n    redirect_uris: [https://one.example/cb]\n    scopes: [customers:raed]\n"
VARIABLES = ["PROVISIONER_AGE_RECIPIENTS", "SOPS_AGE_RECIPIENTS"]


def key_pair() -> tuple[str, str]:
    """A new private key and its public half."""
    key = pyrage.x25519.Identity.generate()
    return str(key), str(key.to_public())


def recipients(manifest: str) -> list[str]:
    """What stands under `recipients:` in a manifest."""
    return [line.split("- ")[1] for line in Path(manifest).read_text().splitlines() if "- age1" in line]


def works(sandbox: Sandbox, provisioner) -> bool:
    """Whether the one app's sealed secret can be opened here, and is the right one."""
    (record,) = Path("state/apps").iterdir()
    got = provisioner("secret", "get", record.stem)
    client_id = json.loads(record.read_bytes())["object"]["client_id"]
    return sandbox.world.confirms(client_id, got.out)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("arguments", [["plan"], ["plan", "--no-refresh"], ["apply", "--auto-approve"]])
@pytest.mark.parametrize("form", [str, str.lower, lambda key: f"# {key}"], ids=["as is", "lower", "comment"])
def test_b56_a_private_key_among_the_environments_recipients_is_refused_and_never_shown(
    provisioner, sandbox, monkeypatch, variable: str, arguments: list[str], form
) -> None:
    private, public = key_pair()
    Path("apps.yaml").write_text(ONE)
    monkeypatch.setenv(variable, f"{public},{form(private)}")
    ran = provisioner(*arguments)
    assert ran.status == 1
    assert ran.err.startswith(f"Error: Recipient 2 of 2 in {variable} cannot be used\n")
    assert "Treat the key as known to others: make a new one" in ran.err
    assert private[:20].lower() not in (ran.out + ran.err).lower()
    assert sandbox.calls["create"] == 0
    assert not Path("state").exists()


@pytest.mark.parametrize(
    "case",
    [
        ("age1" + "q" * 58, "The checksum of this age recipient does not fit.", True),
        ("ssh-rsa AAAA", "This SSH public key is damaged", True),
        ("ecdsa-sha2-nistp256 AAAA", "This is an ECDSA key", True),
        ("hunter2", "This is not a recipient.", False),
        ("age1\x1b[31m", "A recipient is one line, without control characters.", False),
    ],
)
@pytest.mark.parametrize("variable", VARIABLES)
def test_b56_a_recipient_of_the_environment_that_cannot_be_sealed_to_is_refused_before_a_plan_is_shown(
    provisioner, sandbox, monkeypatch, variable: str, case: tuple[str, str, bool]
) -> None:
    text, said, shown = case
    Path("apps.yaml").write_text(ONE)
    monkeypatch.setenv(variable, text)
    ran = provisioner("plan")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"Error: Recipient 1 of 1 in {variable} cannot be used\n\n{said}")
    assert (text in ran.err) == shown
    assert "\x1b" not in ran.err


def test_b56_recipients_of_the_environment_that_are_right_are_the_readers(
    provisioner, sandbox, monkeypatch
) -> None:
    keys = [key_pair() for _ in range(2)]
    Path("apps.yaml").write_text(ONE)
    monkeypatch.setenv("SOPS_AGE_RECIPIENTS", ",\n".join(public for _, public in keys))
    planned = provisioner("plan").out
    assert all(f"  {public} (SOPS_AGE_RECIPIENTS)\n" in planned for _, public in keys)
    assert provisioner("apply", "--auto-approve").status == 0
    for private, _ in keys:
        monkeypatch.setenv("SOPS_AGE_KEY", private)
        assert works(sandbox, provisioner)


def test_init_takes_the_key_in_sops_age_key_which_opens_the_secrets_afterwards(
    provisioner, sandbox, monkeypatch, clean_environment
) -> None:
    private, public = key_pair()
    monkeypatch.setenv("SOPS_AGE_KEY", private)
    made = provisioner("init")
    assert "the identity in SOPS_AGE_KEY: keep" in made.out
    assert recipients("apps.yaml") == [public]
    assert list(clean_environment.rglob("*")) == []
    assert provisioner("apply", "--auto-approve").status == 0
    assert works(sandbox, provisioner)


@pytest.mark.parametrize("variable", ["PROVISIONER_AGE_KEY_FILE", "SOPS_AGE_KEY_FILE"])
def test_init_takes_the_key_file_that_is_named_before_all_others(
    provisioner, sandbox, monkeypatch, tmp_path, variable: str
) -> None:
    private, public = key_pair()
    assert provisioner("init", "-f", "other.yaml").status == 0
    (tmp_path / "keys").touch(0o600)
    (tmp_path / "keys").write_text(private)
    monkeypatch.setenv(variable, "keys")
    monkeypatch.setenv("SOPS_AGE_KEY", key_pair()[0])
    assert f'"{tmp_path}/keys"' in provisioner("init").out
    assert recipients("apps.yaml") == [public] != recipients("other.yaml")
    assert provisioner("apply", "--auto-approve").status == 0
    assert works(sandbox, provisioner)


@pytest.mark.parametrize("name", ["keys", "new/folder/keys"])
def test_init_makes_the_key_file_that_is_named_where_it_is_not_there(
    provisioner, sandbox, monkeypatch, clean_environment, name: str
) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", name)
    assert f'"{Path.cwd()}/{name}"' in provisioner("init").out
    assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    assert list(clean_environment.rglob("*")) == []
    assert provisioner("apply", "--auto-approve").status == 0
    assert works(sandbox, provisioner)


@pytest.mark.parametrize("value", ["nothing", "# only a comment"])
def test_init_refuses_a_key_in_the_environment_that_is_none_and_does_not_show_it(
    provisioner, monkeypatch, value: str
) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", value)
    ran = provisioner("init")
    assert ran.status == 1
    assert value not in ran.err
    assert not Path("apps.yaml").exists()


def test_init_asks_for_the_public_half_of_an_ssh_key(provisioner, monkeypatch, tmp_path, tool) -> None:
    subprocess.run([tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    monkeypatch.setenv("SOPS_AGE_KEY", (tmp_path / "key").read_text())
    ran = provisioner("init")
    assert ran.status == 1
    assert ran.err.startswith("Error: SOPS_AGE_KEY holds no age identity\n")
    assert "Put its .pub line under state.recipients yourself." in ran.err


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_folder_init_says_what_to_set_and_makes_nothing(
    provisioner, monkeypatch, home: str | None
) -> None:
    monkeypatch.delenv("HOME") if home is None else monkeypatch.setenv("HOME", home)
    root = Path("/.config/provisioner/identity.txt")
    before = root.exists()
    ran = provisioner("init")
    assert ran.status == 1
    assert ran.err.startswith("Error: There is no home folder to keep an identity in\n")
    assert "HOME" in ran.err
    assert "XDG_CONFIG_HOME" in ran.err
    assert list(Path().iterdir()) == []
    assert root.exists() == before


def test_without_a_home_folder_a_config_folder_or_a_key_will_do(provisioner, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert provisioner("init", "-f", "a.yaml").status == 0
    monkeypatch.delenv("XDG_CONFIG_HOME")
    private, public = key_pair()
    monkeypatch.setenv("SOPS_AGE_KEY", private)
    assert provisioner("init", "-f", "b.yaml").status == 0
    assert recipients("b.yaml") == [public]
    assert len(recipients("a.yaml")) == 1


def test_without_a_home_folder_a_plan_needs_no_identity(provisioner, sandbox, monkeypatch) -> None:
    monkeypatch.delenv("HOME")
    Path("apps.yaml").write_text(ONE)
    assert provisioner("plan").status == 0


@pytest.mark.parametrize("arguments", [["init", "-f"], ["validate", "-f"]])
def test_a_name_that_is_too_long_for_a_file_is_an_error(provisioner, arguments: list[str]) -> None:
    ran = provisioner(*arguments, "a" * 5000)
    assert ran.status == 1
    assert ran.err.startswith('Error: Could not read "aaa')
    assert "File name too long." in ran.err


@contextmanager
def refusing(message: str) -> Iterator[str]:
    """A server that has no apps and refuses to make one, in words of its own; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {"data": []})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer(422, {"code": "VALIDATION_ERROR", "message": message})

        def _answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_b51_what_the_server_says_about_an_unknown_scope_is_passed_through_sanitised(
    provisioner, monkeypatch
) -> None:
    said = "unknown scope \x1b]0;owned\x07\x1b[2J\u202ecustomers:raed\nError: all is lost"
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(ONE)
    monkeypatch.setenv("METEROID_API_KEY", "token")
    with refusing(said) as url:
        monkeypatch.setenv("METEROID_BASE_URL", url)
        ran = provisioner("apply", "--auto-approve")
    shown = ran.out + ran.err
    assert ran.status == 3
    assert "422 Unprocessable" in shown
    escaped = "unknown scope \\x1b]0;owned\\x07\\x1b[2J\\u{202e}customers:raed\\nError: all is lost"
    assert f"VALIDATION_ERROR: {escaped}" in shown
    assert not set("\x1b\x07\u202e") & set(shown)
    assert "\nError: all is lost" not in shown
