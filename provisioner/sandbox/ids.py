"""What the sandbox invents: ids as the API spells them, client ids, client secrets and keys."""

from __future__ import annotations

import secrets
import string
import uuid

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def base62(number: int) -> str:
    """`number` in base 62; a UUID takes 22 characters or fewer."""
    digits = []
    while number:
        number, digit = divmod(number, len(_BASE62))
        digits.append(_BASE62[digit])
    return "".join(reversed(digits)) or _BASE62[0]


def new_id(prefix: str) -> str:
    """A new `app_…` or `org_…`."""
    return f"{prefix}_{base62(uuid.uuid4().int)}"


def new_client_id() -> str:
    """A new client id; without a colon, so that HTTP Basic can carry it (RFC 7617 §2)."""
    return f"sandbox_client_{secrets.token_hex(12)}"


def new_secret() -> str:
    """A new client secret: VSCHAR only (RFC 6749 appendix A.2), and recognisable where it does not belong."""
    return f"sandbox_secret_{secrets.token_urlsafe(32)}"


def new_api_key() -> str:
    """A new key for the bearer header."""
    return f"sandbox_key_{secrets.token_urlsafe(24)}"
