"""An index of made-up tracks -> duration of searches: `python -m tests.bench.search`.

With `--tracks 1000000 --check` the limits of a large library hold; `--database FILE` keeps the rows
for the next time, and for `tests.bench.views`.

The rows are written as insert writes them, but there are no files. Word frequencies are as in a
language (Zipf's law: the hundredth word is a hundred times rarer than the first).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import accumulate, islice, pairwise
from pathlib import Path
from random import Random

from msgspec import Struct

from indexer.lookup import Lookup
from indexer.model import Track
from indexer.settings import Settings
from indexer.store.connection import open_index, select, tune
from indexer.store.schema.views import LATE_INDEXES
from tests.rows import MadeUp

LIMITS = {100_000: (20.0, 60.0), 1_000_000: (60.0, 200.0)}
"""Tracks at most -> the limits of each kind of question, median and 95th percentile, in ms."""
COMMON = (
    "the of a love in you i to me my and on remix live version it is no night day feat de la "
    "your we all for with this time one world heart baby song blues"
)
PARTS = (
    "ba bé bi bo bö da de di do dy fa fe fi ka ké ki ko kø la le li lo lü ma me mi mo na ne ni no "
    "ra re ri ro sa se si so ta te ti to va ve vi vo za sha cho tra pre ster man ing ed er"
)
FREQUENT = tuple(COMMON.split())
SYLLABLES = tuple(PARTS.split())
IDEOGRAPHS = [chr(code) for code in range(0x4E00, 0x5200, 5)]
WORDS = 30_000
GENRES = ("Ambient", "Blues", "Classical", "Electronic", "Folk", "Jazz", "Metal", "Pop", "Rock")
PER_TRANSACTION = 2000
_NAMES = "SELECT title, artist FROM library WHERE id = ?"


class Vocabulary:
    """Words by frequency, and texts made of them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        words = dict.fromkeys(FREQUENT)
        while len(words) < WORDS:
            words["".join(random.choices(SYLLABLES, k=random.randint(2, 4)))] = None
        self._words = list(words)
        self._weights = list(accumulate(1 / (rank + 2) for rank in range(WORDS)))

    def text(self, fewest: int, most: int) -> str:
        """A text of `fewest` to `most` words; one text in thirty is Japanese."""
        random = self._random
        count = random.randint(fewest, most)
        if random.random() < 1 / 30:
            return "".join(random.choices(IDEOGRAPHS, k=2 * count))
        return " ".join(random.choices(self._words, cum_weights=self._weights, k=count)).title()


