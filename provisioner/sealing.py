"""Bytes to sealed bytes and back, with age (age-encryption.org/v1). No files, no environment."""

from __future__ import annotations

import binascii
import contextlib
from base64 import b64decode
from collections.abc import Iterable, Sequence
from typing import Any

import pyrage

from provisioner.errors import NotOpenedError, Problem, SealingError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.text import quote

PRIVATE_PREFIX = "AGE-SECRET-KEY-"
_KINDS = "an age X25519 recipient (age1…) or an SSH public key (ssh-ed25519 …, ssh-rsa …)"
_ACCEPTED_SSH = ("ssh-ed25519 ", "ssh-rsa ")
_OPENSSH_BODY = "b3BlbnNzaC1rZXkt"  # how base64 spells "openssh-key-", when its BEGIN line was left behind
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_AGE_FILES = (b"age-encryption.org/", _ARMOR)
_PASSPHRASE = b"age-encryption.org/v1\n-> scrypt "  # the first line of armor holds 48 bytes, these are 32
_PLUGIN = b"AGE-PLUGIN-"
_SOME_FILE = "the identity file"
_SHOWN = 10
_IDENTITY_HINT = "Make one with `provisioner init` or age-keygen, or copy yours again, whole."
_UNSUPPORTED = {
    "ecdsa-": "an ECDSA key (ecdsa-sha2-…)",
    "sk-": "an SSH key that needs its hardware (sk-…)",
    "ssh-": "an SSH key other than ssh-ed25519 and ssh-rsa",
    "age1": "a recipient of a plugin or of a newer type (age1NAME1…)",
}


def check_recipient(text: str) -> Problem | None:
    """What is wrong with a recipient, if anything. A private key is never shown."""
    if PRIVATE_PREFIX in text.upper() or "PRIVATE KEY" in text or _OPENSSH_BODY in text:
        return Problem(
            "This is a private key, and it has now been written where it does not belong.",
            "Treat the key as known to others: make a new one, and put its public half (age1…) here.",
            secret=True,
        )
    if not text.isprintable():
        return Problem(
            "A recipient is one line, without control characters.",
            "Make each an item of its own.",
            secret=True,
        )
    with contextlib.suppress(pyrage.RecipientError):
        _recipient(text)
        return None
    return _explained(text)


def _recipient(text: str) -> Any:
    if text.startswith(_ACCEPTED_SSH):
        return pyrage.ssh.Recipient.from_str(text)
    return pyrage.x25519.Recipient.from_str(text)


def _explained(text: str) -> Problem:
    if text.startswith("age1") and text.rfind("1") == 3:  # Bech32: what stands before the last 1 is the type
        return Problem(
            "The checksum of this age recipient does not fit.", "Copy the whole line again: age1 and 58 more."
        )
    if text.startswith(_ACCEPTED_SSH):
        return Problem(
            "This SSH public key is damaged, or it is RSA of less than 2,048 bits.",
            "Copy the whole line of the .pub file again.",
        )
    kind = next((name for start, name in _UNSUPPORTED.items() if text.startswith(start)), None)
    if kind:
        return Problem(f"This is {kind}, which is not sealed to here.", f"Use {_KINDS}.")
    return Problem("This is not a recipient.", f"Use {_KINDS}.", secret=True)


class Sealer:
    """Seals to every one of `recipients`; made once a run and kept, so that it cannot fail half-way."""

    def __init__(self, recipients: Iterable[str]) -> None:
        self.recipients = tuple(recipients)
        for number, text in enumerate(self.recipients, 1):
            problem = check_recipient(text)
            if problem:
                found = "It is not shown" if problem.secret else f"It is {quote(text, 80)}"
                raise SealingError(
                    f"Recipient {number} of {len(self.recipients)} cannot be used",
                    f"{problem.rule} {found}.",
                    problem.remedy,
                )
        if not self.recipients:
            raise SealingError(
                "Nobody could read the secrets: there are no recipients",
                "Each client secret is shown once and is kept sealed to its readers.",
                "Run `provisioner init`, or name recipients in the manifest under state.recipients.",
            )
        self._keys = [_recipient(text) for text in self.recipients]

    def seal(self, content: Secret) -> str:
        """`content` as an armored age file, which `age --decrypt` opens too."""
        with contextlib.suppress(pyrage.EncryptError):
            return str(pyrage.encrypt(content.reveal(), self._keys, armored=True), "ascii")
        raise SealingError("The secret could not be sealed")


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A private key; `public` is its other half, None for an SSH key, which does not tell.

    `place` says for messages where it was found: a file's quoted path, or a variable's name.
    """

    key: Any
    public: str | None
    place: str = _SOME_FILE


def generate_identity() -> tuple[Secret, str]:
    """A new private key, as `age-keygen` writes it, and its public half."""
    key = pyrage.x25519.Identity.generate()
    return Secret(str(key).encode("ascii")), str(key.to_public())


def is_encrypted(content: Secret) -> bool:
    """Whether an identity file is itself an age file, so that whoever can read it has no key yet."""
    return content.reveal().startswith(_AGE_FILES)


def takes_passphrase(content: Secret) -> bool:
    """Whether it is an age file that a passphrase opens (a scrypt recipient), armored or not."""
    data = content.reveal()
    if data.startswith(_ARMOR):
        with contextlib.suppress(binascii.Error):
            data = b64decode(b"".join(data.splitlines()[1:2]))
    return data.startswith(_PASSPHRASE)


def unlock(content: Secret, passphrase: Secret) -> Secret:
    """What is in an age file that a passphrase opens. It takes a second or more, as its maker wanted."""
    with contextlib.suppress(pyrage.DecryptError, UnicodeDecodeError):  # the second holds the passphrase
        return Secret(pyrage.passphrase.decrypt(content.reveal(), passphrase.reveal().decode()))
    raise SealingError(
        "The passphrase does not open the identity file",
        "It is another one, or the file is damaged, or it was made to take too long.",
        "Run the command again; `age --decrypt` opens the file with the same passphrase.",
    )


def plugin_lines(content: Secret) -> tuple[int, ...]:
    """The numbers of the lines of an identity file that are for age's plugins."""
    lines = enumerate(content.reveal().splitlines(), 1)
    return tuple(number for number, line in lines if line.strip().upper().startswith(_PLUGIN))


