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
from counterparts.places import CLEAR, FOLDERS

from provisioner.sandbox.world import OAuthApp
from torture.bench import Bench, Case, Ran
from torture.report import Counts
from torture.scenario import App, Apps, uri

_OURS = FOLDERS.keys() - {"command"}  # whose files we make; a program's are its own
WRITES = ("create", "rotate", "delete")
Records = dict[str, dict[str, Any]]


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


def finished(bench: Bench, case: Case, wanted: Apps) -> Iterator[Flaw]:
    """What must be true whenever a command has ended with 0 that was to come to what is `wanted`."""
    records, damaged = _records(case.folder)
    for key in damaged:
        yield Flaw("lost", f"the record of {key} cannot be read")
    for key in sorted(wanted.keys() - records.keys()):
        # What is wanted after all takes another apply: until then it may be neither there nor recorded.
        yield Flaw("wrong" if case.contradicted else "lost", f"{key} has no record")
    for key in sorted(records.keys() - wanted.keys()):
        yield Flaw("wrong", f"{key} is still recorded")
    yield from _there(case, records, wanted)
    for key, record in records.items():
        if not _held(bench, case, record):
            yield Flaw("lost", f"the secret recorded for {key} is not the live one")
        if key in wanted and record.get("protect", False) is not bool(wanted[key].protect):
            yield Flaw("wrong", f"{key} is not protected as the manifest says")
    for path in case.journal:
        yield Flaw("wrong", f"{Path(path).name} is still open")
    if case.scenario.sinks:
        yield from _delivered(bench, case, records)


def _delivered(bench: Bench, case: Case, records: Records) -> Iterator[Flaw]:
    """Every sink has the live pair of every app and nothing else, and there is a receipt of it."""
    sinks = case.scenario.sinks
    for key, record in records.items():
        if case.scenario.sink_only and record["secret"]["sealed"] is not None:
            yield Flaw("wrong", f"the state still has the secret of {key}")
        for sink in sinks:
            receipt = record.get("deliveries", {}).get(sink)
            if receipt is None or receipt["operation"] != record["secret"]["operation"]:
                yield Flaw("wrong", f"{key} has no receipt of {sink}")
            pair = bench.places.held(sink, case.folder, key, bench.identity)
            if pair is None:
                yield Flaw("lost", f"{sink} has nothing of {key}")
            elif not case.judge.confirms(*pair):
                yield Flaw("lost", f"{sink} has a pair of {key} that is not the live one")
    for text in bench.places.remains(sinks, case.folder, records):
        yield Flaw("wrong", f"{text} is left in a sink")
    for text in bench.places.kubernetes.faults:
        yield Flaw("wrong", f"a cluster was asked what it does not know: {text}")


def _there(case: Case, records: Records, wanted: Apps) -> Iterator[Flaw]:
    """The server's apps: each is recorded and as it is wanted, or it rightly stays as it was at first."""
    apps = {app.id: app for app in case.judge.apps() if app != case.judge.foreign}
    keys = {record["object"]["id"]: key for key, record in records.items()}
    live = {record["object"]["name"] for record in records.values() if record["object"]["id"] in apps}
    unrecorded = [app for app in apps.values() if app.id not in keys]
    for name in sorted({*case.scenario.stays} - {app.name for app in unrecorded}):
        yield Flaw("lost", f"{name} should have stayed, known to nobody")
    for app in unrecorded:
        if app.name not in case.scenario.stays:
            yield Flaw("duplicated" if app.name in live else "lost", f"{app.name} ({app.id}) is in no record")
        elif app not in case.began:
            yield Flaw("wrong", f"{app.name} was to stay as it was")
    for app_id in apps.keys() & keys.keys():
        key = keys[app_id]
        if key in wanted and not _as_wanted(apps[app_id], key, wanted[key]):
            yield Flaw("wrong", f"{key} is not as the manifest wants it")


def _as_wanted(app: OAuthApp, key: str, wanted: App) -> bool:
    name = wanted.name or key
    return (app.name, app.redirect_uris) == (name, (uri(name, wanted.path),))


def _held(bench: Bench, case: Case, record: dict[str, Any]) -> bool:
    """Whether the secret is the live one; one that is not held was made by hand, and must live on."""
    if record["secret"] is not None:
        # What is nowhere but in the sinks is looked for there.
        gone = case.scenario.sink_only and record["secret"]["sealed"] is None
        return gone or confirmed(bench, case, record)
    untouched = [app for app in case.judge.apps() if app in case.began]
    return any(app.id == record["object"]["id"] and app.name in case.scenario.by_hand for app in untouched)


def unasked(bench: Bench, case: Case) -> Iterator[Flaw]:
    """Write requests of a kind that nothing in the scenario calls for. Who takes over an app rotates it."""
    asks = {*case.scenario.asks, *["rotate"] * ("create" in case.scenario.asks)}
    if not case.contradicted:
        sent = (name for name in WRITES if bench.sandbox.calls[name] and name not in asks)
        yield from (Flaw("wrong", f"a {name} was asked for, which nobody wanted") for name in sent)


def settled(case: Case) -> Iterator[Flaw]:
    """What must be true of the files once nothing is to be done any more."""
    for path in _inside(case.folder / "state"):
        if path.suffix in (".op", ".sight", ".tmp"):
            yield Flaw("wrong", f"{path.name} was left behind")


def modes(case: Case) -> Iterator[Flaw]:
    """What must be true of the files at any moment at which no command runs."""
    sinks = [case.folder / FOLDERS[sink] for sink in case.scenario.sinks if sink in _OURS]
    for path in (path for folder in (case.folder / "state", *sinks) for path in _inside(folder)):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & ~(0o700 if path.is_dir() else 0o600):
            yield Flaw("leaked", f"{path.name} has mode {mode:o}")


def leaks(bench: Bench, case: Case) -> Iterator[Flaw]:
    """Where a secret or the token stands in clear, in whatever form."""
    places = {str(path.relative_to(case.folder)): path.read_bytes() for path in _files(case)}
    for number, ran in enumerate(case.ran, 1):
        places |= {f"stdout of run {number}": ran.out.encode(), f"stderr of run {number}": ran.err.encode()}
    canaries = (bench.sandbox.api_key, *bench.places.tokens, *case.judge.made)
    needles = [form for text in canaries for form in forms(text)]
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
        # What was under way is finished as it was asked for; what contradicts it takes another apply.
        lenient = case.contradicted and ran.arguments[0] == "apply"
        found = finished(bench, case, case.end(ran.arguments))
        flaws = [flaw for flaw in found if flaw.kind != "wrong" or not lenient]
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


def _records(folder: Path) -> tuple[Records, list[str]]:
    """The records by key, and those that cannot be read."""
    records, damaged = {}, []
    for path in sorted((folder / "state/apps").glob("[!.]*.json")):
        try:
            records[path.stem] = json.loads(path.read_bytes())
        except ValueError:
            damaged.append(path.stem)
    return records, damaged


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in (folder, *folder.rglob("*")) if path.exists())


def _files(case: Case) -> list[Path]:
    """All but those that are to hold secrets in clear."""
    clear = [case.folder / FOLDERS[sink] for sink in case.scenario.sinks if sink in CLEAR]
    return [path for path in case.folder.rglob("*") if path.is_file() and path.parent not in clear]
