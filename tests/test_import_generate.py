"""Apps made by hand become a manifest that imports them, whatever their names hold."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner import name
from provisioner.cli.generating import unfinished
from provisioner.desired import resolve
from provisioner.manifest import ManifestError, Source, events, load, variables
from provisioner.model import KEY, Address, App, AppSpec
from provisioner.operation import Answer, OpenOperation, Operation, Step
from provisioner.phases import Kind, Phase
from provisioner.render.manifest_text import manifest_text
from provisioner.state import State
from provisioner.stores.directory import DirectoryStore
from provisioner.text import BLANK

MANAGED = "version: 1\napps:\n  one:\n    name: One\n    redirect_uris: [https://one.example/cb]\n"
URI = "https://app.example/cb"
ACTIVE = (
    "\"\\$${}#:,[]()&*!|>%@`'?~-_=. \t\n\r\0\x1b\x7f\x85\xa0\u200b\u2028\u2029\u202e\u3164\ufeff\uffff🚀é한a"
)
REFERENCES = (
    "${",
    "$${",
    "$$${",
    "${var.x}",
    "$${var.x}",
    "${HOME}",
    "${${",
    "$",
    "---",
    "# ",
    ": ",
    "\\x41",
)

anything = st.one_of(st.text(max_size=30), st.text(alphabet=ACTIVE, max_size=30)) | st.lists(
    st.sampled_from(REFERENCES), max_size=4
).map("".join)

some = st.lists(anything, max_size=3)


def app(number: int = 1, called: str = "Partner Portal", **fields: object) -> App:
    """An app as the API lists it; the higher its number, the later it was made."""
    known = App(
        id=f"app_{number}",
        organization_id="org_1",
        name=called,
        client_id="client",
        client_secret_hint="abcd",
        redirect_uris=(URI,),
        scopes=(),
        is_active=True,
        created_at=f"2026-01-01T00:00:{number % 60:02d}Z",
    )
    return replace(known, **fields)


def keys(text: str) -> list[str]:
    return list(yaml.safe_load(text)["apps"])


def loaded(*texts: str) -> object:
    return resolve(load([Source(f"{number}.yaml", text.encode()) for number, text in enumerate(texts)]))


def test_the_text_is_a_manifest_with_an_entry_and_an_import_for_each_app() -> None:
    apps = [
        app(2, "Café №2", scopes=("customers:read", "on"), is_active=False),
        app(1, redirect_uris=(URI, "http://127.0.0.1:8080/?a=b&c=d")),
    ]
    assert manifest_text(apps) == (
        "# yaml-language-server: $schema=provisioner.schema.json\n"
        "version: 1\n"
        "apps:\n"
        "  partner-portal:\n"
        "    name: Partner Portal\n"
        "    redirect_uris:\n"
        "      - https://app.example/cb\n"
        "      - http://127.0.0.1:8080/?a=b&c=d\n"
        "    scopes: []\n"
        "  # inactive\n"
        "  cafe-2:\n"
        '    name: "Café №2"\n'
        "    redirect_uris:\n"
        "      - https://app.example/cb\n"
        "    scopes:\n"
        "      - customers:read\n"
        '      - "on"\n'
        "import:\n"
        "  - {to: partner-portal, id: app_1}\n"
        "  - {to: cafe-2, id: app_2}\n"
    )


@pytest.mark.parametrize(
    ("called", "key"),
    [
        ("Partner Portal", "partner-portal"),
        ("  --Partner__(Portal)!  ", "partner__-portal"),
        ("_Straße İ_", "strasse-i"),
        ("Ünïcode", "unicode"),
        ("2nd app", "2nd-app"),
        ("NO", "no"),
        ("1", "1"),
        ("1e3", "1e3"),
        ("2026-01-01", "2026-01-01"),
        ("x" * 100, "x" * 63),
        ("x" * 62 + " y", "x" * 62),
        ("", "app"),
        ("!?", "app"),
        ("__", "app"),
        ("포털", "app"),
    ],
)
def test_a_key_is_made_of_the_name_and_yaml_reads_it_as_a_string(called: str, key: str) -> None:
    assert keys(manifest_text([app(called=called)])) == [key]


def test_a_key_that_is_taken_gets_the_next_free_number() -> None:
    names = ["App", "app!", "APP", "", "x" * 63, "x" * 64, "app 4", "y" * 60 + " zz", "y" * 60 + "-zz"]
    taken = [Address("app-2"), Address("x" * 61 + "-2")]
    text = manifest_text([app(number, called) for number, called in enumerate(names)], taken)
    assert keys(text) == [
        "app",
        "app-3",
        "app-4",
        "app-5",
        "x" * 63,
        "x" * 61 + "-3",
        "app-4-2",
        "y" * 60 + "-zz",
        "y" * 60 + "-2",
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(anything | st.sampled_from(["App", "app 2", "x" * 70]), max_size=8),
    st.sets(st.sampled_from(["app", "app-2", "app-2-2", "x" * 63])),
    st.randoms(use_true_random=False),
)
def test_keys_fit_are_free_and_do_not_depend_on_the_order_of_the_list(names, taken, random) -> None:
    apps = [app(number, called) for number, called in enumerate(names)]
    text = manifest_text(apps, map(Address, taken))
    found = keys(text) if apps else []
    assert len(found) == len(apps)
    assert all(map(KEY.fullmatch, found))
    assert not taken & {*found}
    random.shuffle(apps)
    assert manifest_text(apps, map(Address, taken)) == text


def test_the_eldest_comes_first_whatever_its_time_is_written_in() -> None:
    times = {"c": "2026-01-01T10:00:00+02:00", "b": "2026-01-01t08:30:00z", "a": "2026-01-01 08:30:00.0Z"}
    apps = [app(id=f"app_{key}", called=key, created_at=time) for key, time in times.items()]
    assert keys(manifest_text(apps)) == ["c", "a", "b"]


def test_what_the_manifest_declares_already_is_imported_only() -> None:
    text = manifest_text([app(1), app(2, "Two")], declared={"app_1": Address("one")})
    assert keys(text) == ["two"]
    assert text.endswith("import:\n  - {to: one, id: app_1}\n  - {to: two, id: app_2}\n")
    assert "apps: {}\nimport:\n" in manifest_text([app()], declared={"app_1": Address("one")})


def test_no_apps_are_a_manifest_without_any() -> None:
    assert loaded(manifest_text([])).apps == {}


def fields(tree: object) -> list[list[object]]:
    return [[one["name"], [*one["redirect_uris"]], [*one["scopes"]]] for one in tree["apps"].values()]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(anything, some, some, st.booleans()), min_size=1, max_size=4))
def test_whatever_the_server_says_is_text_and_read_as_it_was(given_apps) -> None:
    apps = [
        app(number, called, redirect_uris=tuple(uris), scopes=tuple(scopes), is_active=active)
        for number, (called, uris, scopes, active) in enumerate(given_apps)
    ]
    text = manifest_text(apps)
    assert all(char == "\n" or (char.isprintable() and not BLANK.match(char)) for char in text)
    in_ascii = text.encode("ascii", "backslashreplace").decode()
    assert yaml.load(text, yaml.SafeLoader) == yaml.load(in_ascii, yaml.CSafeLoader)
    document, faults = events.read(Source("imported.yaml", text.encode()))
    assert faults + variables.expand(document, {}) == []
    ordered = sorted(apps, key=lambda one: (one.created_at, one.id))
    assert fields(document.root) == [[one.name, [*one.redirect_uris], [*one.scopes]] for one in ordered]
    assert [entry["id"] for entry in document.root["import"]] == [one.id for one in ordered]
    assert [entry["to"] for entry in document.root["import"]] == list(document.root["apps"])


good_names = (
    st.text(max_size=20).filter(lambda text: not name.check(text))
    | st.sampled_from(["No", "null", "1.0", "~", "- a", "a: b", "a #b", "${var.x}", "<<", "@a", "🚀", "'"])
)  # fmt: skip
good_uris = st.lists(
    st.sampled_from([URI, "https://app.example/?a=%24", "com.example.app:/cb", "http://127.0.0.1:1/"]),
    min_size=1, unique=True,
)  # fmt: skip
good_scopes = st.lists(
    st.text(alphabet="!#$%&'*+,-./01:;<=>?@AZ[]^_`az{|}~", min_size=1, max_size=8), unique=True, max_size=4
)

good_apps = st.lists(
    st.tuples(good_names, good_uris, good_scopes), min_size=1, unique_by=lambda one: name.fold(one[0])
)


def test_a_name_with_half_a_character_is_a_fault_of_the_loader_and_not_of_the_text() -> None:
    text = manifest_text([app(called="a\ud800b")])
    assert r'name: "a\ud800b"' in text
    with pytest.raises(ManifestError):
        load([Source("imported.yaml", text.encode())])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(good_names, good_uris, good_scopes), min_size=1, unique_by=lambda one: name.fold(one[0])
    )
)
def test_the_loader_takes_the_text_and_finds_the_very_apps_and_their_imports(given_apps) -> None:
    apps = [
        app(number, called, redirect_uris=tuple(uris), scopes=tuple(scopes))
        for number, (called, uris, scopes) in enumerate(given_apps)
    ]
    desired = loaded(MANAGED.replace("One", "The managed one"), manifest_text(apps, [Address("one")]))
    by_id = {one.id: AppSpec(one.name, one.redirect_uris, one.scopes) for one in apps}
    assert {app_id: desired.apps[address] for address, app_id in desired.imports.items()} == by_id
    assert desired.apps.keys() == {Address("one"), *desired.imports}


def make(sandbox, *names: str) -> list[App]:
    return [sandbox.world.create(called, [URI], ["a"]) for called in names]


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def followed(provisioner, err: str) -> Iterable[object]:
    """Type what standard error says, as a shell runs it: it makes the file first."""
    for line in err.splitlines():
        words = shlex.split(line) if line.startswith("  provisioner ") else []
        if ">" in words:
            target = Path(words[-1])
            target.write_text("")
            ran = provisioner(*words[1:-2])
            target.write_text(ran.out)
            yield ran
        elif words:
            yield provisioner(*words[1:])


@pytest.fixture
def managed(provisioner, sandbox) -> None:
    """One app in the manifest, applied."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANAGED)
    assert provisioner("apply", "--auto-approve").status == 0


