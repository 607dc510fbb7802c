"""All albums in a few bytes each -> those that some facets choose, in some order, with counts.

A library of a million tracks has 80 000 albums: grouping its tracks takes a second, going through
these arrays a few milliseconds.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from msgspec import Struct

from indexer.store import browse
from indexer.store.connection import Connection
from indexer.store.search.folding import fold

_UNKNOWN: Final = "unknown"
_LAST_YEAR: Final = 9999
_LAST: Final = "\uffff"
"""Sorts behind every name."""
ORDERS: Final = ("artist", "newest", "year", "title")
BIT_RATES: Final = (
    ("under 128", 0), ("128–191", 128_000), ("192–255", 192_000), ("256–320", 256_000),
    ("321–699", 321_000), ("700–1411", 700_000), ("above 1411", 1_411_201),
)  # fmt: skip
"""Their names in kbit/s, and where each begins."""
FACETS: Final = ("genre", "decade", "format", "bitrate", "cover")
OTHER = "#"


class Chosen(Struct, frozen=True):
    """The albums of some facets."""

    ids: Sequence[int]
    total: int
    facets: dict[str, list[tuple[str, int]]]
    """Facet -> its values, each with how many albums there would be with it."""


class Shelf:
    """All albums at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._ids = array("q")
        self._values = {facet: array("h") for facet in ("decade", "format", "bitrate", "cover")}
        self._names: dict[str, list[str]] = {facet: [] for facet in self._values}
        added, years, artists = array("q"), array("h"), array("i")
        numbers: dict[str, int] = {}
        titles: list[str] = []
        for row in browse.all_albums(connection):
            album_id, title, artist, year, first, last, bits, added_ms, has_cover = row
            self._ids.append(album_id)
            self._add("decade", _decade(year))
            self._add("format", first if first == last else "mixed")
            self._add("bitrate", _bit_rate(bits))
            self._add("cover", "yes" if has_cover else "no")
            added.append(-(added_ms or 0))
            years.append(year if year and 0 < year <= _LAST_YEAR else 0)
            artists.append(numbers.setdefault(fold(artist or _LAST), len(numbers)))
            titles.append(fold(title or _LAST))
        places = range(len(self._ids))
        by_title = array("i", sorted(places, key=titles.__getitem__))
        del titles  # no text is kept, and few of them at once
        title_ranks = _ranks(by_title)
        ranks = array("i", bytes(4 * len(numbers)))
        for rank, name in enumerate(sorted(numbers)):
            ranks[numbers[name]] = rank
        del numbers

        def by_artist(place: int) -> int:
            rank = ranks[artists[place]]
            return (rank << 48) + (years[place] << 32) + title_ranks[place]

        self._orders = {
            "artist": array("i", sorted(places, key=by_artist)),
            "newest": array("i", sorted(places, key=added.__getitem__)),
            "year": array("i", sorted(places, key=lambda place: -years[place])),
            "title": by_title,
        }
        self._genres = _genres(connection, self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def chosen(
        self, wanted: Mapping[str, str], order: str, start: int, count: int | None
    ) -> Chosen:
        """The albums with all of these facets: `count` of them (None: all) from `start` on."""
        marks = {facet: self._marks(facet, value) for facet, value in wanted.items()}
        fitting = _all_of(marks.values(), len(self._ids))
        places = [place for place in self._orders[order] if fitting[place]]
        facets = {}
        for facet in FACETS:
            others = [one for name, one in marks.items() if name != facet]
            facets[facet] = self._counts(facet, _all_of(others, len(self._ids)))
        ids = [
            self._ids[place] for place in places[start : None if count is None else start + count]
        ]
        return Chosen(ids, len(places), facets)

    def _add(self, facet: str, text: str) -> None:
        names = self._names[facet]
        if text not in names:
            names.append(text)
        self._values[facet].append(names.index(text))

    def _marks(self, facet: str, value: str) -> bytes:
        """One byte for each album: whether it has this value."""
        if facet == "genre":
            marks = bytearray(len(self._ids))
            for place in self._genres.get(value, ()):
                marks[place] = 1
            return bytes(marks)
        names = self._names[facet]
        if value not in names:
            return bytes(len(self._ids))
        wanted = names.index(value)
        return bytes(number == wanted for number in self._values[facet])

    def _counts(self, facet: str, fitting: bytes) -> list[tuple[str, int]]:
        if facet == "genre":
            counts = {name: sum(fitting[one] for one in on) for name, on in self._genres.items()}
            known = [(name, count) for name, count in counts.items() if count]
            return sorted(known, key=lambda one: (-one[1], one[0]))
        counted = Counter(self._values[facet][place] for place, fits in enumerate(fitting) if fits)
        names = self._names[facet]
        found = [(names[number], count) for number, count in counted.items()]
        if facet == "format":
            return sorted(found, key=lambda one: (-one[1], one[0]))
        if facet == "bitrate":
            order = [name for name, _ in BIT_RATES] + [_UNKNOWN]
            return sorted(found, key=lambda one: order.index(one[0]))
        if facet == "decade":
            return sorted(found, key=lambda one: (one[0] == _UNKNOWN, -_begin_of(one[0])))
        return sorted(found)


def _decade(year: int | None) -> str:
    return f"{year // 10 * 10}s" if year and 1000 <= year < 3000 else _UNKNOWN


def _begin_of(decade: str) -> int:
    return int(decade.removesuffix("s")) if decade != _UNKNOWN else 0


def _bit_rate(bits: float | None) -> str:
    if not bits:
        return _UNKNOWN
    return [name for name, begin in BIT_RATES if bits >= begin][-1]


def _ranks(order: array[int]) -> array[int]:
    """Place -> where it stands in an order of all."""
    ranks = array("i", order)
    for rank, place in enumerate(order):
        ranks[place] = rank
    return ranks


def _genres(connection: Connection, ids: array[int]) -> dict[str, array[int]]:
    """Name -> the places of its albums; `ids` go up."""
    found = {}
    for name, pairs in groupby(browse.genres_of_tracks(connection), itemgetter(0)):
        places = array("i")
        for album_id in sorted({album_id for _, album_id in pairs}):
            place = bisect_left(ids, album_id)
            if place < len(ids) and ids[place] == album_id:
                places.append(place)
        if places:
            found[name] = places
    return found


def _all_of(marks: Iterable[bytes], count: int) -> bytes:
    """One byte for each album: whether all of these are 1 for it. As numbers, all at once."""
    both = int.from_bytes(b"\x01" * count)
    for one in marks:
        both &= int.from_bytes(one)
    return both.to_bytes(count)


class Directory:
    """All artists at one moment, in the order of their folded names; no name is kept."""

    def __init__(self, connection: Connection) -> None:
        names: list[str] = []
        ids, tracks = array("q"), array("i")
        for one, name, count in browse.all_artists(connection):
            names.append(fold(name))
            ids.append(one)
            tracks.append(count)
        letters = [_letter(name) for name in names]
        order = sorted(range(len(ids)), key=lambda one: (letters[one], names[one], ids[one]))
        self._letters = "".join(letters[one] for one in order)
        self._ids = array("q", (ids[one] for one in order))
        self._tracks = array("i", (tracks[one] for one in order))

    @property
    def letters(self) -> list[str]:
        """The first letters that there are."""
        return list(dict.fromkeys(self._letters))

    def of_letter(self, letter: str) -> range:
        """The places of the artists with this first letter, for `rows`; empty: of all."""
        if not letter:
            return range(len(self._ids))
        return range(bisect_left(self._letters, letter), bisect_right(self._letters, letter))

    def rows(self, connection: Connection, places: range) -> list[tuple[int, str, int]]:
        """(id, name, number of tracks) of some artists, without those that left since."""
        names = browse.artist_names(connection, self._ids[places.start : places.stop])
        return [
            (one, names[one], self._tracks[place])
            for place in places
            if (one := self._ids[place]) in names
        ]


def _letter(folded: str) -> str:
    first = folded[:1].upper()
    return first if "A" <= first <= "Z" else OTHER
