"""Names of apps, which end users read on the consent screen: no hidden character, one spelling, no twin."""

from __future__ import annotations

import re
import unicodedata

from provisioner.errors import Problem
from provisioner.text import BLANK, code_point, quote

MAX_LENGTH = 128  # characters, so at most 512 bytes of UTF-8

_KINDS = {
    "Cc": "control character",
    "Cs": "unpaired surrogate",
    "Co": "private-use character",
    "Cn": "unassigned code point",
}
_SELECTOR = re.compile("[\ufe0e\ufe0f]")

# Letters that look like Latin ones: Greek first, then Cyrillic, then other Latin. Chosen from the data of
# Unicode UTS #39 (confusables.txt); a capital iota is taken for I, not for l as there. Compatibility forms,
# fullwidth ones among them, are not listed: NFKD takes them apart.
_TWINS = {
    "A": "\u0391\u0410",
    "B": "\u0392\u0412",
    "C": "\u0421",
    "E": "\u0395\u0415",
    "F": "\u03dc",
    "G": "\u050c",
    "H": "\u0397\u041d",
    "I": "\u0399\u0406",
    "J": "\u037f\u0408",
    "K": "\u039a\u041a",
    "M": "\u039c\u03fa\u041c",
    "N": "\u039d",
    "O": "\u039f\u041e",
    "P": "\u03a1\u0420",
    "S": "\u0405",
    "T": "\u03a4\u0422",
    "V": "\u0474",
    "W": "\u051c",
    "X": "\u03a7\u0425",
    "Y": "\u03a5\u0423\u04ae",
    "Z": "\u0396",
    "a": "\u03b1\u0430\u0251",
    "c": "\u0441",
    "d": "\u0501",
    "e": "\u0435\u04bd",
    "g": "\u0261",
    "h": "\u04bb",
    "i": "\u03b9\u0456\u0131",
    "j": "\u03f3\u0458",
    "l": "\u04c0\u04cf",
    "o": "\u03bf\u043e",
    "p": "\u03c1\u0440",
    "q": "\u051b",
    "s": "\u0455",
    "u": "\u03c5",
    "v": "\u03bd\u0475",
    "w": "\u051d\u0461",
    "x": "\u0445",
    "y": "\u0443\u04af",
}
_LATIN = str.maketrans({twin: latin for latin, twins in _TWINS.items() for twin in twins})


def check(name: str) -> tuple[Problem, ...]:
    """What stands against `name`. Markup is allowed: whoever shows a name makes it inert."""
    if not name.strip():
        return (Problem("A name has at least one visible character.", "Write the name that users will see."),)
    problems = _hidden(name)
    if name != name.strip(" "):
        remedy = f"Write {quote(name.strip(' '))}."
        problems.append(Problem("A name neither starts nor ends with a space.", remedy))
    composed = unicodedata.normalize("NFC", name)
    if name != composed:
        place = _first_difference(name, composed)
        problems.append(
            Problem(
                f"A name is written in composed characters (NFC, UAX #15); this one differs at {place + 1}.",
                f"Write {quote(composed)}, which has {code_point(composed[place])} there.",
            )
        )
    if len(name) > MAX_LENGTH:
        rule = f"A name has at most {MAX_LENGTH} characters; this one has {len(name)}."
        problems.append(Problem(rule, "Shorten it."))
    return tuple(problems)


def fold(name: str) -> str:
    """The form in which two names collide on a server that ignores case (Unicode D145), composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def skeleton(name: str) -> str:
    """A form that names of one look share, whatever their case (after UTS #39 §4). Never shown or sent."""
    text = _SELECTOR.sub("", BLANK.sub("", unicodedata.normalize("NFKD", name)))
    text = "".join(char for char in text if char.isspace() or unicodedata.category(char) not in ("Cc", "Cf"))
    # Capitals have twins of their own: a Greek Nu is an N, and only its small letter a v.
    text = text.translate(_LATIN).casefold().translate(_LATIN)
    return " ".join(unicodedata.normalize("NFKC", text).split())


def lookalike(name: str, other: str) -> Problem | None:
    """A warning where `name` is not `other` but looks like it, with the first character that differs."""
    if name == other or skeleton(name) != skeleton(other):
        return None
    place = _first_difference(name, other)
    return Problem(
        f"The name looks like another one and differs at {place + 1}: "
        f"{_character(name, place)}, where the other has {_character(other, place)}.",
        "Make sure that users can tell them apart.",
        warning=True,
    )


def _hidden(name: str) -> list[Problem]:
    """Characters that a reader does not see or a terminal acts on: of each kind the first, with its place."""
    found: dict[str, str] = {}
    for place, char in enumerate(name, 1):
        if not char.isprintable() or BLANK.match(char):
            kind = _KINDS.get(unicodedata.category(char), "invisible character")
            found.setdefault(kind, f"{code_point(char)} at {place}")
    return [
        Problem(
            f"A name cannot hold the {kind} {place}.", "Remove it, and write the name in quotes or after >-."
        )
        for kind, place in found.items()
    ]


def _first_difference(name: str, other: str) -> int:
    """The place of the first character in which they differ, the end of the shorter one included."""
    pairs = enumerate(zip(name, other, strict=False))
    return next((place for place, (one, two) in pairs if one != two), min(len(name), len(other)))


def _character(name: str, place: int) -> str:
    if place == len(name):
        return "nothing more"
    char = name[place]
    return f"{code_point(char)} ({unicodedata.name(char, 'without a name')})"
