"""The six operations over a world: a call in, an answer out, and nothing of HTTP's wire in between."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import parse_qs

from provisioner.errors import FileError
from provisioner.sandbox.world import NameTakenError, NoSuchAppError, OAuthApp, World

OPERATIONS = ("list", "create", "get", "delete", "rotate", "introspect")
OTHER = "other"  # a request for anything else
_FIELDS = (
    *("id", "organization_id", "name", "client_id", "client_secret_hint", "redirect_uris", "scopes"),
    *("is_active", "created_at", "updated_at"),
)
_CODES = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    429: "TOO_MANY_REQUESTS",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came in. Headers (names in lower case) and body may hold secrets: not in its repr."""

    operation: str
    method: str
    path: str
    app_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply to be sent. The body may hold a secret: not in its repr."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = ()


class RefusedError(Exception):
    """The call is refused with this status and these words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def answer(world: World, api_key: str, call: Call) -> Answer:
    """What the API answers to `call`; what it asks for is done when this returns."""
    try:
        if call.operation == "introspect":
            return _introspect(world, call)
        _authorize(call, api_key)
        return _MANAGEMENT.get(call.operation, _other)(world, call)
    except RefusedError as error:
        return refusal(error.status, error.message)
    except NoSuchAppError:
        return refusal(404, "There is no OAuth app with this id.")
    except NameTakenError:
        return refusal(409, "There is already an OAuth app with this name.")
    except FileError as error:
        return refusal(500, error.summary)


def document(status: int, content: Any, *headers: tuple[str, str]) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, json.dumps(content).encode(), (("content-type", "application/json"), *headers))


def refusal(status: int, message: str, *headers: tuple[str, str]) -> Answer:
    """A `RestErrorResponse`."""
    code = _CODES.get(status, "BAD_REQUEST" if status < 500 else "INTERNAL_SERVER_ERROR")
    return document(status, {"code": code, "message": message}, *headers)


def _authorize(call: Call, api_key: str) -> None:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), api_key.encode()):
        raise RefusedError(401, "The bearer token is missing or not the sandbox's.")


def _public(app: OAuthApp) -> dict[str, Any]:
    return {name: getattr(app, name) for name in _FIELDS}


def _list(world: World, _: Call) -> Answer:
    return document(200, {"data": [_public(app) for app in world.listed()]})


def _create(world: World, call: Call) -> Answer:
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "The Content-Type is not application/json.")
    try:
        fields = json.loads(call.body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise RefusedError(422, "The body is not an object.")
    name, uris, scopes = fields.get("name"), fields.get("redirect_uris"), fields.get("scopes")
    if not _is_text(name):
        raise RefusedError(422, "name is not a string.")
    if not _are_texts(uris):
        raise RefusedError(422, "redirect_uris is not an array of strings.")
    if scopes is not None and not _are_texts(scopes):
        raise RefusedError(422, "scopes is neither an array of strings nor null.")
    app = world.create(name, uris, scopes)
    return document(201, {"app": _public(app), "client_secret": app.client_secret})


def _get(world: World, call: Call) -> Answer:
    return document(200, _public(world.get(call.app_id)))


def _delete(world: World, call: Call) -> Answer:
    world.delete(call.app_id)
    return Answer(204)


def _rotate(world: World, call: Call) -> Answer:
    app = world.rotate(call.app_id)
    return document(200, {"client_secret": app.client_secret, "client_secret_hint": app.client_secret_hint})


def _other(_: World, __: Call) -> Answer:
    raise RefusedError(404, "The sandbox has nothing here.")


def _introspect(world: World, call: Call) -> Answer:
    """No token was ever issued here, so none is active: the answer is all about the pair (RFC 7662 §2)."""
    client_id, client_secret = _basic(call.headers.get("authorization", ""))
    if not world.confirms(client_id, client_secret):
        return document(401, {"error": "invalid_client"}, ("www-authenticate", 'Basic realm="sandbox"'))
    if not parse_qs(call.body.decode("utf-8", "replace")).get("token"):
        return document(400, {"error": "invalid_request", "error_description": "token is missing"})
    return document(200, {"active": False})


def _basic(header: str) -> tuple[str, str]:
    """User and password of a Basic header (RFC 7617 §2), both empty where it is none."""
    scheme, _, coded = header.partition(" ")
    try:
        user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")


def _is_text(value: Any) -> TypeGuard[str]:
    """A string of Unicode scalar values: JSON's escapes can spell lone surrogates, which are none."""
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def _are_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(map(_is_text, value))


_MANAGEMENT = {"list": _list, "create": _create, "get": _get, "delete": _delete, "rotate": _rotate}
