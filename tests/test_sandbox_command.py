"""The command that runs the sandbox: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from provisioner.cli.sandbox import command
from provisioner.errors import FileError, ProvisionerError, UsageError

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "from provisioner.cli.sandbox import command; command()"
APPS = "/api/v1/oauth-apps"


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        url = process.stdout.readline().removeprefix("export METEROID_BASE_URL=").strip()
        key = process.stdout.readline().removeprefix("export METEROID_API_KEY=").strip()
        yield process, url, key
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    return process.returncode, out, err


def ask(url: str, key: str, method: str, **content: Any) -> httpx.Response:
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=False) as client:
        return client.request(method, APPS, **content)


def test_the_printed_variables_lead_to_a_sandbox_and_sigterm_ends_it_cleanly() -> None:
    with started("--latency", "1ms", "--fault", "list@2:503") as (process, url, key):
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", url)
        assert [ask(url, key, "GET").status_code for _ in range(3)] == [200, 503, 200]
        code, out, err = ended(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    sentence = "This is the provisioner sandbox, not Meteroid; its apps are kept in memory, and gone when"
    assert err == f"{sentence} it ends.\n"


def test_ctrl_c_ends_it_cleanly_and_its_data_file_brings_the_apps_back(tmp_path: Path) -> None:
    data = tmp_path / "world"
    seen = []
    for name in ("one", "two"):
        with started("--data", str(data), "--api-key", "chosen-key") as (process, url, key):
            assert key == "chosen-key"
            ask(url, key, "POST", json={"name": name, "redirect_uris": []})
            seen.append(ask(url, key, "GET").json()["data"])
            code, _, err = ended(process, signal.SIGINT)
        assert code == 0
        assert err == f'This is the provisioner sandbox, not Meteroid; its apps are kept in "{data}".\n'
    assert [app["name"] for app in seen[1]] == ["one", "two"]
    assert seen[1][:1] == seen[0]


def failure(*arguments: str) -> ProvisionerError:
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert isinstance(result.exception, ProvisionerError)
    assert result.output == ""
    return result.exception


def test_a_busy_port_is_refused_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        error = failure("--port", str(port))
    assert isinstance(error, UsageError)
    assert error.summary == f"Port {port} of 127.0.0.1 cannot be listened on"
    assert error.detail == "Address already in use."
    assert "a free one is taken" in error.hint


def test_a_latency_that_is_none_is_refused() -> None:
    assert failure("--latency", "soon").summary == 'Not a duration: "soon"'


def test_a_fault_that_is_none_is_refused() -> None:
    assert failure("--fault", "create:explode").summary == 'Not a fault: "create:explode"'


@pytest.mark.parametrize("key", ["", "two words", "a\nb", "ключ", "$(reboot)", "=a"])
def test_a_key_that_cannot_be_sent_or_exported_is_refused_and_not_repeated(key: str) -> None:
    error = failure("--api-key", key)
    assert isinstance(error, UsageError)
    assert error.summary == "The key cannot be sent as a bearer token"
    assert "reboot" not in error.summary + error.detail + error.hint


def test_a_damaged_data_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "world").write_text("hello\n")
    error = failure("--data", str(tmp_path / "world"))
    assert isinstance(error, FileError)
    assert "is damaged" in error.summary


def test_without_the_extra_the_command_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "provisioner.sandbox.server", None)
    error = failure()
    assert isinstance(error, UsageError)
    assert error.hint == "pip install starlette uvicorn"


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_cannot_be_is_a_usage_error(port: str) -> None:
    assert CliRunner().invoke(command, ["--port", port]).exit_code == 2
