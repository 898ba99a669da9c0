"""Nothing destructive happens under --auto-approve that was not agreed to by name: every way is tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

HEAD = "version: 1\napps:\n"
ONE = "  one: {redirect_uris: ['https://one.example/cb'], scopes: [read]}\n"
TWO = "  two: {redirect_uris: ['https://two.example/cb']}\n"
AUTO = ("apply", "--auto-approve")

# What the user changed since, the command, and the consent that it takes: each cuts somebody off.
WAYS = {
    "a changed redirect URI": (HEAD + ONE.replace("/cb", "/new") + TWO, AUTO, "replace"),
    "a changed scope": (HEAD + ONE.replace("read", "write") + TWO, AUTO, "replace"),
    "a changed name": (HEAD + ONE.replace("{", "{name: Uno, ", 1) + TWO, AUTO, "replace"),
    "an app taken out": (HEAD + TWO, AUTO, "delete"),
    "every app taken out": ("version: 1\napps: {}\n", AUTO, "delete"),
    "a renamed key": (
        HEAD + ONE.replace("one:", "uno: {name: one,", 1).replace(", {", ", ") + TWO,
        AUTO,
        "delete",
    ),
    "removed with destroy: true": (HEAD + TWO + "removed: [{app: one, destroy: true}]\n", AUTO, "delete"),
    "an app moved and changed": (
        HEAD + ONE.replace("one:", "uno:").replace("/cb", "/new") + TWO + "moved: [{from: one, to: uno}]\n",
        AUTO,
        "replace",
    ),
    "an app moved and then removed": (
        HEAD + TWO + "moved: [{from: one, to: uno}]\nremoved: [{app: uno, destroy: true}]\n",
        AUTO,
        "delete",
    ),
    "--replace": (HEAD + ONE + TWO, (*AUTO, "--replace", "one"), "replace"),
    "--replace of the only target": (
        HEAD + ONE + TWO,
        (*AUTO, "--replace", "one", "--target", "one"),
        "replace",
    ),
    "destroy": (HEAD + ONE + TWO, ("destroy", "--auto-approve"), "delete"),
    "destroy of a target": (HEAD + ONE + TWO, ("destroy", "--auto-approve", "--target", "one"), "delete"),
    "apply --destroy": (HEAD + ONE + TWO, (*AUTO, "--destroy"), "delete"),
    "a higher limit, which is no consent": (HEAD + TWO, (*AUTO, "--max-deletes", "9"), "delete"),
    "a due rotation": (HEAD + ONE.replace("}", ", rotate_after: 30d}") + TWO, AUTO, "rotate"),
}


@pytest.fixture
def applied(provisioner, sandbox):
    """Two apps, made and recorded long ago."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(HEAD + ONE + TWO)
    assert provisioner("apply", "--auto-approve").status == 0
    for path in Path("state/apps").glob("*.json"):
        record = json.loads(path.read_text())
        record["secret"]["time"] = "2020-01-01T00:00:00Z"
        path.write_text(json.dumps(record))
    return sandbox


def destructive(sandbox) -> int:
    return int(sandbox.calls["delete"] + sandbox.calls["rotate"])


@pytest.mark.parametrize("way", WAYS)
def test_without_consent_it_does_nothing_and_says_what_would_be_enough(
    provisioner, applied, way: str
) -> None:
    manifest, command, kind = WAYS[way]
    Path("apps.yaml").write_text(manifest)
    ran = provisioner(*command)
    assert ran.status == 1
    assert destructive(applied) == 0
    assert applied.calls["create"] == 2
    assert f"--allow {kind}:" in ran.err


@pytest.mark.unmeasured
@pytest.mark.parametrize("way", WAYS)
def test_consent_to_another_class_is_none(provisioner, applied, way: str) -> None:
    manifest, command, kind = WAYS[way]
    Path("apps.yaml").write_text(manifest)
    others = [word for other in {"delete", "replace", "rotate"} - {kind} for word in ("--allow", other)]
    assert provisioner(*command, *others, "--allow", f"{kind}:two-not").status == 1
    assert provisioner(*command, *others).status == 1
    assert destructive(applied) == 0


@pytest.mark.unmeasured
@pytest.mark.parametrize("way", WAYS)
def test_the_words_of_the_refusal_are_the_consent_that_it_takes(provisioner, applied, way: str) -> None:
    manifest, command, _ = WAYS[way]
    Path("apps.yaml").write_text(manifest)
    refused = provisioner(*command)
    words = refused.err.split("run it again with: ")[1].split()
    ran = provisioner(*command, *words)
    assert ran.status == 0
    assert destructive(applied) > 0


