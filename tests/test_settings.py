"""The environment, read once: what wins over what, what counts as unset, and nothing of a secret in print."""

from __future__ import annotations

import dataclasses
import pprint
from pathlib import Path

import pytest

from provisioner.errors import UsageError
from provisioner.model import Secret
from provisioner.settings import COMMAND_LINE_ONLY, Settings, from_environment, from_home

CANARY = "canary-7Qz"
DEFAULTS = Settings(config_folder=Path("/home/me/.config/provisioner"))


def read(**environment: str) -> Settings:
    return from_environment({"HOME": "/home/me", **environment})


def test_without_a_variable_everything_has_its_default() -> None:
    assert read() == DEFAULTS
    assert DEFAULTS.own_identity == Path("/home/me/.config/provisioner/identity.txt")


@pytest.mark.parametrize(
    "name",
    [
        "METEROID_API_KEY", "METEROID_API_KEY_FILE", "METEROID_BASE_URL", "PROVISIONER_AGE_RECIPIENTS",
        "SOPS_AGE_RECIPIENTS", "PROVISIONER_AGE_KEY_FILE", "SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY",
        "PROVISIONER_LOG", "PROVISIONER_LOG_PATH", "NO_COLOR", "FORCE_COLOR", "SSL_CERT_FILE",
        "SSL_CERT_DIR", "XDG_CONFIG_HOME",
    ],
)  # fmt: skip
def test_an_empty_variable_counts_as_unset_and_a_full_one_does_not(name: str) -> None:
    assert read(**{name: ""}) == DEFAULTS
    assert read(**{name: "/x"}) != DEFAULTS


def test_an_environment_that_is_given_is_not_mixed_with_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METEROID_BASE_URL", "https://real.example")
    assert from_environment({}).base_url is None
    assert from_environment().base_url == "https://real.example"


def test_b60_the_token_is_kept_byte_for_byte_and_judged_elsewhere() -> None:
    assert read(METEROID_API_KEY=" key\n").api_key == Secret(b" key\n")
    assert read(METEROID_API_KEY="\udcff").api_key == Secret(b"\xff")
    assert read(METEROID_API_KEY_FILE="~/key").api_key_file == Path("~/key")


@pytest.mark.parametrize(
    ("environment", "recipients", "source"),
    [
        ({}, (), ""),
        ({"SOPS_AGE_RECIPIENTS": "age1b"}, ("age1b",), "SOPS_AGE_RECIPIENTS"),
        (
            {"PROVISIONER_AGE_RECIPIENTS": "age1a", "SOPS_AGE_RECIPIENTS": "age1b"},
            ("age1a",),
            "PROVISIONER_AGE_RECIPIENTS",
        ),
        (
            {"PROVISIONER_AGE_RECIPIENTS": "", "SOPS_AGE_RECIPIENTS": "age1b"},
            ("age1b",),
            "SOPS_AGE_RECIPIENTS",
        ),
        ({"SOPS_AGE_RECIPIENTS": " age1a ,\n,age1b,"}, ("age1a", "age1b"), "SOPS_AGE_RECIPIENTS"),
        (
            {"SOPS_AGE_RECIPIENTS": "ssh-ed25519 AAAA me\r\nage1b"},
            ("ssh-ed25519 AAAA me", "age1b"),
            "SOPS_AGE_RECIPIENTS",
        ),
    ],
)
def test_our_recipients_win_over_those_of_sops_and_stand_apart_by_commas_or_lines(
    environment: dict[str, str], recipients: tuple[str, ...], source: str
) -> None:
    found = read(**environment)
    assert (found.recipients, found.recipients_from) == (recipients, source)


