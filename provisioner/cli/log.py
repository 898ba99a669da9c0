"""The log: our own lines only, where PROVISIONER_LOG asks; those of libraries may hold bodies."""

from __future__ import annotations

import logging

from provisioner.errors import UsageError
from provisioner.files import make_private
from provisioner.settings import Settings
from provisioner.text import quote

_LEVELS = ("debug", "info", "warning", "error")


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
        make_private(settings.log_path)
        handler = logging.FileHandler(settings.log_path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("provisioner")
    for earlier in list(log.handlers):
        log.removeHandler(earlier)
        earlier.close()
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
