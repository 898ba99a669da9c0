"""Faults planted in the command's own process, to see whether the grid finds them.

The product has no switch for any of them: its modules are patched in the child, before the command begins.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any


def plant(name: str, *arguments: Any) -> None:
    """Put one in place."""
    _PLANTS[name](*arguments)


def _put(owner: Any, name: str, value: Any) -> None:
    if not hasattr(owner, name):
        raise AttributeError(f"there is no {name} any more to plant a fault in")
    setattr(owner, name, value)


class _Inline:
    """An executor without threads."""

    def __init__(self, **_: Any) -> None:
        pass

    def __enter__(self) -> _Inline:  # noqa: PYI034  (nobody makes another of it)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return [function(item) for item in items]


class _AtOnce:
    """A thread that is none."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], **_: Any) -> None:
        self._work = partial(target, *args)

    def start(self) -> None:
        self._work()


def _inline() -> None:
    """One thread, so that the how-manieth call of its name a call is does not depend on a scheduler."""
    from provisioner import apply
    from provisioner.sinks import http

    _put(apply, "ThreadPoolExecutor", _Inline)
    _put(http, "Thread", _AtOnce)


def _short(ordinal: int, then: str, mark: str) -> None:
    """The Nth write comes out half: strace can fail or kill a call, but not shorten it."""
    whole, calls = os.pwrite, iter(range(1, 1_000_000))

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        number = next(calls)
        if number < ordinal or (number > ordinal and then != "full") or (number == ordinal and len(data) < 2):
            return whole(fd, data, offset)
        if number > ordinal:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        Path(mark).touch()
        written = whole(fd, data[: len(data) // 2], offset)
        if then == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    _put(os, "pwrite", pwrite)


def _no_sync_of_folders() -> None:
    from provisioner.files import Files

    _put(Files, "sync_folder", lambda *_: None)


def _no_sync_of_answers() -> None:
    from provisioner.files import Slot, write_all

    _put(Slot, "write", lambda self, data, offset: write_all(self._fd, data, offset))


def _no_intent() -> None:
    """The entry is made when there is an answer to keep."""
    from provisioner.stores.directory import DirectoryStore

    opened = DirectoryStore.open_operation

    class Lazy:
        def __init__(self, arguments: Any) -> None:
            self._arguments = arguments
            self._entry: Any = None

        def step(self, step: Any) -> None:
            self._entry = opened(*self._arguments)
            self._entry.step(step)

        def close(self) -> None:
            if self._entry:
                self._entry.close()

        def leave(self) -> None:
            if self._entry:
                self._entry.leave()

    _put(DirectoryStore, "open_operation", lambda *arguments: Lazy(arguments))


def _read_before_kept() -> None:
    """The answer goes from memory into the record; the journal never has it."""
    from provisioner.stores.directory import JournalEntry

    _put(JournalEntry, "step", lambda *_: None)


def _retry() -> None:
    """As HTTP libraries do: a request that got no answer is sent again."""
    from provisioner.meteroid.wire import Wire

    once = Wire.send

    def twice(self: Wire, request: Any) -> Any:
        answer = once(self, request)
        return once(self, request) if answer.status is None else answer

    _put(Wire, "send", twice)


def _redirect() -> None:
    """As HTTP libraries do: a redirect is followed."""
    from provisioner.meteroid import wire
    from provisioner.meteroid.library import httpcore

    connection = wire._connection

    class Following:
        def __init__(self, *arguments: Any) -> None:
            self.sender = connection(*arguments)
            self.close = self.sender.close

        def handle_request(self, request: Any) -> Any:
            response = self.sender.handle_request(request)
            location = dict(response.headers).get(b"location")
            if location is None:
                return response
            response.close()
            there = request.url
            request.url = httpcore.URL(scheme=there.scheme, host=there.host, port=there.port, target=location)
            return self.sender.handle_request(request)

    _put(wire, "_connection", Following)


def _ambiguous_closed() -> None:
    """A create without an answer ends as a refused one does."""
    from provisioner.phases import MOVES, Event, Phase

    moves: Any = MOVES
    moves[Phase.CREATING, Event.AMBIGUOUS] = moves[Phase.CREATING, Event.REFUSED]


def _never_unsettled() -> None:
    from provisioner.execute import Course

    _put(Course, "_unsettled_until", lambda _: None)


def _closed_without_settling() -> None:
    from provisioner import recovery

    _put(recovery, "settled", lambda *_: True)


def _secret_printed() -> None:
    """An error says what the answer was."""
    from provisioner.cli.output import complain
    from provisioner.execute import Course

    failed = Course._failed

    def told(self: Course, error: Any) -> Any:
        if self._known.reply:
            complain(self._known.reply.body.reveal().decode("utf-8", "replace"))
        return failed(self, error)

    _put(Course, "_failed", told)


def _in_place() -> None:
    """A record is written where it stands."""
    from provisioner.files import Files
    from provisioner.reading import reporting

    def write(self: Files, path: Path, data: bytes) -> None:
        with reporting("write", path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.pwrite(fd, data, 0)
            os.fsync(fd)
            os.close(fd)
            self.sync_folder(path.parent)

    _put(Files, "write", write)


def too_soon(take_away: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """`Files.take_away` without its sync: the bytes change while the old name may still come back."""

    def unsynced(files: Any, slot: Any) -> None:
        files.sync_folder = lambda _: None
        try:
            take_away(files, slot)
        finally:
            del files.sync_folder

    return unsynced


def _used_too_soon() -> None:
    """The file of an entry is used again before the name that it had is gone for good."""
    from provisioner.files import Files

    _put(Files, "take_away", too_soon(Files.take_away))


def _no_lock() -> None:
    from provisioner.stores import directory

    @contextlib.contextmanager
    def unlocked(*_: Any) -> Iterator[None]:
        yield None

    _put(directory, "locked", unlocked)


def _no_evidence() -> None:
    from provisioner import recovery

    _put(recovery, "weigh", lambda *_: ())


def _moved_away() -> None:
    """A move takes the old record away before it writes the new one."""
    from provisioner.apply import _Run

    record = _Run._record

    def moved_away(self: _Run, action: Any) -> None:
        if action.moved_from:
            self._ports.store.delete_record(action.moved_from)
        record(self, action)

    _put(_Run, "_record", moved_away)


def _two_apps() -> None:
    """What is recorded twice is not known to be one app."""
    from provisioner.world import World

    _put(World, "recorded_elsewhere", lambda *_: False)


def _receipt_first() -> None:
    """The state says that a secret is delivered before it is."""
    from provisioner import apply
    from provisioner.delivery import Receipt

    whole = apply.hand_over

    def early(record: Any, handover: Any, secret: Any, outlets: Any, store: Any, clock: Any) -> Any:
        operation, now = record.secret.operation, clock.now()
        receipts = {
            target.sink.name: Receipt(operation, str(target.owner), target.fingerprint, "there", now)
            for target in handover.deliver
        }
        store.write_record(replace(record, deliveries=record.deliveries | receipts))
        return whole(record, handover, secret, outlets, store, clock)

    _put(apply, "hand_over", early)


def _refusal_unheard() -> None:
    """What a sink says against a delivery is passed over."""
    from provisioner.sinks import github_actions

    def put(secrets: Any, name: str, document: Any) -> None:
        secrets.session.call("PUT", f"{secrets.path}/{name}", document)

    _put(github_actions.Secrets, "put", put)


def _sink_in_place() -> None:
    """A sink's file is written where it stands."""
    from provisioner.files import write_all
    from provisioner.sinks import places

    def write_in(folder: int, name: str, _: str, data: bytes) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=folder)
        write_all(fd, data, 0)
        os.fsync(fd)
        os.close(fd)
        os.fsync(folder)

    _put(places, "write_in", write_in)


def _mark_last() -> None:
    """What makes a secret in Vault ours comes after the secret."""
    from provisioner.sinks import vault

    def create(secret: Any, pair: Any) -> bool:
        written = secret.write(pair, 0)
        secret.mark(secret.owner)
        return bool(written)

    _put(vault, "_create", create)


def _loose() -> None:
    from provisioner import files

    _put(files, "FILE_MODE", 0o644)


_PLANTS: dict[str, Callable[..., None]] = {
    "inline": _inline,
    "short": _short,
    "no sync of folders": _no_sync_of_folders,
    "no sync of answers": _no_sync_of_answers,
    "no intent before the request": _no_intent,
    "answer read before it is kept": _read_before_kept,
    "a POST sent again by the library": _retry,
    "a redirect followed": _redirect,
    "an ambiguous create closed": _ambiguous_closed,
    "closed without settling": _closed_without_settling,
    "a rotation never unsettled": _never_unsettled,
    "a secret printed with an error": _secret_printed,
    "a record written in place": _in_place,
    "an entry's file used again too soon": _used_too_soon,
    "the lock not taken": _no_lock,
    "a take-over without evidence": _no_evidence,
    "a move that begins with the old record": _moved_away,
    "a move that was cut off taken for two apps": _two_apps,
    "files for everybody": _loose,
    "a receipt before the delivery": _receipt_first,
    "a sink's refusal passed over": _refusal_unheard,
    "a sink's file written in place": _sink_in_place,
    "a mark that comes last": _mark_last,
}
PLANTED = tuple(_PLANTS)[2:]  # the first two are of the harness, and no faults
OF_SINKS = PLANTED[-4:]
NEAR = {  # what the points have in common that are visited first for a fault which few points show
    "a POST sent again by the library": "lost",
    "a redirect followed": "307",
    "an ambiguous create closed": "create:lost-after",
    "closed without settling": "withdrawn",
    "a rotation never unsettled": "late",
    "a take-over without evidence": "foreign",
    "a move that begins with the old record": "move",
    "a move that was cut off taken for two apps": "state mv",
    "a sink's refusal passed over": "github places:",
    "a sink's file written in place": "file pwrite64",
    "a mark that comes last": "deliver to vault",
}
