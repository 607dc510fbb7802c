from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from typing import Any, Literal
from unittest.mock import ANY, patch

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from mutagen import MutagenError, id3
from mutagen.flac import FLAC
from mutagen.id3._tags import save_frame
from mutagen.id3._util import ID3SaveConfig
from mutagen.mp4 import MP4

from indexer import tags
from indexer.model import Track
from indexer.tags import columns
from indexer.tags.fast.id3 import plain_tag
from indexer.tags.id3 import id3_dates
from indexer.tags.id3.id3_tag import read_tag, track
from indexer.tags.id3.mutagen_id3 import tag_of
from indexer.tags.vorbis import comments
from indexer.tags.window import Window
from tests import corpus, mutagen_mp4
from tests.property.effort import tries

TEMPLATES = sorted(corpus.STREAMS)
EVERY_TEMPLATE = [*TEMPLATES, *corpus.WITHOUT_PICTURES]

text = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\ufffe"), max_size=20
).filter(lambda value: not columns.blank(value))
number = st.integers(1, 999)


genre = text.filter(lambda genre: not genre.isdecimal() and genre not in {"CR", "RX"}).filter(
    lambda genre: not genre.startswith("(")  # in ID3 these are codes
)
several = st.lists(text, min_size=1, max_size=3, unique=True)
uuid = st.uuids().map(str)
written_tags = st.fixed_dictionaries(
    {},
    optional={
        "title": text,
        "artist": several,
        "albumartist": several,
        "album": text,
        "genre": st.lists(genre, min_size=1, max_size=3, unique=True),
        "date": st.dates(dt.date(1000, 1, 1), dt.date(2999, 12, 31)).map(str),
        "track": number,
        "track_total": number,
        "disc": number,
        "disc_total": number,
        "composer": text,
        "comment": text,
        "bpm": number.map(str),
        "isrc": text,
        "label": text,
        "compilation": st.booleans(),
        "mb_trackid": uuid,
        "mb_albumid": uuid,
        "mb_artistid": uuid,
        "mb_albumartistid": uuid,
        "mb_releasegroupid": uuid,
        "replaygain_track_gain": text,
        "replaygain_track_peak": text,
        "replaygain_album_gain": text,
        "replaygain_album_peak": text,
        "picture": st.integers(1, 3000),
    },
)
COLUMNS = {"artist": "artists", "albumartist": "albumartists", "genre": "genres"}
STREAM = ("codec", "duration", "bitrate", "sample_rate", "channels", "bit_depth")
GUESSED = ("suspect_encoding", "essence")


def read(content: bytes, suffix: str) -> Track:
    return tags.read_track(io.BytesIO(content), suffix[suffix.rindex(".") :].encode())


@tries(150)
@given(st.sampled_from(TEMPLATES), st.sampled_from([3, 4]), written_tags)
def test_what_was_written_is_read_back_and_nothing_else(
    template: str, id3_version: int, written: dict[str, Any]
) -> None:
    got = read(corpus.tagged(template, id3_version=id3_version, **written), template)
    expected = {COLUMNS.get(column, column): value for column, value in written.items()}
    for column in COLUMNS.values() & expected.keys():
        expected[column] = tuple(expected[column])
    expected["has_picture"] = expected.pop("picture", None) is not None
    if template == ".mka" and "albumartists" in expected:  # the artist of the level above
        expected.setdefault("artists", expected["albumartists"])
    if "date" in written:
        expected["year"] = int(written["date"][:4])
    not_written = {column: getattr(got, column) for column in STREAM + GUESSED}
    assert got == Track(**not_written, **expected)


@st.composite
def mutations(draw: st.DrawFn, templates: Sequence[str] = EVERY_TEMPLATE) -> tuple[str, bytes]:
    """A real file with some bytes near its head or its end changed, lost or added."""
    template = draw(st.sampled_from(templates))
    content = bytearray(SAMPLES[template])
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, min(len(content), 600)))
        if draw(st.booleans()):
            at = len(content) - at
        kind = draw(st.sampled_from(["change", "cut", "insert", "end"]))
        some = draw(
            st.sampled_from([b"\0", b"\xff", b"\x7f", b"\xff" * 4, b"\0" * 4, b"\x01", b"a"])
        )
        if kind == "change":
            content[at : at + len(some)] = some
        elif kind == "cut":
            del content[at : at + len(some)]
        elif kind == "insert":
            content[at:at] = some
        else:
            del content[draw(st.integers(0, len(content))) :]
    return template, bytes(content)