def test_our_identity_file_wins_over_that_of_sops_and_the_text_is_kept_beside_it() -> None:
    both = {"PROVISIONER_AGE_KEY_FILE": "/ours", "SOPS_AGE_KEY_FILE": "/theirs", "SOPS_AGE_KEY": CANARY}
    ours, theirs = read(**both), read(**both | {"PROVISIONER_AGE_KEY_FILE": ""})
    assert (ours.identity_file, ours.identity_from) == (Path("/ours"), "PROVISIONER_AGE_KEY_FILE")
    assert ours.identity_text == Secret(CANARY.encode())
    assert (theirs.identity_file, theirs.identity_from) == (Path("/theirs"), "SOPS_AGE_KEY_FILE")


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HOME": "/home/me"}, "/home/me/.config/provisioner"),
        ({"HOME": "/home/me", "XDG_CONFIG_HOME": "/config"}, "/config/provisioner"),
        ({"HOME": "/home/me", "XDG_CONFIG_HOME": "config"}, "/home/me/.config/provisioner"),
        ({"XDG_CONFIG_HOME": "/config"}, "/config/provisioner"),
        ({}, "/.config/provisioner"),
    ],
)
def test_the_config_folder_is_where_the_xdg_specification_has_it(
    environment: dict[str, str], folder: str
) -> None:
    assert from_environment(environment).config_folder == Path(folder)


def test_variables_are_those_with_our_prefix_without_it() -> None:
    found = read(PROVISIONER_VAR_domain="example.org", PROVISIONER_VAR_Region="eu", DOMAIN="other")
    assert found.variables == {"domain": "example.org", "Region": "eu"}


def test_an_empty_variable_of_the_manifest_is_the_empty_text_as_with_the_flag() -> None:
    assert read(PROVISIONER_VAR_suffix="").variables == {"suffix": ""}


@pytest.mark.parametrize("path", ["~/key.txt", "~", "~me/key.txt", "./~/key.txt"])
def test_a_path_that_begins_with_a_tilde_is_refused_by_the_name_of_its_variable(path: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_home(Path(path), "PROVISIONER_LOG_PATH")
    assert caught.value.summary.startswith('PROVISIONER_LOG_PATH is "~')
    assert "$HOME/…" in caught.value.hint


@pytest.mark.parametrize("path", ["/home/me/~/key.txt", "key~", "a/~"])
def test_a_tilde_elsewhere_in_a_path_is_a_letter_like_others(path: str) -> None:
    assert from_home(Path(path), "PROVISIONER_LOG_PATH") == Path(path)


@pytest.mark.parametrize(
    ("environment", "colour"),
    [
        ({}, None),
        ({"NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"NO_COLOR": "", "FORCE_COLOR": "1"}, True),
    ],
)
def test_no_color_wins_over_force_color(environment: dict[str, str], colour: bool | None) -> None:
    assert read(**environment).colour is colour


def test_proxies_authorities_and_the_log_are_taken_as_they_are() -> None:
    found = read(
        HTTPS_PROXY="http://p",
        no_proxy="x",
        SSL_CERT_FILE="/ca",
        PROVISIONER_LOG="debug",
        PROVISIONER_LOG_PATH="log",
    )
    assert found.proxies == {"HTTPS_PROXY": "http://p", "no_proxy": "x"}
    assert found.authorities == {"SSL_CERT_FILE": "/ca"}
    assert (found.log_level, found.log_path) == ("debug", Path("log"))


@pytest.mark.parametrize(
    "name",
    [
        "METEROID_API_KEY", "METEROID_BASE_URL", "PROVISIONER_AGE_RECIPIENTS", "SOPS_AGE_RECIPIENTS",
        "SOPS_AGE_KEY",         "PROVISIONER_VAR_password", "HTTPS_PROXY", "https_proxy", "all_proxy",
    ],
)  # fmt: skip
def test_nothing_that_may_be_a_secret_is_in_the_print_of_the_settings(name: str) -> None:
    found = read(**{name: f"https://me:{CANARY}@example.org"})
    assert CANARY not in repr(found) + str(found) + f"{found}" + pprint.pformat(found)


@pytest.mark.parametrize("name", COMMAND_LINE_ONLY)
def test_what_only_the_command_line_says_is_refused_and_its_value_not_shown(name: str) -> None:
    assert read(**{name: ""}) == DEFAULTS
    with pytest.raises(UsageError) as caught:
        read(**{name: CANARY})
    assert caught.value.summary.startswith(f"{name} is set, and --")
    assert CANARY not in f"{caught.value.summary}{caught.value.detail}{caught.value.hint}"


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULTS.base_url = "https://other.example"  # type: ignore[misc]  # that it is refused is what is tested
