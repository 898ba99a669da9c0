"""The user's private keys: where they are, who else could read them, and the passphrase that some need."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from getpass import GetPassWarning, getpass
from pathlib import Path
from threading import Lock
from warnings import catch_warnings, simplefilter

from provisioner.cli.output import complain
from provisioner.errors import SealingError
from provisioner.model import Secret
from provisioner.reading import read_input, reporting, shown
from provisioner.sealing import (
    Identity,
    identities_from,
    is_encrypted,
    is_for_plugins,
    plugin_lines,
    takes_passphrase,
    unlock,
)
from provisioner.settings import Settings, from_home
from provisioner.text import escape

_LIMIT = 1024 * 1024
_OTHERS = 0o077  # group and world
_WORLD = 0o007
_SHOWN = 10
_WITHOUT_HOME = Path("/.config/provisioner")  # what the settings come to where HOME is unset


Find = Callable[[Settings], tuple[Identity, ...]]


def found_once() -> Find:
    """`find_identities` for one run, which needs them at several times: a passphrase is asked for once."""
    found: list[tuple[Identity, ...]] = []
    guard = Lock()

    def find(settings: Settings) -> tuple[Identity, ...]:
        with guard:
            if not found:
                found.append(find_identities(settings))
        return found[0]

    return find


def find_identities(settings: Settings) -> tuple[Identity, ...]:
    """The user's private keys, where users of age and SOPS have them: those of a file come first.

    A passphrase is asked for. What is for age's plugins is passed over, with a word.
    """
    given = list(_contents(settings))
    usable = [item for item in given if not is_for_plugins(item[0])] or given
    found = tuple(_keys(usable))
    for content, place in given:
        if lines := plugin_lines(content):
            complain(f"Note: {_passed_over(lines)} of {place}: plugins of age are not supported here.")
    return found


def _keys(given: Iterable[tuple[Secret, str]]) -> Iterator[Identity]:
    """All of them. Where the first place has some, what is wrong with another is only told."""
    found = False
    for content, place in given:
        try:
            keys = identities_from(content, place)
        except SealingError as error:
            if not found:
                raise
            complain(f"Note: {place} is passed over: {error.summary}.")
        else:
            found = True
            yield from keys


def _contents(settings: Settings) -> Iterator[tuple[Secret, str]]:
    """What is in the file and in SOPS_AGE_KEY, unlocked, each with what messages call the place."""
    path = identity_file(settings)
    if path is not None:
        with reporting("read", path):
            found = path.exists()
        if found or settings.identity_file:
            content = Secret(read_input(path, _LIMIT, "Give the key itself in SOPS_AGE_KEY."))
            if not is_encrypted(content):
                _check_mode(path)
            place = shown(path.absolute())
            yield _unlocked(content, place), place
    if settings.identity_text is not None:
        yield _unlocked(settings.identity_text, "SOPS_AGE_KEY"), "SOPS_AGE_KEY"


def _passed_over(lines: Sequence[int]) -> str:
    """Which lines are left out; the first ten."""
    numbers = ", ".join(map(str, lines[:_SHOWN])) + ", …" * (len(lines) > _SHOWN)
    return f"passed over line{'s' * (len(lines) != 1)} {numbers}"


def identity_file(settings: Settings) -> Path | None:
    """The file to look for private keys in: the one that is named, else the user's own.

    None where SOPS_AGE_KEY alone holds them, and where there is no home folder for a file of one's own.
    """
    if settings.identity_file:
        return from_home(settings.identity_file, settings.identity_from)
    if settings.identity_text:
        return None
    homeless = not settings.config_folder.is_absolute() or settings.config_folder == _WITHOUT_HOME
    return None if homeless else settings.own_identity


def _check_mode(path: Path) -> None:
    """As ssh does it: a key of one's own that others can reach is refused.

    Where its user cannot change the mode (another's file, a read-only mount) it is taken, with a warning if
    everybody can read it. `docs/decisions/0007-identities.md` has the reasons.
    """
    with reporting("read", path):
        found, place = path.stat(), os.statvfs(path)
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS and found.st_uid == os.geteuid() and not place.f_flag & os.ST_RDONLY:
        raise SealingError(
            f"The identity file {shown(path)} is open to others",
            f"Its mode is {mode:04o}. Whoever has it can open every secret that is sealed to it.",
            f"Type: chmod 600 {shlex.quote(escape(str(path)))}\n"
            "Where a mode cannot be changed, give the key itself in SOPS_AGE_KEY.",
        )
    if mode & _WORLD:
        complain(
            f"Warning: everybody on this machine can reach the identity file {shown(path)} ({mode:04o})."
        )


def _unlocked(content: Secret, place: str) -> Secret:
    return unlock(content, _passphrase(place)) if takes_passphrase(content) else content


def _passphrase(place: str) -> Secret:
    """Ask on the terminal, without showing it; never from a pipe."""
    try:
        with catch_warnings():
            simplefilter("error", GetPassWarning)  # in place of reading it from standard input
            return Secret(getpass(f"Passphrase of the identity in {place}: ").encode())
    except GetPassWarning:
        problem = "There is no terminal to ask for it on, and it is read from nowhere else."
    except UnicodeError:
        problem = "What was typed is not text in this terminal's encoding."
    raise SealingError(
        f"The identity in {place} needs a passphrase",
        problem,
        "In a pipeline use an identity without one, or give what `age --decrypt` prints in SOPS_AGE_KEY.",
    )
