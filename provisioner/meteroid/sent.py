"""What is sent: paths, bodies, credentials, and how large an answer each request may have."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from typing import Final
from urllib.parse import quote_plus

from provisioner.frozen import dataclass
from provisioner.model import AppSpec, Secret
from provisioner.reply import valid_app_id

APPS: Final = "/api/v1/oauth-apps"
INTROSPECT: Final = "/api/v1/oauth/introspect"
LIST_LIMIT: Final = 256 * 1024 * 1024
READ_LIMIT: Final = 1024 * 1024
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as values. `limit` is the largest body, in bytes, that its answer may have."""

    method: str
    path: str
    authorization: Secret
    limit: int
    content: bytes | None = None
    content_type: str = _JSON


def app_path(app_id: str) -> str:
    """The path of one app; raises ApiError where `app_id` is not an id, before it becomes part of a URL."""
    return f"{APPS}/{valid_app_id(app_id)}"


def create_request(spec: AppSpec) -> bytes:
    """The body of a create. ASCII throughout: JSON's escapes carry any character, even one UTF-8 cannot."""
    fields: dict[str, object] = {"name": spec.name, "redirect_uris": spec.redirect_uris}
    if spec.scopes is not None:
        fields["scopes"] = spec.scopes
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def bearer(token: Secret) -> Secret:
    """The `Authorization` of RFC 6750 §2.1."""
    return Secret(b"Bearer " + token.reveal())


def basic_forms(client_id: str, client_secret: Secret) -> tuple[Secret, ...]:
    """The forms of HTTP Basic to try, in order; one where both are the same.

    RFC 6749 §2.3.1 has id and secret form-encoded first, and many servers do not decode that. Letters and
    digits look the same either way. For the rest both are tried, so that a right pair is never called wrong.
    """
    pair = (client_id.encode(), client_secret.reveal())
    encoded, plain = (_basic(*(quote_plus(half).encode() for half in pair)), _basic(*pair))
    return (encoded,) if encoded == plain else (encoded, plain)


def _basic(user: bytes, password: bytes) -> Secret:
    return Secret(b"Basic " + b64encode(user + b":" + password))


def introspection(authorization: Secret) -> Request:
    """An introspection of a token that nobody was given: only the client's own pair is being asked about."""
    content = b"token=" + os.urandom(32).hex().encode("ascii")
    return Request("POST", INTROSPECT, authorization, READ_LIMIT, content, _FORM)
