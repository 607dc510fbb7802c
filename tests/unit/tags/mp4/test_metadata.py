from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track
from tests.mp4_files import (
    RATE,
    box,
    data,
    full,
    handler,
    item,
    mp4,
    numbers,
    tagged,
    track,
)

SOUND = track((10 * RATE).to_bytes(4))


def read(content: bytes) -> Track:
    return tags.read_track(io.BytesIO(content), b".m4a")


def named(**texts: bytes) -> bytes:
    """Items of QuickTime that are called by the names in a table."""
    keys = [box(b"mdta", name.encode()) for name in texts]
    items = [item(numbers(place), text) for place, text in enumerate(texts.values(), 1)]
    table = full(b"keys", numbers(len(keys)), *keys)
    return handler(b"mdta") + table + box(b"ilst", *items)


@pytest.mark.parametrize("place", ["user data", "movie", "file", "track"])
@pytest.mark.parametrize("versioned", [False, True])
def test_a_meta_is_read_with_and_without_a_version_wherever_it_is(
    place: str, versioned: bool
) -> None:
    items = handler(b"mdir") + box(b"ilst", item(b"\xa9ART", b"Foo artist"))
    meta = full(b"meta", items) if versioned else box(b"meta", items)
    content = {
        "user data": mp4(SOUND, box(b"udta", meta)),
        "movie": mp4(meta, SOUND),
        "file": mp4(SOUND, after=meta),
        "track": mp4(track((10 * RATE).to_bytes(4), box(b"udta", meta))),
    }[place]
    found = read(content)
    assert (found.artists, found.channels, found.duration) == (("Foo artist",), 2, 10)


def test_items_of_quicktime_are_called_by_the_names_in_a_table() -> None:
    texts = {
        "com.apple.quicktime.title": "Jóga".encode(),
        "com.apple.quicktime.author": b"Author",
        "album_artist": b"Various",
        "track": b"3/12",
        "com.android.version": b"6.0.1",
        "date": b"1997-09-15",
    }
    found = read(mp4(SOUND, box(b"meta", named(**texts))))
    assert (found.title, found.artists, found.albumartists) == ("Jóga", ("Author",), ("Various",))
    assert (found.track, found.track_total, found.year) == (3, 12, 1997)
    texts["artist"] = b"Artist"
    assert read(mp4(SOUND, box(b"meta", named(**texts)))).artists == ("Artist",)


def test_items_of_itunes_come_before_those_of_quicktime() -> None:
    beside = box(b"meta", named(title=b"other", album=b"Homogenic"))
    found = read(tagged(item(b"\xa9nam", b"title"), beside=beside))
    assert (found.title, found.album) == ("title", "Homogenic")


def test_a_list_may_have_items_of_both() -> None:
    """As exiftool leaves it where ffmpeg wrote names; the texts were joined with themselves."""
    keys = named(title=b"other", album=b"Homogenic")
    at = keys.index(b"ilst")
    items = keys[at + 4 :] + item(b"\xa9nam", b"title")
    content = keys[: at - 4] + box(b"ilst", items)
    found = read(mp4(SOUND, box(b"meta", content)))
    assert (found.title, found.album) == ("title", "Homogenic")


def asset(name: bytes, value: bytes) -> bytes:
    """An asset of 3GPP in English."""
    return full(name, b"\x15\xc7", value)


def test_assets_of_3gpp_are_read() -> None:
    assets = [
        asset(b"titl", b"Title\0"),
        asset(b"auth", b"Author\0"),
        asset(b"perf", "\ufeffKünstler\0".encode("utf-16-be")),
        asset(b"gnre", b"Rock\0"),
        asset(b"albm", b"Album\0\x07"),
        full(b"yrrc", struct.pack(">H", 1997)),
    ]
    found = read(mp4(SOUND, box(b"udta", *assets)))
    assert (found.title, found.artists, found.genres) == ("Title", ("Künstler",), ("Rock",))
    assert (found.album, found.track, found.year) == ("Album", 7, 1997)
    del assets[2]
    assert read(mp4(SOUND, box(b"udta", *assets))).artists == ("Author",)


def test_an_album_of_3gpp_in_utf_16_has_its_track_number_behind_it() -> None:
    album = asset(b"albm", "\ufeffÄlbum\0".encode("utf-16-be") + b"\x09")
    found = read(mp4(SOUND, box(b"udta", album)))
    assert (found.album, found.track) == ("Älbum", 9)


