"""`secret deliver`: what the sinks lack, without a word to the API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TOOL = '{type: command, command: [./take, "{key}"], timeout: 10s}'
MANIFEST = f"""version: 1
sinks: {{env: {TOOL}}}
apps:
  one: {{redirect_uris: ['https://one.example/cb'], sinks: [env]}}
  two: {{redirect_uris: ['https://two.example/cb']}}
"""
TAKE = '#!/bin/sh\ncat > "taken.$1"\nexit "$(cat status)"\n'


@pytest.fixture
def undelivered(provisioner, sandbox):
    """Two apps, one of which has a sink that broke in the apply."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    Path("take").write_text(TAKE)
    Path("take").chmod(0o700)
    Path("status").write_text("3")
    assert provisioner("apply", "--auto-approve").status == 3
    return sandbox


def taken() -> str:
    return str(json.loads(Path("taken.one").read_text())["CLIENT_SECRET"])


def test_it_finishes_what_an_apply_could_not_deliver_and_does_not_ask_the_api(
    provisioner, undelivered
) -> None:
    Path("status").write_text("0")
    undelivered.calls.clear()
    ran = provisioner("secret", "deliver")
    assert ran.status == 0
    assert ran.out.startswith("oauth_app.one: delivered to env: ")
    assert taken() == next(app.client_secret for app in undelivered.world.apps() if app.name == "one")
    assert not undelivered.calls
    assert "No changes." in provisioner("plan").out


def test_a_sink_that_is_still_broken_is_3_and_nothing_to_deliver_is_0(provisioner, undelivered) -> None:
    ran = provisioner("secret", "deliver", "one")
    assert ran.status == 3
    assert "oauth_app.one: not delivered to env: " in ran.err
    Path("status").write_text("0")
    assert provisioner("secret", "deliver").status == 0
    assert provisioner("secret", "deliver").out.startswith("Nothing to deliver")


def test_again_delivers_whatever_the_receipts_say(provisioner, undelivered) -> None:
    Path("status").write_text("0")
    provisioner("secret", "deliver")
    Path("taken.one").unlink()
    assert provisioner("secret", "deliver", "--again").status == 0
    assert taken()


def test_again_after_a_move_keeps_the_mark_that_the_copy_has(provisioner, undelivered) -> None:
    Path("status").write_text("0")
    fixed = MANIFEST.replace(TOOL, "{type: file, path: fixed.env, plaintext: true}")
    Path("apps.yaml").write_text(fixed)
    provisioner("secret", "deliver")
    provisioner("state", "mv", "one", "uno")
    Path("apps.yaml").write_text(fixed.replace("  one: {", "  uno: {name: one, "))
    assert provisioner("secret", "deliver", "--again", "uno").status == 0
    record = json.loads(Path("state/apps/uno.json").read_text())
    assert record["deliveries"]["env"]["address"] == "oauth_app.one"


FILES = MANIFEST.replace(TOOL, "{type: file, path: '{key}.env', plaintext: true}")
UNO = FILES.replace("  one: {", "  uno: {name: one, ")


@pytest.fixture
def moved(provisioner, undelivered) -> None:
    """The app whose secret is in one.env is called uno now."""
    Path("apps.yaml").write_text(FILES)
    assert provisioner("secret", "deliver").status == 0
    provisioner("state", "mv", "one", "uno")
    Path("apps.yaml").write_text(UNO)


@pytest.mark.parametrize("again", [[], ["--again"]])
def test_after_a_move_the_copy_under_the_old_name_is_taken_away_as_apply_does(
    provisioner, moved, again: list[str]
) -> None:
    ran = provisioner("secret", "deliver", *again)
    assert (ran.status, ran.err) == (0, "")
    delivered, removed = ran.out.splitlines()
    assert removed.startswith("oauth_app.uno: removed from env: ")
    assert "one.env" in removed
    assert "delivered to env: " in delivered
    assert sorted(path.name for path in Path().glob("*.env")) == ["uno.env"]
    assert "No changes." in provisioner("plan").out


def test_a_copy_under_the_old_name_that_cannot_be_taken_away_keeps_its_receipt(provisioner, moved) -> None:
    Path("one.env").unlink()
    Path("one.env").mkdir()
    ran = provisioner("secret", "deliver")
    assert ran.status == 3
    assert "oauth_app.uno: not removed from env: " in ran.err
    Path("one.env").rmdir()
    assert provisioner("secret", "deliver").status == 0
    assert "No changes." in provisioner("plan").out


def test_a_place_that_another_app_has_now_is_not_emptied(provisioner, moved) -> None:
    another = "  one: {name: another, redirect_uris: ['https://one.example/cb'], sinks: [env]}\n"
    Path("apps.yaml").write_text(UNO + another)
    before = Path("one.env").read_bytes()
    ran = provisioner("secret", "deliver")
    assert ran.status == 0
    assert "Note: oauth_app.uno: a copy of its secret stays in env: " in ran.err
    assert Path("one.env").read_bytes() == before


@pytest.mark.parametrize(("address", "words"), [("three", "is not in the state"), ("two", "has no sinks")])
def test_an_address_that_cannot_be_meant_is_an_error(provisioner, undelivered, address, words) -> None:
    ran = provisioner("secret", "deliver", address)
    assert ran.status == 1
    assert words in ran.err
