"""Terraform's habits on the command line: a single dash, --chdir, and the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.cli.dialect import FLAGS, HINTS, NO_TWIN, OPPOSITES, VALUES, long_name, translated
from provisioner.cli.root import COMMANDS, root
from provisioner.settings import COMMAND_LINE_ONLY

MANIFEST = "version: 1\napps:\n  one: {redirect_uris: ['https://one.example/cb']}\n"


def commands(command: click.Command, context: click.Context) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, context)


def options() -> list[click.Option]:
    context = click.Context(root, **root.context_settings)  # what click makes once for this process has -h
    return [
        option
        for command in commands(root, context)
        for option in command.get_params(context)
        if isinstance(option, click.Option)
    ]


def test_every_long_option_of_every_command_is_known_as_a_flag_or_with_a_value() -> None:
    assert len(COMMANDS) > 10
    names = [(name[2:], option) for option in options() for name in option.opts if name.startswith("--")]
    assert {name for name, option in names if option.is_flag} == FLAGS
    assert {name for name, option in names if not option.is_flag} == VALUES


def test_every_flag_that_can_be_said_either_way_is_known_as_such() -> None:
    ways = {(yes[2:], no[2:]) for option in options() for yes in option.opts for no in option.secondary_opts}
    assert ways | {(no, yes) for yes, no in ways} == set(OPPOSITES.items())


def test_every_option_but_those_that_consent_has_its_variable() -> None:
    for option in options():
        name = long_name(option)
        if name in NO_TWIN:
            assert option.envvar is None
        elif name not in ("", "help", "version"):
            assert option.envvar == "PROVISIONER_" + name.upper().replace("-", "_"), name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["plan", "-out=p.json"], ["plan", "--out=p.json"]),
        (["plan", "-out", "p.json"], ["plan", "--out", "p.json"]),
        (["plan", "-refresh=false"], ["plan", "--no-refresh"]),
        (["plan", "-no-refresh"], ["plan", "--no-refresh"]),
        (["plan", "-no-refresh=false"], ["plan", "--refresh"]),
        (["plan", "-refresh=true"], ["plan", "--refresh"]),
        (["apply", "-auto-approve"], ["apply", "--auto-approve"]),
        (["apply", "-auto-approve=false"], ["apply"]),
        (["-chdir=x", "plan"], ["--chdir=x", "plan"]),
        (["plan", "-f", "a.yaml", "-fb.yaml"], ["plan", "-f", "a.yaml", "-fb.yaml"]),
        (["plan", "-f=a.yaml"], ["plan", "-f", "a.yaml"]),
        (["plan", "-f=a=b", "-fapps/"], ["plan", "-f", "a=b", "-fapps/"]),
        (["apply", "-var=a=b", "-var", "c=d"], ["apply", "--var=a=b", "--var", "c=d"]),
        (["secret", "exec", "a", "--", "ls", "-json"], ["secret", "exec", "a", "--", "ls", "-json"]),
    ],
)
def test_a_single_dash_means_two_where_the_option_is_known(typed: list[str], meant: list[str]) -> None:
    assert list(translated(typed)) == meant


@pytest.mark.parametrize("name", sorted(FLAGS | VALUES))
def test_every_long_option_can_be_typed_with_a_single_dash(name: str) -> None:
    assert list(translated([f"-{name}"])) == [f"--{name}"]
    if name in VALUES:
        assert list(translated([f"-{name}=a=b"])) == [f"--{name}=a=b"]
    elif name != "refresh":
        assert list(translated([f"-{name}=false"])) == []


@given(st.lists(st.text(max_size=8)))
def test_what_has_two_dashes_or_none_is_left_as_it_is(arguments: list[str]) -> None:
    typed = [text if not text.startswith("-") else f"-{text}" for text in arguments]
    assert list(translated(typed)) == typed


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply", "-auto-aprove"], ["apply", "-auto-approve=yes"], ["apply", "-target"],
        ["apply", "--auto-approve", "-lock=false"], ["apply", "-input=false", "--auto-approve"],
    ],
)  # fmt: skip
def test_a_flag_that_is_not_understood_lets_no_apply_go_ahead(provisioner, sandbox, arguments) -> None:
    provisioner("init")
    ran = provisioner(*arguments, answer="yes\n")
    assert ran.status == 1
    assert "Error: " in ran.err
    assert sandbox.calls["create"] == 0


@pytest.mark.parametrize(
    ("typed", "named", "meant"),
    [
        ("plan -bogus", "-bogus", ""),
        ("plan -bogus=hunter2", "-bogus", ""),
        ("plan -no-refresj", "-no-refresj", "--no-refresh"),
        ("plan -no_refresh", "-no_refresh", "--no-refresh"),
        ("state list -stat=x", "-stat", "--state"),
        ("-chdri=x plan", "-chdri", "--chdir"),
        ("plan -f x -b", "-b", ""),
        ("plan --refresj", "--refresj", "--refresh"),
        ("plan -b\x1b[2J", "-b\x1b[2J", ""),
    ],
)
def test_an_unknown_option_with_a_single_dash_is_named_as_it_was_typed(
    provisioner, typed: str, named: str, meant: str
) -> None:
    ran = provisioner(*typed.split())
    assert (ran.status, ran.out) == (1, "")
    first = ran.err.splitlines()[0]
    assert first.startswith(f"Error: No such option {named!r}.")
    assert meant in first
    assert "hunter2" not in ran.err


@pytest.mark.parametrize(
    ("typed", "named", "words"),
    [
        ("plan -refresh-only", "-refresh-only", "`provisioner drift`"),
        ("plan --refresh-only", "--refresh-only", "`provisioner drift`"),
        ("apply -input=false", "-input", "With --auto-approve nothing is asked."),
        ("apply --input=false", "--input", "With --auto-approve nothing is asked."),
        ("apply -lock=false --auto-approve", "-lock", "--lock-timeout"),
        ("state unlock -force 1", "-force", "`state unlock ID` needs none"),
        ("state unlock --force 1", "--force", "`state unlock ID` needs none"),
        ("destroy -force", "-force", "--auto-approve"),
        ("init -force=hunter2", "-force", "--auto-approve"),
        ("plan -from-module=./hunter2", "-from-module", "with -f FILE"),
        ("init -fapps", "-fapps", "with -f FILE"),
        ("plan -f\x1b[2J", "-f\x1b[2J", "with -f FILE"),
    ],
)  # fmt: skip
def test_an_option_of_terraforms_that_we_have_not_is_refused_with_what_to_type_instead(
    provisioner, sandbox, typed: str, named: str, words: str
) -> None:
    Path("apps.yaml").write_text(MANIFEST)
    ran = provisioner(*typed.split())
    assert (ran.status, ran.out, sandbox.calls.total()) == (1, "", 0)
    first = ran.err.splitlines()[0]
    assert first.startswith(f"Error: No such option {named!r}. ")
    assert words in first
    assert "hunter2" not in ran.err
    assert [path.name for path in Path().iterdir()] == ["apps.yaml"]


def test_no_hint_is_about_an_option_that_there_is() -> None:
    assert not HINTS.keys() & {*FLAGS, *VALUES, *OPPOSITES}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("plan apps.yaml", "provisioner plan -f apps.yaml"),
        ("plan apps.yaml one", ""),
        ("plan one", ""),
        ("plan folder --no-refresh", "provisioner plan -f folder"),
        ("plan apps.yaml other.yml", "provisioner plan -f apps.yaml -f other.yml"),
        ("plan it's.yaml", "provisioner plan -f 'it'\"'\"'s.yaml'"),
        ("plan \x1b[2J.yaml", "provisioner plan -f '\\x1b[2J.yaml'"),
        ("validate apps.yaml", "provisioner validate -f apps.yaml"),
        ("fmt apps.yaml", "provisioner fmt -f apps.yaml"),
        ("drift apps.yaml", "provisioner drift -f apps.yaml"),
        ("destroy --auto-approve apps.yaml", "provisioner destroy -f apps.yaml"),
        ("state list folder", "provisioner state list -f folder"),
        ("apply apps.yaml", "provisioner apply -f apps.yaml"),
        ("apply --auto-approve folder", "provisioner apply -f folder"),
        ("show apps.yaml", "provisioner show -f apps.yaml"),
        ("show folder", "provisioner show -f folder"),
    ],
)  # fmt: skip
def test_a_manifest_that_stands_alone_is_refused_with_its_option(
    provisioner, sandbox, typed: str, meant: str
) -> None:
    Path("apps.yaml").write_text(MANIFEST)
    Path("folder").mkdir()
    ran = provisioner(*typed.split())
    assert (ran.status, ran.out, sandbox.calls.total()) == (1, "", 0)
    if meant:
        assert ran.err == f"Error: A manifest is named with -f\n\nType: {meant}\n"
    else:
        assert ran.err.startswith("Error: Got unexpected extra argument")


def test_a_saved_plan_may_be_called_as_manifests_are(provisioner, sandbox) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    provisioner("plan", "--out", "plan.yaml")
    assert provisioner("show", "plan.yaml").status == 0
    assert provisioner("apply", "plan.yaml").status == 0


@pytest.mark.parametrize(
    "typed",
    [
        "plan --out -", "plan --markdown -", "plan -html=-", "plan --gitlab-report=-",
        "apply --auto-approve --markdown -", "show p.json --markdown -", "init -f -",
    ],
)  # fmt: skip
def test_a_dash_in_the_place_of_a_file_is_refused_before_anything_is_done(
    provisioner, sandbox, typed: str
) -> None:
    Path("apps.yaml").write_text(MANIFEST)
    ran = provisioner(*typed.split())
    assert (ran.status, ran.out, sandbox.calls["create"]) == (1, "", 0)
    assert "it takes the name of a file" in ran.err
    assert [path.name for path in Path().iterdir()] == ["apps.yaml"]
    assert provisioner("plan", "--markdown", "./-", "--no-refresh").status == 0
    assert Path("-").exists()


@pytest.mark.parametrize("typed", ["plan --out {}", "plan --html={}", "apply --auto-approve --markdown {}"])
@pytest.mark.parametrize(
    ("name", "kind"), [("link", "a symbolic link"), ("folder", "a folder"), ("pipe", "a FIFO")]
)
def test_what_is_no_file_is_not_replaced_by_one(
    provisioner, sandbox, typed: str, name: str, kind: str
) -> None:
    # As root, a rename over /dev/stdout takes it away from the whole machine.
    Path("apps.yaml").write_text(MANIFEST)
    Path("link").symlink_to("/dev/stdout")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    before = Path(name).lstat()
    ran = provisioner(*typed.format(name).split())
    assert (ran.status, ran.out, sandbox.calls["create"]) == (1, "", 0)
    assert f'"{name}" is {kind}, and a file would take its place. Name a file.' in ran.err
    assert Path(name).lstat() == before


def test_no_variable_puts_a_report_into_a_file_called_dash(provisioner, sandbox, monkeypatch) -> None:
    Path("apps.yaml").write_text(MANIFEST)
    monkeypatch.setenv("PROVISIONER_MARKDOWN", "-")
    ran = provisioner("plan")
    assert (ran.status, sandbox.calls.total()) == (1, 0)
    assert "it takes the name of a file" in ran.err


def test_chdir_works_in_another_folder(provisioner, sandbox, tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/apps.yaml").write_text(MANIFEST)
    assert provisioner("-chdir=infra", "validate").status == 0
    assert provisioner("--chdir", "nowhere", "validate").status == 1
    assert "nowhere" in provisioner("--chdir", "nowhere", "validate").err


def test_a_variable_gives_an_option_and_the_command_line_is_stronger(
    provisioner, sandbox, monkeypatch
) -> None:
    Path("other.yaml").write_text(MANIFEST)
    monkeypatch.setenv("PROVISIONER_FILE", "other.yaml")
    assert provisioner("validate").status == 0
    assert provisioner("validate", "-f", "missing.yaml").status == 1
    monkeypatch.setenv("PROVISIONER_DETAILED_EXITCODE", "true")
    assert provisioner("plan", "--no-refresh").status == 2
    monkeypatch.setenv("PROVISIONER_LOCK_TIMEOUT", "never")
    ran = provisioner("apply", "--auto-approve")
    assert (ran.status, sandbox.calls["create"]) == (1, 0)


@pytest.mark.parametrize("name", sorted(NO_TWIN))
def test_no_variable_consents(provisioner, sandbox, monkeypatch, name: str) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    monkeypatch.setenv("PROVISIONER_" + name.upper().replace("-", "_"), "1")
    ran = provisioner("apply", answer="")
    assert (ran.status, sandbox.calls["create"]) == (1, 0)


def test_what_only_the_command_line_says_is_refused_in_a_variable() -> None:
    # PROVISIONER_VAR and PROVISIONER_VAR_FILE are names of the manifest's variables, or nobody's.
    names = {f"PROVISIONER_{name.upper().replace('-', '_')}" for name in NO_TWIN - {"var", "var-file"}}
    assert set(COMMAND_LINE_ONLY) == names
    assert {option[2:] for option in COMMAND_LINE_ONLY.values()} == NO_TWIN - {"var", "var-file"}


@pytest.mark.parametrize("name", COMMAND_LINE_ONLY)
def test_a_variable_that_would_change_what_is_done_stops_the_run(
    provisioner, sandbox, monkeypatch, name: str
) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    assert provisioner("apply", "--auto-approve").status == 0
    sandbox.calls.clear()
    for value in ("1", "one", "delete", "hunter2"):
        monkeypatch.setenv(name, value)
        for typed in ("apply --auto-approve --allow delete", "plan", "state list", "destroy"):
            ran = provisioner(*typed.split(), answer="yes\n")
            assert (ran.status, ran.out, sandbox.calls.total()) == (1, "", 0)
            assert f"{name} is set, and {COMMAND_LINE_ONLY[name]} is said on the command line only" in ran.err
            assert "hunter2" not in ran.err
    monkeypatch.setenv(name, "")
    assert provisioner("plan").out.startswith("No changes.")
