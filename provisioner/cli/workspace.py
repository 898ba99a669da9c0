"""Wiring: from a command's options to the manifest, the state, the API and the sealer."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.identities import find_identities
from provisioner.cli.output import complain
from provisioner.desired import DesiredState, resolve
from provisioner.endpoint import check_token, effective_base_url
from provisioner.errors import UsageError
from provisioner.frozen import dataclass
from provisioner.manifest import Manifest, ManifestError, Source, VariableValues, load, variables_from
from provisioner.manifest.faults import Fault, fault_at
from provisioner.manifest.rules import HOLDS_THE_MANIFEST, STATE_PATH
from provisioner.model import Secret
from provisioner.reading import read_input, reporting, shown
from provisioner.sealing import Identity, check_recipient
from provisioner.settings import OURS, Settings, environment, from_environment, from_home
from provisioner.stores.directory import DirectoryStore
from provisioner.stores.reading import HEADER
from provisioner.text import quote

if TYPE_CHECKING:
    from provisioner.meteroid import MeteroidApi
    from provisioner.ports import StateStore

MANIFEST_LIMIT = 64 * 1024 * 1024
DEFAULT_FOLDER = "apps"
DEFAULT_FILES = ("apps.yaml", DEFAULT_FOLDER)
_SMALL_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Workspace:
    """What a command works on."""

    settings: Settings
    manifest: Manifest
    desired: DesiredState
    store: StateStore


@dataclass(frozen=True, slots=True)
class Readers:
    """Who can open what is sealed, and where that was said."""

    recipients: tuple[str, ...]
    said_by: str

    def lines(self) -> list[str]:
        """For the plan."""
        return [f"{recipient} ({self.said_by})" for recipient in self.recipients]


def open_workspace(files: Sequence[str], variables: Sequence[str], var_files: Sequence[str]) -> Workspace:
    """Read and check the manifest, print its warnings, and find its state."""
    workspace = check_workspace(files, variables, var_files)
    for fault in warnings_of(workspace):
        complain(f"Warning: {fault.render()}")
    return workspace


def warnings_of(workspace: Workspace) -> tuple[Fault, ...]:
    """What is to be said of a manifest that is valid."""
    return (*workspace.manifest.warnings, *workspace.desired.warnings)


def check_workspace(files: Sequence[str], variables: Sequence[str], var_files: Sequence[str]) -> Workspace:
    """As `open_workspace`, and print nothing."""
    settings = from_environment()
    _start_log(settings)
    values = _variable_values(settings, variables, var_files)
    sources = manifest_sources(files)
    manifest = load(sources, values, check_recipient)
    _check_place(sources, values, manifest)
    _check_apart(sources, manifest)
    return Workspace(settings, manifest, resolve(manifest), store_of(manifest))


def open_what_there_is(
    files: Sequence[str], variables: Sequence[str], var_files: Sequence[str]
) -> tuple[Workspace, list[Path]]:
    """As `open_workspace`, with the files that it was read from: none where there is no manifest yet.

    An empty file is left out: the shell makes it before it runs the command whose output goes there.
    """
    paths = _manifest_paths(files)
    filled = [path for path in paths if not is_empty(path)]
    if filled:
        return open_workspace([str(path) for path in filled], variables, var_files), filled
    settings = from_environment()
    _start_log(settings)
    nothing = Source(str(paths[0]) if paths else DEFAULT_FILES[0], b"version: 1\napps: {}\n")
    manifest = load([nothing], _variable_values(settings, variables, var_files), check_recipient)
    _check_apart([nothing], manifest)
    return Workspace(settings, manifest, resolve(manifest), store_of(manifest)), []


def store_of(manifest: Manifest) -> StateStore:
    """Where the state lives, relative to the file that says so: a folder, or a branch of its repository."""
    state = manifest.state
    beside = Path(state.stated_in).parent
    if state.git is None:
        return DirectoryStore(beside / state.path)
    from provisioner.stores.branch import Branch
    from provisioner.stores.git import GitStore
    from provisioner.stores.git_command import Git

    passed_on = {name: value for name, value in environment().items() if name not in OURS}
    branch = Branch(Git(beside, passed_on), state.git.remote, state.git.branch)
    return GitStore(branch, state.git.lease.total_seconds(), complain)


def open_store(
    folder: str | None, files: Sequence[str], variables: Sequence[str], var_files: Sequence[str]
) -> StateStore:
    """The state alone, for commands that need no manifest when --state says where it is."""
    if folder is None:
        return open_workspace(files, variables, var_files).store
    path = Path(folder)
    with reporting("read the state in", path):
        found = bool(folder) and stat.S_ISDIR(path.stat().st_mode)
    if not found:
        raise UsageError(
            f"--state takes a folder, and {quote(folder, 200)} is none",
            "Only the manifest's own state may be missing: it is made by the first apply.",
        )
    store = DirectoryStore(path)
    if not os.path.lexists(path / HEADER) and store.read().header is None:  # which refuses records without it
        raise UsageError(
            f"There is no state in {shown(path)}",
            f"It has no {HEADER}. Only the manifest's own state may be missing: it is made by the first "
            "apply.",
            "Name the folder that has it; or leave --state out, and name the manifest with -f.",
        )
    return store


def base_url(workspace: Workspace) -> str:
    """The host that this run asks."""
    return effective_base_url(workspace.manifest.provider.base_url, workspace.settings.base_url)


def api_token(settings: Settings) -> Secret:
    """The token, from the environment or from the file that the environment names."""
    token = settings.api_key
    if token is None and settings.api_key_file is not None:
        path = from_home(settings.api_key_file, "METEROID_API_KEY_FILE")
        content = read_input(path, _SMALL_LIMIT, "Give the token itself in METEROID_API_KEY.")
        token = Secret(content.removesuffix(b"\n"))
    if token is None:
        raise UsageError(
            "There is no API token",
            "METEROID_API_KEY is not set, nor is METEROID_API_KEY_FILE.",
            "Set one of them; or run `provisioner sandbox` for a server to try things out.",
        )
    problem = check_token(token.reveal())
    if problem:
        raise UsageError(f"The API token cannot be used: {problem.rule}", "It is not shown.", problem.remedy)
    return token


def connect(workspace: Workspace, wait: Callable[[float], bool] | None = None) -> MeteroidApi:
    """The API, with the token going only where it may. Says so where a proxy is in between."""
    from provisioner.meteroid import MeteroidApi, check_authorities, proxy_of

    url = base_url(workspace)
    problem = check_authorities(workspace.settings.authorities)
    if problem:
        raise UsageError(
            problem.rule, "The system's certificate authorities are not taken instead.", problem.remedy
        )
    proxy = proxy_of(url, workspace.settings.proxies)
    if proxy:
        complain(f"Note: requests go through the proxy {proxy}.")
    return MeteroidApi(url, api_token(workspace.settings), wait=wait, proxy=proxy)


def readers(workspace: Workspace, own: Callable[[Settings], Sequence[Identity]] = find_identities) -> Readers:
    """The recipients of new secrets: the manifest's, else the environment's, else the user's own.

    Of one's own, those of the first place that has any: what SOPS_AGE_KEY adds to a file is for opening.
    """
    stated = workspace.manifest.state.recipients
    if stated:
        return Readers(tuple(stated), "the manifest")
    settings = workspace.settings
    if settings.recipients:
        _check_recipients(settings)
        return Readers(settings.recipients, settings.recipients_from)
    known = [(identity.public, identity.place) for identity in own(settings) if identity.public]
    return Readers(tuple(public for public, place in known if place == known[0][1]), "your own identity")


def _check_recipients(settings: Settings) -> None:
    """As the manifest's are checked: before any of them is shown or sealed to."""
    for number, text in enumerate(settings.recipients, 1):
        problem = check_recipient(text)
        if problem:
            found = "It is not shown" if problem.secret else f"It is {quote(text, 80)}"
            raise UsageError(
                f"Recipient {number} of {len(settings.recipients)} in {settings.recipients_from} "
                "cannot be used",
                f"{problem.rule} {found}.",
                problem.remedy,
            )


