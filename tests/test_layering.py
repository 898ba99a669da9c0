"""The way through the house: who may import whom, and which doors to the outside each module may open."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.unmeasured

PACKAGE = Path(__file__).resolve().parent.parent / "provisioner"

# A unit is a module, or a folder taken as one. Every unit but the leaves may import the leaves.
LEAVES = {"errors", "frozen", "text"}
TABLE = {
    "__init__": "",
    "__main__": "cli",
    "errors": "frozen",
    "frozen": "",
    "text": "",
    "model": "",
    "reply": "model",
    "delivery": "model",
    "envelope": "model",
    "name": "",
    "endpoint": "",
    "uri": "",
    "redirect_authority": "uri",
    "redirect_uri": "uri redirect_authority",
    "scope": "",
    "duration": "",
    "manifest": "model redirect_uri scope name duration delivery endpoint",
    "desired": "model manifest redirect_uri scope name delivery",
    "phases": "",
    "operation": "model phases",
    "documents": "model reply",
    "state": "model operation reply documents delivery",
    "journal": "model operation phases documents",
    "recovery": "model name operation phases state",
    "custody": "model state reply envelope",
    "diff": "model",
    "plan": "model desired state operation diff name recovery delivery",
    "deliveries": "model state plan delivery drift world",
    "consent": "model plan",
    "moves": "model state",
    "world": "model desired state name plan recovery moves",
    "drift": "model state diff plan world",
    "due": "model state recovery",
    "notes": "model state diff plan phases deliveries drift due world",
    "turns": "model name phases plan world",
    "selection": "model plan consent",
    "resumption": "model state operation phases plan recovery world diff",
    "planner": "model desired state diff plan recovery conflicts consent deliveries drift due notes"
    " resumption selection turns world",
    "ports": "model state operation reply delivery",
    "refresh": "model plan ports state phases",
    "objections": "model plan diff",
    "conflicts": "model state name diff plan objections turns world",
    "setting": "model state operation ports recovery custody delivery",
    "steady": "",
    "handover": "model state delivery deliveries custody ports setting",
    "execute": "model ports state operation reply envelope phases recovery setting",
    "apply": "model plan ports state operation reply envelope phases recovery execute setting diff"
    " deliveries delivery handover steady",
    "verification": "model ports state custody",
    "rekeying": "model ports state custody",
    "guarding": "journal",
    "render": "model reply desired documents state plan verification",
    "meteroid": "model reply endpoint steady",
    "sealing": "model",
    "syncs": "",
    "owners": "",
    "reading": "",
    "files": "syncs owners reading",
    "locking": "files reading",
    "stores": "model state operation files reading locking journal ports",
    "sinks": "model files reading delivery ports sealing duration endpoint",
    "settings": "model endpoint",
    "sandbox": "",
    "cli": "*",
}

# What is not the standard library's, and the only units that import it.
LIBRARIES = {
    "click": "cli",
    "deepdiff": "diff",
    "httpcore": "meteroid",
    "httpx": "sinks",
    "nacl": "sinks",
    "pydantic": "manifest",
    "pyrage": "sealing",
    "rich": "render cli",
    "ruamel": "manifest",
    "starlette": "sandbox",
    "truststore": "meteroid sinks",
    "uvicorn": "sandbox",
    "yaml": "manifest sinks",
}

# Names that reach the environment or the order of writes on a disk, and the only units that use them.
OWNED = {
    **dict.fromkeys(("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"), "settings"),
    **dict.fromkeys(("os.fsync", "os.fdatasync", "os.sync", "os.rename", "os.renames"), "files"),
    **dict.fromkeys(("shutil.move", "Path.rename"), "files"),
    **dict.fromkeys(("os.replace", "Path.replace"), "files sandbox"),  # the sandbox keeps a file of its own
}

# Everything left of `apply`: no file, no socket, no clock, no environment, no terminal.
PURE = set(TABLE) - {
    "__main__",
    "apply",
    "steady",
    "meteroid",
    "files",
    "reading",
    "syncs",
    "owners",
    "locking",
    "stores",
    "sinks",
    "settings",
}
PURE -= {"sandbox", "cli"}
IMPURE_MODULES = {"fcntl", "getpass", "logging", "os", "shutil", "signal", "subprocess", "sys", "tempfile"}
IMPURE_MODULES |= {"asyncio", "http", "multiprocessing", "select", "socket", "ssl", "threading"}
IMPURE_MODULES |= {"random", "secrets", "time"}
IMPURE_NAMES = {"datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"}
IMPURE_NAMES |= {"datetime.date.today", "open", "print", "input"}
IMPURE_NAMES |= {"Path.read_text", "Path.read_bytes", "Path.write_text", "Path.write_bytes"}

MUTABLE = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
MUTABLE_CALLS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "ContextVar", "local"}
CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]*|__all__")

COMPUTED = "?"  # the name of a module that no reader can know
Found = Iterator[tuple[int, str]]  # line, and a dotted name or a complaint


def unit_of(path: str) -> str:
    """`manifest` for `manifest/loader.py` as for `manifest.py`."""
    return path.split("/", 1)[0].removesuffix(".py")


def imports(tree: ast.Module, path: str) -> Found:
    """Everything imported, wherever it stands: in a function, under TYPE_CHECKING, by a literal name."""
    package = ["provisioner", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) + 1 - level] if level else []
                parts = [*base, *([module] if module else [])]
                yield from ((node.lineno, ".".join([*parts, alias.name])) for alias in names)
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[first, *_]):
                if called in ("import_module", "__import__"):
                    literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
                    yield node.lineno, ast.literal_eval(first) if literal else COMPUTED


def target_unit(name: str) -> str | None:
    """The unit that a dotted name leads to; None for another package and for the version."""
    head, _, rest = name.partition(".")
    unit = rest.split(".", 1)[0]
    return unit if head == "provisioner" and unit not in ("", "__version__") else None


def wrong_imports(tree: ast.Module, path: str) -> Found:
    unit = unit_of(path)
    for line, name in imports(tree, path):
        other, library = target_unit(name), name.split(".", 1)[0]
        if name == COMPUTED:
            if unit != "cli":
                yield line, "imports a module by a computed name; only cli may"
        elif other is not None:
            if other not in TABLE:
                yield line, f"imports {other}, which is not in the table: {HOW_TO_ADD}"
            elif unit != other and not may_import(unit, other):
                yield line, f"{unit} may not import {other}"
        elif library in sys.stdlib_module_names:
            if unit in PURE and library in IMPURE_MODULES:
                yield line, f"{unit} is pure and may not import {library}"
        elif library != "provisioner" and unit not in LIBRARIES.get(library, "").split():
            yield line, f"{unit} may not import {library}; see LIBRARIES in tests/test_layering.py"


def may_import(unit: str, other: str) -> bool:
    allowed = TABLE[unit].split()
    return "*" in allowed or other in allowed or (other in LEAVES and unit not in LEAVES | {"__init__"})


def names(tree: ast.Module) -> Found:
    """The dotted names used, imports resolved; a method that only a path has is given as `Path.method`."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.lineno, resolved(node, known)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_path_call(node):
            yield node.lineno, f"Path.{node.func.attr}"


