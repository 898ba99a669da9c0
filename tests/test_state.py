"""The state's documents: golden files both ways, and every kind of damage told apart from an empty state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import StateError
from provisioner.journal import (
    framed,
    frames,
    operation_from,
    operation_to,
    sight_from,
    sight_to,
    step_from,
    step_to,
)
from provisioner.model import Address, App, AppSpec
from provisioner.operation import Answer, Operation, Sight, Step
from provisioner.phases import DURABLE, Kind, Phase
from provisioner.state import (
    AppRecord,
    Header,
    SealedSecret,
    State,
    header_from,
    header_to,
    record_from,
    record_to,
)

GOLDEN = Path(__file__).parent / "golden"
WHERE = "state/some\x1bfile"
KEY = "partner-portal"
SEALED = (
    "-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24ub3JnL3YxCg==\n-----END AGE ENCRYPTED FILE-----\n"
)
APP = App(
    id="app_7n42DGM5Tflk9n8mt7Fhc7",
    organization_id="org_7n42DGM5Tflk9n8mt7Fhc8",
    name='Pärtner "Portal"',
    client_id="cid_Zm9v",
    client_secret_hint="…x7Qz",
    redirect_uris=("https://portal.example/cb", "https://portal.example/cb2"),
    scopes=("read", "write"),
    is_active=True,
    created_at="2026-01-02T03:04:05Z",
)
SECRET = SealedSecret(SEALED, "…x7Qz", "create", "op_0123456789abcdef", "2026-01-02T03:04:06Z")
RECORD = AppRecord(Address(KEY), APP, SECRET)
UNSETTLED = replace(SECRET, origin="rotate", confirmed=False, unsettled_until="2026-01-02T03:05:06Z")
HIDDEN = replace(APP, name="\u202eevil\x1b[31m\x7f", scopes=(), updated_at="2026-02-03T04:05:06.789+01:00")
LINEAGE = "5b1c9a52-1c2f-4b8a-9d0e-3f7a61c0d2ee"
SPEC = AppSpec("Partner Portal", ("https://portal.example/cb",), None)
CREATE = Operation(
    "op_0123456789abcdef", Kind.CREATE, Address(KEY), LINEAGE, SPEC, None, "run_0123456789abcdef"
)
ROTATE = replace(CREATE, kind=Kind.ROTATE, spec=None, app=APP, sight=None)
ANSWER = Answer(201, True, SEALED, APP.id, APP.client_id, APP.client_secret_hint)
AGAIN = Step(Phase.ROTATING_AGAIN, None, APP.id, unsettled=True, since="Fri, 02 Jan 2026 03:04:05 GMT")
SIGHT = Sight("run_0123456789abcdef", frozenset(["app_2", "app_1"]), "Fri, 02 Jan 2026 03:04:05 GMT")


@dataclass(frozen=True)
class Document:
    """One kind of document: its golden file, what that says, and the two ways."""

    value: Any
    write: Callable[[Any], bytes]
    read: Callable[[bytes, str], Any]


def record_at(key: str) -> Callable[[bytes, str], AppRecord]:
    return lambda data, where: record_from(data, where, key)


DOCUMENTS = {
    "header": Document(
        Header(LINEAGE, "https://api.meteroid.com", APP.organization_id), header_to, header_from
    ),
    "header-before-the-organization-is-known": Document(
        Header(LINEAGE, "https://api.meteroid.com"), header_to, header_from
    ),
    "record": Document(RECORD, record_to, record_at(KEY)),
    "record-of-a-rotation-that-is-not-settled": Document(
        replace(RECORD, secret=UNSETTLED), record_to, record_at(KEY)
    ),
    "record-that-is-protected": Document(replace(RECORD, protect=True), record_to, record_at(KEY)),
    "record-without-a-secret": Document(AppRecord(Address("a"), APP), record_to, record_at("a")),
    "record-with-a-name-that-acts": Document(AppRecord(Address("a"), HIDDEN), record_to, record_at("a")),
    "operation-create": Document(CREATE, operation_to, operation_from),
    "operation-rotate": Document(ROTATE, operation_to, operation_from),
    "operation-delete": Document(replace(ROTATE, kind=Kind.DELETE), operation_to, operation_from),
    "operation-replace": Document(replace(CREATE, kind=Kind.REPLACE, app=APP), operation_to, operation_from),
    "step": Document(Step(Phase.CREATED, ANSWER), step_to, step_from),
    "step-without-an-answer": Document(AGAIN, step_to, step_from),
    "step-whose-answer-told-nothing": Document(
        Step(Phase.CREATED, Answer(None, False, SEALED)), step_to, step_from
    ),
    "sight": Document(SIGHT, sight_to, sight_from),
    "sight-of-nothing": Document(Sight("run_1", frozenset(), None), sight_to, sight_from),
}
NAMES = sorted(DOCUMENTS)


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_written_byte_for_byte_as_in_its_golden_file(name: str) -> None:
    assert DOCUMENTS[name].write(DOCUMENTS[name].value) == golden(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_is_read_as_the_value_that_it_says(name: str) -> None:
    assert DOCUMENTS[name].read(golden(name), WHERE) == DOCUMENTS[name].value


def test_every_golden_file_belongs_to_a_document() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_has_sorted_keys_and_one_value_a_line_where_people_read_it(name: str) -> None:
    text = golden(name).decode()
    keys = list(json.loads(text))
    assert keys == sorted(keys)
    assert text.endswith("}\n")
    frame = name.startswith(("operation", "step"))  # in the journal, between lengths and checksums
    assert text.count("\n") == 1 if frame else all(line.count('": ') <= 1 for line in text.splitlines())


def test_before_the_first_apply_the_state_is_empty_and_cannot_be_changed() -> None:
    assert (State().header, dict(State().records), State().open) == (None, {}, ())
    with pytest.raises(TypeError):
        State().records[Address("a")] = RECORD  # type: ignore[index]  # that it is refused is what is tested


# --- damage


def changed(name: str, path: str, value: object) -> bytes:
    """A golden document with one value replaced; the dots of `path` go into objects."""
    document = json.loads(golden(name))
    *parents, last = path.split(".")
    target = document
    for step in parents:
        target = target[step]
    target[last] = value
    return json.dumps(document).encode()


def without(name: str, path: str) -> bytes:
    document = json.loads(golden(name))
    *parents, last = path.split(".")
    target = document
    for step in parents:
        target = target[step]
    del target[last]
    return json.dumps(document).encode()


Damages = Iterator[tuple[str, bytes, str]]  # a document, its damaged bytes, and the words for what is wrong
EVERY_KIND = ["header", "record", "operation-create", "step", "sight"]
DEEP = b"[" * 200_000 + b"]" * 200_000
NOT_OBJECTS: list[object] = ["x", 5, [], True]
NEVER_WRITTEN: list[object] = [True, False, None, 0, -1, 1.0, "1", [1], {"1": 1}]


def broken_files() -> Damages:
    """What a crash, a merge or an editor makes of a file."""
    for name in EVERY_KIND:
        text = golden(name)
        yield name, b"", "it is empty (0 bytes)"
        yield name, b" \n", "it is not whole JSON: it breaks off or goes wrong at line 2"
        yield name, b"\0" * len(text), "it is not whole JSON: it breaks off or goes wrong at line 1"
        yield name, text + text, "it is not whole JSON"
        yield name, b"<<<<<<< HEAD\n" + text, "it is not whole JSON: it breaks off or goes wrong at line 1"
        yield name, b"\xef\xbb\xbf" + text, "it is not whole JSON"
        yield name, text.decode().encode("utf-16"), "it is not UTF-8"
        yield name, DEEP, "it is nested too deeply"
        yield name, b'{"x":' * 200_000 + b"1" + b"}" * 200_000, "it is nested too deeply"
        for other in (b"[]", b"null", b"1", b'"x"', b"[" + text + b"]"):
            yield name, other, "it is not an object"


def extra_lines() -> Damages:
    """What JSON allows, or Python's reader of it, and these documents do not."""
    lines = {
        b'"\xff": 1': "it is not UTF-8",
        b'"\xed\xa0\x80": 1': "it is not UTF-8",
        b'"x": "\\ud800"': "it has half a surrogate pair",
        b'"x": NaN': "it has a number that JSON does not know",
        b'"x": -Infinity': "it has a number that JSON does not know",
        b'"x": ' + b"9" * 5000: "it has a number of more than 20 digits",
        b'"x": ' + DEEP: "it is nested too deeply",
        b'"x": 1, "x": 1': "it has a key twice",
        b'"x": [{"y": 1, "y": 1}]': "it has a key twice",
        b'"x": null': 'it has the unknown field "x"',
        b'"a\\u001b": 1': r'it has the unknown field "a\x1b"',
    }
    for name in EVERY_KIND:
        for line, check in lines.items():
            wanted = check.replace("it has the", "a step in it has the") if name == "step" else check
            yield name, golden(name).replace(b"{", b"{ %s," % line, 1), wanted
    for name, key in [("header", "format"), ("header", "base_url"), ("record", "hint"), ("step", "sealed")]:
        twice = b'"%s": 1, "%s":' % (key.encode(), key.encode())
        yield name, golden(name).replace(b'"%s":' % key.encode(), twice, 1), "it has a key twice"


