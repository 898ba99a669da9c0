"""A world that outlives its server: a file of JSON lines, one appended for each change.

The first line names the format and the organization, each further one an app as it is from then on, or the
end of one. The file holds the secrets of the pretend apps in clear, and is made for its owner only (0600).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any

from provisioner.errors import FileError
from provisioner.sandbox.ids import new_id
from provisioner.sandbox.world import AS_DOCUMENTED, Commit, OAuthApp, Quirks, World
from provisioner.text import quote

FORMAT = "provisioner-sandbox/1"


@contextmanager
def opened(path: Path, quirks: Quirks = AS_DOCUMENTED) -> Iterator[World]:
    """The world kept in the file, made when missing. FileError where it is damaged, foreign or in use."""
    with _locked(path) as file:
        lines = file.read().splitlines(keepends=True)
        if not lines:
            lines = [_line({"format": FORMAT, "organization_id": new_id("org")})]
            _append(file, path, lines[0])
        organization_id, apps = _replay(path, lines)
        os.fchmod(file.fileno(), 0o600)  # only now: before, it might have been somebody else's file
        yield World(
            apps,
            organization_id=organization_id,
            quirks=quirks,
            on_commit=lambda commit: _append(file, path, _line(_document(commit))),
        )


@contextmanager
def _locked(path: Path) -> Iterator[FileIO]:
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise _file_error(path, "opened", error) from None
    with os.fdopen(number, "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise FileError(
                f"The sandbox data file {quote(str(path))} is not a regular file", "It must be one."
            )
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(
                f"The sandbox data file {quote(str(path))} is in use",
                "Another sandbox keeps its apps there; stop it, or give this one a file of its own.",
            ) from None
        yield file


def _append(file: FileIO, path: Path, line: bytes) -> None:
    """Add a line, or nothing: what a full disk cut off is taken away again."""
    end = file.seek(0, os.SEEK_END)
    try:
        _write_whole(file, line)
    except OSError as error:
        with suppress(OSError):  # a half line that stays is found when the file is next read
            file.truncate(end)
        raise _file_error(path, "written", error) from None


def _write_whole(file: FileIO, line: bytes) -> None:
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _file_error(path: Path, what: str, error: OSError) -> FileError:
    return FileError(f"The sandbox data file {quote(str(path))} could not be {what}", f"{error.strerror}.")


def _document(commit: Commit) -> dict[str, Any]:
    return {"deleted": commit.id} if commit.app is None else {"app": asdict(commit.app)}


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _replay(path: Path, lines: Iterable[bytes]) -> tuple[str, Iterable[OAuthApp]]:
    organization_id = ""
    apps: dict[str, OAuthApp] = {}
    for number, line in enumerate(lines, 1):
        try:
            document = _parsed(line)
            if number == 1:
                organization_id = _organization(document)
            elif "deleted" in document:
                del apps[document["deleted"]]
            else:
                app = _app(document["app"])
                apps[app.id] = app
        except (KeyError, TypeError, ValueError):
            raise FileError(
                f"The sandbox data file {quote(str(path))} is damaged",
                f"Line {number} is not what a sandbox writes there.",
                "Give another file, or move this one away to begin with no apps.",
            ) from None
    return organization_id, apps.values()


def _parsed(line: bytes) -> dict[str, Any]:
    """A whole line, its end included: one without is half of one."""
    document = json.loads(line) if line.endswith(b"\n") else None
    if not isinstance(document, dict):
        raise TypeError
    return document


def _organization(document: dict[str, Any]) -> str:
    if document["format"] != FORMAT:
        raise ValueError
    return str(document["organization_id"])


def _app(fields: dict[str, Any]) -> OAuthApp:
    app = OAuthApp(
        **{**fields, "redirect_uris": tuple(fields["redirect_uris"]), "scopes": tuple(fields["scopes"])}
    )
    texts = (app.id, app.organization_id, app.name, app.client_id, app.client_secret, app.client_secret_hint)
    if not all(isinstance(text, str) for text in (*texts, *app.redirect_uris, *app.scopes, app.created_at)):
        raise TypeError
    return app
