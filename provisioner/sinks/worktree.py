"""Git, asked whether it would take up a file with a secret in clear."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from provisioner.errors import SinkError
from provisioner.reading import shown
from provisioner.sinks.places import Place, beside, refused
from provisioner.text import quote

_TIMEOUT = 10.0  # seconds
_PASSED = ("PATH", "HOME", "XDG_CONFIG_HOME")  # git itself, and the user's own list of what is ignored
_ADDED = {"LC_ALL": "C", "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}
_GLOB = re.compile(r"[*?\[\\]")
_YES, _NO = 0, 1  # what git exits with


def require_ignored(place: Place, environment: Mapping[str, str]) -> None:
    """Refuse a place in a work tree whose git does not ignore it, or has it already.

    The name that the file has until it is whole must be ignored too: a killed run may leave it behind.
    """
    folders = [place.folder / parent for parent in place.path.parents]
    with refused("look for a work tree of git around", place.folder / place.path):
        start = next(filter(Path.is_dir, folders), place.folder)
        tree = _tree(start.resolve())
    if tree is None:
        return
    path = (place.folder / place.path).relative_to(start)
    # With ./ in front, a name that starts with : is no pathspec magic.
    name, unfinished = f"./{path.as_posix()}", f"./{path.with_name(beside(path.name, '0' * 8)).as_posix()}"
    asked = f"{name}\0{unfinished}\0".encode()
    ignored = _git(place, tree, environment, [str(start), "check-ignore", "--stdin", "-z"], asked)
    if name not in ignored:
        if _git(place, tree, environment, [str(start), "--literal-pathspecs", "ls-files", "-z", "--", name]):
            _refuse_tracked(place)
        _refuse(place, f"It lies in the work tree {shown(tree)}, and nothing there ignores it.")
    if unfinished not in ignored:
        _refuse(
            place,
            f"It lies in the work tree {shown(tree)} and is ignored, but the file beside it through which it"
            f" is written ({quote(unfinished, 200)}) is not, and a killed run may leave that behind.",
        )


def _tree(folder: Path) -> Path | None:
    """The work tree that a folder is in. Looked up here: git's own no cannot be told from its errors."""
    return next((each for each in (folder, *folder.parents) if os.path.lexists(each / ".git")), None)


def _git(
    place: Place, tree: Path, environment: Mapping[str, str], arguments: list[str], asked: bytes = b""
) -> list[str]:
    """The paths that git answers with."""
    program = shutil.which("git", path=environment.get("PATH", ""))
    if program is None:
        _refuse_unknown(place, tree, "Git is not installed.")
    kept = {name: environment[name] for name in _PASSED if name in environment}
    command = [program, "-c", "core.fsmonitor=false", "-C", *arguments]
    try:
        done = subprocess.run(
            command, input=asked, env=kept | _ADDED, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _refuse_unknown(place, tree, f"Git could not be asked ({type(error).__name__}).")
    if done.returncode not in (_YES, _NO):
        _refuse_unknown(
            place, tree, f"Git said: {quote(done.stderr.decode('utf-8', 'replace').strip(), 300)}."
        )
    return [name for name in done.stdout.decode("utf-8", "replace").split("\0") if name]


def _refuse(place: Place, reason: str) -> NoReturn:
    first, *more = (_GLOB.sub(r"\\\g<0>", part) for part in place.path.parts)
    line = f"/{first}/" if more else f"/{first}*" if first.startswith(".") else f"/*{first}"
    raise SinkError(
        f"Git would take up the secret in {place}",
        f"{reason} The next `git add` could take the secret along, in clear.",
        f"Type: echo {shlex.quote(line)} >> {shown(place.folder / '.gitignore')}; or use a sink of type age,"
        " whose files may be committed.",
    )


def _refuse_tracked(place: Place) -> NoReturn:
    raise SinkError(
        f"Git has the file {place} already",
        "What is delivered there would be committed in clear with the next change.",
        f"Type: git rm --cached {place}; and let .gitignore name it. If a secret was ever committed there,"
        " rotate it: the history keeps it.",
    )


def _refuse_unknown(place: Place, tree: Path, reason: str) -> NoReturn:
    raise SinkError(
        f"Whether git ignores {place} could not be found out",
        f"It lies in the work tree {shown(tree)}. {reason}",
        "Let git answer (`git check-ignore` is what is asked), deliver outside of the work tree,"
        " or use a sink of type age.",
    )