def exists(path: Path) -> bool:
    """Whether `path` is there. Raises FileError where that cannot be told."""
    with reporting("read", path):
        return path.exists()


def is_empty(path: Path) -> bool:
    """Whether `path` is a file with nothing in it. Raises FileError where that cannot be told."""
    with reporting("read", path):
        return path.is_file() and path.stat().st_size == 0


def manifest_sources(files: Sequence[str]) -> list[Source]:
    """The files of a manifest as typed, folders opened; without any, those of this folder."""
    paths = _manifest_paths(files)
    if not paths:
        raise UsageError(
            "There is no manifest",
            "Neither apps.yaml nor apps/ is in this folder.",
            "Name one with -f, or run `provisioner init` to start one.",
        )
    return [Source(str(path), read_input(path, MANIFEST_LIMIT)) for path in dict.fromkeys(paths)]


def default_files() -> list[str]:
    """What is read without -f: none or one of them. Raises UsageError where both have a manifest."""
    found = [name for name in DEFAULT_FILES if exists(Path(name))]
    if len(found) > 1 and any(map(_declares_apps, yaml_files(Path(DEFAULT_FOLDER)))):
        raise UsageError(
            "Both apps.yaml and apps/ are here",
            "Only one of them would be read, and the apps of the other would count as unwanted.",
            "Name them with -f: `-f apps.yaml -f apps` for both, or one of them; or move one away.",
        )
    return found[:1]


