"""What the parts and strings of a manifest look like: their forms, and each in words."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from provisioner import duration
from provisioner.model import KEY, KEY_RULE, RESOURCE_TYPE

MAX_SCOPES = 100
MAX_RECIPIENTS = 100
MAX_SINKS = 20  # of one app

_KEY_FORM = f"^{KEY.pattern}$"
_ADDRESS_FORM = rf"^({RESOURCE_TYPE}\.)?{KEY.pattern}$"
_VARIABLE_FORM = "^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_ORGANIZATION_FORM = "^org_[0-9A-Za-z]{1,64}$"
_APP_ID_FORM = "^app_[0-9A-Za-z]{1,64}$"
_SCOPE_FORM = r"^[\x21\x23-\x5B\x5D-\x7E]+$"  # RFC 6749 §3.3
_DURATION_FORM = f"^{duration.FORM}$"
_HOST_FORM = r"^((\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\]|[a-z][a-z0-9+.-]*:)$"
FORM_RULES = {
    _HOST_FORM: "This is a host like portal.example.com, all below one like *.example.com, or a scheme like "
    "com.example.app: with its colon; in lower case.",
    _KEY_FORM: f"{KEY_RULE[0].upper()}{KEY_RULE[1:]}.",
    _ADDRESS_FORM: f"An app is named by its key, with or without {RESOURCE_TYPE}. before it; {KEY_RULE}.",
    _VARIABLE_FORM: "A variable's name is 1 to 63 letters, digits and _, and starts with a letter or _.",
    _DURATION_FORM: "A length of time looks like 30s, 5m, 2h or 90d.",
    _ORGANIZATION_FORM: "An organization id is org_ and up to 64 letters and digits.",
    _APP_ID_FORM: "An app id is app_ and up to 64 letters and digits.",
}


class Part(BaseModel):
    """A mapping with the keys that it has, and no others."""

    # Optional fields have a factory, not None, for their default: null is a value that they refuse.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


def _string(form: str, in_the_schema: str | None = None) -> Any:
    """A string of a form; editors hold it against the schema before its variables are filled in."""
    pattern = rf"{in_the_schema or form}|\$\{{var\."
    return Field(pattern=form, json_schema_extra={"pattern": pattern})


Key = Annotated[str, StringConstraints(pattern=_KEY_FORM)]
AppAddress = Annotated[str, _string(_ADDRESS_FORM)]
VariableName = Annotated[str, StringConstraints(pattern=_VARIABLE_FORM)]
OrganizationId = Annotated[str, _string(_ORGANIZATION_FORM)]
AppId = Annotated[str, _string(_APP_ID_FORM)]
HostPattern = Annotated[str, _string(_HOST_FORM)]
Duration = Annotated[str, _string(_DURATION_FORM)]
# That it is longer than none is for `rules` to say: pydantic's patterns cannot look ahead.
Period = Annotated[str, _string(_DURATION_FORM, f"^(?!0+[a-z]){duration.FORM}$")]

# What these strings must be is for `redirect_uri` and `scope` to say; the schema holds an outline of it.
Uri = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 2048, "pattern": r"^[^#*\s]+$"})]
Scope = Annotated[str, Field(json_schema_extra={"pattern": _SCOPE_FORM})]
SET: dict[str, Any] = {"uniqueItems": True}
Scopes = Annotated[list[Scope], Field(max_length=MAX_SCOPES, json_schema_extra=SET)]
# That each of them is declared is for `targets` to say.
SinkName = Annotated[str, Field(json_schema_extra={"pattern": rf"{_KEY_FORM}|\$\{{var\."})]
SinkNames = Annotated[list[SinkName], Field(max_length=MAX_SINKS, json_schema_extra=SET)]


def key_of(address: object) -> str | None:
    """The key of an app as it may be named; None for what is of no such form, which the models say."""
    if not isinstance(address, str):
        return None
    key = address.removeprefix(f"{RESOURCE_TYPE}.")
    return key if KEY.fullmatch(key) else None
