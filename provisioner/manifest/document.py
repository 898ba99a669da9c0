"""The structure of a manifest, version 1, as pydantic models: also the source of the JSON Schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from provisioner.manifest.forms import (
    SET,
    AppAddress,
    AppId,
    Duration,
    HostPattern,
    Key,
    OrganizationId,
    Part,
    Period,
    Scopes,
    SinkNames,
    Uri,
    VariableName,
)
from provisioner.manifest.patterns import DEFAULTS, MAX_RECIPIENTS, MAX_URIS, VERSION
from provisioner.manifest.sinks import Sink

_ONLY_SUCH_KEYS: dict[str, Any] = {"additionalProperties": False}


class Provider(Part):
    """The API that holds the apps."""

    type: Literal["meteroid"] = Field(default="meteroid", description="The kind of API.")
    base_url: str = Field(
        default_factory=str,
        min_length=1,
        description="Where the API is. The token is sent only to the default host or to METEROID_BASE_URL's.",
    )
    organization_id: OrganizationId = Field(
        default_factory=str,
        description="The organization that the token must belong to; a token of another one is refused.",
    )


class Git(Part):
    """A branch that holds nothing but the state, for runners that have no disk of their own."""

    remote: str = Field(
        default=DEFAULTS["git"]["remote"],
        description="The remote of the repository that the manifest is in, by its name.",
    )
    branch: str = Field(
        default=DEFAULTS["git"]["branch"], description="The branch; the first apply makes it."
    )
    lease: Duration = Field(
        default=DEFAULTS["git"]["lease"],
        description="How long the lock of a dead run keeps others out; a run that is alive renews it.",
    )


class State(Part):
    """Where it is recorded what exists, and who may read the secrets in it."""

    path: str = Field(
        default_factory=str, min_length=1, description="A folder, relative to the file that states it."
    )
    git: Git = Field(
        default_factory=Git, description="Instead of a folder: a branch of the repository. {} is a git state."
    )
    recipients: list[str] = Field(
        default_factory=list,
        min_length=1,
        max_length=MAX_RECIPIENTS,
        json_schema_extra=SET,
        description="Public keys (age1…, ssh-ed25519 …, ssh-rsa …) that each secret is sealed to. "
        "Without them the environment's are used, else your own identity's.",
    )


class Recovery(Part):
    """What is done about an operation whose answer was lost."""

    mode: Literal["auto", "ask"] = Field(
        default=DEFAULTS["recovery"]["mode"],
        description="auto: an app that by all the evidence an earlier run made is taken over, with a new "
        "secret. ask: nothing is done, and the evidence is shown.",
    )
    settle: Duration = Field(
        default=DEFAULTS["recovery"]["settle"],
        description="How long a request may be on its way; after that, what is absent was never made.",
    )


class Variable(Part):
    """A value that ${var.NAME} stands for; given with --var, --var-file or PROVISIONER_VAR_NAME."""

    default: str = Field(
        default_factory=str, description="The value where none is given. Without it, one must be."
    )
    description: str = Field(default_factory=str, description="What it is for.")


class Defaults(Part):
    """What an app has where it does not say otherwise."""

    scopes: Scopes | None = Field(default=None, description="The scopes of apps that do not state any.")
    protect: bool = Field(
        default_factory=bool,
        description="true protects every app that does not state protect. false lifts no protection: only an "
        "app's own `protect: false` does.",
    )
    sinks: SinkNames = Field(
        default_factory=list, description="Where the secrets of apps go that state no sinks, in this order."
    )


class App(Part):
    """One OAuth app."""

    name: str = Field(
        default_factory=str,
        json_schema_extra={"minLength": 1},
        description="The name in the API, shown to people on the consent screen. The key, where omitted.",
    )
    redirect_uris: list[Uri] = Field(
        min_length=1,
        max_length=MAX_URIS,
        json_schema_extra=SET,
        description="Where people may be sent back to: absolute URIs, matched exactly (RFC 6749 §3.1.2).",
    )
    scopes: Scopes | None = Field(
        default=None,
        description="What the app may ask for. [] is none; null is not managed: neither sent nor compared; "
        "omitted, it is what defaults.scopes says, else not managed.",
    )
    protect: bool = Field(
        default_factory=bool,
        description="true refuses to delete or replace the app, and goes on doing so once its entry is gone. "
        "Omitted, it stays as it was, unless defaults.protect is true.",
    )
    rotate_after: Period = Field(
        default_factory=str,
        description="How old the secret may grow, as in 90d; once it is older, a plan rotates it.",
    )
    sinks: SinkNames = Field(
        default_factory=list,
        description="Where the secret is delivered, in this order. [] is nowhere; omitted, it is what "
        "defaults.sinks says.",
    )
    sink_only: bool = Field(
        default_factory=bool,
        description="true drops the sealed secret from the state once every sink has it: the sinks then hold "
        "the only copies.",
    )


class Move(Part):
    """An app whose key was changed: its record is taken along, and the API does not notice."""

    source: AppAddress = Field(alias="from", description="The key that it had.")
    to: AppAddress = Field(description="The key that it has now.")


class Removal(Part):
    """An app that left the manifest, and what becomes of it."""

    app: AppAddress = Field(description="The key that it had.")
    destroy: bool = Field(
        description="true destroys the app, as its absence does. false forgets its record, and its sealed "
        "secret with it; the app stays in the API.",
    )


class Import(Part):
    """An app of the API that was made otherwise, and is to be taken into the state."""

    to: AppAddress = Field(description="The key of the app in this manifest that it is.")
    id: AppId = Field(description="Its id in the API, app_….")


class Policy(Part):
    """What every run may do without being asked, and what none may."""

    allow: list[Literal["delete", "replace", "rotate"]] = Field(
        default_factory=list,
        json_schema_extra=SET,
        description="What is agreed to in advance, as with --allow: delete, replace, rotate.",
    )
    max_deletes: int = Field(
        default=DEFAULTS["policy"]["max_deletes"],
        ge=0,
        description="How many apps one plan may destroy at most.",
    )
    redirect_hosts: list[HostPattern] = Field(
        default_factory=list,
        min_length=1,
        json_schema_extra=SET,
        description="Where people may be sent back to: hosts, *.example.com for all below one, com.example: "
        "for an app's own scheme. A redirect URI that fits none of them is a fault.",
    )
    require_protect: bool = Field(default=False, description="Every app must be protected.")


class Root(Part):
    """Which OAuth apps should exist. Of several files, each may have apps, moved, removed and import."""

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
    variables: dict[VariableName, Variable] = Field(
        default_factory=dict,
        json_schema_extra=_ONLY_SUCH_KEYS,
        description="Values that strings may hold as ${var.NAME}; $${ stands for ${ itself.",
    )
    defaults: Defaults = Field(default_factory=Defaults, description="What apps have that say nothing else.")
    sinks: dict[Key, Sink] = Field(
        default_factory=dict,
        json_schema_extra=_ONLY_SUCH_KEYS,
        description="Where secrets are delivered, each place under a name that apps give.",
    )
    apps: dict[Key, App] = Field(
        default_factory=dict,
        json_schema_extra=_ONLY_SUCH_KEYS,
        description="The apps, each under a key of its own that never reaches the API.",
    )
    moved: list[Move] = Field(
        default_factory=list, description="Apps whose key was changed. An entry may stay once it is done."
    )
    removed: list[Removal] = Field(
        default_factory=list, description="Apps that left the manifest, and what becomes of each."
    )
    imports: list[Import] = Field(
        default_factory=list,
        alias="import",
        description="Apps that exist in the API and are to be taken into the state.",
    )
    policy: Policy = Field(
        default_factory=Policy,
        description="What every run may do without being asked, and what none may.",
    )
