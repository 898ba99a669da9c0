"""Which files are the manifest, and where the token is read from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

APPS = "apps: {one: {redirect_uris: ['https://one.example/cb']}}\n"
ONE = f"version: 1\nstate: {{path: state}}\n{APPS}"
EVERY = [["validate"], ["plan", "--no-refresh"], ["fmt"], ["import", "--generate"], ["secret", "get", "one"]]


@pytest.fixture
def both(provisioner, tmp_path: Path) -> None:
    """A manifest in apps.yaml, and another in apps/."""
    (tmp_path / "apps.yaml").write_text(ONE)
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "two.yml").write_text(APPS.replace("one", "two"))


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_an_option_that_names_no_file_does_not_stand_for_this_folder(
    provisioner, sandbox, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "docker-compose.yaml").write_text(ONE)
    for files in (["-f", ""], ["-f", "docker-compose.yaml", "--file="]):
        ran = provisioner(*command, *files)
        assert ran.status == 1
        assert ran.err.startswith("Error: -f names no file\n")
    assert sandbox.calls == {}


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_a_file_and_a_folder_that_could_both_be_meant_are_refused(
    provisioner, sandbox, both: None, command: list[str]
) -> None:
    ran = provisioner(*command)
    assert ran.status == 1
    assert ran.err.startswith("Error: Both apps.yaml and apps/ are here\n")
    assert "-f apps.yaml -f apps" in ran.err
    assert sandbox.calls == {}


def test_what_is_named_of_a_file_and_a_folder_is_taken(provisioner, both: None) -> None:
    assert provisioner("validate", "-f", "apps.yaml").out.endswith("1 app.\n")
    assert provisioner("validate", "-f", "apps.yaml", "-f", "apps").out.endswith("2 apps.\n")


def test_a_folder_without_yaml_beside_the_manifest_is_somebody_elses(provisioner, tmp_path: Path) -> None:
    (tmp_path / "apps.yaml").write_text(ONE)
    (tmp_path / "apps" / "web").mkdir(parents=True)
    (tmp_path / "apps" / "web" / "config.yaml").write_text("a: 1\n")
    assert provisioner("validate").status == 0


def test_init_makes_no_second_manifest_beside_a_folder_of_them(provisioner, clean_environment) -> None:
    Path("apps").mkdir()
    assert provisioner("init").status == 0  # nothing is in it
    Path("apps.yaml").rename("apps/one.yaml")
    ran = provisioner("init")
    assert ran.status == 1
    assert ran.err.startswith("Error: There is a manifest already, in apps/\n")
    assert not Path("apps.yaml").exists()
    assert provisioner("init", "-f", "other.yaml").status == 0


@pytest.mark.parametrize(
    ("variable", "command"),
    [("METEROID_API_KEY_FILE", ["plan"]), ("PROVISIONER_LOG_PATH", ["plan", "--no-refresh"])],
)
def test_a_path_below_a_tilde_that_no_shell_resolved_is_refused(
    provisioner, sandbox, monkeypatch, tmp_path: Path, variable: str, command: list[str]
) -> None:
    (tmp_path / "apps.yaml").write_text(ONE)
    monkeypatch.delenv("METEROID_API_KEY")
    monkeypatch.setenv("PROVISIONER_LOG", "info")
    monkeypatch.setenv(variable, "~log")
    ran = provisioner(*command)
    assert ran.status == 1
    assert ran.err.startswith(f'Error: {variable} is "~log", and ~ stands for no folder here\n')
    assert not (tmp_path / "~log").exists()


def test_a_token_that_would_come_through_a_fifo_is_to_be_given_itself(
    provisioner, sandbox, monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "apps.yaml").write_text(ONE)
    os.mkfifo(tmp_path / "token")
    monkeypatch.delenv("METEROID_API_KEY")
    monkeypatch.setenv("METEROID_API_KEY_FILE", "token")
    ran = provisioner("plan")
    assert ran.status == 1
    assert "It is a FIFO, not a file on a disk.\nGive the token itself in METEROID_API_KEY.\n" in ran.err


def test_a_folder_with_other_programs_yaml_is_no_part_of_a_manifest(provisioner, tmp_path: Path) -> None:
    (tmp_path / "apps.yaml").write_text(ONE)
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "argo.yaml").write_text("apiVersion: argoproj.io/v1alpha1\nkind: Application\n")
    assert provisioner("validate").out.endswith("1 app.\n")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_an_empty_argument_is_no_folder(provisioner, tmp_path: Path, command: str) -> None:
    (tmp_path / "apps.yaml").write_text(ONE)
    ran = provisioner(command, "")
    assert ran.status == 1
    assert "-f ''" not in ran.err
