"""An index of made-up tracks -> duration of searches: `python -m tests.bench.search`.

The rows are written as insert writes them, but there are no files. Word frequencies are as in a
language (Zipf's law: the hundredth word is a hundred times rarer than the first).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from random import Random

from msgspec import Struct

from indexer.library import Library
from indexer.model import Track
from indexer.settings import Settings
from indexer.store.connection import open_index, size_cache
from tests.rows import MadeUp

TWO_WORDS = "two words of a track"
TWO_FREQUENT = "two frequent words"
MOST_MS = 20
"""The limit for a two-word question to 100 000 tracks."""
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
    size_cache(connection, seeding=True)
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


def questions(library: Library, random: Random, count: int) -> Iterator[tuple[str, list[str]]]:
    """Kinds of questions; those about one track use its words."""
    known = list(library.search([], sort="path", limit=None))
    chosen = [random.choice(known) for _ in range(count)]
    texts = [f"{row['title']} {row['artist']}".replace(";", "").split() for row in chosen]
    pairs = [random.sample(words, 2) for words in texts if len(words) > 1]
    frequent = [random.sample(FREQUENT, 2) for _ in range(count)]
    yield TWO_WORDS, [f'"{one}" "{other}"' for one, other in pairs]
    yield "  the second a beginning", [f"{one} {other[:3]}" for one, other in pairs]
    yield "  the second one letter", [f"{one} {other[0]}" for one, other in pairs]
    yield TWO_FREQUENT, [f'"{one}" "{other}"' for one, other in frequent]
    yield "  the second a beginning", [f"{one} {other}" for one, other in frequent]
    yield "one frequent word", [f'"{word}"' for word in FREQUENT]
    yield "one letter", list("abdeklmt")
    yield "Japanese, two characters", ["".join(random.sample(IDEOGRAPHS, 2)) for _ in range(count)]
    yield "a phrase", [f'"{one} {other}"' for one, other in frequent]
    yield "artist: and a word", [f"artist:{one} {other}" for one, other in pairs]
    yield "a frequent word and years", [f"{word} year:1990-1999" for word in FREQUENT]
    yield "years", [f"year:{year}" for year in range(1960, 1980)]
    yield "not a frequent word", [f"-{word}" for word in FREQUENT]


def ask(library: Library, kind: str, asked: Sequence[str]) -> Asked:
    """Ask each question twice and measure the second time, with a warm cache."""
    times, found = [], 0
    for typed in asked:
        list(library.search([typed]))
        start = time.perf_counter()
        found += len(list(library.search([typed])))
        times.append((time.perf_counter() - start) * 1000)
    return Asked(kind, asked[0], found / len(asked), sorted(times))


def lines(answers: Sequence[Asked]) -> Iterator[str]:
    yield f"{'':27}{'for example':30}{'found':>6}{'median ms':>11}{'95 % ms':>9}"
    for one in answers:
        head = f"{one.kind:27}{one.example[:28]:30}"
        yield f"{head}{one.found:6.1f}{one.median:11.1f}{one.late:9.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill, ask, print; with `--check` exit with 1 if it was too slow."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.search", description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000, help="in the index")
    parser.add_argument("--questions", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of tracks and questions")
    parser.add_argument("--check", action="store_true", help="exit code 1 where it takes too long")
    asked = parser.parse_args(arguments)
    random = Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "library.db"
        fill(database, asked.tracks, random)
        with Library(Settings(db=database)) as library:
            answers = [
                ask(library, kind, typed)
                for kind, typed in questions(library, random, asked.questions)
            ]
        size = database.stat().st_size
    print(f"{asked.tracks} tracks, {size / 1e6:.0f} MB")
    for line in lines(answers):
        print(line)
    barred = [one for one in answers if one.kind in {TWO_WORDS, TWO_FREQUENT}]
    return int(asked.check and any(one.late > MOST_MS for one in barred))


if __name__ == "__main__":
    sys.exit(main())
