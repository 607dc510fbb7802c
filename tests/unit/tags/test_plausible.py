from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track
from indexer.tags.plausible import FREE, without_impossible
from tests import corpus
from tests.raw_matroska import block, cluster, element, float_, segment, tracks, unsigned


def read(content: bytes, suffix: str) -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def checked(size: int, track: Track) -> tuple[float | None, int | None]:
    """Length and bit rate that are left."""
    without_impossible(track, size)
    return track.duration, track.bitrate


def test_a_length_that_takes_more_bytes_than_there_are_is_not_shown() -> None:
    assert checked(10**6, Track(codec="flac", duration=2.0**36 / 44_100, bitrate=5)) == (None, None)
    assert checked(10**6, Track(codec="mp3", duration=26_000.0, bitrate=307)) == (None, None)
    assert checked(10**6, Track(codec="vorbis", duration=1e12, bitrate=112_000)) == (None, 112_000)


@pytest.mark.parametrize("codec", ["aac", "alac", "flac", "mp3", "opus", "wavpack", "pcm"])
def test_a_length_that_is_possible_is_kept(codec: str) -> None:
    hour = Track(codec=codec, duration=3600.0, bitrate=8000)
    assert checked(3_600_000, hour) == (3600, 8000)


def test_the_bytes_of_pcm_are_known_but_for_gaps() -> None:
    def pcm(seconds: float) -> Track:
        return Track(codec="pcm", duration=seconds, sample_rate=8000, channels=1, bit_depth=16)

    assert checked(16_000, pcm(3))[0] == 3
    assert checked(16_000, pcm(9))[0] is None


def test_silence_in_the_longest_frames_of_flac_is_possible() -> None:
    """Two hours of it, as `flac --lax --blocksize=65535` writes them."""
    silence = Track(codec="flac", duration=7200.0, sample_rate=44_100, bitrate=104)
    assert checked(93_340, silence) == (7200, 104)


def test_a_file_that_was_cut_short_keeps_the_length_of_the_whole() -> None:
    assert checked(FREE, Track(codec="flac", duration=9e5, short=0.01))[0] == 9e5
    assert checked(FREE, Track(codec="flac", duration=3e6, short=0.01))[0] is None


def flac(total: int) -> bytes:
    """A file that announces so many samples."""
    content = corpus.template(".flac")
    numbers = int.from_bytes(content[18:26]) >> 36 << 36 | total
    return content[:18] + numbers.to_bytes(8) + content[26:]


@pytest.mark.parametrize("more", [0, 100_000])
def test_flac_that_announces_the_most_samples_has_no_length(more: int) -> None:
    track = read(flac(2**36 - 1) + bytes(more), ".flac")
    assert (track.duration, track.bitrate, track.short) == (None, None, None)
    assert track.sample_rate is not None


def test_flac_that_counts_no_samples_is_as_long_as_its_frames() -> None:
    """A program that writes to a pipe cannot count them, nor one that was killed."""
    whole = read(corpus.template(".flac"), ".flac")
    assert whole.duration
    id3 = corpus.tagged(title="x")[: -len(corpus.template(".mp3"))]
    for content in (flac(0), id3 + flac(0)):
        track = read(content, ".flac")
        assert (track.duration, track.bitrate) == (whole.duration, whole.bitrate)
    without_frames = flac(0)[: flac(0).index(b"\xff\xf8")]
    assert read(without_frames, ".flac").duration is None
    assert read(without_frames + bytes(10**6), ".flac").duration is None


def test_counts_of_mpeg_frames_that_were_never_filled_in_do_not_count() -> None:
    """Ffmpeg writes them at the end; ffprobe and TagLib take the bit rate then."""
    sound = (b"\xff\xfb\x90\0" + bytes(413)) * 100
    first = bytearray(b"\xff\xfb\x50\0" + bytes(204))

    def with_count(count: int) -> bytes:
        first[36:52] = b"Info\0\0\0\x0f" + count.to_bytes(4) + bytes(4)
        return bytes(first) + sound

    for junk in (b"", b"junk"):
        track = read(junk + with_count(0), ".mp3")
        assert (track.duration, track.bitrate) == (8 * len(sound) / 128_000, 128_000)
    assert read(with_count(100), ".mp3").duration == 100 * 1152 / 44_100
    assert read(with_count(10**6), ".mp3").duration is None


