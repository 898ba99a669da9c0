"""What the API answers, read strictly: JSON in, values out, and no word of the input in an error."""

from __future__ import annotations

import contextlib
import json
import re
from datetime import datetime
from typing import Any

from provisioner.errors import ApiError
from provisioner.model import App, AppSpec, Secret

APP_ID = re.compile(r"app_[0-9A-Za-z]{1,64}")
ORGANIZATION_ID = re.compile(r"org_[0-9A-Za-z]{1,64}")
_VSCHAR = re.compile(r"[\x20-\x7e]{1,1024}")  # RFC 6749 appendix A.1 and A.2: client_id and client_secret
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_TEXT_LIMIT = 8192
REPLY_LIMIT = 64 * 1024


class UnusableError(ValueError):
    """The answer is not of the described form. Its text names the field, never the value."""


def decode(body: bytes) -> Any:
    """JSON of an answer, refusing NaN, depth and numbers beyond what an answer needs."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
    raise UnusableError("the body is not JSON")  # out here it has no context: json's error holds the document


def _refuse(_: str) -> Any:
    raise ValueError


def app_from(document: Any) -> App:
    """One `OAuthApp`. Unknown fields are passed over; each known one must have its form."""
    fields = _mapping(document, "the app")
    return App(
        id=_matching(fields, "id", APP_ID),
        organization_id=_matching(fields, "organization_id", ORGANIZATION_ID),
        name=_text(fields, "name"),
        client_id=_matching(fields, "client_id", _VSCHAR),
        client_secret_hint=_text(fields, "client_secret_hint"),
        redirect_uris=_texts(fields, "redirect_uris"),
        scopes=_texts(fields, "scopes"),
        is_active=_flag(fields, "is_active"),
        created_at=_moment(fields, "created_at"),
        updated_at=None if fields.get("updated_at") is None else _moment(fields, "updated_at"),
    )


def apps_from(body: bytes) -> tuple[App, ...]:
    """The answer to a list."""
    return apps_in(decode(body))


def apps_in(document: Any) -> tuple[App, ...]:
    """As `apps_from`, decoded. Two apps with one id, or of two organizations, cannot be a list of ours."""
    data = _mapping(document, "the answer").get("data")
    if not isinstance(data, list):
        raise UnusableError("data is not a list")
    apps = tuple(map(app_from, data))
    if len({app.id for app in apps}) != len(apps):
        raise UnusableError("two apps have one id")
    if len({app.organization_id for app in apps}) > 1:
        raise UnusableError("the apps belong to more than one organization")
    return apps


def created_from(body: Secret) -> tuple[App, Secret]:
    """The answer to a create: the app and its secret (`OAuthAppWithSecret`)."""
    fields = _mapping(decode(body.reveal()), "the answer")
    return app_from(fields.get("app")), _secret(fields)


def rotated_from(body: Secret) -> tuple[str, Secret]:
    """The answer to a rotate: the new hint and the new secret (`RotatedSecret`)."""
    fields = _mapping(decode(body.reveal()), "the answer")
    return _text(fields, "client_secret_hint"), _secret(fields)


def valid_app_id(text: str) -> str:
    """`text` where it is an app id; ids go into URLs, so nothing else may."""
    if not APP_ID.fullmatch(text):
        raise ApiError("Not an app id", "An app id is app_ and up to 64 letters and digits.")
    return text


def is_moment(text: str) -> bool:
    """Whether `text` is a date and time with its offset (RFC 3339 §5.6)."""
    if _MOMENT.fullmatch(text):
        with contextlib.suppress(ValueError):  # a 13th month
            datetime.fromisoformat(text.upper())
            return True
    return False


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnusableError(f"{what} is not an object")
    return value


def _is_text(value: Any) -> bool:
    """A string that can be written as UTF-8: JSON's escapes can spell lone surrogates, which cannot."""
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT:
        return False
    return value.isascii() or value.isprintable() or not any("\ud800" <= char <= "\udfff" for char in value)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not _is_text(value):
        raise UnusableError(f"{name} is not a string of at most {_TEXT_LIMIT} characters")
    return str(value)


def _texts(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    if not isinstance(value, list) or not all(map(_is_text, value)):
        raise UnusableError(f"{name} is not a list of strings")
    return tuple(value)


def _matching(fields: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise UnusableError(f"{name} is not of its form")
    return value


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if not isinstance(value, bool):
        raise UnusableError(f"{name} is neither true nor false")
    return value


def _moment(fields: dict[str, Any], name: str) -> str:
    value = _text(fields, name)
    if not is_moment(value):
        raise UnusableError(f"{name} is not a date and time with its offset (RFC 3339)")
    return value


def _secret(fields: dict[str, Any]) -> Secret:
    return Secret(_matching(fields, "client_secret", _VSCHAR).encode("ascii"))


def glimpse(body: Secret) -> tuple[str | None, str | None, str | None]:
    """Id, client id and hint of a usable answer to a create, else nothing; it never raises."""
    try:
        app, _ = created_from(body)
    except UnusableError:
        return None, None, None
    return app.id, app.client_id, app.client_secret_hint


def reply_limit(spec: AppSpec) -> int:
    """How many bytes an answer to a create may have: 64 KiB, or 4 times the request where that is more."""
    size = len(json.dumps([spec.name, spec.redirect_uris, spec.scopes]))
    return max(REPLY_LIMIT, 4 * size)


def rotated_hint(body: Secret) -> str | None:
    """The hint in the answer to a rotation; None where it cannot be read."""
    try:
        return rotated_from(body)[0]
    except UnusableError:
        return None
