"""The API's answers, read strictly; and no word of an answer in an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import ApiError
from provisioner.model import App, Secret
from provisioner.reply import (
    UnusableError,
    app_from,
    apps_from,
    created_from,
    decode,
    glimpse,
    rotated_from,
    valid_app_id,
)

CANARY = "canary7Qz"
APP = {
    "id": "app_7n42DGM5Tflk9n8mt7Fhc7",
    "organization_id": "org_7n42DGM5Tflk9n8mt7Fhc8",
    "name": "Partner Portal",
    "client_id": "mcp_Zm9v",
    "client_secret_hint": "…x7Qz",
    "redirect_uris": ["https://portal.example/cb"],
    "scopes": ["read", "write"],
    "is_active": True,
    "created_at": "2026-01-02T03:04:05.678901234Z",
    "updated_at": None,
}
READ = App(**{**APP, "redirect_uris": ("https://portal.example/cb",), "scopes": ("read", "write")})  # type: ignore[arg-type]  # a dict of all kinds
SECRET = "cs_" + CANARY
TEXT_LIMIT = 8192


def body(document: object) -> Secret:
    return Secret(json.dumps(document).encode())


def created(**changes: object) -> Secret:
    return body({"app": APP | changes, "client_secret": SECRET})


def everything_in(error: BaseException | None) -> Iterator[str]:
    """Whatever an error and those behind it could print, with all that they hold."""
    while error is not None:
        yield from (repr(error), str(error), repr(error.args), repr(vars(error)))
        error = error.__cause__ or error.__context__


def assert_unusable(call: Callable[[], object], field: str) -> None:
    with pytest.raises(UnusableError) as caught:
        call()
    assert field in str(caught.value)
    assert not [text for text in everything_in(caught.value) if CANARY in text]
    assert caught.value.__context__ is None


def test_an_app_is_read_with_its_lists_as_tuples() -> None:
    assert app_from(APP) == READ


def test_fields_that_are_not_known_are_passed_over() -> None:
    assert app_from(APP | {"logo_url": 5, "": [None]}) == READ


@pytest.mark.parametrize(
    "value", ["2026-01-02T03:04:05Z", "2026-01-02t03:04:05.5z", "2026-01-02 03:04:05-23:59"]
)
def test_a_moment_is_kept_as_it_was_written(value: str) -> None:
    app = app_from(APP | {"created_at": value, "updated_at": value})
    assert (app.created_at, app.updated_at) == (value, value)


def test_an_app_that_was_never_updated_may_leave_that_out() -> None:
    assert app_from({name: value for name, value in APP.items() if name != "updated_at"}) == READ


NOT_TEXT: list[object] = [
    None,
    5,
    1.5,
    True,
    [CANARY],
    {CANARY: CANARY},
    CANARY + "x" * TEXT_LIMIT,
    CANARY + "\ud800",
]
WRONG: dict[str, list[object]] = {
    "id": [
        *NOT_TEXT, "", CANARY, "app_", f"app_{CANARY}/../x", f"app_{CANARY}\n", f"app_{CANARY}?",
        f"app_é{CANARY}", f"APP_{CANARY}", "app_" + CANARY * 9, f"org_{CANARY}",
    ],
    "organization_id": [*NOT_TEXT, "", CANARY, f"app_{CANARY}", f"org_{CANARY}\x1b"],
    "name": NOT_TEXT,
    "client_id": [*NOT_TEXT, "", f"{CANARY}\n", f"{CANARY}\x7f", f"{CANARY}é", CANARY * 200],
    "client_secret_hint": NOT_TEXT,
    "redirect_uris": [None, CANARY, {CANARY: 1}, [CANARY, None], [[CANARY]], [CANARY + "\udfff"]],
    "scopes": [None, CANARY, {CANARY: 1}, [CANARY, 5], [CANARY + "x" * TEXT_LIMIT]],
    "is_active": [None, 1, 0, "true", CANARY, []],
    "created_at": [
        *NOT_TEXT, "", CANARY, "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z",
        "2026-02-30T03:04:05Z", "2026-01-02\n03:04:05Z", "2026-01-02\x1b03:04:05Z",
        "20260102T030405Z", "2026-W01-1T03:04:05Z",
        "2026-01-02T03:04:05+99:00", "٢٠٢٦-01-02T03:04:05Z", f"2026-01-02T03:04:05Z{CANARY}",
        " 2026-01-02T03:04:05Z",
    ],
    "updated_at": [5, "", CANARY, "2026-01-02T03:04:05", False],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(field, value, id=f"{field}-{number}")
        for field, values in WRONG.items()
        for number, value in enumerate(values)
    ],
)
def test_b64_a_field_that_has_not_its_form_is_refused_by_name_and_not_shown(
    field: str, value: object
) -> None:
    assert_unusable(lambda: app_from(APP | {field: value}), field)
    assert_unusable(lambda: created_from(created(**{field: value})), field)
    assert_unusable(lambda: apps_from(body({"data": [APP, APP | {field: value}]}).reveal()), field)


@pytest.mark.parametrize("field", sorted(set(APP) - {"updated_at"}))
def test_a_field_that_is_missing_is_refused_by_name(field: str) -> None:
    less = {name: value for name, value in APP.items() if name != field}
    assert_unusable(lambda: app_from(less), field)


@pytest.mark.parametrize("value", [None, [], [APP], CANARY, 5, True])
def test_what_is_no_app_at_all_is_refused(value: object) -> None:
    assert_unusable(lambda: app_from(value), "the app is not an object")
    assert_unusable(lambda: created_from(body({"app": value, "client_secret": SECRET})), "the app is not")


@pytest.mark.parametrize("name", ["", "\x1b[31m", "\u202eevil", "<b>", "x" * TEXT_LIMIT, "👍" * TEXT_LIMIT])
def test_b64_a_name_may_be_anything_for_whoever_shows_it_makes_it_inert(name: str) -> None:
    assert app_from(APP | {"name": name}).name == name


def test_a_list_keeps_its_order() -> None:
    second = APP | {"id": "app_2"}
    assert [app.id for app in apps_from(body({"data": [second, APP]}).reveal())] == ["app_2", APP["id"]]
    assert apps_from(b'{"data": []}') == ()


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"data": [APP, APP | {"name": CANARY}]}, "two apps have one id"),
        (
            {"data": [APP, APP | {"id": "app_2", "organization_id": f"org_{CANARY}"}]},
            "more than one organization",
        ),
        ({"data": {CANARY: APP}}, "data is not a list"),
        ({"data": None}, "data is not a list"),
        ({CANARY: []}, "data is not a list"),
        ([APP], "the answer is not an object"),
        (CANARY, "the answer is not an object"),
    ],
)
def test_b64_a_list_that_cannot_be_ours_is_refused(document: object, complaint: str) -> None:
    assert_unusable(lambda: apps_from(body(document).reveal()), complaint)


def test_b64_two_apps_of_one_name_are_for_the_planner_to_judge() -> None:
    assert len(apps_from(body({"data": [APP, APP | {"id": "app_2"}]}).reveal())) == 2


def test_a_create_is_answered_with_the_app_and_its_secret() -> None:
    assert created_from(created()) == (READ, Secret(SECRET.encode()))


def test_a_rotate_is_answered_with_a_hint_and_a_secret() -> None:
    answer = body({"client_secret": SECRET, "client_secret_hint": ""})
    assert rotated_from(answer) == ("", Secret(SECRET.encode()))


BAD_SECRETS = [
    None,
    "",
    5,
    [SECRET],
    f"{SECRET}\n",
    f"{SECRET}\x7f",
    f"{SECRET}é",
    f"\x1f{SECRET}",
    SECRET * 200,
]


@pytest.mark.parametrize("value", BAD_SECRETS, ids=range(len(BAD_SECRETS)))
def test_b64_a_secret_that_is_empty_or_not_vschar_is_refused(value: object) -> None:
    assert_unusable(lambda: created_from(body({"app": APP, "client_secret": value})), "client_secret")
    answer = {"client_secret": value, "client_secret_hint": "h"}
    assert_unusable(lambda: rotated_from(body(answer)), "client_secret")


def test_a_secret_that_is_missing_is_refused() -> None:
    assert_unusable(lambda: created_from(body({"app": APP})), "client_secret")
    assert_unusable(lambda: rotated_from(body({"client_secret_hint": "h"})), "client_secret")
    assert_unusable(lambda: rotated_from(body({"client_secret": SECRET})), "client_secret_hint")
    assert_unusable(lambda: rotated_from(body([SECRET])), "the answer")


DEEP = 200_000
WHOLE = created().reveal()
NOT_JSON = {
    "nothing": b"",
    "HTML": f"<html>{CANARY}</html>".encode(),
    "cut off": WHOLE[:-1],
    "two documents": WHOLE + WHOLE,
    "NaN": f'{{"{CANARY}": NaN}}'.encode(),
    "Infinity": f'["{CANARY}", -Infinity]'.encode(),
    "a number of 5,000 digits": f'["{CANARY}", {"9" * 5000}]'.encode(),
    "lists 200,000 deep": f'["{CANARY}", '.encode() + b"[" * DEEP + b"]" * DEEP + b"]",
    "objects 200,000 deep": b'{"a":' * DEEP + f'"{CANARY}"'.encode() + b"}" * DEEP,
    "UTF-16": WHOLE.decode().encode("utf-16"),
    "a surrogate in UTF-8": b'["' + CANARY.encode() + b'\xed\xa0\x80"]',
    "Latin-1": f'["{CANARY}é"]'.encode("latin-1"),
    "a bare control character": f'["{CANARY}\n"]'.encode(),
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_refused_and_the_error_holds_nothing_of_it(data: bytes) -> None:
    assert_unusable(lambda: decode(data), "the body is not JSON")
    assert_unusable(lambda: apps_from(data), "the body is not JSON")
    assert_unusable(lambda: created_from(Secret(data)), "the body is not JSON")
    assert_unusable(lambda: rotated_from(Secret(data)), "the body is not JSON")


@contextmanager
def recursion_limit(limit: int) -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def depth() -> int:
    frame: FrameType | None = sys._getframe()
    count = 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


@pytest.mark.parametrize("room", [60, 500, 5_000])
def test_depth_is_refused_whatever_the_recursion_limit(room: int) -> None:
    deep = Secret(NOT_JSON["lists 200,000 deep"])
    with recursion_limit(depth() + room), pytest.raises(UnusableError, match="the body is not JSON"):
        created_from(deep)
    assert glimpse(deep) == (None, None, None)


def test_depth_within_reason_does_no_harm_in_a_field_that_is_not_known() -> None:
    deep = json.loads("[" * 100 + "]" * 100)
    assert app_from(APP | {"extra": deep}) == READ


def test_a_byte_order_mark_is_passed_over() -> None:
    assert decode(b"\xef\xbb\xbf[]") == []


def test_an_app_id_goes_into_a_url_and_nothing_else_does() -> None:
    assert valid_app_id("app_7n42DGM5Tflk9n8mt7Fhc7") == "app_7n42DGM5Tflk9n8mt7Fhc7"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app_",
        "app_a/../b",
        "app_a\n",
        "app_a?b",
        "app_%2e",
        "../app_a",
        "org_a",
        "app_" + "a" * 65,
        "app_é",
    ],
)
def test_b64_what_is_no_app_id_goes_into_no_url(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        valid_app_id(text)
    assert str(caught.value) == "Not an app id"


def test_a_glimpse_finds_id_client_id_and_hint() -> None:
    assert glimpse(created()) == (APP["id"], APP["client_id"], APP["client_secret_hint"])


@pytest.mark.parametrize("value", BAD_SECRETS, ids=range(len(BAD_SECRETS)))
def test_a_glimpse_finds_nothing_where_the_secret_is_not_usable(value: object) -> None:
    assert glimpse(body({"app": APP, "client_secret": value})) == (None, None, None)
    assert glimpse(body({"app": APP})) == (None, None, None)


@pytest.mark.parametrize(("field", "value"), [(field, values[0]) for field, values in WRONG.items()])
def test_a_glimpse_finds_nothing_in_what_is_not_wholly_an_app(field: str, value: object) -> None:
    assert glimpse(created(**{field: value})) == (None, None, None)


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON)
def test_a_glimpse_finds_nothing_in_what_is_not_json(data: bytes) -> None:
    assert glimpse(Secret(data)) == (None, None, None)


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 7))
def test_a_glimpse_finds_nothing_in_an_answer_that_was_cut_off(cut: int) -> None:
    assert glimpse(Secret(WHOLE[:cut])) == (None, None, None)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20)
JSON = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.sampled_from(["app", "id", "data"]), LEAVES)
BODIES = st.one_of(
    st.binary(),
    JSON,
    st.builds(lambda value: {"app": value, "data": [value], "client_secret": value}, JSON),
    st.builds(lambda name, value: {"app": APP | {name: value}}, st.sampled_from([*APP, "more"]), JSON),
).map(lambda value: value if isinstance(value, bytes) else json.dumps(value).encode())


@given(BODIES)
@settings(max_examples=200)
def test_a_glimpse_never_raises_and_finds_all_or_nothing(data: bytes) -> None:
    found = glimpse(Secret(data))
    assert found == (None, None, None) or all(isinstance(text, str) for text in found)


READERS: list[Callable[[bytes], Any]] = [
    apps_from,
    lambda data: created_from(Secret(data)),
    lambda data: rotated_from(Secret(data)),
]


@given(BODIES, st.sampled_from(READERS))
@settings(max_examples=200)
def test_whatever_the_api_answers_it_is_read_or_unusable(data: bytes, read: Callable[[bytes], Any]) -> None:
    try:
        read(data)
    except UnusableError as error:
        assert error.__context__ is None
