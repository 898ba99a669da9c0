"""The protocol searched state by state, over the table that the executor runs: kills, lost and late ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from provisioner.phases import DURABLE, MOVES, START, Effect, Event, Kind, Move, Phase, move

pytestmark = pytest.mark.unmeasured

KILLS, AMBIGUOUS, SENDS = 3, 3, 2
Table = Mapping[tuple[Phase, Event], Move]


@dataclass(frozen=True, slots=True)
class Held:
    """An app on the server, or a record of one: its id, its secret, whose it is."""

    app: int
    secret: int
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """The journal: the phase, the sealed answer, whether an earlier rotate may still come through."""

    phase: Phase
    answer: Held | None = None
    unsettled: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What a crash forgets: the move under way and the answer in memory."""

    phase: Phase
    effects: tuple[Effect, ...]
    reply: Held | None = None
    sends: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Everything: the server, what may still arrive there, the disk, the run, and what may still go wrong."""

    kind: Kind
    server: Held | None = None
    late: tuple[tuple[Effect, int], ...] = ()
    journal: Entry | None = None
    record: Held | None = None
    unsettled: bool = False
    run: Run | None = None
    serial: int = 2
    kills: int = KILLS
    ambiguous: int = AMBIGUOUS
    strangers: int = 1
    edits: int = 0
    wanted: bool = True
    done: bool = False
    settles: bool = True  # what is absent and unwanted is closed only once nothing can be late
    asks: bool = True  # what a stranger made with other fields is never taken for ours


def steps(world: World, table: Table, start: Mapping[Kind, Move]) -> Iterator[World]:
    """Every world that may come next."""
    for index, (request, app) in enumerate(world.late):  # a late request arrives, or never does
        rest = world.late[:index] + world.late[index + 1 :]
        yield committed(replace(world, late=rest), request, app)
        yield replace(world, late=rest)
    if world.strangers and world.server is None:
        serial = world.serial + 1
        yield replace(world, server=Held(serial, serial, ours=False), serial=serial, strangers=0)
    if world.edits:
        yield replace(world, wanted=not world.wanted, edits=world.edits - 1)
    if world.run is None:
        yield from begun(world, start, table)
        return
    if world.kills:
        yield replace(world, run=None, kills=world.kills - 1)
    run = world.run
    if not run.effects:  # a move that comes to nothing ends the run
        yield replace(world, run=None)
        return
    for after, event in performed(world, run.effects[0]):
        left = replace(after.run or run, effects=run.effects[1:])
        if event is None or left.effects:  # only a move's last effect has a say
            yield replace(after, run=left)
        else:
            yield moved(after, left, event, table)


def moved(world: World, run: Run, event: Event, table: Table) -> World:
    taken = table[run.phase, event] if (run.phase, event) in table else move(run.phase, event)
    return replace(world, run=replace(run, phase=taken.phase, effects=taken.effects))


def begun(world: World, start: Mapping[Kind, Move], table: Table) -> Iterator[World]:
    """The next run: it resumes what is open, rotates what did not settle, or starts what is wanted."""
    if world.journal:
        already = world.record is not None and world.record == world.journal.answer
        event = Event.ALREADY if already else Event.RESTART
        yield moved(world, Run(world.journal.phase, ()), event, table)
    elif world.record and world.unsettled and world.server and world.record.secret != world.server.secret:
        yield begin(world, start[Kind.ROTATE])
    elif not world.done and (world.wanted or world.kind is not Kind.CREATE):
        if world.kind is Kind.CREATE and (world.record or world.server):
            return
        yield begin(replace(world, done=world.kind is not Kind.CREATE), start[world.kind])


def begin(world: World, taken: Move) -> World:
    return replace(world, run=Run(taken.phase, taken.effects))


def committed(world: World, request: Effect, app: int) -> World:
    """The server does what it was asked for, as far as it can."""
    serial = world.serial + 1
    if request is Effect.SEND_CREATE:
        return replace(world, server=Held(serial, serial), serial=serial) if world.server is None else world
    if world.server is None or world.server.app != app:
        return world
    if request is Effect.SEND_ROTATE:
        return replace(world, server=replace(world.server, secret=serial), serial=serial)
    return replace(world, server=None)


def performed(  # noqa: C901  # one case an effect reads best
    world: World, effect: Effect
) -> Iterator[tuple[World, Event | None]]:
    """What one effect may come to."""
    run, journal = world.run, world.journal
    assert run is not None
    match effect:
        case Effect.INTENT:
            again = run.phase is Phase.ROTATING_AGAIN or (journal is not None and journal.unsettled)
            unsettled = again or world.unsettled
            yield replace(world, journal=Entry(run.phase, None, unsettled)), None
        case Effect.SEND_CREATE | Effect.SEND_ROTATE | Effect.SEND_DELETE:
            yield from sent(world, run, effect)
        case Effect.KEEP:
            kept = journal and replace(journal, phase=run.phase, answer=run.reply)
            yield replace(world, journal=kept), None
        case Effect.READ:
            yield world, Event.USABLE if run.reply else Event.UNUSABLE
        case Effect.LOOK:
            yield world, looked(world)
        case Effect.COMPARE:
            assert journal is not None
            same = journal.answer is not None and world.server == journal.answer
            yield world, Event.MISSING if world.server is None else Event.FITS if same else Event.DIFFERS
        case Effect.GET:
            there = (
                world.server is not None and world.record is not None and world.server.app == world.record.app
            )
            yield world, Event.THERE if there else Event.GONE
        case Effect.RECORD:
            answer = journal.answer if journal else run.reply  # without an entry: what a planted fault leaves
            unsettled = journal is not None and journal.unsettled
            yield replace(world, record=answer, unsettled=unsettled), Event.WRITTEN
        case Effect.UNRECORD:
            yield replace(world, record=None), Event.REMOVED
        case Effect.CLOSE:
            yield replace(world, journal=None), None


def looked(world: World) -> Event:
    if world.server is None:
        return Event.ABSENT if world.wanted or (world.late and world.settles) else Event.UNWANTED
    if world.journal and world.journal.answer == world.server:
        return Event.FITS
    return Event.OURS if world.server.ours or not world.asks else Event.UNSURE


def sent(world: World, run: Run, effect: Effect) -> Iterator[tuple[World, Event | None]]:
    """A request may be done and answered, done and lost, lost, late, refused, or answered unusably."""
    if run.sends >= SENDS and (run.phase, Event.TIRED) in MOVES:
        yield world, Event.TIRED
        return
    counted = replace(world, run=replace(run, sends=run.sends + 1, reply=None))
    app = world.server.app if world.server else 0
    if effect is Effect.SEND_DELETE:
        app = world.record.app if world.record else 0
    if effect is Effect.SEND_CREATE and world.server is not None:
        yield counted, Event.TAKEN
        return
    if effect is not Effect.SEND_CREATE and (world.server is None or world.server.app != app):
        yield counted, Event.GONE if effect is Effect.SEND_DELETE else Event.MISSING
        return
    after = committed(counted, effect, app)
    assert after.run is not None
    if effect is Effect.SEND_DELETE:
        yield after, Event.GONE
    else:
        yield replace(after, run=replace(after.run, reply=after.server)), Event.ANSWERED
    yield counted, Event.NOT_SENT
    yield counted, Event.REFUSED
    if world.ambiguous:
        spent = world.ambiguous - 1
        yield replace(after, ambiguous=spent), Event.AMBIGUOUS
        yield replace(counted, ambiguous=spent), Event.AMBIGUOUS
        yield replace(counted, ambiguous=spent, late=(*world.late, (effect, app))), Event.AMBIGUOUS
        if effect is not Effect.SEND_DELETE:
            yield replace(after, ambiguous=spent), Event.ANSWERED


def bad(world: World) -> str:
    """What must never be, between two runs."""
    if world.run or world.journal:
        return ""
    server, record = world.server, world.record
    if server and record and record.app == server.app and not server.ours:
        return "a stranger's app that we recorded"
    if server and server.ours and (record is None or record.app != server.app):
        return "an app of ours that nobody recorded"
    if (
        server
        and record
        and record.app == server.app
        and record.secret != server.secret
        and not world.unsettled
    ):
        return "a recorded secret that is not the live one, unnoticed"
    return ""


def search(world: World, table: Table = MOVES, start: Mapping[Kind, Move] = START) -> tuple[int, set[str]]:
    """Visit every reachable world, or those up to the first bad one; their number and what was found."""
    seen, queue = {world}, deque([world])
    while queue:
        current = queue.popleft()
        if wrong := bad(current):
            return len(seen), {wrong}
        for following in steps(current, table, start):
            if following not in seen:
                seen.add(following)
                queue.append(following)
    return len(seen), set()


def stuck(world: World, table: Table = MOVES, start: Mapping[Kind, Move] = START) -> int:
    """How many reachable worlds have no way on to one with an empty journal, whatever happens from there."""
    before: dict[World, list[World]] = {world: []}
    queue = deque([world])
    while queue:
        current = queue.popleft()
        for following in steps(current, table, start):
            if following not in before:
                before[following] = []
                queue.append(following)
            before[following].append(current)
    free = deque(found for found in before if found.run is None and found.journal is None)
    reached = set(free)
    while free:
        for earlier in before[free.popleft()]:
            if earlier not in reached:
                reached.add(earlier)
                free.append(earlier)
    return len(before) - len(reached)


LIVE = Held(1, 1)
BEGINNINGS = {
    "create": World(Kind.CREATE),
    "create, with edits of the manifest": World(Kind.CREATE, edits=1, strangers=0),
    "rotate": World(Kind.ROTATE, server=LIVE, record=LIVE),
    "delete": World(Kind.DELETE, server=LIVE, record=LIVE),
    "replace": World(Kind.REPLACE, server=LIVE, record=LIVE),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_no_reachable_world_is_bad(name: str) -> None:
    visited, found = search(BEGINNINGS[name])
    assert visited > 100
    assert found == set()


@pytest.mark.parametrize("name", BEGINNINGS)
def test_from_every_reachable_world_there_is_a_way_to_an_empty_journal(name: str) -> None:
    """But for strangers who keep the name: that is for a person to settle."""
    assert stuck(replace(BEGINNINGS[name], kills=2, ambiguous=2, strangers=0)) == 0


@pytest.mark.parametrize(
    ("name", "key"),
    [("create", (Phase.CREATING, Event.RESTART)), ("create", (Phase.SEEKING, Event.OURS)),
     ("create", (Phase.SEEKING, Event.FITS)), ("rotate", (Phase.ROTATING_AGAIN, Event.RESTART)),
     ("delete", (Phase.DELETING, Event.RESTART)), ("replace", (Phase.ASKING_OLD, Event.GONE)),
     ("replace", (Phase.REPLACING, Event.RESTART))],
)  # fmt: skip
def test_a_move_that_only_gives_up_leaves_something_stuck(name: str, key: tuple[Phase, Event]) -> None:
    table = {**MOVES, key: Move(Phase.HELD)}
    assert stuck(replace(BEGINNINGS[name], kills=1, ambiguous=1, strangers=0), table) > 0


def without(*effects: Effect) -> tuple[Table, Mapping[Kind, Move]]:
    """The tables without some effects."""

    def stripped(taken: Move) -> Move:
        return replace(taken, effects=tuple(effect for effect in taken.effects if effect not in effects))

    return {key: stripped(taken) for key, taken in MOVES.items()}, {
        kind: stripped(m) for kind, m in START.items()
    }


PLANTED: dict[str, tuple[str, Table]] = {
    "an absent app is given up at once": ("create, with edits of the manifest", {
        **MOVES, (Phase.SEEKING, Event.ABSENT): Move(Phase.CLOSED, (Effect.CLOSE,))}),
    "an ambiguous create is closed": ("create", {
        **MOVES, (Phase.CREATING, Event.AMBIGUOUS): Move(Phase.CLOSED, (Effect.CLOSE,))}),
    "a second 409 is taken for somebody else's": ("create", {
        **MOVES, (Phase.CREATING_AGAIN, Event.TAKEN): Move(Phase.CLOSED, (Effect.CLOSE,))}),
    "an ambiguous rotate is closed": ("rotate", {
        **MOVES, (Phase.ROTATING, Event.AMBIGUOUS): Move(Phase.CLOSED, (Effect.CLOSE,))}),
    "an unusable answer is closed": ("create", {
        **MOVES, (Phase.CREATED, Event.UNUSABLE): Move(Phase.CLOSED, (Effect.CLOSE,))}),
    "an interrupted rotate is closed": ("rotate", {
        **MOVES, (Phase.ROTATING, Event.RESTART): Move(Phase.CLOSED, (Effect.CLOSE,))}),
    "a journal closed before the record": ("create", {
        **MOVES, (Phase.CREATED, Event.USABLE): Move(Phase.RECORDING, (Effect.CLOSE, Effect.RECORD))}),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_in_the_table_is_found(fault: str) -> None:
    name, table = PLANTED[fault]
    _, found = search(BEGINNINGS[name], table)
    assert found


@pytest.mark.parametrize("name", ["create", "rotate", "replace"])
def test_without_the_intent_something_is_lost(name: str) -> None:
    table, start = without(Effect.INTENT)
    _, found = search(BEGINNINGS[name], table, start)
    assert found


def test_without_the_settle_time_an_app_is_orphaned() -> None:
    _, found = search(replace(BEGINNINGS["create, with edits of the manifest"], settles=False))
    assert found == {"an app of ours that nobody recorded"}


def test_without_the_evidence_a_strangers_app_is_rotated() -> None:
    _, found = search(replace(BEGINNINGS["create"], asks=False))
    assert found == {"a stranger's app that we recorded"}


def test_every_durable_phase_knows_how_to_go_on_after_a_crash() -> None:
    for phase in DURABLE:
        assert move(phase, Event.RESTART)
        assert move(phase, Event.ALREADY).phase is Phase.CLOSED


def test_whatever_is_sent_has_a_durable_intent_before_it_and_is_kept_before_it_is_read() -> None:
    for key, taken in [*((key, taken) for key, taken in MOVES.items()), *START.items()]:
        effects = list(taken.effects)
        for send in (Effect.SEND_CREATE, Effect.SEND_ROTATE, Effect.SEND_DELETE):
            if send in effects:
                assert effects.index(Effect.INTENT) < effects.index(send), key
        if Effect.READ in effects:
            assert effects.index(Effect.KEEP) < effects.index(Effect.READ), key


def test_only_the_last_effect_of_a_move_may_come_to_an_event() -> None:
    silent = {Effect.INTENT, Effect.KEEP, Effect.UNRECORD, Effect.CLOSE}
    for taken in [*MOVES.values(), *START.values()]:
        assert all(effect in silent for effect in taken.effects[:-1])
