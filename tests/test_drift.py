"""`drift` looks, tells, and changes nothing; what an apply saw is not drift any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

MANIFEST = """version: 1
apps:
  one: {redirect_uris: ['https://one.example/cb']}
  two: {redirect_uris: ['https://two.example/cb'], scopes: [read]}
"""


@pytest.fixture
def applied(provisioner, sandbox):
    """Two apps, made and recorded; the scopes of one are not managed."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    assert provisioner("apply", "--auto-approve").status == 0
    return sandbox


def app_id(key: str) -> str:
    return str(json.loads(Path(f"state/apps/{key}.json").read_bytes())["object"]["id"])


def edit(sandbox, key: str, **fields: Any) -> None:
    """As somebody with Meteroid's database could; its API has no update."""
    sandbox.world.set(app_id(key), **fields)


def files() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path("state").rglob("*") if path.is_file()}


def test_without_drift_it_says_so_and_exits_0(provisioner, applied) -> None:
    before = files()
    ran = provisioner("drift", "--detailed-exitcode")
    assert (ran.status, ran.out) == (0, "No drift. Apps as they were recorded: 2.\n")
    assert files() == before


def test_where_there_is_no_state_that_is_said_and_is_no_success(provisioner, sandbox) -> None:
    Path("apps.yaml").write_text(MANIFEST)
    said = 'Warning: there is no state in "state": nothing was compared; is it committed?\n'
    for options, status in ((["--detailed-exitcode"], 1), (["--detailed-exitcode", "--json"], 1), ([], 0)):
        ran = provisioner("drift", *options)
        assert (ran.status, ran.err) == (status, said)
    assert not Path("state").exists()


def test_a_manifest_without_apps_has_nothing_to_drift(provisioner, sandbox) -> None:
    Path("apps.yaml").write_text("version: 1\napps: {}\n")
    ran = provisioner("drift", "--detailed-exitcode")
    assert ran.status == 0
    assert "there is no state" in ran.err


def test_a_state_that_has_no_apps_yet_is_one(provisioner, applied) -> None:
    for key in ("one", "two"):
        Path(f"state/apps/{key}.json").unlink()
    ran = provisioner("drift", "--detailed-exitcode")
    assert (ran.status, ran.err) == (0, "")


def test_it_is_an_exit_status_only_where_that_was_asked_for(provisioner, applied) -> None:
    applied.world.rotate(app_id("one"))
    assert provisioner("drift").status == 0
    assert provisioner("drift", "--detailed-exitcode").status == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"redirect_uris": ("https://evil.example/cb",)}, '+ "https://evil.example/cb"'),
        ({"scopes": ("admin",)}, '+ "admin"'),
        ({"name": "Other"}, '"one" -> "Other"'),
        ({"is_active": False}, "true -> false"),
    ],
)
def test_every_attribute_that_was_changed_is_shown_with_both_values(
    provisioner, applied, fields: dict[str, Any], words: str
) -> None:
    edit(applied, "one", **fields)
    ran = provisioner("drift")
    assert "# oauth_app.one has changed" in ran.out
    assert words in ran.out
    assert "Drift: 1 of 2." in ran.out
    assert "`provisioner plan` shows what apply would do about it." in ran.out


def test_a_rotation_elsewhere_is_told_by_the_hint_with_its_remedy(provisioner, applied) -> None:
    applied.world.rotate(app_id("two"))
    ran = provisioner("drift")
    assert "# oauth_app.two had its secret rotated, likely" in ran.out
    assert "`provisioner rotate two` makes a new secret for oauth_app.two." in ran.out


def test_as_json_it_is_a_line_for_each_app_and_their_number(provisioner, applied) -> None:
    applied.world.rotate(app_id("two"))
    hint = applied.world.get(app_id("two")).client_secret_hint
    gone = app_id("one")
    applied.world.delete(gone)
    ran = provisioner("drift", "--json", "--detailed-exitcode")
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 2
    assert [event["type"] for event in events] == [
        "version", "resource_drift", "resource_drift", "drift_summary",
    ]  # fmt: skip
    deleted, rotated = (event["change"] for event in events[1:3])
    assert deleted["action"] == "delete"
    assert deleted["resource"] == {
        "addr": "oauth_app.one", "resource_type": "oauth_app", "resource_name": "one",
    }  # fmt: skip
    assert (deleted["before"]["id"], deleted["after"]) == (gone, None)
    assert rotated["after"]["client_secret_hint"] == hint != rotated["before"]["client_secret_hint"]
    assert events[3]["drifted"] == 2


def test_as_json_an_error_ends_the_stream_and_stands_on_standard_error_too(
    provisioner, applied, monkeypatch
) -> None:
    monkeypatch.delenv("METEROID_API_KEY")
    ran = provisioner("drift", "--json")
    assert ran.status == 1
    first, last = (json.loads(line) for line in ran.out.splitlines())
    assert (first["type"], last["type"]) == ("version", "diagnostic")
    assert last["diagnostic"]["summary"] == "There is no API token"
    assert ran.err.startswith("Error: There is no API token")


def test_what_is_not_managed_is_shown_once_and_taken_note_of_by_the_next_apply(provisioner, applied) -> None:
    edit(applied, "one", scopes=("admin",))
    ran = provisioner("apply", "--auto-approve")
    assert ran.status == 0
    assert "# oauth_app.one has changed" in ran.out
    assert "No changes." in ran.out
    assert provisioner("plan").out.startswith("No changes.")
    assert provisioner("drift", "--detailed-exitcode").status == 0
    assert applied.calls["create"] == 2


def test_an_apply_that_asks_takes_note_too_without_asking(provisioner, applied) -> None:
    edit(applied, "one", scopes=("admin",))
    assert provisioner("apply").status == 0
    assert provisioner("drift", "--detailed-exitcode").status == 0


def test_what_is_managed_stays_drift_until_it_is_as_the_manifest_says(provisioner, applied) -> None:
    edit(applied, "two", scopes=("admin",))
    assert provisioner("apply", "--auto-approve").status == 1
    assert provisioner("drift", "--detailed-exitcode").status == 2
    assert provisioner("apply", "--auto-approve", "--allow", "replace").status == 0
    assert provisioner("drift", "--detailed-exitcode").status == 0


def test_an_inactive_app_is_noted_in_every_plan_and_left_alone(provisioner, applied) -> None:
    edit(applied, "one", is_active=False)
    for _ in range(2):
        ran = provisioner("apply", "--auto-approve")
        assert ran.status == 0
        assert "oauth_app.one: it is inactive; it is shown and left alone" in ran.out
    assert provisioner("drift", "--detailed-exitcode").status == 0
    edit(applied, "one", is_active=True)
    assert "false -> true" in provisioner("drift").out


def test_what_another_name_wants_of_the_terminal_is_not_done(provisioner, applied) -> None:
    edit(applied, "one", name="\x1b[2J\u202eevil")
    ran = provisioner("drift")
    assert "\x1b[2J" not in ran.out
    assert "\u202e" not in ran.out
