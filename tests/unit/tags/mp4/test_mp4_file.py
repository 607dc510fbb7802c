from __future__ import annotations

import io
import struct

import pytest
from mutagen.mp4 import MP4, AtomDataType, MP4FreeForm

from indexer import tags
from indexer.model import Track
from indexer.tags.fast import mp4
from indexer.tags.mp4.item_columns import codec_of
from indexer.tags.window import Window
from tests import corpus


def tagged(**atoms: object) -> bytes:
    file = io.BytesIO(corpus.template(".m4a"))
    mp4 = MP4(file)
    for key, value in atoms.items():
        mp4.tags[key] = value
    file.seek(0)
    mp4.save(file)
    return file.getvalue()


def read(content: bytes) -> Track:
    return tags.read_track(io.BytesIO(content), b".m4a")


def test_zero_in_a_pair_is_absent() -> None:
    track = read(tagged(trkn=[(0, 12)], disk=[(2, 0)]))
    assert (track.track, track.track_total, track.disc, track.disc_total) == (None, 12, 2, None)


@pytest.mark.parametrize(("tempo", "bpm"), [([128], "128"), ([0], None), ([], None)])
def test_a_tempo_is_text_and_zero_is_none(tempo: list[int], bpm: str | None) -> None:
    assert read(tagged(tmpo=tempo)).bpm == bpm


@pytest.mark.parametrize("value", [True, False])
def test_the_compilation_flag(value: bool) -> None:
    assert read(tagged(cpil=value)).compilation is value


@pytest.mark.parametrize("name", ["replaygain_track_gain", "REPLAYGAIN_TRACK_GAIN"])
def test_the_case_of_a_freeform_name_does_not_matter(name: str) -> None:
    track = read(tagged(**{f"----:com.apple.iTunes:{name}": [b"-7 dB"]}))
    assert track.replaygain_track_gain == "-7 dB"


