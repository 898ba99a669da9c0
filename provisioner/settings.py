"""The environment as frozen settings. The only reader of `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from provisioner.errors import UsageError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.text import quote

VARIABLE_PREFIX = "PROVISIONER_VAR_"

# What consents, and what changes what is done: a test holds this against the options that have no variable.
COMMAND_LINE_ONLY = {
    f"PROVISIONER_{option.upper().replace('-', '_')}": f"--{option}"
    for option in (
        *("again", "allow", "auto-approve", "destroy", "dry-run", "exclude", "generate", "max-deletes"),
        *("replace", "rotate", "state", "target", "yes"),
    )
}

# What opens the API and every secret: no program that we start has a use for it.
OURS = frozenset(
    {
        "METEROID_API_KEY",
        "METEROID_API_KEY_FILE",
        "PROVISIONER_AGE_KEY_FILE",
        "SOPS_AGE_KEY",
        "SOPS_AGE_KEY_CMD",
        "SOPS_AGE_KEY_FILE",
        "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says, read once. Empty variables count as unset, but for the manifest's own."""

    api_key: Secret | None = None
    api_key_file: Path | None = None
    base_url: str | None = field(default=None, repr=False)  # it may hold a password, as a proxy's may
    recipients: tuple[str, ...] = field(default=(), repr=False)  # somebody may have put a private key there
    recipients_from: str = ""
    identity_file: Path | None = None
    identity_from: str = ""
    identity_text: Secret | None = None
    has_key_command: bool = False  # SOPS would run it
    config_folder: Path = Path("provisioner")
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    log_level: str | None = None
    log_path: Path | None = None
    github_summary: Path | None = None
    github_output: Path | None = None
    colour: bool | None = None  # None: as the terminal is
    authorities: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def own_identity(self) -> Path:
        """Where `init` puts the identity that it makes."""
        return self.config_folder / "identity.txt"

    @property
    def sops_identities(self) -> Path:
        """Where SOPS keeps identities that no variable names. They are not read here."""
        return self.config_folder.parent / "sops/age/keys.txt"


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment (or one given instead of it). Raises UsageError where it has what it may not."""
    given = os.environ if environment is None else environment
    env = {name: value for name, value in given.items() if value}
    _refuse_what_is_typed(env)
    recipients_from = _first(env, "PROVISIONER_AGE_RECIPIENTS", "SOPS_AGE_RECIPIENTS")
    identity_from = _first(env, "PROVISIONER_AGE_KEY_FILE", "SOPS_AGE_KEY_FILE")
    return Settings(
        api_key=_secret(env, "METEROID_API_KEY"),
        api_key_file=_path(env, "METEROID_API_KEY_FILE"),
        base_url=env.get("METEROID_BASE_URL"),
        recipients=tuple(_split(env.get(recipients_from, ""))),
        recipients_from=recipients_from,
        identity_file=_path(env, identity_from),
        identity_from=identity_from,
        identity_text=_secret(env, "SOPS_AGE_KEY"),
        has_key_command="SOPS_AGE_KEY_CMD" in env,
        config_folder=_config_folder(env),
        # An empty one says something here, too: it is the empty text, in place of a default.
        variables={
            name.removeprefix(VARIABLE_PREFIX): value
            for name, value in given.items()
            if name.startswith(VARIABLE_PREFIX)
        },
        log_level=env.get("PROVISIONER_LOG"),
        log_path=_path(env, "PROVISIONER_LOG_PATH"),
        github_summary=_path(env, "GITHUB_STEP_SUMMARY"),
        github_output=_path(env, "GITHUB_OUTPUT"),
        colour=_colour(env),
        authorities={name: env[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in env},
        # An empty one says something: no proxy, whatever the one in capitals says.
        proxies={name: value for name, value in given.items() if name.lower().endswith("_proxy")},
    )


def environment() -> Mapping[str, str]:
    """All of it, for sinks: each reads its own variables, as the programs of its place do."""
    return dict(os.environ)


def from_home(path: Path, variable: str) -> Path:
    """A path of ours as a variable names it. One that begins with ~ would be a folder of that name here."""
    if not str(path).startswith("~"):
        return path
    raise UsageError(
        f"{variable} is {quote(str(path), 200)}, and ~ stands for no folder here",
        "Only a shell puts a home folder in its place, and only where it is not quoted.",
        "Let the shell write it, as in $HOME/…, or write the path in full.",
    )


def _refuse_what_is_typed(env: Mapping[str, str]) -> None:
    """Whoever set such a variable means it, and would not see that nothing comes of it."""
    for name, option in COMMAND_LINE_ONLY.items():
        if name in env:
            raise UsageError(
                f"{name} is set, and {option} is said on the command line only",
                "No variable changes what is done, or consents to it. Nothing was done.",
                f"Type `unset {name}`, and give {option} to the command that is to have it.",
            )


def _first(env: Mapping[str, str], *names: str) -> str:
    return next((name for name in names if name in env), "")


def _secret(env: Mapping[str, str], name: str) -> Secret | None:
    value = env.get(name)
    return None if value is None else Secret(value.encode("utf-8", "surrogateescape"))


def _path(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    return None if value is None else Path(value)


def _split(text: str) -> list[str]:
    """Recipients are separated by commas, as SOPS has it, or by line breaks; SSH keys hold spaces."""
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def _config_folder(env: Mapping[str, str]) -> Path:
    """$XDG_CONFIG_HOME/provisioner, else ~/.config/provisioner (XDG Base Directory Specification).

    A relative $XDG_CONFIG_HOME is not valid and is passed over, as that says.
    """
    base = Path(env.get("XDG_CONFIG_HOME", ""))
    return (base if base.is_absolute() else Path(env.get("HOME", "/")) / ".config") / "provisioner"


def _colour(env: Mapping[str, str]) -> bool | None:
    """NO_COLOR wins over FORCE_COLOR (no-color.org)."""
    return False if "NO_COLOR" in env else True if "FORCE_COLOR" in env else None
