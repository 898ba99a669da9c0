"""A parent that has imported everything and forks one child a command, so that a point costs little.

It reads requests as lines of JSON on standard input and answers on standard output. A child that is held
waits, before its first step, until the line `go` comes: by then strace has attached to it.
"""

from __future__ import annotations

import gc
import io
import json
import os
import pkgutil
import sys
from importlib import import_module
from typing import Any, NoReturn

import provisioner

_NEEDED_LATER = (
    "deepdiff",
    "encodings.idna",
    "encodings.utf_8_sig",
    "httpcore",
    "nacl.public",
    "pyrage",
    "stringprep",
    "subprocess",
)
_LEFT_OUT = ("provisioner.__main__", "provisioner.sandbox", "provisioner.cli.sandbox")


def main() -> None:
    """Serve until standard input ends."""
    for name in (*_NEEDED_LATER, *_modules()):
        import_module(name)
    import_module("torture.planted")
    gc.freeze()
    say("ready")
    for line in sys.stdin:
        request = json.loads(line)
        holding, release = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(release)
            _become(request, holding)
        os.close(holding)
        say(child)
        if request["held"]:
            sys.stdin.readline()
        os.close(release)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def say(value: object) -> None:
    """One line back."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _modules() -> list[str]:
    found = pkgutil.walk_packages(provisioner.__path__, "provisioner.")
    return [module.name for module in found if not module.name.startswith(_LEFT_OUT)]


def _become(request: dict[str, Any], holding: int) -> NoReturn:
    """The command, as if it had been started from a shell in its folder."""
    status = 70  # of a harness that failed; no command of ours ends so
    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        os.umask(0)  # the loosest: modes must come from us
        _redirect(request["out"], request["err"])
        for plant in request["plants"]:
            import_module("torture.planted").plant(*plant)
        from provisioner.cli import run

        os.read(holding, 1)
        os.close(holding)
        status = run(request["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _redirect(out: str, err: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path in ((1, out), (2, err)):
        fd = os.open(path, flags, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  (the process ends with it)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # whoever asked is gone
        os._exit(1)
