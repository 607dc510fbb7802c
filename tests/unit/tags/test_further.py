"""Sort names and other tags of every format, as MusicBrainz Picard writes them."""

from __future__ import annotations

import io
import json

import pytest
from mutagen import id3
from mutagen.apev2 import APEv2

from indexer import tags
from indexer.model import Track
from indexer.tags import columns, further
from tests import corpus, further_tags
from tests.further_tags import with_tags

SEVERAL = {
    "albumartistsort": ["Karajan, Herbert von", "Berliner Philharmoniker"],
    "artistsort": ["Björk", "Hooper, Nellee"],
    "albumsort": ["Ring, Der"],
    "titlesort": ["Walkürenritt"],
    "composersort": ["Wagner, Richard"],
    "originaldate": ["1967-08-28"],
    "discsubtitle": ["Erster Tag"],
    "media": ['12" Vinyl'],
    "work": ["Die Walküre, WWV 86B"],
    "movement": ["Dritter Aufzug"],
    "conductor": ["Herbert von Karajan", "James Levine"],
    "mood": ["Heroic", "Dark"],
    "grouping": ["Bayreuth"],
    "key": ["Bm"],
}
SINGLE = {name: texts[:1] for name, texts in SEVERAL.items()}


class File(io.BytesIO):
    """An open file, and the names of other tags to keep."""

    def __init__(self, content: bytes, *keep: str) -> None:
        super().__init__(content)
        self.keep_tags = frozenset(keep)


def read(content: bytes, suffix: str = ".mp3", *keep: str) -> Track:
    return tags.read_track(File(content, *keep), suffix[suffix.rindex(".") :].encode())


def told(track: Track) -> dict[str, list[str]]:
    return {} if track.tags is None else json.loads(track.tags)


def test_the_table_has_every_name() -> None:
    assert SEVERAL.keys() == further.NAMES


@pytest.mark.parametrize("suffix", further_tags.SUFFIXES)
def test_each_tag_of_each_format_is_read_by_its_name(suffix: str) -> None:
    track = read(with_tags(suffix, SINGLE, title="Ride"), suffix)
    assert told(track) == SINGLE
    assert list(told(track)) == sorted(SINGLE)
    assert (track.title, track.has_lyrics) == (None if suffix == ".caf" else "Ride", False)


@pytest.mark.parametrize("suffix", further_tags.SUFFIXES)
def test_several_values_keep_their_order(suffix: str) -> None:
    assert told(read(with_tags(suffix, SEVERAL), suffix)) == SEVERAL


@pytest.mark.parametrize("suffix", further_tags.SUFFIXES)
@pytest.mark.parametrize(("text", "seen"), [("Hojotoho!", True), (" ", False)])
def test_lyrics_are_seen_and_not_kept(suffix: str, text: str, seen: bool) -> None:
    track = read(with_tags(suffix, {"lyrics": [text]}), suffix, "*")
    assert track.has_lyrics is seen
    assert "lyrics" not in told(track)


@pytest.mark.parametrize("suffix", further_tags.SUFFIXES)
@pytest.mark.parametrize("name", ["lyrics-eng", "LYRICS-deu", "lyrics-Live in Cork-jpn"])
def test_lyrics_of_any_language_and_description_are_seen_and_not_kept(
    suffix: str, name: str
) -> None:
    """Ffmpeg (5.1) names the lyrics of ID3 so where it converts them."""
    track = read(with_tags(suffix, {name: ["Hojotoho!"]}), suffix, "*")
    assert track.has_lyrics
    assert not [one for one in told(track) if one.startswith("lyrics")]
    assert read(with_tags(suffix, {name: ["Hojotoho!"]}), suffix).has_lyrics
    assert not read(with_tags(suffix, {"lyricist": ["Wagner"]}), suffix, "*").has_lyrics


@pytest.mark.parametrize("suffix", further_tags.SUFFIXES)
def test_other_tags_are_read_where_they_are_to_be_kept(suffix: str) -> None:
    written = {"barcode": ["042284"], "encodedby": ["A", "B"], "mood": ["Dark"]}
    content = with_tags(suffix, written)
    assert told(read(content, suffix)) == {"mood": ["Dark"]}
    assert told(read(content, suffix, "barcode")) == {"barcode": ["042284"], "mood": ["Dark"]}
    every = told(read(content, suffix, "*"))
    assert {name: every.get(name) for name in written} == written


