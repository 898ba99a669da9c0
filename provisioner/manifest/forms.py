"""The parts and strings of a manifest as pydantic takes them, and what the schema says of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from provisioner import duration
from provisioner.manifest.patterns import (
    ADDRESS_FORM,
    APP_ID_FORM,
    DURATION_FORM,
    HOST_FORM,
    KEY_FORM,
    MAX_SCOPES,
    MAX_SINKS,
    ORGANIZATION_FORM,
    VARIABLE_FORM,
)

_SCOPE_FORM = r"^[\x21\x23-\x5B\x5D-\x7E]+$"  # RFC 6749 §3.3


class Part(BaseModel):
    """A mapping with the keys that it has, and no others."""

    # Optional fields have a factory, not None, for their default: null is a value that they refuse.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


def _string(form: str, in_the_schema: str | None = None) -> Any:
    """A string of a form; editors hold it against the schema before its variables are filled in."""
    pattern = rf"{in_the_schema or form}|\$\{{var\."
    return Field(pattern=form, json_schema_extra={"pattern": pattern})


Key = Annotated[str, StringConstraints(pattern=KEY_FORM)]
AppAddress = Annotated[str, _string(ADDRESS_FORM)]
VariableName = Annotated[str, StringConstraints(pattern=VARIABLE_FORM)]
OrganizationId = Annotated[str, _string(ORGANIZATION_FORM)]
AppId = Annotated[str, _string(APP_ID_FORM)]
HostPattern = Annotated[str, _string(HOST_FORM)]
Duration = Annotated[str, _string(DURATION_FORM)]
# That it is longer than none is for `rules` to say: pydantic's patterns cannot look ahead.
Period = Annotated[str, _string(DURATION_FORM, f"^(?!0+[a-z]){duration.FORM}$")]

# What these strings must be is for `redirect_uri` and `scope` to say; the schema holds an outline of it.
Uri = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 2048, "pattern": r"^[^#*\s]+$"})]
Scope = Annotated[str, Field(json_schema_extra={"pattern": _SCOPE_FORM})]
SET: dict[str, Any] = {"uniqueItems": True}
Scopes = Annotated[list[Scope], Field(max_length=MAX_SCOPES, json_schema_extra=SET)]
# That each of them is declared is for `targets` to say.
SinkName = Annotated[str, Field(json_schema_extra={"pattern": rf"{KEY_FORM}|\$\{{var\."})]
SinkNames = Annotated[list[SinkName], Field(max_length=MAX_SINKS, json_schema_extra=SET)]
