"""From a record to its client secret, and to no other record's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from provisioner.custody import client_secret, naming
from provisioner.delivery import Receipt
from provisioner.envelope import Label, pack
from provisioner.errors import NotOpenedError, SealingError
from provisioner.model import Address, App, Secret
from provisioner.sealing import Sealer, generate_identity, identities_from, open_sealed
from provisioner.state import AppRecord, SealedSecret

CANARY = "canary-7Qz"
APP = App("app_1", "org_1", "Portal", "cid", "hint", (), (), True, "2026-01-02T03:04:05Z")
FIELDS = {
    "id": "app_1", "organization_id": "org_1", "name": "Portal", "client_id": "cid",
    "client_secret_hint": "hint", "redirect_uris": [], "scopes": [], "is_active": True,
    "created_at": "2026-01-02T03:04:05Z",
}  # fmt: skip


def created(app_id: str = "app_1", operation: str = "op_1") -> Secret:
    body = json.dumps({"app": FIELDS | {"id": app_id}, "client_secret": CANARY}).encode()
    return pack(Label(operation, "create", None), Secret(body))


def rotated(app_id: str | None = "app_1", operation: str = "op_1") -> Secret:
    body = json.dumps({"client_secret": CANARY, "client_secret_hint": "hint"}).encode()
    return pack(Label(operation, "rotate", app_id), Secret(body))


def record(sealed: str = "sealed", operation: str = "op_1") -> AppRecord:
    return AppRecord(
        Address("portal"), APP, SealedSecret(sealed, "hint", "create", operation, "2026-01-02T03:04:06Z")
    )


def opening_to(content: Secret) -> Callable[[str], Secret]:
    def opener(sealed: str) -> Secret:
        assert sealed == "sealed"
        return content

    return opener


@pytest.mark.parametrize("content", [created(), rotated()], ids=["of a create", "of a rotate"])
def test_the_secret_comes_out_of_the_sealed_answer(content: Secret) -> None:
    assert client_secret(record(), opening_to(content)) == Secret(CANARY.encode())


@pytest.mark.parametrize("content", [created(), rotated()], ids=["of a create", "of a rotate"])
def test_the_secret_comes_out_of_a_real_sealing(content: Secret) -> None:
    private, public = generate_identity()
    identities = identities_from(private)
    sealed = record(Sealer([public]).seal(content))
    assert client_secret(sealed, lambda text: open_sealed(text, identities)) == Secret(CANARY.encode())


FOREIGN = {
    "another app's create": created("app_2"),
    "another app's rotate": rotated("app_2"),
    "a rotate of an app that it does not name": rotated(None),
    "another request of the same app": created(operation="op_0"),
    "another rotate of the same app": rotated(operation="op_0"),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_what_was_sealed_for_another_record_or_request_is_noticed(content: Secret) -> None:
    with pytest.raises(SealingError, match=r"oauth_app\.portal answered another request") as caught:
        client_secret(record(), opening_to(content))
    assert "another record's sealed secret, or an older one" in caught.value.detail
    assert "version control" in caught.value.hint
    assert CANARY not in repr(vars(caught.value))


def test_a_renamed_key_changes_nothing() -> None:
    moved = replace(record(), address=Address("other"))
    assert client_secret(moved, opening_to(created())) == Secret(CANARY.encode())


def test_a_record_without_a_secret_says_so_and_nothing_is_opened() -> None:
    with pytest.raises(SealingError, match=r"The secret of oauth_app\.portal is not held"):
        client_secret(replace(record(), secret=None), lambda _: pytest.fail("there is nothing to open"))


def test_a_secret_that_is_not_held_says_how_there_will_be_one() -> None:
    with pytest.raises(SealingError) as caught:
        client_secret(replace(record(), secret=None), lambda _: pytest.fail("there is nothing to open"))
    assert caught.value.hint == (
        "`provisioner rotate portal` gives it a new one; the present one stops working at once."
    )


def test_a_secret_that_only_sinks_have_names_those_that_have_this_one() -> None:
    held = record().secret
    assert held is not None
    receipts = {
        name: Receipt(operation, "oauth_app.portal", "f", place, "2026-01-02T03:04:07Z")
        for name, operation, place in [
            ("kv", "op_1", "the entry \x1b[2J"), ("box", "op_1", "a file"), ("old", "op_0", "elsewhere"),
        ]
    }  # fmt: skip
    only = replace(record(), secret=replace(held, sealed=None), deliveries=receipts)
    with pytest.raises(SealingError, match="is only in its sinks") as caught:
        client_secret(only, lambda _: pytest.fail("there is nothing to open"))
    assert caught.value.detail.endswith(r" It is in box (a file). It is in kv (the entry \x1b[2J).")
    assert caught.value.hint.startswith(
        "Take it from there; or `provisioner rotate portal` gives it a new one"
    )


UNUSABLE = {
    "no JSON": b"oops " + CANARY.encode(),
    "no app": json.dumps({"client_secret": CANARY}).encode(),
    "a damaged app": json.dumps({"app": FIELDS | {"id": CANARY}, "client_secret": CANARY}).encode(),
    "no secret": json.dumps({"app": FIELDS, "x": CANARY}).encode(),
}


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE)
def test_b64_an_answer_without_a_usable_secret_is_refused_and_not_shown(body: bytes) -> None:
    content = pack(Label("op_1", "create", "app_1"), Secret(body))
    with pytest.raises(SealingError, match="holds no usable secret") as caught:
        client_secret(record(), opening_to(content))
    error: BaseException | None = caught.value
    while error is not None:
        assert CANARY not in repr(error) + repr(vars(error))
        error = error.__context__


def test_what_is_none_of_ours_is_refused() -> None:
    with pytest.raises(SealingError, match="not of this tool's form"):
        client_secret(record(), opening_to(Secret(CANARY.encode())))


def test_an_opener_that_fails_has_the_last_word() -> None:
    def failing(_: str) -> Secret:
        raise SealingError("None of your identities opens this secret")

    with pytest.raises(SealingError, match="None of your identities"):
        client_secret(record(), failing)


@pytest.mark.parametrize(
    ("recipients", "told"),
    [
        (None, ""),
        (("age1a", "ssh-rsa A\x1b me"), " By its record it can be opened by: age1a, ssh-rsa A\\x1b me."),
        (("age1a",) * 12, f" By its record it can be opened by: {'age1a, ' * 10}…."),
    ],
)
def test_where_nothing_opens_it_the_record_says_who_could_as_far_as_it_knows(
    recipients: tuple[str, ...] | None, told: str
) -> None:
    def failing(_: str) -> Secret:
        raise NotOpenedError("None opens it", "Tried: age1b.", "Use another.")

    held = record()
    assert held.secret is not None
    held = replace(held, secret=replace(held.secret, recipients=recipients))
    with pytest.raises(NotOpenedError) as caught:
        client_secret(held, naming(held.address, failing))
    assert caught.value.summary == "The secret of oauth_app.portal cannot be opened"
    assert caught.value.detail == f"None opens it. Tried: age1b.{told}"
    assert caught.value.hint == "Use another."
