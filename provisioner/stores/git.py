"""The state as a branch of a git repository: for runners whose disk does not outlive them.

A folder in the repository's own `.git` holds the same files and is written first, as a state in a folder is.
What was written is pushed before the next request goes out, and within seconds otherwise.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from provisioner.errors import FileError, LockedError, ProvisionerError, StateError, UsageError
from provisioner.model import Address
from provisioner.operation import Operation, Sight, Step
from provisioner.ports import JournalEntry
from provisioner.reading import shown
from provisioner.state import AppRecord, Header, State
from provisioner.stores.branch import Branch, MovedError, Tips
from provisioner.stores.lease import Lease, lease_from, lease_to
from provisioner.stores.local_copy import LocalCopy, difference
from provisioner.stores.noting import Noting
from provisioner.stores.pusher import Pusher
from provisioner.stores.reading import state_from
from provisioner.text import escape

AT_ONCE = 20  # apps that are on their way, or done and not pushed: what a runner that dies takes along
_POLL = 2.0  # seconds between two looks at a lock that another run holds
_RENEWALS = 3  # in the time of one lease

Tell = Callable[[str], None]


class GitStore:
    """A StateStore. `lease` is in seconds; `tell` gets what people should know and no error is about."""

    def __init__(self, branch: Branch, lease: float, tell: Tell) -> None:
        self._branch = branch
        self._lease = lease
        self._tell = tell
        self._tips = Tips(None, None)  # of both branches, while the lock is held
        self._held: Lease | None = None
        self._operation = ""
        self._pusher: Pusher | None = None
        self._room = threading.BoundedSemaphore(AT_ONCE)

    @cached_property
    def _copy(self) -> LocalCopy:
        """In `.git`, where nobody commits it; of all work trees of the repository, as the branch is."""
        ended = self._branch.git.attempt("rev-parse", "--path-format=absolute", "--git-common-dir")
        if ended.status != 0:
            raise StateError(
                f"{shown(self._branch.git.folder)} is in no git repository that can be used",
                f"The manifest says that its state is a branch (state.git). Git said: {ended.said}.",
                "Run this in a clone of the repository that the manifest belongs to.",
            )
        common = Path(os.fsdecode(ended.out.rstrip(b"\n")))
        return LocalCopy(common / "provisioner" / self._branch.name.replace("/", "%2F"))

    def where(self, path: str = "") -> str:
        """The branch for people, or the file at `path` in it."""
        name, remote = self._branch.name, self._branch.remote
        return f"{name}:{path}" if path else f"the branch {name} of {remote}"

    def read(self) -> State:
        """The whole state: as it is in the branch or, under the lock, as this run has made it."""
        if self._pusher is not None:
            return self._copy.store.read()
        tip = self._branch.tips().state
        if tip is None and any(self._copy.commits()):
            raise self._gone()
        contents = self._branch.contents(self._branch.state_at(tip)) if tip else {}
        return state_from(contents, self.where)

    @contextlib.contextmanager
    def lock(self, operation: str, timeout: float = 0.0) -> Iterator[None]:
        """Hold the state for `operation`, alone, waiting up to `timeout` seconds for it.

        The folder's lock and the branch's are waited for one after the other, in that time together.
        """
        until = time.monotonic() + timeout
        with self._copy.store.lock(operation, timeout):
            self._take(operation, until)
            try:
                self._receive()
            except BaseException:
                self._give_back()
                raise
            try:
                with self._pushing():
                    yield
            except BaseException:
                try:
                    self._release()
                except ProvisionerError as error:  # what the run was about is more to the point
                    self._tell(f"Note: {error.summary}. {error.detail}")
                raise
            self._release()

    def write_header(self, header: Header) -> None:
        """Write what the state belongs to."""
        self._copy.store.write_header(header)
        self._note()

    def write_record(self, record: AppRecord) -> None:
        """Write one app's record."""
        self._copy.store.write_record(record)
        self._note()

    def delete_record(self, address: Address) -> None:
        """Take one app's record away."""
        self._copy.store.delete_record(address)
        self._note()

    def write_sight(self, sight: Sight) -> None:
        """Write what a run saw before its first write."""
        self._copy.store.write_sight(sight)
        self._note()

    def open_operation(self, operation: Operation, step: Step, reply_bytes: int) -> JournalEntry:
        """Make an entry, and see it in the branch: a request may follow."""
        self._room.acquire()
        noting = None
        try:
            noting = Noting(
                self._copy.store.open_operation(operation, step, reply_bytes), self._note, self._room.release
            )
            self._note()
            if self._pusher is not None:
                self._pusher.wait()
        except BaseException:
            noting.leave() if noting else self._room.release()
            raise
        return noting

    def close_operation(self, operation_id: str) -> None:
        """Take a journal entry away."""
        self._copy.store.close_operation(operation_id)
        self._note()

    def unlock(self, lock_id: str | None) -> str:
        """Break the lock `lock_id` by hand; who held it. Raises UsageError where that is not the lock."""
        tips, note = self._holder()
        if tips.lock is None:
            raise UsageError("The state is not locked", "", "Run the command that was refused again.")
        holder = lease_from(note)
        held_id = holder.id if holder else tips.lock
        if lock_id != held_id:
            raise UsageError(
                "The lock has another id" if lock_id else "Which lock is to be broken?",
                _holds(holder, tips.lock),
                f"If that run is dead: provisioner state unlock {escape(held_id, 80)}",
            )
        self._branch.push(tips, Tips(tips.state, None))
        return _holds(holder, tips.lock)

    def _holder(self) -> tuple[Tips, bytes]:
        """Both branches, and what the lock's holder wrote, if there is one."""
        while True:
            tips = self._branch.tips()
            if tips.lock is None:
                return tips, b""
            try:
                commit, note = self._branch.note_at(tips.lock)
            except StateError:
                if self._branch.tips().lock == tips.lock:
                    raise
            else:  # it may have been renewed meanwhile
                return Tips(tips.state, commit), note

    def _note(self) -> None:
        if self._pusher is not None:
            self._pusher.note()

    def _take(self, operation: str, until: float) -> None:
        while not self._taken(operation, waiting=time.monotonic() < until):
            time.sleep(_POLL)

    def _taken(self, operation: str, *, waiting: bool) -> bool:
        """Whether the lock is ours now. Raises LockedError where it is not, and nobody waits for it."""
        (tips, note), now = self._holder(), time.time()
        holder = lease_from(note)
        if tips.lock is not None and (holder is None or not holder.expired(now)):
            if waiting:
                return False
            raise LockedError("The state is locked", _holds(holder, tips.lock), _unlock(holder, tips.lock))
        lease = Lease(
            f"lock_{secrets.token_hex(6)}",
            socket.gethostname(),
            os.getpid(),
            operation,
            int(now),
            int(now + self._lease),
        )
        made = self._branch.made(tips, {}, "", lease_to(lease))
        try:
            self._branch.push(tips, made)
        except MovedError:  # another run was quicker
            return self._taken(operation, waiting=waiting)
        if holder is not None:
            self._tell(f"Note: the lock of a run that ended without it was taken over: {holder.told(now)}.")
        self._tips, self._held, self._operation = made, lease, operation
        try:
            self._tips = self._seen_with(made.lock)
        except BaseException:
            self._give_back()
            raise
        return True

    def _seen_with(self, lock: str | None) -> Tips:
        """Both branches once the lock is ours: whoever held it before may have written until the end."""
        there = self._branch.tips()
        if there.lock != lock:
            raise MovedError(
                f"The lock was pushed to {self._branch.remote} and is not there",
                "Somebody has broken it at once, or pushes go elsewhere than fetches come from.",
                f"Look at: git remote get-url --push {self._branch.remote}",
            )
        return there

    def _receive(self) -> None:
        """Make the copy here what the branch is; what was written here and not pushed is pushed first."""
        tip, copy = self._tips.state, self._copy
        copy.files.taken()
        contents = self._branch.contents(self._branch.state_at(tip)) if tip else {}
        commits = copy.commits()
        if tip in commits:
            ahead = difference(contents, copy.contents())
            if ahead:
                self._tell("Note: what an earlier run had recorded here and not pushed is pushed now.")
                copy.files.put_back(ahead)
                self._push()
            return
        if tip is None:
            raise self._gone()
        known = [commit for commit in commits if commit is None or self._branch.has(commit)]
        pushed = [commit for commit in known if commit and self._branch.leads_to(commit, tip)] or known[:1]
        base = self._branch.contents(pushed[-1]) if pushed and pushed[-1] else {}
        unpushed = difference(base, copy.contents()) if pushed else {}
        if unpushed:
            aside = copy.set_aside(unpushed)
            self._tell(
                "Note: an earlier run had recorded things here that it did not push, and another run has gone"
                f" on without them. They are kept in {shown(aside)}."
            )
        copy.replace(contents, tip)

    @contextlib.contextmanager
    def _pushing(self) -> Iterator[None]:
        pusher = self._pusher = Pusher(self._push, self._lease / _RENEWALS)
        try:
            yield
        finally:
            self._pusher = None
            pusher.close()  # what it could not push, the end of the lock tries once more
            with contextlib.suppress(FileError):  # they go with the next run
                self._copy.store.forget_sights()

    def _push(self) -> None:
        """What was written since the last time, and the lease for as long again: both or none."""
        lease = self._holding().renewed(time.time(), self._lease)
        self._send(lease_to(lease))
        self._held = lease

    def _release(self) -> None:
        """What is left, and the end of the lock. Raises StateError where others cannot see what was done."""
        self._holding()
        try:
            self._send(None)
            if self._tips.state is not None:  # which was seen to be there; an earlier one would be a rollback
                self._copy.say(self._tips.state)
        finally:
            self._held = None

    def _give_back(self) -> None:
        """The lock alone: the copy here was not made the branch's, and says nothing of it."""
        try:
            self._branch.push(self._tips, Tips(self._tips.state, None))
        except ProvisionerError as error:
            self._tell(f"Note: {error.summary}. {error.detail}")
        finally:
            self._held = None

    def _gone(self) -> StateError:
        name, remote = self._branch.name, self._branch.remote
        return StateError(
            f"The branch {name} is gone from {remote}",
            "It was there, so this is not an empty state.",
            f"Bring it back: git push {remote} {self._branch.seen_ref}:{self._branch.state_ref}\n"
            f"Or, to start without it, first remove {shown(self._copy.folder)}",
        )

    def _holding(self) -> Lease:
        if self._held is None:
            raise MovedError(
                "The lock was lost before everything was pushed",
                "Another run has taken it over, or somebody has broken it.",
                "Run `provisioner plan`: the next run here says what becomes of what this one recorded.",
            )
        return self._held

    def _send(self, note: bytes | None) -> None:
        changes = self._copy.files.taken()
        try:
            after = self._branch.made(self._tips, changes, f"{self._operation} [skip ci]", note)
            if changes:
                self._copy.say(self._tips.state, after.state)
            self._branch.push(self._tips, after)
        except ProvisionerError as error:
            self._copy.files.put_back(changes)
            if isinstance(error, MovedError):
                self._held = None
            raise
        if self._tips.state is None:
            self._copy.say(after.state)  # from now on the branch is there, and can be missed
        self._tips = after


def _holds(holder: Lease | None, commit: str) -> str:
    now = time.time()
    if holder is None:
        return f"Somebody holds it; the note of {escape(commit, 80)} cannot be read."
    left = holder.until - now
    ends = f"It ends in {left / 60:.0f} min unless it is renewed." if left > 0 else "It is about to end."
    return f"{holder.told(now)} holds it as {escape(holder.id, 80)}. {ends}"


def _unlock(holder: Lease | None, commit: str) -> str:
    lock_id = holder.id if holder else commit
    return f"Wait until it is done. If that run is dead: provisioner state unlock {escape(lock_id, 80)}"
