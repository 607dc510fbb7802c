"""Matroska, Core Audio and Wave64 with sizes that lie: a track or a refusal, in bounded time."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import BinaryIO

from hypothesis import given
from hypothesis import strategies as st

from indexer import tags
from indexer.model import Track
from tests import raw_matroska as raw
from tests.property.effort import tries
from tests.property.test_tags import mutations

SOON_S = 1.0
"""Well above what any of these takes (0.01 s)."""

LEAVES = [0x4282, 0x2AD7B1, 0x4489, 0x7BA9, 0xD7, 0x73C5, 0x83, 0x86, 0x63A2, 0x536E, 0xB5, 0x9F]
LEAVES += [0x68CA, 0x63C5, 0x45A3, 0x4487, 0x4660, 0x465C, 0x53AB, 0x53AC, 0xE7, 0xA3, 0xEC, 0xBF]
MASTERS = [0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1254C367, 0x1941A469, 0x1F43B675, 0x1C53BB6B]
MASTERS += [0x18538067, 0xAE, 0xE1, 0x7373, 0x63C0, 0x67C8, 0x61A7, 0x4DBB, 0xA0]

LIES = [raw.UNKNOWN, b"\xff", b"\x80", b"\x08\xff\xff\xff\xff"]
sizes = st.sampled_from([b""] * len(LIES) + LIES)
sizes |= st.integers(0, 2**20).map(raw.vint)
leaves = st.builds(
    raw.element,
    st.sampled_from(LEAVES),
    st.sampled_from([b"", b"\1", b"\2", b"A_OPUS", b"TITLE", b"\xff" * 8]) | st.binary(max_size=9),
    sizes,
)
trees = st.recursive(
    leaves,
    lambda inner: st.builds(
        raw.element, st.sampled_from(MASTERS), st.lists(inner, max_size=6), sizes
    ),
    max_leaves=20,
)


def outcome_of(read: Callable[[BinaryIO, bytes], Track], content: bytes, suffix: bytes) -> object:
    """A track, or the reason of its refusal; None if it was declined."""
    try:
        return read(io.BytesIO(content), suffix)
    except tags.Declined:
        return None
    except tags.Refused as refused:
        return str(refused)


def judge(content: bytes, suffix: bytes) -> object:
    """The outcome, which our own readers leave to others or agree with."""
    began = time.process_time()
    outcome = outcome_of(tags.read_track, content, suffix)
    assert outcome_of(tags.read_plain, content, suffix) in {None, outcome}
    assert time.process_time() - began < SOON_S
    assert isinstance(outcome, Track) or str(outcome).splitlines() == [outcome]
    return outcome


@tries(250)
@given(mutations([".mka", ".caf", ".w64"]))
def test_a_damaged_file_is_a_track_or_refused(damaged: tuple[str, bytes]) -> None:
    template, content = damaged
    judge(content, template.encode())


@tries(250)
@given(st.lists(trees, max_size=5), st.booleans())
def test_elements_in_any_order_and_with_any_size_are_a_track_or_refused(
    parts: list[bytes], has_track: bool
) -> None:
    front = [raw.info(None), raw.tracks()] if has_track else []
    outcome = judge(raw.segment(*front, *parts, size=raw.UNKNOWN), b".mka")
    assert isinstance(outcome, Track) or not has_track


@tries(200)
@given(st.lists(st.integers(0, 3) | st.integers(0, 2**62), max_size=8), st.lists(leaves))
def test_a_seek_head_that_names_anything_is_followed_in_bounds(
    places: list[int], parts: list[bytes]
) -> None:
    kinds = (raw.SEEK_HEAD, raw.TAGS, raw.TRACKS, raw.CLUSTER)
    head = raw.seek_head(*((kinds[n % 4], place) for n, place in enumerate(places)))
    judge(raw.segment(head, *parts, raw.info(), raw.tracks()), b".webm")
