"""The report that GitLab's merge-request widget reads (artifacts:reports:terraform): three integers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def gitlab_report(document: Mapping[str, Any]) -> str:
    """`{"create": …, "update": …, "delete": …}`; what is only recorded counts as an update."""
    figures = document["summary"]
    recorded = figures["import"] + figures["forget"] + figures["move"]
    report = {"create": figures["add"], "update": figures["change"] + recorded, "delete": figures["remove"]}
    return json.dumps(report) + "\n"
