"""`secret rekey`: the same secrets for other readers, all opened before one is written."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli import identities, secret_rekey
from provisioner.delivery import Receipt
from provisioner.envelope import Label, pack
from provisioner.errors import FileError, SealingError
from provisioner.model import Address, App, Secret
from provisioner.operation import Operation, Step
from provisioner.phases import Kind, Phase
from provisioner.rekeying import has_others, key_of, taken_off
from provisioner.sealing import Sealer, generate_identity, identities_from, open_sealed
from provisioner.state import AppRecord, Header, SealedSecret
from provisioner.stores.directory import DirectoryStore

OWN, NEW, OLD = (generate_identity() for _ in range(3))
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINCQcvKUXUBgpWmjE5LWAqDxzcU571GWLNZ+lI411+n6"
KEYS = ("a", "b", "c")
Hold = Callable[..., DirectoryStore]


def content(key: str, canary: str) -> Secret:
    app = {
        "id": f"app_{key}", "organization_id": "org_1", "name": key, "client_id": f"cid_{key}",
        "client_secret_hint": "hint", "redirect_uris": [], "scopes": [], "is_active": True,
        "created_at": "2026-01-02T03:04:05Z",
    }  # fmt: skip
    body = json.dumps({"app": app, "client_secret": canary}).encode()
    return pack(Label(f"op_{key}", "create", None), Secret(body))


def record(key: str, canary: str = "canary-7Qz", readers: Sequence[str] = (OWN[1], OLD[1])) -> AppRecord:
    app = App(f"app_{key}", "org_1", key, f"cid_{key}", "hint", (), (), True, "2026-01-02T03:04:05Z")
    sealed = Sealer(readers).seal(content(key, canary))
    time, settled = "2026-01-02T03:04:06Z", "2026-01-02T03:05:06Z"
    secret = SealedSecret(sealed, "hint", "rotate", f"op_{key}", time, False, settled, tuple(readers))
    receipt = Receipt(operation=f"op_{key}", address=key, fingerprint="f", place="file", time=time)
    return AppRecord(Address(key), app, secret, protect=True, deliveries={"env": receipt})


def changed(one: AppRecord, **fields: Any) -> AppRecord:
    assert one.secret is not None
    return replace(one, secret=replace(one.secret, **fields))


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Put records into the state of a manifest that names the given recipients; we have OWN."""
    monkeypatch.setenv("SOPS_AGE_KEY", OWN[0].reveal().decode())
    monkeypatch.chdir(tmp_path)

    def put(*records: AppRecord, recipients: Sequence[str] = (OWN[1], NEW[1])) -> DirectoryStore:
        stated = f"state: {{recipients: {json.dumps(list(recipients))}}}\n" if recipients else ""
        (tmp_path / "apps.yaml").write_text(f"version: 1\n{stated}apps: {{}}\n")
        store = DirectoryStore(tmp_path / "state")
        with store.lock("test"):
            store.write_header(Header("lineage_1", "https://api.meteroid.com", "org_1"))
            for one in records:
                store.write_record(one)
        return store

    return put


def opened(one: AppRecord, private: Secret) -> Secret:
    assert one.secret is not None
    assert one.secret.sealed is not None
    return open_sealed(one.secret.sealed, identities_from(private))


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("state").rglob("*") if path.is_file()}


def leave_open(store: DirectoryStore, key: str, kind: Kind = Kind.ROTATE) -> None:
    """An operation as a killed run leaves it."""
    operation = Operation(f"op_{key}x", kind, Address(key), "lineage_1", app=record(key).app)
    store.open_operation(operation, Step(Phase.ROTATING, app_id=f"app_{key}"), 100).leave()


# --- what is done


@pytest.mark.parametrize("arguments", [["--auto-approve"], ["--yes"], ["-y"], []])
def test_every_secret_is_sealed_to_the_present_recipients_and_nothing_else_changes(
    provisioner, hold: Hold, arguments: list[str]
) -> None:
    canaries = {key: secrets.token_urlsafe(24) for key in KEYS}
    store = hold(*(record(key, canary) for key, canary in canaries.items()))
    before = store.read().records
    ran = provisioner("secret", "rekey", *arguments, answer="yes\n")
    assert ran.status == 0
    for address, after in store.read().records.items():
        old = before[address]
        assert old.secret is not None
        assert after.secret is not None
        assert after.secret.recipients == (OWN[1], NEW[1])
        assert changed(after, sealed=old.secret.sealed, recipients=old.secret.recipients) == old
        assert opened(after, NEW[0]) == opened(after, OWN[0]) == opened(old, OLD[0])
        assert canaries[address.key].encode() in opened(after, NEW[0]).reveal()
        with pytest.raises(SealingError):
            opened(after, OLD[0])
    shown = ran.out + ran.err + "".join(str(data) for data in files().values())
    assert not [canary for canary in canaries.values() if canary in shown]


