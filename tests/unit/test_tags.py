from __future__ import annotations

import errno
import io
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from indexer import tags
from indexer.model import Track
from tests import corpus


def read(content: bytes, suffix: str = ".mp3") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


class Recording(io.BytesIO):
    """A file that remembers its largest read request."""

    largest = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "nobody may ask for all of a file"
        self.largest = max(self.largest, size)
        return super().read(size)


class Failing(io.BytesIO):
    """A file on a disk that fails at the read of a given number."""

    def __init__(self, content: bytes, good_reads: int) -> None:
        super().__init__(content)
        self.good_reads = good_reads

    def read(self, size: int | None = -1) -> bytes:
        if not self.good_reads:
            raise OSError(errno.EIO, "Input/output error")
        self.good_reads -= 1
        return super().read(size)


ALL: dict[str, Any] = {
    "title": "Human Behaviour",
    "artist": ["Björk", "Nellee Hooper"],
    "albumartist": ["Björk"],
    "album": "Debut",
    "genre": ["Electronic", "Art Pop / House, Jazz"],
    "date": "1993-06-07",
    "track": 1,
    "track_total": 11,
    "disc": 1,
    "disc_total": 2,
    "composer": "Björk Guðmundsdóttir",
    "comment": "ripped twice",
    "bpm": "120",
    "isrc": "GBAYE9300001",
    "label": "One Little Indian",
    "compilation": 1,
    "mb_trackid": "f3b1d3d3-0000-4000-8000-000000000001",
    "mb_albumid": "f3b1d3d3-0000-4000-8000-000000000002",
    "mb_artistid": "f3b1d3d3-0000-4000-8000-000000000003",
    "mb_albumartistid": "f3b1d3d3-0000-4000-8000-000000000004",
    "mb_releasegroupid": "f3b1d3d3-0000-4000-8000-000000000005",
    "replaygain_track_gain": "-7.03 dB",
    "replaygain_track_peak": "0.988525",
    "replaygain_album_gain": "-6.50 dB",
    "replaygain_album_peak": "1.000000",
}
EXPECTED: dict[str, object] = {
    **ALL,
    "artists": ("Björk", "Nellee Hooper"),
    "albumartists": ("Björk",),
    "genres": ("Electronic", "Art Pop / House, Jazz"),
    "year": 1993,
    "compilation": True,
    "has_picture": True,
}
for _column in ("artist", "albumartist", "genre"):
    del EXPECTED[_column]

STREAMS = {
    ".mp3": ("mp3", 22050, None),
    ".flac": ("flac", 22050, 16),
    ".m4a": ("aac", 22050, None),
    ".m4b": ("aac", 22050, None),
    ".mp4": ("aac", 22050, None),
    ".alac.m4a": ("alac", 22050, 16),
    ".ogg": ("vorbis", 22050, None),
    ".opus": ("opus", 48000, None),
    ".oga": ("flac", 22050, 16),
}


@pytest.mark.parametrize("template", STREAMS)
def test_every_column_is_read_in_every_format(template: str) -> None:
    suffix = template[template.rindex(".") :]
    track = read(corpus.tagged(template, picture=300, **ALL), suffix)
    assert {column: getattr(track, column) for column in EXPECTED} == EXPECTED


@pytest.mark.parametrize("template", STREAMS)
def test_an_untagged_file_is_a_track_of_its_stream(template: str) -> None:
    track = read(corpus.template(template), template[template.rindex(".") :])
    codec, sample_rate, bit_depth = STREAMS[template]
    assert (track.codec, track.sample_rate, track.bit_depth) == (codec, sample_rate, bit_depth)
    assert track.duration == pytest.approx(0.2, abs=0.1)
    assert track.channels in {1, 2}
    bare = Track(
        codec=track.codec,
        duration=track.duration,
        bitrate=track.bitrate,
        sample_rate=track.sample_rate,
        channels=track.channels,
        bit_depth=track.bit_depth,
    )
    assert track == bare


@pytest.mark.parametrize("template", STREAMS)
def test_a_blank_value_is_absent(template: str) -> None:
    content = corpus.tagged(
        template, title="", artist=["", "Björk", " \t"], album="\n ", comment=""
    )
    track = read(content, template[template.rindex(".") :])
    assert (track.title, track.artists, track.album, track.comment) == (
        None,
        ("Björk",),
        None,
        None,
    )


@pytest.mark.parametrize("template", STREAMS)
def test_a_file_without_a_cover_has_no_picture(template: str) -> None:
    assert not read(
        corpus.tagged(template, title="x"), template[template.rindex(".") :]
    ).has_picture


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a"])
def test_a_cover_of_no_bytes_is_no_picture(suffix: str) -> None:
    assert not read(corpus.tagged(suffix, title="x", picture=0), suffix).has_picture
    assert read(corpus.tagged(suffix, title="x", picture=1), suffix).has_picture


@pytest.mark.parametrize("name", corpus.DAMAGED)
def test_a_damaged_file_is_refused_with_one_line(name: str) -> None:
    with pytest.raises(tags.Refused) as refused:
        read(corpus.DAMAGED[name](), name[name.rindex(".") :])
    reason = str(refused.value)
    assert reason.strip()
    assert reason.splitlines() == [reason]


def test_an_empty_file_is_refused_as_empty() -> None:
    with pytest.raises(tags.Refused, match=r"^the file is empty$"):
        read(b"")


def test_a_reason_names_the_error_and_says_what_was_wrong() -> None:
    with pytest.raises(tags.Refused, match=r"^HeaderNotFoundError: can't sync to MPEG frame$"):
        read(corpus.noise())


