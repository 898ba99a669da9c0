"""An error as text: `Error: `, the summary, the detail, and the next command to type."""

from __future__ import annotations

from provisioner.errors import ProvisionerError


def error_text(error: ProvisionerError) -> str:
    """Ends in a newline. The parts are shown as they are: whoever raised them escaped what was not theirs."""
    parts = [f"Error: {error.summary}", *(part for part in (error.detail, error.hint) if part)]
    return "\n\n".join(parts[:2]) + ("\n" + parts[2] if len(parts) > 2 else "") + "\n"
