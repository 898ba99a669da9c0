"""Bytes → text, strictly UTF-8; every other encoding, and what YAML may not hold, is named with its line."""

from __future__ import annotations

import re

from provisioner.errors import Problem
from provisioner.manifest.faults import Fault, Place, Source, fault_at
from provisioner.text import code_point

MAX_BYTES = 64 << 20
LINE_BREAK = re.compile(r"\r\n|\r|\n")  # as YAML and editors count lines
_BOM = "\ufeff"
# What YAML 1.1 §5.1 refuses, and the line breaks U+0085, U+2028 and U+2029, which editors do not count: they
# would shift every line after them. Surrogates are not UTF-8. Patterns are compiled where they are needed.
_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_RARE = "\u2028\u2029\ufeff\ufffe\uffff"
_WIDE_BOMS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def decoded(source: Source) -> str | Fault:
    """The text of a file without its leading byte order mark, or the first thing wrong with its bytes."""
    data = source.data
    if len(data) > MAX_BYTES:
        rule = f"A file may have at most {MAX_BYTES >> 20} MiB; this one has {len(data):,} bytes."
        return fault_at(Place(source.name, 1, 1), (), Problem(rule, "Spread the apps over several files."))
    for mark, encoding in _WIDE_BOMS:
        if data.startswith(mark):
            rule = f"The file is written in {encoding}, where UTF-8 is expected."
            return fault_at(Place(source.name, 1, 1), (), Problem(rule, "Save it as UTF-8."))
    try:
        text = data.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as error:
        rule = f"Byte 0x{data[error.start]:02x} at offset {error.start:,} is not UTF-8."
        before = data[: error.start].decode("utf-8").removeprefix(_BOM)
        return fault_at(end_of(before, source.name), (), Problem(rule, "Save the file as UTF-8."))
    rare = _RARE if any(char in text for char in _RARE) else ""
    found = re.search(f"[{_CONTROLS}{rare}]", text)
    if found is None:
        return text
    return fault_at(end_of(text[: found.start()], source.name), (), _forbidden(found[0]))


def _forbidden(char: str) -> Problem:
    what = "A byte order mark inside the text" if char == _BOM else "A character that YAML text may not hold"
    return Problem(f"{what}: {code_point(char)}.", "Remove it.")


def end_of(text: str, file: str) -> Place:
    """The place right after `text`, which starts the file."""
    lines = LINE_BREAK.split(text)
    return Place(file, len(lines), len(lines[-1]) + 1)