SAMPLES = {
    template: corpus.tagged(
        template,
        picture=60,
        title="Human Behaviour",
        artist=["Björk", "Guest"],
        genre=["17", "Pop"],
        date="1993-06-07",
        track=1,
        track_total=11,
        comment="x",
        mb_trackid="f3b1d3d3",
        mb_albumid="a1b2",
        replaygain_track_gain="-7 dB",
    )
    for template in TEMPLATES
}
SAMPLES |= {
    template: corpus.tagged(
        template, title="Human Behaviour", artist=["Björk", "Guest"], date="1993-06-07", track=1
    )
    for template in corpus.WITHOUT_PICTURES
}


@tries(400)
@given(mutations(), st.sampled_from(sorted(tags.SUFFIXES)))
def test_damaged_bytes_are_a_track_or_refused_in_one_line(
    damaged: tuple[str, bytes], other: bytes
) -> None:
    template, content = damaged
    for suffix in (template, other.decode()):
        try:
            outcome = read(content, suffix).codec
        except tags.Refused as refused:
            outcome = str(refused)
        assert outcome.splitlines() == [outcome]


CHUNKED: dict[str, tuple[bytes, bytes, Literal["little", "big"], int]] = {
    ".wav": (b"RIFF", b"data", "little", 4),
    ".aiff": (b"FORM", b"SSND", "big", 4),
    ".dff": (b"FRM8", b"DST ", "big", 8),
}
"""Template -> the names of its whole and of its sound, and how their sizes are written."""


