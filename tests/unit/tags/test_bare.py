from __future__ import annotations

import io

import pytest
from mutagen.apev2 import APEv2

from indexer import tags
from indexer.model import Track
from tests import corpus

BARE = (".mp3", ".mp2", ".mp1", ".aac", ".ac3", ".eac3", ".tta")
LONG = "A title of more than thirty characters"


def read(content: bytes, suffix: str = ".mp3") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def with_apev2(content: bytes, *, picture: bytes = b"", **items: str | list[str]) -> bytes:
    file = io.BytesIO(content)
    tag = APEv2()
    for key, value in items.items():
        tag[key.replace("_", " ") if key[0].isupper() else key] = value
    if picture:
        tag["Cover Art (Front)"] = b"cover.jpg\0" + picture
    tag.save(file)
    return file.getvalue()


def v1(title: str) -> bytes:
    return b"TAG" + title.encode("latin-1")[:30].ljust(30, b"\0") + bytes(94) + b"\xff"


@pytest.mark.parametrize("suffix", BARE)
def test_an_apev2_tag_alone_is_read(suffix: str) -> None:
    track = read(
        with_apev2(
            corpus.template(suffix), picture=b"x", Title="Debut", Artist=["a", "b"], Track="3/12"
        ),
        suffix,
    )
    assert (track.title, track.artists, track.track, track.track_total) == (
        "Debut",
        ("a", "b"),
        3,
        12,
    )
    assert track.has_picture


@pytest.mark.parametrize("suffix", [".mp3", ".mp2", ".aac", ".tta"])
def test_an_apev2_tag_fills_in_what_the_id3_tag_lacks(suffix: str) -> None:
    tagged = corpus.tagged(suffix, title="of ID3", album=" ")
    content = with_apev2(tagged, Title="of APE", Album="of APE", replaygain_track_gain="-7 dB")
    track = read(content, suffix)
    assert (track.title, track.album, track.replaygain_track_gain) == (
        "of ID3",
        "of APE",
        "-7 dB",
    )


def test_of_three_tags_the_short_old_one_comes_last() -> None:
    sound = corpus.template(".mp3")
    assert read(with_apev2(sound, Title=LONG) + v1(LONG)).title == LONG
    assert read(with_apev2(sound, Album="Debut") + v1(LONG)).title == LONG[:30]
    tagged = corpus.tagged(title="of ID3v2")
    assert read(with_apev2(tagged, Title=LONG) + v1(LONG)).title == "of ID3v2"


COVER = bytes.fromhex("ffd8ff") + bytes(range(256)) * 200


def frames(rate: int, count: int, last: int = 0) -> bytes:
    """Frames of MPEG audio without a count, by the numbers of their bit rates (5: 64, 9: 128)."""
    sizes = {5: 208, 9: 417}
    return b"".join(
        (b"\xff\xfb" + bytes([one << 4]) + b"\0").ljust(sizes[one], b"\0")
        for one in [rate] * count + [last or rate] * 20
    )


@pytest.mark.parametrize("suffix", [".mp3", ".mp2", ".mp1", ".aac", ".ac3", ".eac3"])
def test_tags_behind_the_sound_do_not_make_it_longer(suffix: str) -> None:
    """As for TagLib; mutagen and ffprobe take a cover of 50 KB for 3 s more."""
    sound = frames(9, 100) if suffix == ".mp3" else corpus.template(suffix)
    whole = read(sound, suffix)
    tagged = with_apev2(sound, picture=COVER)
    for content in (tagged, tagged + v1("x")):
        track = read(content, suffix)
        assert (track.duration, track.bitrate) == (whole.duration, whole.bitrate)
    lyrics = b"LYRICSBEGININD0000200" + b"la" * 4000
    behind = lyrics + f"{len(lyrics):06}".encode() + b"LYRICS200" + v1("x")
    assert read(sound + behind, suffix).duration == whole.duration


def test_a_bit_rate_that_changes_is_seen_before_the_tags_behind_the_sound() -> None:
    sound = frames(5, 100, last=9)
    tagged = with_apev2(sound, picture=COVER)
    assert read(sound).duration == read(tagged).duration == pytest.approx(120 * 1152 / 44_100)
    steady = with_apev2(frames(9, 100), picture=COVER)
    assert read(b"junk" * 9 + steady).duration == read(frames(9, 100)).duration


def test_an_apev2_tag_before_lyrics_is_read() -> None:
    lyrics = b"LYRICSBEGININD0000200"
    end = f"{len(lyrics):06}".encode() + b"LYRICS200" + v1("x")
    content = with_apev2(corpus.template(".mp3"), Title="Debut") + lyrics + end
    assert read(content).title == "Debut"


@pytest.mark.parametrize("suffix", BARE)
def test_a_broken_apev2_tag_does_not_refuse_a_file(suffix: str) -> None:
    content = with_apev2(corpus.template(suffix), Title="Debut")
    broken = content.replace(b"Title", b"\xff\xff\xff\xff\xff")
    assert read(broken, suffix).title is None


def test_a_picture_of_an_id3_tag_is_not_hidden_by_an_apev2_tag() -> None:
    tagged = corpus.tagged(title="x", picture=10)
    assert read(with_apev2(tagged, Album="y")).has_picture
    assert not read(with_apev2(corpus.tagged(title="x"), Album="y")).has_picture


def test_true_audio_says_how_many_channels_and_bits_it_has() -> None:
    for content in (corpus.template(".tta"), corpus.tagged(".tta", title="x")):
        track = read(content, ".tta")
        assert (track.channels, track.bit_depth) == (1, 16)


def test_the_bit_rate_of_true_audio_is_its_size_by_its_length() -> None:
    sound = corpus.template(".tta")
    track = read(corpus.tagged(".tta", title="x" * 5000), ".tta")
    assert track.duration
    assert track.bitrate == int(8 * len(sound) / track.duration)


@pytest.mark.parametrize(
    ("mode", "levels", "low", "channels"),
    [
        ("111", "0101", "1", 6),
        ("111", "0101", "0", 5),
        ("111", "0110", "0", 5),
        ("010", "11", "0", 2),
        ("010", "00", "1", 3),
        ("001", "", "1", 2),
        ("001", "", "0", 1),
        ("011", "00", "1", 4),
        ("100", "00", "1", 4),
        ("000", "", "1", 3),
    ],
)
def test_the_low_frequency_channel_of_ac3_counts(
    mode: str, levels: str, low: str, channels: int
) -> None:
    bits = int((mode + levels + low).ljust(16, "0"), 2).to_bytes(2)
    content = b"\x0b\x77\0\0\x14\x40" + bits + bytes(1000)
    assert read(content, ".ac3").channels == channels


def test_adif_is_aac() -> None:
    pce = "000001011100010000000000000000000000000"
    head = "000" + "0" + f"{64_000:023b}" + "0000" + "0" * 20 + pce
    bits = head + "0" * (-len(head) % 8) + "0" * 8
    content = b"ADIF" + int(bits, 2).to_bytes(len(bits) // 8) + bytes(2000)
    track = read(content, ".aac")
    assert (track.codec, track.sample_rate, track.bitrate) == ("aac", 22050, 64_000)
    assert read(content, ".mp3").codec == "aac"
