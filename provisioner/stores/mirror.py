"""Durable files that remember what was written, in the order in which it was: for a copy elsewhere."""

from __future__ import annotations

import threading
from pathlib import Path

from provisioner.files import Files, Slot
from provisioner.stores.reading import APPS, HEADER, JOURNAL

Changes = dict[str, bytes | None]  # by their paths in the folder of the state; None: gone


class MirroredFiles(Files):
    """As `Files`; what became of the state's own files below `root` is handed out by `taken`.

    Each app's calls come one after the other, so whatever is taken at one moment is a state that its folder
    was in: a record is among the changes before the end of the journal entry that it makes needless.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self._guard = threading.Lock()
        self._changes: Changes = {}

    def write(self, path: Path, data: bytes) -> None:
        """Write, and remember."""
        super().write(path, data)
        self.remember(path, data)

    def remove(self, path: Path) -> None:
        """Remove, and remember."""
        super().remove(path)
        self.remember(path, None)

    def slot(self, path: Path, first: bytes, size: int) -> Slot:
        """A slot whose writes are remembered, without the room that is not written to yet."""
        return _MirroredSlot(super().slot(path, first, size), first, self)

    def take_away(self, slot: Slot) -> None:
        """Take away, and remember."""
        path = slot.path
        super().take_away(slot)
        self.remember(path, None)

    def remember(self, path: Path, data: bytes | None) -> None:
        """Add a change, if it is one of the state's own files."""
        relative = path.relative_to(self._root).as_posix()
        ours = relative == HEADER or relative.startswith((f"{APPS}/", f"{JOURNAL}/"))
        if ours and not path.name.startswith("."):
            with self._guard:
                self._changes[relative] = data

    def taken(self) -> Changes:
        """The changes since the last time, which are the caller's now."""
        with self._guard:
            changes, self._changes = self._changes, {}
        return changes

    def put_back(self, changes: Changes) -> None:
        """Changes that were taken and could not be passed on; later ones count more."""
        with self._guard:
            self._changes = changes | self._changes


class _MirroredSlot(Slot):
    """Another slot, written to by the same calls."""

    def __init__(self, slot: Slot, first: bytes, files: MirroredFiles) -> None:
        self.path = slot.path
        self._slot = slot
        self._mirrored = first
        self._files = files
        files.remember(self.path, first)

    def write(self, data: bytes, offset: int) -> None:
        """Write, and remember."""
        self._slot.write(data, offset)
        self._mirrored = self._mirrored[:offset] + data
        self._files.remember(self.path, self._mirrored)

    def handed_on(self, path: Path) -> Slot:
        """The other slot: nothing is remembered of a file that has no name of the state's."""
        return self._slot.handed_on(path)

    def close(self) -> None:
        """Give the file back."""
        self._slot.close()
