"""The pages on sinks: their examples are typed as they stand, and deliver what they say."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest
import yaml
from counterparts import kubernetes
from counterparts.places import Places

from provisioner.sandbox.application import Sandbox
from provisioner.sinks import _MODULES

pytestmark = pytest.mark.unmeasured

PAGES = Path(__file__).resolve().parent.parent / "docs" / "sinks"
Read = Callable[[Path, Places], dict[str, str]]


def fenced(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (PAGES / page).read_text(), re.DOTALL | re.MULTILINE)


def manifests(page: str) -> list[str]:
    return [block for block in fenced(page, "yaml") if block.startswith("version: 1")]


def dotenv(text: str) -> dict[str, str]:
    return {name: value.strip("'") for name, value in (line.split("=", 1) for line in text.splitlines())}


def decoded(data: dict[str, str]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


def opened(path: Path) -> str:
    identity = pyrage.x25519.Identity.from_str(identity_file().read_text().splitlines()[-1])
    return pyrage.decrypt(path.read_bytes(), [identity]).decode()


def identity_file() -> Path:
    return Path.home() / ".config/provisioner/identity.txt"


EXAMPLES: dict[tuple[str, int], Read] = {
    ("age.md", 0): lambda folder, _: dotenv(opened(folder / "secrets/portal.env.age")),
    ("file.md", 0): lambda folder, _: dotenv((folder / "run/portal.env").read_text()),
    ("command.md", 0): lambda folder, _: dict(json.loads((folder / "prod/portal.json").read_bytes())),
    ("vault.md", 0): lambda _, places: places.vault.held["apps/partner-portal"].versions[-1],
    ("kubernetes.md", 0): lambda _, places: decoded(
        places.kubernetes.held["secrets", "payments", "partner-portal"]["data"]
    ),
    ("kubernetes.md", 1): lambda folder, _: decoded(
        yaml.safe_load((folder / "k8s/partner-portal.yaml").read_text())["data"]
    ),
    ("github-actions.md", 0): lambda _, places: {
        name.removeprefix("PORTAL_"): value
        for name, value in places.github.opened("/repos/acme/shop/environments/prod/secrets").items()
    },
}


@pytest.fixture
def places(tmp_path_factory, monkeypatch) -> Iterator[Places]:
    with Places(tmp_path_factory.mktemp("places")) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DEPLOY_TOKEN", "for the program of the page")
        namespace = {"kind": "Namespace", "metadata": {"name": "payments"}}
        kubernetes.Act(running.kubernetes, ("namespaces", "", "payments"), {}, namespace).create()
        yield running


def test_every_type_of_sink_has_a_page_and_every_page_an_example_that_is_run() -> None:
    pages = {path.name for path in PAGES.glob("*.md")}
    assert pages == {f"{type_}.md" for type_ in _MODULES}
    assert {*EXAMPLES} == {(page, n) for page in pages for n in range(len(manifests(page)))}


@pytest.mark.parametrize(("page", "number"), EXAMPLES)
def test_the_manifest_of_a_page_delivers_and_takes_away(
    provisioner, sandbox: Sandbox, places: Places, tmp_path: Path, page: str, number: int
) -> None:
    places.prepare(tmp_path)
    provisioner("init", "-f", "starter.yaml")
    reader = re.findall("age1[a-z0-9]+", (tmp_path / "starter.yaml").read_text())[0]
    manifest = re.sub("age1[a-z0-9]+", reader, manifests(page)[number])
    (tmp_path / "apps.yaml").write_text(manifest)
    ran = provisioner("apply", "--auto-approve")
    assert ran.status == 0, ran.err
    pair = EXAMPLES[page, number](tmp_path, places)
    assert sandbox.world.confirms(pair["CLIENT_ID"], pair["CLIENT_SECRET"])
    (tmp_path / "apps.yaml").write_text(manifest.partition("apps:")[0] + "apps: {}\n")
    ran = provisioner("apply", "--auto-approve", "--allow", "delete")
    assert ran.status == 0, ran.err
    with pytest.raises((LookupError, OSError)):
        EXAMPLES[page, number](tmp_path, places)["CLIENT_SECRET"]


READERS = {"age.md": "age -d", "file.md": "set -a"}  # what the block has that takes the secret out again


@pytest.mark.parametrize("page", READERS)
def test_what_a_page_says_to_type_puts_the_pair_into_a_shell(
    provisioner, sandbox: Sandbox, tool, tmp_path: Path, page: str
) -> None:
    tool("age")
    provisioner("init", "-f", "starter.yaml")
    shutil.copy(identity_file(), tmp_path / "identity.txt")
    reader = re.findall("age1[a-z0-9]+", (tmp_path / "starter.yaml").read_text())[0]
    subprocess.run([tool("git"), "init", "--quiet"], check=True)
    (tmp_path / "apps.yaml").write_text(re.sub("age1[a-z0-9]+", reader, manifests(page)[0]))
    (block,) = (block for block in fenced(page, "sh") if READERS[page] in block)
    typed = block if "provisioner apply" in block else f"provisioner apply\n{block}"
    typed = typed.replace("provisioner apply", "provisioner apply --auto-approve > log")
    told = '\nprintf "%s %s" "$CLIENT_ID" "$CLIENT_SECRET"'
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = ["bash", "-euc", typed + told]
    done = subprocess.run(shell, capture_output=True, text=True, env=os.environ | {"PATH": path}, check=True)
    assert sandbox.world.confirms(*done.stdout.splitlines()[-1].split(" "))
