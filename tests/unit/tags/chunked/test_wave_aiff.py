from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Literal

import pytest
from mutagen.aiff import AIFF
from mutagen.id3 import TIT2

from indexer import tags
from indexer.model import Track
from indexer.tags.chunked import chunk_sizes
from tests import corpus
from tests.raw_formats import wave64, with_wave64_chunk

PCM = (1, 1, 8000, 16000, 2, 16)


def read(content: bytes, suffix: str = ".wav") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def wave(*more: bytes, stream: tuple[int, ...] = PCM, sound: int = 1600) -> bytes:
    """A WAV file: format, channels, rate, bytes a second, bytes a block, bits, then its sound."""
    widths = (2, 2, 4, 4, 2, 2)
    fmt = b"".join(n.to_bytes(w, "little") for n, w in zip(stream, widths, strict=True))
    body = b"WAVE" + chunk(b"fmt ", fmt) + chunk(b"data", bytes(sound)) + b"".join(more)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def sized(content: bytes, name: bytes, size: int) -> bytes:
    """The file with another size in the header of its first chunk of this name."""
    order: Literal["little", "big"] = "little" if content[:2] == b"RI" else "big"
    at = content.index(name) + 4
    width = 8 if content[:4] == b"FRM8" else 4
    return content[:at] + size.to_bytes(width, order) + content[at + width :]


