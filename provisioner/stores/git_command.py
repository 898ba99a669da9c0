"""The git command: within a time, never asking anybody, and telling what it said without passwords."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from provisioner.errors import StateError
from provisioner.frozen import dataclass
from provisioner.reading import shown
from provisioner.text import escape

SECONDS = 120.0  # for one command; a push to a host that hangs must not hold a lock for good
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GCM_INTERACTIVE": "never",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
# Set in a hook of another repository, they would lead us there.
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
# What opens the API, sealed secrets and sinks, by how its names begin. GITHUB_TOKEN and GH_TOKEN are not of
# it: with them people's credential helpers log in where the state is pushed to.
_SECRETS = ("METEROID_", "PROVISIONER_", "SOPS_AGE_", "VAULT_", "BAO_")
# No hook and no setting of the repository changes what is pushed; what is written is on the disk.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.fsync=committed",
    "gc.auto=0",
    "maintenance.auto=false",
    "push.gpgSign=false",
    "push.pushOption=",
    "push.followTags=false",
    "submodule.recurse=false",
)
_CREDENTIALS = ((re.compile(r"://\S*@"), "://…@"), (re.compile(r"\?\S*"), "?…"))  # of an address
_SAID = re.compile(r"(?:remote|fatal|error|warning|ERROR): *\S")
_LINES = 4  # of what it said: the first of them have the reason


@dataclass(frozen=True, slots=True)
class Ended:
    """How one command ended; the status is None where its time was up."""

    status: int | None
    out: bytes
    said: str  # for messages: its last lines of complaint, escaped


NOT_RUN = Ended(None, b"", "")


@dataclass(frozen=True, slots=True)
class Git:
    """The repository that `folder` is in, through the git command of `environment`."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    seconds: float = SECONDS

    def ask(self, *arguments: str, content: bytes = b"") -> bytes:
        """What it prints. Raises StateError where it fails."""
        ended = self.attempt(*arguments, content=content)
        if ended.status != 0:
            raise failure(f"`git {arguments[0]}` failed in {shown(self.folder)}", ended)
        return ended.out

    def attempt(self, *arguments: str, content: bytes = b"") -> Ended:
        """Run it, whatever comes of it. Raises StateError where it cannot be started."""
        program = shutil.which("git", path=self.environment.get("PATH", ""))
        if program is None:
            raise StateError(
                "Git is not installed", "The state is kept in a branch, through the `git` command."
            )
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        return self._run([program, "-C", str(self.folder), *settings, *arguments], content)

    def _run(self, command: Sequence[str], content: bytes) -> Ended:
        """In a session of its own: a Ctrl-C that lets nothing new start must not cut off a push."""
        kept = passed_on(self.environment)
        try:
            process = subprocess.Popen(
                command,
                env={name: value for name, value in kept.items() if name not in _ELSEWHERE} | _QUIET,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise StateError("Git could not be started", f"{reason}.") from None
        with process:
            try:
                out, err = process.communicate(content, self.seconds)
            except BaseException as error:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                with suppress(subprocess.TimeoutExpired):  # whoever went elsewhere may hold the pipes
                    process.communicate(timeout=1)
                if isinstance(error, subprocess.TimeoutExpired):
                    return Ended(None, b"", f"it did not end within {self.seconds:.0f} s")
                raise
        return Ended(process.returncode, out, _complaint(err.decode("utf-8", "replace")))


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What git gets of an environment, and with it its credential helpers: no secret that is ours."""
    return {name: value for name, value in environment.items() if not name.startswith(_SECRETS)}


def failure(summary: str, ended: Ended, hint: str = "") -> StateError:
    """The error for a command that failed, with what git said."""
    said = ended.said or f"its exit status was {ended.status}"
    return StateError(summary, f"Git said: {said.rstrip('.')}.", hint)


def _complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if _SAID.match(line)]
    for pattern, cut in _CREDENTIALS:
        lines = [pattern.sub(cut, line) for line in lines]
    return "; ".join(escape(line, 200) for line in lines[:_LINES])
