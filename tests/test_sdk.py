"""The published SDK as an independent client: what it accepts here, it accepts of Meteroid."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime

import pytest
from meteroid import AuthenticationError, ConflictError, Meteroid, NotFoundError, RateLimitError
from meteroid.models import OAuthApp, RestErrorResponse

from provisioner.sandbox.server import Sandbox, running

URIS = ["https://b.example/cb", "https://a.example/cb"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[Meteroid]:
    with Meteroid(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as sdk:
        yield sdk


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()}


def test_the_sdk_finds_it_by_the_two_variables(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METEROID_BASE_URL", sandbox.url)
    monkeypatch.setenv("METEROID_API_KEY", sandbox.api_key)
    with Meteroid() as sdk:
        assert sdk.oauth_apps.list().data == []


def test_the_sdk_creates_lists_and_retrieves(sandbox: Sandbox, sdk: Meteroid) -> None:
    created = sdk.oauth_apps.create(name="Portal", redirect_uris=URIS, scopes=["read"])
    (truth,) = sandbox.world.apps()
    assert created.client_secret == truth.client_secret
    assert created.app == OAuthApp(
        id=truth.id,
        organization_id=truth.organization_id,
        name="Portal",
        client_id=truth.client_id,
        client_secret_hint=truth.client_secret_hint,
        redirect_uris=URIS,
        scopes=["read"],
        is_active=True,
        created_at=datetime.fromisoformat(truth.created_at),
        updated_at=None,
    )
    assert sdk.oauth_apps.list().data == [created.app] == [sdk.oauth_apps.retrieve(truth.id)]


def test_the_sdk_rotates_and_introspection_tells_the_pairs_apart(sandbox: Sandbox, sdk: Meteroid) -> None:
    app = sandbox.world.create("n", URIS)
    rotated = sdk.oauth_apps.rotate(app.id)
    truth = sandbox.world.get(app.id)
    assert (rotated.client_secret, rotated.client_secret_hint) == (
        truth.client_secret,
        truth.client_secret_hint,
    )
    right = sdk.oauth.introspect(token="junk", extra_headers=basic(app.client_id, rotated.client_secret))
    assert right.active is False
    with pytest.raises(AuthenticationError):
        sdk.oauth.introspect(token="junk", extra_headers=basic(app.client_id, app.client_secret))


def test_the_sdk_deletes(sandbox: Sandbox, sdk: Meteroid) -> None:
    app = sandbox.world.create("n", URIS)
    sdk.oauth_apps.delete(app.id)
    assert sandbox.world.apps() == ()
    with pytest.raises(NotFoundError) as caught:
        sdk.oauth_apps.delete(app.id)
    assert isinstance(caught.value.body, RestErrorResponse)


def test_the_sdk_reads_the_errors(sandbox: Sandbox, sdk: Meteroid) -> None:
    sandbox.world.create("n", URIS)
    with pytest.raises(ConflictError) as caught:
        sdk.oauth_apps.create(name="n", redirect_uris=URIS)
    assert isinstance(caught.value.body, RestErrorResponse)
    assert caught.value.body.code == "CONFLICT"
    sandbox.add_fault("list:429=1")
    with pytest.raises(RateLimitError):
        sdk.oauth_apps.list()
    with (
        Meteroid(api_key="wrong", base_url=sandbox.url, max_retries=0) as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.oauth_apps.list()


def test_unknown_fields_do_not_trouble_the_sdk(sandbox: Sandbox, sdk: Meteroid) -> None:
    sandbox.add_fault("create:extra")
    created = sdk.oauth_apps.create(name="n", redirect_uris=URIS)
    assert created.client_secret == sandbox.world.apps()[0].client_secret
