"""A saved plan is a promise: what is applied is what was reviewed, or nothing."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import PlanError
from provisioner.render.saved_plan import body, check_same, digest_of, read_saved, saved

MANIFEST = """version: 1
variables: {domain: {default: example}}
apps:
  one: {redirect_uris: ['https://one.${var.domain}/cb']}
  two: {redirect_uris: ['https://two.example/cb']}
"""


@pytest.fixture
def world(provisioner, sandbox):
    """A manifest that nobody has applied yet."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    return sandbox


def whole() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("plan.json").read_text())
    return found


def writes(sandbox) -> int:
    return int(sandbox.calls["create"] + sandbox.calls["delete"] + sandbox.calls["rotate"])


def test_what_was_saved_is_applied_without_a_question_and_the_next_plan_is_empty(provisioner, world) -> None:
    planned = provisioner("plan", "--out", "plan.json")
    assert planned.status == 0
    assert 'Saved to "plan.json". To do exactly this, type: provisioner apply plan.json' in planned.out
    ran = provisioner("apply", "plan.json")
    assert ran.status == 0, ran.err
    assert "Enter a value" not in ran.out
    assert "Apply complete! Resources: 2 added, 0 changed, 0 destroyed." in ran.out
    assert provisioner("plan").out.startswith("No changes.")


def told(text: str) -> list[str]:
    """What `plan --out` says to type."""
    (line,) = re.findall("type: provisioner (.*)", text)
    return shlex.split(line)


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ([], ["-f", "prod.yaml"]),
        ([], ["-f", "it's here/prod.yaml", "-f", "it's here"]),
        ([], ["-f", "prod.yaml", "--var-file", "its values.yaml"]),
        (["--chdir", "it's here"], ["-f", "prod.yaml"]),
        (["-chdir=it's here"], ["-f=prod.yaml", "--var-file=../its values.yaml"]),
    ],
)
def test_what_it_says_to_type_finds_the_same_manifest_and_applies(
    provisioner, world, monkeypatch, before: list[str], options: list[str]
) -> None:
    here = Path.cwd()
    Path("apps.yaml").unlink()
    Path("its values.yaml").write_text("domain: elsewhere\n")
    Path("it's here").mkdir()
    for folder in (Path(), Path("it's here")):
        (folder / "prod.yaml").write_text(MANIFEST)
    planned = provisioner(*before, "plan", *options, "--out", "its plan.json")
    assert planned.status == 0, planned.err
    monkeypatch.chdir(here)
    ran = provisioner(*told(planned.out))
    assert (ran.status, writes(world)) == (0, 2), ran.err


def test_the_options_that_a_variable_gave_are_repeated_too(provisioner, world, monkeypatch) -> None:
    Path("prod.yaml").write_text(MANIFEST)
    with monkeypatch.context() as patch:
        patch.setenv("PROVISIONER_FILE", "prod.yaml")
        planned = provisioner("plan", "--out", "plan.json")
    Path("apps.yaml").unlink()
    assert provisioner(*told(planned.out)).status == 0


def test_a_value_of_var_is_not_repeated_and_that_it_is_needed_is_said(provisioner, world) -> None:
    planned = provisioner("plan", "--var", "domain=elsewhere", "--out", "plan.json")
    words = "To do exactly this, give the same --var and type: provisioner apply plan.json\n"
    assert words in planned.out
    said = planned.out.partition("Saved to")[2]
    assert "elsewhere" not in said
    assert provisioner(*told(planned.out), "--var", "domain=elsewhere").status == 0


def test_it_cannot_be_applied_twice(provisioner, world) -> None:
    provisioner("plan", "--out", "plan.json")
    provisioner("apply", "plan.json")
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "Error: Saved plan is stale" in ran.err
    assert world.calls["create"] == 2


def test_the_digest_alone_approves_and_is_the_same_in_every_run(provisioner, world) -> None:
    first, second = (provisioner("plan", "--out", "plan.json").out for _ in range(2))
    digests = [re.findall(r"sha256:[0-9a-f]{64}", text) for text in (first, second)]
    assert digests[0] == digests[1]
    (digest,) = digests[0]
    Path("plan.json").unlink()
    other = provisioner("apply", "--digest", "sha256:" + "0" * 64)
    assert other.status == 1
    assert digest in other.err
    assert writes(world) == 0
    assert provisioner("apply", "--digest", digest).status == 0


@pytest.mark.parametrize("digest", ["", "sha256:", "md5:" + "0" * 32, "sha256:" + "G" * 64, "0" * 64])
def test_a_digest_that_is_none_is_refused(provisioner, world, digest: str) -> None:
    ran = provisioner("apply", "--digest", digest)
    assert (ran.status, writes(world)) == (1, 0)


