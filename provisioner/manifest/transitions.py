"""What became of apps: `moved`, `removed` and `import` of all files, held against each other and the apps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provisioner.errors import Problem
from provisioner.frozen import dataclass
from provisioner.manifest.faults import SHOWN_FAULTS, Fault, Loc, Place
from provisioner.manifest.patterns import key_of
from provisioner.manifest.tree import Document, List, Map
from provisioner.manifest.words import near
from provisioner.model import Address

SHOWN_STEPS = 10  # of a circle
# What may be said of one app, or of one id, once only; and where it is said again, the rule.
_ONCE = {
    "moved": {"from": "{0} is moved already, at {1}.", "to": "An app is moved to {0} already, at {1}."},
    "removed": {"app": "{0} is removed already, at {1}."},
    "import": {"to": "{0} takes an app already, at {1}.", "id": "{0} is taken already, at {1}."},
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of one of the lists, and where it stands."""

    document: Document
    section: str
    index: int
    values: Map

    def loc(self, field: str) -> Loc:
        return self.section, self.index, field

    def get(self, field: str) -> str | None:
        """The key of the app that is named here, or the id; None where it is not of that form."""
        value = self.values.get(field)
        if field != "id":
            return key_of(value)
        return value if isinstance(value, str) else None

    def place(self, field: str) -> Place:
        return self.document.place(self.loc(field))

    def fault(self, field: str, rule: str, remedy: str) -> Fault:
        return self.document.fault(self.loc(field), Problem(rule, remedy), str(self.values[field]))


class _Apps:
    """The apps of all files by key. Where not all of them can be told, none is said to be missing."""

    def __init__(self, documents: list[Document]) -> None:
        stating = [document for document in documents if "apps" in document.root]
        self.files = {key: document for document in reversed(stating) for key in document.section("apps")}
        self.whole = bool(stating) and all(isinstance(document.root["apps"], Map) for document in stating)

    def place(self, key: str) -> Place | None:
        """Where an app is declared, if it is."""
        document = self.files.get(key)
        return document.place(("apps", key), key=True) if document else None

    def missing(self, entry: _Entry, key: str) -> str:
        """The way out where there is no such app. A near one is looked for as long as faults are shown."""
        close = near(key, list(self.files)) if entry.index < SHOWN_FAULTS else ""
        return close or "Add the app, or remove this entry."


def transition_faults(documents: list[Document]) -> Iterator[Fault]:
    """What these entries say against the apps, against each other, or twice."""
    entries = {section: tuple(_entries(documents, section)) for section in _ONCE}
    if not any(entries.values()):
        return
    for section, rules in _ONCE.items():
        yield from _repeated(entries[section], rules)
    apps = _Apps(documents)
    yield from _moves(entries["moved"], entries["removed"], apps)
    yield from _circles(entries["moved"])
    yield from _removals(entries["removed"], entries["moved"], apps)
    yield from _imports(entries["import"], entries["moved"], apps)


def _entries(documents: list[Document], section: str) -> Iterator[_Entry]:
    for document in documents:
        node = document.root.get(section)
        for index, values in enumerate(node if isinstance(node, List) else ()):
            if isinstance(values, Map):
                yield _Entry(document, section, index, values)


def _by(entries: tuple[_Entry, ...], field: str) -> dict[str, _Entry]:
    """The entries by what they say of a field, in their order: of several that say the same, the first."""
    first: dict[str, _Entry] = {}
    for entry in entries:
        value = entry.get(field)
        if value is not None:
            first.setdefault(value, entry)
    return first


def _shown(key: str, field: str = "") -> str:
    return key if field == "id" else str(Address(key))


def _repeated(entries: tuple[_Entry, ...], rules: Mapping[str, str]) -> Iterator[Fault]:
    first = {field: _by(entries, field) for field in rules}
    for entry in entries:
        for field, rule in rules.items():
            value = entry.get(field)
            earlier = first[field][value] if value is not None else entry
            if value is not None and earlier is not entry:
                said = rule.format(_shown(value, field), earlier.place(field))
                yield entry.fault(field, said, "Remove one of the two entries.")
                break  # one entry that was written twice is one fault


def _moves(moved: tuple[_Entry, ...], removed: tuple[_Entry, ...], apps: _Apps) -> Iterator[Fault]:
    known = _by(moved, "from").keys() | _by(removed, "app").keys() | apps.files.keys()
    for entry in moved:
        old, new = entry.get("from"), entry.get("to")
        if old is not None and old == new:
            yield entry.fault("to", "This moves an app to where it is.", "Remove the entry.")
            continue
        if old is not None and (place := apps.place(old)):
            rule = f"{_shown(old)} is still in the manifest, at {place}; an app that was moved is not."
            yield entry.fault("from", rule, "Rename that app, or remove this entry.")
        if new is not None and new not in known and apps.whole:
            rule = f"{_shown(new)} is no app of the manifest, and is neither moved on nor removed."
            yield entry.fault("to", rule, apps.missing(entry, new))


def _circles(moved: tuple[_Entry, ...]) -> Iterator[Fault]:
    """Each circle once, at the entry that is met first. To move to itself is no circle: that was said."""
    steps = {old: entry for old, entry in _by(moved, "from").items() if old != entry.get("to")}
    seen: set[str] = set()
    for start in steps:
        path: list[str] = []
        key: str | None = start
        while key is not None and key in steps and key not in seen:
            seen.add(key)
            path.append(key)
            key = steps[key].get("to")
        if key is not None and key in path:
            circle = path[path.index(key) :]
            yield steps[key].fault("from", _circle([*circle, key]), "Remove one of these entries.")


def _circle(keys: list[str]) -> str:
    shown = [_shown(key) for key in keys]
    if len(shown) > SHOWN_STEPS:
        shown[SHOWN_STEPS - 2 : -1] = ["…"]
    return f"These moves go round in a circle: {' -> '.join(shown)}."


def _removals(removed: tuple[_Entry, ...], moved: tuple[_Entry, ...], apps: _Apps) -> Iterator[Fault]:
    moves = _by(moved, "from")
    for entry in removed:
        key = entry.get("app")
        if key is None:
            continue
        if place := apps.place(key):
            rule = f"{_shown(key)} is still in the manifest, at {place}; an app that was removed is not."
            yield entry.fault("app", rule, "Remove that app, or this entry.")
        if key in moves:
            rule = f"{_shown(key)} is moved, at {moves[key].place('from')}, and cannot be removed too."
            yield entry.fault("app", rule, "Name the app that it is moved to, or remove one of the entries.")


def _imports(imports: tuple[_Entry, ...], moved: tuple[_Entry, ...], apps: _Apps) -> Iterator[Fault]:
    moves = _by(moved, "to")
    for entry in imports:
        key = entry.get("to")
        if key is None:
            continue
        if apps.whole and key not in apps.files:
            yield entry.fault("to", f"{_shown(key)} is no app of the manifest.", apps.missing(entry, key))
        if key in moves:
            rule = f"An app is moved to {_shown(key)} already, at {moves[key].place('to')}."
            yield entry.fault("to", rule, "Remove one of the two entries.")
