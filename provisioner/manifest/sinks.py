"""The sinks of a manifest: a model for each type, with its options and their defaults."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from provisioner.delivery import DeclaredSink
from provisioner.manifest.forms import SET, Duration, Part
from provisioner.manifest.patterns import MAX_RECIPIENTS
from provisioner.manifest.tree import Map

MAX_ARGUMENTS = 100
MAX_ENV = 100


def _outline(pattern: str) -> Any:
    """A string that is not empty. Its form is for `sink_rules` to say; editors get an outline of it."""
    return Field(min_length=1, json_schema_extra={"pattern": rf"{pattern}|\$\{{var\."})


_LETTER = r"\{key\}|\{KEY\}"  # what stands for a letter or more wherever {key} is filled in
_FilePath = Annotated[str, _outline(r"^(?![/~])(?!(.*/)?\.\.(/|$))[^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f]$")]
_Segments = Annotated[str, _outline(r"^[^/\x00-\x1f\x7f]+(/[^/\x00-\x1f\x7f]+)*$")]
_Text = Annotated[str, _outline(r"^[^\x00-\x1f\x7f]+$")]
_Url = Annotated[str, _outline(r"^https?://[^\s@?#]+$")]
_Repository = Annotated[str, _outline(r"^[^/\s]+/[^/\s]+$")]
_ClusterName = Annotated[str, _outline(rf"^([a-z0-9.-]|{_LETTER})+$")]
_EnvironmentName = Annotated[str, _outline(rf"^([A-Za-z0-9_]|{_LETTER})+$")]
_ValueName = Annotated[str, _outline(rf"^([-._A-Za-z0-9]|{_LETTER})+$")]
_Recipients = Annotated[list[str], Field(min_length=1, max_length=MAX_RECIPIENTS, json_schema_extra=SET)]
_Format = Literal["dotenv", "json", "yaml"]


class Keys(Part):
    """What the two values are called where they are delivered."""

    client_id: _ValueName = Field(default="CLIENT_ID", description="The name of the client id.")
    client_secret: _ValueName = Field(default="CLIENT_SECRET", description="The name of the client secret.")


class AnySink(Part):
    """What every sink has. {key} and {KEY} in strings stand for the key of the app that is delivered."""

    type: str
    prefix: str = Field(
        default_factory=str,
        json_schema_extra={"pattern": rf"^([-._A-Za-z0-9]|{_LETTER})*$|\$\{{var\."},
        description="What both names start with.",
    )
    keys: Keys = Field(default_factory=Keys, description="What the two values are called there.")
    keep: bool = Field(
        default_factory=bool, description="true leaves the copy where it is once its app is destroyed."
    )


class Age(AnySink):
    """A file that is sealed with age: only its recipients can read it."""

    type: Literal["age"] = Field(description="A file that is sealed with age.")
    path: _FilePath = Field(description="The file, relative to the manifest's, as in secrets/{key}.env.age.")
    recipients: _Recipients = Field(
        description="Public keys (age1…, ssh-ed25519 …, ssh-rsa …) that the file is sealed to."
    )
    format: _Format = Field(default="dotenv", description="How the values are written in it.")


class File(AnySink):
    """A file in clear: whoever can read it has the secret."""

    type: Literal["file"] = Field(description="A file in clear.")
    path: _FilePath = Field(description="The file, relative to the manifest's, as in secrets/{key}.env.")
    plaintext: bool = Field(
        json_schema_extra={"const": True}, description="true agrees to the secret being there in clear."
    )
    format: _Format = Field(default="dotenv", description="How the values are written in it.")


class Command(AnySink):
    """A program of yours, which gets the values on its standard input."""

    type: Literal["command"] = Field(description="A program that takes the values on its standard input.")
    command: list[str] = Field(
        min_length=1, max_length=MAX_ARGUMENTS, description="The program that delivers, and its arguments."
    )
    remove: list[str] = Field(
        default_factory=list,
        max_length=MAX_ARGUMENTS,
        description="The program that takes a copy away, and its arguments. Without it, the copy stays.",
    )
    format: Literal["json", "dotenv"] = Field(default="json", description="How the values are written.")
    timeout: Duration = Field(
        default="30s",
        json_schema_extra={
            "pattern": r"^(?=[0-9]{1,6}[ms])0*([1-9][0-9]{3,4}ms|[1-5][0-9]{5}ms|600000ms"
            r"|[1-9][0-9]?s|[1-5][0-9]{2}s|600s|[1-9]m|10m)$|\$\{var\."
        },
        description="How long it may take, from 1s to 10m.",
    )
    env: list[_EnvironmentName] = Field(
        default_factory=list,
        max_length=MAX_ENV,
        json_schema_extra=SET,
        description="Variables of the environment that it gets, beyond the few that every program needs.",
    )


class Vault(AnySink):
    """An entry of a KV store of Vault or OpenBao."""

    type: Literal["vault"] = Field(description="A KV store of Vault or OpenBao.")
    path: _Segments = Field(description="The entry, without the mount: as in apps/{key}.")
    mount: _Segments = Field(default="secret", description="Where the KV store is mounted.")
    namespace: _Segments = Field(default_factory=str, description="The namespace that the mount is in.")
    address: _Url = Field(
        default_factory=str,
        description="The server that is meant; where VAULT_ADDR names another one, it is refused.",
    )
    auth: Literal["token", "approle"] = Field(
        default="token", description="How to log in; with what, the environment says."
    )
    approle_mount: _Segments = Field(default="approle", description="Where AppRole is mounted.")
    ca_cert: _Text = Field(
        default_factory=str, description="A file of authorities (PEM) that the server is checked against."
    )


class Kubernetes(AnySink):
    """A Secret in a cluster, or its YAML in a file."""

    # The secret is in clear in such a file, as in any other.
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["manifest"]},
            "then": {"required": ["plaintext"], "properties": {"plaintext": {"const": True}}},
        }
    )

    type: Literal["kubernetes"] = Field(description="A Secret of Kubernetes.")
    name: _ClusterName = Field(default="{key}", description="The name of the Secret.")
    namespace: _ClusterName = Field(default="default", description="The namespace of the Secret.")
    context: _Text = Field(
        default_factory=str, description="The context of the kubeconfig; its current one, where omitted."
    )
    manifest: _FilePath = Field(
        default_factory=str,
        description="A file, relative to this one, to write the Secret's YAML to, in place of applying it.",
    )
    plaintext: bool = Field(
        default_factory=bool, description="true agrees to the secret being in `manifest` in clear."
    )


class GithubActions(AnySink):
    """Two secrets of a repository, or of one of its environments, for GitHub Actions."""

    type: Literal["github-actions"] = Field(description="Secrets for GitHub Actions.")
    repository: _Repository = Field(description="The repository, as owner/name.")
    environment: _Text = Field(
        default_factory=str, description="The environment of the repository; all of it, where omitted."
    )


TYPES: dict[str, type[AnySink]] = {
    "age": Age,
    "file": File,
    "command": Command,
    "vault": Vault,
    "kubernetes": Kubernetes,
    "github-actions": GithubActions,
}
Sink = Annotated[Age | File | Command | Vault | Kubernetes | GithubActions, Field(discriminator="type")]


def model_of(node: object) -> type[AnySink] | None:
    """The model that an entry of `sinks` is to be held against, if its type is known."""
    name = node.get("type") if isinstance(node, Map) else None
    return TYPES.get(name) if isinstance(name, str) else None


def declared(name: str, sink: AnySink, file: str) -> DeclaredSink:
    """A sink as a value: all of its options, and the folder of the file that states it."""
    options = sink.model_dump(exclude={"type", "keep"})
    return DeclaredSink(name, sink.type, options, PurePath(file).parent, sink.keep)


def declared_if_well_formed(name: str, node: object, file: str) -> DeclaredSink | None:
    """As `declared`, of an entry that may be faulty; what is wrong with its form is said elsewhere."""
    model = model_of(node)
    try:
        return None if model is None else declared(name, model.model_validate(node), file)
    except ValidationError:
        return None
