from __future__ import annotations

import errno
import io
import tracemalloc
from collections.abc import Callable

import pytest

from indexer import tags
from indexer.model import Track
from tests import corpus

KNOWN_BY_CONTENT = [template for template in corpus.STREAMS if template != ".tta"]
"""Not True Audio after an ID3 tag: for mutagen that is MP3, unless the suffix says otherwise."""


def read(content: bytes, suffix: str = ".mp3") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def suffix_of(template: str) -> str:
    return template[template.rindex(".") :]


class Recording(io.BytesIO):
    """A file that records its largest read request."""

    largest = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "no read may be without a size"
        self.largest = max(self.largest, size)
        return super().read(size)


class Failing(io.BytesIO):
    """A file whose n-th read fails."""

    def __init__(self, content: bytes, good_reads: int) -> None:
        super().__init__(content)
        self.good_reads = good_reads

    def read(self, size: int | None = -1) -> bytes:
        if not self.good_reads:
            raise OSError(errno.EIO, "Input/output error")
        self.good_reads -= 1
        return super().read(size)


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


@pytest.mark.parametrize(
    ("template", "suffix"),
    [(template, suffix_of(template)) for template in corpus.STREAMS]
    + [(template, suffix) for template in KNOWN_BY_CONTENT for suffix in (".mp3", ".ogg")],
)
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
        (".wav", ".wma", "pcm"),
        (".mp3", ".wav", "mp3"),
        (".wma", ".ape", "wma"),
        (".wv", ".mpc", "wavpack"),
        (".spx", ".ogg", "speex"),
        (".aac", ".m4a", "aac"),
    ],
)
def test_a_wrong_suffix_does_not_hide_what_a_file_is(inside: str, suffix: str, codec: str) -> None:
    track = read(corpus.tagged(inside, title="Venus as a Boy", picture=50), suffix)
    assert (track.codec, track.title, track.has_picture) == (codec, "Venus as a Boy", True)


def test_aac_without_a_container_is_known_behind_its_id3_tag() -> None:
    tag = corpus.tagged(title="Venus as a Boy")[: -len(corpus.template(".mp3"))]
    track = read(tag + corpus.template(".aac"), ".mp3")
    assert (track.codec, track.title, track.sample_rate) == ("aac", "Venus as a Boy", 22050)


@pytest.mark.parametrize("template", KNOWN_BY_CONTENT)
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a"])
def test_a_file_of_any_format_is_known_by_its_content(template: str, suffix: str) -> None:
    content = corpus.tagged(template, title="Venus as a Boy", picture=50)
    assert read(content, suffix) == read(content, suffix_of(template))


def test_a_tag_alone_is_no_track() -> None:
    tag = b"APETAGEX\xd0\x07\0\0" + (32).to_bytes(4, "little") + bytes(16)
    with pytest.raises(tags.Refused, match="HeaderNotFoundError"):
        read(bytes(200) + tag)
