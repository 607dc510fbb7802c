"""Where a recording of a broadcast begins, by RFC 3533, 6; ffprobe shows the same lengths."""

from __future__ import annotations

import io

import pytest

from indexer import tags
from indexer.model import Track
from indexer.tags.fast.ogg import plain_ogg
from indexer.tags.window import Window

RATE = 48_000
PACKETS = 50


def little(number: int, width: int = 4) -> bytes:
    return number.to_bytes(width, "little", signed=True)


def page(packets: list[bytes], number: int, position: int, flags: int = 0) -> bytes:
    lacing = bytes(map(len, packets))
    head = b"OggS\0" + bytes([flags]) + little(position, 8) + little(7) + little(number)
    return head + bytes(4) + bytes([len(lacing)]) + lacing + b"".join(packets)


def stream(heads: list[bytes], per_packet: int, start: int, pages: int, *, last: int = 4) -> bytes:
    """Headers, then pages of sound that begins at a position; the last one has these flags."""
    found = page(heads[:1], 0, 0, 2) + page(heads[1:], 1, 0)
    for number in range(pages):
        position = start + (number + 1) * PACKETS * per_packet
        flags = last if number == pages - 1 else 0
        found += page([bytes(3)] * PACKETS, number + 2, position, flags)
    return found


def opus(start: int, pages: int = 10, **more: int) -> bytes:
    head = b"OpusHead\1\2" + little(312, 2) + little(RATE) + bytes(3)
    return stream([head, b"OpusTags" + bytes(8)], 960, start, pages, **more)


def vorbis(start: int, pages: int = 10, **more: int) -> bytes:
    """Blocks of 256 and 2048 samples, so 1024 of a long packet."""
    head = b"\x01vorbis" + little(0) + b"\2" + little(RATE) + bytes(12) + b"\xb8\1"
    tags = b"\x03vorbis" + bytes(8) + b"\1"
    return stream([head, tags, b"\x05vorbis" + bytes(90)], 1024, start, pages, **more)


def read(content: bytes, suffix: str = ".ogg") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


@pytest.mark.parametrize("way", ["ours", "mutagen"])
@pytest.mark.parametrize("start", [0, RATE * 3600, 2**40])
def test_a_recording_of_a_broadcast_is_as_long_as_its_pages(
    start: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "ours":
        assert plain_ogg(Window(io.BytesIO(opus(start)))) is not None
        assert plain_ogg(Window(io.BytesIO(vorbis(start)))) is not None
    else:
        monkeypatch.setattr("indexer.tags.vorbis.vorbis_file.plain_ogg", lambda *_: None)
    assert read(opus(start), ".opus").duration == pytest.approx(10 - 312 / RATE, abs=1e-3)
    assert read(vorbis(start)).duration == pytest.approx(10 * PACKETS * 1024 / RATE, abs=1e-3)


def test_what_the_first_page_can_hold_is_no_sign_of_a_recording() -> None:
    """A first page of long packets, then pages of short ones, as after silence."""
    heads = vorbis(0, 0)
    first = page([bytes(3)] * PACKETS, 2, PACKETS * 1024)
    after = page([bytes(3)] * PACKETS, 3, PACKETS * 1024 + PACKETS * 128, 4)
    assert read(heads + first + after).duration == PACKETS * 1152 / RATE


def test_one_page_from_the_midst_is_as_long_as_its_packets_can_be() -> None:
    assert read(vorbis(RATE * 3600, 1)).duration == pytest.approx(PACKETS * 1024 / RATE)


@pytest.mark.parametrize("size", [1, 30, 200])
def test_a_recording_that_ends_in_its_first_pages_of_sound_refuses_nothing_new(size: int) -> None:
    content = vorbis(RATE * 3600, 2)
    whole = content + page([bytes(3)], 4, RATE * 3601, 4)
    assert read(whole).duration
    with pytest.raises(tags.Refused):
        read(vorbis(0, 0)[:-size])
