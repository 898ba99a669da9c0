"""A program of the user's: it gets the pair on its standard input, and its exit status is its answer."""

from __future__ import annotations

import errno
import os
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.duration import duration
from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.ports import SecretSink
from provisioner.sinks.formats import named, render
from provisioner.sinks.program import End, Program, look_up
from provisioner.text import escape, quote

_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
_API_KEY: Final = "METEROID_API_KEY"
_UNSEEN: Final = "What it printed is not shown: it could hold the secret."
_STATUSES: Final = {
    126: ", a shell's word for a program that may not be run",
    127: ", a shell's word for a program that is not found: PATH is provisioner's own",
}
_REASONS: Final = {
    errno.ENOENT: "What its first line (#!) names is not there, or the folder to run it in is not",
    errno.ENOEXEC: "It is neither a program for this machine nor a script with a first line (#!)",
    errno.ECHILD: "provisioner was started with SIGCHLD ignored, so that no program's end can be told",
}


def sink(declared: DeclaredSink, environment: Mapping[str, str]) -> SecretSink:
    """A sink of type `command`. Of the environment it hands on what programs need, and what `env` names."""
    return CommandSink(environment)


@dataclass(frozen=True, slots=True)
class CommandSink:
    """Runs a program for each delivery and removal; `grace` (seconds) is between SIGTERM and SIGKILL."""

    environment: Mapping[str, str] = field(repr=False)
    grace: float = 2.0

    def place(self, target: Target) -> str:
        """The command; where it delivers to, it alone knows."""
        options = target.options
        stays = "" if options["remove"] or target.sink.keep else ", which cannot take it back"
        return f"command {_shown(options['command'])}{stays}"

    def probe(self, target: Target) -> None:
        """The names, the variables, and that the programs are there. Nothing is run."""
        _content(target, Credentials(target.address, "probe", Secret(b"probe")))
        _seconds(target)
        for event in ("deliver", "remove") if target.options["remove"] else ("deliver",):
            self._program(target, event)

    def deliver(self, target: Target, credentials: Credentials) -> None:
        """Run `command` with the pair on its standard input: exit status 0 says that it is delivered."""
        end = self._run(target, "deliver", _content(target, credentials))
        why = _why(end, target)
        if end.status == 0 and end.unread:
            why = "Its exit status is 0, yet it read nothing of its standard input, where the secret is."
        if why:
            argv = target.options["command"]
            raise SinkError(
                f"The command {_shown(argv)} did not deliver the secret of {target.address}",
                f"{why} {_UNSEEN}",
                f"To see what it prints, type: provisioner secret get {target.address.key}"
                f" --format {target.options['format']} | {escape(shlex.join(argv), 200)}",
            )

    def remove(self, target: Target) -> None:
        """Run `remove`, with nothing on its standard input. SinkError where it is missed."""
        argv = target.options["remove"]
        if not argv and target.sink.keep:
            return
        if not argv:
            raise SinkError(
                f"Nothing says how to take back what {_shown(target.options['command'])} delivered",
                f"The sink {target.sink.name} has no `remove`; the copy of {target.address}'s secret stays.",
                "Add `remove` with the program that takes it away, or `keep: true` if it is to stay.",
            )
        why = _why(self._run(target, "remove", Secret(b"")), target)
        if why:
            raise SinkError(
                f"The command {_shown(argv)} did not take away the secret of {target.address}",
                f"{why} {_UNSEEN}",
                f"To see what it prints, type: {escape(shlex.join(argv), 200)}",
            )

    def _run(self, target: Target, event: str, content: Secret) -> End:
        program = self._program(target, event)
        try:
            return program.run(content, _seconds(target), self.grace)
        except (OSError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) else None
            reason = _REASONS.get(number or 0) or (
                os.strerror(number) if number else "No program can be given its arguments"
            )
        raise SinkError(
            f"The command {_shown(program.argv)} could not be run", f"{reason}.", "Try it by hand."
        )

    def _program(self, target: Target, event: str) -> Program:
        argv = target.options["command" if event == "deliver" else "remove"]
        folder = Path(target.sink.folder).absolute()
        environment = self._environment(target, event)
        path = look_up(argv[0], folder, environment.get("PATH", os.defpath))
        if path is None:
            raise _absent(argv[0], folder)
        return Program(path, argv, folder, environment)

    def _environment(self, target: Target, event: str) -> Mapping[str, str]:
        wanted = target.options["env"]
        missing = [name for name in wanted if not self.environment.get(name)]
        if _API_KEY in wanted:
            raise SinkError(
                f"The sink {target.sink.name} would hand {_API_KEY} to its command",
                "It opens the whole organization, and nothing that is delivered to takes it.",
                f"Remove {_API_KEY} from `env`.",
            )
        if missing:
            raise SinkError(
                f"The sink {target.sink.name} lacks what its command needs",
                f"Not set, or empty: {escape(', '.join(missing), 200)}.",
                "Set it where provisioner is started, or remove it from `env`.",
            )
        kept = {name: self.environment[name] for name in (*_KEPT, *wanted) if name in self.environment}
        return kept | {
            "PROVISIONER_ADDRESS": str(target.address),
            "PROVISIONER_KEY": target.address.key,
            "PROVISIONER_SINK": target.sink.name,
            "PROVISIONER_EVENT": event,
        }


def _content(target: Target, credentials: Credentials) -> Secret:
    return render(target.options["format"], named(target, credentials))


def _seconds(target: Target) -> float:
    time = duration(target.options["timeout"])
    if not time:
        raise SinkError(
            f"Not a length of time: {quote(target.options['timeout'], 80)}",
            f"The sink {target.sink.name} has it as its `timeout`.",
            "Write it as in 30s or 5m.",
        )
    return time.total_seconds()


def _why(end: End, target: Target) -> str:
    """What went wrong; empty where nothing did."""
    if end.status is None:
        return f"It was not done within {target.options['timeout']}, its `timeout`, and was ended."
    if end.status < 0:
        return f"It was ended by {_signal(-end.status)}."
    return f"Its exit status is {end.status}{_STATUSES.get(end.status, '')}." if end.status else ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def _absent(name: str, folder: Path) -> SinkError:
    beside, shown = (folder / name).is_file(), quote(name, 80)
    if "/" not in name:
        hint = f"For the one beside the manifest, write ./{escape(name, 80)}." if beside else "Install it."
        return SinkError(f"There is no program {shown}", "No folder of PATH has one that may be run.", hint)
    if beside:
        chmod = escape(shlex.join(["chmod", "+x", str(folder / name)]), 300)
        return SinkError(
            f"{shown} may not be run", "The file is not executable for this user.", f"Type: {chmod}"
        )
    where = f"It is looked for from {quote(str(folder), 200)}, the folder of the manifest."
    return SinkError(f"There is no program {shown}", where, "Correct its path.")


def _shown(argv: Sequence[str]) -> str:
    return quote(shlex.join(argv), 100)
