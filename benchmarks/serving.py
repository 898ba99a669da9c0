"""Our own sandbox as a process of its own, so that it does not compute in the time that is measured."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.places import API_KEY, DATA
from benchmarks.process import FailedError, environment

_PATIENCE = 120.0  # seconds: it reads a hundred thousand apps


@contextmanager
def sandbox(folder: Path, latency: int, port: int = 0) -> Iterator[str]:
    """A sandbox that waits `latency` milliseconds before each answer; with the data of `folder`, if any.

    It yields its URL.
    """
    data = ["--data", DATA] if (folder / DATA).exists() else []
    command = [sys.executable, "-m", "provisioner", "sandbox", "--api-key", API_KEY, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--latency", f"{latency}ms", *data],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield _url(process)
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _url(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith("export METEROID_BASE_URL="):
        raise FailedError("The sandbox did not start")
    url = line.strip().partition("=")[2]
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            listed(url)
        except OSError:
            time.sleep(0.05)
        else:
            return url
    raise FailedError("The sandbox does not answer")


def listed(url: str) -> int:
    """The size of the list in bytes, read over one bare connection: the floor of every plan."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_PATIENCE)
    try:
        connection.request("GET", "/api/v1/oauth-apps", headers={"Authorization": f"Bearer {API_KEY}"})
        answer = connection.getresponse()
        size = len(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise FailedError(f"The sandbox answered {answer.status}")
    return size


def to_it(url: str) -> dict[str, str]:
    """The variables that point the command at it."""
    return {"METEROID_BASE_URL": url, "METEROID_API_KEY": API_KEY}
