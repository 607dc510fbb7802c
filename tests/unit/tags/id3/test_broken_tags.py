"""Tags that are broken or not of the plain form: what is left to mutagen, and what they cost."""

from __future__ import annotations

import io
import zlib

import pytest
from msgspec.structs import replace
from mutagen import id3
from mutagen.mp3 import MP3

from indexer import tags
from indexer.tags.fast.id3 import plain_tag
from indexer.tags.id3 import frames
from indexer.tags.id3.id3_tag import read_tag
from indexer.tags.window import Window
from tests import corpus
from tests.unit.tags.id3.test_id3_tag import SOUND, file, frame, raw, read, synchsafe, tag, v1_tag


def test_a_plain_tag_is_not_left_to_mutagen() -> None:
    content = corpus.tagged(title="x", artist=["a", "b"], picture=40_000, id3_version=3)
    assert plain_tag(Window(io.BytesIO(content))) is not None


@pytest.mark.parametrize(
    "content",
    [
        raw((b"TIT2", b"\0Debut"), flags=0x80),  # unsynchronised
        raw((b"TIT2", b"\x01\xfe\xff\0D")),  # big-endian
        raw((b"TIT2", b"\x03\xff")),  # no UTF-8
        raw((b"TIT2", b"\x09Debut")),  # no such encoding
        raw((b"tit2", b"\0Debut")),  # no frame
        raw((b"TIT2", b"\0Debut"))[:14] + b"\x7f" + raw((b"TIT2", b"\0Debut"))[15:],  # too large
        b"ID3\x05" + raw((b"TIT2", b"\0Debut"))[4:],
        b"ID3\x04",
    ],
)
def test_whatever_is_not_plain_is_left_to_mutagen(content: bytes) -> None:
    assert plain_tag(Window(io.BytesIO(content))) is None


def test_an_old_itunes_tag_with_wrong_sizes_is_read() -> None:
    text = b"\0" + b"x" * 200
    body = b"TIT2" + len(text).to_bytes(4) + bytes(2) + text + b"TALB\0\0\0\x06\0\0\0Debut"
    content = b"ID3\x04\0\0" + id3.BitPaddedInt.to_str(len(body), width=4) + body + SOUND
    assert (read(content).title, read(content).album) == ("x" * 200, "Debut")


def test_a_kept_frame_of_an_older_tag_is_no_frame_of_a_newer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of ID3v2.3, the ids of MusicBrainz in UTF-16 are kept: they are the same in all an album."""
    kept: dict[int, dict[bytes, frames.Frame]] = {3: {}, 4: {}}
    monkeypatch.setattr("indexer.tags.fast.id3.KEPT", kept)
    monkeypatch.setattr(frames, "KEPT", kept)
    group = "1b022e01-4da6-387b-8658-8678046e4cef"
    text = b"\x01" + "MusicBrainz Release Group Id\0".encode("utf-16") + group.encode("utf-16")
    body = b"TXXX" + len(text).to_bytes(4) + bytes(2) + text
    size: bytes = id3.BitPaddedInt.to_str(len(body), width=4)
    older, newer = (b"ID3" + bytes([version, 0, 0]) + size + body + SOUND for version in (3, 4))
    assert read(older) == read(older)
    assert (read(older).mb_releasegroupid, len(text)) == (group, 135)
    assert (list(kept[3]), kept[4]) == ([body], {})
    assert plain_tag(Window(io.BytesIO(newer))) is None  # mutagen takes it for one of old iTunes
    assert read(newer).mb_releasegroupid == group


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(("encoding", "codec"), [(0, "latin-1"), (1, "utf-16"), (3, "utf-8")])
def test_an_id_of_no_column_is_told_by_its_description_alone(
    encoding: int, codec: str, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such ids differ in each file, so none is kept. The frame is the one that decoding gives."""
    for one in frames.OTHER_IDS:
        head = bytes([encoding]) + f"{one}\0".encode(codec)
        for text in ("e86b7f47", "", "\xe9", "a\0b"):
            payload = head + text.encode(codec)
            body = b"TXXX" + len(payload).to_bytes(4) + bytes(2) + payload
            told = frames.short_frame(body, version)
            if encoding == 1 or text.isascii():
                assert told is frames.OF_NO_COLUMN[head]
            with monkeypatch.context() as patch:
                patch.setattr(frames, "OF_NO_COLUMN", {})
                decoded = frames.short_frame(body, version)
            assert told is not None
            assert decoded is not None
            assert (told[0], told[2]) == (decoded[0], decoded[2])


def test_a_broken_id_of_no_column_is_left_to_mutagen() -> None:
    """It is a text like others, though nothing is made of it."""
    head = b"\x01" + "Acoustid Id\0".encode("utf-16")
    for text in (b"\x03Acoustid Id\0\xff", head + b"\xff\xfea", head + b"\xff\xfe\0\xd8"):
        assert plain_tag(Window(io.BytesIO(raw((b"TXXX", text))))) is None


def test_texts_that_should_be_utf_8_and_are_not_are_read_in_a_code_page() -> None:
    """Mutagen drops these frames; ffmpeg shows their bytes."""
    frames = [
        (b"TIT2", b"\x03Caf\xe9 \x93Noir\x94"),
        (b"TPE1", "\x03Björk".encode()),
        (b"COMM", b"\x03eng\0na\xefve"),
        (b"TXXX", b"\x03BARCODE\0\xb5"),
        (b"APIC", b"\x03image/jpeg\0\x03caf\xe9\0\xff\xd8\xff"),
    ]
    for version in (3, 4):
        track = read(raw(*frames, version=version))
        assert (track.title, track.artists) == ("Café \u201cNoir\u201d", ("Björk",))
        assert (track.comment, track.has_picture, track.suspect_encoding) == ("naïve", True, False)
    russian = b"\x03" + "Группа крови".encode("cp1251")
    track = read(raw((b"TIT2", russian)))
    assert (track.title, track.suspect_encoding) == (russian[1:].decode("latin-1"), True)


