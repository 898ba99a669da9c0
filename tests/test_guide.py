"""The guide is a session that really happened: every command of it is run again, and prints the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.cli.root import COMMANDS
from provisioner.sandbox.server import running

pytestmark = pytest.mark.unmeasured

GUIDE = Path(__file__).parent.parent / "docs" / "guide.md"
REWRITE = "REWRITE_CASES" in os.environ  # after a deliberate change of words; read the diff
BIN = str(Path(sys.executable).parent)
FENCED = re.compile(r"^```(\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"Save this as `([^`]+)`")
RANDOM = (
    (r"app_[0-9A-Za-z]{20,}", "app_ID"), (r"org_[0-9A-Za-z]{20,}", "org_ID"),
    (r"sandbox_client_[0-9a-f]+", "CLIENT"), (r"age1[0-9a-z]{50,}", "age1KEY"),
    (r"(client_secret_hint = ).*", r"\1HINT -> HINT"), (r"\d+ (second|minute|hour|day)s?", "TIME"),
    (r"after \d+s", "after 0s"), (r'"/[^"]*/identity.txt"|\S*/identity.txt', "IDENTITY"),
)  # fmt: skip


def settled(text: str) -> str:
    """Without what differs from run to run."""
    for pattern, instead in RANDOM:
        text = re.sub(pattern, instead, text)
    return text


def session(text: str, folder: Path, environment: Mapping[str, str]) -> str:
    """The guide with what its commands print now."""
    done: list[str] = []
    last = 0
    for block in FENCED.finditer(text):
        kind, body = block.groups()
        before = text[last : block.start()]
        saved = SAVED.findall(before)
        if kind == "yaml":
            (folder / saved[-1]).write_text(body)
            if "rotate_after: 1s" in body:
                time.sleep(2.1)  # the server tells the time in whole seconds, and the walk may take less
        if kind == "console":
            commands = [line[2:] for line in body.splitlines() if line.startswith("$ ")]
            body = "".join(printed(command, folder, environment) for command in commands)
        done.append(f"{before}```{kind}\n{body}```\n")
        last = block.end()
    return "".join(done) + text[last:]


def printed(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """One command and all that a terminal would show, the answer to a question included."""
    ran = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, input="yes\n", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    output = ran.stdout.replace(environment["HOME"], "/home/you")
    output = output.replace("Enter a value: ", "Enter a value: yes", 1)
    assert ran.returncode == 0, f"{command}\n{output}"
    return f"$ {command}\n" + "".join(f"{line}".rstrip() + "\n" for line in output.splitlines())


def test_the_walk_goes_as_the_guide_says(tmp_path: Path, tool) -> None:
    tool("curl"), tool("jq")
    told = GUIDE.read_text()
    with running() as server:
        environment = os.environ | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "METEROID_BASE_URL": server.url,
            "METEROID_API_KEY": server.api_key,
        }
        happened = session(told, tmp_path, environment)
        assert [app.name for app in server.world.apps()] == ["Old Kiosk"]
    if REWRITE:
        GUIDE.write_text(happened)
    else:
        assert settled(happened) == settled(told)


@pytest.mark.parametrize("line", sorted(set(re.findall(r"provisioner [a-z][^`\n;>]*", GUIDE.read_text()))))
def test_every_command_and_option_in_it_is_one_of_the_tools(provisioner, line: str) -> None:
    words = line.split()[1:]
    if words[0] in COMMANDS:
        known = provisioner(words[0], "--help").out
        for word in words[1:]:
            assert not word.startswith("--") or word.split("=")[0] in known