def _declares_apps(path: Path) -> bool:
    """Whether it looks like a part of a manifest; other programs have YAML in a folder `apps`, too."""
    return re.search(rb"^apps\s*:", read_input(path, MANIFEST_LIMIT), re.MULTILINE) is not None


def yaml_files(path: Path) -> list[Path]:
    """The files of a manifest in a folder; none where there is no such folder."""
    with reporting("read", path):
        if not path.is_dir():
            return []
        return sorted(entry for entry in path.iterdir() if entry.suffix in (".yaml", ".yml"))


def _manifest_paths(files: Sequence[str]) -> list[Path]:
    """The files as typed, else those of this folder, which may be none; folders opened."""
    if "" in files:
        raise UsageError(
            "-f names no file",
            "It was given an empty text, as a variable of the shell gives that is not set.",
            "Name a file or a folder; for all YAML files of this folder type: -f .",
        )
    return [path for name in files or default_files() for path in _manifest_files(Path(name))]


def _manifest_files(path: Path) -> list[Path]:
    with reporting("read", path):
        if not path.is_dir():
            return [path]
    found = yaml_files(path)
    if not found:
        raise UsageError(f"There is no manifest in {shown(path)}", "It has no .yaml or .yml file.")
    return found


def _check_place(sources: Sequence[Source], values: VariableValues, manifest: Manifest) -> None:
    """Refuse a state whose place would change with the order of the files: another one would be empty."""
    folders = {Path(source.name).parent for source in sources}
    if len({folder.resolve() for folder in folders}) == 1:
        return
    turned = load(list(reversed(sources)), values, check_recipient)
    if turned.state.stated_in != manifest.state.stated_in:
        raise UsageError(
            "It is not clear where the state is kept",
            "The manifest's files are in several folders, and none of them says it: "
            + ", ".join(quote(source.name, 80) for source in sources[:4])
            + (", …." if len(sources) > 4 else "."),
            "Add `state: {path: FOLDER}` to one of them; it is relative to that file.",
        )


def _check_apart(sources: Sequence[Source], manifest: Manifest) -> None:
    """Refuse a state whose folder a file of the manifest is in: others could not read that any more."""
    state = manifest.state
    if state.git is not None or state.place is None:
        return
    place = Path(state.stated_in).parent / state.path
    if any(_is_or_holds(place, folder) for folder in {Path(source.name).parent for source in sources}):
        raise ManifestError([fault_at(state.place, STATE_PATH, HOLDS_THE_MANIFEST, state.path)])


def _is_or_holds(outer: Path, inner: Path) -> bool:
    """By what is on the disk: neither links nor the case of letters hide it."""
    with contextlib.suppress(OSError):  # what cannot be told is told by whoever uses the folder
        there = outer if outer.exists() else Path(os.path.normpath(outer))  # `x/..` will be, once x is made
        inside = inner.resolve()
        return there.exists() and any(there.samefile(folder) for folder in (inside, *inside.parents))
    return False


def _variable_values(settings: Settings, given: Sequence[str], files: Sequence[str]) -> VariableValues:
    """--var over --var-file over PROVISIONER_VAR_name; later ones over earlier ones."""
    values: VariableValues = {
        name: (value, f"PROVISIONER_VAR_{name}") for name, value in settings.variables.items()
    }
    for file in files:
        source = Source(file, read_input(Path(file), _SMALL_LIMIT))
        values |= {name: (value, file) for name, value in variables_from(source).items()}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError("--var takes NAME=VALUE", "One of them has no equals sign.")
        values[name] = (value, "--var")
    return values


def _start_log(settings: Settings) -> None:
    if settings.log_level is not None:
        from provisioner.cli.log import start_log

        start_log(settings)
