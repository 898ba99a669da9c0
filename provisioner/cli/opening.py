"""The user's private keys, as a function that opens what was sealed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from shlex import quote

from provisioner.cli.identities import Find, find_identities
from provisioner.custody import Opener
from provisioner.errors import SealingError
from provisioner.sealing import Identity, open_sealed
from provisioner.settings import Settings
from provisioner.text import escape


def opener(settings: Settings, find: Find = find_identities) -> Opener:
    """Open with the identities that users of age and SOPS have; SealingError where there is none."""
    return opener_of(find(settings), settings)


def opener_of(identities: Sequence[Identity], settings: Settings) -> Opener:
    """Open with these; SealingError where there is none."""
    if not identities:
        raise SealingError(
            "There is no identity to open a secret with",
            "PROVISIONER_AGE_KEY_FILE, SOPS_AGE_KEY_FILE and SOPS_AGE_KEY are unset; init made none here.",
            "\n".join(_where_to_look(settings)),
        )
    return lambda sealed: open_sealed(sealed, identities)


def _where_to_look(settings: Settings) -> Iterator[str]:
    """What to type, as far as can be told without opening a file or running a command of SOPS."""
    yield "Point PROVISIONER_AGE_KEY_FILE at the private key of one of the recipients."
    if settings.has_key_command:
        yield (
            "SOPS_AGE_KEY_CMD is set, and is not run here. To use what it prints, type before the command: "
            'SOPS_AGE_KEY="$(eval "$SOPS_AGE_KEY_CMD")"'
        )
    path = settings.sops_identities
    with suppress(OSError):  # what cannot be looked at is no help
        if path.is_file():
            yield (
                "A file of SOPS is there, which only SOPS reads. To use it, type before the command: "
                f"SOPS_AGE_KEY_FILE={quote(escape(str(path)))}"
            )
