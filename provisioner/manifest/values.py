"""The manifest as values: what it says, and where."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from provisioner.delivery import DeclaredSink
from provisioner.frozen import dataclass
from provisioner.manifest.faults import Fault, Place
from provisioner.model import Address

DEFAULT_STATE = "state"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """The API that holds the apps; None is not stated."""

    type: str = "meteroid"
    base_url: str | None = None
    organization_id: str | None = None


@dataclass(frozen=True, slots=True)
class GitSettings:
    """The branch of the state, and how long the lock of a dead run counts."""

    remote: str
    branch: str
    lease: timedelta


@dataclass(frozen=True, slots=True)
class StateSettings:
    """The folder of the state, relative to the file `stated_in`, and who may read the secrets in it.

    With `git` it is a branch of the repository that `stated_in` is in, and `path` does not count. `place` is
    where the path is stated, or would be.
    """

    path: str
    stated_in: str
    recipients: tuple[str, ...] = ()  # none: not stated
    git: GitSettings | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """Whether strong evidence is acted on, and how long a request may be on its way."""

    auto: bool = True
    settle: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What is agreed to for every run, and how many apps one plan may destroy."""

    allow: frozenset[str]
    max_deletes: int


@dataclass(frozen=True, slots=True)
class DeclaredApp:
    """An app as declared, before defaults. `scopes` counts where `scopes_stated`; None is null then.

    `protect`, `rotate_after` and `sinks` are None where they are not stated.
    """

    place: Place  # of its key
    name_place: Place  # of its name, else of its key
    name: str | None
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...] | None
    scopes_stated: bool
    protect: bool | None = None
    rotate_after: timedelta | None = None
    sinks: tuple[str, ...] | None = None
    sink_only: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that the files say together, free of faults; variables are filled in.

    `moved` has each step as it is written: there is no circle, and no two lead to one address. `removed` says
    of each address whether its app is destroyed.
    """

    provider: ProviderSettings
    state: StateSettings
    recovery: RecoverySettings
    policy: PolicySettings
    default_scopes: tuple[str, ...] | None
    default_protect: bool
    default_sinks: tuple[str, ...]
    sinks: Mapping[str, DeclaredSink]
    apps: Mapping[Address, DeclaredApp]  # in file order
    moved: Mapping[Address, Address]
    removed: Mapping[Address, bool]
    imports: Mapping[Address, str]
    variables: Mapping[str, str]
    warnings: tuple[Fault, ...] = ()
