"""Our quick dataclasses, held against those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import operator
import pickle
import pprint
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner import frozen

QUICK: Any = frozen.dataclass
REAL: Any = dataclasses.dataclass


def empty(made: Any) -> type:
    @made(frozen=True, slots=True)
    class Value:
        """Nothing."""

    return Value


def single(made: Any) -> type:
    @made(frozen=True, slots=True, order=True)
    class Value:
        key: Any

    return Value


def several(made: Any) -> type:
    @made(frozen=True, slots=True, order=True)
    class Value:
        first: Any
        second: Any = 7
        third: Any = dataclasses.field(default_factory=tuple)
        unseen: Any = dataclasses.field(default=0, repr=False)
        unasked: Any = dataclasses.field(default=0, compare=False)

        def both(self) -> tuple[Any, Any]:
            return self.first, self.second

        @property
        def doubled(self) -> Any:
            return self.first * 2

        @classmethod
        def made(cls, first: Any) -> Any:
            return cls(first)

    return Value


def spoken(made: Any) -> type:
    @made(frozen=True, slots=True, repr=False)
    class Value:
        word: Any

        def __repr__(self) -> str:
            return "a word of its own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    return Value


@QUICK(frozen=True, slots=True)
class Known:
    """One that pickle finds by its name."""

    first: int
    second: tuple[int, ...] = ()


CLASSES = [empty, single, several, spoken]
PAIRS = {kind.__name__: (kind(QUICK), kind(REAL)) for kind in CLASSES}
every_kind = pytest.mark.parametrize("name", PAIRS)
values = st.lists(st.integers(0, 2), max_size=5)


def outcome(step: Callable[[], Any]) -> Any:
    """What comes of it, or the kind of error."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001  # its kind is what is compared
        return type(error)


def shown(value: Any) -> str:
    """Without the one difference, the function that the class is defined in."""
    return repr(value).rpartition(".")[2]


@every_kind
@settings(max_examples=40)
@given(given_values=values, others=values)
def test_they_compare_hash_and_show_like_those_of_the_standard_library(
    name: str, given_values: list[int], others: list[int]
) -> None:
    quick, real = PAIRS[name]
    ours, theirs = (outcome(lambda made=made: made(*given_values)) for made in (quick, real))
    if isinstance(theirs, type):
        assert ours is theirs, "one of them took arguments that the other refused"
        return
    assert shown(ours) == shown(theirs)
    assert pprint.pformat(ours) == repr(ours)
    our_other, their_other = (outcome(lambda made=made: made(*others)) for made in (quick, real))
    for compare in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
        assert outcome(lambda c=compare: c(ours, our_other)) == outcome(
            lambda c=compare: c(theirs, their_other)
        )
    if ours == our_other and not isinstance(our_other, type):
        assert hash(ours) == hash(our_other)
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert dataclasses.astuple(ours) == dataclasses.astuple(theirs)


@every_kind
@pytest.mark.parametrize("given_values", [[], [1], [(1, 2)], [[1, 2]], [{}]], ids=repr)
def test_they_can_be_hashed_where_their_values_can(name: str, given_values: list[object]) -> None:
    ours, theirs = (outcome(lambda made=made: hash(made(*given_values))) for made in PAIRS[name])
    assert isinstance(ours, type) is isinstance(theirs, type)


@every_kind
def test_their_fields_are_told_like_those_of_the_standard_library(name: str) -> None:
    quick, real = PAIRS[name]
    facts = ("name", "type", "default", "default_factory", "init", "repr", "hash", "compare", "kw_only")
    told, expected = (
        [
            tuple(getattr(field, fact) for fact in facts if fact != "kw_only")
            for field in dataclasses.fields(made)
        ]
        for made in (quick, real)
    )
    assert told == expected
    assert dataclasses.is_dataclass(quick)
    assert quick.__match_args__ == real.__match_args__
    assert quick.__slots__ == real.__slots__
    assert list(inspect.signature(quick).parameters) == list(inspect.signature(real).parameters)


@pytest.mark.parametrize(
    "change", [{"first": 5}, {"second": 5, "unasked": 6}, {"third": (1,)}, {"missing": 1}]
)
def test_replace_changes_a_copy_and_nothing_else(change: dict[str, Any]) -> None:
    quick, real = PAIRS["several"]
    ours, theirs = quick(1, unseen=3), real(1, unseen=3)
    changed, expected = (
        outcome(lambda v=value: dataclasses.replace(v, **change)) for value in (ours, theirs)
    )
    assert changed == expected if isinstance(expected, type) else shown(changed) == shown(expected)
    assert ours == quick(1, unseen=3)


def test_nothing_of_a_value_can_be_set_or_taken_away() -> None:
    value = several(QUICK)(1)
    steps: list[Callable[[], None]] = [
        lambda: setattr(value, "first", 2),
        lambda: delattr(value, "first"),
        lambda: setattr(value, "other", 2),
    ]
    for step in steps:
        with pytest.raises(dataclasses.FrozenInstanceError):
            step()
    assert value.first == 1
    assert not hasattr(value, "__dict__")


def test_a_default_that_is_made_is_made_for_each() -> None:
    @QUICK(frozen=True, slots=True)
    class Value:
        kept: list[int] = dataclasses.field(default_factory=list)

    one, other = Value(), Value()
    assert one.kept == []
    assert one.kept is not other.kept


def test_methods_properties_and_patterns_work_on_them() -> None:
    value = PAIRS["several"][0].made(4)
    assert (value.both(), value.doubled) == ((4, 7), 8)
    match Known(1, (2,)):
        case Known(first, (second,)):
            assert (first, second) == (1, 2)
        case _:
            pytest.fail("the pattern of its own class did not match")
    assert repr(PAIRS["spoken"][0](1)) == "a word of its own"


def test_they_can_be_copied_and_pickled() -> None:
    value = Known(1, (2, 3))
    assert copy.copy(value) == copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  # our own bytes


def test_what_only_the_standard_library_makes_is_refused_while_it_is_defined() -> None:
    class Later:
        field: int

        def __post_init__(self) -> None: ...

    class Constant:
        field: ClassVar[int] = 1  # type: ignore[name-defined]  # noqa: F821  # a text here, never looked up

    class Computed:
        field: int = dataclasses.field(init=False)

    class Shared:
        field: list = []  # type: ignore[type-arg]  # noqa: RUF012  # the mistake that is meant

    class Inherits(Known):  # type: ignore[misc]
        field: int

    for refused in (Later, Constant, Computed, Shared, Inherits):
        with pytest.raises(TypeError):
            QUICK(frozen=True, slots=True)(refused)
    for wrong in ({"frozen": False, "slots": True}, {"frozen": True, "slots": False}):
        with pytest.raises(TypeError):
            QUICK(**wrong)
