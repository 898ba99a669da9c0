"""What the README says is what happens."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from provisioner.cli.root import COMMANDS
from provisioner.sandbox.server import running

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHELL = [
    line.split("  #")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()
]
BIN = str(Path(sys.executable).parent)


def test_the_demo_stands_within_the_first_twenty_lines() -> None:
    assert any(line.startswith("make demo") for line in README.splitlines()[:20])


def test_every_command_of_the_readme_works_in_the_order_it_is_shown(tmp_path, tool) -> None:
    lines = [line for line in SHELL if line.startswith(("provisioner", "jq"))]
    assert len(lines) >= 10
    tool("age"), tool("jq")
    with running() as server:
        environment = os.environ | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "METEROID_BASE_URL": server.url,
            "METEROID_API_KEY": server.api_key,
        }
        for line in lines:
            command = line.replace("partner-portal", "my-app")
            ran = subprocess.run(
                ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, env=environment,
                input="yes\n", capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert ran.returncode == 0, f"{command}: {ran.stderr}"
        (app,) = server.world.apps()
    assert json.loads(ran.stdout.splitlines()[-1])["client_secret"] == app.client_secret


def test_detailed_exitcode_gives_2_where_there_are_changes(provisioner, sandbox) -> None:
    (line,) = (line for line in SHELL if "plan --detailed-exitcode" in line)
    assert re.search(r"^\| 2 \| only `plan --detailed-exitcode`", README, re.MULTILINE)
    provisioner("init")
    command = shlex.split(line)[1:]
    assert provisioner(*command).status == 2
    provisioner("apply", "--auto-approve")
    assert provisioner(*command).status == 0


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in SHELL:
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile


def test_every_command_and_option_of_the_readme_is_one_of_the_tools(provisioner) -> None:
    for line in re.findall(r"provisioner [a-z][^`\n#]*", README):
        words = [word for word in shlex.split(line.replace("'", ""))[1:] if word]
        if words[0] not in COMMANDS:
            continue
        help_text = provisioner(words[0], "--help").out
        for word in words[1:]:
            if word.startswith("--"):
                assert word in help_text, line


@pytest.mark.parametrize("block", [block for kind, block in BLOCKS if kind == "yaml"])
def test_a_manifest_of_the_readme_is_valid_but_for_its_shortened_recipients(
    provisioner, tmp_path, block: str
) -> None:
    reader = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    (tmp_path / "apps.yaml").write_text(re.sub(r"\[age1\.\.\.[^]]*\]", f"[{reader}]", block))
    assert provisioner("validate").out == "Success! The manifest is valid: 1 app.\n"


def test_the_example_is_valid_and_has_what_the_readme_sends_people_to_it_for(provisioner) -> None:
    example = ROOT / "examples" / "apps.yaml"
    assert provisioner("validate", "-f", str(example)).status == 0
    document = yaml.safe_load(example.read_text())
    assert {"variables", "defaults", "apps"} <= document.keys()


def test_the_exit_statuses_of_the_readme_are_those_of_the_code() -> None:
    from provisioner import errors

    stated = {int(number) for number in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert stated == {0, *(value for name, value in vars(errors).items() if name.startswith("EXIT_"))}


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_what_the_readme_points_at_exists(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_picture_asks_nothing_of_the_network() -> None:
    picture = (ROOT / "docs" / "plan.svg").read_text()
    assert not re.findall(r"url\(\s*[\"']?https?:|href=[\"']https?:|@import|@font-face", picture)


def without_what_is_random(picture: str) -> str:
    """A picture with the same ids and keys in all, which are of different lengths."""
    for pattern, instead in (
        (r"terminal-\d+", "terminal"), (r"app_\w+", "app_ID"),
        (r"sandbox_client_[0-9a-f]+", "CLIENT"), (r"age1[0-9a-z]+", "age1KEY"), (r' textLength="[\d.]+"', ""),
    ):  # fmt: skip
        picture = re.sub(pattern, instead, picture)
    return picture


def test_the_picture_is_of_what_a_plan_looks_like_today(tmp_path) -> None:
    subprocess.run([sys.executable, "scripts/picture.py", tmp_path / "plan.svg"], cwd=ROOT, check=True)
    drawn = without_what_is_random((tmp_path / "plan.svg").read_text())
    kept = without_what_is_random((ROOT / "docs" / "plan.svg").read_text())
    assert drawn == kept, "the plan has changed: draw it again with scripts/picture.py"


def test_the_demo_ends_with_no_changes_and_a_confirmed_secret() -> None:
    ran = subprocess.run(
        [sys.executable, "scripts/demo.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    expected = ["Plan: 4 to add", "Apply complete!", "No changes.", "it answered 200"]
    places = [ran.stdout.index(text) for text in expected]
    assert places == sorted(places)