def test_it_says_what_will_be_done_and_who_can_read_then_and_what_that_does_not_do(
    provisioner, hold: Hold
) -> None:
    only = replace(changed(record("only"), sealed=None, recipients=None), protect=False)
    hold(record("a"), record("b"), replace(record("legacy"), secret=None), only)
    ran = provisioner("secret", "rekey", answer="yes\n")
    assert ran.out == (
        "oauth_app.legacy: there is no sealed secret, so nothing is done about it.\n"
        "oauth_app.only: there is no sealed secret, so nothing is done about it.\n"
        "These secrets will be sealed anew:\n"
        "  oauth_app.a\n"
        "  oauth_app.b\n"
        "\n"
        "They can then be read by:\n"
        f"  {OWN[1]} (the manifest)\n"
        f"  {NEW[1]} (the manifest)\n"
        "\n"
        "No longer by:\n"
        f"  {OLD[1]}\n"
        "\n"
        "Do you want to do this?\n"
        "  Only 'yes' will be accepted to approve.\n"
        "\n"
        "  Enter a value: \n"
        "oauth_app.a: sealed anew\n"
        "oauth_app.b: sealed anew\n"
        "\n"
        "Done: 2 sealed to 2 recipients.\n"
    )
    assert ran.err == (
        "Warning: whoever could read these secrets before may know them, and version control keeps what was"
        " sealed to them.\n"
        "Only new secrets end that; the present ones stop working at once:\n"
        "  provisioner rotate a b\n"
    )


def test_where_nobody_is_taken_off_nothing_has_to_be_rotated(provisioner, hold: Hold) -> None:
    hold(record("a", readers=[OWN[1]]), record("b"), recipients=[OWN[1], NEW[1], OLD[1]])
    ran = provisioner("secret", "rekey", "--yes")
    assert (ran.status, ran.err) == (0, "")
    assert "No longer by" not in ran.out
    assert ran.out.endswith("By what the records said, nobody was taken off who could read them before.\n")


def test_where_it_is_not_known_who_could_read_that_is_said_and_the_rotation_advised(
    provisioner, hold: Hold
) -> None:
    hold(changed(record("a"), recipients=None), record("b", readers=[OWN[1]]))
    ran = provisioner("secret", "rekey", "--yes")
    assert "Of some of them it is not known who could read them until now.\n" in ran.out
    assert ran.err.endswith("\n  provisioner rotate a\n")


def test_only_the_addresses_that_are_named_are_sealed_anew(provisioner, hold: Hold) -> None:
    store = hold(*map(record, KEYS))
    before = files()
    assert provisioner("secret", "rekey", "--yes", "b", "oauth_app.b").status == 0
    assert [name for name, data in files().items() if data != before[name]] == [
        str(Path("state/apps/b.json"))
    ]
    assert store.read().records[Address("b")].secret != record("b").secret


@pytest.mark.parametrize("source", ["the environment", "one's own identity", "the manifest"])
def test_the_recipients_are_those_that_a_new_secret_would_be_sealed_to(
    provisioner, hold: Hold, monkeypatch, source: str
) -> None:
    stated = (OWN[1], f"{SSH} me@example") if source == "the manifest" else ()
    store = hold(record("a"), recipients=stated)
    if source == "the environment":
        monkeypatch.setenv("PROVISIONER_AGE_RECIPIENTS", f"{OWN[1]},{NEW[1]}")
    assert provisioner("secret", "rekey", "--yes").status == 0
    secret = store.read().records[Address("a")].secret
    assert secret is not None
    expected = {"the environment": (OWN[1], NEW[1]), "one's own identity": (OWN[1],), "the manifest": stated}
    assert secret.recipients == expected[source]


def test_what_is_sealed_anew_is_not_marked_by_list_any_more(provisioner, hold: Hold) -> None:
    hold(record("a"))
    assert "2, others" in provisioner("secret", "list").out
    assert provisioner("secret", "rekey", "--yes").status == 0
    ran = provisioner("secret", "list")
    assert "others" not in ran.out + ran.err


