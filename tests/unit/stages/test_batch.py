from __future__ import annotations

import pytest

from indexer.model import Problem, ProblemKind, Reading, Track, Waiting
from indexer.stages.batch import Shaped, album_key, batch, reshape, shape
from indexer.stages.scan import Plan
from tests.trees import entry, stamp

WHOLE = Track(codec="mp3", title="Jóga", artists=("Björk",), album="Homogenic")
BARE = Track(codec="mp3")


def at_place(path: bytes, track: Track = WHOLE) -> Shaped:
    return shape(track, path, "music")


def names(shaped: Shaped) -> tuple[object, ...]:
    return tuple(shaped.column(name) for name in ("title", "artist", "album", "guessed"))


def test_what_the_tags_say_is_not_guessed() -> None:
    assert names(at_place(b"A/B/1.mp3")) == ("Jóga", "Björk", "Homogenic", 0)


def test_what_the_tags_do_not_say_the_path_says() -> None:
    assert names(at_place(b"Artist/Album/Title.mp3", BARE)) == ("Title", "Artist", "Album", 7)
    assert names(at_place(b"Artist/Album/CD 1/Title.mp3", BARE)) == ("Title", "Artist", "Album", 7)
    assert names(at_place(b"Album/Title.mp3", BARE)) == ("Title", None, "Album", 3)
    assert names(at_place(b"Title.mp3", BARE)) == ("Title", None, "music", 3)


def test_several_values_are_joined_in_the_column_and_kept_apart_beside_it() -> None:
    track = Track(codec="mp3", artists=("A; B", "C"), albumartists=("D",), genres=("E", "F"))
    shaped = at_place(b"1.mp3", track)
    assert (shaped.column("artist"), shaped.column("genre")) == ("A; B; C", "E; F")
    assert (shaped.artists, shaped.albumartists, shaped.genres) == (
        ("A; B", "C"), ("D",), ("E", "F"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "track",
    [
        WHOLE,
        BARE,
        Track(codec="mp3", title="T", album="A"),
        Track(codec="mp3", title="T"),
        Track(codec="mp3", artists=("A; B", "C"), genres=("E", "F"), bpm="120", duration=1.5),
    ],
)
@pytest.mark.parametrize("path", [b"1.mp3", b"B/1.mp3", b"A/B/CD 2/\xff.mp3"])
def test_a_row_at_another_path_is_what_reading_the_file_there_would_give(
    track: Track, path: bytes
) -> None:
    for before in (b"Artist/Album/Title.mp3", b"Title.mp3"):
        row = at_place(before, track).columns
        assert reshape(row, path, "other") == shape(track, path, "other")


@pytest.mark.parametrize(
    ("written", "column"),
    [
        ("120", 120),
        ("120.0", 120),
        ("119.98", 119.98),
        ("-0", 0),
        ("9007199254740993", 2.0**53),
        ("fast", "fast"),
        ("", ""),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e400", "1e400"),
    ],
)
def test_a_tempo_is_a_number_where_it_is_one(written: str, column: object) -> None:
    shaped = at_place(b"1.mp3", Track(codec="mp3", bpm=written))
    assert shaped.column("bpm") == column
    assert type(shaped.column("bpm")) is type(column)


def key(path: bytes = b"Artist/Album/1.mp3", root_id: int = 1, **tags: object) -> bytes:
    return album_key(at_place(path, Track(codec="mp3", **tags)), root_id, path)  # type: ignore[arg-type]


def test_a_release_id_makes_an_album_one_wherever_it_lies() -> None:
    release = "0e6b0d5c"
    assert key(b"A/1.mp3", 1, mb_albumid=release) == key(b"B/2.mp3", 2, mb_albumid=release)
    assert key(mb_albumid=release) != key(mb_albumid="other")


def test_without_one_an_album_is_its_name_its_artist_and_its_folder() -> None:
    plain = key(album="A", albumartists=("B",))
    assert key(b"Artist/Album/2.mp3", album="A", albumartists=("B",), artists=("C",)) == plain
    assert key(b"Artist/Album/CD 2/1.mp3", album="A", albumartists=("B",)) == plain
    assert key(b"Elsewhere/1.mp3", album="A", albumartists=("B",)) != plain
    assert key(root_id=2, album="A", albumartists=("B",)) != plain
    assert key(album="Other", albumartists=("B",)) != plain
    assert key(album="A", albumartists=("Other",)) != plain


def test_a_compilation_with_many_artists_is_one_album() -> None:
    one = key(album="Best", artists=("A",), compilation=True)
    assert key(album="Best", artists=("B",), compilation=True) == one
    assert key(album="Best", albumartists=("Various Artists",)) == one


def test_readings_find_their_entries_and_what_is_not_whole_waits() -> None:
    entries = tuple(entry(b"%d.mp3" % number, number) for number in range(1, 6))
    refused = Problem(ProblemKind.CONTENT, "no")
    plan = Plan(3, entries[:4], entries[4:], reread=7)
    ready = batch(
        plan,
        [
            Reading(path=b"2.mp3", stamp=stamp(9), problem=refused, opened=True, bytes_read=10),
            Reading(path=b"1.mp3", stamp=stamp(8), track=WHOLE, opened=True, bytes_read=5),
            Reading(path=b"3.mp3", waiting=Waiting.WRITER),
            Reading(path=b"4.mp3", gone=True),
        ],
    )
    found = {finding.entry.path: finding for finding in ready.findings}
    assert set(ready.waiting) == {b"3.mp3", b"4.mp3"}
    assert found.keys() == {b"1.mp3", b"2.mp3", b"5.mp3"}
    assert found[b"1.mp3"].entry.stamp == stamp(8), "what was read, not what was listed"
    assert (found[b"2.mp3"].problem, found[b"5.mp3"].track) == (refused, None)
    assert (ready.root_id, ready.files_read, ready.bytes_read, ready.reread) == (3, 2, 15, 7)


def test_a_special_file_is_a_problem_and_is_not_read() -> None:
    (finding,) = batch(Plan(1, (), (entry(b"1.mp3", special="a FIFO"),)), []).findings
    assert finding.problem is not None
    assert finding.problem.kind is ProblemKind.CONTENT
    assert "a FIFO" in finding.problem.reason
