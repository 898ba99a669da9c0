"""Run a program and print what it took: child.py LOG PROGRAM ARGUMENT...

In a process of its own that holds next to nothing: the kernel counts what a parent holds at the fork in its
child's peak memory.
"""

from __future__ import annotations

import os
import sys
import time


def main(log: str, command: list[str]) -> None:
    """Print seconds on the wall and on the processor, the peak in KiB, and the exit status."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    streams = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    began = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=streams)
    _, status, used = os.wait4(process, 0)
    took = time.perf_counter() - began
    figures = took, used.ru_utime + used.ru_stime, used.ru_maxrss, os.waitstatus_to_exitcode(status)
    sys.stdout.write(" ".join(map(str, figures)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