GIVE = "Give the -f, --var and --var-file that the plan was made with."


def edit_manifest(sandbox) -> None:
    Path("apps.yaml").write_text(MANIFEST.replace("two.example/cb", "two.example/new"))


def add_a_reader(sandbox) -> None:
    reader = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    Path("apps.yaml").write_text(MANIFEST + f"state: {{recipients: [{reader}]}}\n")


def let_a_stranger_take_the_name(sandbox) -> None:
    sandbox.world.create("one", ["https://stranger.example/cb"])


def change_recovery(sandbox) -> None:
    Path("apps.yaml").write_text(MANIFEST + "recovery: {mode: ask}\n")


def allow_more(sandbox) -> None:
    Path("apps.yaml").write_text(MANIFEST + "policy: {allow: [delete]}\n")


CHANGES = {
    "the manifest": (edit_manifest, "inputs.manifest"),
    "who can read": (add_a_reader, "inputs.recipients"),
    "the API": (let_a_stranger_take_the_name, "applyable"),
    "what is done about a lost answer": (change_recovery, "inputs.recovery.auto"),
    "what is allowed": (allow_more, "inputs.manifest"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changed_since_is_named_and_nothing_is_done(provisioner, world, change: str) -> None:
    provisioner("plan", "--out", "plan.json")
    change_it, named = CHANGES[change]
    change_it(world)
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "Error: Saved plan is stale" in ran.err
    assert f"What differs first is {named}" in ran.err
    assert (GIVE in ran.err) == named.startswith("inputs.")
    assert "Make it again with `provisioner plan --out FILE`" in ran.err
    assert writes(world) == 0


def test_a_plan_of_another_manifest_or_other_variables_says_what_to_give(provisioner, world) -> None:
    Path("prod").mkdir()
    Path("prod/apps.yaml").write_text(MANIFEST)
    assert provisioner("apply", "-f", "prod/apps.yaml", "--auto-approve").status == 0
    world.calls.clear()
    prod = ["-f", "prod/apps.yaml"]
    for made_with, with_it, named in (
        (prod, [], "inputs.lineage"),
        ([*prod, "--var", "domain=elsewhere"], prod, "inputs.manifest"),
    ):
        provisioner("plan", *made_with, "--out", "plan.json")
        ran = provisioner("apply", *with_it, "plan.json")
        assert (ran.status, writes(world)) == (1, 0)
        assert f"What differs first is {named}" in ran.err
        assert GIVE in ran.err


def test_another_value_of_a_variable_is_another_plan(provisioner, world) -> None:
    provisioner("plan", "--out", "plan.json")
    ran = provisioner("apply", "plan.json", "--var", "domain=elsewhere")
    assert ran.status == 1
    assert "Saved plan is stale" in ran.err
    assert "elsewhere" not in Path("plan.json").read_text()


def test_a_comment_or_another_order_in_the_manifest_changes_nothing(provisioner, world) -> None:
    provisioner("plan", "--out", "plan.json")
    lines = MANIFEST.splitlines(keepends=True)
    Path("apps.yaml").write_text("# a comment\n" + "".join(lines[:3]) + lines[4] + lines[3])
    assert provisioner("apply", "plan.json").status == 0


def test_b62_a_plan_of_another_lineage_is_refused(provisioner, world) -> None:
    assert provisioner("apply", "--auto-approve").status == 0
    Path("apps.yaml").write_text(MANIFEST + "  three: {redirect_uris: ['https://three.example/cb']}\n")
    provisioner("plan", "--out", "plan.json")
    header = json.loads(Path("state/state.json").read_text())
    Path("state/state.json").write_text(json.dumps(header | {"lineage": "another"}))
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "inputs.lineage" in ran.err
    assert world.calls["create"] == 2


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for name, item in value.items() for leaf in leaves(item, (*path, name))]
    if isinstance(value, list) and value:
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
    return [path]


def test_b62_a_plan_that_was_edited_anywhere_does_nothing(provisioner, world) -> None:
    provisioner("plan", "--out", "plan.json")
    original = whole()
    paths = leaves(original)
    assert len(paths) > 60
    for path in paths:
        edited = json.loads(json.dumps(original))
        holder = edited
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = "edited" if holder[path[-1]] != "edited" else "other"
        with pytest.raises(PlanError) as caught:
            read_saved(json.dumps(edited).encode(), "plan.json")
        assert "It was refused because" in caught.value.detail


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_b62_a_plan_that_was_cut_or_has_a_flipped_bit_is_refused_or_the_same(data: st.DataObject) -> None:
    from provisioner.plan import Plan

    original = saved(body(Plan(()), {"lineage": "x"}), "No changes.\n", "2026-01-01T00:00:00Z")
    at = data.draw(st.integers(0, len(original) - 1))
    bit = data.draw(st.integers(0, 7))
    flipped = original[:at] + bytes([original[at] ^ (1 << bit)]) + original[at + 1 :]
    for damaged in (flipped, original[:at]):
        try:
            found = read_saved(damaged, "plan.json")
        except PlanError:
            continue
        assert found == read_saved(original, "plan.json")


def test_b62_a_whole_plan_whose_digests_were_made_again_is_still_not_what_is_applied(
    provisioner, world
) -> None:
    provisioner("plan", "--out", "plan.json")
    forged = {
        name: value
        for name, value in whole().items()
        if name not in ("text", "timestamp", "digest", "checksum")
    }
    forged["resource_changes"] = forged["resource_changes"][:1]
    Path("plan.json").write_bytes(saved(forged, "harmless\n", whole()["timestamp"]))
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "What differs first is resource_changes[oauth_app.two]" in ran.err
    assert writes(world) == 0


def test_b62_wherever_it_was_edited_a_plan_with_new_digests_is_another_one_than_is_due(
    provisioner, world
) -> None:
    provisioner("plan", "--out", "plan.json")
    beside = ("text", "timestamp", "digest", "checksum")
    due = {name: value for name, value in whole().items() if name not in beside}
    paths = leaves(due)
    assert len(paths) > 80
    for path in paths:
        edited = json.loads(json.dumps(due))
        holder = edited
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = "edited" if holder[path[-1]] != "edited" else "other"
        with pytest.raises(PlanError):  # refused as it is read, or held against the plan that is made anew
            check_same(read_saved(saved(edited, "", "2026-01-01T00:00:00Z"), "plan.json"), due)


def test_b62_what_other_programs_read_of_a_plan_is_held_against_the_new_one_too(provisioner, world) -> None:
    provisioner("plan", "--out", "plan.json")
    beside = ("text", "timestamp", "digest", "checksum")
    forged = {name: value for name, value in whole().items() if name not in beside}
    forged["planned_values"]["root_module"]["resources"].pop()
    Path("plan.json").write_bytes(saved(forged, "harmless\n", whole()["timestamp"]))
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "What differs first is planned_values" in ran.err
    assert writes(world) == 0


def forge(**changes: Any) -> None:
    """Another plan with digests that are right."""
    beside = ("text", "timestamp", "digest", "checksum")
    content = {name: value for name, value in (whole() | changes).items() if name not in beside}
    content = {name: value for name, value in content.items() if value != "gone"}
    Path("plan.json").write_bytes(saved(content, "text\n", changes.get("timestamp", whole()["timestamp"])))


CHOICES = {
    "allowed": [], "replaced": [], "targets": [], "excluded": [], "max_deletes": None, "destroy": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"refreshed": "gone"}, {"errored": 0}, {"timestamp": "yesterday"}, {"timestamp": "2026-01-01"},
        {"inputs": "gone"}, {"inputs": []}, {"inputs": {}}, {"inputs": {"choices": []}},
        {"inputs": {"choices": CHOICES | {"more": []}}},
        {"inputs": {"choices": CHOICES | {"allowed": "rotate"}}},
        {"inputs": {"choices": CHOICES | {"max_deletes": True}}},
        {"inputs": {"choices": CHOICES | {"destroy": 1}}},
        {"inputs": {"choices": CHOICES | {"targets": [1]}}}, {"inputs": {"choices": CHOICES}},
    ],
    ids=str,
)  # fmt: skip
def test_b62_a_forged_plan_with_right_digests_and_wrong_parts_is_an_error(
    provisioner, world, changes: dict[str, Any]
) -> None:
    provisioner("plan", "--out", "plan.json")
    forge(**changes)
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "is a bug" not in ran.err
    assert writes(world) == 0