def test_texts_of_quicktime_are_read_with_their_sizes() -> None:
    """A language below 0x400 is one of Macintosh, whose text may be Mac OS Roman."""
    roman = struct.pack(">HH", 4, 0) + b"J\x97ga" + struct.pack(">HH", 1, 1) + b"x"
    utf_8 = struct.pack(">HH", 6, 0x55C4) + "Björk".encode()
    user_data = box(b"udta", box(b"\xa9nam", roman), box(b"\xa9ART", utf_8), bytes(4))
    found = read(mp4(SOUND, user_data))
    assert (found.title, found.artists) == ("Jóga", ("Björk",))


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("Café".encode("latin-1"), 1, "Café"),
        (b"\x93Quoted\x94", 1, "“Quoted”"),
        ("日本".encode("utf-16-be"), 2, "日本"),
        ("\ufeff日本".encode("utf-16-le"), 1, "日本"),
        ("日本".encode("shift_jis"), 3, "日本"),
        (b"\x07\xcd", 21, "1997"),
    ],
)
def test_a_text_that_is_no_utf_8_is_decoded(text: bytes, kind: int, expected: str) -> None:
    """Unlike mutagen, which drops it; ffmpeg and exiftool show it."""
    assert read(tagged(item(b"\xa9nam", text, kind))).title == expected


def test_a_track_number_that_is_cut_short_is_read() -> None:
    """Audio::Scan and taglib read the 10, where mutagen refuses the file."""
    found = read(tagged(item(b"trkn", b"\0\0\0\x0a", 0), item(b"\xa9nam", b"x")))
    assert (found.track, found.track_total, found.title) == (10, None, "x")


ODD = [
    item(b"trkn", b"", 0),
    item(b"trkn", b"\0", 0),
    item(b"disk", b"", 21),
    box(b"trkn"),
    box(b"cpil"),
    item(b"cpil", b""),
    item(b"tmpo", b""),
    item(b"tmpo", bytes(20), 21),
    item(b"gnre", b""),
    item(b"gnre", b"\xff\xff"),
    box(b"----"),
    box(b"----", full(b"mean", b"x")),
    box(b"----", full(b"mean", b"com.apple.iTunes"), full(b"name", b"LABEL")),
    box(b"covr"),
    box(b"covr", bytes(30)),
    box(b"\xa9alb"),
    box(b"\xa9alb", bytes(3)),
    box(b"\xa9alb", b"\0\0\0\x04data"),
    box(b"\xa9alb", b"\x7f\xff\xff\xffdata\0\0\0\1\0\0\0\0x"),
    item(b"\xa9alb", b"x", 99),
    item(b"\xa9alb", b"x", 13),
    box(b"meta"),
    box(b"udta"),
    box(b"moov"),
]
"""Items that are broken, of no use, or no items."""


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_item_costs_no_other(odd: bytes) -> None:
    before, behind = item(b"\xa9nam", b"x"), item(b"\xa9ART", b"y")
    found = read(tagged(before, odd, behind))
    assert (found.title, found.artists, found.album) == ("x", ("y",), None)
    assert (found.track, found.disc, found.has_picture) == (None, None, False)


@pytest.mark.parametrize("name", [b"titl", b"albm", b"yrrc", b"\xa9nam", b"\xa9ART"])
@pytest.mark.parametrize("size", range(9))
def test_user_data_that_is_cut_short_refuses_nothing(name: bytes, size: int) -> None:
    assert read(mp4(SOUND, box(b"udta", box(name, bytes(size))))).duration == 10


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_box_without_a_length_ends_its_container_only(size: int) -> None:
    odd = size.to_bytes(4) + b"\xa9aut"
    meta = full(b"meta", handler(b"mdir"), box(b"ilst", item(b"\xa9nam", b"x")), odd)
    found = read(mp4(SOUND, box(b"udta", meta)))
    assert (found.title, found.duration) == ("x", 10)


def test_several_data_of_one_item_stay_apart() -> None:
    odd = box(b"free")
    found = read(tagged(box(b"\xa9ART", data(b"a"), odd, data(b"b"))))
    assert found.artists == ("a", "b")
