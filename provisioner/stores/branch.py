"""A branch with the files of a state, and a second one that is its lock, in a remote repository."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from provisioner.errors import StateError
from provisioner.frozen import dataclass
from provisioner.stores.git_command import NOT_RUN, Ended, Git, failure
from provisioner.stores.reading import APPS, HEADER, JOURNAL

_OURS = re.compile(rf"{HEADER}|{APPS}/[^/.][^/]*\.json|{re.escape(JOURNAL)}/[^/.][^/]*\.(?:op|sight)")
_FILE = b"100644"
_WHO = b"provisioner <provisioner@localhost>"
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-filter")
_WAITS = (0.0, 1.0, 3.0)  # seconds before each try of a push that may or may not have come through
_REFUSED = re.compile(r"!\t[^\t]*\t\[(?:remote )?rejected\] \((.*)\)")
_PASSING = (
    "cannot lock ref",
    "failed to update ref",
    "stale info",
    "atomic push fail",
    "atomic transaction failed",
)


class MovedError(StateError):
    """Somebody else wrote the state or the lock; ours did not get in."""


@dataclass(frozen=True, slots=True)
class Tips:
    """The commits at the ends of the state's branch and of the lock's; None where there is no branch."""

    state: str | None
    lock: str | None


@dataclass(frozen=True, slots=True)
class Branch:
    """`name` at `remote`: `git ls-remote`, `fetch` and `push` are all that it takes of a host."""

    git: Git
    remote: str
    name: str
    waits: Sequence[float] = _WAITS
    sleep: Callable[[float], None] = time.sleep

    @property
    def state_ref(self) -> str:
        """The branch of the state."""
        return f"refs/heads/{self.name}"

    @property
    def lock_ref(self) -> str:
        """The branch that is there for as long as somebody holds the lock."""
        return f"refs/heads/{self.name}-lock"

    @property
    def seen_ref(self) -> str:
        """What was last seen of the state's branch, here."""
        return f"refs/provisioner/{self.name}/state"

    def tips(self) -> Tips:
        """Both ends, as the remote has them now."""
        ended = self._tips()
        if ended.status != 0:
            raise failure(
                f"The state's branch could not be asked for at {self.remote}",
                ended,
                f"Try: git ls-remote {self.remote} {self.name}",
            )
        return self._tips_in(ended)

    def _tips(self) -> Ended:
        return self.git.attempt("ls-remote", self.remote, self.state_ref, self.lock_ref)

    def _tips_in(self, ended: Ended) -> Tips:
        found = {ref: commit for commit, _, ref in map(_tabbed, ended.out.decode().splitlines())}
        return Tips(found.get(self.state_ref), found.get(self.lock_ref))

    def state_at(self, tip: str) -> str:
        """The state's commit, here: `tip` or one that came after it."""
        return self._fetched("state", self.state_ref, tip)

    def note_at(self, tip: str) -> tuple[str, bytes]:
        """The lock's commit, in the same way, and what its holder wrote."""
        commit = self._fetched("lock", self.lock_ref, tip)
        return commit, self.git.ask("cat-file", "commit", commit).partition(b"\n\n")[2]

    def _fetched(self, kind: str, ref: str, tip: str) -> str:
        local = f"refs/provisioner/{self.name}/{kind}"
        shallow = self.git.ask("rev-parse", "--is-shallow-repository").strip() == b"true"
        depth = ["--depth=1"] if shallow else []  # as the rest of it: all of its history is of no use then
        fetch = [*_FETCH, *depth]
        ended = NOT_RUN
        for wait in self.waits:  # two runs that fetch at once are in each other's way
            self.sleep(wait)
            there = self._commit_at(local)
            if there == tip:
                return tip
            ended = self.git.attempt(*fetch, self.remote, f"+{ref}:{local}")
            if ended.status == 0 and (commit := self._commit_at(local)):
                return commit
        raise failure(f"The state's branch could not be fetched from {self.remote}", ended)

    def _commit_at(self, ref: str) -> str:
        found = self.git.attempt("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return found.out.decode().strip() if found.status == 0 else ""

    def has(self, commit: str) -> bool:
        """Whether a commit is here, with all that it holds."""
        return self.git.attempt("cat-file", "-e", f"{commit}^{{tree}}").status == 0

    def leads_to(self, commit: str, tip: str) -> bool:
        """Whether `tip` is known to have come after a commit; in a shallow clone it often is not."""
        return self.git.attempt("merge-base", "--is-ancestor", commit, tip).status == 0

    def contents(self, commit: str) -> dict[str, bytes]:
        """The files of the state at a commit; other files in the branch are somebody else's."""
        self._complete(commit)
        listed = self.git.ask("ls-tree", "-r", "-z", "--full-tree", commit)
        names = dict(_entry(line) for line in listed.split(b"\0") if line)
        ours = {path: found for path, found in names.items() if _OURS.fullmatch(path)}
        for path, (mode, _) in ours.items():
            if mode != _FILE:
                raise StateError(
                    "The state cannot be trusted: it is not made of plain files",
                    f"In the branch {self.name}, {path!r} has the mode {mode.decode()}.",
                    "Bring the branch back to the commit before that.",
                )
        asked = b"".join(blob + b"\n" for _, blob in ours.values())
        return dict(zip(ours, _blobs(self.git.ask("cat-file", "--batch", content=asked)), strict=True))

    def _complete(self, commit: str) -> None:
        """In a partial clone, fetch what a commit lacks here at once. Left to itself, git would fetch one
        file after the other; it still does where the host does not hand out files by their names."""
        listed = self.git.attempt("rev-list", "--objects", "--no-walk", "--missing=print", commit).out
        missing = [line[1:] + b"\n" for line in listed.split(b"\n") if line.startswith(b"?")]
        if missing:
            self.git.attempt(*_FETCH, "--stdin", self.remote, content=b"".join(missing))

    def made(
        self, before: Tips, changes: Mapping[str, bytes | None], message: str, note: bytes | None
    ) -> Tips:
        """New commits, not pushed yet: the state with its changes (None: gone), and the lock's note.

        Each comes after the one before it, the lock's too: there are hosts that take nothing else.
        """
        ref = f"refs/provisioner/{self.name}/made-".encode()
        stream: list[bytes] = []
        if changes:
            stream += [
                *_commit(ref + b"state", b":1", message.encode(), before.state, changes),
                b"get-mark :1\n",
            ]
        if note is not None:
            stream += [*_commit(ref + b"lock", b":2", note, before.lock, {}), b"get-mark :2\n"]
        if not stream:
            return Tips(before.state, None)
        made = self.git.ask("fast-import", "--quiet", "--force", content=b"".join(stream)).decode().split()
        return Tips(made[0] if changes else before.state, made[-1] if note is not None else None)

    def push(self, before: Tips, after: Tips) -> None:
        """Let the remote go from `before` to `after`, both branches or none, and only from there.

        Raises MovedError where somebody else was there; after any other failure the remote is looked at,
        because a push whose answer was lost may have come through.
        """
        refs = ((self.state_ref, before.state, after.state), (self.lock_ref, before.lock, after.lock))
        moving = [(ref, old, new) for ref, old, new in refs if old != new]
        leases = [f"--force-with-lease={ref}:{old or ''}" for ref, old, _ in moving]
        specs = [f"{new or ''}:{ref}" for ref, _, new in moving]
        ended = NOT_RUN
        for wait in self.waits:
            self.sleep(wait)
            ended = self.git.attempt(
                "push", "--porcelain", "--atomic", "--no-verify", *leases, self.remote, *specs
            )
            if ended.status == 0 or self._came_through(before, after, ended):
                if after.state and after.state != before.state:  # so that git does not throw it away
                    self.git.attempt("update-ref", self.seen_ref, after.state)
                return
        raise failure(f"The state could not be pushed to {self.remote}", ended, _LATER)

    def _came_through(self, before: Tips, after: Tips, ended: Ended) -> bool:
        looked = self._tips()
        if looked.status != 0:
            return False
        now = self._tips_in(looked)
        if after.lock is not None:  # no other commit is like it, and both branches went or none
            came = now.lock == after.lock
        else:
            came = now.state == after.state and (after.state != before.state or now.lock != before.lock)
        if came:
            return True
        if now != before:
            raise MovedError(
                f"Somebody else has written to {self.name} at {self.remote}",
                "The lock was taken over or broken, or the branch was pushed to by hand.",
                _LATER,
            )
        reasons = _REFUSED.findall(ended.out.decode("utf-8", "replace"))
        if any(not reason.startswith(_PASSING) for reason in reasons):
            raise failure(f"{self.remote} does not take pushes to {self.name} and its lock", ended, _RIGHTS)
        return False


_LATER = "Run `provisioner plan` again: it shows what is recorded, and what is left open."
_RIGHTS = "Let the runner create, push to and delete both branches, and let no rule protect them."


def _tabbed(line: str) -> tuple[str, str, str]:
    return line.partition("\t")


def _entry(line: bytes) -> tuple[str, tuple[bytes, bytes]]:
    """`<mode> <type> <object>\\t<path>` (git-ls-tree)."""
    head, _, path = line.partition(b"\t")
    mode, _, blob = head.split(b" ")
    return path.decode("utf-8", "surrogateescape"), (mode, blob)


def _blobs(out: bytes) -> Iterable[bytes]:
    """`<object> <type> <size>\\n<content>\\n`, one after the other (git-cat-file --batch)."""
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        size = int(out[at:end].rpartition(b" ")[2])
        yield out[end + 1 : end + 1 + size]
        at = end + size + 2


def _commit(
    ref: bytes, mark: bytes, message: bytes, parent: str | None, changes: Mapping[str, bytes | None]
) -> list[bytes]:
    """For git-fast-import."""
    who = b"committer %s %d +0000\n" % (_WHO, int(time.time()))
    stream = [b"reset %s\ncommit %s\nmark %s\n" % (ref, ref, mark), who, _data(message)]
    if parent:
        stream.append(b"from %s\n" % parent.encode())
    for path, content in changes.items():
        name = path.encode()
        stream += [b"D %s\n" % name] if content is None else [b"M 100644 inline %s\n" % name, _data(content)]
    return [*stream, b"\n"]


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
