"""The log: our own lines only, where PROVISIONER_LOG asks; those of libraries may hold bodies."""

from __future__ import annotations

import logging
from pathlib import Path

from provisioner.cli.output import complain
from provisioner.errors import UsageError
from provisioner.files import make_private
from provisioner.reading import shown
from provisioner.settings import Settings, from_home
from provisioner.text import quote

_LEVELS = ("debug", "info", "warning", "error")


class LogFile(logging.FileHandler):
    """A log that ends where it cannot be written: this is said once, and the run goes on."""

    def __init__(self, path: Path) -> None:
        make_private(path)
        self._shown = shown(path)
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (as logging calls it)
        """Called where a line could not be written. logging's own would print a traceback, each time."""
        self.setLevel(logging.CRITICAL + 1)
        complain(f"Warning: the log ends here: {self._shown} could not be written. The run goes on.")


def start_log(settings: Settings) -> None:
    """Write to standard error, or to PROVISIONER_LOG_PATH (0600)."""
    if settings.log_level is None:
        return
    level = settings.log_level.lower()
    if level not in _LEVELS:
        raise UsageError(
            f"PROVISIONER_LOG does not know {quote(settings.log_level, 40)}",
            f"It takes one of {', '.join(_LEVELS)}.",
        )
    handler: logging.Handler = logging.StreamHandler()
    if settings.log_path:
        handler = LogFile(from_home(settings.log_path, "PROVISIONER_LOG_PATH"))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("provisioner")
    for earlier in list(log.handlers):
        log.removeHandler(earlier)
        earlier.close()
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