def rf64(*more: bytes, root: bytes = b"RF64", sound: int = 1600, claimed: int = 1600) -> bytes:
    """A WAV file whose sizes are in the chunk ds64."""
    content = wave(*more, sound=sound)
    content = sized(sized(content, b"RIFF", 2**32 - 1), b"data", 2**32 - 1)
    long = struct.pack("<QQQI", len(content) + 28, claimed, claimed // 2, 0)
    return root + content[4:12] + chunk(b"ds64", long) + content[12:]


def rifx() -> bytes:
    """A WAV file of the most significant byte first, with INFO."""

    def big(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">I", len(content)) + content + bytes(len(content) % 2)

    texts = big(b"LIST", b"INFO" + big(b"INAM", b"Debut\0"))
    body = b"WAVE" + big(b"fmt ", struct.pack(">HHIIHH", *PCM)) + big(b"data", bytes(1600)) + texts
    return b"RIFX" + struct.pack(">I", len(body)) + body


def aiff(
    *more: bytes,
    frames: int = 800,
    compression: bytes = b"",
    channels: int = 1,
    bits: int = 16,
    sound: int = 1600,
) -> bytes:
    """An AIFF file of 8000 Hz, or AIFF-C with a compression type; `more` follows its sound."""
    rate = b"\x40\x0b\xfa" + bytes(7)
    common = struct.pack(">HIH", channels, frames, bits) + rate
    common += compression and compression + b"\0\0"
    body = b"AIFC" if compression else b"AIFF"
    body += b"COMM" + len(common).to_bytes(4) + common
    body += b"SSND" + (8 + sound).to_bytes(4) + bytes(8 + sound) + b"".join(more)
    return b"FORM" + len(body).to_bytes(4) + body


def info(**texts: bytes) -> bytes:
    items = b"".join(chunk(name.encode(), text + b"\0") for name, text in texts.items())
    return chunk(b"LIST", b"INFO" + items)


def id3_chunk(title: str) -> bytes:
    tag = corpus.tagged(title=title)[: -len(corpus.template(".mp3"))]
    return chunk(b"id3 ", tag)


def test_riff_info_is_read() -> None:
    track = read(
        wave(
            info(
                INAM=b"Human Behaviour",
                IART="Björk".encode(),
                IPRD=b"Debut",
                IGNR=b"Electronic",
                ICRD=b"1993-06-07",
                ITRK=b"1/11",
                IMUS=b"Nellee Hooper",
                ICMT=b"ripped twice",
                IBPM=b"120",
            )
        )
    )
    assert track == Track(
        codec="pcm",
        duration=0.1,
        bitrate=128_000,
        sample_rate=8000,
        channels=1,
        bit_depth=16,
        title="Human Behaviour",
        artists=("Björk",),
        album="Debut",
        genres=("Electronic",),
        date="1993-06-07",
        year=1993,
        track=1,
        track_total=11,
        composer="Nellee Hooper",
        comment="ripped twice",
        bpm="120",
        essence=track.essence,
    )


def test_info_fills_in_what_the_id3_tag_lacks() -> None:
    texts = info(INAM=b"of INFO", IPRD=b"of INFO", IPRT=b"4")
    for content in (wave(texts, id3_chunk(title="of ID3")), wave(id3_chunk(title="of ID3"), texts)):
        track = read(content)
        assert (track.title, track.album, track.track) == ("of ID3", "of INFO", 4)


def test_the_track_of_others_speaks_only_where_there_is_no_other() -> None:
    assert read(wave(info(IPRT=b"4", ITRK=b"3"))).track == 3
    assert read(wave(info(ITRK=b" ", IPRT=b"4"))).track == 4


@pytest.mark.parametrize("template", [".wav", ".aiff", ".dsf", ".dff"])
@pytest.mark.parametrize("date", ["June 1993.", "1993-06-??", "07.06.1993"])
def test_a_date_of_any_form_in_an_id3_chunk_is_kept_and_its_year_found(
    template: str, date: str
) -> None:
    content = corpus.tagged(template, title="x", date="1993-06-07")
    odd = content.replace(b"1993-06-07", date.encode())
    assert odd != content
    track = tags.read_track(io.BytesIO(odd), template.encode())
    assert (track.title, track.date, track.year) == ("x", date, 1993)


def test_a_date_without_a_year_gives_way_to_one_with_it() -> None:
    assert read(wave(info(ICRD=b"soon", YEAR=b"1993"))).date == "1993"
    assert read(wave(info(ICRD=b"June 1993", YEAR=b"1994"))).date == "June 1993"
    assert read(wave(info(ICRD=b"soon", YEAR=b"later"))).date == "soon"
    tag = corpus.tagged(date="1993-06-07")[: -len(corpus.template(".mp3"))]
    assert read(wave(chunk(b"id3 ", tag), info(ICRD=b"1994"))).date == "1993-06-07"
    tag = tag.replace(b"1993-06-07", b"at a time ")
    assert read(wave(chunk(b"id3 ", tag), info(ICRD=b"1994"))).date == "1994"


def test_texts_of_the_same_name_are_several_values() -> None:
    assert read(wave(info(IART=b"a"), info(IART=b"b"))).artists == ("a", "b")


@pytest.mark.parametrize(
    ("text", "title", "suspect"),
    [
        ("Björk".encode(), "Björk", False),
        ("Björk".encode("latin-1"), "Björk", False),
        (b"Don\x92t", "Don\N{RIGHT SINGLE QUOTATION MARK}t", False),
        ("Кино".encode("cp1251"), "Кино", False),
        ("さくら".encode("shift-jis"), "さくら", False),
        ("사랑했지만".encode("euc-kr"), "»ç¶ûÇßÁö\xb8\xb8", True),  # Chinese in GBK, too
        (b"a\x81\xffb", "a\x81\xffb", False),
        (b"Debut\0garbage", "Debut", False),
    ],
)
def test_the_encoding_of_info_is_utf_8_or_what_windows_made_of_it(
    text: bytes, title: str, suspect: bool
) -> None:
    track = read(wave(info(INAM=text)))
    assert (track.title, track.suspect_encoding) == (title, suspect)


def test_the_texts_of_info_are_judged_together_as_those_of_apev2() -> None:
    """Chinese WAV files have them in GBK (navidrome, issue 2468)."""
    texts = {"INAM": "七里香", "IART": "周杰伦", "IPRD": "x", "ICMT": "Björk"}
    content = {key: text.encode("utf-8" if key == "ICMT" else "gbk") for key, text in texts.items()}
    track = read(wave(info(**content)))
    assert (track.title, track.artists, track.album) == ("七里香", ("周杰伦",), "x")
    assert (track.comment, track.suspect_encoding) == ("Björk", False)


def test_a_long_text_of_info_is_not_cut_within_a_character() -> None:
    for text in ("x" + "ö" * chunk_sizes.TEXT_LIMIT, "ö" * chunk_sizes.TEXT_LIMIT):
        track = read(wave(info(ICMT=text.encode(), INAM="Café".encode("latin-1"))))
        assert track.comment == text[:2048]
        assert (track.title, track.suspect_encoding) == ("Café", False)


def test_a_list_that_is_no_info_is_passed_over() -> None:
    other = chunk(b"LIST", b"adtl" + chunk(b"INAM", b"a label"))
    assert read(wave(other, info(INAM=b"Debut"))).title == "Debut"
    assert read(wave(other)).title is None


def test_an_info_list_that_claims_too_much_is_cut_at_the_end() -> None:
    content = wave(info(INAM=b"Debut", IART=b"Bjork"))
    for name in (b"LIST", b"IART"):
        at = content.index(name) + 4
        track = read(content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :])
        assert (track.title, track.artists) == ("Debut", ("Bjork",))