def test_what_is_not_in_the_state_is_printed_and_nothing_is_written_or_locked(
    provisioner, managed, sandbox, clean_environment, tmp_path
) -> None:
    made = make(sandbox, "Partner Portal", "Two")
    (clean_environment / ".config/provisioner/identity.txt").unlink()
    with DirectoryStore(Path("state")).lock("apply"):
        before = everything(tmp_path)
        ran = provisioner("import", "--generate")
        assert everything(tmp_path) == before
    assert ran.status == 0
    assert ran.err == (
        "Printed 2 apps to import. To go on, type:\n"
        "  provisioner import --generate > imported.yaml\n"
        "  provisioner plan -f apps.yaml -f imported.yaml\n"
    )
    desired = loaded(MANAGED, ran.out)
    assert desired.imports == {Address("partner-portal"): made[0].id, Address("two"): made[1].id}
    assert desired.apps[Address("two")] == AppSpec("Two", (URI,), ("a",))


def test_what_is_printed_can_be_typed_and_the_plan_shows_imports_only(provisioner, managed, sandbox) -> None:
    make(sandbox, "Partner Portal", "One day", "No")
    *_, planned = followed(provisioner, provisioner("import", "--generate").err)
    assert planned.status == 0
    assert "3 to import" in planned.out
    assert "0 to add, 0 to change, 0 to destroy" in planned.out
    calls = sandbox.calls.copy()
    files = ("-f", "apps.yaml", "-f", "imported.yaml")
    assert provisioner("apply", "--auto-approve", *files).status == 0
    assert (sandbox.calls - calls).keys() <= {"list", "get"}
    assert "No changes." in provisioner("plan", *files).out
    ran = provisioner("import", "--generate", *files)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith("Nothing is left to import:")


