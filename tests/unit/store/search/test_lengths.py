"""Durations and bitrates find the same tracks with an index of both as without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random

import pytest

from indexer.lookup import Lookup
from indexer.model import Track
from indexer.settings import Settings
from indexer.store.connection import open_index
from indexer.store.schema.views import LATE_INDEXES, WHOLE_BITRATE
from indexer.store.search import full_text, lengths
from tests.rows import MadeUp

DURATIONS = (None, 0.0, 0.4, 59.9, 60.0, 60.001, 61.0, 179.9999, 180.0, 180.5, 181.0, 3600.25)
BITRATES = (None, 0, 127_999, 128_000, 192_000, 320_000, 1_411_200)
Meant = Callable[[float, int], bool]
QUESTIONS: dict[str, Meant] = {
    "duration:>3m": lambda seconds, _: seconds > 180,
    "duration:>=3m": lambda seconds, _: seconds >= 180,
    "duration:<3m": lambda seconds, _: seconds < 180,
    "duration:<=3m": lambda seconds, _: seconds <= 180,
    "duration:=3m": lambda seconds, _: seconds == 180,
    "duration:3:00": lambda seconds, _: int(seconds) == 180,
    "duration:>60.0005": lambda seconds, _: seconds > 60.0005,
    "duration:<60.0005": lambda seconds, _: seconds < 60.0005,
    "duration:1m-3m": lambda seconds, _: 60 <= seconds <= 180,
    "duration:180.5..0.4": lambda seconds, _: 0.4 <= seconds <= 180.5,
    "duration:..1m": lambda seconds, _: seconds <= 60,
    "bitrate:<192k": lambda _, rate: rate < 192_000,
    "bitrate:128000": lambda _, rate: rate == 128_000,
    "bitrate:128k": lambda _, rate: 127_500 <= rate < 128_500,
    "bitrate:128kbit/s": lambda _, rate: 127_500 <= rate < 128_500,
    "bitrate:<192kbit/s": lambda _, rate: rate < 192_000,
    "bitrate:128kbps": lambda _, rate: 127_500 <= rate < 128_500,
    "bitrate:128k-192k": lambda _, rate: 128_000 <= rate <= 192_000,
    "duration:>1m bitrate:<192k": lambda seconds, rate: seconds > 60 and rate < 192_000,
    "duration:<1m duration:>0": lambda seconds, _: 0 < seconds < 60,
    "duration:>1h OR bitrate:>1m": lambda seconds, rate: seconds > 3600 or rate > 1_000_000,
    "word duration:>3m": lambda seconds, _: seconds > 180,
    "-absent bitrate:>=320k": lambda _, rate: rate >= 320_000,
}  # fmt: skip
"""What is asked, and what it means; a track without the number is not meant."""


@pytest.fixture(scope="module", params=["with the index", "before the first scan has ended"])
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lookup]:
    """An index with each duration and bitrate; every seventh track is gone."""
    path = tmp_path_factory.mktemp("lengths") / "library.db"
    both = [(seconds, rate) for seconds in DURATIONS for rate in BITRATES]
    Random(7).shuffle(both)
    with closing(open_index(path, write=True)) as connection:
        rows = MadeUp(connection)
        ids = rows.add(*(
            (b"%d.mp3" % at, Track(codec="mp3", title="Word", duration=seconds, bitrate=rate))
            for at, (seconds, rate) in enumerate(both)
        ))  # fmt: skip
        rows.take_out(ids[::7])
        if request.param == "with the index":
            connection.execute(LATE_INDEXES["tracks_lengths"])
    with Lookup.open(Settings(db=path)) as library:
        yield library


def pairs(asked: Lookup, typed: str, sort: str = "relevance") -> list[tuple[float, int]]:
    """The durations and bitrates of what is found, of tracks that have both."""
    rows = asked.search([typed], sort=sort, limit=None)
    return [
        (float(str(row["duration"])), int(str(row["bitrate"])))
        for row in rows
        if row["duration"] is not None and row["bitrate"] is not None
    ]


@pytest.mark.parametrize("most", [0, 20, 10_000])
@pytest.mark.parametrize("typed", QUESTIONS)
def test_tracks_of_a_duration_or_bitrate_are_found(
    asked: Lookup, typed: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether few of them are in the index, or too many for it to be of use."""
    monkeypatch.setattr(full_text, "COUNTED", most)
    meant = {pair for pair in pairs(asked, "word") if QUESTIONS[typed](*pair)}
    for sort in ("relevance", "title", "-duration"):
        told = pairs(asked, typed, sort)
        assert len(told) == len(meant)
        assert set(told) == meant


def test_more_than_can_be_of_use_are_not_listed(asked: Lookup) -> None:
    spans = [lengths.Span(f"{WHOLE_BITRATE} = ?", (128_000,))]
    found = lengths.few(asked.connection, spans, len(DURATIONS))
    assert found is not None
    assert len(found) == len(DURATIONS)
    assert lengths.few(asked.connection, spans, len(DURATIONS) - 1) is None