def test_no_more_than_so_many_chunks_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    content = wave(*[chunk(b"junk", b"")] * 8, info(INAM=b"Debut"))
    assert read(content).title == "Debut"
    monkeypatch.setattr(chunk_sizes, "CHUNKS_LIMIT", 10)
    assert read(content).title is None


@pytest.mark.parametrize(
    ("code", "codec", "bit_depth"),
    [(1, "pcm", 16), (3, "pcm", 16), (0xFFFE, "pcm", 16), (6, "alaw", None), (0x1234, "wav", None)],
)
def test_the_codec_of_a_wave_file_is_told_by_its_format(
    code: int, codec: str, bit_depth: int | None
) -> None:
    track = read(wave(stream=(code, *PCM[1:])))
    assert (track.codec, track.bit_depth) == (codec, bit_depth)


def test_a_compressed_wave_file_is_measured_by_its_bytes_a_second() -> None:
    track = read(wave(stream=(0x55, 2, 44100, 16000, 1, 0), sound=3200))
    assert (track.codec, track.duration, track.bitrate) == ("mp3", 0.2, 128_000)


def test_a_compressed_wave_file_that_tells_no_rate_has_no_length() -> None:
    track = read(wave(stream=(0x55, 2, 44100, 0, 1, 0), sound=3200))
    assert (track.duration, track.bitrate) == (None, None)


@pytest.mark.parametrize(
    ("compression", "codec"),
    [
        (b"NONE", "pcm"),
        (b"sowt", "pcm"),
        (b"fl32", "pcm"),
        (b"ima4", "adpcm"),
        (b"ULAW", "mulaw"),
        (b"MAC6", "mace"),
        (b"QDM2", "qdm2"),
        (b"\0\1\2\3", "pcm"),
    ],
)
def test_the_codec_of_an_aiff_c_file_is_told_by_its_compression(
    compression: bytes, codec: str
) -> None:
    rate = b"\x40\x0b\xfa" + bytes(7)  # 8000 as 80 bits of floating point
    common = b"\0\x01" + (1600).to_bytes(4) + b"\0\x10" + rate + compression + b"\0\0"
    body = b"AIFCCOMM" + len(common).to_bytes(4) + common + b"SSND" + bytes(4)
    track = read(b"FORM" + len(body).to_bytes(4) + body, ".aifc")
    assert (track.codec, track.duration, track.sample_rate) == (codec, 0.2, 8000)


def bext(description: bytes = b"", originator: bytes = b"", date: bytes = b"") -> bytes:
    """The chunk of a broadcast WAV file (EBU Tech 3285)."""
    texts = description.ljust(256, b"\0") + originator.ljust(64, b"\0") + date.ljust(10, b"\0")
    return chunk(b"bext", texts + b"12:00:00" + bytes(264))


class Kept(io.BytesIO):
    keep_tags = frozenset({"*"})


@pytest.mark.parametrize("suffix", [".wav", ".w64"])
def test_the_texts_of_a_broadcast_file_are_those_that_no_tag_has(suffix: str) -> None:
    told = bext(b"Take 3, Br\xe4tsche", b"Studio 2", b"2010:11:12")
    info = chunk(b"LIST", b"INFO" + chunk(b"ICMT", b"mine"))
    if suffix == ".w64":
        guid = b"bext" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
        track = read(with_wave64_chunk(wave64(), guid, told[8:]), suffix)
    else:
        track = read(wave(told), suffix)
        both = read(wave(told, info), suffix)
        assert (both.comment, both.date) == ("mine", "2010-11-12")
        kept = tags.read_track(Kept(wave(told)), b".wav")
        assert kept.tags == '{"encodedby":["Studio 2"]}'
    assert (track.comment, track.date, track.year) == ("Take 3, Brätsche", "2010-11-12", 2010)
    assert track.tags is None


@pytest.mark.parametrize("date", [b"", b"0000-00-00", b"2010/11/12", b"\xff" * 10])
def test_a_broadcast_file_may_tell_nothing(date: bytes) -> None:
    track = read(wave(bext(date=date)))
    assert (track.comment, track.date, track.duration) == (None, None, 0.1)
    assert read(wave(bext(b"x")[:200])).comment is None


def test_a_tag_in_capitals_is_found_too() -> None:
    content = corpus.tagged(".wav", title="Debut").replace(b"id3 ", b"ID3 ")
    assert read(content).title == "Debut"


UNFILLED = [0, 2**31 - 1, 2**31 - 38, 0x7FFFF000, 2**32 - 37, 2**32 - 1]


