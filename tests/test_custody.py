"""From a record to its client secret, and to no other record's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from provisioner.custody import client_secret
from provisioner.envelope import Label, pack
from provisioner.errors import SealingError
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
