"""Words that no track has beside the others: the most important ones are looked for, and told."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from indexer.library import Library
from indexer.model import Track
from indexer.results.report import SearchNote
from indexer.settings import Settings
from indexer.store.connection import Connection
from tests.rows import MadeUp

NAMES = (
    "Tiësto | Adagio for Strings | Just Be | 2004",
    "DJ Shadow | Organ Donor | Endtroducing | 1996",
    "The Cure | Friday I'm in Love | Wish | 1992",
    "The Band | The Weight | Music from Big Pink | 1968",
    "The Beatles | Because | Abbey Road | 1969",
    "Bob Dylan | Bootleg | Live | 1966",
    "Kraftwerk | Autobahn | Autobahn | 1974",
    "Jean-Michel Jarre | Oxygène | Oxygene | 1976",
    "Mozart | Symphony No. 40, K. 550 | Late Symphonies | 1978",
    "Shostakovich | Symphony No. 5, Op. 47: IV. Allegro non troppo | Symphonies | 1975",
    "Lauryn Hill | Ex-Factor | Miseducation | 1998",
    "The Wedding | Forty Days | Forty | 1983",
)
MEANT = {
    "artist:cure live": ("Friday I'm in Love", "artist:cure"),
    "artist:cuer live": ("Friday I'm in Love", "artist:cure"),
    "cure live": ("Friday I'm in Love", "cure"),
    "cure greatest hits": ("Friday I'm in Love", "cure"),
    "shostakovich 1906": ("Symphony No. 5, Op. 47: IV. Allegro non troppo", "shostakovich"),
    "dj tiesto": ("Adagio for Strings", "tiësto"),
    "songs by kraftwerk": ("Autobahn", "kraftwerk"),
    "the cure band": ("Friday I'm in Love", "the cure"),
    "official video cure wish": ("Friday I'm in Love", "cure wish"),
    "tiesto qqqq": ("Adagio for Strings", "tiësto"),
    "because mp3 beatles": ("Because", "because beatles"),
    "beatles abbey road 1969 remaster flac": ("Because", "beatles abbey road 1969 flac"),
    "beatles abbey road bootleg": ("Because", "beatles abbey road"),
    "the tiesto adagio bootleg": ("Adagio for Strings", "tiësto adagio"),
    "beetles abbey rood xyzzy": ("Because", "beatles abbey road"),
    "autobahn 74": ("Autobahn", None),
    "the '74": ("Autobahn", None),
    "autobahn flac": ("Autobahn", None),
    "cure OR tiesto remaster": ("Adagio for Strings", "cure OR tiësto"),
    '"kraftwerk" lyrics': ("Autobahn", '"kraftwerk"'),
    "symphony no 5": ("Symphony No. 5, Op. 47: IV. Allegro non troppo", None),
}


@pytest.fixture
def library(settings: Settings, connection: Connection) -> Iterator[Library]:
    files = []
    for name in NAMES:
        artist, title, album, year = name.split(" | ")
        track = Track(codec="flac", title=title, artists=(artist,), album=album, year=int(year))
        files.append((f"{artist}/{title}.flac".encode(), track))
    tags = msgspec.json.encode({"conductor": ["Karl Böhm"]}).decode()
    track = Track(codec="flac", title="Requiem", artists=("Wiener",), tags=tags)
    MadeUp(connection).add(*files, (b"Requiem.flac", track))
    with Library(settings) as opened:
        yield opened


@pytest.mark.parametrize(("typed", "meant"), MEANT.items())
def test_the_most_important_words_are_found_and_told(
    library: Library, typed: str, meant: tuple[str, str | None]
) -> None:
    notes: list[SearchNote] = []
    title, shown = meant
    found = list(library.search([typed], note=notes.append))
    assert found[0]["title"] == title
    told = [one for note in notes for one in note.instead.values()]
    assert told[-1:] == ([] if shown is None else [shown])
    assert len(list(library.search([typed], of="artists"))) == len(found)


@pytest.mark.parametrize(
    ("typed", "shown"), [("title:40 remaster", "title:40"), ("cuer remaster", "cure")]
)
def test_without_added_words_that_is_shown_which_is_told(
    library: Library, typed: str, shown: str
) -> None:
    assert list(library.search([typed])) == list(library.search([shown])) != []


@pytest.mark.parametrize(
    "typed",
    [
        "qqqq zzzz",
        "qqqq zzzz autobahn",
        "qqqq flac",
        "qqqq 1974",
        "qqqq in",
        "the 2077",
        "the '31 qqqq",
        "qqqq band",
        "fac 23",
        "ryom 550",
        '"tiesto" "dj"',
        "artist:tiesto shadow",
        "artist:tiesto live year:1996",
        "tiesto year:1996",
        "tiesto -adagio",
        " ".join(["autobahn", *(f"q{number}q" for number in range(30))]),
    ],
    ids=lambda typed: typed[:20],
)
def test_too_few_words_find_nothing(library: Library, typed: str) -> None:
    assert list(library.search([typed])) == []


def test_what_is_found_with_all_words_is_not_told_otherwise(library: Library) -> None:
    notes: list[SearchNote] = []
    assert len(list(library.search(["friday cure"], note=notes.append))) == 1
    assert notes == []


@pytest.mark.parametrize("typed", ["organ weight", "donor cure", "kraftwerk band weight"])
def test_an_article_changes_no_choice_of_words(library: Library, typed: str) -> None:
    found = list(library.search([typed]))
    assert len(found) == 1
    assert list(library.search([f"the {typed}"])) == found


def test_frequent_words_are_not_ranked(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.store.search.fewer._RANKED", 0)
    assert list(library.search(["organ tiesto"])) == []
    assert len(list(library.search(["tiesto qqqq"]))) == 1


@pytest.mark.parametrize("typed", ["karl bohm", "boehm", "böh",
                                   "requiem bohm", "bohm wiener qqqq", "the karl bohm",
                                   "the bohm qqqq"])  # fmt: skip
def test_words_of_further_tags_are_found_where_nothing_else_is(
    library: Library, typed: str
) -> None:
    assert [found["title"] for found in library.search([typed])] == ["Requiem"]


def test_words_of_further_tags_are_no_parts_of_words(library: Library) -> None:
    assert list(library.search(["arl"])) == list(library.search(["ohm wiener -requiem"])) == []