def test_a_flagged_frame_is_left_to_mutagen() -> None:
    content = raw((b"TIT2", b"\0Debut"), version=4)
    unsynchronised = content[:19] + b"\x02" + content[20:]
    assert plain_tag(Window(io.BytesIO(unsynchronised))) is None
    assert read(unsynchronised).title == "Debut"


def test_bad_frame_sizes_do_not_refuse_a_file() -> None:
    assert read(corpus.id3_with_bad_frame_sizes()).codec == "mp3"


def test_a_tag_read_by_mutagen_has_the_same_size() -> None:
    content = file(id3.TIT2(encoding=2, text="x"))
    tag = read_tag(Window(io.BytesIO(content)))
    assert content[tag.size :] == SOUND


@pytest.mark.parametrize(
    "payload",
    [
        b"\x01\xff\xfeD",  # half a character
        b"\x01\xff\xfe\x00\xdc",  # half a surrogate pair
        b"\x01D\0e\0",  # no byte order mark
        b"\x02\xd8\x00",
    ],
)
@pytest.mark.parametrize("version", [3, 4])
def test_broken_utf_16_costs_at_most_its_own_text(payload: bytes, version: int) -> None:
    track = read(raw((b"TIT2", payload), (b"TALB", b"\0Debut"), version=version))
    reference = MP3(io.BytesIO(raw((b"TIT2", payload), version=version))).tags
    assert track.album == "Debut"
    assert (track.title or "") == str((reference or {}).get("TIT2", "")).strip("\0")


TITLE_FRAME = b"TIT2" + bytes([0, 0, 0, 6, 0, 0, 0]) + b"Debut"


@pytest.mark.parametrize(
    ("version", "flags", "before", "title"),
    [
        (3, 0x43, b"", "Debut"),  # neither flags that exist, nor the header that one announces
        (3, 0x1F, b"", "Debut"),
        (4, 0x0F, b"", "Debut"),
        (3, 0x41, (6).to_bytes(4) + bytes(6), "Debut"),
        (3, 0x41, (10).to_bytes(4) + bytes(10), "Debut"),
        (4, 0x41, synchsafe(6) + b"\x01\0", "Debut"),
        (3, 0x40, b"\x7f\xff\xff\xff" + bytes(6), None),  # larger than the tag
        (3, 0x40, b"\xff\xff\xff\xff" + bytes(6), None),
        (4, 0x40, synchsafe(3) + b"\x01 \x05\x05f!t#", None),  # without room for itself
        (4, 0x40, bytes(4) + b"\x01\0", None),
        (4, 0x40, b"\xff\xff\xff\xff\x01\0", None),
        (4, 0x40, synchsafe(2**20) + b"\x01\0", None),
    ],
)
def test_a_tag_with_a_broken_header_costs_at_most_the_tag(
    version: int, flags: int, before: bytes, title: str | None
) -> None:
    """Refused by mutagen; ffmpeg and TagLib play it, and skip the tag or a part of it."""
    content = tag(before + TITLE_FRAME + bytes(20), version=version, flags=flags) + SOUND
    track = read(content)
    assert track == replace(read(SOUND), title=title)
    assert read(content + v1_tag(b"old")).title == (title or "old")


def test_a_tag_of_an_unknown_version_or_size_costs_only_the_tag() -> None:
    sound = SOUND.replace(b"ID3", b"xxx")
    for head in (b"ID3\x05\0\0\0\0\0\x10", b"ID3\x03\0\0\0\0\x80\x10"):
        track = read(head + TITLE_FRAME + sound)
        assert (track.title, track.codec) == (None, "mp3")


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".dsf"])
def test_a_broken_tag_in_a_chunk_costs_only_the_tag(suffix: str) -> None:
    content = bytearray(corpus.tagged(suffix, title="Debut"))
    content[content.index(b"ID3\x04") + 5] = 0x4F
    whole = tags.read_track(io.BytesIO(content), suffix.encode())
    assert whole.title == "Debut"
    assert whole.duration == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("version", "unsynchronised", "frame"),
    [
        (3, False, frame(0x20, b"\xff\0Debut")),
        (3, False, frame(0xA0, (6).to_bytes(4) + b"\xff" + zlib.compress(b"\0Debut"))),
        (4, False, frame(0x40, b"\x80\x03Debut")),
        (4, False, frame(0x41, b"\x80" + synchsafe(6) + b"\x03Debut")),
        (4, True, frame(0x40, b"\xff\0\x03Debut")),
        (4, False, frame(0x42, b"\xff\0\x03Debut")),
        (3, False, frame(0x20, b"\0Debut")),  # the flag is set, and the byte is missing
        (4, False, frame(0x40, b"\x03Debut")),
    ],
)
def test_a_frame_of_a_group_has_one_byte_more(
    version: int, unsynchronised: bool, frame: bytes
) -> None:
    """ID3v2.3.0, 3.3.1; ID3v2.4.0-structure, 4.1.2. ExifTool and Audio::Scan agree.

    mutagen reads the byte as part of the text.
    """
    flags = 0x80 if unsynchronised else 0
    assert read(tag(frame, version=version, flags=flags) + SOUND).title == "Debut"
