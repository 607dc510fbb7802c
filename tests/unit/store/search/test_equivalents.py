"""Names as tags have them, and as people type them: what a question may also mean."""

from __future__ import annotations

from contextlib import closing

import pytest

from indexer.library import Library
from indexer.model import Track
from indexer.results.report import SearchNote
from indexer.settings import Settings
from indexer.store.connection import Connection, open_index, write_transaction
from indexer.store.search.equivalents import looser
from indexer.store.search.query import Question, Words, parse
from tests.rows import MadeUp
from tests.trees import Plant, song

NAMES = (
    "Led Zeppelin | Led Zeppelin IV",
    "Thirty Seconds to Mars | The Kill",
    "Maroon 5 | This Love",
    "Eminem ft. Rihanna | Love the Way You Lie",
    "Jamie Foxx; Kanye West | Gold Digger",
    "Twenty One Pilots | Stressed Out",
    "St. Vincent | Digital Witness",
    "Dr. Dre | Still D.R.E.",
    "Beatles | Help",
    "Belle and Sebastian | Seeing Other People",
    "Bell Orchestre | Recording",
    "Boyz II Men | End of the Road",
    "Dave Brubeck | Take Five",
    "Jean-Michel Jarre | Oxygène (Part IV)",
    "Guns N' Roses | Sweet Child o' Mine",
    "Mozart | Sonata, K. 331",
    "Carlos Kleiber | Symphony No. 5",
    "2Pac | All Eyez on Me",
    "Blind Guardian | Closed Eyes",
    "Einem | Dantons Tod",
    "Kings of Convenience | Homesick",
    "King Crimson | Epitaph",
    "Fornaciari | Oro, incenso & birra",
    "Wilhelm Kempff | Sonata, Op. 27 No. 2 (Moonlight) g-moll",
    "µ-Ziq | Brace Yourself Jason",
    "Ёлка | Прованс",
    "Ich & Ich | I'll Survive You",
    "Abba | Stay Together",
    "Shostakovich | Largo",
    "周杰伦 | 青花瓷",
    "Chopin | Nocturne in C-sharp minor",
)
MEANT = {
    "led zeppelin 4": "Led Zeppelin IV",
    "30 seconds to mars": "The Kill",
    "maroon five": "This Love",
    "eminem featuring rihanna": "Love the Way You Lie",
    "kanye feat. jamie foxx": "Gold Digger",
    "eninem rihanna": "Love the Way You Lie",
    "21 pilots": "Stressed Out",
    "saint vincent": "Digital Witness",
    "doctor dre": "Still D.R.E.",
    "the beatles help": "Help",
    "bell and sebastian": "Seeing Other People",
    "boyz 2 men": "End of the Road",
    "brubeck take 5": "Take Five",
    "oxygene pt 4": "Oxygène (Part IV)",
    "sweet child of mine": "Sweet Child o' Mine",
    "kv 331": "Sonata, K. 331",
    "kleiber fifth": "Symphony No. 5",
    "kleiber symphonie nr. 5": "Symphony No. 5",
    "all eyes on me": "All Eyez on Me",
    "king of convinience": "Homesick",
    "oro incenso e birra": "Oro, incenso & birra",
    "moonlight 27/2": "Sonata, Op. 27 No. 2 (Moonlight) g-moll",
    "op27/2": "Sonata, Op. 27 No. 2 (Moonlight) g-moll",
    "op. 27/2 g minor": "Sonata, Op. 27 No. 2 (Moonlight) g-moll",
    "moonlite sonata": "Sonata, Op. 27 No. 2 (Moonlight) g-moll",
    "kv331": "Sonata, K. 331",
    "mu-ziq": "Brace Yourself Jason",
    "muziq": "Brace Yourself Jason",
    "yolka": "Прованс",
    "elka": "Прованс",
    "i will survive u": "I'll Survive You",
    "stay 2 gether": "Stay Together",
    "kempff's sonata": "Sonata, Op. 27 No. 2 (Moonlight) g-moll",
    "sonata 331st": "Sonata, K. 331",
    "two pac": "All Eyez on Me",
    "schostakowitsch": "Largo",
    "周杰伦青花瓷": "青花瓷",
    "all eyez on me.mp3": "All Eyez on Me",
    "eninem-rihanna-love_the_way": "Love the Way You Lie",
    "abba-stay/together": "Stay Together",
    "abba,stay": "Stay Together",
    "nocturne cis-moll": "Nocturne in C-sharp minor",
    "nocturne c# minor": "Nocturne in C-sharp minor",
    "köchel 331": "Sonata, K. 331",
    "koechel 331": "Sonata, K. 331",
    "tupac": "All Eyez on Me",
    "twenty-one pilots": "Stressed Out",
    "beetles OR qqqq": "Help",
    "eninem OR qqqq rihanna": "Love the Way You Lie",
    "doctor OR qqqq dre": "Still D.R.E.",
    'beatles OR "" help': "Help",
}


