"""The values that everything else speaks in, above all the secret that never shows itself."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import UsageError
from provisioner.model import Address, Outcome, Reply, Secret

CANARY = "canary-7Qz"
SECRET = Secret(CANARY.encode())
MASK = "(sensitive value)"


@dataclass(frozen=True)
class Holder:
    """Anything that keeps a secret among other things."""

    secret: Secret


REPLY = Reply(Outcome.DONE, 201, SECRET, True)
PRINTERS: dict[str, Callable[[], str]] = {
    "repr": lambda: repr(SECRET),
    "str": lambda: str(SECRET),
    "ascii": lambda: ascii(SECRET),
    "format": lambda: format(SECRET, ">30"),
    "f-string": lambda: f"{SECRET} {SECRET!r} {SECRET!s:>40}",
    "percent": lambda: "%s %r" % (SECRET, SECRET),  # noqa: UP031  # logging formats this way
    "str.format": lambda: "{0} {0!r}".format(SECRET),  # noqa: UP032  # as above
    "join": lambda: ", ".join(map(str, [SECRET])),
    "list": lambda: str([SECRET, {"a": SECRET}, (SECRET,)]),
    "dataclass": lambda: repr(Holder(SECRET)),
    "reply": lambda: repr(REPLY),
    "pprint": lambda: pprint.pformat({"secret": SECRET}),
    "exception": lambda: "".join(traceback.format_exception(ValueError(SECRET))),
    "json default": lambda: json.dumps(SECRET, default=str),
    "dir": lambda: str(dir(SECRET)),
}


@pytest.mark.parametrize("printer", PRINTERS.values(), ids=PRINTERS)
def test_a_secret_does_not_show_itself_in_print(printer: Callable[[], str]) -> None:
    shown = printer()
    assert CANARY not in shown
    assert MASK in shown or printer is PRINTERS["dir"]


COPIERS: dict[str, Callable[[], object]] = {
    "json": lambda: json.dumps(SECRET),
    "copy": lambda: copy.copy(SECRET),
    "deepcopy": lambda: copy.deepcopy(SECRET),
    "deepcopy of its holder": lambda: copy.deepcopy(Holder(SECRET)),
    "asdict": lambda: asdict(Holder(SECRET)),
    "iteration": lambda: list(SECRET),
    "index": lambda: SECRET[0],
    "bytes": lambda: bytes(SECRET),
    "vars": lambda: vars(SECRET),
    "hash": lambda: hash(SECRET),
    **{
        f"pickle {protocol}": lambda protocol=protocol: pickle.dumps(SECRET, protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS)
def test_a_secret_is_not_copied_out_by_accident_and_the_refusal_does_not_show_it(
    copier: Callable[[], object],
) -> None:
    with pytest.raises(TypeError) as caught:
        copier()
    assert CANARY not in str(caught.value)


@given(st.binary(), st.binary())
def test_secrets_are_equal_where_their_bytes_are(one: bytes, other: bytes) -> None:
    assert Secret(one) == Secret(one)
    assert (Secret(one) == Secret(other)) is (one == other)
    assert (Secret(one) != Secret(other)) is (one != other)


def test_a_secret_is_not_equal_to_its_own_bytes_or_text() -> None:
    assert SECRET not in (CANARY, CANARY.encode(), repr(SECRET))


def test_only_reveal_gives_a_secret_out() -> None:
    assert SECRET.reveal() == CANARY.encode()
    assert len(SECRET) == len(CANARY)
    assert not Secret(b"")


@pytest.mark.parametrize("key", ["a", "0", "partner-portal", "a_b-c", "a" * 63, "0" * 63, "oauth_app"])
def test_an_address_is_read_with_its_type_and_without(key: str) -> None:
    assert Address.parse(key) == Address.parse(f"oauth_app.{key}") == Address(key)
    assert str(Address.parse(key)) == f"oauth_app.{key}"


@pytest.mark.parametrize(
    "text",
    [
        "", "oauth_app.", "oauth_app.oauth_app.a", "other.a", "A", "-a", "_a", "a" * 64, "a b", "a\n", "a/b",
        "..", "a.json", "ä", "\uff41", "a\0", "\u0661",
    ],
)  # fmt: skip
def test_b14_what_is_no_address_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    assert "1 to 63 of a-z, 0-9, _ and -" in caught.value.detail
    assert str(caught.value).isprintable()


def test_a_refused_address_is_shown_escaped_and_cut() -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse("\x1b[31m" + "x" * 500)
    assert caught.value.summary.startswith(r'Not an address: "\x1b[31mxxx')
    assert len(caught.value.summary) < 120


def test_a_file_in_place_of_an_address_is_told_where_it_belongs() -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse("apps.yaml")
    assert caught.value.hint == "A manifest is named by an option: -f FILE."


def test_addresses_sort_by_their_keys() -> None:
    assert sorted(map(Address, ["b", "a-b", "a"])) == [Address("a"), Address("a-b"), Address("b")]