def tracks(count: int, random: Random) -> Iterator[tuple[bytes, Track]]:
    """Paths and tracks of albums of 8 to 16 tracks; a few artists have many albums."""
    vocabulary = Vocabulary(random)
    artists = [vocabulary.text(1, 3) for _ in range(max(10, count // 30))]
    weights = list(accumulate(1 / (rank + 20) for rank in range(len(artists))))
    made = album = 0
    while made < count:
        artist = random.choices(artists, cum_weights=weights)[0]
        title, year, album = vocabulary.text(1, 4), random.randint(1955, 2025), album + 1
        for number in range(1, min(random.randint(8, 16), count - made) + 1):
            guest = (random.choice(artists),) if random.random() < 0.1 else ()
            made += 1
            yield (
                f"{artist}/{title} {album}/{number:02}.flac".encode(),
                Track(
                    codec="flac", duration=200.0, title=vocabulary.text(1, 5), year=year,
                    artists=(artist, *guest), albumartists=(artist,), album=title, track=number,
                    genres=(GENRES[album % len(GENRES)],),
                ),
            )  # fmt: skip


def fill(database: Path, count: int, random: Random) -> None:
    """Write the index."""
    connection = open_index(database, write=True)
    tune(connection, seeding=True)
    rows = MadeUp(connection)
    made = tracks(count, random)
    while batch := list(islice(made, PER_TRANSACTION)):
        rows.add(*batch)
    connection.close()


class Asked(Struct, frozen=True):
    """One kind of question: an example, and the durations of several, in milliseconds."""

    kind: str
    example: str
    found: float
    times: list[float]

    @property
    def median(self) -> float:
        return self.times[len(self.times) // 2]

    @property
    def late(self) -> float:
        """The 95th percentile."""
        return self.times[int(len(self.times) * 0.95)]


def questions(library: Lookup, random: Random, count: int) -> Iterator[tuple[str, list[str]]]:
    """Kinds of questions; those about one track use its words."""
    (most,) = next(select(library.connection, "SELECT max(id) FROM tracks"))
    chosen = [random.randint(1, most) for _ in range(count)]
    names = (next(select(library.connection, _NAMES, (track_id,))) for track_id in chosen)
    texts = [f"{title} {artist}".replace(";", "").split() for title, artist in names]
    pairs = [random.sample(words, 2) for words in texts if len(words) > 1]
    frequent = [random.sample(FREQUENT, 2) for _ in range(count)]
    yield "two words of a track", [f'"{one}" "{other}"' for one, other in pairs]
    yield "  the second a beginning", [f"{one} {other[:3]}" for one, other in pairs]
    yield "  the second one letter", [f"{one} {other[0]}" for one, other in pairs]
    yield "two frequent words", [f'"{one}" "{other}"' for one, other in frequent]
    yield "  the second a beginning", [f"{one} {other}" for one, other in frequent]
    yield "one frequent word", [f'"{word}"' for word in FREQUENT]
    yield "one letter", list("abdeklmt")
    yield "Japanese, two characters", ["".join(random.sample(IDEOGRAPHS, 2)) for _ in range(count)]
    yield "a phrase", [f'"{one} {other}"' for one, other in frequent]
    yield "artist: and a word", [f"artist:{one} {other}" for one, other in pairs]
    yield "a frequent word and years", [f"{word} year:1990-1999" for word in FREQUENT]
    yield "years", [f"year:{year}" for year in range(1960, 1980)]
    yield "not a frequent word", [f"-{word}" for word in FREQUENT]
    yield "one word or another", [f"{one} OR {other}" for one, other in pairs]
    yield "with a sign between", [f"{one}&{other}" for one, other in pairs]
    yield "with a word for and", [f"{one} and {other}" for one, other in pairs]
    longest = [max(words, key=len) for words in texts]
    yield "a part of a word", [f"{word[1:]}" for word in longest if len(word) > 5]
    yield "a misspelled word", [f"{word[:-2]}{word[:-3:-1]}" for word in longest if len(word) > 5]
    yield "a word that there is not", [f"{word[::-1]}x{word[::-1]}" for word in longest]
    yield "a folder", [f"path:{one}" for one, _ in pairs]
    yield "a comparison", ["duration:>3m", "bitrate:<192k", "year:>=2000", "has:picture"]
    yield "a time", ["added:7d", "added:2026-11..", "added:1970"]
    yield "a word too many", [f"{one} {other} {other[::-1]}x" for one, other in pairs]
    mixed = [f"{' '.join(one)} {' '.join(two)}" for one, two in pairwise(pairs)]
    yield "the words of two tracks", mixed
    yield "a field and a word", [f"{one} has:picture OR year:80s" for one, _ in pairs]


def ask(library: Lookup, kind: str, asked: Sequence[str]) -> Asked:
    """Ask each question twice and measure the second time, with a warm cache."""
    times, found = [], 0
    for typed in asked:
        list(library.search([typed]))
        start = time.perf_counter()
        found += len(list(library.search([typed])))
        times.append((time.perf_counter() - start) * 1000)
    return Asked(kind, asked[0], found / len(asked), sorted(times))


def line(one: Asked) -> str:
    head = f"{one.kind:27}{one.example[:28]:30}"
    return f"{head}{one.found:6.1f}{one.median:11.1f}{one.late:9.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill, ask, print; with `--check` exit with 1 if it was too slow."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.search", description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000, help="in the index")
    parser.add_argument("--database", type=Path, help="a file to ask, filled if there is none")
    parser.add_argument("--questions", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of tracks and questions")
    parser.add_argument("--check", action="store_true", help="exit code 1 where it takes too long")
    asked = parser.parse_args(arguments)
    random = Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        database = asked.database or Path(folder) / "library.db"
        if not database.exists():
            fill(database, asked.tracks, random)
        with closing(open_index(database, write=True)) as connection:  # an older one is migrated
            for statement in LATE_INDEXES.values():  # as the end of a run does
                connection.execute(statement)
        print(f"{asked.tracks} tracks, {database.stat().st_size / 1e6:.0f} MB")
        print(f"{'':27}{'for example':30}{'found':>6}{'median ms':>11}{'95 % ms':>9}")
        answers = []
        with Lookup.open(Settings(db=database)) as library:
            for kind, typed in questions(library, random, asked.questions):
                answers.append(ask(library, kind, typed))
                print(line(answers[-1]), flush=True)
    slow = [one for one in answers if is_slow(one, asked.tracks)]
    return int(asked.check and bool(slow))


def is_slow(one: Asked, tracks: int) -> bool:
    """Whether a kind of question took longer than it may in an index of so many tracks."""
    limits = [LIMITS[most] for most in sorted(LIMITS) if tracks <= most]
    if not limits:
        return False
    middle, late = limits[0]
    return one.median > middle or one.late > late


if __name__ == "__main__":
    sys.exit(main())
