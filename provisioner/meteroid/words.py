"""An answer in words: for a journal, a terminal, an error. Escaped, cut, and without secrets."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from provisioner.errors import ApiError
from provisioner.meteroid.answer import Answer
from provisioner.model import Secret
from provisioner.reply import UnusableError, decode
from provisioner.text import escape, quote

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,63}")
_SAID_LIMIT: Final = 200

_ERRORS: Final = {
    401: (
        "The API does not accept the token",
        "Check METEROID_API_KEY: it may be mistyped, expired, revoked, or made for another host.",
    ),
    403: (
        "The token does not allow this",
        "Use a key in METEROID_API_KEY that may manage the OAuth apps of the organization.",
    ),
    429: ("The API asks for fewer requests", "Run it again in a few minutes, or with a lower --parallelism."),
}
_PAGE: Final = (
    "Something other than the API answered",
    "Check METEROID_BASE_URL, and HTTPS_PROXY where there is a proxy.",
)
_REDIRECT: Final = ("The API answered with a redirect, which is never followed", "Check METEROID_BASE_URL.")
_BROKEN: Final = ("The API has a fault of its own", "Run it again in a while; nothing was changed by asking.")
_OTHER: Final = ("The API gave an answer that is not described", "Check METEROID_BASE_URL.")


def message_of(answer: Answer, hidden: Secret) -> str:
    """One line on `answer`, without `hidden` should the server repeat it, and nothing of a 2xx's body."""
    if answer.status is None:
        return answer.fault.what if answer.fault else "no answer"
    text = _phrase(answer.status)
    if _is_redirect(answer):
        text += f" to {_target(answer)}; nothing was sent there"
    elif answer.is_page:
        text += " (a web page, not the API's answer)"
    elif answer.is_foreign:
        text += " (not in the form of the API's answers)"
    elif answer.status >= 400 and (said := _said(answer, hidden)):
        text += f" ({said})"
    if not answer.complete:
        text += f", but {answer.fault.what if answer.fault else 'nothing shows where its body ends'}"
    return text


def read_error(answer: Answer, where: str, tries: int, hidden: Secret) -> ApiError:
    """The error for a request that could not be answered; `where` is its method and URL."""
    often = f" (tried {tries} times)" if tries > 1 else ""
    detail = f"{where}: {message_of(answer, hidden)}{often}."
    if answer.fault:
        summary = "The API could not be asked" if answer.status is None else "The API's answer cannot be read"
        return ApiError(summary, detail, answer.fault.hint)
    summary, hint = _advice(answer)
    return ApiError(summary, detail, hint)


def pair_error(answer: Answer, where: str, tries: int, hidden: Secret) -> ApiError:
    """The error for an introspection that does not tell; it carries no API token, so none is to blame."""
    error = read_error(answer, where, tries, hidden)
    hint = "Run it again in a while." if answer.status in (401, 403) else error.hint
    return ApiError("The API does not say whether the client secret works", error.detail, hint)


def _advice(answer: Answer) -> tuple[str, str]:
    if _is_redirect(answer):
        return _REDIRECT
    if answer.is_foreign:
        return _PAGE
    status = answer.status or 0
    return _ERRORS.get(status) or (_BROKEN if status >= 500 else _OTHER)


def _is_redirect(answer: Answer) -> bool:
    return (answer.status or 0) // 100 == 3 and "location" in answer.headers


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"


def _said(answer: Answer, hidden: Secret) -> str:
    """Code and message of the API's error (`RestErrorResponse`, RFC 6749 §5.2), where it is one."""
    try:
        document = decode(answer.body.reveal())
    except UnusableError:
        return ""
    fields = document if isinstance(document, dict) else {}
    code = fields.get("code", fields.get("error"))
    text = fields.get("message", fields.get("error_description"))
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return ""
    said = f"{code}: {text}" if isinstance(text, str) and text else code
    value = hidden.reveal().decode("utf-8", "replace")
    return escape(said.replace(value, repr(hidden)) if value else said, _SAID_LIMIT)


def _target(answer: Answer) -> str:
    """The host that a redirect names; its path and query may carry what is not for logs."""
    location = answer.headers["location"]
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    if host:
        return quote(host, 80)
    return "another path of the same host" if location.startswith("/") else "a place that is not a URL"
