from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import tags
from indexer.library import Library
from indexer.model import Track
from indexer.tags import reader
from indexer.tags.id3 import id3_tag
from indexer.tags.window import Window
from tests import corpus, raw_formats
from tests.faults import bad_input
from tests.faults.mutate import Input, made, samples
from tests.integration.oddities import with_id3
from tests.trees import Plant, faults

SEED = 6
INPUTS = int(os.environ.get("BAD_INPUTS", "3000"))


def told(outcome: bad_input.Outcome) -> str:
    return "\n".join(map(str, outcome.faults))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad input")


@pytest.mark.timeout(600)
def test_no_damaged_file_crashes_hangs_or_fills_memory_and_both_ways_agree(kept: Path) -> None:
    outcome = bad_input.hunt(SEED, range(INPUTS), kept)
    assert told(outcome) == ""
    assert sum(outcome.counts.values()) == INPUTS
    assert min(outcome.counts["track"], outcome.counts["refused"]) > INPUTS // 4


def test_a_cover_atom_without_a_picture_is_no_picture() -> None:
    whole = corpus.tagged(".m4a", title="x", picture=500)
    at = whole.index(b"covr") + 4
    assert whole[at + 4 : at + 8] == b"data"
    for name, seen in ((b"data", True), (b"\0\0\0\x09", False), (b"free", False)):
        content = whole[: at + 4] + name + whole[at + 8 :]
        track = tags.read_track(io.BytesIO(content), b".m4a")
        assert (track.title, track.has_picture) == ("x", seen)


@pytest.mark.parametrize("filler", [b"\0\0", b"a\0", b"\0\0\0\1", b"ab"])
@pytest.mark.parametrize("encoding", [0, 1, 2, 3])
@pytest.mark.parametrize("name", [b"TSRC", b"COMM"])
def test_a_text_frame_of_megabytes_does_not_hang(filler: bytes, encoding: int, name: bytes) -> None:
    """By mutagen 1.48 alone it takes hours: each empty text costs a copy of the rest."""
    text = (
        bytes([encoding]) + (b"eng\0" if name == b"COMM" else b"") + filler * (2**22 // len(filler))
    )
    content = with_id3((b"TIT2", b"\0x"), (name, text + b"\1"))
    content = content[:5] + b"\0" + content[6:]
    began = time.process_time()
    assert tags.read_track(io.BytesIO(content), b".mp3").title == "x"
    assert time.process_time() - began < 1


def crash(_window: Window, _suffix: bytes) -> Track:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def hang(_window: Window, _suffix: bytes) -> Track:
    while True:
        pass


def wait(_window: Window, _suffix: bytes) -> Track:
    time.sleep(60)
    raise AssertionError


def grab(_window: Window, _suffix: bytes) -> Track:
    """More than what other tests may have left free in this process."""
    return Track(codec=str(len(bytes(64 * bad_input.MEMORY))))


def blow(_window: Window, _suffix: bytes) -> Track:
    raise BufferError("not one of those that are known")


def disagree(_window: Window, _suffix: bytes) -> Track:
    return Track(codec="mp3", title=str(id(vars(id3_tag)["plain_tag"])))


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (crash, "signal 9"),
        (hang, "of the processor"),
        (wait, "it took more than 0.3 s"),
        (grab, "more than 64 MB"),
        (blow, "BufferError"),
        (disagree, "differ"),
    ],
)
def test_a_reader_that_fails_is_found_and_its_file_is_kept(
    kept: Path, monkeypatch: pytest.MonkeyPatch, fault: reader.Family, word: str
) -> None:
    """Each of the first and of the others: the hunt goes on behind what a child died of."""
    wholes = (Input(b".mp3", corpus.tagged(title="x")),)
    monkeypatch.setattr(bad_input, "samples", lambda: wholes)
    monkeypatch.setattr(bad_input, "CPU_S", 0.2 if fault is hang else 60)
    monkeypatch.setattr(bad_input, "WALL_S", 0.3 if fault is wait else 60.0)
    bad_input._import_all(wholes)
    monkeypatch.setattr(bad_input, "_import_all", lambda _wholes: None)
    family_of = reader.family_of
    monkeypatch.setattr(
        reader, "family_of", lambda suffix: fault if suffix == b".mp3" else family_of(suffix)
    )
    numbers = [n for n in range(30) if made(1, n, wholes).suffix == b".mp3"][:2]
    for number in numbers:
        outcome = bad_input.hunt(1, range(number, number + 1), kept, wholes)
        assert word in told(outcome)
        assert outcome.faults[0].number == number
        assert outcome.faults[0].kept.read_bytes() == made(1, number, wholes).content
    both = bad_input.hunt(1, range(numbers[0], numbers[1] + 1), kept, wholes)
    assert {fault.number for fault in both.faults} >= set(numbers)


def test_an_input_is_the_same_every_time_and_not_like_its_neighbour() -> None:
    wholes = samples(with_mutagens=False)
    assert len({one.suffix for one in wholes}) >= 15
    inputs = [made(1, number, wholes) for number in range(300)]
    assert inputs == [made(1, number, wholes) for number in range(300)]
    assert len(set(inputs)) > 290


