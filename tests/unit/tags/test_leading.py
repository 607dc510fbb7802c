from __future__ import annotations

import io
from itertools import chain

import pytest
from msgspec.structs import replace

from indexer import tags
from indexer.model import Track
from indexer.tags import leading
from indexer.tags.window import Window
from tests import corpus

OTHERS = sorted(set(corpus.STREAMS) - {".mp3", ".mp2", ".mp1", ".aac"})
"""Formats that begin with bytes of their own."""
TITLE = "A title of more than thirty characters"


def read(content: bytes, suffix: str) -> Track:
    return tags.read_track(io.BytesIO(content), suffix[suffix.rindex(".") :].encode())


def tag(title: str = "", album: str = "", date: str = "") -> bytes:
    content = corpus.tagged(title=title, album=album, date=date)
    return content[: -len(corpus.template(".mp3"))]


def v1(title: str) -> bytes:
    return b"TAG" + title.encode()[:30].ljust(30, b"\0") + bytes(94) + b"\xff"


@pytest.mark.parametrize("suffix", OTHERS)
@pytest.mark.parametrize("other", ["its own", ".mp3"])
def test_an_id3_tag_before_any_format_is_skipped_and_fills_what_its_own_tags_lack(
    suffix: str, other: str
) -> None:
    is_tagged = suffix != ".tta"  # its own would be ID3, too
    content = corpus.tagged(suffix, album="Debut") if is_tagged else corpus.template(suffix)
    alone = read(content, suffix)
    track = read(
        tag(title=TITLE, album="of ID3", date="1993") + content,
        suffix if other != ".mp3" else other,
    )
    album = "Debut" if is_tagged else "of ID3"
    assert track == replace(alone, title=TITLE, album=album, date="1993", year=1993)


@pytest.mark.parametrize("suffix", [".flac", ".ape", ".wv", ".mpc", ".ac3"])
def test_an_id3v1_tag_does_not_hide_the_longer_text_of_the_id3_tag_before_the_sound(
    suffix: str,
) -> None:
    sound = corpus.template(suffix)
    assert read(tag(title=TITLE) + sound + v1(TITLE), suffix).title == TITLE
    assert read(tag(album="Debut") + sound + v1(TITLE), suffix).title == TITLE[:30]


def test_a_date_of_the_format_gives_way_to_one_with_a_year() -> None:
    content = tag(date="1993") + corpus.tagged(".flac", date="soon")
    assert read(content, ".flac").date == "1993"
    content = tag(date="1993") + corpus.tagged(".flac", date="1994")
    assert read(content, ".flac").date == "1994"
    content = tag(date="later") + corpus.tagged(".flac", date="soon")
    assert read(content, ".flac").date == "soon"


def test_several_tags_and_their_padding_are_skipped() -> None:
    head = tag(title="first") + tag(title="second") + bytes(1000)
    for suffix in (".flac", ".mp3", ".ape"):
        track = read(head + corpus.template(suffix), suffix)
        assert (track.title, track.codec) == ("first", suffix[1:])


def test_a_broken_tag_before_another_format_costs_nothing_but_itself() -> None:
    unknown = b"ID3\x05\0\x40\0\0\0\0"  # of a later version
    assert read(unknown + corpus.tagged(".flac", album="Debut"), ".flac").album == "Debut"
    broken = b"ID3\x04\x00\x4f" + bytes([0, 0, 0, 20]) + b"\xff" * 20
    for suffix in OTHERS:
        if suffix == ".tta":  # the tag that it costs is its only one
            continue
        assert read(broken + corpus.tagged(suffix, album="Debut"), suffix).album == "Debut"


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"ID3\x03\0\0\0\0\x01\x02", 10 + 130),
        (b"ID3\x04\0\x10\0\0\x01\x02", 10 + 130 + 10),
        (b"ID3\x03\0\x10\0\0\x01\x02", 10 + 130),
        (b"ID3\x02\0\0\x7f\x7f\x7f\x7f", 10 + 2**28 - 1),
        (b"ID3\x03\0\0\0\0\x81\x02", 0),
        (b"ID3\x05\0\0\0\0\x01\x02", 10 + 130),
        (b"ID3\xff\0\0\0\0\x01\x02", 0),
        (b"ID3\x03\xff\0\0\0\x01\x02", 0),
        (b"ID3\x03\0\0\0\0\x01", 0),
        (b"IDX\x03\0\0\0\0\x01\x02", 0),
    ],
)
def test_the_size_of_a_tag_is_of_seven_bits_a_byte_and_counts_its_footer(
    header: bytes, size: int
) -> None:
    assert leading.size_of(header) == size


def test_tags_without_end_are_not_followed_for_ever() -> None:
    many = Window(io.BytesIO(b"ID3\x03\0\0\0\0\0\0" * 10_000))
    assert leading.end_of_tags(many) == 10 * leading.TAGS_LIMIT


def test_a_tag_behind_junk_is_read_if_it_begins_near_the_head() -> None:
    sound = corpus.template(".mp3")
    for size, seen in ((500, True), (leading.JUNK_LIMIT + 1, False)):
        junk = bytes(chain.from_iterable((b"ID3\xff" * (size // 4 + 1),)))[:size]
        track = read(junk + tag(title="Debut") + sound, ".mp3")
        assert (track.title == "Debut") is seen
        assert track.codec == "mp3"


def test_a_tag_in_the_sound_is_no_tag_behind_junk() -> None:
    sound = corpus.template(".mp3")
    assert read(b"junk" + sound + tag(title="of another file"), ".mp3").title is None