@pytest.mark.parametrize("whole", UNFILLED)
@pytest.mark.parametrize("data", UNFILLED)
def test_sound_whose_size_was_never_filled_in_goes_on_to_the_end_of_the_file(
    whole: int, data: int
) -> None:
    track = read(sized(sized(wave(), b"RIFF", whole), b"data", data))
    assert (track.duration, track.bitrate) == (0.1, 128_000)


def test_sound_that_was_cut_short_is_as_long_as_what_is_left() -> None:
    assert read(wave()[:-800]).duration == 0.05


def test_compressed_sound_of_no_size_is_measured_to_the_end_of_the_file() -> None:
    content = wave(stream=(0x55, 2, 44100, 16000, 1, 0), sound=3200)
    assert read(sized(content, b"data", 0)).duration == 0.2


def test_sound_that_is_really_empty_does_not_hide_the_tags_after_it() -> None:
    track = read(wave(info(IPRD=b"Debut"), id3_chunk(title="x"), sound=0))
    assert (track.duration, track.title, track.album) == (None, "x", "Debut")


def test_sound_of_more_than_2_gb_is_believed_where_chunks_follow_it(tmp_path: Path) -> None:
    """And if none follow, it goes on: SoX writes 0x7FFFF000 to a pipe, whatever comes."""
    stream = (1, 2, 192_000, 1_152_000, 6, 24)
    more = id3_chunk(title="x")
    size = 0x8000_0000
    path = tmp_path / "long.wav"
    for claimed, title in ((size, "x"), (0x7FFF_F000, None)):
        head = sized(wave(stream=stream, sound=0), b"data", claimed)
        with path.open("wb") as file:
            file.write(head)
            file.truncate(len(head) + size)
            file.seek(0, 2)
            file.write(more if title else b"")
        with path.open("rb") as file:
            track = tags.read_track(file, b".wav")
        assert track.duration == pytest.approx(size / 1_152_000)
        assert track.title == title


@pytest.mark.parametrize("root", [b"RF64", b"BW64"])
@pytest.mark.parametrize("claimed", [1600, 0, 10**6, 2**64 - 1])
def test_a_wave_file_for_more_than_4_gb_has_its_sizes_in_another_chunk(
    root: bytes, claimed: int
) -> None:
    assert read(rf64(root=root, claimed=claimed)).duration == 0.1
    if claimed == 1600:
        track = read(rf64(info(IPRD=b"Debut"), id3_chunk(title="x"), root=root))
        assert (track.duration, track.title, track.album) == (0.1, "x", "Debut")


def test_tags_behind_more_than_4_gb_of_sound_are_found(tmp_path: Path) -> None:
    size = 2**32 + 16000
    path = tmp_path / "long.wav"
    head = rf64(sound=0, claimed=size)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
        file.seek(0, 2)
        file.write(id3_chunk(title="x"))
    with path.open("rb") as file:
        track = tags.read_track(file, b".wav")
    assert (track.duration, track.title) == (size / 16000, "x")


def test_a_wave_file_may_have_the_most_significant_byte_first() -> None:
    track = read(rifx())
    assert (track.codec, track.duration, track.bitrate) == ("pcm", 0.1, 128_000)
    assert (track.sample_rate, track.bit_depth, track.title) == (8000, 16, "Debut")


def test_a_tag_behind_the_declared_end_of_the_file_is_read() -> None:
    assert read(sized(wave(id3_chunk(title="x")), b"RIFF", len(wave()) - 8)).title == "x"
    tag = id3_chunk(title="x")[8:]
    more = b"ID3 " + len(tag).to_bytes(4) + tag
    assert read(sized(aiff(more), b"FORM", len(aiff()) - 8), ".aiff").title == "x"


@pytest.mark.parametrize("size", [0, 2**32 - 1])
@pytest.mark.parametrize(
    ("compression", "channels", "bits", "sound", "frames"),
    [
        (b"", 1, 16, 1600, 800),
        (b"", 2, 24, 4800, 800),
        (b"sowt", 2, 12, 3200, 800),
        (b"FL32", 1, 32, 3200, 800),
        (b"ulaw", 2, 16, 1600, 800),
        (b"ima4", 2, 16, 680, 640),
    ],
)
def test_the_samples_of_aiff_are_counted_where_their_number_was_not_filled_in(
    size: int, compression: bytes, channels: int, bits: int, sound: int, frames: int
) -> None:
    content = aiff(frames=size, compression=compression, channels=channels, bits=bits, sound=sound)
    track = read(sized(sized(content, b"FORM", size), b"SSND", size), ".aifc")
    assert track.duration == frames / 8000


