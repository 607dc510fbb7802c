from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track
from tests import corpus

RATE = 2_822_400


def read(content: bytes, suffix: str) -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def id3_tag(title: str) -> bytes:
    return corpus.tagged(title=title)[: -len(corpus.template(".mp3"))]


def dsf(
    *, samples: int = 282_240, size: int | None = None, tag: bytes = b"", channels: int = 2
) -> bytes:
    """A tenth of a second of DSD64; `samples` and the `size` of the sound are as declared."""
    sound = bytes(282_240 * channels // 8)
    size = 12 + len(sound) if size is None else size
    end = 92 + len(sound)
    head = struct.pack("<4sQQQ", b"DSD ", 28, end + len(tag), end if tag else 0)
    stream = (b"fmt ", 52, 1, 0, 2, channels, RATE, 1, samples, 4096, 0)
    head += struct.pack("<4sQIIIIIIQII", *stream)
    return head + struct.pack("<4sQ", b"data", size) + sound + tag


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    size = len(content) if size is None else size
    return name + size.to_bytes(8) + content + bytes(len(content) % 2)


def dsdiff(
    *more: bytes, compression: bytes = b"DSD ", whole: int | None = None, size: int | None = None
) -> bytes:
    """A tenth of a second of DSD64, one channel; compressed, each frame takes 100 bytes."""
    properties = b"SND " + chunk(b"FS  ", RATE.to_bytes(4)) + chunk(b"CHNL", b"\0\x01C000")
    properties += chunk(b"CMPR", compression + b"\0")
    sound = bytes(RATE // 80)
    if compression == b"DST ":
        sound = chunk(b"FRTE", struct.pack(">IH", 15, 150)) + chunk(b"DSTF", bytes(88)) * 15
    body = b"DSD " + chunk(b"FVER", b"\x01\x05\0\0") + chunk(b"PROP", properties)
    return chunk(b"FRM8", body + chunk(compression, sound, size) + b"".join(more), whole)


@pytest.mark.parametrize("samples", [0, 2**64 - 1])
@pytest.mark.parametrize("size", [None, 0, 12, 2**40, 2**64 - 1])
@pytest.mark.parametrize("tag", [b"", id3_tag("x")])
def test_the_samples_of_dsf_are_counted_where_their_number_was_not_filled_in(
    samples: int, size: int | None, tag: bytes
) -> None:
    track = read(dsf(samples=samples, size=size, tag=tag), ".dsf")
    assert (track.duration, track.bitrate) == (0.1, 2 * RATE)
    assert (track.channels, track.title) == (2, "x" if tag else None)


def test_a_dsf_file_of_one_padded_block_that_counts_no_sample_is_empty() -> None:
    assert read(dsf(samples=0)[:92] + bytes(4096), ".dsf").duration is None


def test_a_dsf_file_that_counts_its_samples_is_believed() -> None:
    assert read(dsf(samples=RATE), ".dsf").duration == 1


@pytest.mark.parametrize("whole", [None, 0, 20, 2**63, 2**64 - 1])
@pytest.mark.parametrize("size", [None, 0, 2**32, 2**64 - 1])
def test_dsdiff_of_sizes_that_were_not_filled_in_goes_on_to_the_end_of_the_file(
    whole: int | None, size: int | None
) -> None:
    track = read(dsdiff(whole=whole, size=size), ".dff")
    assert (track.duration, track.bitrate, track.sample_rate) == (0.1, RATE, RATE)
    track = read(dsdiff(compression=b"DST ", whole=whole, size=size), ".dff")
    assert (track.duration, track.bitrate) == (0.1, 100 * 8 * 150)


def test_a_tag_behind_the_declared_end_of_a_dsdiff_file_is_read() -> None:
    content = dsdiff(chunk(b"ID3 ", id3_tag("x")), whole=len(dsdiff()) - 12)
    assert read(content, ".dff").title == "x"


def test_properties_of_something_else_than_sound_tell_nothing() -> None:
    track = read(dsdiff().replace(b"SND ", b"XXX "), ".dff")
    assert (track.duration, track.bitrate, track.sample_rate) == (None, None, None)


def test_compressed_sound_that_counts_no_frames_has_no_length() -> None:
    content = dsdiff(chunk(b"ID3 ", id3_tag("x")), compression=b"DST ")
    track = read(content.replace(b"FRTE", b"FRTF"), ".dff")
    assert (track.duration, track.bitrate, track.title) == (None, None, "x")
    track = read(content.replace(struct.pack(">IH", 15, 150), bytes(6)), ".dff")
    assert (track.duration, track.bitrate, track.title) == (None, None, "x")


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".dsf", dsf().replace(RATE.to_bytes(4, "little"), bytes(4))),
        (".dsf", dsf()[:90]),
        (".dsf", b"DSD_" + dsf()[4:]),
        (".dsf", dsf().replace(b"fmt ", b"fmt_")),
        (".dsf", dsf().replace(b"data", b"date")),
        (".dff", b"FRM4" + dsdiff()[4:]),
        (".dff", dsdiff().replace(b"PROP", b"PROQ")),
        (".dff", dsdiff().replace(b"DSD \0\0\0\0", b"DSE \0\0\0\0")),
        (".dff", dsdiff(compression=b"DST ").replace(b"DST \0\0\0\0", b"DSU \0\0\0\0")),
    ],
)
def test_dsd_without_its_headers_or_without_a_rate_is_refused(suffix: str, content: bytes) -> None:
    with pytest.raises(tags.Refused):
        read(content, suffix)


def text(name: bytes, content: bytes, count: int | None = None) -> bytes:
    count = len(content) if count is None else count
    return chunk(name, count.to_bytes(4) + content)


def test_artist_and_title_of_dsdiff_are_read_where_its_id3_tag_lacks_them() -> None:
    """Source: DSDIFF 1.5, 3.3."""
    texts = chunk(b"DIIN", text(b"DIAR", "Björk".encode()) + text(b"DITI", b"Caf\xe9"))
    track = read(dsdiff(texts), ".dff")
    assert (track.artists, track.title) == (("Björk",), "Café")
    track = read(dsdiff(texts, chunk(b"ID3 ", id3_tag("x"))), ".dff")
    assert (track.artists, track.title) == (("Björk",), "x")
    wrong = chunk(b"DIIN", text(b"DITI", b"Debut", 2**32 - 1) + text(b"DIAR", b"Debut", 0))
    track = read(dsdiff(wrong), ".dff")
    assert (track.artists, track.title) == ((), "Debut")
