from __future__ import annotations

import io
import struct

from hypothesis import given
from hypothesis import strategies as st
from mutagen.mp4._as_entry import ASEntryError, AudioSampleEntry
from mutagen.mp4._atom import Atom, AtomError

from indexer.tags.fast.mp4_sample_entry import Entry, read_entry, refine
from tests.property.effort import tries


def atom(name: bytes, body: bytes, lie: int = 0) -> bytes:
    return max(0, 8 + len(body) + lie).to_bytes(4) + name + body


def descriptor(tag: int, body: bytes, lie: int, *, long: bool) -> bytes:
    size = max(0, len(body) + lie) & 0x7F
    return bytes([tag]) + (b"\x80\x80\x80" if long else b"") + bytes([size]) + body


rarely = st.sampled_from([0] * 40 + [1, -1, 3, 90])
amount = st.sampled_from([0, 1, 2, 128_000, 2**32 - 1])
configs = st.binary(max_size=9) | st.sampled_from(
    [b"\x12\x10", b"\x11\x90\x56\xe5\x00", b"\x2b\x92\x08\x00", b"\xeb\x8a\x08\x00", b"\x13\x90"]
)


@st.composite
def esds(draw: st.DrawFn) -> bytes:
    long = draw(st.booleans())
    config = b""
    if draw(st.integers(0, 5)):
        tag = draw(st.sampled_from([5] * 9 + [6]))
        config = descriptor(tag, draw(configs), draw(rarely), long=long)
    object_type = draw(st.sampled_from([0x40] * 6 + [0x69, 0x6B, 0xA5, 0]))
    stream = draw(st.sampled_from([0x15] * 6 + [0x14, 0x11]))
    head = struct.pack(">BB3xII", object_type, stream, draw(amount), draw(amount))
    inner = descriptor(4, head + config, draw(rarely), long=long) + b"\x06\x01\x02"
    flags = draw(st.sampled_from([0] * 20 + [0x80, 0x40, 0x20]))
    return descriptor(3, b"\0\1" + bytes([flags]) + inner, draw(rarely), long=long)


@st.composite
def entries(draw: st.DrawFn) -> bytes:
    names = st.sampled_from(
        [(b"mp4a", b"esds")] * 6
        + [(b"alac", b"alac"), (b"ac-3", b"dac3"), (b"ec-3", b"dec3"), (b"mp4a", b"wave")]
        + [(b"fLaC", b"dfLa"), (b"trak", b"esds"), (b"mp4a", b"meta")]
    )
    name, extra = draw(names)
    version = draw(st.sampled_from([0] * 20 + [1])).to_bytes(1) + bytes(3)
    body = draw(st.binary(max_size=40))
    if extra == b"esds":
        body = version + draw(esds())
    elif extra == b"alac":
        body = version + draw(st.sampled_from([b"", bytes(4)])) + body
    numbers = (draw(st.integers(0, 9)), draw(st.integers(0, 32)), draw(amount))
    head = bytes(16) + struct.pack(">2H4xI", *numbers)
    whole = atom(name, head + atom(extra, body, draw(rarely)), draw(rarely))
    return whole[: len(whole) - draw(st.sampled_from([0] * 40 + [1, 5, 30]))] + draw(
        st.sampled_from([b"", bytes(9)])
    )


def mutagens(content: bytes) -> Entry | None:
    """The result of mutagen; None if it refuses."""
    file = io.BytesIO(content)
    try:
        entry = AudioSampleEntry(Atom(file), file)
    except (ASEntryError, AtomError, AssertionError, ValueError, LookupError, TypeError):
        return None
    read = Entry(entry.bitrate, entry.sample_rate, entry.channels, entry.sample_size, entry.codec)
    refine(read, content)
    return read


@tries(300)
@given(entries())
def test_an_entry_that_is_read_here_is_read_as_mutagen_reads_it(content: bytes) -> None:
    ours = read_entry(content)
    assert ours is None or ours == mutagens(content)


def test_usual_entries_are_read_here() -> None:
    """A comparison of refusals only would prove nothing."""
    config = descriptor(5, b"\x12\x10", 0, long=True)
    head = struct.pack(">BB3xII", 0x40, 0x15, 128_000, 128_000)
    told = descriptor(3, b"\0\1\0" + descriptor(4, head + config, 0, long=True), 0, long=True)
    sound = bytes(16) + struct.pack(">2H4xI", 2, 16, 44_100 << 16)
    aac = atom(b"mp4a", sound + atom(b"esds", bytes(4) + told))
    cookie = bytes(5) + b"\x18" + bytes(3) + b"\2" + bytes(6) + struct.pack(">II", 900_000, 96_000)
    alac = atom(b"alac", sound + atom(b"alac", bytes(4) + cookie))
    assert read_entry(aac) == mutagens(aac) == Entry(128_000, 44_100, 2, 16, "mp4a.40.2")
    assert read_entry(alac) == mutagens(alac) == Entry(900_000, 96_000, 2, 24, "alac")