def test_what_the_manifest_imports_already_is_not_printed_again(provisioner, managed, sandbox) -> None:
    make(sandbox, "Two")
    Path("imported.yaml").write_text(provisioner("import", "--generate").out)
    ran = provisioner("import", "--generate", "-f", "apps.yaml", "-f", "imported.yaml")
    assert (ran.status, ran.out) == (0, "")


def test_the_file_that_it_is_printed_to_is_the_one_to_go_on_with(managed, sandbox) -> None:
    make(sandbox, "Two")
    command = f"{sys.executable} -m provisioner import --generate > imported.yaml"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert keys(Path("imported.yaml").read_text()) == ["two"]
    assert ran.stderr.endswith("provisioner plan -f apps.yaml -f imported.yaml\n")


def test_what_was_saved_before_is_not_to_be_overwritten(provisioner, managed, sandbox) -> None:
    make(sandbox, "Two")
    Path("imported.yaml").write_text(provisioner("import", "--generate").out)
    Path("imported-2.yaml").write_text("version: 1\n")
    make(sandbox, "Two!")
    ran = provisioner("import", "--generate", "-f", "apps.yaml", "-f", "imported.yaml")
    assert keys(ran.out) == ["two-2"]
    assert ran.err.startswith("Printed 1 app to import. To go on, type:\n")
    assert ran.err.endswith(
        " > imported-3.yaml\n  provisioner plan -f apps.yaml -f imported.yaml -f imported-3.yaml\n"
    )