def other_formats() -> Damages:
    for name in ["header", "record", "operation-create", "sight"]:
        yield name, changed(name, "format", 2), "a newer provisioner wrote it"
        yield name, changed(name, "format", 10**19), "a newer provisioner wrote it"
        yield name, without(name, "format"), "its format is not one that was ever written"
        yield name, b"{}", "its format is not one that was ever written"
        for value in NEVER_WRITTEN:
            yield name, changed(name, "format", value), "its format is not one that was ever written"
    renamed = changed("header", "format", 2).replace(b'"lineage"', b'"tree"')
    yield "header", renamed, "a newer provisioner wrote it"


def missing_and_unknown_fields() -> Damages:
    for name, path in OBJECTS:
        document = json.loads(golden(name))
        dot = f"{path}." if path else ""
        for field in document[path] if path else document:
            if field != "format":
                yield name, without(name, dot + field), f'lacks field "{field}"'
        if path:
            yield name, changed(name, f"{path}.extra", None), 'has the unknown field "extra"'
            for value in NOT_OBJECTS:
                yield name, changed(name, path, value), "is not an object"


OBJECTS = [
    ("header", ""),
    ("header", "provider"),
    ("record", ""),
    ("record", "object"),
    ("record", "secret"),
    ("operation-create", ""),
    ("operation-create", "spec"),
    ("operation-delete", "app"),
    ("step", ""),
    ("step", "answer"),
    ("sight", ""),
]
STRINGS = {
    "header": ["lineage", "provider.base_url"],
    "record": [f"secret.{name}" for name in ("sealed", "origin", "operation", "time")],
    "operation-create": ["id", "kind", "address", "lineage", "spec.name"],
    "step": ["phase", "answer.sealed"],
    "sight": ["run"],
}
STRINGS_THAT_MAY_BE_EMPTY = {
    "header": ["provider.organization_id"],
    "record": ["secret.hint"],
    "operation-create": ["sight"],
    "step": ["answer.app_id", "answer.client_id", "answer.hint", "app_id", "since"],
    "sight": ["date"],
}
WRONG: list[tuple[str, str, list[object], str]] = [
    (
        "operation-create",
        "spec.redirect_uris",
        [None, "x", 5, {"x": 1}, [5], [["x"]]],
        "spec.redirect_uris is not a list",
    ),
    ("operation-create", "spec.scopes", ["x", 5, {"x": 1}, [None]], "spec.scopes is not a list of strings"),
    ("operation-create", "kind", ["rotate-later", "CREATE"], "its kind is not one that this version knows"),
    ("operation-create", "address", ["../x", "A", "oauth_app.a"], "its address is not a key"),
    ("operation-create", "spec", [None], "it does not say what was asked for"),
    ("operation-replace", "spec", [None], "it does not say what was asked for"),
    ("operation-rotate", "app", [None], "it does not say what was asked for"),
    ("operation-delete", "app", [None], "it does not say what was asked for"),
    ("operation-replace", "app", [None], "it does not say what was asked for"),
    ("operation-rotate", "app.name", [None], "the app in it is damaged: name"),
    ("record", "key", ["other", "Partner-Portal", None, 5, ["x"]], 'of another key than "partner-portal"'),
    ("record", "object.id", ["app_a/../b", 5, ""], "the app in it is damaged: id"),
    ("record", "object.created_at", ["yesterday", None], "the app in it is damaged: created_at"),
    ("record", "object.is_active", [1, "true"], "the app in it is damaged: is_active"),
    ("record", "secret.confirmed", [1, None, "true"], "secret.confirmed is neither true nor false"),
    ("record", "secret.unsettled_until", [5, True, ["x"]], "secret.unsettled_until is not a string"),
    (
        "record",
        "secret.unsettled_until",
        ["", "soon", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "2026-01-02\x1b03:04:05Z"],
        "secret.unsettled_until is not a date and time with its offset",
    ),
    (
        "step",
        "phase",
        ["later", "CREATED", "seeking", "closed"],
        "its phase is not one that this version knows",
    ),
    ("step", "answer.status", ["201", True, 201.0, [201]], "status is not a number"),
    ("step", "answer.complete", [1, None, "true"], "complete is neither true nor false"),
    ("step", "unsettled", [1, None, "false"], "unsettled is neither true nor false"),
    ("sight", "ids", [None, "app_1", {"x": 1}, [5], [["x"]]], "ids is not a list of strings"),
]


