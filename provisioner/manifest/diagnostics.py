"""What is wrong with a manifest as a document, in the form of `terraform validate -json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from provisioner.errors import ProvisionerError
from provisioner.manifest.faults import Fault, ManifestError
from provisioner.text import escape, quote

FORMAT_VERSION = "1.0"


def diagnostics_json(error: ProvisionerError | None, warnings: Sequence[Fault] = ()) -> str:
    """Valid where there is no `error`; all faults of a manifest, however many. Ends in a newline."""
    if isinstance(error, ManifestError):
        warnings = error.faults  # in file order, its warnings among them
    diagnostics = list(map(_of_fault, warnings))
    if error is not None and not isinstance(error, ManifestError):
        diagnostics.append(_diagnostic("error", error.summary, error.detail, error.hint))
    severities = [each["severity"] for each in diagnostics]
    document = {
        "format_version": FORMAT_VERSION,
        "valid": error is None,
        "error_count": severities.count("error"),
        "warning_count": severities.count("warning"),
        "diagnostics": diagnostics,
    }
    return json.dumps(document, indent=2) + "\n"


def _of_fault(fault: Fault) -> dict[str, Any]:
    """The rule, where it is broken. What was found is cut and escaped, as people are shown it."""
    found = None if fault.found is None else f"Found: {quote(fault.found, 80)}"
    severity = "warning" if fault.warning else "error"
    if not fault.line:  # a flag, or the environment
        said_by = f"{escape(fault.file)}: {fault.path}" if fault.path else escape(fault.file)
        return _diagnostic(severity, fault.rule, said_by, found, fault.remedy)
    place = {"line": fault.line, "column": fault.column}
    file = fault.file.encode(errors="surrogateescape").decode(errors="backslashreplace")
    diagnostic = _diagnostic(severity, fault.rule, fault.path, found, fault.remedy)
    return diagnostic | {"range": {"filename": file, "start": place, "end": place}}


def _diagnostic(severity: str, summary: str, *details: str | None) -> dict[str, Any]:
    return {"severity": severity, "summary": summary, "detail": "\n".join(filter(None, details))}