@pytest.mark.parametrize("way", ["ours", "boxes"])
@pytest.mark.parametrize(
    ("other", "usual", "column"),
    [
        ("----:com.apple.iTunes:ALBUM ARTIST", "aART", "albumartists"),
        ("----:com.apple.iTunes:publisher", "----:com.apple.iTunes:LABEL", "label"),
        (
            "----:com.apple.iTunes:MUSICBRAINZ_ALBUMID",
            "----:com.apple.iTunes:MusicBrainz Album Id",
            "mb_albumid",
        ),
    ],
)
def test_the_freeform_name_of_others_speaks_where_the_usual_one_is_silent(
    other: str, usual: str, column: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "boxes":
        monkeypatch.setattr("indexer.tags.mp4.mp4_file.plain_mp4", lambda _: None)
    texts: list[object] = ["a", b"a"]
    silent = tagged(**{other: [b"b"]})
    assert way == "boxes" or mp4.plain_mp4(Window(io.BytesIO(silent))) is not None
    assert getattr(read(silent), column) in {"b", ("b",)}
    text = texts[usual.startswith("----")]
    for atoms in ({usual: [text], other: [b"b"]}, {other: [b"b"], usual: [text]}):
        assert getattr(read(tagged(**atoms)), column) in {"a", ("a",)}
    blank = " " if text == "a" else b" "
    assert getattr(read(tagged(**{usual: [blank], other: [b"b"]})), column) in {"b", ("b",)}


def test_another_programs_freeform_is_not_ours() -> None:
    assert read(tagged(**{"----:org.example:ISRC": [b"x"]})).isrc is None


def test_freeform_text_may_be_utf_16_or_broken() -> None:
    label = MP4FreeForm("Ö".encode("utf-16-be"), dataformat=AtomDataType.UTF16)
    key = "----:com.apple.iTunes:LABEL"
    assert read(tagged(**{key: [label]})).label == "Ö"
    assert read(tagged(**{key: [b"\xd6"]})).label == "\ufffd"


def test_a_genre_number_is_a_name() -> None:
    content = tagged(**{"\xa9gen": ["xy"]})
    data = b"data\0\0\0\x01\0\0\0\0"
    assert content.count(b"\xa9gen") == content.count(data + b"xy") == 1
    number = b"data\0\0\0\0\0\0\0\0" + (18).to_bytes(2)
    content = content.replace(b"\xa9gen", b"gnre").replace(data + b"xy", number)
    assert read(content).genres == ("Rock",)


def test_several_values_of_an_atom_stay_apart() -> None:
    track = read(tagged(**{"\xa9ART": ["a", "b; c"], "aART": ["d"], "\xa9gen": ["e", "f"]}))
    assert (track.artists, track.albumartists, track.genres) == (("a", "b; c"), ("d",), ("e", "f"))


def test_a_cover_that_ends_behind_the_file_is_none_and_costs_no_other_item() -> None:
    """Unlike mutagen, which refuses the file; ffmpeg and tinytag read the rest as here."""
    content = corpus.tagged(".m4a", title="x", picture=500)
    track = read(content[:-100])
    assert (track.title, track.has_picture, track.channels) == ("x", False, 1)


def test_a_file_that_ends_in_its_track_is_refused() -> None:
    content = corpus.tagged(".m4a", title="x")
    with pytest.raises(tags.Refused):
        read(content[: content.index(b"stsd")])


@pytest.mark.parametrize("suffix", [b".m4a", b".mp3"])
def test_a_cover_atom_that_never_advances_does_not_hang(suffix: bytes) -> None:
    content = corpus.tagged(".m4a", title="x", picture=500)
    at = content.index(b"covr") + 4
    stuck = content[:at] + bytes(4) + b"name" + content[at + 8 :]  # hangs mutagen 1.48
    assert tags.read_track(io.BytesIO(stuck), suffix).title == "x"


@pytest.mark.parametrize(
    ("stream", "codec"),
    [
        ("mp4a.40.2", "aac"),
        ("mp4a", "aac"),
        ("mp4a.67", "aac"),
        ("mp4a.6B", "mp3"),
        ("mp4a.69", "mp3"),
        ("alac", "alac"),
        ("ac-3", "ac3"),
        ("ec-3", "eac3"),
        ("samr", "amr"),
        ("fLaC", "flac"),
        ("mp4a.40.36", "als"),
        ("mp4a.A9", "dts"),
        ("dtsc", "dts"),
        ("Opus", "opus"),
        (".mp3", "mp3"),
        ("", "mp4"),
        ("sowt", "pcm"),  # as in all other containers
        ("raw ", "pcm"),
        ("ulaw", "mulaw"),
        ("ms\0\x11", "adpcm"),
        ("ac-4", "ac4"),
    ],
)
def test_the_codec_has_its_everyday_name(stream: str, codec: str) -> None:
    assert codec_of(stream) == codec


def of_entry(name: bytes, depth: int, *atoms: tuple[bytes, bytes]) -> bytes:
    """A file whose stereo sound at 48 000 Hz has this sample entry."""

    def atom(name: bytes, body: bytes) -> bytes:
        return (8 + len(body)).to_bytes(4) + name + body

    sound = struct.pack(">6xH8x2H4xI", 1, 2, depth, 48_000 << 16)
    entry = atom(name, sound + b"".join(atom(*one) for one in atoms))
    stsd = atom(b"stsd", bytes(4) + (1).to_bytes(4) + entry)
    hdlr = atom(b"hdlr", bytes(8) + b"soun" + bytes(13))
    mdhd = atom(b"mdhd", struct.pack(">12xII4x", 48_000, 96_000))
    media = hdlr + mdhd + atom(b"minf", atom(b"stbl", stsd))
    return atom(b"ftyp", b"M4A \0\0\0\0") + atom(b"moov", atom(b"trak", atom(b"mdia", media)))


@pytest.fixture(params=["ours", "boxes"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "boxes":
        monkeypatch.setattr("indexer.tags.mp4.mp4_file.plain_mp4", lambda *_: None)


@pytest.mark.usefixtures("reader")
def test_flac_in_mp4_has_a_rate_beyond_16_bits_and_a_bit_rate() -> None:
    bits = 192_000 << 12 | (6 - 1) << 9 | (24 - 1) << 4
    info = b"\x80\0\0\x22" + bytes(10) + bits.to_bytes(4) + bytes(20)
    btrt = struct.pack(">III", 0, 900_000, 847_688)
    track = read(of_entry(b"fLaC", 24, (b"dfLa", bytes(4) + info), (b"btrt", btrt)))
    assert (track.codec, track.sample_rate, track.channels) == ("flac", 192_000, 6)
    assert (track.bit_depth, track.bitrate) == (24, 847_688)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("wide", [False, True])
def test_the_bit_rate_is_that_of_the_media_where_nothing_tells(wide: bool) -> None:
    head = b"\0\0\0\1mdat" + (16 + 50_000).to_bytes(8) if wide else b"\0\0\xc3\x58mdat"
    content = of_entry(b"fLaC", 16, (b"free", b"")) + head + bytes(50_000)
    assert read(content).bitrate == 200_000
    at = content.index(b"moov")
    track = content[at + 4 : content.index(b"mdat") - 4]
    two = (8 + 2 * len(track)).to_bytes(4) + b"moov" + 2 * track
    assert read(content[: at - 4] + two + head + bytes(50_000)).bitrate is None


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("stated", "bitrate"), [(1_536_000, 200_000), (700_000, 700_000)])
def test_the_bit_rate_of_alac_is_never_that_of_the_decoded_sound(stated: int, bitrate: int) -> None:
    """As ffmpeg states it."""
    cookie = struct.pack(">4xBB3xB6xII", 0, 16, 2, stated, 48_000)
    content = of_entry(b"alac", 16, (b"alac", bytes(4) + cookie)) + b"\0\0\xc3\x58mdat"
    assert read(content + bytes(50_000)).bitrate == bitrate


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("mode", "low", "depend", "channels"),
    [(7, 1, 0, 6), (2, 0, 0, 2), (1, 0, 0, 1), (7, 1, 1, 6), (1, 0, 1, 2)],
)
def test_the_channels_of_eac3_are_those_of_its_own_atom(
    mode: int, low: int, depend: int, channels: int
) -> None:
    bits = 384 << 27 | 16 << 17 | mode << 9 | low << 8 | depend << 1
    track = read(of_entry(b"ec-3", 16, (b"dec3", bits.to_bytes(5) + bytes(1))))
    assert (track.codec, track.channels, track.bitrate) == ("eac3", channels, 384_000)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("atoms", [[], [(b"dfLa", bytes(20)), (b"btrt", bytes(4))]])
def test_an_entry_that_is_cut_short_keeps_what_its_header_says(
    atoms: list[tuple[bytes, bytes]],
) -> None:
    track = read(of_entry(b"fLaC", 16, (b"free", b""), *atoms))
    assert (track.sample_rate, track.channels, track.bitrate) == (48_000, 2, None)


def esds(config: bytes) -> bytes:
    """The descriptors of AAC with this AudioSpecificConfig (ISO 14496-3, 1.6.2)."""
    decoder = b"\x40\x15" + bytes(11) + b"\x05" + bytes([len(config)]) + config
    descriptor = b"\0\1\0" + b"\x04" + bytes([len(decoder)]) + decoder
    return bytes(4) + b"\x03" + bytes([len(descriptor)]) + descriptor


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("config", "channels"),
    [
        (b"\x12\x08", 1),  # LC of 44 100 Hz: no SBR, beside which alone parametric stereo is coded
        (b"\x13\x88\x56\xe5\x00", 1),  # 22 050 Hz, explicitly without SBR
        (b"\x13\x88", 2),  # 22 050 Hz, which may have both: the header's number
        (b"\xeb\x8a\x08\x00", 2),  # explicitly with parametric stereo
        (b"\x12\x10", 2),
    ],
)
def test_mono_aac_is_mono_where_no_parametric_stereo_can_follow(
    config: bytes, channels: int
) -> None:
    assert read(of_entry(b"mp4a", 16, (b"esds", esds(config)))).channels == channels


