"""`secret list` and `secret get`: what is held, for whom, and one value and nothing else."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.delivery import Receipt
from provisioner.envelope import Label, pack
from provisioner.model import Address, App, Secret
from provisioner.operation import Operation, Step
from provisioner.phases import Kind, Phase
from provisioner.sealing import Sealer, generate_identity
from provisioner.state import AppRecord, Header, SealedSecret
from provisioner.stores.directory import DirectoryStore

SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINCQcvKUXUBgpWmjE5LWAqDxzcU571GWLNZ+lI411+n6"
PRIVATE, PUBLIC = generate_identity()
NOW = datetime.now(UTC)


def ago(**length: int) -> str:
    return (NOW - timedelta(**length)).strftime("%Y-%m-%dT%H:%M:%SZ")


def content(key: str, canary: str) -> Secret:
    app = {
        "id": f"app_{key}", "organization_id": "org_1", "name": key, "client_id": f"cid_{key}",
        "client_secret_hint": "hint", "redirect_uris": [], "scopes": [], "is_active": True,
        "created_at": "2026-01-02T03:04:05Z",
    }  # fmt: skip
    body = json.dumps({"app": app, "client_secret": canary}).encode()
    return pack(Label(f"op_{key}", "create", None), Secret(body))


def record(
    key: str,
    canary: str = "canary-7Qz",
    recipients: Sequence[str] | None = (PUBLIC,),
    hint: str = "hint",
    time: str = "",
    **fields: Any,
) -> AppRecord:
    """A record with a secret that is sealed to our own key."""
    app = App(f"app_{key}", "org_1", key, f"cid_{key}", "hint", (), (), True, "2026-01-02T03:04:05Z")
    secret = SealedSecret(
        Sealer([PUBLIC]).seal(content(key, canary)), hint, "create", f"op_{key}", time or ago(hours=3)
    )
    known = None if recipients is None else tuple(recipients)
    return AppRecord(Address(key), app, secret_with(secret, recipients=known), **fields)


def receipt(operation: str, place: str) -> Receipt:
    return Receipt(operation=operation, address="portal", fingerprint="f", place=place, time=ago(hours=1))


def secret_with(secret: SealedSecret | None, **fields: Any) -> SealedSecret:
    assert secret is not None
    return replace(secret, **fields)


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DirectoryStore]:
    """Put records into the state of a manifest that names the given recipients."""
    monkeypatch.setenv("SOPS_AGE_KEY", PRIVATE.reveal().decode())

    def put(*records: AppRecord, recipients: Sequence[str] = (PUBLIC,)) -> DirectoryStore:
        stated = f"state: {{recipients: {json.dumps(list(recipients))}}}\n" if recipients else ""
        (tmp_path / "apps.yaml").write_text(f"version: 1\n{stated}apps: {{}}\n")
        store = DirectoryStore(tmp_path / "state")
        with store.lock("test"):
            store.write_header(Header("lineage_1", "https://api.meteroid.com", "org_1"))
            for one in records:
                store.write_record(one)
        return store

    return put


def leave_open(store: DirectoryStore, key: str) -> None:
    """An operation as a killed run leaves it."""
    app = store.read().records[Address(key)].app
    operation = Operation(f"op_{key}x", Kind.ROTATE, Address(key), "lineage_1", app=app)
    store.open_operation(operation, Step(Phase.ROTATING, app_id=app.id), 100).leave()


# --- list


def test_the_table_says_for_each_secret_since_when_it_is_held_for_whom_and_where_it_is(
    provisioner, hold
) -> None:
    receipts = {
        "kv": receipt("op_portal", "vault"),
        "old": receipt("op_older", "file"),
    }
    billing = record("billing", recipients=None, time=ago(days=91))
    hold(
        record("portal", deliveries=receipts),
        AppRecord(Address("billing"), billing.app, secret_with(billing.secret, confirmed=False)),
        AppRecord(Address("legacy"), record("legacy").app),
        AppRecord(
            Address("only"),
            record("only").app,
            secret_with(record("only").secret, sealed=None, recipients=None, origin="rotate"),
            deliveries={"env": receipt("op_only", "file")},
        ),
    )
    ran = provisioner("secret", "list")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "ADDRESS            HINT  AGE      ORIGIN  STATUS                    READERS    DELIVERED TO",
        "oauth_app.billing  hint  91 days  create  unconfirmed               not known  -",
        "oauth_app.legacy   -     -        -       not held                  -          -",
        "oauth_app.only     hint  3 hours  rotate  confirmed, in sinks only  -          env",
        "oauth_app.portal   hint  3 hours  create  confirmed                 1          kv, old (older)",
    ]


def test_list_says_where_there_is_no_state(provisioner, tmp_path) -> None:
    (tmp_path / "apps.yaml").write_text("version: 1\napps: {}\n")
    ran = provisioner("secret", "list")
    assert (ran.status, ran.out) == (0, "No app is recorded: there are no secrets.\n")
    assert ran.err == 'Warning: there is no state in "state": nothing is listed; is it committed?\n'


def test_list_needs_no_identity_and_opens_nothing(provisioner, hold, monkeypatch) -> None:
    hold(record("portal"))
    monkeypatch.delenv("SOPS_AGE_KEY")
    ran = provisioner("secret", "list")
    assert (ran.status, ran.err) == (0, "")
    assert "canary-7Qz" not in ran.out
    assert "BEGIN AGE" not in ran.out


def test_list_shows_the_addresses_that_are_named_in_their_order_and_refuses_others(provisioner, hold) -> None:
    hold(record("a"), record("b"), record("c"))
    lines = provisioner("secret", "list", "c", "oauth_app.a", "c").out.splitlines()
    assert [line.split()[0] for line in lines] == ["ADDRESS", "oauth_app.c", "oauth_app.a"]
    ran = provisioner("secret", "list", "a", "d")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: oauth_app.d is not in the state\n")


def test_list_of_an_empty_state_says_so(provisioner, hold, tmp_path) -> None:
    (tmp_path / "apps.yaml").write_text("version: 1\napps: {}\n")
    assert provisioner("secret", "list").out == "No app is recorded: there are no secrets.\n"
    assert json.loads(provisioner("secret", "list", "--json").out)["secrets"] == []


@pytest.mark.parametrize(
    ("recipients", "known", "shown"),
    [
        ([PUBLIC], [PUBLIC], "1"),
        ([PUBLIC, SSH], [f"{SSH} me@example", PUBLIC], "2"),
        ([f"{SSH} you@example", PUBLIC], [PUBLIC, SSH], "2"),
        ([PUBLIC, SSH], [PUBLIC], "1, others"),
        ([SSH], [PUBLIC], "1, others"),
        ([PUBLIC], [PUBLIC, SSH], "2, others"),
        ([PUBLIC], None, "not known"),
    ],
)
def test_readers_other_than_the_manifests_are_marked_and_warned_of(
    provisioner, hold, recipients: list[str], known: list[str] | None, shown: str
) -> None:
    hold(record("portal", recipients=known), record("fine", recipients=recipients), recipients=recipients)
    ran = provisioner("secret", "list")
    row = next(line for line in ran.out.splitlines() if "portal" in line)
    assert row.split("confirmed")[1].strip().removesuffix("-").strip() == shown
    others = "others" in shown
    assert ran.err == (
        "Warning: 1 of 2 sealed secrets can be read by others than the recipients of the manifest or not by"
        " all of them; `provisioner secret rekey` seals them anew.\n"
        if others
        else ""
    )
    (item,) = json.loads(provisioner("secret", "list", "--json", "portal").out)["secrets"]
    assert item["as_stated"] is (None if known is None else not others)


def test_readers_are_held_against_the_environments_recipients_where_the_manifest_names_none(
    provisioner, hold, monkeypatch
) -> None:
    hold(record("portal"), recipients=())
    assert provisioner("secret", "list").err == ""  # one's own identity is not looked at
    monkeypatch.setenv("SOPS_AGE_RECIPIENTS", generate_identity()[1])
    ran = provisioner("secret", "list")
    assert "1 of 1 sealed secrets can be read by others than the recipients of SOPS_AGE_RECIPIENTS" in ran.err


def test_list_needs_no_manifest_where_the_states_folder_is_named(provisioner, hold, tmp_path) -> None:
    hold(record("portal"), recipients=[SSH])
    (tmp_path / "apps.yaml").unlink()
    ran = provisioner("secret", "list", "--state", "state")
    assert (ran.status, ran.err) == (0, "")
    assert "oauth_app.portal" in ran.out
    (item,) = json.loads(provisioner("secret", "list", "--state", "state", "--json").out)["secrets"]
    assert item["as_stated"] is None


def test_the_json_has_every_field_for_every_record_and_no_secret(provisioner, hold) -> None:
    delivered = receipt("op_portal", "vault secret/portal")
    held = record("portal", deliveries={"vault": delivered})
    hold(held, AppRecord(Address("legacy"), record("legacy").app))
    ran = provisioner("secret", "list", "--json")
    document = json.loads(ran.out)
    assert held.secret is not None
    assert document == {
        "format_version": "1.0",
        "secrets": [
            {
                "address": "oauth_app.legacy", "client_id": "cid_legacy", "held": False, "sealed": False,
                "hint": None, "since": None, "origin": None, "confirmed": None, "recipients": None,
                "as_stated": None, "deliveries": {},
            },
            {
                "address": "oauth_app.portal", "client_id": "cid_portal", "held": True, "sealed": True,
                "hint": "hint", "since": held.secret.time, "origin": "create", "confirmed": True,
                "recipients": [PUBLIC], "as_stated": True,
                "deliveries": {
                    "vault": {"place": "vault secret/portal", "since": delivered.time, "current": True},
                },
            },
        ],
    }  # fmt: skip
    assert "BEGIN AGE" not in ran.out


def test_what_a_record_says_does_not_act_on_the_terminal(provisioner, hold) -> None:
    bad = "\x1b[31m\u202e"
    held = record("portal", hint=bad, deliveries={bad: receipt("op_portal", bad)}, time="yesterday")
    hold(held)
    out = provisioner("secret", "list").out
    assert "\\x1b[31m\\u{202e}" in out
    assert "not known" in out
    assert not {"\x1b", "\u202e"} & set(out + provisioner("secret", "list", "--json").out)


def test_a_secret_from_a_clock_that_is_ahead_is_of_no_age(provisioner, hold) -> None:
    hold(record("portal", time=ago(hours=-5)), record("empty", hint=""))
    out = provisioner("secret", "list").out
    assert "hint  0 seconds  create" in out
    assert "oauth_app.empty   -     3 hours" in out


@pytest.mark.parametrize("command", [["list"], ["list", "portal"], ["get", "portal"]])
def test_a_secret_that_an_open_operation_may_have_killed_is_warned_of(
    provisioner, hold, command: list[str]
) -> None:
    store = hold(record("portal"), record("other"))
    leave_open(store, "portal")
    ran = provisioner("secret", *command)
    assert ran.status == 0
    assert ran.err == (
        "Warning: oauth_app.portal: an earlier run left op_portalx open, so its secret may not be the"
        " live one; `provisioner apply` finishes it.\n"
    )
    assert provisioner("secret", "get", "other").err == ""


# --- get


def test_get_prints_the_secret_and_nothing_else(provisioner, hold) -> None:
    canary = secrets.token_urlsafe(24)
    hold(record("portal", canary))
    for arguments in ([], ["--field", "client_secret"], ["--format", "raw"]):
        ran = provisioner("secret", "get", "portal", *arguments)
        assert (ran.status, ran.out, ran.err) == (0, canary, "")


def test_get_of_the_client_id_needs_no_identity(provisioner, hold, monkeypatch) -> None:
    hold(record("portal"), AppRecord(Address("legacy"), record("legacy").app))
    monkeypatch.delenv("SOPS_AGE_KEY")
    for key in ("portal", "legacy"):
        ran = provisioner("secret", "get", key, "--field", "client_id")
        assert (ran.status, ran.out, ran.err) == (0, f"cid_{key}", "")
    assert provisioner("secret", "get", "portal").status == 1


def test_get_prints_both_halves_as_json_or_dotenv(provisioner, hold, tmp_path) -> None:
    canary = 'Zo" $HOME `x` #1 !é'.replace("é", "e")
    hold(record("portal", canary))
    both = {"CLIENT_ID": "cid_portal", "CLIENT_SECRET": canary}
    assert json.loads(provisioner("secret", "get", "portal", "--format", "json").out) == both
    ran = provisioner("secret", "get", "portal", "--format", "dotenv")
    assert ran.out == f"CLIENT_ID='cid_portal'\nCLIENT_SECRET='{canary}'\n"
    (tmp_path / "env").write_text(ran.out)
    script = 'set -a; . ./env; exec "$0" -c \'import os; print(os.environ["CLIENT_SECRET"], end="")\''
    read = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, text=True, check=True)
    assert read.stdout == canary


def test_b55_what_dotenv_cannot_hold_is_an_error_that_does_not_show_it(provisioner, hold) -> None:
    canary = f"it's {secrets.token_urlsafe(24)}"
    hold(record("portal", canary))
    ran = provisioner("secret", "get", "portal", "--format", "dotenv")
    assert (ran.status, ran.out) == (1, "")
    assert canary not in ran.err
    assert "cannot be written as dotenv" in ran.err
    assert ran.err.endswith("Try --format json or raw.\n")
    assert (
        json.loads(provisioner("secret", "get", "portal", "--format", "json").out)["CLIENT_SECRET"] == canary
    )


@pytest.mark.parametrize("form", ["json", "dotenv"])
def test_a_field_and_a_format_of_both_contradict_each_other(provisioner, hold, form: str) -> None:
    hold(record("portal"))
    ran = provisioner("secret", "get", "portal", "--field", "client_secret", "--format", form)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"Error: --format {form} prints both halves\n")


@pytest.mark.parametrize("form", ["raw", "json", "dotenv"])
def test_get_of_what_is_not_held_or_only_in_sinks_says_so(provisioner, hold, form: str) -> None:
    only = record("only")
    hold(
        AppRecord(Address("legacy"), record("legacy").app),
        AppRecord(
            Address("only"),
            only.app,
            secret_with(only.secret, sealed=None, recipients=None),
            deliveries={"env": receipt("op_only", "file")},
        ),
    )
    for key, said in (("legacy", "is not held"), ("only", "is only in its sinks")):
        ran = provisioner("secret", "get", key, "--format", form)
        assert (ran.status, ran.out) == (1, "")
        assert f"Error: The secret of oauth_app.{key} {said}\n" in ran.err


def test_get_into_nothing_is_no_success(hold, tmp_path) -> None:
    hold(record("portal"))
    for form in ("raw", "json"):
        command = [sys.executable, "-m", "provisioner", "secret", "get", "portal", "--format", form]
        with Path("/dev/full").open("w") as full:
            ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
        assert ran.returncode == 1
        assert b"canary" not in ran.stderr


def test_every_secret_command_has_a_line_of_help(provisioner) -> None:
    ran = provisioner("secret", "--help")
    for name in ("list", "get", "exec", "deliver", "rekey"):
        assert f"\n  {name} " in ran.out
    assert ran.out.index("  list ") < ran.out.index("  rekey ")