def matroska(ticks: float, scale: int) -> bytes:
    """Ten blocks of 20 ms."""
    info = element(0x1549A966, [unsigned(0x2AD7B1, scale), float_(0x4489, ticks)])
    return segment(info, tracks(), cluster(0, *(block(20 * n) for n in range(10))))


@pytest.mark.parametrize("ticks", [1e9, 1e18, float("inf"), float("nan"), -1.0])
def test_matroska_of_an_impossible_length_is_as_long_as_its_blocks(ticks: float) -> None:
    assert read(matroska(ticks, 1_000_000), ".mka").duration == 0.2


def test_ticks_of_no_length_have_the_usual_one() -> None:
    assert read(matroska(200.0, 0), ".mka").duration == 0.2


def wave(channels: int = 1, frame: int = 2, bits: int = 16) -> bytes:
    """A tenth of a second of PCM; `frame` is the declared size of a sample of all channels."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, 8000, 16_000, frame, bits)
    body = b"WAVE" + fmt + struct.pack("<4sI", b"data", 1600) + bytes(1600)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("frame", [0, 1, 65_535])
def test_pcm_of_an_impossible_frame_is_measured_by_its_channels_and_bits(frame: int) -> None:
    """As TagLib and ffmpeg do always."""
    assert read(wave(frame=frame), ".wav").duration == 0.1
    assert read(wave(frame=4), ".wav").duration == 0.05  # 16 bits in 32


@pytest.mark.parametrize("suffix", [".w64", ".aiff", ".mp3", ".m4a"])
@pytest.mark.parametrize("mark", [b"RF64", b"BW64"])
def test_a_large_wave_file_with_another_suffix_is_read(mark: bytes, suffix: str) -> None:
    content = mark + wave()[4:]
    assert (read(content, suffix).codec, read(content, suffix).duration) == ("pcm", 0.1)


@pytest.mark.parametrize(
    ("code", "codec"), [(0x161, "wma"), (0x163, "wmalossless"), (0xFF, "aac"), (0x2001, "dts")]
)
def test_codecs_in_wave_have_their_names(code: int, codec: str) -> None:
    content = wave()
    assert read(content[:20] + code.to_bytes(2, "little") + content[22:], ".wav").codec == codec


def test_channels_and_depths_that_no_sound_has_are_not_shown() -> None:
    track = read(wave(channels=65_535), ".wav")
    assert (track.channels, track.bitrate, track.sample_rate) == (None, None, 8000)
    assert read(wave(bits=65_535), ".wav").bit_depth is None


@pytest.mark.parametrize(("bitrate", "shown"), [(2**31 - 1, None), (128_000, 128_000)])
def test_a_bit_rate_beyond_that_of_the_decoded_sound_is_not_shown(
    bitrate: int, shown: int | None
) -> None:
    content = corpus.template(".ogg")
    at = content.index(b"\1vorbis") + 20
    content = content[:at] + bitrate.to_bytes(4, "little") + content[at + 4 :]
    assert read(content, ".ogg").bitrate == shown


def caf(packet: tuple[int, int], *chunks: bytes, code: bytes = b"lpcm", bits: int = 16) -> bytes:
    """A tenth of a second at 8000 Hz, of one channel."""
    stream = struct.pack(">d4s5I", 8000.0, code, 0, *packet, 1, bits)
    whole = b"caff\0\1\0\0" + b"desc" + len(stream).to_bytes(8) + stream + b"".join(chunks)
    return whole + b"data" + (1604).to_bytes(8) + bytes(1604)


@pytest.mark.parametrize("packet", [(2, 1), (1, 1), (0, 1), (2, 2**32 - 1)])
def test_core_audio_of_impossible_packets_is_measured_by_its_channels_and_bits(
    packet: tuple[int, int],
) -> None:
    assert read(caf(packet), ".caf").duration == 0.1


def test_core_audio_of_more_samples_than_its_packets_have_is_as_long_as_these() -> None:
    table = struct.pack(">4sq2q2i", b"pakt", 24, 8, 2**50, 0, 0)
    assert read(caf((0, 1000), table, code=b"alac"), ".caf").duration == 1
