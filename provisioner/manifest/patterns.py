"""What the strings of a manifest look like, and each form in words."""

from __future__ import annotations

from typing import Any

from provisioner import duration
from provisioner.model import KEY, KEY_RULE, RESOURCE_TYPE

MAX_SCOPES = 100
MAX_RECIPIENTS = 100
MAX_SINKS = 20  # of one app
MAX_URIS = 50
VERSION = 1

KEY_FORM = f"^{KEY.pattern}$"
ADDRESS_FORM = rf"^({RESOURCE_TYPE}\.)?{KEY.pattern}$"
VARIABLE_FORM = "^[A-Za-z_][A-Za-z0-9_]{0,62}$"
ORGANIZATION_FORM = "^org_[0-9A-Za-z]{1,64}$"
APP_ID_FORM = "^app_[0-9A-Za-z]{1,64}$"
DURATION_FORM = f"^{duration.FORM}$"
HOST_FORM = r"^((\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\]|[a-z][a-z0-9+.-]*:)$"
FORM_RULES = {
    HOST_FORM: "This is a host like portal.example.com, all below one like *.example.com, or a scheme like "
    "com.example.app: with its colon; in lower case.",
    KEY_FORM: f"{KEY_RULE[0].upper()}{KEY_RULE[1:]}.",
    ADDRESS_FORM: f"An app is named by its key, with or without {RESOURCE_TYPE}. before it; {KEY_RULE}.",
    VARIABLE_FORM: "A variable's name is 1 to 63 letters, digits and _, and starts with a letter or _.",
    DURATION_FORM: "A length of time looks like 30s, 5m, 2h or 90d.",
    ORGANIZATION_FORM: "An organization id is org_ and up to 64 letters and digits.",
    APP_ID_FORM: "An app id is app_ and up to 64 letters and digits.",
}

# What is meant where a section does not say it.
DEFAULTS: dict[str, dict[str, Any]] = {
    "provider": {"type": "meteroid", "base_url": "", "organization_id": ""},
    "state": {"path": "", "git": {}, "recipients": []},
    "git": {"remote": "origin", "branch": "provisioner-state", "lease": "10m"},
    "recovery": {"mode": "auto", "settle": "60s"},
    "defaults": {"scopes": None, "protect": False, "sinks": []},
    "policy": {"allow": [], "max_deletes": 3, "redirect_hosts": [], "require_protect": False},
}


def key_of(address: object) -> str | None:
    """The key of an app as it may be named; None for what is of no such form, which the models say."""
    if not isinstance(address, str):
        return None
    key = address.removeprefix(f"{RESOURCE_TYPE}.")
    return key if KEY.fullmatch(key) else None