@pytest.fixture
def named(settings: Settings, connection: Connection) -> Settings:
    files = []
    for number, name in enumerate(NAMES):
        artists, title = name.split(" | ")
        track = Track(codec="flac", title=title, artists=tuple(artists.split("; ")))
        files.append((b"%d.flac" % number, track))
    MadeUp(connection).add(*files)
    return settings


@pytest.mark.parametrize(("typed", "title"), MEANT.items())
def test_a_name_is_found_as_another_writes_it(named: Settings, typed: str, title: str) -> None:
    with Library(named) as library:
        assert [found["title"] for found in library.search([typed])] == [title]


def test_what_was_taken_for_a_mistyped_word_is_told(named: Settings) -> None:
    notes: list[SearchNote] = []
    with Library(named) as library:
        list(library.search(["eninem feat. rihanna"], note=notes.append))
        list(library.search(["bell and sebastian"], note=notes.append))
        list(library.search(["kinbg homesick"], note=notes.append))
    assert notes == [
        SearchNote(instead={"eninem": "eminem"}),
        SearchNote(instead={"kinbg": "kings"}),
    ]


@pytest.mark.parametrize(
    "typed",
    [
        '"led zeppelin 4"',
        "zeppelin -4 -iv",
        "zeppelin artist:eminem",
        '"beetles" OR "qqqq"',
        '"abba-stay"',
        "artist:abba-stay",
    ],
)
def test_what_was_asked_for_exactly_is_not_loosened(named: Settings, typed: str) -> None:
    with Library(named) as library:
        assert list(library.search([typed])) == []


def test_words_that_one_word_would_be_have_their_equivalents_too(
    settings: Settings, connection: Connection
) -> None:
    titles = "Love 2 Day", "Today"
    MadeUp(connection).add(*((title.encode(), Track(codec="mp3", title=title)) for title in titles))
    with Library(settings) as library:
        assert [found["title"] for found in library.search(["love to day"])] == ["Love 2 Day"]


def test_an_equivalent_is_no_beginning_of_other_words(named: Settings) -> None:
    with Library(named) as library:
        assert list(library.search(["title:zeppelin 1"])) == []
        assert list(library.search(["1st"])) == []
        assert [found["title"] for found in library.search(["brubeck fi"])] == ["Take Five"]


def test_words_that_may_be_missing_are_required_where_there_are_no_others() -> None:
    assert looser(parse("the feat")).groups[0] == (Words("the", prefix=True),)
    assert looser(Question()) == Question()


def test_words_of_other_rules_are_made_again_by_a_scan_that_finds_nothing_changed(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"1.mp3": song("月亮代表我的心", "鄧麗君")})
    library.scan()
    with closing(open_index(settings.db, write=True)) as index, write_transaction(index):
        index.execute("INSERT INTO track_search (track_search) VALUES ('delete-all')")
        index.execute("INSERT INTO track_search (rowid, artist) VALUES (1, '鄧 麗 君')")
        index.execute("UPDATE identity SET search_folding = 'unicode 1, anyascii 1, rules 3'")
    assert list(library.search(["邓丽君"])) == []
    assert library.scan().unchanged == 1
    assert len(list(library.search(["邓丽君"]))) == 1
    assert library.scan().unchanged == 1
