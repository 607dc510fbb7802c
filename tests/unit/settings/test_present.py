"""A settings file is read again when it has changed, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexer.errors import SettingsError
from indexer.settings import Settings
from indexer.settings.present import PresentSettings
from indexer.settings.settings_file import load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def present(file: Path) -> PresentSettings:
    def read() -> Settings:
        named = file if file.exists() else None
        return load(named, file.with_name("library.db"), {})

    return PresentSettings(file, read)


def test_a_file_that_stays_is_not_read_again(file: Path) -> None:
    file.write_text("still = 3.0\n")
    assert present(file).changed() is None


def test_each_change_is_read_once(file: Path) -> None:
    file.write_text("still = 3.0\n")
    now = present(file)
    was = file.stat()
    file.write_text("still = 4.0\n")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    read = now.changed()
    assert read is not None
    assert read.still == 4.0
    assert now.changed() is None


def test_a_file_that_comes_and_goes_is_a_change(file: Path) -> None:
    now = present(file)
    file.write_text("still = 3.0\n")
    read = now.changed()
    assert read is not None
    assert read.still == 3.0
    file.unlink()
    read = now.changed()
    assert read is not None
    assert read.still == 2.0


def test_a_mistake_is_told_once(file: Path) -> None:
    now = present(file)
    file.write_text("still = true\n")
    with pytest.raises(SettingsError):
        now.changed()
    assert now.changed() is None