def test_tags_without_any_sound_are_refused() -> None:
    tag = corpus.tagged(title="x")
    with pytest.raises(tags.Refused, match="HeaderNotFoundError"):
        read(tag[: -len(corpus.template(".mp3"))])


@pytest.mark.parametrize(
    ("content", "suffix"),
    [(corpus.id3_claims_256_mb, ".mp3"), (corpus.flac_picture_claims_4_gb, ".flac")],
)
def test_a_claimed_size_is_never_asked_for(content: Callable[[], bytes], suffix: str) -> None:
    file = Recording(content())
    tracemalloc.start()
    try:
        with pytest.raises(tags.Refused):
            tags.read_track(file, suffix.encode())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0 < file.largest <= len(file.getvalue())
    assert peak < 64 * 2**20  # the import of mutagen's readers stands in it


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".ogg"])
def test_a_picture_is_not_read(suffix: str) -> None:
    content = corpus.tagged(suffix, title="x", picture=1_000_000)
    file = Recording(content)
    assert tags.read_track(file, suffix.encode()).has_picture
    if suffix != ".ogg":  # its picture is a comment among the others
        assert file.largest < 100_000


@pytest.mark.parametrize("template", STREAMS)
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".ogg"])
def test_a_failing_disk_is_an_oserror_wherever_it_fails(template: str, suffix: str) -> None:
    content = corpus.tagged(template, title="x", picture=40_000)
    whole = Failing(content, 1000)
    tags.read_track(whole, suffix.encode())
    for good_reads in range(1000 - whole.good_reads):
        with pytest.raises(OSError, match="Input/output error") as failure:
            tags.read_track(Failing(content, good_reads), suffix.encode())
        assert failure.value.errno == errno.EIO


@pytest.mark.parametrize(
    ("inside", "suffix", "codec"),
    [
        (".opus", ".ogg", "opus"),
        (".oga", ".ogg", "flac"),
        (".ogg", ".opus", "vorbis"),
        (".ogg", ".oga", "vorbis"),
        (".flac", ".mp3", "flac"),
        (".m4a", ".mp3", "aac"),
        (".mp3", ".flac", "mp3"),
        (".mp3", ".m4a", "mp3"),
        (".ogg", ".flac", "vorbis"),
        (".flac", ".oga", "flac"),
        (".oga", ".flac", "flac"),
        (".alac.m4a", ".ogg", "alac"),
    ],
)
def test_a_wrong_suffix_does_not_hide_what_a_file_is(inside: str, suffix: str, codec: str) -> None:
    track = read(corpus.tagged(inside, title="Venus as a Boy", picture=50), suffix)
    assert (track.codec, track.title, track.has_picture) == (codec, "Venus as a Boy", True)


def test_aac_without_a_container_is_known_behind_its_id3_tag() -> None:
    tag = corpus.tagged(title="Venus as a Boy")[: -len(corpus.template(".mp3"))]
    track = read(tag + corpus.template(".aac"), ".mp3")
    assert (track.codec, track.title, track.sample_rate) == ("aac", "Venus as a Boy", 22050)


def test_a_format_without_a_reader_of_ours_gives_its_stream() -> None:
    rate, frames = 8000, 800
    header = b"WAVEfmt \x10\0\0\0\x01\0\x01\0" + rate.to_bytes(4, "little")
    header += (2 * rate).to_bytes(4, "little") + b"\x02\0\x10\0data"
    wave = header + (2 * frames).to_bytes(4, "little") + bytes(2 * frames)
    track = read(b"RIFF" + len(wave).to_bytes(4, "little") + wave, ".mp3")
    assert (track.codec, track.duration, track.bit_depth) == ("wave", 0.1, 16)


def test_a_format_whose_tags_have_no_reader_is_refused_by_name() -> None:
    wavpack = b"wvpk\x18\0\0\0\x10\x04\0\0" + (800).to_bytes(4, "little") + bytes(4)
    wavpack += (800).to_bytes(4, "little") + bytes(8)
    assert read(wavpack).codec == "wavpack"
    item = b"\x01\0\0\0\0\0\0\0Title\0x"
    counts = (len(item) + 32).to_bytes(4, "little") + b"\x01\0\0\0"
    with pytest.raises(tags.Refused, match=r"^WavPack: the tags of this format are not read yet$"):
        read(wavpack + item + b"APETAGEX\xd0\x07\0\0" + counts + bytes(12))


def test_a_tag_alone_is_no_track() -> None:
    tag = b"APETAGEX\xd0\x07\0\0" + (32).to_bytes(4, "little") + bytes(16)
    with pytest.raises(tags.Refused, match="HeaderNotFoundError"):
        read(bytes(200) + tag)


def test_suffixes_are_lower_case_and_begin_with_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix[:1] == b"." for suffix in tags.SUFFIXES)


@pytest.mark.parametrize("suffix", sorted(tags.SUFFIXES))
def test_every_suffix_has_a_reader(suffix: bytes) -> None:
    assert read(corpus.tagged(suffix.decode(), title="x"), suffix.decode()).title == "x"


@pytest.mark.parametrize(
    ("suffix", "absent"),
    [
        (".mp3", ["mutagen.mp4", "mutagen.flac", "mutagen.ogg"]),
        (".m4a", ["mutagen.mp3", "mutagen.flac", "mutagen.ogg"]),
    ],
)
def test_a_format_imports_no_other_formats_reader(suffix: str, absent: list[str]) -> None:
    program = f"""
import io, sys
from indexer import tags
assert not any(name.startswith("mutagen") for name in sys.modules)
tags.read_track(io.BytesIO(sys.stdin.buffer.read()), b"{suffix}")
print([name for name in {absent} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=corpus.tagged(suffix, title="x"),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == "[]"
