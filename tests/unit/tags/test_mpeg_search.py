from __future__ import annotations

import io
import random

import pytest
from mutagen.mp3 import MP3

from indexer import tags
from indexer.model import Track
from indexer.tags import mpeg_search
from indexer.tags.window import Window
from tests import corpus

LAYERS = {1: 0b11, 2: 0b10, 3: 0b01}
VERSIONS = {1: 0b11, 2: 0b10, 2.5: 0b00}
SLOTS = {1: 4, 2: 1, 3: 1}


def read(content: bytes, suffix: str = ".mp3") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def header(
    version: float = 1, layer: int = 3, *, bitrate: int = 9, rate: int = 0, padding: int = 0
) -> bytes:
    """A frame header, stereo, without a check sum (ISO 11172-3, 2.4.1.3)."""
    first = 0xFFE0 | VERSIONS[version] << 3 | LAYERS[layer] << 1 | 1
    return first.to_bytes(2) + bytes([bitrate << 4 | rate << 2 | padding << 1, 0])


def frames(count: int, size: int, **fields: float) -> bytes:
    """So many frames of `size` bytes; with a padding of one slot in each third."""
    layer = int(fields.get("layer", 3))
    sound = b""
    for number in range(count):
        padding = int(number % 3 == 2 and not fields.get("bitrate"))
        head = header(**fields, padding=padding)  # type: ignore[arg-type]
        sound += head + bytes(size - 4 + padding * SLOTS[layer])
    return sound


def xing(frame: bytes, count: int) -> bytes:
    """A frame of MPEG 1, stereo, layer III that holds the count of those behind it."""
    info = b"Info" + (1).to_bytes(4) + count.to_bytes(4)
    return frame[:36] + info + frame[36 + len(info) :]


@pytest.mark.parametrize(
    ("version", "layer", "rate_hz", "size", "samples"),
    [
        (1, 3, 44_100, 1254, 1152),
        (1, 2, 44_100, 500, 1152),
        (1, 1, 44_100, 200, 384),
        (2, 3, 22_050, 300, 576),
        (2.5, 3, 11_025, 80, 576),
    ],
)
def test_a_free_bit_rate_is_the_distance_of_the_frames(
    version: float, layer: int, rate_hz: int, size: int, samples: int
) -> None:
    sound = frames(30, size, version=version, layer=layer, bitrate=0)
    track = read(sound, ".mp3")
    assert track.codec == f"mp{layer}"
    assert track.bitrate == round(8 * size * rate_hz / samples)
    assert track.duration == pytest.approx(30 * samples / rate_hz, rel=0.01)


def test_a_free_bit_rate_behind_a_tag_and_with_a_count_of_frames() -> None:
    sound = frames(30, 1254, bitrate=0)
    counted = xing(sound[:1254], 20) + sound[1254:]
    head = corpus.tagged(title="Debut")[: -len(corpus.template(".mp3"))]
    track = read(head + counted)
    assert (track.title, track.duration) == ("Debut", 20 * 1152 / 44_100)


def test_headers_of_a_free_bit_rate_at_uneven_distances_are_no_sound() -> None:
    sizes = (700, 800, 950, 1020, 777, 901)
    sound = b"".join(header(bitrate=0) + b"\x55" * size for size in sizes)
    with pytest.raises(tags.Refused, match="can't sync"):
        read(sound)


def test_two_headers_by_chance_in_other_bytes_are_no_sound() -> None:
    two = header(layer=1, bitrate=1) + bytes(34 * 4 - 4)
    content = b"\x55" * 1000 + two + header(layer=1, bitrate=1) + b"\x55" * 1000
    assert MP3(io.BytesIO(content)).info.layer == 1
    with pytest.raises(tags.Refused, match="can't sync"):
        read(content)


def test_frames_that_disagree_in_layer_or_rate_are_no_row() -> None:
    first = header() + bytes(417 - 4)
    for other in (header(layer=2), header(rate=1), header(version=2)):
        assert mpeg_search.find(Window(io.BytesIO(first + other + bytes(3000))), 0) is None


def test_two_frames_that_reach_the_end_are_sound() -> None:
    sound = frames(2, 417, bitrate=9)
    for end in (b"", corpus.tagged(".ape", title="x")[len(corpus.template(".ape")) :]):
        assert read(sound + end).codec == "mp3"
    with pytest.raises(tags.Refused):
        read(sound[:417])


def test_sound_behind_junk_is_as_long_as_mutagen_says() -> None:
    content = random.Random(3).randbytes(5000).replace(b"\xff", b"\0") + frames(40, 417, bitrate=9)
    info = MP3(io.BytesIO(content)).info
    track = read(content)
    assert (track.duration, track.bitrate) == (info.length, info.bitrate)


@pytest.mark.parametrize("version", [1, 2, 2.5])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".m4a"])
def test_mpeg_audio_of_any_version_is_known_by_its_content(version: float, suffix: str) -> None:
    size = {1: 417, 2: 208, 2.5: 417}[version]  # 128, 64 and 64 kbit/s
    bitrate = {1: 9, 2: 8, 2.5: 8}[version]
    track = read(frames(10, size, version=version, bitrate=bitrate), suffix)
    rate = {1: 44_100, 2: 22_050, 2.5: 11_025}[version]
    assert (track.codec, track.sample_rate) == ("mp3", rate)


def test_the_search_is_bounded() -> None:
    far = bytes(mpeg_search.REACH + 10) + frames(10, 417, bitrate=9)
    with pytest.raises(tags.Refused):
        read(far)
    free = header(bitrate=0) + b"\x55" * 28
    hostile = free * 30_000  # each could be one of a free bit rate of 32 bytes
    assert read(hostile).codec == "mp3"
    rows = bytearray(hostile)
    random.Random(1).shuffle(rows)
    with pytest.raises(tags.Refused):
        read(bytes(rows))
