"""What became of an operation that has no usable answer: pure, from the journal, the state and the list."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from provisioner.frozen import dataclass
from provisioner.model import App, AppSpec, Listing
from provisioner.name import fold
from provisioner.operation import Answer, OpenOperation, Step
from provisioner.phases import Event, Phase
from provisioner.state import AppRecord
from provisioner.text import quote

_SLACK = timedelta(seconds=1)  # `Date` is whole seconds, `created_at` is not
# The longest between an intent and its request: a minute until it is handed to the client, five in which the
# client may hold it (429), and one in which a connection is made.
_HELD_BACK = timedelta(minutes=7)


@dataclass(frozen=True, slots=True)
class Rules:
    """The manifest's `recovery`: whether strong evidence is acted on, and how long a request may be late."""

    auto: bool = True
    settle: timedelta = timedelta(seconds=60)


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Check:
    """One piece of evidence, in words, and whether it holds."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: the event for the table, the app in question, and the evidence where it was weighed."""

    event: Event
    app: App | None = None
    evidence: tuple[Check, ...] = field(default=(), compare=False)  # its words hold the time of the look


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known when an operation is looked into."""

    listing: Listing
    organization_id: str | None
    recorded: Collection[str]  # ids in the state
    spec: AppSpec | None  # what the manifest says of the address now
    rules: Rules


def find(entry: OpenOperation, record: AppRecord | None, scene: Scene) -> Finding:
    """The event that the next run goes on with."""
    if record and record.secret and record.secret.operation == entry.operation.id:
        return Finding(Event.ALREADY, record.app)
    match entry.step.phase:
        case Phase.CREATING | Phase.CREATING_AGAIN | Phase.CREATED | Phase.REPLACING:
            return _created(entry, scene)
        case Phase.ROTATED:
            return _rotated(entry, scene)
        case Phase.DELETING | Phase.DELETING_AGAIN | Phase.DELETING_OLD | Phase.DELETING_OLD_AGAIN:
            return _deleted(entry, scene)
        case _:
            return Finding(Event.RESTART, _by_id(scene.listing.apps, entry.step.app_id))


def _created(entry: OpenOperation, scene: Scene) -> Finding:
    answer = entry.step.answer
    app = _by_id(scene.listing.apps, answer.app_id) if answer else None
    if answer and app and answers_for(answer, app):
        return Finding(Event.FITS, app)
    spec = _spec(entry)
    holders = [app for app in scene.listing.apps if fold(app.name) == fold(spec.name)]
    if not holders:
        return Finding(_absent(entry, spec, scene))
    evidence = tuple(weigh(entry, spec, holders[0], scene))
    if len(holders) > 1:
        evidence += (Check("only one app has that name", holds=False),)
    if all(check.holds for check in evidence) and scene.rules.auto:
        return Finding(Event.OURS, holders[0], evidence)
    given_up = scene.spec is None or fold(scene.spec.name) != fold(spec.name)
    if given_up and settled(entry.step, scene):
        return Finding(Event.UNWANTED)  # somebody looked, and asks for another name now
    return Finding(Event.UNSURE, holders[0], evidence)


def _absent(entry: OpenOperation, spec: AppSpec, scene: Scene) -> Event:
    """Asked for again; where the manifest asks for something else it is closed, once nothing can be late."""
    if scene.spec == spec:
        return Event.ABSENT
    return Event.UNWANTED if settled(entry.step, scene) else Event.UNSURE


def _rotated(entry: OpenOperation, scene: Scene) -> Finding:
    """The answer on disk is the live one, unless an earlier rotation of ours may have come after it."""
    answer, app = entry.step.answer, _by_id(scene.listing.apps, entry.step.app_id)
    if app is None:
        return Finding(Event.MISSING)
    whole = answer is not None and answer.complete and answer.status == 200 and answer.hint is not None
    live = answer is not None and (answer.hint == app.client_secret_hint or not entry.step.unsettled)
    return Finding(Event.FITS if whole and live else Event.DIFFERS, app)


def _deleted(entry: OpenOperation, scene: Scene) -> Finding:
    app = _by_id(scene.listing.apps, entry.operation.app.id if entry.operation.app else None)
    if app is None:
        return Finding(Event.GONE)
    if scene.spec == entry.operation.spec:  # for a delete: neither wants it
        return Finding(Event.THERE, app)
    return Finding(Event.KEPT if settled(entry.step, scene) else Event.UNSURE, app)


def answers_for(answer: Answer, app: App) -> bool:
    """Whether a sealed answer to a create is this app's: a whole 201 with the same ids and hint."""
    seen = (answer.app_id, answer.client_id, answer.hint)
    return (
        answer.complete and answer.status == 201 and seen == (app.id, app.client_id, app.client_secret_hint)
    )


def weigh(entry: OpenOperation, spec: AppSpec, app: App, scene: Scene) -> Iterable[Check]:
    """Whose is it? All of these together are strong evidence that our lost request made it."""
    sight = entry.sight
    ids, began = (sight.ids, sight.date) if sight else (None, None)
    yield Check("it was not there before we asked", ids is not None and app.id not in ids)
    yield Check("it is in no other record", app.id not in scene.recorded)
    same = scene.organization_id in (None, app.organization_id)
    yield Check("it is of the state's organization", same)
    within = _within(app.created_at, began, entry.step, scene)
    yield Check(f"it was made while our request can have been on its way (asked {began})", within)
    yield Check(f"its name is {quote(spec.name, 80)}", app.name == spec.name)
    yield Check("its redirect URIs are those we asked for", set(app.redirect_uris) == set(spec.redirect_uris))
    if spec.scopes is not None:
        yield Check("its scopes are those we asked for", set(app.scopes) == set(spec.scopes))
    yield Check("it is active", app.is_active)
    yield Check("it was never updated", app.updated_at is None)


def settled(step: Step, scene: Scene) -> bool:
    """Whether by the server's clock the latest request can no longer be carried out. Unknown is no."""
    end, now = _latest(step, scene), http_date(scene.listing.date)
    return end is not None and now is not None and now >= end


def _latest(step: Step, scene: Scene) -> datetime | None:
    """When the latest request can have been carried out at the latest, by the server's clock."""
    start = http_date(step.since)
    held = timedelta() if step.sent else _HELD_BACK
    return None if start is None else start + held + scene.rules.settle


@lru_cache(maxsize=8)
def http_date(text: str | None) -> datetime | None:
    """The moment of a `Date` header (RFC 9110 §5.6.7); None where there is none to be had."""
    if text is None:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # twenty modules

    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _within(created_at: str, began: str | None, step: Step, scene: Scene) -> bool:
    """All by the server's own clock, for ours may be wrong by days."""
    start, latest, now = http_date(began), _latest(step, scene), http_date(scene.listing.date)
    if start is None or latest is None or now is None:
        return False
    return start - _SLACK <= datetime.fromisoformat(created_at) <= min(now, latest) + _SLACK


def doubts(finding: Finding) -> str:
    """Why nothing is done about it, in words."""
    failed = [check.text for check in finding.evidence if not check.holds]
    if finding.app is None or not finding.evidence:
        return "an earlier request may still be on its way"
    why = "; ".join(failed) if failed else "recovery.mode is ask"
    return f"{finding.app.id} may be ours or somebody else's; what does not hold: {why}"


def _by_id(apps: Iterable[App], app_id: str | None) -> App | None:
    return next((app for app in apps if app.id == app_id), None) if app_id else None


def _spec(entry: OpenOperation) -> AppSpec:
    spec = entry.operation.spec
    if spec is None:
        raise ValueError(f"{entry.operation.id} is a create without what to create")
    return spec
