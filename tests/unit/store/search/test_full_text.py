"""Searches: which tracks, in which order, and as albums and artists."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from indexer.errors import UsageError
from indexer.library import Library
from indexer.model import Track
from indexer.results.report import SearchNote
from indexer.settings import Settings
from indexer.store import view_rows
from indexer.store.connection import Connection
from indexer.store.recovery import health
from indexer.store.recovery.damage import Damage, Part
from indexer.store.search import full_text, index_rows, results
from tests.rows import MadeUp
from tests.trees import Plant, faults, song


class Shelf:
    """An index of made-up tracks, each identified by its title."""

    def __init__(self, library: Library, connection: Connection) -> None:
        self.library = library
        self.connection = connection
        self.rows = MadeUp(connection)
        self._count = 0

    def add(self, title: str, **tags: Any) -> int:
        """Add a file; each album has its own folder."""
        self._count += 1
        path = f"{tags.get('album', 'Album')}/{self._count:06}.mp3".encode()
        (track_id,) = self.rows.add((path, track(title, **tags)))
        return track_id

    def find(self, typed: str, sort: str = "relevance", limit: int | None = 50) -> list[Any]:
        return [row["title"] for row in self.library.search([typed], sort=sort, limit=limit)]

    def albums(self, typed: str, sort: str = "relevance") -> list[tuple[Any, ...]]:
        rows = self.library.search([typed], of="albums", sort=sort)
        return [tuple(row.values())[:-1] for row in rows]

    def artists(self, typed: str, sort: str = "relevance") -> list[tuple[Any, ...]]:
        rows = self.library.search([typed], of="artists", sort=sort)
        return [tuple(row.values())[:-1] for row in rows]


def track(title: str, **tags: Any) -> Track:
    """A track from tags by columns of the view; several values are a tuple."""
    values: dict[str, Any] = {"codec": "mp3", "album": "Album", "artist": "Artist", **tags}
    for name in ("artist", "albumartist", "genre"):
        if name in values:
            value = values.pop(name)
            values[f"{name}s"] = (value,) if isinstance(value, str) else value
    return Track(title=title, **values)


@pytest.fixture
def shelf(settings: Settings, connection: Connection) -> Iterator[Shelf]:
    """An index that is checked for consistency at the end of every test."""
    with Library(settings) as library:
        yield Shelf(library, connection)
        assert faults(library) == []


def test_a_track_is_found_by_its_words_wherever_they_stand(shelf: Shelf) -> None:
    shelf.add("Jóga", artist="Björk", album="Homogenic", genre="Electronic")
    shelf.add("Other", artist="Björk", albumartist="Various", album="Debut", genre="Pop")
    for typed in ("joga", "JÓGA bjork", "homogenic electronic", "björk homo"):
        assert shelf.find(typed) == ["Jóga"], typed
    assert shelf.find("various") == ["Other"]
    assert shelf.find('"joga" debut') == []


def test_only_the_last_word_may_be_a_beginning(shelf: Shelf) -> None:
    shelf.add("Human Behaviour")
    assert shelf.find("human beh") == ["Human Behaviour"]
    assert shelf.find("hum behaviour") == ["Human Behaviour"]
    shelf.add("Hum Behaviour")
    assert shelf.find("hum behaviour") == ["Hum Behaviour"]
    assert shelf.find('human "beh"') == []


def test_words_are_found_inside_a_run_of_characters(shelf: Shelf) -> None:
    shelf.add("東京事変の歌")
    shelf.add("京東")
    assert shelf.find("事変") == ["東京事変の歌"]
    assert shelf.find("東京") == ["東京事変の歌"]
    assert sorted(shelf.find("京")) == ["京東", "東京事変の歌"]


def test_a_band_of_symbols_is_found(shelf: Shelf) -> None:
    shelf.add("Myth Takes", artist="!!!")
    shelf.add("÷", artist="Ed")
    assert shelf.find("!!!") == ["Myth Takes"]
    assert shelf.find("artist:!!! myth") == ["Myth Takes"]
    assert shelf.find("÷") == ["÷"]
    assert shelf.find("?") == []


def test_a_field_is_searched_alone(shelf: Shelf) -> None:
    shelf.add("Love", artist="Ida", albumartist="Eve", album="Hate", genre="Pop")
    shelf.add("Hate", artist="Love", albumartist="Ida", album="Pop", genre="Love")
    assert shelf.find("title:love") == ["Love"]
    assert shelf.find("artist:love") == ["Hate"]
    assert shelf.find("albumartist:ida") == ["Hate"]
    assert shelf.find("album:hate") == ["Love"]
    assert shelf.find("genre:love") == ["Hate"]
    assert shelf.find('artist:"lov"') == []


def test_a_phrase_keeps_its_order(shelf: Shelf) -> None:
    shelf.add("Army of Me")
    shelf.add("Me of Army")
    assert shelf.find('"army of"') == ["Army of Me"]
    assert shelf.find('title:"of army"') == ["Me of Army"]


def test_what_is_not_wanted_is_left_out(shelf: Shelf) -> None:
    shelf.add("Love", artist="Ida")
    shelf.add("Love Live", artist="Ida")
    shelf.add("Love", artist="Eve", album="Live")
    assert shelf.find("love -live") == ["Love"]
    assert shelf.find("love -title:live") == ["Love", "Love"]
    assert shelf.find("-live") == ["Love"]
    assert shelf.find("-live -ida") == []
    assert shelf.find('-"love live" -artist:eve') == ["Love"]


def test_years_and_codecs_narrow_a_question(shelf: Shelf) -> None:
    shelf.add("Old", year=1979, codec="mp3")
    shelf.add("New", year=2020, codec="flac")
    shelf.add("Undated", codec="flac")
    assert shelf.find("artist year:1979") == ["Old"]
    assert shelf.find("year:-1979") == ["Old"]
    assert shelf.find("year:1980-") == ["New"]
    assert shelf.find("codec:FLAC") == ["New", "Undated"]
    assert shelf.find("artist -codec:flac") == ["Old"]
    assert shelf.find("codec:flac -year:2020") == ["Undated"]
    assert shelf.find("-year:1900-2100") == ["Undated"]


def test_no_words_find_every_track(shelf: Shelf) -> None:
    for title in "abc":
        shelf.add(title)
    assert shelf.find("") == ["a", "b", "c"]
    assert shelf.find("", limit=2) == ["a", "b"]


def test_the_shortest_title_that_has_the_words_is_first(shelf: Shelf) -> None:
    shelf.add("Help Me Rhonda")
    shelf.add("Other", album="Help")
    shelf.add("Help!")
    assert shelf.find("help") == ["Help!", "Help Me Rhonda", "Other"]


@pytest.mark.parametrize("limit", [50, 4, 1])
def test_where_too_many_are_found_the_places_of_the_words_decide(
    shelf: Shelf, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_text, "_WEIGHED", 1)
    for title, tags in {
        "Elsewhere": {"genre": "Love Songs"},
        "On an album": {"album": "True Love Songs"},
        "True Love Songs": {},
        "Love Songs": {},
        "By an artist": {"artist": "True Love Songs"},
        "By them": {"artist": "Love Songs"},
    }.items():
        shelf.add(title, **tags)
    best = [
        "By them", "Love Songs", "By an artist", "True Love Songs", "On an album", "Elsewhere",
    ]  # fmt: skip
    assert shelf.find("love songs", limit=limit) == best[:limit]
    assert shelf.find("-nothing love song", limit=limit) == best[:limit]
    assert shelf.find("genre:love artist", limit=limit) == ["Elsewhere"]


def test_weighing_or_not_finds_the_same(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        shelf.add(f"Love {number}", artist="Love" if number % 3 else "Ida", year=1990 + number % 7)
    typed = ("love", "lo", "title:love ida", "love -artist:love", "love year:1992-1995")
    weighed = [sorted(shelf.find(one)) for one in typed]
    monkeypatch.setattr(full_text, "_WEIGHED", 2)
    assert [sorted(shelf.find(one)) for one in typed] == weighed
    assert all(weighed)


@pytest.mark.parametrize(
    ("sort", "titles"),
    [
        ("artist", "bdac"),
        ("-artist", "acbd"),
        ("album", "bacd"),
        ("year", "cdba"),
        ("-year", "dcba"),
        ("title", "abcd"),
        ("-title", "dcba"),
        ("added", "dcba"),
        ("-added", "abcd"),
        ("path", "cdab"),
        ("-path", "badc"),
        ("duration", "bcda"),
    ],
)
def test_tracks_stand_in_the_order_that_was_asked_for(shelf: Shelf, sort: str, titles: str) -> None:
    shelf.add("d", artist="Ádam", album="Z", year=1990, duration=3.0, track=1)
    shelf.add("c", artist="eve", album="Y", year=1980, duration=2.0)
    shelf.add("b", artist="Adam", album="Á", duration=1.0, track=2)
    shelf.add("a", artist="Eve", album="b")
    assert "".join(shelf.find("", sort)) == titles
    assert "".join(shelf.find("-nothing", sort, 2)) == titles[:2]
    assert "".join(shelf.find("", sort, None)) == titles


@pytest.mark.parametrize("sort", ["", "size", "--year", "-relevance", "year; DROP TABLE tracks"])
def test_an_order_that_there_is_not_is_wrong_use(shelf: Shelf, sort: str) -> None:
    for ask in (shelf.find, shelf.albums, shelf.artists):
        with pytest.raises(UsageError, match="choose one of relevance, "):
            ask("x", sort)
    with pytest.raises(UsageError, match="artists cannot be sorted by path"):
        shelf.artists("x", "path")


def test_found_tracks_are_told_by_album(shelf: Shelf) -> None:
    for title, year in (("Love", 1994), ("Hate", 1993), ("Love 2", 1995)):
        shelf.add(title, artist="Ida", album="Both", year=year)
    shelf.add("Love", artist="Eve", album="Several")
    shelf.add("Love", artist="Ida", album="Several")
    shelf.add("Love", artist="Eve", albumartist="All", album="Named", year=1990)
    assert shelf.albums("love", "album") == [
        ("Both", "Ida", 1994, 2), ("Named", "All", 1990, 1), ("Several", None, None, 2),
    ]  # fmt: skip
    assert [row[0] for row in shelf.albums("ida")] == ["Both", "Several"]
    assert [row[0] for row in shelf.albums("", "-year")] == ["Both", "Named", "Several"]
    assert [row[0] for row in shelf.albums("", "artist")] == ["Named", "Both", "Several"]
    assert shelf.albums("nothing") == []


def test_albums_of_an_artist_of_just_this_name_come_after_those_of_this_name(shelf: Shelf) -> None:
    for title in ("Closer", "Piggy"):
        shelf.add(title, artist="Nine Inch Nails", album="The Downward Spiral")
    shelf.add("This Is the Day", artist="The The", album="Soul Mining")
    shelf.add("Live", artist="Others", album="The The")
    albums = [row[0] for row in shelf.albums("the the")]
    assert albums == ["The The", "Soul Mining", "The Downward Spiral"]


@pytest.mark.parametrize("sort", ["title", "path", "added", "duration"])
def test_albums_know_every_order(shelf: Shelf, sort: str) -> None:
    shelf.add("x", album="A", duration=1.0)
    shelf.add("x", album="B", duration=2.0)
    assert [row[0] for row in shelf.albums("", sort)] == ["A", "B"]
    assert [row[0] for row in shelf.albums("", f"-{sort}")] == ["B", "A"]


def test_found_tracks_are_told_by_artist(shelf: Shelf) -> None:
    shelf.add("Love", artist=("Ida", "Eve"), albumartist="Ida")
    shelf.add("Love", artist="ida")
    shelf.add("Hate", artist="Adam", albumartist="Eve", duration=9.0)
    assert shelf.artists("love") == [("Eve", 1), ("Ida", 1), ("ida", 1)]
    assert shelf.artists("") == [("Eve", 2), ("Adam", 1), ("Ida", 1), ("ida", 1)]
    assert [row[0] for row in shelf.artists("", "artist")] == ["Adam", "Eve", "Ida", "ida"]
    assert [row[0] for row in shelf.artists("", "-artist")] == ["Ida", "ida", "Eve", "Adam"]
    assert [row[0] for row in shelf.artists("hate", "-duration")] == ["Eve", "Adam"]


def test_more_tracks_than_a_page_are_all_told_in_order(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_rows, "_PAGE", 3)
    titles = [f"{number:02}" for number in range(10)]
    for title in titles:
        shelf.add(title)
    assert shelf.find("", "-title", None) == titles[::-1]


def test_a_track_that_leaves_while_they_are_told_is_left_out(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_rows, "_PAGE", 1)
    ids = [shelf.add(title) for title in "abc"]
    rows = view_rows.rows(shelf.connection, ids)
    assert next(rows)[0] == ids[0]
    shelf.rows.take_out([ids[1]])
    assert [row[0] for row in rows] == [ids[2]]


def test_no_snapshot_is_held_while_they_are_told(shelf: Shelf) -> None:
    ids = [shelf.add(title) for title in "abc"]
    rows = view_rows.rows(shelf.connection, ids)
    next(rows)
    busy, _, _ = next(shelf.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    assert busy == 0


def test_what_left_or_changed_is_found_no_more(shelf: Shelf) -> None:
    gone, changed = shelf.add("Straße", artist="Øya"), shelf.add("東京", artist="!!!")
    shelf.rows.change(changed, track("Łódź"))
    shelf.rows.take_out([gone])
    assert [shelf.find(typed) for typed in ("strasse", "oya", "京", "!!!")] == [[], [], [], []]
    assert shelf.find("lodz") == ["Łódź"]


@pytest.mark.parametrize(
    "typed",
    [
        "'; DROP TABLE tracks; --", '" OR 1=1', "love) OR (title:x", "{title} : x", "^love",
        "love*", "NEAR(love, 2)", "a + b", "rank", "-", '"', ":", "\x1b[2J", "%_", "\ud800 x",
        "x" * 100_000, "x " * 2000, "-x " * 2000, "year:1990 " * 500, "( " * 500,
    ],
    ids=lambda typed: repr(typed[:12]),
)  # fmt: skip
def test_nothing_that_is_typed_is_syntax(shelf: Shelf, typed: str) -> None:
    shelf.add("Title")
    for sort in ("relevance", "artist"):
        assert shelf.find(typed, sort) in ([], ["Title"])
    shelf.albums(typed)
    shelf.artists(typed)
    assert shelf.find("title") == ["Title"]


def test_a_library_is_searched_in_files(library: Library, plant: Plant) -> None:
    plant({"a/1.mp3": song("Jóga", "Björk", "Homogenic", date="1997"), "b.mp3": song("x", "y")})
    library.scan()
    (row,) = library.search(["BJORK", "year:1997"], sort="-year", limit=1)
    assert (row["title"], row["root"], row["path"]) == ("Jóga", "music", "a/1.mp3")
    (album,) = library.search(["bjork"], of="albums")
    assert album == {
        "album": "Homogenic", "albumartist": "Björk", "year": 1997, "tracks": 1, "id": album["id"],
    }  # fmt: skip
    (artist,) = library.search(["joga"], of="artists")
    assert artist == {"artist": "Björk", "tracks": 1, "id": artist["id"]}
    assert [row["title"] for row in library.search([], sort="-path", limit=None)] == ["x", "Jóga"]
    folder = library.root_paths()["music"]
    assert os.path.exists(os.path.join(folder, os.fsencode(str(row["path"]))))


def test_a_track_is_found_however_its_marks_are_typed(shelf: Shelf) -> None:
    for title in ("Don't Stop", "Sgt. Pepper\u2019s", "10,000 Days", "L'Amour Toujours", "T.N.T.",
                  "AC/DC", "Blink-182", "P!nk", "Ke$ha", "CHVRCHΞS", "deadmau5", "Кино", "Ärzte",
                  "Simon & Garfunkel", "Rock'n'Roll", "R&B", "KoЯn"):  # fmt: skip
        shelf.add(title, artist="x", album="y")
    for typed, title in {
        "dont stop": "Don't Stop", "don t": "Don't Stop", "sgt peppers": "Sgt. Pepper\u2019s",
        "pepper": "Sgt. Pepper\u2019s", "10000": "10,000 Days", "10 000 days": "10,000 Days",
        "lamour toujours": "L'Amour Toujours", "tnt": "T.N.T.", "t.n.t": "T.N.T.",
        "acdc": "AC/DC", "ac-dc": "AC/DC", "blink182": "Blink-182", "pink": "P!nk",
        "p!nk": "P!nk", "kesha": "Ke$ha", "chvrches": "CHVRCHΞS", "deadmaus": "deadmau5",
        "kino": "Кино", "aerzte": "Ärzte", "arzte": "Ärzte", "ärzte": "Ärzte",
        "simon and garfunkel": "Simon & Garfunkel", "simon y garfunkel": "Simon & Garfunkel",
        "simon garfunkel": "Simon & Garfunkel", "rocknroll": "Rock'n'Roll", "rnb": "R&B",
        "r&b": "R&B", "korn": "KoЯn",
    }.items():  # fmt: skip
        assert shelf.find(typed) == [title], typed


def test_what_is_tagged_plainly_is_found_by_signs(shelf: Shelf) -> None:
    for title in ("Pink", "REM", "Kino", "Aerzte", "Dont Stop", "Simon und Garfunkel"):
        shelf.add(title, artist="x", album="y")
    for typed, title in {
        "p!nk": "Pink", "r.e.m.": "REM", "кино": "Kino", "ärzte": "Aerzte",
        "don't stop": "Dont Stop", "simon & garfunkel": "Simon und Garfunkel",
    }.items():  # fmt: skip
        assert shelf.find(typed) == [title], typed


def test_composers_comments_labels_and_folders_are_found_after_names(shelf: Shelf) -> None:
    shelf.add("Suite", composer="J. S. Bach", album="Cello")
    shelf.add("Air", comment="of Bach " * 5)
    shelf.add("Fugue", label="Bach Archiv")
    shelf.add("Long Title of a Bach Cantata with Many Words", artist="Choir of Somewhere Else")
    shelf.add("Other", artist="Bach")
    assert shelf.find("bach")[:2] == ["Other", "Long Title of a Bach Cantata with Many Words"]
    assert sorted(shelf.find("bach")[2:]) == ["Air", "Fugue", "Suite"]
    assert shelf.find("composer:bach") == ["Suite"]
    assert shelf.find("comment:bach") == ["Air"]
    assert shelf.find("label:bach") == ["Fugue"]
    assert shelf.find("bach cello") == ["Suite"]


def test_a_folder_is_found_by_its_name(shelf: Shelf) -> None:
    (one,) = shelf.rows.add((b"Bootlegs/AC-DC Live/1.mp3", track("One", album="Tour")))
    shelf.rows.add((b"Bootlegs/Others/2.mp3", track("Two", album="Live")))
    assert shelf.find("bootlegs one") == ["One"]
    assert shelf.find('path:"bootlegs ac-dc"') == ["One"]
    assert shelf.find("path:live") == ["One"]
    assert shelf.find("path:acdc") == ["One"]
    assert shelf.find("bootlegs -path:live") == ["Two"]
    assert shelf.find("path:Bootlegs/Others") == ["Two"]
    shelf.rows.take_out([one])
    assert shelf.find("path:acdc") == []


def test_an_artist_and_an_album_of_that_name_are_first(shelf: Shelf) -> None:
    for number in range(3):
        shelf.add(f"{number}", artist="The Björk Covers", album="Homogenic Again")
    shelf.add("Jóga", artist="Björk", album="Homogenic")
    assert [row[0] for row in shelf.artists("bjork")] == ["Björk", "The Björk Covers"]
    assert [row[0] for row in shelf.albums("homogenic")] == ["Homogenic", "Homogenic Again"]


def test_what_was_asked_for_by_name_is_first(shelf: Shelf) -> None:
    for number in range(5):
        shelf.add(f"{number}", artist="Pink Floyd")
    shelf.add("So What of a Longer Title than the Others", artist="P!nk", album="Funhouse")
    assert shelf.find("pink")[0] == "So What of a Longer Title than the Others"


@pytest.mark.parametrize("limit", [10, 50, None])
def test_an_artist_of_that_name_is_before_many_whose_names_have_more_words(
    shelf: Shelf, limit: int | None
) -> None:
    """In all of these the word is more frequent, so that each ranks higher by its words."""
    for number in range(150):
        band = f"Björk's {'Birds' if number % 2 else 'Boats'}"
        shelf.add(f"{number}", artist=band, albumartist=band, album="Björk")
    shelf.add("All Is Full of Love", artist="Björk", album="Songs of a Longer Title", year=1997)
    shelf.add("Isobel", artist="Björk", album="Songs of a Longer Title", year=1995)
    found = shelf.find("bjork", limit=limit)
    assert sorted(found[:2]) == ["All Is Full of Love", "Isobel"]
    assert len(found) == len(set(found)) == (limit or 152)
    assert shelf.find("bjork year:1997", limit=limit) == ["All Is Full of Love"]


def test_or_is_one_of_two_terms(shelf: Shelf) -> None:
    shelf.add("Paris", year=1990)
    shelf.add("London", year=1991)
    shelf.add("Rome", year=1992)
    assert sorted(shelf.find("paris OR london")) == ["London", "Paris"]
    assert sorted(shelf.find("paris OR year:1992")) == ["Paris", "Rome"]
    assert shelf.find("artist paris OR rome -year:1992") == ["Paris"]
    assert sorted(shelf.find("paris OR -year:1990..1991")) == ["Paris", "Rome"]


def test_facts_narrow_a_question(shelf: Shelf) -> None:
    shelf.add("Long", duration=700.0, bitrate=320_000, codec="flac", has_picture=True, year=1984)
    shelf.add("Short", duration=120.4, bitrate=128_000, genre="Jazz", date="1991-05-02", year=1991)
    for typed, titles in {
        "duration:>10m": ["Long"], "duration:2:00": ["Short"], "bitrate:<192k": ["Short"],
        "has:picture": ["Long"], "missing:picture": ["Short"], "missing:genre": ["Long"],
        "has:genre": ["Short"], "year:80s": ["Long"], "80s": ["Long"], "1990..1999": ["Short"],
        "year:>=1985": ["Short"], "date:1991-05": ["Short"], "codec:FLAC": ["Long"],
        "added:1970-01-01": ["Long", "Short"], "added:7d": [], "root:MUSIC -has:picture": ["Short"],
        "compilation:no": ["Long", "Short"], "-duration:>10m": ["Short"], "missing:year": [],
    }.items():  # fmt: skip
        assert shelf.find(typed) == titles, typed


def test_an_index_of_other_versions_is_made_again_before_anything_is_taken_out(
    shelf: Shelf,
) -> None:
    track_id, kept = shelf.add("Jóga"), shelf.add("Other")
    shelf.connection.execute("INSERT INTO track_search (track_search) VALUES ('delete-all')")
    shelf.connection.execute("INSERT INTO track_search (rowid, title) VALUES (?, 'oddly')", (kept,))
    shelf.connection.execute("UPDATE identity SET search_folding = 'of another version'")
    shelf.rows.take_out([track_id])
    assert shelf.find("joga") == shelf.find("oddly") == []
    assert shelf.find("other") == ["Other"]
    (stored,) = next(shelf.connection.execute("SELECT search_folding FROM identity"))
    assert stored == index_rows.versions()


def test_words_of_other_versions_are_no_damage(shelf: Shelf) -> None:
    def told() -> list[Damage]:
        found = health.check(shelf.connection, deep=True)
        return [one for one in found if one.part is Part.FULL_TEXT]

    kept = shelf.add("Other")
    shelf.connection.execute("INSERT INTO track_search (track_search) VALUES ('delete-all')")
    shelf.connection.execute("INSERT INTO track_search (rowid, title) VALUES (?, 'oddly')", (kept,))
    assert told() != []
    shelf.connection.execute("UPDATE identity SET search_folding = 'of another version'")
    assert told() == []
    shelf.add("Another")
    assert shelf.find("other") == ["Other"]
    assert told() == []


def test_where_no_track_has_a_word_those_with_a_part_of_one_are_found(shelf: Shelf) -> None:
    shelf.add("Hyperballad")
    shelf.add("Other")
    assert shelf.find("ballad") == ["Hyperballad"]
    assert shelf.find("artist yperb") == ["Hyperballad"]
    assert shelf.find("hyper ballad") == ["Hyperballad"]
    assert shelf.find('"ballad"') == shelf.find("-ballad title:rb") == []
    shelf.add("Ballad")
    assert shelf.find("ballad") == ["Ballad"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("bjrok", "björk"), ("hyperbalad", "hyperballad"), ("motorhaed", "motörhead"),
     ("hyperbalad bjrok", "hyperballad")],
)  # fmt: skip
def test_a_misspelled_word_is_taken_for_the_likeliest_and_that_is_said(
    shelf: Shelf, typed: str, meant: str
) -> None:
    shelf.add("Hyperballad", artist="Björk")
    shelf.add("Overkill", artist="Motörhead")
    notes: list[SearchNote] = []
    rows = list(shelf.library.search([typed], note=notes.append))
    assert len(rows) == 1
    (told,) = notes
    assert told.instead[typed.split(maxsplit=1)[0]] == meant
    assert (told.total, told.nearest) == (None, ())


@pytest.mark.parametrize("typed", ["xqzvw", "hyperxyzzy", "bx", "qqq", "xqzvwkj hyperxyzzy"])
def test_nonsense_finds_nothing(shelf: Shelf, typed: str) -> None:
    shelf.add("Hyperballad", artist="Björk")
    assert shelf.find(typed) == []


def test_words_that_come_later_are_known_as_soon_as_they_are_there(shelf: Shelf) -> None:
    shelf.add("Other")
    assert shelf.find("bjrok") == []
    shelf.add("Björk")
    assert shelf.find("bjrok") == ["Björk"]


@pytest.mark.parametrize("most", [10_000, 3])
def test_a_letter_after_other_words_is_the_beginning_of_any_word(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(full_text, "_LOOKED_THROUGH", most)
    shelf.add("Love Street", artist="A")
    shelf.add("Love", artist="Ke$ha", album="x/y")
    shelf.add("Love", artist="Õ", album="10,000 Days", composer="Zappa")
    shelf.add("Love", artist="Q", comment="東京 rain", genre="Blues")
    shelf.add("Love", artist="Q", label="Ω")
    for letter in "abcdefghijklmnopqrstuvwxyz01é":
        typed = f"love {letter}"
        found = shelf.find(typed)
        assert sorted(found) == sorted(shelf.find(typed, limit=None)), typed
        assert shelf.find(typed, limit=1) == found[:1], typed
    assert shelf.find("love s") == ["Love Street"]
    assert shelf.find("nothing s") == []


def test_a_digit_as_a_word_is_before_many_longer_numbers(shelf: Shelf) -> None:
    for _ in range(110):
        shelf.add("Symphony 550")
    shelf.add("Symphony No. 5 with a longer title, which ranks it behind all others")
    assert shelf.find("symphony 5")[0].startswith("Symphony No. 5 ")


def test_words_that_tracks_have_are_not_replaced_where_these_have_no_artist(shelf: Shelf) -> None:
    nameless = Track(codec="mp3", title="lonely wolf")
    shelf.rows.add((b"lonely wolf.mp3", nameless))
    shelf.add("lonely wolfs", artist="Club")
    assert shelf.find("wolf lonely") == ["lonely wolf"]
    assert shelf.artists("wolf lonely") == []


FACTS = (
    "", "-love", "year:1990-1999", "-love year:90s", "path:one", "-path:one", "path:one year:90s",
    "year:1991 OR love", "-love -path:two", "missing:year", "tag:mood=x OR -love",
)  # fmt: skip


@pytest.mark.parametrize("is_odd", [False, True], ids=["UTF-8", "a path that is not"])
@pytest.mark.parametrize("looked_at", [0, 2, 7, 5000])
def test_the_first_in_the_order_of_paths_are_those_of_all(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, looked_at: int, is_odd: bool
) -> None:
    monkeypatch.setattr(results, "_LOOKED_AT", looked_at)
    monkeypatch.setattr(results, "_LOOKED_AT_FOR_WORDS", looked_at)
    for number in (3, 1, 2, 6, 5, 4, 9, 8, 7, 0):
        name = b"\xff" if is_odd and number == 4 else b""
        title = f"{'Love ' * (number % 3 == 0)}{number}"
        year = 1988 + number if number % 4 else None
        path = b"%s/%d%s.mp3" % (b"one" if number % 2 else b"two", number, name)
        shelf.rows.add((path, track(title, year=year)))
    for typed in FACTS:
        for sort in ("path", "-path", "relevance"):
            every = shelf.find(typed, sort, limit=None)
            assert every
            for limit in (1, 3, 10):
                assert shelf.find(typed, sort, limit) == every[:limit], (typed, sort)