def is_for_plugins(content: Secret) -> bool:
    """Whether an identity file has lines for age's plugins, and no others but comments."""
    lines = [line.strip() for line in content.reveal().splitlines()]
    filled = [line for line in lines if line and not line.startswith(b"#")]
    return bool(filled) and len(filled) == len(plugin_lines(content))


def identities_from(content: Secret, place: str = _SOME_FILE) -> tuple[Identity, ...]:
    """The keys of an identity file: age's (lines, # comments) or one SSH private key.

    Lines for plugins are passed over. `place` is what messages call the file; it is escaped.
    """
    data = content.reveal()
    if b"PRIVATE KEY-----" in data:
        return (Identity(_ssh_identity(data, place), None, place),)
    if data.startswith(_AGE_FILES):
        raise SealingError(
            f"{place[0].upper()}{place[1:]} is itself encrypted",
            "It needs another key, or one passphrase more than provisioner asks for.",
            "Open it with `age --decrypt`, and give what comes out in SOPS_AGE_KEY.",
        )
    passed_over = plugin_lines(content)
    lines = [(number, line.strip()) for number, line in enumerate(data.splitlines(), 1)]
    keys = [item for item in lines if item[1] and item[1][:1] != b"#" and item[0] not in passed_over]
    if keys:
        return tuple(_age_identity(*item, place) for item in keys)
    raise _nothing_in(place, bool(passed_over))


def _nothing_in(place: str, plugins: bool) -> SealingError:
    if plugins:
        return SealingError(
            f"No identity in {place} can be used",
            "Each is one of an age plugin (AGE-PLUGIN-…), and plugins are not supported here.",
            "Use an X25519 key (`provisioner init` or age-keygen makes one) or an SSH key.",
        )
    return SealingError(
        f"{place[0].upper()}{place[1:]} holds no identity",
        "It is empty, or nothing but comments.",
        _IDENTITY_HINT,
    )


def _ssh_identity(data: bytes, place: str) -> Any:
    with contextlib.suppress(pyrage.IdentityError):
        return pyrage.ssh.Identity.from_buffer(data)
    raise SealingError(
        f"The SSH private key in {place} cannot be used",
        "It needs a passphrase, is neither ssh-ed25519 nor ssh-rsa, or is damaged.",
        "Use an age identity (`provisioner init` makes one), or an SSH key without a passphrase.",
    )


def _age_identity(number: int, line: bytes, place: str) -> Identity:
    with contextlib.suppress(pyrage.IdentityError, UnicodeDecodeError):  # the second holds the line
        key = pyrage.x25519.Identity.from_str(line.decode("ascii"))
        return Identity(key, str(key.to_public()), place)
    raise SealingError(
        f"Line {number} of {place} is not an age identity",
        f"Each line is {PRIVATE_PREFIX}1…, a comment (#) or empty. It is not shown: it may be a secret.",
        _IDENTITY_HINT,
    )


def open_sealed(sealed: str, identities: Sequence[Identity]) -> Secret:
    """What was sealed, for one of its readers. Raises NotOpenedError, which says what was tried."""
    with contextlib.suppress(pyrage.DecryptError, UnicodeEncodeError):
        return Secret(pyrage.decrypt(sealed.encode("ascii"), [identity.key for identity in identities]))
    raise NotOpenedError(
        "None of your identities opens this secret",
        f"{_tried(identities)}It was sealed to other recipients, or the sealed text is damaged.",
        "Point PROVISIONER_AGE_KEY_FILE at an identity of one of its recipients.",
    )


def _tried(identities: Sequence[Identity]) -> str:
    """`Tried: age1… in "/home/me/key.txt".`, by their public halves; the first ten."""
    shown = [f"{one.public or 'an SSH key'} in {one.place}" for one in identities[:_SHOWN]]
    return f"Tried: {', '.join(shown)}{', …' * (len(identities) > _SHOWN)}. " if shown else ""
