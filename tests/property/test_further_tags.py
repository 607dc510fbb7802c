"""Further tags in drawn files: our own readers against mutagen, both against what was written."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from mutagen import id3

from indexer import tags
from indexer.tags import further
from tests import corpus, further_tags, taggers
from tests.property.effort import tries
from tests.property.test_fast_readers import assert_same

texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cf"]),
    min_size=1,
    max_size=12,
)
values = st.lists(texts, min_size=1, max_size=3, unique=True)
written = st.dictionaries(
    st.sampled_from(sorted(further.NAMES - {"originaldate", "grouping"})), values, max_size=6
)
FRAMES = (
    "TSO2", "TSOP", "TSOT", "TDOR", "TORY", "TDRC", "TYER", "TIT1", "GRP1", "TKEY", "TMED", "TENC",
    "TCOP", "TPE3", "MVNM", "MVIN",
)  # fmt: skip
DESCRIPTIONS = ("WORK", "work", "MEDIA", "Lyrics", "BARCODE", "MusicBrainz Album Type", "x", "")


@st.composite
def frames(draw: st.DrawFn) -> id3.Frame:
    encoding = draw(st.sampled_from([1, 3, 3, 3, 2]))
    several = draw(st.lists(st.one_of(texts, st.sampled_from(["", " ", "1969-09"])), max_size=3))
    match draw(st.integers(0, 4)):
        case 0:
            description = draw(st.sampled_from(DESCRIPTIONS))
            return id3.TXXX(encoding=encoding, desc=description, text=several)
        case 1:
            text = draw(st.sampled_from(["", " ", "la la"]))
            description = draw(st.sampled_from(["", "é"]))
            return id3.USLT(encoding=encoding, lang="eng", desc=description, text=text)
        case 2:
            people = [[role, "Al"] for role in several]
            kind = draw(st.sampled_from([id3.TIPL, id3.TMCL]))
            return kind(encoding=encoding, people=people)
        case 3:
            return id3.WOAR(url=draw(st.sampled_from(["", "https://bjork.com"])))
        case _:
            kind = getattr(id3, draw(st.sampled_from(FRAMES)))
            return kind(encoding=encoding, text=several)


@tries(300)
@given(st.lists(frames(), max_size=8), st.sampled_from([3, 4]))
def test_frames_are_read_as_mutagen_reads_them(found: list[id3.Frame], version: int) -> None:
    file = io.BytesIO(corpus.template(".mp3"))
    tag = id3.ID3()
    for frame in found:
        tag.add(frame)
    tag.save(file, v2_version=version, v23_sep=None, padding=taggers.no_padding)
    assert_same(file.getvalue(), ".mp3")


@tries(150)
@given(st.sampled_from(further_tags.SUFFIXES), written)
def test_several_values_are_read_back_in_their_order(
    suffix: str, several: Mapping[str, list[str]]
) -> None:
    content = further_tags.with_tags(suffix, several)
    track = tags.read_track(io.BytesIO(content), suffix[suffix.rindex(".") :].encode())
    assert json.loads(track.tags or "{}") == several
