"""The picture in an audio file: of each format, and the right one of several."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen import id3
from mutagen.apev2 import APEv2
from mutagen.asf import ASF, ASFByteArrayAttribute
from mutagen.flac import FLAC, Picture
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggvorbis import OggVorbis

from indexer.artwork.embedded import picture_of
from indexer.artwork.header import MOST_BYTES
from indexer.artwork.model import PictureError
from indexer.tags import SUFFIXES, read_track
from tests import raw_matroska
from tests.corpus import WITHOUT_PICTURES, _cover, tagged, template

FRONT, BACK, OTHER = b"\xff\xd8front", b"\xff\xd8back", b"\xff\xd8other"
PICTURED = sorted(suffix.decode() for suffix in SUFFIXES if suffix.decode() not in WITHOUT_PICTURES)


def found(data: bytes) -> bytes | None:
    return picture_of(BytesIO(data))


@pytest.mark.parametrize("suffix", PICTURED)
@pytest.mark.parametrize("size", [1, 200, 90_000])
def test_the_picture_of_each_format_is_found_where_the_tags_show_one(
    suffix: str, size: int
) -> None:
    data = tagged(suffix, picture=size, title="Human Behaviour")
    assert read_track(BytesIO(data), suffix.encode()).has_picture
    assert found(data) == _cover(size)


@pytest.mark.parametrize("suffix", sorted(suffix.decode() for suffix in SUFFIXES))
def test_a_file_without_a_picture_has_none(suffix: str) -> None:
    assert found(tagged(suffix, title="Human Behaviour")) is None
    assert found(template(suffix)) is None


Kinds = list[tuple[int, str, bytes]]
"""Type, description and bytes of each picture."""

SEVERAL: list[tuple[Kinds, bytes]] = [
    ([(4, "", BACK), (3, "", FRONT)], FRONT),
    ([(0, "", OTHER), (4, "Back Cover", BACK), (0, "My Cover", FRONT)], FRONT),
    ([(4, "Back cover", BACK), (0, "", OTHER)], BACK),
    ([(0, "a", OTHER), (0, "b", FRONT)], OTHER),
    ([(0, "cover", OTHER), (3, "x", FRONT)], FRONT),
]
"""Pictures in one tag, and the one that counts."""


def mp3_of(kinds: Kinds, version: int = 4, encoding: int = 3) -> bytes:
    tag = id3.ID3()
    for place, (kind, name, data) in enumerate(kinds):
        unique = name + " " * place  # frames of one description replace each other
        tag.add(id3.APIC(encoding=encoding, mime="image/jpeg", type=kind, desc=unique, data=data))
    file = BytesIO(template(".mp3"))
    tag.save(file, v2_version=version)
    return file.getvalue()


def block_of(kind: int, name: str, data: bytes) -> Picture:
    picture = Picture()
    picture.type, picture.desc, picture.mime, picture.data = kind, name, "image/jpeg", data
    return picture


@pytest.mark.parametrize(("kinds", "expected"), SEVERAL)
@pytest.mark.parametrize(("version", "encoding"), [(3, 0), (3, 1), (4, 2), (4, 3)])
def test_of_several_in_id3_the_front_cover_counts(
    kinds: Kinds, expected: bytes, version: int, encoding: int
) -> None:
    assert found(mp3_of(kinds, version, encoding)) == expected


@pytest.mark.parametrize(("kinds", "expected"), SEVERAL)
def test_of_several_in_flac_the_front_cover_counts(kinds: Kinds, expected: bytes) -> None:
    file = BytesIO(template(".flac"))
    whole = FLAC(file)
    for one in kinds:
        whole.add_picture(block_of(*one))
    file.seek(0)
    whole.save(file)
    assert found(file.getvalue()) == expected


@pytest.mark.parametrize(("kinds", "expected"), SEVERAL)
def test_of_several_in_ogg_the_front_cover_counts(kinds: Kinds, expected: bytes) -> None:
    blocks = [base64.b64encode(block_of(*one).write()).decode() for one in kinds]
    assert found(ogg_of(metadata_block_picture=blocks)) == expected


@pytest.mark.parametrize(("kinds", "expected"), SEVERAL)
@pytest.mark.parametrize("padding", [0, 70_000], ids=["short", "long"])
def test_of_several_in_asf_the_front_cover_counts(
    kinds: Kinds, expected: bytes, padding: int
) -> None:
    """Above 64 KB they are in another object."""
    file = BytesIO(template(".wma"))
    whole = ASF(file)
    whole.tags["WM/Picture"] = [
        ASFByteArrayAttribute(
            struct.pack("<bI", kind, len(data) + padding)
            + f"image/jpeg\0{name}\0".encode("utf-16-le")
            + data
            + b"x" * padding
        )
        for kind, name, data in kinds
    ]
    file.seek(0)
    whole.save(file)
    assert found(file.getvalue()) == expected + b"x" * padding


def ogg_of(**comments: list[str]) -> bytes:
    file = BytesIO(template(".ogg"))
    ogg = OggVorbis(file)
    for key, values in comments.items():
        ogg.tags[key] = values
    file.seek(0)
    ogg.save(file)
    return file.getvalue()


def test_the_old_comment_coverart_is_found_after_the_new_one() -> None:
    old = base64.b64encode(OTHER).decode()
    new = base64.b64encode(block_of(3, "", FRONT).write()).decode()
    assert found(ogg_of(coverart=[old])) == OTHER
    assert found(ogg_of(coverart=[old], metadata_block_picture=[new])) == FRONT
    assert found(ogg_of(coverart=["x"], title=["x"])) is None  # no base64


def test_a_picture_that_spans_many_pages_is_joined() -> None:
    large = FRONT + bytes(range(256)) * 3000
    block = base64.b64encode(block_of(3, "", large).write()).decode()
    assert found(ogg_of(title=["x" * 5000], metadata_block_picture=[block])) == large


def test_flac_has_them_in_its_comments_as_well() -> None:
    file = BytesIO(template(".flac"))
    whole = FLAC(file)
    whole.tags["metadata_block_picture"] = [
        base64.b64encode(block_of(3, "", FRONT).write()).decode()
    ]
    file.seek(0)
    whole.save(file)
    assert found(file.getvalue()) == FRONT


def test_the_first_cover_of_an_mp4_counts() -> None:
    file = BytesIO(template(".m4a"))
    whole = MP4(file)
    whole.tags["covr"] = [MP4Cover(FRONT), MP4Cover(BACK)]
    file.seek(0)
    whole.save(file)
    assert found(file.getvalue()) == FRONT


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({"Cover Art (Back)": b"cover.jpg\0" + BACK, "Cover Art (Front)": b"a\0" + FRONT}, FRONT),
        ({"Cover Art (Media)": b"\0" + OTHER, "Cover Art (Back)": b"Cover\0" + BACK}, OTHER),
        ({"Cover Art (Front)": b"no picture"}, None),
        ({"Cover": b"a\0" + OTHER}, None),
    ],
)
@pytest.mark.parametrize("suffix", [".ape", ".mp3"])
def test_of_several_in_apev2_the_front_cover_counts(
    items: dict[str, bytes], expected: bytes | None, suffix: str
) -> None:
    tag = APEv2()
    for key, value in items.items():
        tag[key] = value
    file = BytesIO(template(suffix))
    tag.save(file)
    assert found(file.getvalue()) == expected
    assert found(file.getvalue() + b"TAG" + bytes(125)) == expected


def test_id3_before_apev2_is_asked_first_and_a_front_cover_wins() -> None:
    tag = APEv2()
    tag["Cover Art (Front)"] = b"a\0" + FRONT
    for kinds, expected in (([(0, "", OTHER)], FRONT), ([(3, "", OTHER)], OTHER)):
        file = BytesIO(mp3_of(kinds))
        tag.save(file)
        assert found(file.getvalue()) == expected


def test_the_attachment_named_cover_counts_in_matroska() -> None:
    def named(name: bytes, data: bytes, kind: bytes = b"image/png") -> bytes:
        element = raw_matroska.element
        parts = [element(0x466E, name), element(0x4660, kind), element(0x465C, data)]
        return element(0x61A7, parts)

    def whole(*files: bytes) -> bytes:
        attached = raw_matroska.attachments(*files)
        return raw_matroska.with_parts(template(".mka"), attached)

    font = named(b"cover.ttf", b"font", b"font/ttf")
    assert found(whole(font, named(b"b.png", OTHER), named(b"Cover.png", FRONT))) == FRONT
    assert found(whole(font, named(b"b.png", OTHER), named(b"small_cover.png", FRONT))) == FRONT
    assert found(whole(font, named(b"b.png", OTHER))) == OTHER
    assert found(whole(font)) is None


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".m4a", ".wav", ".ape"])
def test_a_foreign_id3_tag_before_the_file_gives_one_where_it_has_none(suffix: str) -> None:
    tag = mp3_of([(0, "", OTHER)])[: -len(template(".mp3"))]
    assert found(tag + template(suffix)) == OTHER


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".m4a", ".mka"])
def test_behind_a_foreign_tag_the_containers_own_is_found(suffix: str) -> None:
    tag = mp3_of([])[: -len(template(".mp3"))] or b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    assert found(tag + tagged(suffix, picture=500)) == _cover(500)


def synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3_of(version: int, flags: int, *frames: bytes, head: bytes = b"") -> bytes:
    body = head + b"".join(frames) + bytes(20)
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(body)) + body + template(".mp3")


def frame(name: bytes, content: bytes, flags: int = 0, *, version: int = 4) -> bytes:
    if version == 2:
        return name + len(content).to_bytes(3) + content
    size = synchsafe(len(content)) if version == 4 else len(content).to_bytes(4)
    return name + size + flags.to_bytes(2) + content


APIC = b"\0image/jpeg\0\3\0" + FRONT
MARKED = b"\0image/jpeg\0\3\0\xff\xd8\xff\xe0\xff\0front"


def test_the_short_frames_of_id3v22_are_read() -> None:
    assert found(id3_of(2, 0, frame(b"PIC", b"\0JPG\3\0" + FRONT, version=2))) == FRONT
    linked = frame(b"PIC", b"\0-->\3\0http://x", version=2)
    assert found(id3_of(2, 0, linked)) is None


def test_a_link_to_a_picture_is_none() -> None:
    assert found(id3_of(4, 0, frame(b"APIC", b"\0-->\0\3\0http://x"))) is None


@pytest.mark.parametrize("version", [3, 4])
def test_unsynchronised_pictures_are_restored(version: int) -> None:
    plain = MARKED[14:]
    apart = MARKED.replace(b"\xff", b"\xff\0")
    if version == 3:
        before = b"TIT2\0\0\0\4\0\0\0abc" + frame(b"APIC", MARKED, version=3)
        whole = before.replace(b"\xff", b"\xff\0")
        assert found(id3_of(3, 0x80, whole)) == plain
    else:
        assert found(id3_of(4, 0x80, frame(b"APIC", apart, 0x02))) == plain
        sized = synchsafe(len(MARKED)) + apart
        assert found(id3_of(4, 0, frame(b"APIC", sized, 0x03))) == plain


def test_compressed_and_grouped_pictures_are_restored() -> None:
    small = zlib.compress(APIC)
    size = len(APIC).to_bytes(4)
    assert found(id3_of(3, 0, frame(b"APIC", size + small, 0x80, version=3))) == FRONT
    assert found(id3_of(3, 0, frame(b"APIC", size + b"g" + small, 0xA0, version=3))) == FRONT
    assert found(id3_of(4, 0, frame(b"APIC", synchsafe(len(APIC)) + small, 0x09))) == FRONT
    assert found(id3_of(4, 0, frame(b"APIC", b"g" + APIC, 0x40))) == FRONT


def test_an_encrypted_or_broken_frame_costs_no_other() -> None:
    other = frame(b"APIC", b"\0image/jpeg\0\3x\0" + OTHER)
    for broken in (
        frame(b"APIC", APIC, 0x04),
        frame(b"APIC", synchsafe(9) + b"no zlib", 0x09),
        frame(b"APIC", b"\0image/jpeg"),
        frame(b"APIC", b"\1image/jpeg\0\3odd\0x\0y"),
        frame(b"APIC", b""),
    ):
        assert found(id3_of(4, 0, broken, other)) == OTHER


def test_a_frame_that_inflates_without_end_is_none() -> None:
    bomb = synchsafe(9) + zlib.compress(b"\0image/jpeg\0\3\0" + bytes(60 * 2**20))
    assert found(id3_of(4, 0, frame(b"APIC", bomb, 0x09))) is None


@pytest.mark.parametrize(
    ("version", "head"),
    [(3, b"\0\0\0\6" + bytes(6)), (4, b"\0\0\0\6\1\0"), (3, b""), (4, b"")],
)
def test_an_extended_header_is_skipped_and_may_be_absent(version: int, head: bytes) -> None:
    assert found(id3_of(version, 0x40, frame(b"APIC", APIC, version=version), head=head)) == FRONT


def test_sizes_of_eight_bits_in_id3v24_are_understood() -> None:
    """Old versions of iTunes wrote them."""
    large = APIC + b"x" * 300
    odd = b"APIC" + len(large).to_bytes(4) + b"\0\0" + large
    assert found(id3_of(4, 0, odd, frame(b"TIT2", b"\0title"))) == FRONT + b"x" * 300


def test_all_zeros_are_no_picture() -> None:
    assert found(mp3_of([(3, "", bytes(100))])) is None


class Counting(BytesIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def test_a_picture_that_is_too_large_is_refused_unread() -> None:
    file = BytesIO(template(".m4a"))
    whole = MP4(file)
    whole.tags["covr"] = [MP4Cover(FRONT + bytes(MOST_BYTES))]
    file.seek(0)
    whole.save(file)
    counting = Counting(file.getvalue())
    with pytest.raises(PictureError, match=r"20\.0 MB"):
        picture_of(counting)
    assert counting.count < 100_000


def test_only_the_picture_that_counts_is_read() -> None:
    kinds: Kinds = [(4, "", BACK + bytes(900_000)), (3, "", FRONT)]
    counting = Counting(mp3_of(kinds))
    assert picture_of(counting) == FRONT
    assert counting.count < 100_000


BEGINNINGS = st.sampled_from(
    [
        b"ID3\2\0\0\0\0\1\0", b"ID3\3\0\x80\0\0\1\0", b"ID3\4\0\x40\0\0\1\0", b"fLaC", b"OggS\0\2",
        b"\0\0\0\x10ftypM4A ", b"\x1aE\xdf\xa3", b"RIFF\0\0\1\0WAVEid3 ", b"FORM\0\0\1\0AIFF",
        b"DSD \x1c\0\0\0\0\0\0\0", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"FRM8",
    ]
)  # fmt: skip


@given(BEGINNINGS, st.binary(max_size=300), st.sampled_from([b"", b"APETAGEX" + bytes(24)]))
def test_any_bytes_have_a_picture_or_none(beginning: bytes, rest: bytes, end: bytes) -> None:
    try:
        found(beginning + rest + end)
    except PictureError as refused:
        assert "MB" in str(refused)  # noqa: PT017 - it may be refused, but for nothing else


@given(st.sampled_from(PICTURED), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_file_has_a_picture_or_none(suffix: str, data: st.DataObject) -> None:
    whole = bytearray(tagged(suffix, picture=300, title="Human Behaviour"))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=6)):
        whole[at] = data.draw(st.integers(0, 255))
    try:
        found(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except PictureError as refused:
        assert "MB" in str(refused)  # noqa: PT017 - it may be refused, but for nothing else


MEGA = 2**20


@pytest.mark.parametrize(
    "data",
    [
        b"ID3\3\0\0\x7f\x7f\x7f\x7f" + b"TIT2\0\0\0\1\0\0x" * (2 * MEGA),
        b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"APIC\0\0\0\1\0\0x" * (2 * MEGA),
        b"fLaC" + b"\6\0\0\0" * (4 * MEGA),
        (b"OggS\0\2" + bytes(20) + b"\1\1x") * MEGA,
        (b"OggS\0\2" + bytes(20) + b"\xff" + b"\xff" * 255 + b"\1vorbis" + bytes(65018)) * 600,
        b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\x08free" * (2 * MEGA),
        b"RIFF\0\0\0\0WAVE" + b"none\0\0\0\0" * (2 * MEGA),
        b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67\xff" + b"\xec\x80" * (4 * MEGA),
    ],
    ids=["frames", "empty pictures", "blocks", "pages", "packet", "boxes", "chunks", "elements"],
)
@pytest.mark.timeout(20)
def test_tags_without_an_end_are_given_up(data: bytes) -> None:
    assert found(data) is None
