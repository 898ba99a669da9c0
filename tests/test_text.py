"""Untrusted text made safe to show: nothing invisible, nothing active, and what is shown can be read back."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.text import ELLIPSIS, code_point, escape, quote

# One character of every kind that must not reach a terminal as it is, and how it is written out.
WRITTEN_OUT = {
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\0": r"\x00",
    "\x1b": r"\x1b",
    "\x7f": r"\x7f",
    "\x9b": r"\x9b",  # Cc: CSI in one character
    "\u202e": r"\u{202e}",  # Cf: right-to-left override
    "\u200b": r"\u{200b}",  # Cf: zero width space
    "\ufeff": r"\u{feff}",  # Cf: byte order mark
    "\U000e0041": r"\u{e0041}",  # Cf: a tag
    "\ud800": r"\u{d800}",  # Cs: how Python spells a byte that is no UTF-8
    "\ue000": r"\u{e000}",  # Co
    "\U0010ffff": r"\u{10ffff}",  # Cn: a noncharacter
    "\u2028": r"\u{2028}",  # Zl
    "\u2029": r"\u{2029}",  # Zp
    "\xa0": r"\xa0",  # Zs: no-break space
    "\u3000": r"\u{3000}",  # Zs: ideographic space
    "\u3164": r"\u{3164}",  # Lo, and blank: Hangul filler
    "\u2800": r"\u{2800}",  # So, and blank: Braille without dots
    "\U000e0100": r"\u{e0100}",  # Mn, and blank: a variation selector
}
PLAIN = ["", "Partner Portal", 'a "b" \\ c', "Ünïcödé", "製品", "👍🏽", "❤\ufe0f", "e\u0301"]
ESCAPE = re.compile(r'\\(?:x([0-9a-f]{2})|u\{([0-9a-f]+)\}|([nrt\\"]))')
NAMED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"'}


@pytest.mark.parametrize(("char", "shown"), WRITTEN_OUT.items(), ids=ascii)
def test_an_invisible_or_active_character_is_written_out(char: str, shown: str) -> None:
    assert escape(f"a{char}b") == f"a{shown}b"
    assert quote(f"a{char}b") == f'"a{shown}b"'


def test_the_list_above_has_every_category_that_a_terminal_may_act_on() -> None:
    categories = {unicodedata.category(char) for char in WRITTEN_OUT}
    assert categories >= {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}


@pytest.mark.parametrize("text", PLAIN)
def test_text_that_can_be_seen_is_shown_as_it_is(text: str) -> None:
    assert escape(text) == text


def test_every_character_that_is_not_printable_is_written_out() -> None:
    hidden = "".join(chr(point) for point in range(0x110000) if not chr(point).isprintable())
    shown = escape(hidden)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) > 3 * len(hidden)


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", None, "abcdef"),
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd" + ELLIPSIS),
        ("abcdef", 1, ELLIPSIS),
        ("abcdef", 0, ELLIPSIS),
        ("", 0, ""),
        ("\n\n\n", 2, r"\n" + ELLIPSIS),
    ],
)
def test_text_is_cut_to_a_number_of_its_own_characters(text: str, limit: int | None, shown: str) -> None:
    assert escape(text, limit) == shown
    assert quote(text, limit) == f'"{shown}"'


@pytest.mark.parametrize("limit", range(12))
def test_a_cut_never_falls_into_an_escape(limit: int) -> None:
    shown = quote('\\"\n\u202e' * 3, limit)
    assert ESCAPE.sub("", shown.strip('"').removesuffix(ELLIPSIS)) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("\n", "\\n"), ('"', '\\"'), ("\u202e", "\\u{202e}"), ("\\", "\\\\"), ("\x1b", "\\x1b")],
)
def test_in_quotes_a_character_and_the_escape_that_stands_for_it_look_different(one: str, other: str) -> None:
    assert quote(one) != quote(other)


def read_back(shown: str) -> str:
    """What a reader makes of a quoted text."""

    def char(match: re.Match[str]) -> str:
        point = match[1] or match[2]
        return chr(int(point, 16)) if point else NAMED[match[3]]

    return ESCAPE.sub(char, shown[1:-1])


@given(st.text(st.characters()))
@settings(max_examples=300)
def test_whatever_is_shown_is_printable_and_showing_it_again_changes_nothing(text: str) -> None:
    shown = escape(text)
    assert shown.isprintable()
    assert escape(shown) == shown
    assert quote(text).isprintable()


@given(st.text(st.characters() | st.sampled_from('\\"nxu{}')))
@settings(max_examples=300)
def test_what_is_quoted_can_be_read_back_and_has_no_bare_quote(text: str) -> None:
    shown = quote(text)
    assert read_back(shown) == text
    assert '"' not in ESCAPE.sub("", shown[1:-1])


@given(st.text(st.characters()), st.integers(0, 100))
@settings(max_examples=200)
def test_a_limit_holds_for_every_text(text: str, limit: int) -> None:
    assert read_back(quote(text, limit)) in (text, text[: max(limit - 1, 0)] + ELLIPSIS)


@pytest.mark.parametrize(("char", "name"), [("\t", "U+0009"), ("\u202e", "U+202E"), ("👍", "U+1F44D")])
def test_a_code_point_is_named_as_in_unicodes_charts(char: str, name: str) -> None:
    assert code_point(char) == name
