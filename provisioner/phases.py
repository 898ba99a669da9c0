"""An operation's phases and moves: one table, read by the executor, the recovery and the model check."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from provisioner.frozen import dataclass


class Kind(Enum):
    """What an operation is for."""

    CREATE = "create"
    ROTATE = "rotate"
    DELETE = "delete"
    REPLACE = "replace"  # delete, then create: the API has no update


class Phase(Enum):
    """Where an operation stands. Those up to REPLACING are written to the journal, the others never."""

    CREATING = "creating"  # asked for once; it counts as sent
    CREATING_AGAIN = "creating again"  # an earlier request for it may yet be committed
    CREATED = "created"  # a sealed answer is in the journal
    ROTATING = "rotating"
    ROTATING_AGAIN = "rotating again"  # the old secret may be dead already, or was never seen
    ROTATED = "rotated"  # a sealed answer is in the journal
    DELETING = "deleting"
    DELETING_AGAIN = "deleting again"  # an earlier request for it may yet be carried out
    DELETING_OLD = "deleting the old one"  # a replacement's first half
    DELETING_OLD_AGAIN = "deleting the old one again"
    REPLACING = "replacing"  # its second half: the old one is gone, the new one is asked for

    SEEKING = "seeking"  # what the list shows decides
    COMPARING = "comparing"  # whether the journal's answer to a rotate is the live one
    ASKING = "asking"  # whether the id still exists
    ASKING_OLD = "asking for the old one"
    RECORDING = "recording"
    REMOVING = "removing"
    CLOSED = "closed"
    HELD = "held"  # nothing more in this run; the journal keeps it


class Event(Enum):
    """What an effect came to."""

    NOT_SENT = "not sent"
    REFUSED = "refused"
    TAKEN = "name taken"  # 409
    MISSING = "missing"  # 404
    ANSWERED = "answered"  # the expected status and a whole body
    AMBIGUOUS = "ambiguous"
    USABLE = "usable"
    UNUSABLE = "unusable"
    RESTART = "found in the journal"
    ALREADY = "recorded already"
    ABSENT = "absent"
    FITS = "fits"  # the list shows the very app, with the hint, that the journal's answer is about
    OURS = "ours"  # strong evidence, and the mode is auto
    UNSURE = "unsure"
    UNWANTED = "unwanted"  # not what the manifest asks for any more, and past the settle time
    DIFFERS = "differs"
    GONE = "gone"
    THERE = "there"
    KEPT = "there, and not to be destroyed any more"
    TIRED = "tired"  # asked for as often as one run may
    WRITTEN = "written"
    REMOVED = "removed"


class Effect(Enum):
    """What is done on a move; the last one of a move may come to an event."""

    INTENT = "write the new phase to the journal"
    SEND_CREATE = "send a create"
    SEND_ROTATE = "send a rotate"
    SEND_DELETE = "send a delete"
    KEEP = "seal the answer into the journal"
    READ = "read the answer"
    LOOK = "look for it in the list"
    COMPARE = "compare the answer's hint with the list"
    GET = "ask for the id"
    RECORD = "write the record"
    UNRECORD = "remove the record"
    CLOSE = "close the journal entry"


@dataclass(frozen=True, slots=True)
class Move:
    """The next phase, and what is done on the way, in this order."""

    phase: Phase
    effects: tuple[Effect, ...] = ()


_CREATE_AGAIN: Final = Move(Phase.CREATING_AGAIN, (Effect.INTENT, Effect.SEND_CREATE))
_ROTATE_AGAIN: Final = Move(Phase.ROTATING_AGAIN, (Effect.INTENT, Effect.SEND_ROTATE))
_REPLACE: Final = Move(Phase.REPLACING, (Effect.INTENT, Effect.UNRECORD, Effect.SEND_CREATE))
_CREATED: Final = Move(Phase.CREATED, (Effect.KEEP, Effect.READ))
_ROTATED: Final = Move(Phase.ROTATED, (Effect.KEEP, Effect.READ))
_SEEK: Final = Move(Phase.SEEKING, (Effect.LOOK,))
_RECORD: Final = Move(Phase.RECORDING, (Effect.RECORD,))
_REMOVE: Final = Move(Phase.REMOVING, (Effect.UNRECORD,))
_ASK: Final = Move(Phase.ASKING, (Effect.GET,))
_ASK_OLD: Final = Move(Phase.ASKING_OLD, (Effect.GET,))
_CLOSE: Final = Move(Phase.CLOSED, (Effect.CLOSE,))
_HOLD: Final = Move(Phase.HELD)

START: Final[Mapping[Kind, Move]] = {
    Kind.CREATE: Move(Phase.CREATING, (Effect.INTENT, Effect.SEND_CREATE)),
    Kind.ROTATE: Move(Phase.ROTATING, (Effect.INTENT, Effect.SEND_ROTATE)),
    Kind.DELETE: Move(Phase.DELETING, (Effect.INTENT, Effect.SEND_DELETE)),
    Kind.REPLACE: Move(Phase.DELETING_OLD, (Effect.INTENT, Effect.SEND_DELETE)),
}

MOVES: Final[Mapping[tuple[Phase, Event], Move]] = {
    (Phase.CREATING, Event.NOT_SENT): _CLOSE,
    (Phase.CREATING, Event.REFUSED): _CLOSE,
    (Phase.CREATING, Event.TAKEN): _CLOSE,  # nothing of ours can have taken it: somebody else's app
    (Phase.CREATING, Event.ANSWERED): _CREATED,
    (Phase.CREATING, Event.AMBIGUOUS): _SEEK,
    (Phase.CREATING, Event.RESTART): _SEEK,
    (Phase.CREATING_AGAIN, Event.NOT_SENT): _HOLD,
    (Phase.CREATING_AGAIN, Event.REFUSED): _HOLD,
    (Phase.CREATING_AGAIN, Event.TAKEN): _SEEK,  # by the earlier request, perhaps
    (Phase.CREATING_AGAIN, Event.ANSWERED): _CREATED,
    (Phase.CREATING_AGAIN, Event.AMBIGUOUS): _SEEK,
    (Phase.CREATING_AGAIN, Event.RESTART): _SEEK,
    (Phase.CREATING_AGAIN, Event.TIRED): _HOLD,
    (Phase.CREATED, Event.USABLE): _RECORD,
    (Phase.CREATED, Event.UNUSABLE): _SEEK,
    (Phase.CREATED, Event.RESTART): _SEEK,
    (Phase.SEEKING, Event.FITS): _RECORD,
    (Phase.SEEKING, Event.ABSENT): _CREATE_AGAIN,
    (Phase.SEEKING, Event.OURS): _ROTATE_AGAIN,  # from this intent on the evidence is not asked again
    (Phase.SEEKING, Event.UNSURE): _HOLD,
    (Phase.SEEKING, Event.UNWANTED): _REMOVE,
    (Phase.ROTATING, Event.NOT_SENT): _CLOSE,
    (Phase.ROTATING, Event.REFUSED): _CLOSE,
    (Phase.ROTATING, Event.MISSING): _CLOSE,
    (Phase.ROTATING, Event.ANSWERED): _ROTATED,
    (Phase.ROTATING, Event.AMBIGUOUS): _ROTATE_AGAIN,
    (Phase.ROTATING, Event.RESTART): _ROTATE_AGAIN,
    (Phase.ROTATING_AGAIN, Event.NOT_SENT): _HOLD,
    (Phase.ROTATING_AGAIN, Event.REFUSED): _HOLD,
    (Phase.ROTATING_AGAIN, Event.MISSING): _CLOSE,  # whose secret is nobody's any more
    (Phase.ROTATING_AGAIN, Event.ANSWERED): _ROTATED,
    (Phase.ROTATING_AGAIN, Event.AMBIGUOUS): _ROTATE_AGAIN,
    (Phase.ROTATING_AGAIN, Event.RESTART): _ROTATE_AGAIN,
    (Phase.ROTATING_AGAIN, Event.TIRED): _HOLD,
    (Phase.ROTATED, Event.USABLE): _RECORD,
    (Phase.ROTATED, Event.UNUSABLE): _ROTATE_AGAIN,
    (Phase.ROTATED, Event.RESTART): Move(Phase.COMPARING, (Effect.COMPARE,)),
    (Phase.COMPARING, Event.FITS): _RECORD,
    (Phase.COMPARING, Event.DIFFERS): _ROTATE_AGAIN,
    (Phase.COMPARING, Event.MISSING): _CLOSE,
    (Phase.DELETING, Event.NOT_SENT): _CLOSE,
    (Phase.DELETING, Event.REFUSED): _CLOSE,
    (Phase.DELETING, Event.GONE): _REMOVE,
    (Phase.DELETING, Event.AMBIGUOUS): _ASK,
    (Phase.DELETING, Event.RESTART): _ASK,
    (Phase.DELETING_AGAIN, Event.NOT_SENT): _HOLD,
    (Phase.DELETING_AGAIN, Event.REFUSED): _HOLD,
    (Phase.DELETING_AGAIN, Event.GONE): _REMOVE,
    (Phase.DELETING_AGAIN, Event.AMBIGUOUS): _ASK,
    (Phase.DELETING_AGAIN, Event.RESTART): _ASK,
    (Phase.DELETING_AGAIN, Event.TIRED): _HOLD,
    (Phase.ASKING, Event.GONE): _REMOVE,
    (Phase.ASKING, Event.THERE): Move(Phase.DELETING_AGAIN, (Effect.INTENT, Effect.SEND_DELETE)),
    (Phase.ASKING, Event.UNSURE): _HOLD,
    (Phase.ASKING, Event.KEPT): _CLOSE,
    (Phase.REMOVING, Event.REMOVED): _CLOSE,
    (Phase.DELETING_OLD, Event.NOT_SENT): _CLOSE,
    (Phase.DELETING_OLD, Event.REFUSED): _CLOSE,
    (Phase.DELETING_OLD, Event.GONE): _REPLACE,
    (Phase.DELETING_OLD, Event.AMBIGUOUS): _ASK_OLD,
    (Phase.DELETING_OLD, Event.RESTART): _ASK_OLD,
    (Phase.DELETING_OLD_AGAIN, Event.NOT_SENT): _HOLD,
    (Phase.DELETING_OLD_AGAIN, Event.REFUSED): _HOLD,
    (Phase.DELETING_OLD_AGAIN, Event.GONE): _REPLACE,
    (Phase.DELETING_OLD_AGAIN, Event.AMBIGUOUS): _ASK_OLD,
    (Phase.DELETING_OLD_AGAIN, Event.RESTART): _ASK_OLD,
    (Phase.DELETING_OLD_AGAIN, Event.TIRED): _HOLD,
    (Phase.ASKING_OLD, Event.GONE): _REPLACE,
    (Phase.ASKING_OLD, Event.THERE): Move(Phase.DELETING_OLD_AGAIN, (Effect.INTENT, Effect.SEND_DELETE)),
    (Phase.ASKING_OLD, Event.UNSURE): _HOLD,
    (Phase.ASKING_OLD, Event.KEPT): _CLOSE,
    (
        Phase.REPLACING,
        Event.NOT_SENT,
    ): _REMOVE,  # nothing is on its way: the next plan starts from the manifest
    (Phase.REPLACING, Event.REFUSED): _REMOVE,
    (Phase.REPLACING, Event.TAKEN): _REMOVE,
    (Phase.REPLACING, Event.ANSWERED): _CREATED,
    (Phase.REPLACING, Event.AMBIGUOUS): _SEEK,
    (Phase.REPLACING, Event.RESTART): _SEEK,
    (Phase.RECORDING, Event.WRITTEN): _CLOSE,
}

DURABLE: Final = tuple(Phase)[: tuple(Phase).index(Phase.REPLACING) + 1]
"""The phases that a journal entry can be in."""


def move(phase: Phase, event: Event) -> Move:
    """The move; a record that is written already ends an operation wherever it stands."""
    if event is Event.ALREADY and phase in DURABLE:
        return _CLOSE
    return MOVES[phase, event]
