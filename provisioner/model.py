"""The words of the trade as values: an address, an app as wanted and as the API holds it, a secret."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple, NoReturn, Self

from provisioner.errors import UsageError
from provisioner.frozen import dataclass
from provisioner.text import quote

RESOURCE_TYPE = "oauth_app"
KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
KEY_RULE = "a key is 1 to 63 of a-z, 0-9, _ and -, and starts with a letter or digit"


class Address(NamedTuple):
    """Where an app is declared: `oauth_app.<key>`. The key never reaches the API.

    A tuple, because a plan looks each one up fifty times.
    """

    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address as typed, with or without its `oauth_app.`."""
        key = text.removeprefix(RESOURCE_TYPE + ".")
        if not KEY.fullmatch(key):
            raise UsageError(
                f"Not an address: {quote(text, 80)}",
                f"An address is oauth_app.KEY; {KEY_RULE}.",
                "A manifest is named by an option: -f FILE."
                if text.lower().endswith((".yaml", ".yml"))
                else "",
            )
        return cls(key)

    def __str__(self) -> str:
        return f"{RESOURCE_TYPE}.{self.key}"


@dataclass(frozen=True, slots=True)
class AppSpec:
    """An app as wanted. URIs and scopes keep the order they were written in and are compared as sets.

    `scopes` is None where they are not managed: neither sent nor compared.
    """

    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class App:
    """An app as the API holds it, without its secret (`OAuthApp` of the API description)."""

    id: str
    organization_id: str
    name: str
    client_id: str
    client_secret_hint: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    is_active: bool
    created_at: str
    updated_at: str | None = None


class Secret:
    """Bytes that must not be seen. Only `reveal` gives them out; printing, copying and pickling do not."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes themselves; call it as late as can be."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        from hmac import compare_digest  # noqa: PLC0415  # it loads OpenSSL

        return isinstance(other, Secret) and compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a secret has no business being a key

    def __repr__(self) -> str:
        return "(sensitive value)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is neither copied nor pickled")


class Outcome(Enum):
    """What is known after one write request (`protocol.md`, classes of result)."""

    NOT_SENT = "not sent"  # no byte of the request left: it may be tried again
    REFUSED = "refused"  # a well-formed refusal: this request committed nothing
    DONE = "done"  # the expected status and a whole body; whether it is usable is for `reply` to say
    AMBIGUOUS = "ambiguous"  # it may have been committed, now or a little later


@dataclass(frozen=True, slots=True)
class Reply:
    """What one write request came back with. `message` is escaped and free of secrets."""

    outcome: Outcome
    status: int | None
    body: Secret
    complete: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Every app of the organization, and the server's `Date` when it said so (RFC 9110 §6.6.1)."""

    apps: tuple[App, ...]
    date: str | None = None


class Introspection(Enum):
    """What the server says of a client id and secret (RFC 7662 §2.3: 401 where the pair is wrong)."""

    CONFIRMED = "confirmed"
    WRONG = "wrong"
