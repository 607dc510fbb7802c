"""The benchmarks of searches and of the views: what they ask, and which limits hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import search, views
from tests.bench.search import Asked, is_slow


def asked(middle: float, late: float) -> Asked:
    return Asked("a kind", "an example", 1.0, [middle] * 90 + [late] * 10)


@pytest.mark.parametrize(
    ("tracks", "middle", "late", "slow"),
    [
        (100_000, 19, 59, False),
        (100_000, 21, 59, True),
        (100_000, 19, 61, True),
        (100_001, 59, 199, False),
        (1_000_000, 61, 199, True),
        (1_000_000, 59, 201, True),
        (1_000_001, 999, 999, False),
    ],
)
def test_a_larger_index_may_take_longer(
    tracks: int, middle: float, late: float, slow: bool
) -> None:
    assert is_slow(asked(middle, late), tracks) is slow


def test_a_small_index_is_asked_all_that_a_large_one_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "library.db"
    given = ["--tracks", "300", "--questions", "3", "--database", str(database)]
    assert search.main(given) == 0
    told = capsys.readouterr().out
    assert told.startswith("300 tracks, ")
    assert "a misspelled word" in told
    assert views.main(given) == 0
    found = {line[:24].rstrip(): float(line[24:31]) for line in _rows(capsys.readouterr().out)}
    assert found.keys() == {*views.QUESTIONS, "status"}
    assert {name for name, rows in found.items() if rows < 1} == {"mb_trackid = ?"}


def _rows(told: str) -> list[str]:
    return told.splitlines()[1:]
