"""The structure of a manifest, version 1, as pydantic models: also the source of the JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.json_schema import GenerateJsonSchema

from provisioner.duration import FORM
from provisioner.model import KEY, KEY_RULE

VERSION = 1
MAX_URIS = 50
MAX_SCOPES = 100
MAX_RECIPIENTS = 100
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_KEY_FORM = f"^{KEY.pattern}$"
_VARIABLE_FORM = "^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_ORGANIZATION_FORM = "^org_[0-9A-Za-z]{1,64}$"
_SCOPE_FORM = r"^[\x21\x23-\x5B\x5D-\x7E]+$"  # RFC 6749 §3.3
_DURATION_FORM = f"^{FORM}$"
FORM_RULES = {
    _KEY_FORM: f"{KEY_RULE[0].upper()}{KEY_RULE[1:]}.",
    _VARIABLE_FORM: "A variable's name is 1 to 63 letters, digits and _, and starts with a letter or _.",
    _DURATION_FORM: "A length of time looks like 30s, 5m or 2h.",
    _ORGANIZATION_FORM: "An organization id is org_ and up to 64 letters and digits.",
}

# Keys of the format that this version does not act upon: passing over them would promise what is not done.
LATER = {
    "Root": frozenset({"sinks", "moved", "removed", "import", "policy"}),
    "Defaults": frozenset({"sinks", "protect"}),
    "App": frozenset({"protect", "rotate_after", "sinks"}),
}

_Key = Annotated[str, StringConstraints(pattern=_KEY_FORM)]
_VariableName = Annotated[str, StringConstraints(pattern=_VARIABLE_FORM)]
# What these strings must be is for `redirect_uri` and `scope` to say; the schema holds an outline of it.
_Uri = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 2048, "pattern": r"^[^#*\s]+$"})]
_Scope = Annotated[str, Field(json_schema_extra={"pattern": _SCOPE_FORM})]
_SET: dict[str, Any] = {"uniqueItems": True}
_ONLY_SUCH_KEYS: dict[str, Any] = {"additionalProperties": False}
_Scopes = Annotated[list[_Scope], Field(max_length=MAX_SCOPES, json_schema_extra=_SET)]


class _Part(BaseModel):
    # Optional fields have a factory, not None, for their default: null is a value that they refuse.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Provider(_Part):
    """The API that holds the apps."""

    type: Literal["meteroid"] = Field(default="meteroid", description="The kind of API.")
    base_url: str = Field(
        default_factory=str,
        min_length=1,
        description="Where the API is. The token is sent only to the default host or to METEROID_BASE_URL's.",
    )
    organization_id: str = Field(
        default_factory=str,
        pattern=_ORGANIZATION_FORM,
        json_schema_extra={"pattern": rf"{_ORGANIZATION_FORM}|\$\{{var\."},  # before variables are filled in
        description="The organization that the token must belong to; a token of another one is refused.",
    )


class State(_Part):
    """Where it is recorded what exists, and who may read the secrets in it."""

    path: str = Field(
        default_factory=str, min_length=1, description="A folder, relative to the file that states it."
    )
    recipients: list[str] = Field(
        default_factory=list,
        min_length=1,
        max_length=MAX_RECIPIENTS,
        json_schema_extra=_SET,
        description="Public keys (age1…, ssh-ed25519 …, ssh-rsa …) that each secret is sealed to. "
        "Without them the environment's are used, else your own identity's.",
    )


class Recovery(_Part):
    """What is done about an operation whose answer was lost."""

    mode: Literal["auto", "ask"] = Field(
        default="auto",
        description="auto: an app that by all the evidence an earlier run made is taken over, with a new "
        "secret. ask: nothing is done, and the evidence is shown.",
    )
    settle: str = Field(
        default="60s",
        pattern=_DURATION_FORM,
        description="How long a request may be on its way; after that, what is absent was never made.",
    )


class Variable(_Part):
    """A value that ${var.NAME} stands for; given with --var, --var-file or PROVISIONER_VAR_NAME."""

    default: str = Field(
        default_factory=str, description="The value where none is given. Without it, one must be."
    )
    description: str = Field(default_factory=str, description="What it is for.")


class Defaults(_Part):
    """What an app has where it does not say otherwise."""

    scopes: _Scopes | None = Field(default=None, description="The scopes of apps that do not state any.")


class App(_Part):
    """One OAuth app."""

    name: str = Field(
        default_factory=str,
        json_schema_extra={"minLength": 1},
        description="The name in the API, shown to people on the consent screen. The key, where omitted.",
    )
    redirect_uris: list[_Uri] = Field(
        min_length=1,
        max_length=MAX_URIS,
        json_schema_extra=_SET,
        description="Where people may be sent back to: absolute URIs, matched exactly (RFC 6749 §3.1.2).",
    )
    scopes: _Scopes | None = Field(
        default=None,
        description="What the app may ask for. [] is none; null is not managed: neither sent nor compared; "
        "omitted, it is what defaults.scopes says, else not managed.",
    )


class Root(_Part):
    """Which OAuth apps should exist. Of several files, only one has each key other than version and apps."""

    model_config = ConfigDict(title="Manifest of provisioner, version 1")

    # Not a Literal, which takes `true` for 1.
    version: int = Field(
        ge=VERSION,
        le=VERSION,
        json_schema_extra={"const": VERSION},
        description="The version of this format.",
    )
    provider: Provider = Field(default_factory=Provider, description="The API that holds the apps.")
    state: State = Field(
        default_factory=State, description="Where what exists is recorded, for which readers."
    )
    recovery: Recovery = Field(
        default_factory=Recovery, description="What is done about an operation whose answer was lost."
    )
    variables: dict[_VariableName, Variable] = Field(
        default_factory=dict,
        json_schema_extra=_ONLY_SUCH_KEYS,
        description="Values that strings may hold as ${var.NAME}; $${ stands for ${ itself.",
    )
    defaults: Defaults = Field(default_factory=Defaults, description="What apps have that say nothing else.")
    apps: dict[_Key, App] = Field(
        default_factory=dict,
        json_schema_extra=_ONLY_SUCH_KEYS,
        description="The apps, each under a key of its own that never reaches the API.",
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one file of a manifest."""
    schema = Root.model_json_schema(schema_generator=_Untitled)
    return {"$schema": DIALECT, **schema}


class _Untitled(GenerateJsonSchema):
    """Without a title on every field, which would only repeat its key."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
