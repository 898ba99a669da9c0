"""Stored secrets are proved by introspection, and what cannot be proved is said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.errors import ApiError, SealingError
from provisioner.model import Address, App, Introspection, Secret
from provisioner.render.verify_text import verify_json, verify_text
from provisioner.sealing import generate_identity
from provisioner.state import AppRecord, SealedSecret
from provisioner.stores.directory import DirectoryStore
from provisioner.verification import Verdict, Verified, verify

TWO = "version: 1\napps:\n" + "".join(
    f"  {key}: {{redirect_uris: ['https://{key}.example/cb']}}\n" for key in "ab"
)


@pytest.fixture
def applied(provisioner, sandbox):
    """Two apps, made and recorded."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(TWO)
    assert provisioner("apply", "--auto-approve").status == 0
    return sandbox


def edit(key: str, **fields: object) -> None:
    path = Path(f"state/apps/{key}.json")
    document = json.loads(path.read_bytes())
    document["secret"] = document["secret"] | fields if fields else None
    path.write_text(json.dumps(document))


def test_all_confirmed_is_exit_0_and_nothing_is_changed(provisioner, applied) -> None:
    before = {path: path.read_bytes() for path in Path("state/apps").iterdir()}
    ran = provisioner("verify")
    assert ran.status == 0
    assert ran.out == "oauth_app.a  confirmed\noauth_app.b  confirmed\n\n2 of 2 confirmed.\n"
    assert {path: path.read_bytes() for path in Path("state/apps").iterdir()} == before
    assert applied.calls["rotate"] == 0


def test_a_secret_that_was_rotated_elsewhere_is_wrong_and_exit_1(provisioner, applied) -> None:
    applied.world.rotate(next(app.id for app in applied.world.apps() if app.name == "a"))
    ran = provisioner("verify")
    assert ran.status == 1
    assert "oauth_app.a  wrong" in ran.out
    assert "1 of 2 confirmed." in ran.out
    assert provisioner("verify", "b").status == 0


def test_a_secret_that_is_not_held_is_said_to_be_so(provisioner, applied) -> None:
    edit("a")
    ran = provisioner("verify", "oauth_app.a", "--json")
    assert ran.status == 1
    assert json.loads(ran.out)["verdicts"] == [
        {"address": "oauth_app.a", "verdict": "not held", "reason": None, "help": None}
    ]


def test_a_recovered_secret_is_unconfirmed_until_now_and_then_confirmed(provisioner, applied) -> None:
    edit("a", confirmed=False)
    first = provisioner("verify")
    assert first.status == 0
    assert "oauth_app.a  unconfirmed until now" in first.out
    assert "oauth_app.a  confirmed" in provisioner("verify").out


def test_while_another_run_holds_the_lock_the_mark_stays_and_the_verdict_counts(provisioner, applied) -> None:
    edit("a", confirmed=False)
    with DirectoryStore(Path("state")).lock("apply"):
        ran = provisioner("verify")
    assert ran.status == 0
    assert "not marked as confirmed" in ran.err


def test_a_server_that_does_not_answer_is_could_not_ask(provisioner, applied) -> None:
    applied.add_fault("introspect@1x*:422")
    ran = provisioner("verify", "a")
    assert ran.status == 1
    assert "oauth_app.a  could not ask: " in ran.out


def test_where_there_is_no_state_nothing_is_confirmed(provisioner, sandbox) -> None:
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(TWO)
    for options in ([], ["--json"]):
        ran = provisioner("verify", *options)
        assert ran.status == 1
        said = 'Warning: there is no state in "state": nothing was verified; is it committed?\n'
        assert ran.err == said
    assert json.loads(ran.out)["confirmed"] is False
    assert said in provisioner("verify", "a").err
    Path("apps.yaml").write_text("version: 1\napps: {}\n")
    assert provisioner("verify").status == 0


def test_an_address_that_is_not_in_the_state_is_an_error(provisioner, applied) -> None:
    assert provisioner("verify", "c").status == 1


def test_without_an_identity_nothing_is_asked(provisioner, applied, clean_environment) -> None:
    (clean_environment / ".config/provisioner/identity.txt").unlink()
    ran = provisioner("verify")
    assert ran.status == 1
    assert applied.calls["introspect"] == 0


def test_an_open_operation_is_mentioned(provisioner, applied) -> None:
    Path("apps.yaml").write_text(TWO + "  c: {redirect_uris: ['https://c.example/cb']}\n")
    applied.add_fault("create:lost-before")
    applied.add_fault("list@2:422")
    assert provisioner("apply", "--auto-approve").status == 3
    assert "oauth_app.c: an earlier run left op_" in provisioner("verify").err


class Asked:
    """An API that only introspects."""

    def __init__(self, answer: Introspection | Exception) -> None:
        self.answer = answer

    def introspect(self, client_id: str, client_secret: Secret) -> Introspection:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"verify does not call {name}")


APP = App("app_1", "org_1", "n", "cid", "h", (), (), True, "2026-01-01T00:00:00Z")
HELD = AppRecord(Address("a"), APP, SealedSecret("sealed", "h", "create", "op_1", "t"))


@pytest.mark.parametrize("error", [ApiError("down"), SealingError("locked")])
def test_what_cannot_be_asked_or_opened_is_neither_right_nor_wrong(error: Exception) -> None:
    def closed(_: str) -> Secret:
        raise error

    (found,) = verify([HELD], closed, Asked(Introspection.CONFIRMED))
    assert found == Verified(Address("a"), Verdict.COULD_NOT_ASK, str(error))


def test_an_identity_that_opens_nothing_is_named_once_with_what_to_do(
    provisioner, applied, monkeypatch
) -> None:
    identity, public = generate_identity()
    Path("other.txt").write_bytes(identity.reveal())
    Path("other.txt").chmod(0o600)
    monkeypatch.setenv("PROVISIONER_AGE_KEY_FILE", str(Path("other.txt").absolute()))
    ran = provisioner("verify")
    assert ran.status == 1
    for key in "ab":
        assert f"oauth_app.{key}  could not ask: None of your identities opens this secret" in ran.out
    assert ran.out.count(f"Tried: {public} in") == 1
    assert "Point PROVISIONER_AGE_KEY_FILE at an identity" in ran.out


def test_of_many_different_reasons_the_first_are_told() -> None:
    verified = [
        Verified(Address(f"a{number}"), Verdict.COULD_NOT_ASK, "It failed", f"detail {number}\nhint")
        for number in range(5)
    ]
    text = verify_text(verified)
    assert [f"detail {number}" in text for number in range(5)] == [True] * 3 + [False] * 2
    assert text.endswith("And 2 more reasons; --json has all of them.\n")
    assert [item["help"] for item in json.loads(verify_json(verified))["verdicts"]][4] == "detail 4\nhint"


def test_reasons_are_inert_in_the_table_and_null_where_there_is_none_in_json() -> None:
    verified = [
        Verified(Address("a"), Verdict.COULD_NOT_ASK, "\x1b[31m"),
        Verified(Address("b"), Verdict.CONFIRMED),
    ]
    assert "\x1b" not in verify_text(verified)
    assert json.loads(verify_json(verified))["confirmed"] is False
    assert json.loads(verify_json(verified))["verdicts"][1]["reason"] is None
    assert verify_text([]) == "\n0 of 0 confirmed.\n"
