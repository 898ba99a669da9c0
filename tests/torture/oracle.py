"""What must be true once a point is over: the sandbox's truth against what is on the disk and was printed."""

from __future__ import annotations

import base64
import json
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyrage

from torture.bench import Bench, Case, Ran
from torture.report import Counts
from torture.scenario import uri


@dataclass(frozen=True, slots=True)
class Flaw:
    """One broken promise."""

    kind: str  # lost, duplicated, leaked, wrong
    text: str


def counted(flaws: Iterable[Flaw], where: str, crashes: int = 0, struck: int = 0) -> Counts:
    """One point's figures; where nothing of what was planned struck, it was none."""
    found = tuple(flaws)
    kinds = Counter(flaw.kind for flaw in found)
    visited = bool(found or struck or not crashes)
    return Counts(
        int(visited),
        kinds["lost"],
        kinds["duplicated"],
        kinds["leaked"],
        kinds["wrong"],
        misses=crashes - struck,
        in_a_row=tuple(int(visited and number == struck) for number in range(4)),
        failures=tuple(f"{where}: {flaw.kind}: {flaw.text}" for flaw in found),
    )


def finished(bench: Bench, case: Case) -> Iterator[Flaw]:
    """What must be true whenever an apply has ended with 0."""
    records, damaged = _records(case.folder)
    for name in damaged:
        yield Flaw("lost", f"the record of {name} cannot be read")
    apps = {app.id: app for app in case.judge.apps() if app != case.judge.foreign}
    recorded = {record["object"]["id"] for record in records.values()}
    wanted = {name: uri(name, path) for name, path in case.wanted.items()}
    for name in sorted(wanted.keys() - records.keys()):
        yield Flaw("lost", f"{name} has no record")
    for name in sorted(records.keys() - wanted.keys()):
        yield Flaw("wrong", f"{name} is still recorded")
    for app in apps.values():
        if app.id not in recorded:
            twice = app.name in records and records[app.name]["object"]["id"] in apps
            yield Flaw("duplicated" if twice else "lost", f"{app.name} ({app.id}) is in no record")
        elif app.redirect_uris != (wanted.get(app.name),):
            yield Flaw("wrong", f"{app.name} is not as the manifest wants it")
    for name, record in records.items():
        if not confirmed(bench, case, record):
            yield Flaw("lost", f"the secret recorded for {name} is not the live one")
    for path in case.journal:
        yield Flaw("wrong", f"{Path(path).name} is still open")


def settled(case: Case) -> Iterator[Flaw]:
    """What must be true of the files once nothing is to be done any more."""
    for path in _inside(case.folder):
        if path.suffix in (".op", ".sight", ".tmp"):
            yield Flaw("wrong", f"{path.name} was left behind")


def modes(case: Case) -> Iterator[Flaw]:
    """What must be true of the files at any moment at which no command runs."""
    for path in _inside(case.folder):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & ~(0o700 if path.is_dir() else 0o600):
            yield Flaw("leaked", f"{path.name} has mode {mode:o}")


def leaks(bench: Bench, case: Case) -> Iterator[Flaw]:
    """Where a secret or the token stands in clear, in whatever form."""
    places = {str(path.relative_to(case.folder)): path.read_bytes() for path in _files(case.folder)}
    for number, ran in enumerate(case.ran, 1):
        places |= {f"stdout of run {number}": ran.out.encode(), f"stderr of run {number}": ran.err.encode()}
    needles = [form for text in (bench.sandbox.api_key, *case.judge.made) for form in forms(text)]
    for place, content in places.items():
        if any(needle in content for needle in needles):
            yield Flaw("leaked", f"a secret is in {place}")
    if bench.sandbox.calls["other"]:
        yield Flaw("leaked", "a redirect was followed")


def status(bench: Bench, case: Case, ran: Ran) -> Iterator[Flaw]:
    """What a run's end must be worth, whatever befell it."""
    if ran.status not in (0, 1, 3) and not ran.killed:
        yield Flaw("wrong", f"exit status {ran.status}: {ran.err[-300:]}")
    if "this is a bug" in ran.err or "Traceback" in ran.err:
        yield Flaw("wrong", f"a bug was shown: {ran.err[-500:]}")
    if ran.status == 0:
        # What was under way is finished as it was asked for; an edit of the manifest takes another apply.
        edited = case.wanted is not case.scenario.wanted
        flaws = [flaw for flaw in finished(bench, case) if flaw.kind != "wrong" or not edited]
        yield from (Flaw(flaw.kind, f"{flaw.text}, after exit status 0") for flaw in flaws)


def confirmed(bench: Bench, case: Case, record: dict[str, Any]) -> bool:
    """Whether the sealed secret is the one that the world takes, opened without any code of the product's."""
    opened = pyrage.decrypt(record["secret"]["sealed"].encode(), [bench.identity])
    body = json.loads(opened.partition(b"\n")[2])
    return case.judge.confirms(record["object"]["client_id"], body["client_secret"])


def confirmed_foreign(case: Case) -> bool:
    """Whether somebody else's app is as they left it."""
    foreign = case.judge.foreign
    return foreign is None or case.judge.confirms(foreign.client_id, foreign.client_secret)


def forms(secret: str) -> list[bytes]:
    """The ways in which a secret could have been written: raw, base64 at three offsets, hex, URL."""
    raw = secret.encode()
    shifted = [base64.b64encode(b"\0" * offset + raw)[4 if offset else 0 : -4] for offset in range(3)]
    return [raw, *shifted, raw.hex().encode(), raw.hex().upper().encode(), quote(secret, safe="").encode()]


def _records(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The records by key, and those that cannot be read."""
    records, damaged = {}, []
    for path in sorted((folder / "state/apps").glob("[!.]*.json")):
        try:
            records[path.stem] = json.loads(path.read_bytes())
        except ValueError:
            damaged.append(path.stem)
    return records, damaged


def _inside(folder: Path) -> list[Path]:
    state = folder / "state"
    return sorted(path for path in (state, *state.rglob("*")) if path.exists())


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
