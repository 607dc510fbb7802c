from __future__ import annotations

import io
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.tags.fast.ogg import plain_ogg
from indexer.tags.fast.ogg_pages import PAGES_LIMIT, TAILS
from indexer.tags.window import BLOCK, Window
from tests.property.effort import tries
from tests.property.test_fast_flac import KEYS, item, little
from tests.property.test_fast_readers import Counted, assert_same


@pytest.fixture(autouse=True, scope="module")
def begins_at_zero() -> Iterator[None]:
    """Positions here are what they are drawn as; mutagen takes each for a length from 0 on."""
    with (
        patch("indexer.tags.fast.ogg.start_of", lambda *_: 0),
        patch("indexer.tags.vorbis.mutagen_vorbis.start_of", lambda *_: 0),
    ):
        yield


def page(packet: bytes, flags: int, sequence: int, serial: int, position: int) -> bytes:
    """A page of whole lacing values; one of 65 025 bytes does not end its packet."""
    lacing = [255] * (len(packet) // 255)
    if len(lacing) < 255:
        lacing.append(len(packet) % 255)
    head = b"OggS\0" + bytes([flags]) + position.to_bytes(8, "little", signed=True)
    head += little(serial) + little(sequence) + bytes(4) + bytes([len(lacing), *lacing])
    return head + packet


@st.composite
def ogg_files(draw: st.DrawFn) -> bytes:
    """Vorbis or Opus, comments over several pages, flags and numbers that may be wrong."""
    wrong = st.sampled_from([0] * 60 + [1])
    is_opus = draw(st.booleans())
    if is_opus:
        identity = b"OpusHead" + bytes([draw(st.sampled_from([1] * 9 + [16])), 2]) + b"\x38\1"
        identity += little(44100) + bytes(3)
    else:
        rates = [draw(st.sampled_from([0, 128_000, 2**32 - 1, 96_000])) for _ in range(3)]
        rate = draw(st.sampled_from([44100] * 9 + [0]))
        identity = b"\x01vorbis" + bytes(4) + b"\2" + b"".join(map(little, [rate, *rates]))
        identity += b"\xb8\1"
    identity = identity[: draw(st.sampled_from([99] * 20 + [20, 10]))]
    long = st.sampled_from([1000, 1017, 1100, 40_000, 70_000, 131_000]).map(
        lambda size: b"A" * size
    )
    key = st.sampled_from([*KEYS, "METADATA_BLOCK_PICTURE", "k" * 40])
    longer = st.tuples(key, long).map(lambda pair: pair[0].encode() + b"=" + pair[1])
    entries = draw(st.lists(st.one_of(item, item, longer), max_size=6))
    tags = (b"OpusTags" if is_opus else b"\x03vorbis") + little(4) + b"made"
    tags += little(len(entries) + draw(wrong))
    for one in entries:
        tags += little(len(one) + draw(wrong)) + one
    tags += b"" if is_opus else draw(st.sampled_from([b"\1"] * 9 + [b"\0", b""]))
    tags += bytes(draw(st.sampled_from([0, 0, 0, 300, 60_000])))
    step = draw(st.sampled_from([255, 255 * 16, 255 * 255]))
    content = page(identity, 2 ^ draw(wrong), 0, 7, 0)
    cuts = range(0, len(tags), step)
    for number, cut in enumerate(cuts):
        piece = tags[cut : cut + step]
        whole = page(
            piece, (number > 0) ^ draw(wrong), number + 1 + draw(wrong), 7 + draw(wrong), 0
        )
        if len(piece) == step < 255 * 255 and cut + step < len(tags):  # drop the zero that ends it
            head = 27 + step // 255
            whole = whole[:26] + bytes([step // 255]) + whole[27:head] + whole[head + 1 :]
        content += whole
    sequence = len(cuts) + 1
    for number in range(draw(st.integers(0, 4))):
        sound = bytes(draw(st.sampled_from([0, 100, 20_000, 60_000])))
        if not draw(st.integers(0, 20)):
            sound += b"OggS"
        position = draw(st.sampled_from([44100, 99_999, 200, 0, -1]))
        flags = draw(st.sampled_from([0, 4, 4, 4]))
        content += page(sound, flags, sequence + number, 7 + draw(wrong), position)
    content += draw(st.sampled_from([b""] * 9 + [b"\0" * 40, b"x" * 70_000]))
    if not draw(st.integers(0, 9)):
        content = content[: draw(st.integers(0, len(content)))]
    return content


@tries(400)
@given(ogg_files(), st.sampled_from([".ogg", ".opus"]))
def test_ogg_is_read_as_mutagen_reads_it(content: bytes, suffix: str) -> None:
    assert_same(content, suffix)


HEAD = b"\x01vorbis" + bytes(4) + b"\2" + little(44100) + bytes(12) + b"\xb8\1"
SOUND = page(bytes(300), 4, 9, 7, 44100)


def unfinished(packet: bytes, sequence: int, flags: int = 1, serial: int = 7) -> bytes:
    """A page whose packet continues: no lacing value ends it."""
    whole = page(packet, flags, sequence, serial, -1)
    segments = len(packet) // 255
    return whole[:26] + bytes([segments]) + whole[27 : 27 + segments] + packet


def comments_of(*comments: bytes) -> bytes:
    listed = b"".join(little(len(one)) + one for one in comments)
    return b"\x03vorbis" + little(4) + b"made" + little(len(comments)) + listed + b"\1"


def paged(tags: bytes, segments: list[int]) -> list[bytes]:
    """The pages of comments with these numbers of lacing values; the last number repeats."""
    pages: list[bytes] = []
    while True:
        size = 255 * segments[min(len(pages), len(segments) - 1)]
        number, flags = len(pages) + 1, int(bool(pages))
        if len(tags) < size:
            return [*pages, page(tags, flags, number, 7, 0)]
        pages.append(unfinished(tags[:size], number, flags))
        tags = tags[size:]


def vorbis(pages: list[bytes]) -> bytes:
    return page(HEAD, 2, 0, 7, 0) + b"".join(pages) + SOUND


def picture(size: int) -> bytes:
    return b"METADATA_BLOCK_PICTURE=" + b"A" * size


def counted(content: bytes) -> tuple[bool, int]:
    """Whether it is read without mutagen, and the number of bytes read."""
    file = Counted(content)
    return plain_ogg(Window(file)) is not None, file.bytes_read


@tries(300)
@given(
    st.lists(st.sampled_from([1, 2, 15, 16, 17, 200, 254]), min_size=1, max_size=40),
    st.lists(
        st.sampled_from([picture(n) for n in (990, 4080, 40_000, 90_000)])
        | st.sampled_from([b"TITLE=J\xc3\xb3ga", b"ARTIST=" + b"b" * 900, b"x" * 9000]),
        max_size=6,
    ),
)
def test_pages_of_any_length_are_read_as_mutagen_reads_them(
    segments: list[int], comments: list[bytes]
) -> None:
    assert_same(vorbis(paged(comments_of(*comments), segments)), ".ogg")


@pytest.mark.parametrize("size", range(4080 * 5 - 90, 4080 * 5 + 10))
def test_a_picture_may_end_anywhere_about_the_end_of_a_page(size: int) -> None:
    tags = comments_of(b"TITLE=x", picture(size), b"ARTIST=y")
    content = vorbis(paged(tags, [16]))
    assert counted(content)[0]
    assert_same(content, ".ogg")


@pytest.mark.parametrize("at", [1, 2, 3, 10, 20])
@pytest.mark.parametrize(
    ("place", "byte"),
    [(0, b"o"), (4, b"\1"), (5, b"\0"), (14, b"\x08"), (18, b"\xff"), (26, b"\x11"), (30, b"\1")],
    ids=["capture", "version", "flags", "serial", "sequence", "segments", "lacing"],
)
def test_a_page_of_a_picture_that_is_not_as_the_others_is_left_to_mutagen(
    at: int, place: int, byte: bytes
) -> None:
    pages = paged(comments_of(b"TITLE=x", picture(90_000), b"ARTIST=y"), [16])
    assert counted(vorbis(pages))[0]
    pages[at] = pages[at][:place] + byte + pages[at][place + 1 :]
    assert not counted(vorbis(pages))[0]
    assert_same(vorbis(pages), ".ogg")


@pytest.mark.parametrize("place", [6, 22])
def test_position_and_checksum_of_a_page_of_a_picture_are_not_looked_at(place: int) -> None:
    pages = paged(comments_of(b"TITLE=x", picture(90_000), b"ARTIST=y"), [16])
    pages[9] = pages[9][:place] + b"\7" + pages[9][place + 1 :]
    assert counted(vorbis(pages))[0]
    assert_same(vorbis(pages), ".ogg")


def test_of_a_picture_only_the_headers_of_its_pages_are_read() -> None:
    pages = paged(comments_of(b"TITLE=x", picture(2**20), b"ARTIST=y"), [16])
    is_plain, bytes_read = counted(vorbis(pages))
    assert is_plain
    assert bytes_read <= 2 * BLOCK + TAILS[0] + (27 + 16) * (len(pages) + 1)


def test_a_file_that_ends_within_a_picture_is_left_to_mutagen() -> None:
    content = vorbis(paged(comments_of(b"TITLE=x", picture(90_000)), [16]))
    for end in range(20_000, 40_000, 777):
        assert not counted(content[:end])[0]
        assert_same(content[:end], ".ogg")


def test_more_pages_than_the_limit_are_left_to_mutagen() -> None:
    for count, is_plain in ((PAGES_LIMIT, True), (PAGES_LIMIT + 50, False)):
        tags = comments_of(b"TITLE=x", picture(255 * (count - 1)))
        assert counted(vorbis(paged(tags, [1])))[0] == is_plain


@pytest.mark.parametrize("size", [0, *range(TAILS[0] - 300, TAILS[0] + 1), TAILS[1] - 200, 60_000])
def test_the_last_page_is_found_wherever_it_begins(size: int) -> None:
    content = page(HEAD, 2, 0, 7, 0) + page(comments_of(b"TITLE=x"), 0, 1, 7, 0)
    content += page(bytes(9000), 0, 2, 7, 5000) + page(bytes(size), 4, 3, 7, 44100)
    plain = plain_ogg(Window(io.BytesIO(content)))
    assert plain is not None
    assert plain.stream.length == 1
    assert_same(content, ".ogg")
