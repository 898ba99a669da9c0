"""`rotate_after`: how old a secret is, by the server's clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from provisioner.model import App
from provisioner.recovery import http_date
from provisioner.state import AppRecord


def age_of(record: AppRecord, date: str | None) -> timedelta | None:
    """Since when its secret is held; None where none is, or where the server did not say what time it is."""
    now = http_date(date)
    if record.secret is None or now is None:
        return None
    return now - datetime.fromisoformat(record.secret.time)


def overdue(record: AppRecord, app: App, limit: timedelta | None, date: str | None) -> timedelta | None:
    """The age of a secret that is as old as `rotate_after` allows or older. Inactive apps are left alone."""
    age = age_of(record, date)
    return age if age is not None and limit is not None and age >= limit and app.is_active else None
