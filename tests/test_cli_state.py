"""Where the state is, and the commands that look into it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from provisioner.cli.workspace import open_store
from provisioner.errors import EXIT_LOCKED, ProvisionerError
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


LEADING_BACK = {
    "by its own name": ("../infra", "infra/apps.yaml"),
    "by the name of the one above": ("../../project", "infra/apps.yaml"),
    "in full": ("{here}", "infra/apps.yaml"),
    "by a link": ("back", "infra/apps.yaml"),
    "by a folder that is not there yet": ("made/../../infra", "infra/apps.yaml"),
    "by way of another file": ("../teams", "infra/apps.yaml teams/a.yaml"),
}


@pytest.mark.parametrize(("path", "files"), LEADING_BACK.values(), ids=LEADING_BACK)
@pytest.mark.parametrize("command", ["validate", "apply"])
def test_a_state_whose_folder_has_the_manifest_in_it_is_a_fault_and_nothing_is_made_there(
    provisioner, sandbox, monkeypatch, tmp_path: Path, command: str, path: str, files: str
) -> None:
    here = tmp_path / "project"
    here.mkdir(mode=0o755)
    monkeypatch.chdir(here)
    options = spread(*files.split())
    Path("infra/back").symlink_to(here)
    with Path("infra/apps.yaml").open("a", encoding="utf-8") as file:
        file.write(f"state:\n  path: {path.format(here=here)}\n")
    before = {found: found.stat().st_mode for found in (here, *here.rglob("*"))}
    ran = provisioner(command, *options)
    assert (ran.status, sandbox.calls["create"]) == (1, 0)
    assert "\ninfra/apps.yaml:6:9: state.path: " in ran.err
    assert "Write the path of a folder of its own" in ran.err
    assert {found: found.stat().st_mode for found in (here, *here.rglob("*"))} == before


def test_a_state_that_nobody_states_and_that_a_link_leads_back_is_a_fault_too(provisioner, sandbox) -> None:
    Path("apps.yaml").write_text(ONE)
    Path("state").symlink_to(".")
    for command in (["plan"], ["import", "--generate"]):
        ran = provisioner(*command)
        assert ran.status == 1
        assert "apps.yaml:1:1: state.path" in ran.err
    Path("apps.yaml").write_text("")
    assert 'state.path: "state"' in provisioner("import", "--generate").err


def test_a_folder_beside_the_manifest_or_above_others_of_the_same_name_is_no_fault(
    provisioner, tmp_path: Path
) -> None:
    for path in ("../state", "state", str(tmp_path / "state"), "../infra-state"):
        options = spread("infra/apps.yaml")
        with Path("infra/apps.yaml").open("a", encoding="utf-8") as file:
            file.write(f"state: {{path: {path}}}\n")
        assert provisioner("validate", *options).status == 0


def test_a_folder_that_holds_other_things_is_left_as_it_is(provisioner, sandbox) -> None:
    assert provisioner("init", "-f", "starter.yaml").status == 0
    Path("apps.yaml").write_text(ONE + "state: {path: shared}\n")
    Path("shared").mkdir()
    Path("shared").chmod(0o777)
    Path("shared/notes.txt").touch()
    ran = provisioner("apply", "--auto-approve")
    assert (ran.status, sandbox.calls["create"]) == (1, 0)
    assert ran.err.startswith('Error: The folder "shared" is not for a state alone\n')
    assert '"notes.txt"' in ran.err
    assert [path.name for path in Path("shared").iterdir()] == ["notes.txt"]
    assert Path("shared").stat().st_mode & 0o777 == 0o777


WITHOUT = [*READING, ["state", "rm", "one"], ["state", "mv", "one", "two"], ["secret", "list"]]


@pytest.mark.parametrize("arguments", WITHOUT, ids=" ".join)
@pytest.mark.parametrize("held", ["", "README.md", "apps/notes"])
def test_a_folder_that_is_named_and_has_no_state_is_refused_and_nothing_is_made_there(
    provisioner, tmp_path: Path, arguments: list[str], held: str
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o755)
    if held:
        (folder / held).parent.mkdir(exist_ok=True)
        (folder / held).touch()
    before = sorted(folder.rglob("*"))
    ran = provisioner(*arguments, "--state", "elsewhere")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith('Error: There is no state in "elsewhere"\n')
    assert (sorted(folder.rglob("*")), folder.stat().st_mode & 0o777) == (before, 0o755)


def test_a_folder_that_is_named_and_has_lost_what_it_belongs_to_says_what_to_bring_back(
    provisioner, applied
) -> None:
    Path("state/state.json").unlink()
    ran = provisioner("state", "rm", "one", "--state", "state")
    assert ran.status == 1
    assert 'The state cannot be trusted: "state/state.json" is missing' in ran.err
    assert Path("state/apps/one.json").exists()


# What goes with a record


def test_a_record_that_is_removed_says_what_went_with_it_and_how_to_get_it_back(provisioner, sandbox) -> None:
    assert provisioner("init", "-f", "starter.yaml").status == 0
    sinks = "sinks: {box: {type: file, path: 'box/{key}.env', plaintext: true}}\n"
    Path("apps.yaml").write_text(f"{ONE}    protect: true\n    sinks: [box]\n{sinks}")
    assert provisioner("apply", "--auto-approve").status == 0
    (app,) = sandbox.world.apps()
    before = {path: path.stat().st_mtime_ns for path in Path("state").rglob("*")}

    tried = provisioner("state", "rm", "one", "--dry-run")
    assert (tried.status, tried.err) == (0, "")
    assert tried.out == (
        f"Would remove oauth_app.one [id={app.id}]\n"
        "  It is protected; its app stays in the API.\n"
        "  Its sealed secret goes with it. If the state is committed, "
        'git brings back "state/apps/one.json".\n'
        '  A copy of its secret stays in plain file "box/one.env".\n'
        f"  `provisioner import one {app.id}` takes the app in again, without its secret.\n"
        "Nothing was removed.\n"
    )
    assert {path: path.stat().st_mtime_ns for path in Path("state").rglob("*")} == before

    ran = provisioner("state", "rm", "one")
    done = tried.out.replace("Would remove", "Removed").replace("It is", "It was").replace("goes", "went")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == done.removesuffix("Nothing was removed.\n")
    assert sandbox.world.apps() == (app,)
    assert provisioner("import", "one", app.id).status == 0
    assert provisioner("state", "rm", "one").out == (
        f"Removed oauth_app.one [id={app.id}]\n  It was protected; its app stays in the API.\n"
    )


def test_a_dry_run_where_there_is_no_state_yet_makes_none(provisioner) -> None:
    Path("apps.yaml").write_text(ONE)
    assert provisioner("state", "rm", "one", "--dry-run").status == 1
    assert not Path("state").exists()


@pytest.mark.parametrize("arguments", [["rm", "one"], ["mv", "one", "two"]], ids=" ".join)
def test_records_are_removed_and_moved_once_another_runs_lock_is_free(
    provisioner, applied, monkeypatch, arguments: list[str]
) -> None:
    with contextlib.ExitStack() as other:
        other.enter_context(DirectoryStore(Path("state")).lock("apply"))
        assert provisioner("state", *arguments).status == EXIT_LOCKED
        monkeypatch.setattr("provisioner.stores.directory.time.sleep", lambda _: other.close())
        assert provisioner("state", *arguments, "--lock-timeout", "1h").status == 0


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
