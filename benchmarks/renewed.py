"""A folder with a sandbox beside it, both as new before each apply that is measured."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks import places
from benchmarks.process import Run, environment, measured, provisioner
from benchmarks.serving import sandbox, to_it

_APPLY = ("apply", "--auto-approve")


class Renewed:
    """The folder; `latency` in milliseconds is the sandbox's."""

    def __init__(self, folder: Path, latency: int) -> None:
        self._folder = folder
        self._latency = latency
        self._stack = ExitStack()
        self._env: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def renew(self) -> None:
        """Nothing was ever applied, and the API has no app."""
        self._stack.close()
        places.renewed(self._folder)
        url = self._stack.enter_context(sandbox(self._folder, self._latency))
        self._env = environment(self._folder, to_it(url))

    def apply(self) -> Run:
        """An apply that ends well, measured."""
        return measured(provisioner(*_APPLY), self._folder, self._env)

    def kill_once(self, records: int) -> None:
        """Renewed; then an apply that gets SIGKILL once so many apps are recorded, or ends before that."""
        self.renew()
        process = subprocess.Popen(
            provisioner(*_APPLY),
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and _recorded(self._folder / "state" / "apps") < records:
            time.sleep(0.005)
        process.kill()
        process.wait()


def _recorded(apps: Path) -> int:
    """How many records there are. Before the first one there is no folder."""
    return sum(path.suffix == ".json" for path in apps.iterdir()) if apps.is_dir() else 0
