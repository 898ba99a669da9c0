"""From a workspace to a manifest of the apps that nobody manages yet."""

from __future__ import annotations

import codecs
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path

from provisioner.cli.output import complain, say
from provisioner.cli.workspace import (
    Workspace,
    base_url,
    connect,
    default_files,
    exists,
    is_empty,
    open_what_there_is,
)
from provisioner.desired import DesiredState
from provisioner.model import Address, App
from provisioner.name import fold
from provisioner.operation import OpenOperation, Operation
from provisioner.refresh import check_base_url, check_organization
from provisioner.render.manifest_text import SCHEMA_FILE, manifest_text
from provisioner.state import State
from provisioner.text import escape, quote


def generate(files: Sequence[str], variables: Sequence[str], var_files: Sequence[str]) -> None:
    """Print a manifest that imports them, and on standard error what to do with it. Writes nothing."""
    workspace, present = open_what_there_is(files, variables, var_files)
    desired, url = workspace.desired, base_url(workspace)
    check_base_url(workspace.store.read(), url)
    with connect(workspace) as api:
        listed = api.list_apps().apps
    state = workspace.store.read()  # anew: what an apply made before the list is recorded or in its journal
    check_base_url(state, url)
    check_organization(state, listed, workspace.manifest.provider.organization_id)
    apps = tuple(_unmanaged(listed, state, desired))
    if apps:
        text = manifest_text(apps, _taken(state, workspace), _declared(apps, state, desired))
        # Before anything is printed: it may go to that very file, which is empty until then.
        target = _unused(present[0].parent) if present else Path(workspace.manifest.state.stated_in)
        say(_encodable(text, sys.stdout.encoding), end="")
        complain(f"Printed {len(apps)} app{'s' * (len(apps) != 1)} to import. To go on, type:")
        complain(_next(files, target))
    elif listed:
        complain(
            "Nothing is left to import: every app that the API lists is in the state, named under `import` "
            "in the manifest, or being made."
        )
    else:
        complain("There is nothing to import: the API lists no app.")


def unfinished(state: State, app: App) -> Operation | None:
    """The open operation that may be about this app: it names the id, or asks for the name."""
    for entry in state.open:
        spec = entry.operation.spec
        if app.id in _ids(entry) or (spec and fold(spec.name) == fold(app.name)):
            return entry.operation
    return None


def _ids(entry: OpenOperation) -> Iterator[str | None]:
    yield entry.operation.app.id if entry.operation.app else None
    yield entry.step.app_id
    yield entry.step.answer.app_id if entry.step.answer else None


def _unmanaged(listed: Iterable[App], state: State, desired: DesiredState) -> Iterator[App]:
    """The apps without a record. One that an earlier run may have made is left out, and that is said."""
    known = {record.app.id for record in state.records.values()} | {*desired.imports.values()}
    for app in listed:
        operation = None if app.id in known else unfinished(state, app)
        if operation:
            complain(
                f"Left out: {app.id}, {quote(app.name, 80)}. An earlier run may have made it, as "
                f"{operation.address}, and is not finished: run `provisioner apply` first."
            )
        elif app.id not in known:
            yield app


def _taken(state: State, workspace: Workspace) -> set[Address]:
    """Every address of which something is said already."""
    busy = (entry.operation.address for entry in state.open)
    gone = (*workspace.desired.moved, *workspace.manifest.removed)
    return {*workspace.desired.apps, *gone, *state.records, *busy}


def _declared(apps: Iterable[App], state: State, desired: DesiredState) -> dict[str, Address]:
    """By id, the addresses that the manifest has for apps of the same name, where they have no app yet."""
    busy = {*state.records, *desired.imports, *desired.moved.values()}
    busy |= {entry.operation.address for entry in state.open}
    free = {spec.name: address for address, spec in desired.apps.items() if address not in busy}
    return {app.id: free[app.name] for app in apps if app.is_active and app.name in free}


def _encodable(text: str, encoding: str) -> str:
    """Where the output is not UTF-8, as a manifest must be: ASCII, with YAML's escapes, which Python's are.

    What is not ASCII stands between double quotes.
    """
    if codecs.lookup(encoding).name == "utf-8":
        return text
    return text.encode("ascii", "backslashreplace").decode()


def _next(files: Sequence[str], target: Path) -> str:
    """The commands that keep what was printed beside the present manifest, and show what it comes to.

    Where the schema that its first line names is not there, one of them brings it.
    """
    names = [*files] or default_files()
    if target.parent not in map(Path, names):  # as a part of a folder it is read already
        names.append(str(target))
    lines = [f"provisioner import --generate{_options(files)} > {shlex.quote(str(target))}"]
    schema = target.parent / SCHEMA_FILE
    if not exists(schema):
        lines.append(f"provisioner schema > {shlex.quote(str(schema))}")
    return "\n".join(f"  {escape(line)}" for line in (*lines, f"provisioner plan{_options(names)}"))


def _options(names: Sequence[str]) -> str:
    return "".join(f" -f {shlex.quote(name)}" for name in dict.fromkeys(names))


def _unused(folder: Path) -> Path:
    """The first of imported.yaml, imported-2.yaml, … that would overwrite nothing."""
    paths = (folder / f"imported{'' if number == 1 else f'-{number}'}.yaml" for number in count(1))
    return next(path for path in paths if not exists(path) or is_empty(path))