def wrong_values() -> Damages:
    value: object
    for name, paths in STRINGS.items():
        for path in paths:
            for value in ("", None, 5, True, ["x"], {"x": "x"}):
                yield name, changed(name, path, value), f"{path.removeprefix('answer.')} is not a string"
    for name, paths in STRINGS_THAT_MAY_BE_EMPTY.items():
        for path in paths:
            for value in (5, True, ["x"]):
                yield name, changed(name, path, value), f"{path.removeprefix('answer.')} is not a string"
    for name, path, values, check in WRONG:
        for value in values:
            yield name, changed(name, path, value), check


DAMAGES = [
    *broken_files(),
    *extra_lines(),
    *other_formats(),
    *missing_and_unknown_fields(),
    *wrong_values(),
]


@pytest.mark.parametrize(
    ("name", "data", "check"),
    [
        pytest.param(name, data, check, id=f"{number}-{name}-{check[:40]}")
        for number, (name, data, check) in enumerate(DAMAGES)
    ],
)
def test_b63_damage_is_named_exactly_and_never_read_as_an_empty_state(
    name: str, data: bytes, check: str
) -> None:
    with pytest.raises(StateError) as caught:
        DOCUMENTS[name].read(data, WHERE)
    error = caught.value
    assert error.summary == r'The state cannot be trusted: "state/some\x1bfile"'
    assert check in error.detail
    assert error.detail.endswith("It is never taken for an empty state.")
    assert (error.detail + error.hint).isprintable()
    assert "version control" in error.hint
    assert error.__context__ is None


