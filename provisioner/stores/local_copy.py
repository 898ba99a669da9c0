"""The copy of a state's branch that a run works on: a folder, and which commit it is of."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from provisioner.files import Files, fill
from provisioner.journal import filled
from provisioner.stores.directory import DirectoryStore
from provisioner.stores.mirror import Changes, MirroredFiles
from provisioner.stores.reading import ENTRY

_NONE = "-"  # no commit at all
_BEING_REPLACED = "?"
_LIMIT = 1024


class LocalCopy:
    """In `folder`: `state/`, and `of`, which says whose copy it is before it can be told from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._of = folder / "of"
        self._state = folder / "state"
        self.files = MirroredFiles(self._state)
        self.store = DirectoryStore(self._state, self.files)

    def contents(self) -> dict[str, bytes]:
        """The files of the state, as they are pushed: without the room in journal entries."""
        found = self.store.contents()
        return {path: filled(data) if path.endswith(ENTRY) else data for path, data in found.items()}

    def commits(self) -> tuple[str | None, ...]:
        """The commits that it may be of: the last one that was pushed, and then one whose push was not seen
        to end. Empty where it is none's."""
        if not os.path.lexists(self._of):
            return (None,)
        words = Files().read(self._of, _LIMIT).decode("ascii", "replace").split()
        return tuple(None if word == _NONE else word for word in words if word != _BEING_REPLACED)

    def say(self, *commits: str | None) -> None:
        """Durably, before any of them is pushed: what is in the folder is one of these, or made from it."""
        Files().write(self._of, " ".join(commit or _NONE for commit in commits).encode())

    def replace(self, contents: Mapping[str, bytes], commit: str | None) -> None:
        """Make it a copy of `commit`. Where that is cut off, it is nobody's, and made anew next time."""
        present = self.contents()
        Files().write(self._of, _BEING_REPLACED.encode())
        for path in present.keys() - contents.keys():
            (self._state / path).unlink(missing_ok=True)
        fill(self._state, {path: data for path, data in contents.items() if present.get(path) != data})
        self.say(commit)

    def set_aside(self, changes: Changes) -> Path:
        """Keep what was written here and is not wanted any more; its secrets are sealed, as everywhere."""
        folder = self.folder / f"replaced-{secrets.token_hex(4)}"
        Files().folder(folder)
        fill(folder, {path: data for path, data in changes.items() if data is not None})
        return folder


def difference(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Changes:
    """What makes `after` of `before`."""
    gone: Changes = dict.fromkeys(before.keys() - after.keys())
    return gone | {path: data for path, data in after.items() if before.get(path) != data}