def test_whoever_locks_themselves_out_is_told(provisioner, hold: Hold) -> None:
    hold(record("a"), recipients=[NEW[1]])
    ran = provisioner("secret", "rekey", answer="no\n")
    assert (ran.status, "none of your identities is among the readers" in ran.err) == (1, True)
    hold(record("a"), recipients=[NEW[1], OWN[1]])
    assert "none of your identities" not in provisioner("secret", "rekey", answer="no\n").err


def test_a_passphrase_is_asked_for_once(provisioner, hold: Hold, monkeypatch) -> None:
    store = hold(*map(record, KEYS), recipients=())
    monkeypatch.setenv("SOPS_AGE_KEY", "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 18\n")
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "x"

    monkeypatch.setattr(identities, "getpass", answer)
    monkeypatch.setattr(identities, "unlock", lambda *_: OWN[0])
    assert provisioner("secret", "rekey", "--yes").status == 0
    assert len(asked) == 1
    assert all(one.secret and one.secret.recipients == (OWN[1],) for one in store.read().records.values())


# --- what is not done


@pytest.mark.parametrize("answer", ["no\n", "\n", "y\n", "YES\n"])
def test_anything_but_yes_declines_and_nothing_is_written(provisioner, hold: Hold, answer: str) -> None:
    hold(record("a"))
    before = files()
    ran = provisioner("secret", "rekey", answer=answer)
    assert ran.status == 1
    assert ran.out.endswith("\nCancelled. Nothing was done.\n")
    assert files() == before


def test_where_nobody_can_answer_it_is_an_error_that_says_what_to_give(provisioner, hold: Hold) -> None:
    hold(record("a"))
    before = files()
    ran = provisioner("secret", "rekey", answer="")
    assert (ran.status, files()) == (1, before)
    assert ran.err.endswith(
        "Error: There is no answer\n\nStandard input is at its end. Nothing was done.\nGive --auto-approve.\n"
    )


def swapped() -> AppRecord:
    """Another record's sealed secret in the place of b's."""
    other = record("c", "canary-of-c").secret
    assert other is not None
    return changed(record("b"), sealed=other.sealed)


def foreign() -> AppRecord:
    """Something else that was sealed to us, and is nobody else's business."""
    return changed(record("b"), sealed=Sealer([OWN[1]]).seal(Secret(b"canary-7Qz: a diary")))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda: record("b", readers=[OLD[1]]), "The secret of oauth_app.b cannot be opened"),
        (lambda: changed(record("b"), sealed="junk"), "The secret of oauth_app.b cannot be opened"),
        (swapped, "What is sealed for oauth_app.b answered another request"),
        (foreign, "What was sealed is not of this tool's form"),
    ],
    ids=["another's", "damaged", "another record's", "none of ours"],
)
@pytest.mark.parametrize("arguments", [["--yes"], []])
def test_where_one_cannot_be_opened_or_is_not_its_records_none_is_written(
    provisioner, hold: Hold, bad: Callable[[], AppRecord], said: str, arguments: list[str]
) -> None:
    hold(record("a"), bad(), record("c", "canary-of-c"))
    before = files()
    ran = provisioner("secret", "rekey", *arguments, answer="yes\n")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"Error: {said}\n")
    assert "canary" not in ran.err
    assert files() == before
    assert provisioner("secret", "rekey", "--yes", "a", "c").status == 0


def test_without_an_identity_nothing_is_done(provisioner, hold: Hold, monkeypatch) -> None:
    hold(record("a"))
    monkeypatch.delenv("SOPS_AGE_KEY")
    ran = provisioner("secret", "rekey", "--yes")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: There is no identity to open a secret with\n")


def test_b56_without_recipients_nothing_is_done(provisioner, hold: Hold, monkeypatch) -> None:
    hold(record("a"), recipients=())
    monkeypatch.delenv("SOPS_AGE_KEY")
    ran = provisioner("secret", "rekey", "--yes")
    assert ran.status == 1
    assert ran.err.startswith("Error: Nobody could read the secrets: there are no recipients\n")


def test_what_is_named_and_has_no_sealed_secret_is_an_error(provisioner, hold: Hold) -> None:
    hold(record("a"), replace(record("legacy"), secret=None), changed(record("only"), sealed=None))
    for key in ("legacy", "only"):
        ran = provisioner("secret", "rekey", "--yes", "a", key)
        assert (ran.status, ran.out) == (1, "")
        assert ran.err.startswith(f"Error: There is no sealed secret of oauth_app.{key}\n")
    assert provisioner("secret", "rekey", "--yes", "nobody").status == 1