@st.composite
def unfilled(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    """A file whose sound comes last, and the same with sizes that cannot be right."""
    template = draw(st.sampled_from(sorted(CHUNKED)))
    whole, sound, order, width = CHUNKED[template]
    content = bytearray(corpus.template(template))
    at = content.index(sound) + 4
    size = int.from_bytes(content[at : at + width], order)
    del content[at + width + size :]
    true = bytes(content)
    most = 2 ** (8 * width) - 1
    wrong = st.integers(size, most) | st.integers(max(2**31 - 2**12, size), most)
    if any(true[at + width :]):
        wrong |= st.just(0)
    content[at : at + width] = draw(wrong).to_bytes(width, order)
    at = content.index(whole) + 4
    content[at : at + width] = draw(st.integers(0, most)).to_bytes(width, order)
    return template, true, bytes(content)


@tries(150)
@given(unfilled())
def test_sizes_that_were_not_filled_in_change_nothing(case: tuple[str, bytes, bytes]) -> None:
    """But that a file may seem to be cut short, where the sizes agree that it should be longer."""
    template, true, content = case
    assert structs.replace(read(content, template), short=None) == read(true, template)


FRAMES = ["TIT2", "TPE1", "TPE2", "TALB", "TCON", "TRCK", "TPOS", "TCOM", "TBPM", "TDRC", "TYER"]
FRAMES += [
    "TDRL",
    "TDOR",
    "TORY",
    "TDAT",
    "TIME",
    "TSRC",
    "TPUB",
    "TCMP",
    "TXXX",
    "COMM",
    "UFID",
    "APIC",
    "PRIV",
    "TIT3",
]
TRICKY = [
    "",
    " ",
    "17",
    "(17)Rock",
    "CR",
    "((x",
    "a\nb",
    "\ufeffa",
    "3/12",
    "1993",
    "12.05.1999",
    "soon",
    "1993-06-07T10:20:30.000Z",
    "ÿ",
]


@st.composite
def frames(draw: st.DrawFn) -> id3.Frame:
    """Any frame in any encoding; some drawn frames make no sense."""
    encoding = draw(st.integers(0, 3))
    texts = draw(st.lists(st.sampled_from(TRICKY), min_size=1, max_size=3))
    if encoding == 0:
        texts = [text.replace("\ufeff", "") for text in texts]
    description = draw(st.sampled_from(["", "MusicBrainz Album Id", "iTunNORM"]))
    match draw(st.sampled_from(FRAMES)):
        case "TXXX":
            frame = id3.TXXX(encoding=encoding, desc=description, text=texts)
        case "COMM":
            frame = id3.COMM(encoding=encoding, lang="eng", desc=description, text=texts)
        case "UFID":
            frame = id3.UFID(owner="http://musicbrainz.org", data=texts[0].encode())
        case "APIC":
            frame = id3.APIC(encoding=encoding, mime="x/y", type=3, desc=description, data=b"z")
        case "PRIV":
            frame = id3.PRIV(owner="x", data=bytes(draw(st.integers(0, 300))))
        case "TDAT" | "TIME" as name:
            frame = getattr(id3, name)(encoding=0, text=draw(st.sampled_from(["0102", "2359"])))
        case name:
            frame = getattr(id3, name)(encoding=encoding, text=texts)
    return frame


@st.composite
def id3_files(draw: st.DrawFn) -> bytes:
    """An MP3 file with any frames, some of them twice, perhaps damaged, perhaps with ID3v1."""
    version = draw(st.sampled_from([3, 4]))
    config = ID3SaveConfig(version, None)
    body = b"".join(
        save_frame(frame, config=config) for frame in draw(st.lists(frames(), max_size=8))
    )
    body += bytes(draw(st.integers(0, 20)))
    size = id3.BitPaddedInt.to_str(len(body), width=4)
    content = bytearray(b"ID3" + bytes([version, 0, 0]) + size + body + corpus.template(".mp3"))
    for _ in range(draw(st.integers(0, 3))):
        content[draw(st.integers(10, min(len(content) - 1, 400)))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        content += b"TAG" + b"v1".ljust(30, b"\0") * 3 + b"1984" + b"old".ljust(30, b"\0") + b"\x11"
    return bytes(content)


@tries(300)
@given(id3_files())
def test_a_plain_id3_tag_is_read_as_mutagen_reads_it(content: bytes) -> None:
    if plain_tag(Window(io.BytesIO(content))) is not None:
        reference = id3.ID3(io.BytesIO(content), translate=False)
        ours = read_tag(Window(io.BytesIO(content)))
        assert ours.size == reference.size
        blank = {key for key, texts, _ in ours.found if not texts}
        older = id3.ParseID3v1(content[-128:], max(3, reference.version[1])) or {}
        for frame in older.values():  # mutagen lets a blank frame hide it
            if frame.HashKey in blank:
                reference[frame.HashKey] = frame
        expected = track("mp3", None, tag_of(reference))
        if id3_dates.V1_YEAR in ours.texts():  # of which mutagen knows nothing
            expected = structs.replace(expected, date=ANY, year=ANY)
        assert track("mp3", None, ours) == expected
        with patch("indexer.tags.id3.id3_tag.plain_tag", lambda _: None):
            declined = read_tag(Window(io.BytesIO(content)))
        assert track("mp3", None, declined) == track("mp3", None, ours)


def _decoded(track: Track) -> int:
    """Bits/s of the sound as PCM."""
    return (track.sample_rate or 0) * (track.channels or 0) * (track.bit_depth or 0)


@tries(200)
@given(mutations([".flac", ".m4a", ".alac.m4a"]))
def test_what_is_passed_over_changes_nothing_else(damaged: tuple[str, bytes]) -> None:
    template, content = damaged
    try:
        if template == ".flac":
            flac = FLAC(io.BytesIO(content))
            pictures = any(picture.data for picture in flac.pictures)
            found = comments.comments_of(flac.tags or ())
            expected = comments.track("flac", flac.info, found, has_picture=pictures, lossless=True)
        else:
            expected = mutagen_mp4.track(MP4(io.BytesIO(content)))
    except (MutagenError, ValueError, LookupError, TypeError):
        return  # more is read than mutagen alone would read, never less
    track = structs.replace(read(content, template), short=None)  # mutagen knows nothing of it
    if template == ".flac":
        assert track == structs.replace(expected, essence=track.essence)
        return
    if (expected.channels, track.channels) == (2, 1):  # mono AAC, see `mp4_sample_entry.refine`
        expected = structs.replace(expected, channels=1)
    if track.codec == "alac" and (expected.bitrate or 0) >= _decoded(track):
        expected = structs.replace(expected, bitrate=None)  # see the same
    for field, value in structs.asdict(expected).items():
        if value not in (None, (), False):
            assert getattr(track, field) == value, field
