"""The user's private keys, as a function that opens what was sealed."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.cli.identities import Find, find_identities
from provisioner.custody import Opener
from provisioner.errors import SealingError
from provisioner.sealing import Identity, open_sealed
from provisioner.settings import Settings


def opener(settings: Settings, find: Find = find_identities) -> Opener:
    """Open with the identities that users of age and SOPS have; SealingError where there is none."""
    return opener_of(find(settings))


def opener_of(identities: Sequence[Identity]) -> Opener:
    """Open with these; SealingError where there is none."""
    if not identities:
        raise SealingError(
            "There is no identity to open a secret with",
            "PROVISIONER_AGE_KEY_FILE, SOPS_AGE_KEY_FILE and SOPS_AGE_KEY are unset; init made none here.",
            "Point PROVISIONER_AGE_KEY_FILE at the private key of one of the recipients.",
        )
    return lambda sealed: open_sealed(sealed, identities)