def test_a_library_of_damaged_files_is_indexed_and_equals_the_disk(
    library: Library, plant: Plant
) -> None:
    """What a reader makes of rubbish is also taken by SQLite, by full text, and by `verify`."""
    wholes = samples()
    damaged = [made(SEED + 1, number, wholes) for number in range(400)]
    plant({f"{n % 20}/{n}{os.fsdecode(one.suffix)}": one.content for n, one in enumerate(damaged)})
    report = library.scan()
    assert (report.seen, report.files_read, report.pending) == (400, 400, 0)
    assert report.added + report.problems == 400
    assert min(report.added, report.problems) > 100
    assert library.scan().unchanged == 400
    verified = library.verify(deep=True)
    assert (verified.ok, verified.differences) == (True, ())
    assert faults(library) == []


HEADS = {
    b".mp3": [
        b"ID3\x03\0\0",
        b"ID3\x04\0\0\0\0\x01\0TIT2",
        b"ID3\x02\0\0\0\0\0\x7f",
        b"\xff\xfb\x90\0",
    ],
    b".mp2": [b"\xff\xfd\x90\0"],
    b".aac": [b"\xff\xf1\x50\x80", b"ADIF"],
    b".ac3": [b"\x0bw\0\0\x14\x40"],
    b".eac3": [b"\x0bw\0\x80\x3f\x80"],
    b".tta": [b"TTA1\x01\0"],
    b".flac": [b"fLaC\0\0\0\x22", b"fLaC\x84\0\x10\0", b"fLaC\x04\0\0\x20\xff\xff\xff\xff"],
    b".ogg": [b"OggS\0\x02" + bytes(20) + b"\x01\x1e\x01vorbis"],
    b".opus": [b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead\x01"],
    b".oga": [b"OggS\0\x02" + bytes(20) + b"\x01\x33\x7fFLAC\x01\0"],
    b".spx": [b"OggS\0\x02" + bytes(20) + b"\x01\x50Speex   "],
    b".m4a": [b"\0\0\0\x14ftypM4A \0\0\0\0M4A \0\0\x10\0moov", b"\0\0\0\x08ftyp\0\0\0\x01moov"],
    b".wma": [bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), b"0&\xb2u\x8ef\xcf\x11"],
    b".wav": [b"RIFF\xff\xff\xff\xffWAVE", b"RIFF\x40\0\0\0WAVEfmt \x10\0\0\0"],
    b".aiff": [b"FORM\x7f\xff\xff\xffAIFF", b"FORM\0\0\0\x40AIFCCOMM\0\0\0\x18"],
    b".dsf": [b"DSD \x1c\0\0\0\0\0\0\0" + b"\xff" * 16 + b"fmt \x34\0\0\0\0\0\0\0"],
    b".dff": [b"FRM8\0\0\0\0\0\0\1\0DSD FVER", b"FRM8" + b"\xff" * 8 + b"DSD PROP"],
    b".mka": [
        b"\x1aE\xdf\xa3\x80\x18S\x80g\x01" + b"\xff" * 7 + b"\x16T\xaek\x90",
        b"\x1aE\xdf\xa3\x80\x18S\x80g\xff\x11M\x9bt\xff",
    ],
    b".caf": [b"caff\0\1\0\0desc\0\0\0\0\0\0\0\x20@", b"caff\0\1\0\0info" + b"\xff" * 8],
    b".w64": [raw_formats.wave64()[:64], raw_formats.wave64()[:40] + raw_formats.SUMMARY],
    b".ape": [b"MAC \x96\x0f", b"MAC \x8c\x0a"],
    b".mpc": [b"MPCKSH\x0f", b"MPCKSH\xff\xff\xff", b"MP+\x07", b"MP+\x17"],
    b".ofr": [b"OFR \x0f\0\0\0"],
    b".tak": [b"tBaK\x01\x0d\0\0"],
    b".wv": [b"wvpk\xff\xff\xff\xff\x10\x04", b"wvpk\x20\0\0\0\x10\x04"],
}
"""How a file of each format may begin, and where mutagen goes on to believe what follows."""
FEET = [
    b"",
    b"",
    b"TAG" + bytes(125),
    b"APETAGEX\xd0\x07\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f" + bytes(12),
]


@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
@pytest.mark.parametrize("suffix", sorted(HEADS), ids=os.fsdecode)
@given(data=st.data())
def test_a_head_and_then_noise_is_a_track_or_refused_in_one_line(
    suffix: bytes, data: st.DataObject
) -> None:
    content = data.draw(st.sampled_from(HEADS[suffix]), "head")
    content += data.draw(st.binary(max_size=400), "noise")
    content += bytes(data.draw(st.sampled_from([0, 100, 5000]), "zeros"))
    content += data.draw(st.sampled_from(FEET), "foot")
    began = time.process_time()
    try:
        outcome = tags.read_track(io.BytesIO(content), suffix).codec
    except tags.Refused as refused:
        outcome = str(refused)
    assert outcome.splitlines() == [outcome]
    assert time.process_time() - began < 1


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(st.sampled_from(sorted(tags.SUFFIXES)), st.binary(max_size=300))
def test_noise_under_any_suffix_is_a_track_or_refused(suffix: bytes, content: bytes) -> None:
    try:
        outcome = tags.read_track(io.BytesIO(content), suffix).codec
    except tags.Refused as refused:
        outcome = str(refused)
    assert outcome
