"""`Wakeup`: a write or a request ends the wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.hooks.wakeup import Wakeup


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
def wakeup(database: Path) -> Iterator[Wakeup]:
    with Wakeup(database) as made:
        yield made


def test_a_write_of_the_index_ends_the_wait_and_another_file_does_not(
    wakeup: Wakeup, database: Path
) -> None:
    database.with_name("other").write_text("x")
    database.with_name("library.db-wal").write_text("x")
    assert wakeup.wait()


def test_a_request_holds_until_resume(wakeup: Wakeup, database: Path) -> None:
    for _ in range(100_000):  # more than a pipe holds
        wakeup.stop()
    assert not wakeup.wait()
    assert not wakeup.wait()
    wakeup.resume()
    database.with_name("library.db-wal").write_text("x")
    assert wakeup.wait()


def test_a_request_before_the_wait_is_not_lost(wakeup: Wakeup) -> None:
    wakeup.resume()
    wakeup.stop()
    assert not wakeup.wait()
