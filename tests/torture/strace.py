"""What strace shows of a command, and how it strikes one syscall of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from counterparts.places import FOLDERS

ERRNOS = ("ENOSPC", "EIO", "EDQUOT")
WRITES = (
    "pwrite64", "write", "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "ftruncate", "flock", "fallocate", "mkdir", "mkdirat", "chmod", "fchmod", "fchmodat", "openat", "close",
)  # fmt: skip
READS = (
    "read", "pread64", "stat", "lstat", "newfstatat", "fstat", "statx", "getdents64", "lseek", "ioctl",
    "fcntl", "dup",
)  # fmt: skip
NETWORK = ("connect", "sendto", "recvfrom")
PROGRAMS = ("vfork", "clone", "clone3", "waitid")  # of the user's: how they are begun and waited for
TRACED = ",".join(
    f"?{name}" for name in (*WRITES, *READS, *NETWORK, *PROGRAMS)
)  # not every machine has every one
_LINE = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_UNFINISHED = " <unfinished ...>"
_REQUEST = re.compile(r'"(?:POST|DELETE) /api/v1/oauth-apps')
_INJECTED = "(INJECTED)"
_OURS = ("state", *FOLDERS.values())


@dataclass(frozen=True, slots=True)
class Call:
    """A syscall: the how-manieth of its name in its thread, its arguments, and what it came to."""

    thread: str
    name: str
    ordinal: int
    arguments: str
    result: str

    def touches(self, folder: str, names: Iterable[str] = _OURS) -> bool:
        """Whether it is on the state or a sink in `folder`, or on the folder that these are in."""
        ours = (f"<{folder}/{name}{end}" for name in names for end in ">/")
        named = (f'"{name}{end}' for name in names for end in '"/')
        return any(text in self.arguments for text in (*ours, *named)) or self.arguments.endswith(
            f"<{folder}>"
        )

    @property
    def speaks(self) -> bool:
        """Whether it is about a server, or about a program that was started."""
        return self.name in (*NETWORK, *PROGRAMS) or "<pipe:" in self.arguments

    @property
    def injected(self) -> bool:
        """Whether an error was put in its place."""
        return _INJECTED in self.result

    @property
    def asks(self) -> bool:
        """Whether it sends a write request."""
        return self.name == "sendto" and bool(_REQUEST.search(self.arguments))

    @property
    def keeps_an_answer(self) -> bool:
        """Whether it makes an answer durable in the journal."""
        return self.name == "fdatasync" and self.arguments.endswith(".op>") and self.result == "0"

    @property
    def cut_off(self) -> bool:
        """Whether the process ended in it."""
        return self.result.startswith("?")


@dataclass(frozen=True, slots=True)
class Strike:
    """The Nth call of a name in any thread: killed there (no errno), or failing with errno."""

    name: str
    ordinal: int
    errno: str = ""

    def __str__(self) -> str:
        return f"{self.name}#{self.ordinal}:{self.errno or 'SIGKILL'}"

    def options(self) -> list[str]:
        """For strace."""
        what = f"error={self.errno}" if self.errno else "signal=SIGKILL"
        return ["-e", f"inject={self.name}:{what}:when={self.ordinal}"]

    def struck(self, calls: Iterable[Call], folder: str) -> bool | None:
        """Whether it came down on the state, a sink or what `speaks`; None where it hit something else."""
        hit = [call for call in calls if call.name == self.name and self._marked(call)]
        if not hit:
            return False
        return True if all(call.touches(folder) or call.speaks for call in hit) else None

    def _marked(self, call: Call) -> bool:
        return call.injected if self.errno else call.cut_off


def options(strikes: Iterable[Strike]) -> list[str]:
    """What strace is started with, beside the process and the log."""
    injections = [option for strike in strikes for option in strike.options()]
    return ["-f", "-y", "-s", "24", "-e", f"trace={TRACED}", *injections]


def calls(log: str) -> list[Call]:
    """The calls in the order in which they began."""
    return list(_calls(log.splitlines()))


def _calls(lines: list[str]) -> Iterator[Call]:
    seen: Counter[tuple[str, str]] = Counter()
    for number, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        thread, name, rest = match.group("thread", "name", "rest")
        seen[thread, name] += 1
        if rest.endswith(_UNFINISHED):
            rest = rest.removesuffix(_UNFINISHED) + _rest(lines[number + 1 :], thread, name)
        arguments, result = _split(rest)
        yield Call(thread, name, seen[thread, name], arguments, result)


def _rest(later: list[str], thread: str, name: str) -> str:
    """The other part of a call that another thread's came between."""
    for line in later:
        match = _RESUMED.fullmatch(line)
        if match and match.group("thread", "name") == (thread, name):
            return match["rest"].removesuffix(_UNFINISHED)
    return ") = ?"


def _split(rest: str) -> tuple[str, str]:
    arguments, _, result = rest.rpartition(" = ")
    return arguments.rstrip().removesuffix(")"), result.strip()