@pytest.mark.unmeasured
@pytest.mark.parametrize("way", WAYS)
def test_the_manifests_policy_is_consent(provisioner, applied, way: str) -> None:
    manifest, command, kind = WAYS[way]
    Path("apps.yaml").write_text(manifest + f"policy: {{allow: [{kind}]}}\n")
    assert provisioner(*command).status == 0
    assert destructive(applied) > 0


@pytest.mark.unmeasured
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", ["", "y\n", "YES\n", "no\n"])
def test_at_the_prompt_only_yes_is_consent(provisioner, applied, way: str, answer: str) -> None:
    manifest, command, _ = WAYS[way]
    Path("apps.yaml").write_text(manifest)
    asked = [word for word in command if word != "--auto-approve"]
    ran = provisioner(*asked, answer=answer)
    assert ran.status == 1
    assert "Nothing was done." in (ran.out if answer else ran.err)
    assert destructive(applied) == 0


def test_what_was_rotated_elsewhere_is_left_alone_without_consent(provisioner, applied) -> None:
    for app in applied.world.apps():
        applied.world.rotate(app.id)
    ran = provisioner("apply", "--auto-approve")
    assert (ran.status, destructive(applied)) == (0, 0)
    assert "`provisioner rotate one` makes a new one" in ran.out
    assert provisioner("apply", "--auto-approve", "--allow", "rotate:one").status == 0
    assert applied.calls["rotate"] == 1
    assert provisioner("verify", "one").status == 0


@pytest.mark.unmeasured
@pytest.mark.parametrize("way", [way for way in WAYS if WAYS[way][2] != "rotate"])
def test_protection_is_stronger_than_every_consent(provisioner, applied, way: str) -> None:
    Path("apps.yaml").write_text(HEAD + ONE.replace("}", ", protect: true}") + TWO)
    assert provisioner("apply", "--auto-approve").status == 0
    manifest, command, kind = WAYS[way]
    Path("apps.yaml").write_text(manifest + "policy: {allow: [delete, replace, rotate], max_deletes: 9}\n")
    ran = provisioner(*command, "--allow", kind, "--max-deletes", "9")
    assert ran.status == 1
    assert "is protected, and would be" in ran.err
    assert destructive(applied) == 0


def test_more_deletions_than_the_limit_stop_even_what_was_allowed(provisioner, applied) -> None:
    Path("apps.yaml").write_text("version: 1\napps: {}\npolicy: {max_deletes: 1}\n")
    ran = provisioner("apply", "--auto-approve", "--allow", "delete")
    assert ran.status == 1
    assert "2 apps would be destroyed or replaced, and the limit is 1" in ran.err
    assert "--max-deletes 2" in ran.err
    assert destructive(applied) == 0
    assert provisioner("apply", "--auto-approve", "--allow", "delete", "--max-deletes", "2").status == 0
    assert applied.calls["delete"] == 2


def test_a_destruction_keeps_to_the_limit_that_was_typed_and_to_no_other(provisioner, applied) -> None:
    Path("apps.yaml").write_text(Path("apps.yaml").read_text() + "policy: {max_deletes: 0}\n")
    command = ("destroy", "--auto-approve", "--allow", "delete")
    ran = provisioner(*command, "--max-deletes", "1")
    assert ran.status == 1
    assert "2 apps would be destroyed or replaced, and the limit is 1" in ran.err
    assert destructive(applied) == 0
    assert provisioner(*command).status == 0
    assert applied.calls["delete"] == 2


def test_an_import_and_a_move_and_a_forgotten_app_need_no_consent(provisioner, applied) -> None:
    made = applied.world.create("Three", ["https://three.example/cb"], None)
    Path("apps.yaml").write_text(
        HEAD
        + ONE.replace("one:", "uno: {name: one,", 1).replace(", {", ", ")
        + "  three: {name: Three, redirect_uris: ['https://three.example/cb']}\n"
        + "moved: [{from: one, to: uno}]\nremoved: [{app: two, destroy: false}]\n"
        + f"import: [{{to: three, id: {made.id}}}]\n"
    )
    ran = provisioner("apply", "--auto-approve")
    assert ran.status == 0, ran.err
    assert "Apply complete! Resources: 1 imported, 0 added, 0 changed, 0 destroyed." in ran.out
    assert destructive(applied) == 0
    assert provisioner("state", "list").out.split() == ["oauth_app.three", "oauth_app.uno"]
    assert "No changes." in provisioner("plan").out
