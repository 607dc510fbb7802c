"""An ID3v1 tag is found and read as by mutagen."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutagen.id3._id3v1 import find_id3v1

from indexer.tags.id3 import id3v1
from indexer.tags.window import Window
from tests.property.effort import tries

BYTES = st.sampled_from([b"\0", b" ", b"a", b"1", b",", b"-", b"\xff", b"\n", b"TAG", b"APETAGEX"])


def part(size: int) -> st.SearchStrategy[bytes]:
    texts = st.lists(BYTES, max_size=size).map(b"".join)
    return texts.map(lambda text: text[:size].ljust(size, b"\0"))


@st.composite
def tags(draw: st.DrawFn) -> bytes:
    year = draw(st.one_of(part(4), st.sampled_from([b"1993", b"19,8", b"93\0\0", b"   \0"])))
    comment = draw(part(28)) + draw(st.binary(min_size=2, max_size=2))
    parts = (draw(part(30)), draw(part(30)), draw(part(30)), year, comment)
    return b"TAG" + b"".join(parts) + bytes([draw(st.integers(0, 255))])


@pytest.mark.parametrize("version", [3, 4])
@tries(400)
@given(
    head=st.lists(BYTES, max_size=8).map(b"".join),
    tag=tags(),
    cut=st.integers(0, 8),
    more=st.binary(max_size=2),
)
@example(head=b"APE", tag=b"TAGEX" + bytes(123), cut=0, more=b"")
@example(head=b"", tag=b"TAG" + bytes(125), cut=0, more=b"")
def test_it_is_read_as_mutagen_reads_it(
    version: int, head: bytes, tag: bytes, cut: int, more: bytes
) -> None:
    content = bytes(64) + head + tag[: len(tag) - cut] + more
    frames, _ = find_id3v1(io.BytesIO(content), 3, None)  # of 4: a date without what is no number
    expected = {
        frame.HashKey: [str(text) for text in frame.text] for frame in (frames or {}).values()
    }
    if version == 4 and "TYER" in expected:
        expected["TDRC"] = expected.pop("TYER")
    assert id3v1.texts_of(Window(io.BytesIO(content)), version) == expected