@pytest.mark.parametrize("suffix", further_tags.SUFFIXES)
def test_the_columns_are_the_same_with_other_tags_kept(suffix: str) -> None:
    content = with_tags(
        suffix, SEVERAL, title="Ride", artist="Björk", album="Ring", date="1967", track=3
    )
    kept, plain = (read(content, suffix, *keep) for keep in (("*",), ()))
    for name in Track.__struct_fields__:
        if name != "tags":
            assert getattr(kept, name) == getattr(plain, name), name
    assert told(plain) == {name: told(kept)[name] for name in told(plain)}


def test_the_short_frames_of_id3v2_2_are_read_where_other_tags_are_kept() -> None:
    texts = {
        b"TT2": b"Ride",
        b"TP1": b"Bj\xf6rk",
        b"TCM": b"Wagner",
        b"TT3": b"Live",
        b"ULT": b"eng\0La",
    }
    frames = b"".join(
        name + (1 + len(text)).to_bytes(3) + b"\0" + text for name, text in texts.items()
    )
    content = b"ID3\2\0\0\0\0\0" + bytes([len(frames)]) + frames + corpus.template(".mp3")
    kept, plain = (read(content, ".mp3", *keep) for keep in (("*",), ()))
    for track in (kept, plain):
        assert (track.title, track.artists, track.composer) == ("Ride", ("Björk",), "Wagner")
        assert track.has_lyrics
    assert told(kept) == {"subtitle": ["Live"]}


@pytest.mark.parametrize("suffix", [".mp3", ".wav"])
def test_the_tags_of_id3v2_3_are_those_of_id3v2_4(suffix: str) -> None:
    assert told(read(with_tags(suffix, SINGLE, id3_version=3), suffix)) == SINGLE


def id3_file(*frames: id3.Frame, version: int = 4) -> bytes:
    file = io.BytesIO(corpus.template(".mp3"))
    tag = id3.ID3()
    for frame in frames:
        tag.add(frame)
    tag.save(file, v2_version=version, v23_sep=None)
    return file.getvalue()


def test_the_year_of_the_first_release_gives_way_to_its_date() -> None:
    year = id3.TORY(encoding=3, text="1967")
    assert told(read(id3_file(year, version=3))) == {"originaldate": ["1967"]}
    both = id3_file(year, id3.TDOR(encoding=3, text="1967-08"), id3.TDRC(encoding=3, text="1990"))
    track = read(both)
    assert (told(track), track.year) == ({"originaldate": ["1967-08"]}, 1990)


def test_what_itunes_writes_as_the_work_is_the_work() -> None:
    alone = id3.TIT1(encoding=3, text="one")
    assert told(read(id3_file(alone))) == {"grouping": ["one"]}
    both = id3_file(alone, id3.GRP1(encoding=3, text="two"))
    assert told(read(both)) == {"grouping": ["two"], "work": ["one"]}


def test_what_taglib_writes_as_the_work_is_the_work() -> None:
    """Kid3, too."""
    frames = id3.TIT1(encoding=3, text="one"), id3.TXXX(encoding=3, desc="GROUPING", text="two")
    assert told(read(id3_file(*frames))) == {"grouping": ["two"], "work": ["one"]}
    frames[1].text = ["one"]
    assert told(read(id3_file(*frames))) == {"grouping": ["one"]}


def test_what_quod_libet_writes_has_a_prefix() -> None:
    names = ("albumartist", "work", "arranger")
    frames = [id3.TXXX(encoding=3, desc=f"QuodLibet::{name}", text=name) for name in names]
    track = read(id3_file(*frames), ".mp3", "arranger")
    assert track.albumartists == ("albumartist",)
    assert told(track) == {"arranger": ["arranger"], "work": ["work"]}


SECOND_NAMES = [
    (column, name)
    for column, names in columns.SECOND_NAMES.items()
    for name in names
    if column in further.NAMES
]