@pytest.mark.parametrize("part", ["summary", "resource_changes", "resource_drift", "notes", "conflicts"])
def test_b62_a_forged_plan_is_shown_in_no_form(provisioner, world, part: str) -> None:
    provisioner("plan", "--out", "plan.json")
    forge(**{part: [3]})
    ran = provisioner(
        "show", "plan.json", "--markdown", "p.md", "--html", "p.html", "--gitlab-report", "p.json"
    )
    assert ran.status == 1
    assert "its parts are not those of a plan" in ran.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"), (b"{", "it is not whole JSON"), (b"[]", "it is no plan document"),
        (b'{"format_version": "9.9"}', "another version"),
        (b'{"format_version": "1.0"}', "printed, not saved"),
        (b'{"format_version": "1.0", "format_version": "1.0"}', "a key twice"), (b"\xff\xfe", "not UTF-8"),
    ],
)  # fmt: skip
def test_b62_what_is_no_plan_is_refused_with_the_check_that_failed(
    provisioner, world, content: bytes, words: str
) -> None:
    Path("plan.json").write_bytes(content)
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert words in ran.err
    assert world.calls["list"] == 0


def test_b62_a_plan_of_another_version_of_the_tool_is_refused(provisioner, world, monkeypatch) -> None:
    provisioner("plan", "--out", "plan.json")
    monkeypatch.setattr("provisioner.cli.saving.__version__", "9.9.9")
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "inputs.provisioner_version: in the saved plan" in ran.err
    assert GIVE not in ran.err


