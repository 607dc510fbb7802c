from __future__ import annotations

import io
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from indexer.tags.fast import mpeg_frames
from indexer.tags.fast.mpeg_header import frame_of
from indexer.tags.id3 import id3_tag
from indexer.tags.window import Window
from tests.property.effort import tries
from tests.property.test_fast_readers import assert_same, outcome
from tests.property.test_tags import id3_files

likely_headers = st.builds(
    lambda version, layer, bitrate, rate, padding, mode: (
        0x7FF << 21
        | version << 19
        | layer << 17
        | 1 << 16
        | bitrate << 12
        | rate << 10
        | padding << 9
        | mode << 6
    ).to_bytes(4),
    st.sampled_from([0, 2, 3] * 8 + [1]),
    st.sampled_from([1, 1, 1, 2, 3] * 4 + [0]),
    st.sampled_from([*range(1, 15), *range(16)]),
    st.sampled_from([0, 1, 2] * 8 + [3]),
    st.integers(0, 1),
    st.integers(0, 3),
)
VERSIONS = [
    b"LAME3.100",
    b"LAME3.99r",
    b"LAME3.90 (alpha)",
    b"LAME3.90",
    b"LAME3.89 (beta)",
    b"L3.99",
    b"LAME3.9\xff",
    b"LAME.",
    b"LAMEx",
    b"Lavf",
    b"",
]


@st.composite
def xing_headers(draw: st.DrawFn) -> bytes:
    flags = draw(st.integers(0, 15))
    number = st.one_of(st.integers(0, 100_000), st.integers(0, 2**32 - 1))
    header = draw(st.sampled_from([b"Xing", b"Info", b"VBRI"])) + flags.to_bytes(4)
    for flag, size in ((1, 4), (2, 4), (4, 100), (8, 4)):
        if flags & flag:
            header += draw(number).to_bytes(4) if size == 4 else bytes(size)
    lame = draw(st.sampled_from(VERSIONS)).ljust(9, b"\0") + draw(
        st.sampled_from([b"\0", b"\x04", b"\x14"])
    )
    return header + lame + draw(st.binary(min_size=26, max_size=26))


@st.composite
def mpeg_files(draw: st.DrawFn) -> bytes:
    """Frames of one kind or several, the first perhaps with a Xing header, perhaps cut off."""
    headers = draw(st.lists(likely_headers, min_size=1, max_size=2))
    sound = b""
    for number in range(draw(st.integers(2, 7))):
        header = headers[0] if draw(st.integers(0, 30)) else headers[-1]
        frame = frame_of(header)
        size = frame.size if frame else draw(st.integers(4, 500))
        body = bytearray(header + bytes(max(size - 4, 0)))
        if draw(st.booleans()) if number == 0 else not draw(st.integers(0, 15)):
            at = draw(st.sampled_from([13, 21, 36, 36]))
            xing = draw(xing_headers())
            body[at : at + len(xing)] = xing
        sound += body
    head = draw(st.sampled_from([b""] * 9 + [b"\0", b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)]))
    if not draw(st.integers(0, 3)):
        sound = sound[: draw(st.integers(0, len(sound)))]
    return head + sound


def as_if_steady() -> Any:
    """Let the bit rate of the first frame be that of all, as it is for mutagen without a header."""
    return patch.object(mpeg_frames, "is_steady", lambda *_: True)


@tries(250)
@given(mpeg_files(), st.sampled_from([".mp3", ".mp2"]))
def test_mpeg_audio_is_read_as_mutagen_reads_it(content: bytes, suffix: str) -> None:
    with as_if_steady():
        assert_same(content, suffix)


@tries(250)
@given(id3_files())
def test_a_file_with_an_id3_tag_is_read_as_before(content: bytes) -> None:
    fast = mpeg_frames.stream(
        Window(io.BytesIO(content)), id3_tag.read_tag(Window(io.BytesIO(content))).size
    )
    with as_if_steady():
        got = outcome(content, ".mp3")
    with patch.object(mpeg_frames, "stream", lambda *_: None):
        assert outcome(content, ".mp3") == got
    if not isinstance(got, str) and fast is not None:
        assert (fast.sample_rate, fast.channels) == (got.sample_rate, got.channels)  # type: ignore[attr-defined]