@pytest.mark.parametrize("reader", [".flac", ".mp3", ".wv", ".wma", ".mka", ".m4a"])
@pytest.mark.parametrize(("column", "name"), SECOND_NAMES)
def test_a_second_name_counts_where_that_of_picard_is_missing(
    column: str, name: str, reader: str
) -> None:
    content = with_tags(reader, {name: ["other"]}, title="Ride")
    assert told(read(content, reader)) == {column: ["other"]}


@pytest.mark.parametrize("compressed", [False, True], ids=["ours", "mutagen"])
def test_lyrics_are_seen_in_any_frame(compressed: bool) -> None:
    frames: list[id3.Frame] = [
        id3.USLT(encoding=1, lang="eng", desc="Größe", text=""),
        id3.SYLT(encoding=3, lang="eng", format=2, type=1, desc="", text=[("Hojotoho", 0)]),
    ]
    more = [id3.TCOM(encoding=2, text="Wagner")] if compressed else []  # UTF-16 without a mark
    assert not read(id3_file(frames[0], *more)).has_lyrics
    assert read(id3_file(*frames, *more)).has_lyrics
    user_text = id3.TXXX(encoding=3, desc="UNSYNCEDLYRICS", text="Hojotoho")
    assert read(id3_file(user_text, *more)).has_lyrics


@pytest.mark.parametrize("declined", [False, True], ids=["ours", "mutagen"])
def test_persons_and_links_are_kept_by_their_roles(declined: bool) -> None:
    frames: list[id3.Frame] = [
        id3.TIPL(encoding=3, people=[["engineer", "Al"], ["mix", "Bo"], ["engineer", "Cy"]]),
        id3.TMCL(encoding=3, people=[["harp", "Di"]]),
        id3.WOAR(url="https://bjork.com"),
        id3.TXXX(encoding=3, desc="MusicBrainz Album Type", text="album"),
    ]
    if declined:
        frames.append(id3.TCOM(encoding=2, text="Wagner"))
    assert told(read(id3_file(*frames), ".mp3", "*")) == {
        "engineer": ["Al", "Cy"],
        "mixer": ["Bo"],
        "performer": ["Di (harp)"],
        "releasetype": ["album"],
        "website": ["https://bjork.com"],
    }


def test_long_and_many_values_are_cut() -> None:
    names = [f"x{number:03}" for number in range(300)]
    content = with_tags(".flac", {"mood": ["é" * 5000], **{name: ["1"] for name in names}})
    kept = told(read(content, ".flac", "*"))
    assert sum(map(len, kept.values())) == further.VALUES_LIMIT
    assert kept["mood"] == ["é" * (further.VALUE_LIMIT // 2)]


def test_pictures_and_binary_items_are_never_kept() -> None:
    file = io.BytesIO(corpus.template(".ape"))
    ape = APEv2()
    ape["Cover Art (Front)"] = b"cover.jpg\0" + b"x" * 10
    ape["Barcode"] = b"\x01\x02"
    ape.save(file)
    assert told(read(file.getvalue(), ".ape", "*")) == {}
    picture = corpus.tagged(".ogg", picture=2000, title="x")
    assert told(read(picture, ".ogg", "*")) == {}


@pytest.mark.parametrize("suffix", [".wav", ".w64"])
def test_the_media_is_read_of_riff(suffix: str) -> None:
    written = {"media": ["CD"], "encodedby": ["Al"]}
    make = further_tags.wave_with_info if suffix == ".wav" else further_tags.wave64_with_info
    assert told(read(make(written), suffix)) == {"media": ["CD"]}
    assert told(read(make(written), suffix, "*")) == written


def test_a_broken_tag_costs_itself_alone() -> None:
    content = with_tags(".mp3", SINGLE, title="Ride")
    at = content.index(b"TMOO")
    broken = content[: at + 10] + b"\x09" + content[at + 11 :]  # no such encoding
    expected = {name: text for name, text in SINGLE.items() if name != "mood"}
    assert (told(read(broken)), read(broken).title) == (expected, "Ride")


def test_a_name_of_a_column_is_no_column_when_it_is_kept() -> None:
    content = with_tags(".flac", {"bitrate": ["fast"]}, title="x")
    track = read(content, ".flac", "*")
    assert told(track) == {"bitrate": ["fast"]}
    assert track.bitrate == read(corpus.tagged(".flac", title="x"), ".flac").bitrate
