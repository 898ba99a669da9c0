"""Words that are not known: the one that was meant, and those that speak of a secret."""

from __future__ import annotations

from provisioner.errors import Problem
from provisioner.text import quote

SECRET_KEYS = frozenset(
    (
        "access_token",
        "age_key",
        "api_key",
        "api_token",
        "apikey",
        "auth_token",
        "authorization",
        "bearer",
        "bearer_token",
        "client_secret",
        "credentials",
        "github_token",
        "identity",
        "password",
        "private_key",
        "secret",
        "secret_id",
        "secret_key",
        "token",
        "vault_token",
    )
)
_SECRET_KEY = Problem(
    "A manifest holds no secrets, and provisioner takes none from it.",
    "Remove this key, and revoke what it held: who reads the manifest knows it. The API's token comes from "
    "METEROID_API_KEY or METEROID_API_KEY_FILE; what a sink logs in with, from the environment.",
    secret=True,
)


def secret_key(key: str) -> Problem | None:
    """What is wrong with a key that is named after a secret."""
    return _SECRET_KEY if key.lower().replace("-", "_") in SECRET_KEYS else None


def closest(word: str, known: list[str]) -> str:
    """The word that one which is not known was meant to be, as a question; empty where there is none."""
    from difflib import get_close_matches  # noqa: PLC0415  # where a word is wrong

    close = get_close_matches(word[:80], known[:1000], n=1)
    return f"Did you mean {quote(close[0])}?" if close else ""


def near(word: str, known: list[str]) -> str:
    """The way out for a word that is not known: the one it was meant to be, or all there are."""
    listed = f"Known here: {', '.join(known[:20])}{', …' * (len(known) > 20)}." if known else ""
    return closest(word, known) or listed
