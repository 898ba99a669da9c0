"""Whose a folder is. It is kept to its owner, and who is not that one is told so."""

from __future__ import annotations

import os
from pathlib import Path

from provisioner.errors import FileError
from provisioner.text import quote


def keep_to_owner(folder: Path, mode: int) -> None:
    """Give `folder` its mode. Raises FileError, which says whose it is where it is another user's."""
    try:
        folder.chmod(mode)
    except OSError as error:
        owner, own, shown = folder.stat().st_uid, os.geteuid(), quote(str(folder), 200)
        why, hint = f"{os.strerror(error.errno or 0)}.", ""
        if owner != own:
            why += f" It belongs to uid {owner}, and this run is uid {own}."
            hint = (
                f"Run it as that user (docker: --user {owner}), "
                f"or give it to this one: chown -R {own} {shown}"
            )
        raise FileError(f"Could not keep the folder {shown} to its owner ({mode:04o})", why, hint) from None