def test_b62_a_plan_that_is_too_old_or_from_the_future_is_refused(provisioner, world) -> None:
    provisioner("plan", "--out", "plan.json")
    content = {
        name: value
        for name, value in whole().items()
        if name not in ("text", "timestamp", "digest", "checksum")
    }
    Path("plan.json").write_bytes(saved(content, "", "2020-01-01T00:00:00Z"))
    ran = provisioner("apply", "plan.json", "--max-age", "1d")
    assert ran.status == 1
    assert "--max-age is 24 hours" in ran.err
    Path("plan.json").write_bytes(saved(content, "", "2999-01-01T00:00:00Z"))
    assert "from the future" in provisioner("apply", "plan.json").err
    assert writes(world) == 0
    Path("plan.json").write_bytes(saved(content, "", "2020-01-01T00:00:00Z"))
    assert provisioner("apply", "plan.json").status == 0


def test_a_plan_made_without_a_look_at_the_api_cannot_be_applied(provisioner, world) -> None:
    planned = provisioner("plan", "--no-refresh", "--out", "plan.json")
    assert planned.status == 0
    assert "it cannot be applied, because the API was not asked" in planned.out
    assert "provisioner apply" not in planned.out
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "--no-refresh" in ran.err
    assert world.calls["list"] == 0


def test_a_plan_with_conflicts_cannot_be_applied(provisioner, world) -> None:
    let_a_stranger_take_the_name(world)
    planned = provisioner("plan", "--out", "plan.json")
    assert planned.status == 1
    assert "it cannot be applied, because of what stands in the way" in planned.out
    assert "sha256:" not in planned.out
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "it has conflicts" in ran.err


def test_the_flags_of_a_saved_plan_are_those_it_was_made_with(provisioner, world) -> None:
    provisioner("plan", "--out", "plan.json", "--target", "one")
    for flags in (["--target", "two"], ["--allow", "delete"], ["--destroy"], ["--max-deletes", "9"]):
        ran = provisioner("apply", "plan.json", *flags)
        assert ran.status == 1
        assert "takes no other flags" in ran.err
    assert provisioner("apply", "plan.json").status == 0
    assert [app.name for app in world.world.apps()] == ["one"]


def test_consent_is_part_of_what_was_reviewed(provisioner, world) -> None:
    provisioner("apply", "--auto-approve")
    edit_manifest(world)
    provisioner("plan", "--out", "plan.json")
    ran = provisioner("apply", "plan.json")
    assert ran.status == 1
    assert "make and save it again with: --allow replace:two" in ran.err
    assert world.calls["delete"] == 0
    provisioner("plan", "--out", "plan.json", "--allow", "replace:two")
    assert provisioner("apply", "plan.json").status == 0
    assert world.calls["delete"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan.json", "--digest", "sha256:" + "0" * 64],
        ["--max-age", "1h"],
        ["nowhere.json"],
        ["plan.json", "extra"],
    ],
)
def test_what_cannot_be_meant_is_an_error(provisioner, world, arguments: list[str]) -> None:
    provisioner("plan", "--out", "plan.json")
    assert provisioner("apply", *arguments).status == 1
    assert writes(world) == 0


def test_a_saved_plan_holds_no_secret_sealed_or_not(provisioner, world) -> None:
    provisioner("apply", "--auto-approve")
    provisioner("plan", "--out", "plan.json", "--replace", "one")
    text = Path("plan.json").read_text()
    for app in world.world.apps():
        assert app.client_secret not in text
    assert "AGE ENCRYPTED" not in text
    assert world.api_key not in text


def test_the_digest_does_not_depend_on_what_stands_beside_it() -> None:
    from provisioner.plan import Plan

    content = body(Plan(()), {})
    assert digest_of(content) == digest_of({**content, "timestamp": "now", "text": "x"})
