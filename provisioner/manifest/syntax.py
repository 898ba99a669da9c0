"""What YAML's parser says, in words for people: a table from its sentences to ours."""

from __future__ import annotations

import re

import yaml

from provisioner.errors import Problem
from provisioner.manifest.decoding import LINE_BREAK
from provisioner.manifest.faults import Fault, Place, fault_at
from provisioner.manifest.tree import Mark, place_of, position
from provisioner.text import quote

MAX_DEPTH = 32
TOO_DEEP = Problem(f"Lists and mappings may stand at most {MAX_DEPTH} levels deep.", "Nest them less.")
ANCHOR = Problem(
    "Anchors and aliases (& and *) are not allowed.",
    "Write the value out where it is needed; put it in quotes if it really starts with & or *.",
)
TAG = Problem(
    "Tags (!) are not allowed.", "Remove the tag; put the value in quotes if it really starts with !."
)
_TAB = Problem("A tab stands where YAML takes only spaces.", "Indent with spaces.")
_BAD_START = Problem("No value starts with this character.", "Put the value in quotes if it belongs to it.")
_OPEN_BRACKET = Problem(
    "A list or mapping in brackets is not complete.", "Add the comma or bracket that is missing."
)
_BARE_REFERENCE = Problem(
    "Inside brackets, YAML takes ${ for the start of a mapping.",
    "Put the value in quotes, or write the list with a dash and a line for each item.",
)
_NO_COLON = Problem("A key has no colon after it.", "Write `key: value`.")
_OPEN_QUOTE = Problem("This quoted text is never closed.", "Add the closing quote.")

# Sentences of libyaml and of PyYAML's own parser, which differ a little: the first that is found decides.
_SENTENCES = (
    ("maximum nesting depth", TOO_DEEP),
    ("tab character", _TAB),
    ("scanning an (anchor|alias)", ANCHOR),
    ("a tag|tag handle", TAG),
    ("cannot start any token", _BAD_START),
    (
        "mapping values are not allowed",
        Problem(
            "A colon stands where no key can be.",
            "Put a value that holds a colon and a space in quotes, or check the indentation.",
        ),
    ),
    ("quoted scalar.*end of stream", _OPEN_QUOTE),
    (
        "escape character|hexadec|Unicode character escape",
        Problem(
            "This text in double quotes has an escape that YAML does not know.",
            "Write each backslash twice, or use single quotes.",
        ),
    ),
    ("expected '?<document start>", Problem("Something follows the end of the document.", "Remove it.")),
    ("flow (node|sequence|mapping)", _OPEN_BRACKET),
    ("could not find expected ':'", _NO_COLON),
    (
        "block (collection|mapping|sequence|node)",
        Problem("This does not continue what stands above it.", "Check its indentation and the line above."),
    ),
)
_TABLE = tuple((re.compile(sentence), problem) for sentence, problem in _SENTENCES)


def syntax_fault(error: Exception, file: str, text: str) -> Fault:
    """What stopped the parser, as a `Fault`. Its own words are kept only where the table has none."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        # PyYAML's own parser lets a few of Python's errors through, without a position.
        return fault_at(Place(file, 1, 1), (), Problem("The file is not YAML."))
    said = f"{error.context} {error.problem}"
    problem = next((ours for form, ours in _TABLE if form.search(said)), None) or _unknown(error)
    mark: Mark = error.problem_mark
    lines = LINE_BREAK.split(text)
    line = lines[mark.line] if mark.line < len(lines) else ""  # libyaml counts one more at the end
    char, found = line[mark.column : mark.column + 1], None
    if problem is _BAD_START:
        problem, found = (_TAB, None) if char == "\t" else (problem, char)
    elif problem is _OPEN_BRACKET and line[: mark.column + 1].endswith("${"):
        problem = _BARE_REFERENCE
    elif problem in (_OPEN_QUOTE, _NO_COLON) and error.context_mark is not None:
        mark = error.context_mark  # where it starts says more than where it was given up
    return fault_at(place_of(file, position(mark)), (), problem, found)


def _unknown(error: yaml.MarkedYAMLError) -> Problem:
    return Problem(f"The file is not YAML; its parser says {quote(str(error.problem), 80)}.")
