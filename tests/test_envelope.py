"""What is sealed: a label and an answer, each as it went in; and nothing of either in an error."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.envelope import Label, pack, unpack
from provisioner.errors import SealingError
from provisioner.model import Secret

CANARY = b"canary-7Qz"
LABEL = Label("op_1", "create", "app_1")
LABELS = st.builds(
    Label,
    st.text(st.characters()),
    st.sampled_from(["create", "rotate"]),
    st.none() | st.text(st.characters()),
)


@given(LABELS, st.binary())
@settings(max_examples=150)
def test_label_and_body_come_out_as_they_went_in(label: Label, body: bytes) -> None:
    assert unpack(pack(label, Secret(body))) == (label, Secret(body))


@pytest.mark.parametrize("body", [b"", b"\n", b"\n\n{}", b"a\nb", b"\0\xff", b'{"provisioner": 1}\n'])
def test_the_body_may_be_anything(body: bytes) -> None:
    assert unpack(pack(LABEL, Secret(body))) == (LABEL, Secret(body))


def test_the_head_is_one_line_of_json_that_age_alone_can_show() -> None:
    assert pack(LABEL, Secret(b"body")).reveal() == (
        b'{"app_id": "app_1", "kind": "create", "operation": "op_1", "provisioner": 1}\nbody'
    )


def head(**changes: object) -> bytes:
    fields = {"provisioner": 1, **asdict(LABEL)} | changes
    return json.dumps({name: value for name, value in fields.items() if value != "absent"}).encode()


FOREIGN = {
    "nothing": b"",
    "a line break": b"\n" + CANARY,
    "no line break": CANARY,
    "no line break after a head": head(),
    "a body alone": b'{"client_secret": "%s"}' % CANARY,
    "a list": b"[]\n" + CANARY,
    "a string": b'"%s"\n' % CANARY,
    "a number": b"1\n" + CANARY,
    "null": b"null\n" + CANARY,
    "not ASCII": b'{"\xc3\xa9": 1}\n' + CANARY,
    "not UTF-8": b"\xff" + CANARY + b"\n",
    "cut off": head()[:-1] + b"\n" + CANARY,
    "depth": b"[" * 200_000 + b"\n" + CANARY,
    "digits": b'{"provisioner": %s}\n' % (b"9" * 5000),
    "no version": head(provisioner="absent") + b"\n" + CANARY,
    **{f"no {name}": head(**{name: "absent"}) + b"\n" + CANARY for name in asdict(LABEL)},
    "one field more": head(more=CANARY.decode()) + b"\n",
}


WRONG: dict[str, list[object]] = {
    "provisioner": [0, -1, True, False, 1.0, 2.5, "1", None, [1]],
    "operation": [None, 5, True, ["op_1"], {}],
    "kind": [None, "", "delete", "CREATE", 5, ["create"], {}],
    "app_id": [5, True, ["app_1"], {}],
}
FOREIGN |= {
    f"{name} {value!r}": head(**{name: value}) + b"\n" + CANARY
    for name, values in WRONG.items()
    for value in values
}


@pytest.mark.parametrize("opened", FOREIGN.values(), ids=FOREIGN)
def test_what_is_none_of_ours_is_refused_and_the_error_holds_nothing_of_it(opened: bytes) -> None:
    with pytest.raises(SealingError, match="not of this tool's form") as caught:
        unpack(Secret(opened))
    assert CANARY.decode() not in repr(vars(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "changes", [{"provisioner": 2}, {"provisioner": 10**19, "kind": "x"}, {"provisioner": 2, "more": 1}]
)
def test_what_a_newer_version_sealed_is_told_so(changes: dict[str, object]) -> None:
    with pytest.raises(SealingError, match="a form that this version does not know") as caught:
        unpack(Secret(head(**changes) + b"\n" + CANARY))
    assert caught.value.__context__ is None


@given(st.binary())
@settings(max_examples=150)
def test_any_bytes_are_ours_or_refused(opened: bytes) -> None:
    with pytest.raises(SealingError):
        unpack(Secret(opened))