@pytest.mark.parametrize("records", [[], ["legacy"]])
def test_where_nothing_is_sealed_there_is_nothing_to_do(provisioner, hold: Hold, records: list[str]) -> None:
    hold(*(replace(record(key), secret=None) for key in records))
    ran = provisioner("secret", "rekey")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == "There is nothing to seal anew."
    assert len(ran.out.splitlines()) == 1 + len(records)


def test_what_an_earlier_run_left_open_is_finished_first(provisioner, hold: Hold) -> None:
    store = hold(record("a"), record("b"))
    leave_open(store, "b")
    before = files()
    for arguments in ([], ["b"], ["a", "b"]):
        ran = provisioner("secret", "rekey", "--yes", *arguments)
        assert (ran.status, ran.out) == (1, "")
        assert ran.err.startswith("Error: An earlier run left oauth_app.b open\n")
    assert files() == before
    assert provisioner("secret", "rekey", "--yes", "a").status == 0


@pytest.mark.parametrize("arguments", [["--yes"], []])
def test_a_held_lock_is_4_and_nothing_is_written(provisioner, hold: Hold, arguments: list[str]) -> None:
    store = hold(record("a"))
    with store.lock("apply"):
        before = files()
        ran = provisioner("secret", "rekey", *arguments, answer="yes\n")
        assert ran.status == 4
        assert files() == before


def test_a_state_that_changed_while_it_was_asked_is_an_error(provisioner, hold: Hold, monkeypatch) -> None:
    store = hold(record("a"), record("b"))

    def meanwhile() -> bool:
        store.write_record(record("b", "another"))
        return True

    monkeypatch.setattr(secret_rekey, "_confirmed", meanwhile)
    ran = provisioner("secret", "rekey")
    assert ran.status == 1
    assert ran.err.startswith("Error: The state changed while you were asked\n")
    secret = store.read().records[Address("a")].secret
    assert secret is not None
    assert secret.recipients == (OWN[1], OLD[1])


@pytest.mark.parametrize(("good", "status"), [(0, 1), (1, 3), (2, 3)])
def test_a_record_that_cannot_be_written_leaves_the_others_whole_and_says_how_far_it_came(
    provisioner, hold: Hold, monkeypatch, good: int, status: int
) -> None:
    store = hold(*map(record, KEYS))
    write, written = DirectoryStore.write_record, list[Address]()

    def failing(self: DirectoryStore, one: AppRecord) -> None:
        if len(written) == good:
            raise FileError("Could not write it", "No space left on device.")
        written.append(one.address)
        write(self, one)

    monkeypatch.setattr(DirectoryStore, "write_record", failing)
    ran = provisioner("secret", "rekey", "--yes")
    assert ran.status == status
    assert ran.err.startswith("Error: Could not write it\n")
    assert ("of 3 were sealed anew, the others are as they were." in ran.err) == bool(good)
    for address, one in store.read().records.items():
        assert opened(one, OWN[0]) == content(address.key, "canary-7Qz")
        assert one.secret is not None
        assert (one.secret.recipients == (OWN[1], NEW[1])) == (address in written)


# --- who can read


def secret(recipients: Sequence[str] | None) -> SealedSecret:
    known = None if recipients is None else tuple(recipients)
    return SealedSecret("x", "hint", "create", "op_1", "now", recipients=known)


def test_an_ssh_key_is_the_same_with_another_comment() -> None:
    assert key_of(f"{SSH} me@example") == key_of(SSH) == SSH
    assert key_of(OWN[1]) == OWN[1]
    assert not has_others(secret([f"{SSH} a", OWN[1]]), [OWN[1], f"{SSH} b"])
    assert taken_off(secret([f"{SSH} a", OWN[1]]), [f"{SSH} b"]) == {OWN[1]}


def test_readers_that_are_not_known_are_neither_the_same_nor_others() -> None:
    assert not has_others(secret(None), [OWN[1]])
    assert taken_off(secret(None), [OWN[1]]) is None


def test_more_readers_and_fewer_are_both_others() -> None:
    assert has_others(secret([OWN[1]]), [OWN[1], NEW[1]])
    assert has_others(secret([OWN[1], NEW[1]]), [OWN[1]])
    assert taken_off(secret([OWN[1]]), [OWN[1], NEW[1]]) == set()
