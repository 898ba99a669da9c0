"""Where the state is, and the commands that look into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.cli.workspace import open_store
from provisioner.errors import ProvisionerError
from provisioner.model import Address
from provisioner.stores.directory import DirectoryStore

ONE = "version: 1\napps:\n  one:\n    redirect_uris: [https://one.example/cb]\n"
NEEDING = """\
version: 1
variables: {host: {}}
apps:
  one: {redirect_uris: ['https://${var.host}/cb']}
"""
READING = [["show"], ["state", "list"], ["state", "show", "one"], ["secret", "get", "one"]]
reading = pytest.mark.parametrize("arguments", READING, ids=" ".join)


@pytest.fixture
def applied(provisioner, sandbox) -> None:
    """A manifest with one app, applied."""
    assert provisioner("init", "-f", "starter.yaml").status == 0
    Path("apps.yaml").write_text(ONE)
    assert provisioner("apply", "--auto-approve").status == 0


@reading
@pytest.mark.parametrize("folder", ["absent", "", "apps.yaml", "apps.yaml/state"])
def test_a_folder_that_is_named_and_is_none_is_an_error_not_an_empty_state(
    provisioner, applied, arguments: list[str], folder: str
) -> None:
    ran = provisioner(*arguments, "--state", folder)
    assert (ran.status, ran.out) == (1, "")
    assert f'"{folder}"' in ran.err
    assert "state list" not in ran.err


def test_a_folder_whose_name_no_file_can_have_is_an_error() -> None:
    with pytest.raises(ProvisionerError, match='Could not read the state in "a\\\\x00b"'):
        open_store("a\0b", (), (), ())


def test_a_folder_that_is_named_is_read_without_a_manifest(provisioner, applied) -> None:
    Path("apps.yaml").unlink()
    secret = provisioner("secret", "get", "one", "--state", "state")
    assert (secret.status, len(secret.out) > 20) == (0, True)
    assert provisioner("state", "list", "--state", "state").out == "oauth_app.one\n"


def test_the_manifests_own_state_may_be_missing_and_is_empty_then(provisioner) -> None:
    Path("apps.yaml").write_text(ONE)
    assert provisioner("state", "list").status == 0
    assert "The state is empty" in provisioner("show").out
    assert not Path("state").exists()


@pytest.mark.parametrize("command", [["state", "show"], ["secret", "get"]])
def test_an_address_that_is_not_in_the_state_is_an_error_that_says_where_to_look(
    provisioner, applied, command: list[str]
) -> None:
    ran = provisioner(*command, "oauth_app.two")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        "Error: oauth_app.two is not in the state\n\n`provisioner state list` shows what is.\n"
    )


def test_a_removal_of_several_that_was_cut_off_says_what_to_type_next(
    provisioner, sandbox, monkeypatch
) -> None:
    provisioner("init", "-f", "starter.yaml")
    apps = "".join(f"  {key}: {{redirect_uris: ['https://one.example/cb']}}\n" for key in "abc")
    Path("apps.yaml").write_text(f"version: 1\napps:\n{apps}")
    provisioner("apply", "--auto-approve")
    remove, seen = DirectoryStore.delete_record, list[Address]()

    def cut_off(store: DirectoryStore, address: Address) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(address)
        remove(store, address)

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "delete_record", cut_off)
        assert provisioner("state", "rm", "a", "b", "c").status == 130
    ran = provisioner("state", "rm", "a", "b", "c")
    assert ran.status == 1
    assert ran.err == (
        "Error: oauth_app.a is not in the state\n\n"
        "Nothing was done. Of those that you typed it has oauth_app.b, oauth_app.c.\n"
        "If an earlier run was cut off after the rest, type what is left: oauth_app.b oauth_app.c\n"
        "If a name is mistyped, look for it: provisioner state list\n"
    )
    assert provisioner("state", "list").out == "oauth_app.b\noauth_app.c\n"
    assert provisioner("state", "rm", "oauth_app.b", "oauth_app.c").status == 0


@reading
def test_a_manifest_whose_variable_has_no_default_can_be_used_to_look_into_its_state(
    provisioner, applied, arguments: list[str]
) -> None:
    before = provisioner(*arguments)
    Path("apps.yaml").write_text(NEEDING)
    Path("vars.yaml").write_text("host: one.example\n")
    assert provisioner(*arguments).status == 1
    assert provisioner(*arguments, "--var", "host=one.example") == before
    assert provisioner(*arguments, "--var-file", "vars.yaml") == before
    assert before.status == 0


def spread(*files: str, state: str = "") -> list[str]:
    """Files in folders of their own, one app each; returns the options that name them."""
    for number, name in enumerate(files):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(ONE.replace("one", f"app-{number}"))
    if state:
        with Path(state).open("a", encoding="utf-8") as file:
            file.write("state: {path: kept}\n")
    return [option for name in files for option in ("-f", name)]


@pytest.mark.parametrize(
    "files", [("a/x.yaml", "b/y.yaml"), ("b/y.yaml", "a/x.yaml"), ("a/x.yaml", "b/y.yaml", "a/z.yaml")]
)
@pytest.mark.parametrize("command", ["validate", "plan", "apply", "show"])
def test_files_of_several_folders_must_say_where_the_state_is(
    provisioner, sandbox, command: str, files: tuple[str, ...]
) -> None:
    ran = provisioner(command, *spread(*files))
    assert ran.status == 1
    assert ran.err.startswith("Error: It is not clear where the state is kept\n")
    assert ", ".join(f'"{name}"' for name in files) in ran.err
    assert "Add `state: {path: FOLDER}` to one of them" in ran.err
    assert sandbox.calls == {}


def test_of_very_many_files_only_the_first_are_named(provisioner) -> None:
    ran = provisioner("validate", *spread(*(f"f{number}/a.yaml" for number in range(9))))
    assert '"f3/a.yaml", ….\n' in ran.err
    assert "f4" not in ran.err


@pytest.mark.parametrize("state", ["a/x.yaml", "b/y.yaml"])
@pytest.mark.parametrize("turned", [False, True])
def test_the_state_stands_beside_the_file_that_says_so_whatever_their_order(
    provisioner, sandbox, state: str, turned: bool
) -> None:
    assert provisioner("init").status == 0
    files = ["a/x.yaml", "b/y.yaml"]
    options = spread(*(reversed(files) if turned else files), state=state)
    assert provisioner("apply", "--auto-approve", *options).status == 0
    assert len(list((Path(state).parent / "kept/apps").iterdir())) == 2


def test_files_of_one_folder_need_not_say_where_the_state_is(provisioner) -> None:
    spread("a/x.yaml", "a/y.yaml")
    assert provisioner("validate", "-f", "a/x.yaml", "-f", "./a/../a/y.yaml").status == 0
    assert provisioner("validate", "-f", "a").status == 0
