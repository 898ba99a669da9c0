"""A folder that is another user's: whose it is, whose this run is, and a way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.errors import FileError
from provisioner.files import Files


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder whose mode the system does not let us change."""

    def chmod(*_: object, **__: object) -> None:
        raise PermissionError(1, "")

    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setattr(os, "chmod", chmod)
    return folder


def test_a_folder_of_another_user_says_whose_it_is_and_what_to_do(
    refused: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = refused.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(FileError) as caught:
        Files().folder(refused)
    error = caught.value
    assert error.summary == f'Could not keep the folder "{refused}" to its owner (0700)'
    assert error.detail == (
        f"Operation not permitted. It belongs to uid {owner}, and this run is uid {owner + 1}."
    )
    assert error.hint == (
        f"Run it as that user (docker: --user {owner}), "
        f'or give it to this one: chown -R {owner + 1} "{refused}"'
    )


def test_a_disk_that_keeps_no_modes_is_no_other_users(refused: Path) -> None:
    with pytest.raises(FileError, match=r"Could not keep the folder .* \(0700\)") as caught:
        Files().folder(refused)
    assert (caught.value.detail, caught.value.hint) == ("Operation not permitted.", "")
