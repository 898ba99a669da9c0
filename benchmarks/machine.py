"""Where and with what the figures were taken."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

_PARTS = ("click", "deepdiff", "httpcore", "httpx", "pydantic", "pyrage", "PyYAML")


def described(folder: Path, terraform: str | None) -> dict[str, str]:
    """The machine, the file system that `folder` is on, and the versions."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _PARTS)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    found = {
        "processor": f"{processor(_read('/proc/cpuinfo'))}, {os.cpu_count()} cores",
        "memory": memory(_read("/proc/meminfo")),
        "system": f"{platform.system()} {platform.release()}",
        "file system": file_system(_read("/proc/self/mounts"), folder.resolve()),
        "Python": f"{python}, with compiled bytecode; {libraries}",
        "provisioner": version("provisioner"),
    }
    return found | {"Terraform": _version_of(terraform) if terraform else "not on the PATH, not measured"}


def processor(cpuinfo: str) -> str:
    """The model, of /proc/cpuinfo."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def memory(meminfo: str) -> str:
    """The size, of /proc/meminfo."""
    match = re.search(r"^MemTotal:\s*([0-9]+) kB$", meminfo, re.MULTILINE)
    return f"{int(match[1]) / 1024**2:.0f} GiB" if match else "unknown"


def file_system(mounts: str, folder: Path) -> str:
    """The type of what `folder` is on: the longest mount point above it, of /proc/self/mounts."""
    return max(((len(point), kind) for point, kind in _above(mounts, folder)), default=(0, "unknown"))[1]


def _above(mounts: str, folder: Path) -> Iterator[tuple[str, str]]:
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) > 2 and folder.is_relative_to(fields[1]):
            yield fields[1], fields[2]


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def _version_of(terraform: str) -> str:
    done = subprocess.run([terraform, "version"], capture_output=True, text=True, check=False, timeout=60)
    match = re.search(r"Terraform v(\S+)", done.stdout)
    return match[1] if match else "of an unknown version"