def test_without_a_manifest_it_prints_the_first_one(provisioner, sandbox, tmp_path) -> None:
    (made,) = make(sandbox, "Two")
    ran = provisioner("import", "--generate")
    assert ran.err.endswith(
        "  provisioner import --generate > apps.yaml\n"
        "  provisioner schema > provisioner.schema.json\n"
        "  provisioner plan -f apps.yaml\n"
    )
    generated, *_ = followed(provisioner, ran.err)
    assert generated.out == ran.out
    assert loaded(ran.out).imports == {Address("two"): made.id}
    assert provisioner("validate").status == 0
    assert {*everything(tmp_path)} == {tmp_path / "apps.yaml", tmp_path / "provisioner.schema.json"}


def test_without_a_manifest_a_variable_is_one_too_many(provisioner, sandbox) -> None:
    assert "declares no such variable" in provisioner("import", "--generate", "--var", "a=b").err


def test_a_folder_takes_it_as_a_part_of_itself(provisioner, sandbox) -> None:
    make(sandbox, "Two")
    Path("the apps").mkdir()
    Path("the apps/one.yaml").write_text(MANAGED)
    ran = provisioner("import", "--generate", "-f", "the apps")
    assert ran.err.endswith(
        "  provisioner import --generate -f 'the apps' > 'the apps/imported.yaml'\n"
        "  provisioner schema > 'the apps/provisioner.schema.json'\n"
        "  provisioner plan -f 'the apps'\n"
    )
    *_, planned = followed(provisioner, ran.err)
    assert "1 to import" in planned.out
    assert "1 to add" in planned.out


def test_a_file_elsewhere_gets_its_company_beside_it(provisioner, sandbox) -> None:
    make(sandbox, "Two")
    Path("there").mkdir()
    Path("there/apps.yaml").write_text(MANAGED)
    ran = provisioner("import", "--generate", "-f", "there/apps.yaml")
    assert ran.err.endswith("  provisioner plan -f there/apps.yaml -f there/imported.yaml\n")


def test_a_manifest_that_is_not_there_or_not_good_is_an_error(provisioner, sandbox) -> None:
    assert provisioner("import", "--generate", "-f", "missing.yaml").status == 1
    Path("apps.yaml").write_text("version: 2\n")
    ran = provisioner("import", "--generate")
    assert (ran.status, ran.out) == (1, "")
    assert "fault" in ran.err