@pytest.mark.parametrize(("stated", "frames"), [(10, 640), (640, 640), (600, 600)])
def test_packets_of_ima4_are_not_taken_for_samples(stated: int, frames: int) -> None:
    """QuickTime and ffmpeg state the number of packets."""
    content = aiff(frames=stated, compression=b"ima4", channels=2, bits=16, sound=680)
    track = read(content, ".aifc")
    assert (track.duration, track.bitrate) == (frames / 8000, 68_000)


def test_the_bit_rate_of_compressed_aiff_is_not_that_of_the_decoded_sound() -> None:
    assert read(aiff(compression=b"ulaw", channels=2, bits=16), ".aifc").bitrate == 128_000


def test_samples_of_an_unknown_compression_are_not_counted() -> None:
    assert read(aiff(frames=0, compression=b"QDM2"), ".aifc").duration is None
    assert read(aiff(frames=0, channels=0), ".aiff").duration is None


def text_chunk(name: bytes, text: bytes) -> bytes:
    return name + len(text).to_bytes(4) + text + bytes(len(text) % 2)


def test_the_text_chunks_of_aiff_are_read() -> None:
    texts = ((b"NAME", "Jóga".encode()), (b"AUTH", b"Bj\xf6rk"), (b"ANNO", b"a"), (b"ANNO", b"b\0"))
    for compression in (b"", b"sowt"):
        chunks_ = (text_chunk(*text) for text in texts)
        track = read(aiff(*chunks_, compression=compression), ".aiff")
        assert (track.title, track.artists, track.comment) == ("Jóga", ("Björk",), "a; b")


def test_id3_speaks_before_the_text_chunks_of_aiff() -> None:
    content = io.BytesIO(aiff(text_chunk(b"NAME", b"other"), text_chunk(b"AUTH", b"a")))
    tagged = AIFF(content)
    tagged.add_tags()
    tagged.tags.add(TIT2(encoding=3, text="Debut"))
    tagged.save(content)
    track = read(content.getvalue(), ".aiff")
    assert (track.title, track.artists) == ("Debut", ("a",))


def test_an_aiff_file_that_counts_its_samples_is_believed() -> None:
    """As ffprobe and mutagen believe it, even if the file was cut short."""
    assert read(aiff()[:-800], ".aiff").duration == 0.1


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".wav", b"RIFF\x04\0\0\0AVI " + wave()[12:]),
        (".wav", b"RIFF" + wave()[12:]),
        (".wav", wave()[:28]),
        (".wav", b"RIFF\x04\0\0\0WAVE"),
        (".aiff", b"FORM\0\0\0\x04AIFF"),
        (".aiff", aiff()[:30]),
        (".aiff", b"form" + aiff()[4:]),
        (".aiff", aiff().replace(b"\x40\x0b\xfa", b"\x7f\xff\xfa")),
        (".aiff", aiff().replace(b"\x40\x0b\xfa", b"\xc0\x0b\xfa")),
    ],
)
def test_a_file_of_chunks_without_its_format_is_refused(suffix: str, content: bytes) -> None:
    with pytest.raises(tags.Refused):
        read(content, suffix)


def unpadded(*pairs: tuple[bytes, bytes], order: Literal["little", "big"] = "little") -> bytes:
    return b"".join(name + len(text).to_bytes(4, order) + text for name, text in pairs)


@pytest.mark.parametrize("length", [1, 33, 255])
def test_chunks_of_odd_sizes_without_padding_are_read(length: int) -> None:
    """TagLib reads them; mutagen and ffmpeg lose what follows."""
    title, artist = b"x" * length, b"y" * length
    texts = chunk(b"LIST", b"INFO" + unpadded((b"INAM", title), (b"IART", artist)))
    track = read(wave(texts, unpadded((b"LIST", b"INFO" + unpadded((b"IPRD", b"Debut"))))))
    assert (track.title, track.artists, track.album) == ("x" * length, ("y" * length,), "Debut")
    before = unpadded((b"JUNK", b"x"))
    content = wave()
    content = content[:12] + before + content[12:]
    assert (read(content).duration, read(content).short) == (0.1, None)


def test_a_padding_byte_may_have_any_value() -> None:
    texts = unpadded((b"INAM", b"odd")) + b"I" + unpadded((b"IART", b"Art!"))
    track = read(wave(chunk(b"LIST", b"INFO" + texts)))
    assert (track.title, track.artists) == ("odd", ("Art!",))