def resolved(node: ast.expr, known: Mapping[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return known.get(name, name)
        case ast.Attribute(value=value, attr=attr):
            return f"{resolved(value, known)}.{attr}"
    return ""


def is_path_call(call: ast.Call) -> bool:
    """`replace` with one argument is a path's: a str's takes two, a dataclass's and a date's keywords."""
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr != "replace" or (len(call.args) == 1 and not call.keywords)


def wrong_names(tree: ast.Module, path: str) -> Found:
    unit = unit_of(path)
    for line, name in names(tree):
        if name in OWNED and unit not in OWNED[name].split():
            yield line, f"{unit} may not use {name}: it is for {OWNED[name].replace(' ', ' and ')} alone"
        elif unit in PURE and name in IMPURE_NAMES:
            yield line, f"{unit} is pure and may not use {name}"


def mutable_globals(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"changes module state: global {', '.join(node.names)}"
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        if not CONSTANT.fullmatch(name) and is_mutable(value):
            yield statement.lineno, f"{name} is module state that can change; pass it as an argument"


def is_mutable(value: ast.expr) -> bool:
    called = resolved(value.func, {}) if isinstance(value, ast.Call) else ""
    return isinstance(value, MUTABLE) or called.rpartition(".")[2] in MUTABLE_CALLS


HOW_TO_ADD = "add it to TABLE in tests/test_layering.py, with what it may import"


def offences(source: str, path: str) -> list[str]:
    """What one module, `path` inside the package, does against the rules: a line for each."""
    if unit_of(path) not in TABLE:
        return [f"provisioner/{path}: {unit_of(path)} is a new module: {HOW_TO_ADD}"]
    tree = ast.parse(source)
    found = {*wrong_imports(tree, path), *wrong_names(tree, path), *mutable_globals(tree)}
    return [f"provisioner/{path}:{line}: {complaint}" for line, complaint in sorted(found)]


def modules() -> Iterator[tuple[str, str]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(PACKAGE).as_posix(), file.read_text("utf-8")


def test_every_module_keeps_to_the_table() -> None:
    found = [line for path, source in modules() for line in offences(source, path)]
    assert not found, "\n".join(found)


def test_no_unit_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = {}
    for path, source in modules():
        targets = {target_unit(name) for _, name in imports(ast.parse(source), path)}
        graph.setdefault(unit_of(path), set()).update(filter(None, targets - {unit_of(path)}))
    assert_acyclic(graph)


def test_the_table_leads_one_way() -> None:
    assert_acyclic({unit: set(row.split()) - {"*"} for unit, row in TABLE.items()})


def test_the_table_names_only_units_that_it_has() -> None:
    rows = [*TABLE.values(), *LIBRARIES.values(), *OWNED.values()]
    assert {unit for row in rows for unit in row.split()} - {"*"} <= set(TABLE)


def assert_acyclic(graph: Mapping[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"A circle of imports: {' -> '.join(error.args[1])}")


def test_a_circle_of_imports_is_found() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"A circle of imports: (a -> b -> a|b -> a -> b)"):
        assert_acyclic({"a": {"b"}, "b": {"a"}})


PLANTED = {
    "a way back": ("plan.py", "from provisioner.apply import run", "plan may not import apply"),
    "from the package": ("plan.py", "from provisioner import apply", "plan may not import apply"),
    "a deep import": ("plan.py", "import provisioner.cli.main as main", "plan may not import cli"),
    "relative": ("render/text.py", "from ..sealing import seal", "render may not import sealing"),
    "relative, bare": ("diff.py", "from . import plan", "diff may not import plan"),
    "in a function": ("diff.py", "def f():\n    from provisioner.state import State", "diff may not"),
    "for types only": (
        "reply.py",
        "if TYPE_CHECKING:\n    from provisioner.plan import Plan",
        "reply may not",
    ),
    "by a literal name": (
        "diff.py",
        "importlib.import_module('provisioner.plan')",
        "diff may not import plan",
    ),
    "by a computed name": ("plan.py", "import_module(name)", "by a computed name"),
    "a leaf that grows": ("errors.py", "from provisioner.text import quote", "errors may not import text"),
    "the front door": (
        "__init__.py",
        "from provisioner.errors import Problem",
        "__init__ may not import errors",
    ),
    "a new module": ("cache.py", "", "cache is a new module: add it to TABLE"),
    "an unknown module": ("cli/plan.py", "import provisioner.cache", "cache, which is not in the table"),
    "a library elsewhere": ("plan.py", "import httpx", "plan may not import httpx"),
    "a part of a library": ("state.py", "from pydantic.fields import Field", "state may not import pydantic"),
    "a library of nobody": ("meteroid.py", "import requests", "meteroid may not import requests"),
    "deepdiff in the plan": ("plan.py", "from deepdiff import DeepDiff", "plan may not import deepdiff"),
    "click outside the cli": ("settings.py", "import click", "settings may not import click"),
    "the environment": ("meteroid.py", "import os\nx = os.environ['A']", "os.environ: it is for settings"),
    "under another name": ("sealing.py", "import os as o\no.getenv('A')", "sealing may not use os.getenv"),
    "by name": ("cli/main.py", "from os import environ", "cli may not use os.environ"),
    "a sync of its own": ("stores/directory.py", "import os\nos.fsync(3)", "stores may not use os.fsync"),
    "a rename of its own": ("stores/directory.py", "path.rename(other)", "stores may not use Path.rename"),
    "a replace of its own": ("sinks/file.py", "path.replace(other)", "for files and sandbox alone"),
    "a file in the core": (
        "manifest/loader.py",
        "open('apps.yaml')",
        "manifest is pure and may not use open",
    ),
    "a path that is read": ("plan.py", "path.read_text()", "plan is pure and may not use Path.read_text"),
    "a clock in the core": ("plan.py", "from datetime import datetime\ndatetime.now(UTC)", "datetime.now"),
    "a socket in the core": ("diff.py", "import socket", "diff is pure and may not import socket"),
    "state of a module": ("plan.py", "_seen: dict[str, int] = {}", "_seen is module state"),
    "state by a call": ("apply.py", "pending = collections.deque()", "pending is module state"),
    "a global": ("cli/main.py", "def f():\n    global LEVEL\n    LEVEL = 1", "global LEVEL"),
}


@pytest.mark.parametrize(("path", "source", "complaint"), PLANTED.values(), ids=PLANTED)
def test_a_planted_offence_is_found(path: str, source: str, complaint: str) -> None:
    found = "\n".join(offences(source, path))
    assert complaint in found


HONEST = {
    "its own unit": ("manifest/loader.py", "from provisioner.manifest.model import Manifest"),
    "its own unit, relative": ("manifest/loader.py", "from .model import Manifest"),
    "a leaf": ("diff.py", "from provisioner.text import escape"),
    "the version": ("meteroid.py", "from provisioner import __version__"),
    "the cli wires everything": ("cli/apply.py", "from provisioner import meteroid, sealing, settings"),
    "a command loaded by name": ("cli/main.py", "importlib.import_module(f'provisioner.cli.{name}')"),
    "methods that are no path's": ("plan.py", "s.replace('a', 'b'); d.replace(tzinfo=UTC); replace(x, a=1)"),
    "a field called open": ("state.py", "class State:\n    open: tuple[int, ...] = ()"),
    "constants": ("plan.py", "RULES = {'a': 1}\n_ORDER: Final = ['a']\n__all__ = ['Plan']"),
}


@pytest.mark.parametrize(("path", "source"), HONEST.values(), ids=HONEST)
def test_an_honest_module_passes(path: str, source: str) -> None:
    assert offences(source, path) == []