def test_where_there_is_no_app_at_all_that_is_said(provisioner, sandbox) -> None:
    ran = provisioner("import", "--generate")
    assert (ran.status, ran.out, ran.err) == (0, "", "There is nothing to import: the API lists no app.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--generate", "one"], "--generate takes no ADDRESS, no APP_ID"),
        (["--generate", "one", "app_1"], "--generate takes no ADDRESS, no APP_ID"),
        ([], "provisioner import ADDRESS APP_ID"),
        (["one"], "provisioner import --generate"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_that_shows_how_to_type_it(
    provisioner, arguments: list[str], words: str
) -> None:
    ran = provisioner("import", *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert words in ran.err


def test_the_wrong_tenant_is_refused(provisioner, managed, sandbox, monkeypatch) -> None:
    Path("other.yaml").write_text("provider: {organization_id: org_another}\nstate: {path: none}\n" + MANAGED)
    ran = provisioner("import", "--generate", "-f", "other.yaml")
    assert (ran.status, ran.out) == (1, "")
    assert "for another organization" in ran.err
    monkeypatch.setenv("METEROID_BASE_URL", "http://127.0.0.1:1")
    ran = provisioner("import", "--generate")
    assert (ran.status, ran.out) == (1, "")
    assert "The state was made for another API" in ran.err


def test_what_an_earlier_run_may_have_made_is_left_out_and_said(provisioner, managed, sandbox) -> None:
    waiting = "  two:\n    redirect_uris: [https://two.example/cb]\nrecovery: {mode: ask}\n"
    Path("apps.yaml").write_text(MANAGED + waiting)
    sandbox.add_fault("create:lost-after")
    assert provisioner("apply", "--auto-approve").status == 3
    make(sandbox, "Three")
    two = next(made for made in sandbox.world.apps() if made.name == "two")
    ran = provisioner("import", "--generate")
    assert ran.status == 0
    assert keys(ran.out) == ["three"]
    assert f'Left out: {two.id}, "two". An earlier run may have made it, as oauth_app.two' in ran.err
    assert "An earlier run left oauth_app.two open" in provisioner("import", "two", two.id).err
    Path("apps.yaml").write_text(MANAGED + waiting.replace("two:", "four:"))
    assert "asked for an app of that name, as oauth_app.two" in provisioner("import", "four", two.id).err


OPEN = Operation("op_1", Kind.CREATE, Address("two"), "lineage", AppSpec("TWO", (URI,)))
ANSWER = Answer(201, True, "sealed", "app_1", "client", "abcd")


@pytest.mark.parametrize(
    ("operation", "step", "called"),
    [
        (OPEN, Step(Phase.CREATING), "Two"),
        (replace(OPEN, app=app()), Step(Phase.DELETING), "Other"),
        (OPEN, Step(Phase.ROTATING, app_id="app_1"), "Other"),
        (OPEN, Step(Phase.CREATED, ANSWER), "Other"),
    ],
)
def test_an_open_operation_is_about_an_app_whose_name_or_id_it_has(operation, step, called) -> None:
    state = State(open=(OpenOperation(operation, step),))
    assert unfinished(state, app(called=called)) is operation
    assert unfinished(state, app(2, "Another")) is None


def test_an_app_that_the_manifest_waits_for_is_imported_to_where_it_is(provisioner, managed, sandbox) -> None:
    Path("apps.yaml").write_text(
        MANAGED + "  two:\n    name: Zwei\n    redirect_uris: [https://app.example/cb]\n"
    )
    (made,) = make(sandbox, "Zwei")
    ran = provisioner("import", "--generate")
    assert "apps: {}\n" in ran.out
    assert loaded(Path("apps.yaml").read_text(), ran.out).imports == {Address("two"): made.id}


def test_an_inactive_app_takes_no_place_in_the_manifest(provisioner, managed, sandbox) -> None:
    Path("apps.yaml").write_text(
        MANAGED + "  two:\n    name: Zwei\n    redirect_uris: [https://app.example/cb]\n"
    )
    (made,) = make(sandbox, "Zwei")
    sandbox.world.set(made.id, is_active=False)
    assert "  # inactive\n  zwei:\n" in provisioner("import", "--generate").out


def test_a_key_is_none_that_was_moved_or_removed(provisioner, managed, sandbox) -> None:
    past = (
        "moved: [{from: was, to: one}]\nremoved: [{app: gone, destroy: true}, {app: left, destroy: false}]\n"
    )
    Path("apps.yaml").write_text(MANAGED + past)
    make(sandbox, "Was", "Gone", "Left", "One?")
    assert keys(provisioner("import", "--generate").out) == ["was-2", "gone-2", "left-2", "one-2"]


def test_what_the_rules_refuse_is_printed_and_the_loader_says_why(provisioner, managed, sandbox) -> None:
    sandbox.world.create("Bad\x1b[2J\u202e name", ["javascript:alert(1)#"], None)
    ran = provisioner("import", "--generate")
    assert ran.status == 0
    assert '    name: "Bad\\x1b[2J\\u202e name"\n' in ran.out
    assert '      - "javascript:alert(1)#"\n' in ran.out
    Path("imported.yaml").write_text(ran.out)
    checked = provisioner("validate", "-f", "apps.yaml", "-f", "imported.yaml")
    assert checked.status == 1
    assert "imported.yaml:7:9: apps.bad-2j-name.redirect_uris[0]" in checked.err
    assert "imported.yaml:5:11: apps.bad-2j-name.name" in checked.err


def test_where_standard_output_is_not_utf_8_it_is_ascii_that_reads_the_same(provisioner, sandbox) -> None:
    make(sandbox, "Café 🚀")
    ran = subprocess.run(
        [sys.executable, "-m", "provisioner", "import", "--generate"],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0
    assert ran.stdout.isascii()
    assert loaded(ran.stdout.decode()).apps[Address("cafe")].name == "Café 🚀"
