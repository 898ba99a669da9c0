"""Rotating on request: one at a time, with a prompt, and nothing else of the manifest applied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

APPS = "".join(f"  {key}: {{redirect_uris: ['https://{key}.example/cb']}}\n" for key in "abc")
MANIFEST = f"version: 1\napps:\n{APPS}"


@pytest.fixture
def applied(provisioner, sandbox):
    """Three apps, made and recorded."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    assert provisioner("apply", "--auto-approve").status == 0
    return sandbox


def sealed(key: str) -> str:
    return str(json.loads(Path(f"state/apps/{key}.json").read_bytes())["secret"]["sealed"])


def test_a_rotation_gives_a_new_secret_that_works_and_touches_nothing_else(provisioner, applied) -> None:
    before = {key: sealed(key) for key in "abc"}
    Path("apps.yaml").write_text(MANIFEST.replace("/cb", "/other"))
    ran = provisioner("rotate", "a", answer="yes\n")
    assert ran.status == 0
    assert "# oauth_app.a will have its secret rotated" in ran.out
    assert "The present secrets of oauth_app.a stop working at once." in ran.out
    assert "Plan: 0 to add, 1 to change, 0 to destroy." in ran.out
    assert "Apply complete! Resources: 0 added, 1 changed, 0 destroyed." in ran.out
    assert sealed("a") != before["a"]
    assert (sealed("b"), sealed("c")) == (before["b"], before["c"])
    assert (applied.calls["rotate"], applied.calls["create"], applied.calls["delete"]) == (1, 3, 0)
    Path("apps.yaml").write_text(MANIFEST)
    assert provisioner("verify").status == 0
    assert provisioner("plan").out.startswith("No changes.")


def test_a_declined_rotation_does_nothing(provisioner, applied) -> None:
    assert provisioner("rotate", "a", answer="no\n").status == 1
    assert applied.calls["rotate"] == 0


def test_naming_the_addresses_is_consent_under_auto_approve(provisioner, applied) -> None:
    assert provisioner("rotate", "--auto-approve", "oauth_app.a", "b", "a").status == 0
    assert applied.calls["rotate"] == 2
    assert provisioner("verify").status == 0


def test_f26_a_rotation_whose_answer_is_lost_is_rotated_again_at_once(provisioner, applied) -> None:
    applied.add_fault("rotate:lost-after")
    assert provisioner("rotate", "--auto-approve", "a").status == 0
    assert applied.calls["rotate"] == 2
    assert provisioner("verify").status == 0


def test_the_first_rotation_that_stays_open_stops_the_others_and_the_next_apply_goes_on(
    provisioner, applied
) -> None:
    applied.add_fault("rotate@1x3:lost-after")
    ran = provisioner("rotate", "--auto-approve", "a", "b")
    assert ran.status == 3
    assert "oauth_app.b: skipped: an earlier rotation is not finished" in ran.err
    assert provisioner("rotate", "--auto-approve", "a").status == 1
    assert "it is rotated again" in provisioner("plan").out
    assert provisioner("apply", "--auto-approve").status == 0
    assert provisioner("verify").status == 0


@pytest.mark.parametrize("address", ["unknown", "Not A Key"])
def test_an_address_that_is_not_recorded_is_an_error(provisioner, applied, address: str) -> None:
    assert provisioner("rotate", "--auto-approve", address).status == 1
    assert applied.calls["rotate"] == 0


def test_an_app_that_is_gone_has_no_secret_to_rotate(provisioner, applied) -> None:
    applied.world.delete(next(app.id for app in applied.world.apps() if app.name == "a"))
    ran = provisioner("rotate", "--auto-approve", "a")
    assert ran.status == 1
    assert "does not exist any more" in ran.err


def test_an_app_that_is_not_the_recorded_one_is_left_alone(provisioner, applied) -> None:
    path = Path("state/apps/a.json")
    path.write_text(path.read_text().replace('"client_id": "', '"client_id": "x'))
    assert provisioner("rotate", "--auto-approve", "a").status == 1
    assert applied.calls["rotate"] == 0


def test_rotate_without_an_address_is_an_error(provisioner, applied) -> None:
    assert provisioner("rotate").status == 1