@pytest.mark.usefixtures("reader")
def test_als_and_plain_pcm_have_a_bit_depth() -> None:
    track = read(of_entry(b"mp4a", 24, (b"esds", esds(b"\xf8\x86\x20\0"))))
    assert (track.codec, track.bit_depth) == ("als", 24)
    assert read(of_entry(b"sowt", 16, (b"chan", bytes(12)))).bit_depth == 16


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("name", "atoms", "depth"),
    [
        (b"in24", [(b"chan", bytes(12))], 24),
        (b"fl32", [(b"chan", bytes(12))], 32),
        (b"ipcm", [(b"pcmC", bytes(4) + b"\1\x18")], 24),
        (b"ipcm", [(b"pcmC", bytes(4) + b"\1")], 16),
        (b"twos", [(b"chan", bytes(12))], 16),
    ],
)
def test_the_depth_of_pcm_is_not_the_16_of_every_header(
    name: bytes, atoms: list[tuple[bytes, bytes]], depth: int
) -> None:
    assert read(of_entry(name, 16, *atoms)).bit_depth == depth


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("rate", "expected"), [(96_000.0, 96_000), (float("nan"), None)])
def test_pcm_of_quicktimes_second_version(rate: float, expected: int | None) -> None:
    content = of_entry(b"lpcm", 16, (b"", bytes(64)))
    at = content.index(b"lpcm") - 4
    fields = struct.pack(
        ">HHIHHhHIIdIII", 2, 0, 0, 3, 16, -2, 0, 65536, 72, rate, 6, 0x7F000000, 24
    )
    track = read(content[: at + 16] + fields + content[at + 16 + len(fields) :])
    assert (track.sample_rate, track.channels, track.bit_depth) == (expected, 6, 24)


def test_short_items_are_kept_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4, "KEPT_LIMIT", 3)
    monkeypatch.setattr(mp4, "KEPT", {})
    album = "a" * mp4.SHORT
    content = corpus.tagged(".m4a", title="Jóga", artist="Björk", genre="x", album=album, track=2)
    first, second = read(content), read(content)
    assert first == second
    assert first.album == album
    assert 0 < len(mp4.KEPT) <= 3


def test_what_is_kept_of_one_file_is_not_changed_by_the_next() -> None:
    assert read(corpus.tagged(".m4a", title="Jóga", picture=500)).has_picture
    again = read(corpus.tagged(".m4a", title="Jóga"))
    assert (again.title, again.has_picture) == ("Jóga", False)


def test_an_item_that_is_kept_is_not_taken_for_one_that_is_cut_off() -> None:
    content = corpus.tagged(".m4a", title="Jóga" * 9)
    assert read(content).title == "Jóga" * 9
    at = content.index(b"\xa9nam") - 4
    assert read(content[: at + 30]).title is None
