"""The places that are filled by deliveries, in a form in which two that are the same are equal."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import join, normpath
from typing import Any

from provisioner import name
from provisioner.delivery import DeclaredSink
from provisioner.frozen import dataclass
from provisioner.manifest.uses import Use
from provisioner.text import quote

FILE = "file"  # the kind of a spot that is a file of ours
PREFIX = "prefix"  # the option that tells secrets of GitHub apart


@dataclass(frozen=True, slots=True)
class Spot:
    """One place, where only one copy can be. `option` is the one of the sink that decides on it."""

    identity: tuple[str, ...]
    option: str
    words: str
    texts: tuple[str, ...]  # that stand in the words

    def shown(self) -> str:
        """The place for people; many are compared, and few are shown."""
        return self.words.format(*(quote(text, 80) for text in self.texts))


def spots(use: Use) -> tuple[Spot, ...]:
    """The places that an app fills in a sink. Where a command delivers to, it alone knows."""
    options, kind = use.options, use.sink.type
    file = file_of(use.sink)
    if file is not None:
        where = whereabouts(str(use.sink.folder), options[file])
        return (Spot((FILE, where), file, "the file {}", (options[file],)),)
    if kind == "vault":
        return (_in_vault(options),)
    if kind == "kubernetes":
        return (_in_a_cluster(options),)
    return tuple(_on_github(options, text) for text in use.names if kind == "github-actions")


def file_of(sink: DeclaredSink) -> str | None:
    """Which option of a sink is the path of a file that it writes, if any is."""
    if sink.type in ("age", "file"):
        return "path"
    return "manifest" if sink.options.get("manifest") else None


def whereabouts(folder: str, path: str) -> str:
    """A file in a form that its other spellings share; on some disks letters in either case are one."""
    return name.fold(normpath(join(folder, path)))


def _in_vault(options: Mapping[str, Any]) -> Spot:
    # A namespace is a path too: a mount can be named from within it, and from above.
    mount, path = f"{options['namespace']}/{options['mount']}".lstrip("/"), options["path"]
    return Spot(("vault", mount, path), "path", "the entry {} of the mount {}", (path, mount))


def _in_a_cluster(options: Mapping[str, Any]) -> Spot:
    context, namespace, secret = options["context"], options["namespace"], options["name"]
    words, texts = "the Secret {} in the namespace {}", (secret, namespace)
    return Spot(("kubernetes", context, namespace, secret), "name", words, texts)


def _on_github(options: Mapping[str, Any], secret: str) -> Spot:
    repository, environment = options["repository"], options["environment"]
    identity = ("github-actions", repository.casefold(), environment.casefold(), secret)
    words = "the secret {} of {}" + " in the environment {}" * bool(environment)
    return Spot(identity, PREFIX, words, (secret, repository, environment))