@pytest.mark.parametrize("name", NAMES)
def test_b63_a_document_that_breaks_off_anywhere_is_refused(name: str) -> None:
    whole = golden(name)
    for length in range(1, len(whole) - 1):
        with pytest.raises(StateError, match="cannot be trusted") as caught:
            DOCUMENTS[name].read(whole[:length], WHERE)
        assert "it is not whole JSON" in caught.value.detail or "it is not UTF-8" in caught.value.detail


@pytest.mark.parametrize("name", NAMES)
def test_a_document_that_lacks_only_its_last_line_break_is_whole(name: str) -> None:
    assert DOCUMENTS[name].read(golden(name)[:-1], WHERE) == DOCUMENTS[name].value


@pytest.mark.parametrize("key", ["", "UPPER", "a.b", "a" * 64, "a\x1b", ".."])
def test_b63_a_record_in_a_file_that_is_named_after_no_key_is_refused(key: str) -> None:
    with pytest.raises(StateError) as caught:
        record_from(changed("record", "key", key), WHERE, key)
    assert "it is not named after a key" in caught.value.detail


@given(st.binary(max_size=60), st.sampled_from(NAMES), st.data())
@settings(max_examples=100)
def test_b63_a_document_with_some_bytes_overwritten_is_read_or_refused(
    noise: bytes, name: str, data: st.DataObject
) -> None:
    whole = golden(name)
    start = data.draw(st.integers(0, len(whole)))
    damaged = whole[:start] + noise + whole[start + len(noise) :]
    try:
        DOCUMENTS[name].read(damaged, WHERE)
    except StateError as error:
        assert error.__context__ is None


# --- whatever the server says, it is written so that a diff of it is safe to look at, and is read back


TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\u202e\u2028\x7f\x1b\n'), max_size=12
)
LONE = TEXT.filter(bool)
MOMENTS = st.datetimes(timezones=st.timezones()).map(
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}Z".rjust(20, "0")
)
APPS = st.builds(
    App,
    id=st.from_regex(r"app_[0-9A-Za-z]{1,64}", fullmatch=True),
    organization_id=st.from_regex(r"org_[0-9A-Za-z]{1,64}", fullmatch=True),
    name=TEXT,
    client_id=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12),
    client_secret_hint=TEXT,
    redirect_uris=st.lists(TEXT, max_size=3).map(tuple),
    scopes=st.lists(TEXT, max_size=3).map(tuple),
    is_active=st.booleans(),
    created_at=MOMENTS,
    updated_at=st.none() | MOMENTS,
)
KEYS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True).map(Address)
SECRETS = st.builds(
    SealedSecret,
    sealed=LONE,
    hint=TEXT,
    origin=LONE,
    operation=LONE,
    time=LONE,
    confirmed=st.booleans(),
    unsettled_until=st.none() | MOMENTS,
)
SPECS = st.builds(
    AppSpec, LONE, st.lists(TEXT, max_size=3).map(tuple), st.none() | st.lists(TEXT, max_size=3).map(tuple)
)


def assert_safe_to_look_at(data: bytes) -> None:
    assert data.endswith(b"}\n")
    assert all(line.isprintable() for line in data.decode().split("\n"))


@given(st.builds(AppRecord, address=KEYS, app=APPS, secret=st.none() | SECRETS))
@settings(max_examples=60)
def test_any_record_is_read_back_as_it_was_written(record: AppRecord) -> None:
    data = record_to(record)
    assert record_from(data, WHERE, record.address.key) == record
    assert_safe_to_look_at(data)


OPERATIONS = st.builds(
    Operation,
    id=LONE,
    kind=st.sampled_from(Kind),
    address=KEYS,
    lineage=LONE,
    spec=SPECS,
    app=APPS,
    sight=st.none() | TEXT,
)
ANSWERS = st.builds(
    Answer,
    status=st.none() | st.integers(100, 599),
    complete=st.booleans(),
    sealed=LONE,
    app_id=st.none() | TEXT,
    client_id=st.none() | TEXT,
    hint=st.none() | TEXT,
)
STEPS = st.builds(
    Step,
    phase=st.sampled_from(DURABLE),
    answer=st.none() | ANSWERS,
    app_id=st.none() | TEXT,
    unsettled=st.booleans(),
    since=st.none() | TEXT,
)


@given(OPERATIONS, STEPS)
@settings(max_examples=60)
def test_any_operation_and_step_are_read_back_as_they_were_written(operation: Operation, step: Step) -> None:
    data, then = operation_to(operation), step_to(step)
    assert (operation_from(data, WHERE), step_from(then, WHERE)) == (operation, step)
    assert_safe_to_look_at(data + then)


@given(st.builds(Sight, run=LONE, ids=st.frozensets(TEXT, max_size=4), date=st.none() | TEXT))
@settings(max_examples=50)
def test_any_sight_is_read_back_as_it_was_written(sight: Sight) -> None:
    assert sight_from(sight_to(sight), WHERE) == sight
    assert_safe_to_look_at(sight_to(sight))


@given(st.builds(Header, lineage=LONE, base_url=LONE, organization_id=st.none() | LONE))
@settings(max_examples=50)
def test_any_header_is_read_back_as_it_was_written(header: Header) -> None:
    assert header_from(header_to(header), WHERE) == header
    assert_safe_to_look_at(header_to(header))


# --- frames


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=4), st.integers(0, 20))
@settings(max_examples=100)
def test_frames_are_read_back_up_to_the_first_that_was_never_written(
    payloads: list[bytes], room: int
) -> None:
    assert list(frames(b"".join(map(framed, payloads)) + bytes(room))) == payloads


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=3), st.data())
@settings(max_examples=100)
def test_frames_that_are_torn_anywhere_are_read_up_to_there(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(map(framed, payloads))
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[at + 1 :]
    for damaged in (whole[:at], flipped):
        found = list(frames(damaged))
        assert found == payloads[: len(found)]
        assert len(found) < len(payloads)


@given(st.binary(max_size=60))
@settings(max_examples=100)
def test_any_bytes_are_frames_or_none(data: bytes) -> None:
    assert b"".join(map(framed, frames(data))) == data[: sum(len(framed(part)) for part in frames(data))]
