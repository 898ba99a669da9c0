"""Apps made by hand are taken over, moved and forgotten without a change at the API."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.stores.directory import DirectoryStore

MANIFEST = "version: 1\napps:\n  one:\n    name: One\n    redirect_uris: [https://one.example/cb]\n"


@pytest.fixture
def by_hand(provisioner, sandbox):
    """An app that was made in the web interface, and a manifest that wants it."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    return sandbox.world.create("One", ["https://one.example/cb"], None)


def test_the_plans_own_hint_imports_the_app_and_the_next_plan_is_empty(provisioner, by_hand, sandbox) -> None:
    hint = next(line for line in provisioner("plan").err.splitlines() if "provisioner import" in line)
    ran = provisioner(*hint.split("provisioner ")[1].split())
    assert ran.status == 0
    planned = provisioner("plan")
    assert "its secret is not held; `provisioner rotate one` gives it one" in planned.out
    assert "No changes." in planned.out
    assert provisioner("apply", "--auto-approve").status == 0
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (0, 0)
    assert provisioner("verify").status == 1
    assert provisioner("rotate", "--auto-approve", "one").status == 0
    assert provisioner("verify").status == 0


def test_an_imported_app_that_is_not_as_the_manifest_says_is_a_replacement(provisioner, by_hand) -> None:
    Path("apps.yaml").write_text(MANIFEST.replace("/cb", "/other"))
    assert provisioner("import", "oauth_app.one", by_hand.id).status == 0
    assert "oauth_app.one must be replaced" in provisioner("plan").out


def test_import_needs_no_identity_and_never_asks(provisioner, by_hand, clean_environment) -> None:
    (clean_environment / ".config/provisioner/identity.txt").unlink()
    assert provisioner("import", "one", by_hand.id).status == 0


@pytest.mark.parametrize(
    ("address", "app_id", "words"),
    [
        ("two", "", "is not in the manifest"),
        ("one", "app_unknown", "The API has no app"),
        ("one", "x/../y", "Not an app id"),
    ],
)
def test_what_cannot_be_imported_is_an_error(
    provisioner, by_hand, address: str, app_id: str, words: str
) -> None:
    ran = provisioner("import", address, app_id or by_hand.id)
    assert ran.status == 1
    assert words in ran.err
    assert not list(Path("state").glob("apps/*.json"))


def test_one_app_is_recorded_once(provisioner, by_hand) -> None:
    provisioner("import", "one", by_hand.id)
    assert "is in the state already" in provisioner("import", "one", by_hand.id).err
    Path("apps.yaml").write_text(MANIFEST + "  two:\n    redirect_uris: [https://two.example/cb]\n")
    assert "as oauth_app.one" in provisioner("import", "two", by_hand.id).err


def test_an_app_of_another_organization_is_not_imported(provisioner, by_hand) -> None:
    Path("apps.yaml").write_text("provider: {organization_id: org_another}\n" + MANIFEST)
    assert provisioner("import", "one", by_hand.id).status == 1


def test_a_moved_record_keeps_its_app_and_its_secret(provisioner, sandbox) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    provisioner("apply", "--auto-approve")
    Path("apps.yaml").write_text(MANIFEST.replace("  one:", "  portal:"))
    assert (
        provisioner("state", "mv", "one", "oauth_app.portal").out
        == "Moved oauth_app.one to oauth_app.portal\n"
    )
    assert provisioner("plan").out.startswith("No changes.")
    assert provisioner("verify").status == 0
    assert provisioner("state", "mv", "one", "other").status == 1
    assert provisioner("state", "mv", "portal", "portal").status == 1


def test_a_removed_record_is_forgotten_and_the_app_stays(provisioner, sandbox) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    provisioner("apply", "--auto-approve")
    (app,) = sandbox.world.apps()
    removed = provisioner("state", "rm", "one").out
    assert removed.splitlines()[0] == f"Removed oauth_app.one [id={app.id}]"
    assert f"`provisioner import one {app.id}`" in removed
    assert sandbox.world.apps() == (app,)
    assert f"provisioner import oauth_app.one {app.id}" in provisioner("plan").err
    assert provisioner("state", "rm", "one").status == 1
    assert provisioner("state", "rm").status == 1


@pytest.mark.parametrize("command", [["state", "rm", "one"], ["state", "mv", "one", "two"]])
def test_what_is_open_or_locked_is_neither_moved_nor_removed(
    provisioner, sandbox, command: list[str]
) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    provisioner("apply", "--auto-approve")
    with DirectoryStore(Path("state")).lock("apply"):
        assert provisioner(*command).status == 4
    sandbox.add_fault("rotate@1x*:lost-after")
    assert provisioner("rotate", "--auto-approve", "one").status == 3
    ran = provisioner(*command)
    assert ran.status == 1
    assert "Run `provisioner apply` first." in ran.err


def test_a_move_that_was_cut_off_destroys_nothing(provisioner, sandbox) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    provisioner("apply", "--auto-approve")
    Path("apps.yaml").write_text(MANIFEST.replace("  one:", "  portal:"))
    old = Path("state/apps/one.json")
    before = old.read_bytes()
    provisioner("state", "mv", "one", "portal")
    old.write_bytes(before)
    assert "oauth_app.one will be forgotten" in provisioner("plan").out
    assert provisioner("apply", "--auto-approve").status == 0
    assert provisioner("plan").out.startswith("No changes.")
    assert sandbox.calls["delete"] == 0
    assert provisioner("verify").status == 0
