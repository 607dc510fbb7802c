"""Bytes that make mutagen take gigabytes or minutes: our readers leave them, or read in bounds."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer import tags
from indexer.tags.id3 import mutagen_id3
from indexer.tags.window import BUDGET
from tests import corpus
from tests.bombs import MB, frame, id3, inflating, many_blocks, synchsafe, tiny_frames

SOON_S = 5.0
"""Well above what it takes here (0.3 s), and well below what mutagen alone would take."""


def processor_s() -> float:
    times = resource.getrusage(resource.RUSAGE_SELF)
    return times.ru_utime + times.ru_stime


def title_of(content: bytes, suffix: bytes = b".mp3") -> str | None:
    return tags.read_track(io.BytesIO(content), suffix).title


def atom(name: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4) + name + body


def flac_of(comments: bytes) -> bytes:
    whole = corpus.template(".flac")
    return whole[:4] + b"\0" + whole[5:42] + b"\x84" + len(comments).to_bytes(3) + comments


LONG_WALKS: dict[str, tuple[bytes, Callable[[], bytes]]] = {
    "frames": (b".mp3", lambda: tiny_frames(8 * MB)),
    "empty frames": (b".mp3", lambda: id3(frame(b"PRIV", b"") * (MB // 2))),
    "atoms": (b".m4a", lambda: atom(b"ftyp", b"M4A ") + atom(b"moov", atom(b"free", b"") * MB)),
    "blocks": (b".flac", lambda: many_blocks(8 * MB)),
    "comments": (b".flac", lambda: flac_of(bytes(4) + b"\0\0\4\0" + b"\2\0\0\0a=" * 2**17)),
    "inflating": (b".mp3", lambda: inflating(20)),
}


@pytest.mark.parametrize("kind", LONG_WALKS)
def test_our_own_readers_leave_what_takes_long_before_it_does(kind: str) -> None:
    suffix, make = LONG_WALKS[kind]
    file = io.BytesIO(make())
    began = processor_s()
    with pytest.raises(tags.Declined):
        tags.read_plain(file, suffix)
    assert processor_s() - began < 1


def test_our_own_readers_fetch_no_more_than_their_budget() -> None:
    fetched = 0

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal fetched
            fetched += size or 0
            return super().read(size)

    value = b"TITLE=" + b"x" * (MB - 100)
    comments = bytes(4) + (12).to_bytes(4, "little")
    comments += b"".join(len(value).to_bytes(4, "little") + value for _ in range(12))
    whole = corpus.tagged(".ogg", title="x")
    from mutagen.ogg import OggPage

    first = OggPage(io.BytesIO(whole))
    packets = [b"\3vorbis" + comments + b"\1", b"\5vorbis" + bytes(20)]
    pages = OggPage.from_packets(packets, sequence=1, default_size=60_000)
    for page in pages:
        page.serial = first.serial
    content = first.write() + b"".join(page.write() for page in pages)
    with pytest.raises(tags.Declined):
        tags.read_plain(Counting(content), b".ogg")
    assert fetched <= BUDGET


@pytest.mark.parametrize("suffix", sorted(tags.SUFFIXES))
def test_without_mutagen_a_file_is_read_alike_or_left(suffix: bytes) -> None:
    content = corpus.tagged(suffix.decode(), title="x", artist=["a", "b"])
    try:
        assert tags.read_plain(io.BytesIO(content), suffix) == tags.read_track(
            io.BytesIO(content), suffix
        )
    except tags.Declined:
        assert suffix not in {b".mp3", b".flac", b".m4a", b".ogg", b".opus"}


def test_our_own_readers_import_no_mutagen_whatever_they_are_given() -> None:
    program = """
import io, sys
from indexer import tags
for line in sys.stdin.buffer:
    suffix, content = line.split()
    try:
        tags.read_plain(io.BytesIO(bytes.fromhex(content.decode())), suffix)
    except (tags.Declined, tags.Refused):
        pass
print([name for name in sys.modules if name.startswith("mutagen")])
"""
    cases: list[bytes] = []
    for suffix in sorted(tags.SUFFIXES):
        whole = corpus.tagged(suffix.decode(), title="x", genre="(17)", date="1993-06-07")
        old = b"ID3\2\0\0\0\0\0\0" + whole
        odd = (whole, whole[: len(whole) // 2], whole[40:], old)
        cases.extend(suffix + b" " + content.hex().encode() for content in odd)
    genre = frame(b"TCON", b"\3(17)(RX)") + frame(b"TDRC", b"\0001993-06-07T10:20:30")
    cases.append(b".mp3 " + id3(genre).hex().encode())
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=b"\n".join(cases),
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.decode().strip() == "[]"


def test_a_frame_that_inflates_beyond_bounds_is_dropped_and_takes_no_memory() -> None:
    content = inflating(300)
    title_of(content)  # what is imported does not count
    tracemalloc.start()
    try:
        track = tags.read_track(io.BytesIO(content), b".mp3")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (track.title, track.artists) == (None, ("Bomber",))
    assert peak < 3 * mutagen_id3.INFLATED_LIMIT


@pytest.mark.parametrize("version", [3, 4])
def test_a_compressed_frame_is_read(version: int) -> None:
    text = b"\3" + b"x" * 1000
    packed = zlib.compress(text)
    size = synchsafe(len(text)) if version == 4 else len(text).to_bytes(4)
    flags = 0x09 if version == 4 else 0x80
    content = frame(b"TIT2", size + packed, flags)
    assert title_of(id3(content, version=version)) == "x" * 1000


@pytest.mark.parametrize("name", [b"TXXX", b"TIT2", b"TCON", b"COMM", b"APIC", b"PRIV", b"XYZW"])
def test_a_tag_of_tiny_frames_is_read_soon(name: bytes) -> None:
    content = tiny_frames(8 * MB, name)
    began = processor_s()
    assert str(title_of(content)).startswith("Tiny")
    assert processor_s() - began < SOON_S


@pytest.mark.parametrize("name", [b"TDRC", b"TYER", b"TDOR", b"TORY"])
@pytest.mark.parametrize("filler", [b" ", b"0", b"-", b"1 ", b"2004 "])
def test_a_long_date_is_read_soon(name: bytes, filler: bytes) -> None:
    content = id3(frame(name, b"\0002004" + filler * (MB // len(filler)) + b"x"))
    began = processor_s()
    track = tags.read_track(io.BytesIO(content), b".mp3")
    assert track.year == 2004
    assert processor_s() - began < SOON_S


def test_many_different_texts_of_one_key_are_read_soon() -> None:
    frames = b"".join(frame(b"TCON", b"\3" + b"%d\0" % n * 900) for n in range(3000))
    began = processor_s()
    title_of(id3(frame(b"TIT2", b"\3x"), frames))
    assert processor_s() - began < SOON_S


def test_a_comment_in_utf_16_counts_by_its_texts_and_not_by_its_zeros() -> None:
    comment = "a long story " * 1000
    frames = [frame(b"COMM", b"\1eng\xff\xfe\0\0" + comment.encode("utf-16")) for _ in range(2)]
    content = id3(*frames, frame(b"TIT2", b"\3x"))
    track = tags.read_track(io.BytesIO(content), b".mp3")
    assert (track.title, track.comment) == ("x", comment[:4096])
