"""From a declared sink to the one that delivers: by its type, and nothing loaded that is not used."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from provisioner.delivery import DeclaredSink
from provisioner.errors import SinkError
from provisioner.sinks import _MODULES, make

LOADED = """
import sys
from provisioner.delivery import DeclaredSink
from provisioner.sinks import make
if sys.argv[1:]:
    make(DeclaredSink("s", sys.argv[1], {"plaintext": True}), {})
print(*sorted(name for name in sys.modules if name.startswith("provisioner.sinks.")
              or name in ("pyrage", "httpx", "subprocess", "yaml", "pydantic")))
"""


def loaded(*arguments: str) -> set[str]:
    command = [sys.executable, "-c", LOADED, *arguments]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_only_what_the_type_needs_is_loaded() -> None:
    assert loaded() == set()
    assert loaded("age") == {
        "pyrage",
        *(f"provisioner.sinks.{name}" for name in ("age", "formats", "places")),
    }
    assert "pyrage" not in loaded("file")


@pytest.mark.parametrize("type_", sorted(_MODULES))
def test_every_type_has_a_module_of_its_own(type_: str) -> None:
    assert find_spec(f"provisioner.sinks.{type_.replace('-', '_')}") is not None
    assert _MODULES[type_]().__name__ == f"provisioner.sinks.{type_.replace('-', '_')}"


@pytest.mark.parametrize("type_", ["aws", "", "age ", "\x1b[2J", "sinks.age", "../file"])
def test_a_type_that_there_is_not_is_refused_with_those_that_there_are(type_: str) -> None:
    with pytest.raises(SinkError) as caught:
        make(DeclaredSink("out", type_, folder=Path()), {})
    assert caught.value.summary.startswith('The sink "out" is of no type that there is: "')
    assert caught.value.summary.isprintable()
    assert "age, command, file, github-actions, kubernetes, vault" in caught.value.detail
