"""Streams one behind the other (RFC 3533, 4): opusfile and vorbisfile add up their lengths, too."""

from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track
from indexer.tags.fast import ogg_chain
from indexer.tags.fast.ogg import plain_ogg
from indexer.tags.window import Window
from tests import corpus
from tests.unit.tags.test_ogg_pages import PACKETS, RATE, opus, page, vorbis

SECOND = 2 * PACKETS * 960
"""Samples of two pages of Opus."""


class Counted(io.BytesIO):
    """A file that counts the bytes that are read."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def numbered(content: bytes, serial: int) -> bytes:
    """The same stream with another serial number."""
    mark = b"OggS\0"
    first, *more = content.split(mark)
    assert not first
    return b"".join(mark + one[:9] + serial.to_bytes(4, "little") + one[13:] for one in more)


def chain(*streams: bytes) -> bytes:
    return b"".join(numbered(one, serial) for serial, one in enumerate(streams, 1))


def read(content: bytes, suffix: str = ".ogg") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def side_by_side() -> bytes:
    first, second = numbered(opus(0), 1), numbered(opus(0), 2)
    at = first.index(b"OggS", 4)
    return first[:at] + second[:at] + first[at:] + second[at:]


def test_streams_one_behind_the_other_are_as_long_as_all() -> None:
    three = chain(opus(0, 10), opus(RATE * 3600, 50), opus(0, 2))
    assert read(three, ".opus").duration == pytest.approx(62 - 3 * 312 / RATE, abs=1e-3)
    assert read(three, ".opus").bitrate == pytest.approx(len(three) * 8 / 62, rel=0.02)
    two = chain(vorbis(0, 10), vorbis(0, 200))
    assert read(two).duration == pytest.approx(210 * PACKETS * 1024 / RATE)
    slow = vorbis(0, 10).replace(struct.pack("<BI", 2, RATE), struct.pack("<BI", 1, RATE // 2), 1)
    both = read(chain(vorbis(0, 10), slow))
    assert both.duration == pytest.approx(30 * PACKETS * 1024 / RATE)
    assert (both.sample_rate, both.channels, both.short) == (RATE, 2, None)


def test_few_pages_of_a_long_recording_are_read() -> None:
    sound = [page([bytes(200)] * PACKETS, number + 2, number * SECOND) for number in range(400)]
    long = opus(0, 0) + b"".join(sound)
    content = Counted(chain(long, long, opus(0)))
    found = plain_ogg(Window(content))
    assert found is not None
    assert found.stream.length > 1600
    assert content.bytes_read < 1_000_000 < len(content.getvalue()) // 8


@pytest.mark.parametrize("missing", [1, 100, 300])
def test_a_recording_that_was_cut_is_as_long_as_its_whole_pages(missing: int) -> None:
    content = chain(opus(0, 10), opus(0, 10, last=0))
    track = read(content[:-missing], ".opus")
    pages = 20 - -(-missing // 228)
    assert track.duration == pytest.approx(pages - 2 * 312 / RATE, abs=1e-3)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(side_by_side(), id="side by side"),
        pytest.param(chain(opus(0), vorbis(0)), id="of two codecs"),
        pytest.param(chain(opus(0), opus(0, 0)), id="without sound"),
        pytest.param(chain(opus(0), opus(0)) + bytes(200_000), id="followed by zeros"),
        pytest.param(chain(opus(0)) + numbered(opus(0), 2)[47:], id="without a head"),
        pytest.param(numbered(opus(0, last=0), 1), id="alone"),
    ],
)
def test_what_is_no_chain_of_one_codec_is_left_to_mutagen(content: bytes) -> None:
    assert plain_ogg(Window(io.BytesIO(content))) is None


def test_more_streams_than_any_recording_has_are_left_to_mutagen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = chain(*[opus(0)] * 3)
    assert plain_ogg(Window(io.BytesIO(content))) is not None
    monkeypatch.setattr(ogg_chain, "LINKS_LIMIT", 2)
    assert plain_ogg(Window(io.BytesIO(content))) is None


def essence(content: bytes, suffix: str = ".opus") -> bytes | None:
    return read(content, suffix).essence


def test_the_essence_of_a_chain_is_that_of_all_its_streams() -> None:
    sound = page([bytes(range(200))] * 20, 2, SECOND, 4)
    end = opus(0, 0) + sound
    first = essence(chain(opus(0), end))
    assert first
    assert essence(end) not in (first, b"")
    assert essence(chain(opus(0, 30), end)) not in (first, b"")
    other = opus(0, 0) + page([bytes(range(1, 201))] * 20, 2, SECOND, 4)
    assert essence(chain(opus(0), other)) not in (first, b"")
    assert essence(side_by_side()) == b""


def test_tags_leave_the_essence_of_a_chain_as_it_is() -> None:
    tagged = opus(0, 10).replace(b"OpusTags" + bytes(8), b"OpusTags" + bytes(4) + comment("A=B"))
    tagged = tagged.replace(bytes([1, 16]) + b"OpusTags", bytes([1, 23]) + b"OpusTags")
    assert essence(chain(tagged, opus(0, 20))) == essence(chain(opus(0), opus(0, 20))) != b""


def comment(text: str) -> bytes:
    return (1).to_bytes(4, "little") + len(text).to_bytes(4, "little") + text.encode()


def test_titles_in_flac_that_are_joined_sound_as_none_of_them() -> None:
    content = corpus.template(".oga")
    assert content[28:33] == b"\x7fFLAC"
    alone = essence(content, ".oga")
    assert alone
    assert essence(chain(content, content), ".oga") not in (alone, b"")


@pytest.mark.parametrize("template", [".oga", ".spx"])
def test_chains_that_mutagen_reads_are_as_long_as_all(template: str) -> None:
    content = corpus.template(template)
    alone, both = read(content, template), read(chain(content, content), template)
    assert alone.duration is not None
    assert both.duration == pytest.approx(2 * alone.duration, rel=0.05)
    assert both.bitrate == pytest.approx(alone.bitrate, rel=0.05)
    other = chain(content, corpus.template(".opus"))
    assert read(other, template).duration == alone.duration
