from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given

from indexer import tags
from indexer.tags.fast import mpeg_frames
from indexer.tags.fast.flac import plain_flac
from indexer.tags.fast.id3 import plain_tag
from indexer.tags.fast.mp4 import plain_mp4
from indexer.tags.id3 import id3_tag
from indexer.tags.mp4 import mp4_file
from indexer.tags.vorbis import vorbis_file
from indexer.tags.window import Window
from tests import corpus
from tests.property.effort import tries
from tests.property.test_tags import mutations

FAST = (
    (id3_tag, "plain_tag"),
    (mpeg_frames, "stream"),
    (vorbis_file, "plain_flac"),
    (vorbis_file, "plain_ogg"),
    (mp4_file, "plain_mp4"),
)
"""Our own readers, which return None if mutagen must read the file."""


@contextmanager
def mutagen_alone() -> Iterator[None]:
    """Let all of our own readers decline."""
    with ExitStack() as stack:
        for module, name in FAST:
            stack.enter_context(patch.object(module, name, lambda *_: None))
        yield


class Kept(io.BytesIO):
    """A file of which all tags are kept."""

    keep_tags = frozenset({"*"})


def outcome(content: bytes, suffix: str, kind: type[io.BytesIO] = io.BytesIO) -> object:
    try:
        return tags.read_track(kind(content), suffix[suffix.rindex(".") :].encode())
    except tags.Refused as refused:
        return str(refused)


def assert_same(content: bytes, suffix: str) -> None:
    for kind in (io.BytesIO, Kept):
        fast = outcome(content, suffix, kind)
        with mutagen_alone():
            assert outcome(content, suffix, kind) == fast


class Counted(io.BytesIO):
    """A file that counts the bytes read."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


@pytest.mark.parametrize("template", [".mp3", ".flac", ".m4a", ".ogg", ".opus"])
@pytest.mark.parametrize("picture", [40_000, 400_000, 4_000_000])
def test_a_picture_of_any_size_is_stepped_over(template: str, picture: int) -> None:
    file = Counted(corpus.tagged(template, title="x", picture=picture))
    assert tags.read_track(file, template.encode()).has_picture
    pages = picture * 4 // 3 // 4096  # of which the headers are read, in Ogg
    assert file.bytes_read <= 50_000 + (48 * pages if template in {".ogg", ".opus"} else 0)


@tries(400)
@given(mutations([".mp3", ".flac", ".m4a", ".alac.m4a", ".ogg", ".opus"]))
def test_a_damaged_file_is_read_as_mutagen_reads_it(damaged: tuple[str, bytes]) -> None:
    template, content = damaged
    if template != ".mp3":
        assert_same(content, template)
        return
    with patch.object(mpeg_frames, "is_steady", lambda *_: True):
        got = outcome(content, template)
    with patch.object(mpeg_frames, "stream", lambda *_: None):
        assert outcome(content, template) == got


@pytest.mark.parametrize("template", sorted(corpus.STREAMS))
@pytest.mark.parametrize("picture", [0, 100, 100_000])
def test_every_template_is_read_as_mutagen_reads_it(template: str, picture: int) -> None:
    words: dict[str, Any] = {"title": "Jóga", "artist": ["Björk", "日本"], "track": 2}
    content = corpus.tagged(template, picture=picture or None, **words)
    assert_same(content, os.fsdecode(template))


@pytest.mark.parametrize("name", corpus.DAMAGED)
def test_a_file_of_the_corpus_of_damage_is_read_as_mutagen_reads_it(name: str) -> None:
    assert_same(corpus.DAMAGED[name](), name)


@pytest.mark.parametrize("template", [".mp3", ".flac", ".m4a", ".alac.m4a"])
def test_the_files_that_taggers_write_are_not_left_to_mutagen(template: str) -> None:
    content = corpus.tagged(template, title="Jóga", artist=["a", "b"], picture=50_000)
    window = Window(io.BytesIO(content))
    if template.endswith(".m4a"):
        assert plain_mp4(window) is not None
    elif template == ".flac":
        assert plain_flac(window) is not None
    else:
        tag = plain_tag(window)
        assert tag is not None
        assert mpeg_frames.stream(window, tag.size) is not None
