"""The essence of real recordings, through the programs that retag and remux them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from indexer import tags
from indexer.paths import suffix_of
from indexer.store.connection import open_index, select
from tests.programs import run

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg on this machine")

ENCODINGS = {
    "cbr.mp3": ["-b:a", "128k"],
    "vbr.mp3": ["-q:a", "4"],
    "without counts.mp3": ["-b:a", "128k", "-write_xing", "0"],
    "layer two.mp2": ["-b:a", "192k"],
    "one.flac": [],
    "vorbis.ogg": ["-c:a", "libvorbis"],
    "one.opus": ["-c:a", "libopus"],
    "constant.opus": ["-c:a", "libopus", "-vbr", "off"],
    "flac in ogg.oga": ["-c:a", "flac"],
    "one.m4a": ["-c:a", "aac"],
    "lossless.m4a": ["-c:a", "alac"],
    "one.wav": [],
    "one.aiff": [],
    "one.w64": [],
    "one.caf": [],
    "one.wma": [],
    "one.wv": [],
    "one.tta": [],
    "one.mka": ["-c:a", "libopus"],
    "one.ac3": [],
    "one.aac": [],
}
"""Name of a file -> how ffmpeg encodes it."""

Ffmpeg = Callable[..., None]


def ffmpeg(*words: str | Path) -> None:
    assert FFMPEG is not None
    subprocess.run([FFMPEG, "-v", "error", "-y", *words], check=True, timeout=120)


def told(path: Path) -> bytes:
    with path.open("rb") as file:
        found = tags.read_track(file, suffix_of(bytes(path))).essence
    assert found
    return found


def record(path: Path, hertz: int) -> None:
    """Three seconds of silence, and four of a tone in noise."""
    silence = ["-f", "lavfi", "-i", "anullsrc=r=44100:cl=stereo:d=3"]
    tone = ["-f", "lavfi", "-i", f"sine=frequency={hertz}:sample_rate=44100:d=4"]
    noise = ["-f", "lavfi", "-i", f"anoisesrc=d=4:r=44100:a=0.1:seed={hertz}"]
    graph = "[1][2]amix,aformat=channel_layouts=stereo[n];[0][n]concat=n=2:v=0:a=1"
    ffmpeg(*silence, *tone, *noise, "-filter_complex", graph, path)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two recordings with a silent beginning and equal lengths."""
    folder = tmp_path_factory.mktemp("recordings")
    one, other = folder / "one.wav", folder / "other.wav"
    record(one, 440)
    record(other, 660)
    return one, other


@needs_ffmpeg
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_remuxed_file_keeps_its_essence_and_another_recording_has_another(
    name: str, recordings: tuple[Path, Path], tmp_path: Path
) -> None:
    made = []
    for number, source in enumerate(recordings):
        (tmp_path / str(number)).mkdir()
        made.append(tmp_path / str(number) / name)
        ffmpeg("-i", source, *ENCODINGS[name], made[-1])
    copy = tmp_path / f"copy {name}"
    ffmpeg("-i", made[0], "-c", "copy", "-metadata", f"title={'Long ' * 200}", copy)
    assert told(copy) == told(made[0])
    assert told(made[1]) != told(made[0])


@needs_ffmpeg
@pytest.mark.parametrize("name", ["cbr.mp3", "one.flac", "one.m4a"])
def test_a_big_picture_that_ffmpeg_puts_in_and_takes_out_leaves_the_essence(
    name: str, recordings: tuple[Path, Path], tmp_path: Path
) -> None:
    plain, picture, with_it, without = (
        tmp_path / one for one in (name, "p.png", f"with {name}", f"without {name}")
    )
    ffmpeg("-i", recordings[0], *ENCODINGS[name], plain)
    ffmpeg("-f", "lavfi", "-i", "nullsrc=s=900x900,geq=random(1)*255:128:128", "-frames:v", "1",
           picture)  # fmt: skip
    ffmpeg("-i", plain, "-i", picture, "-map", "0", "-map", "1", "-c", "copy",
           "-disposition:v", "attached_pic", with_it)  # fmt: skip
    ffmpeg("-i", with_it, "-map", "0:a", "-c", "copy", without)
    assert with_it.stat().st_size > plain.stat().st_size + 100_000
    assert told(with_it) == told(plain) == told(without)


@needs_ffmpeg
def test_faststart_moves_the_sound_and_leaves_the_essence(
    recordings: tuple[Path, Path], tmp_path: Path
) -> None:
    last, first = tmp_path / "last.m4a", tmp_path / "first.m4a"
    ffmpeg("-i", recordings[0], "-c:a", "aac", last)
    ffmpeg("-i", last, "-c", "copy", "-movflags", "+faststart", first)
    assert first.read_bytes().index(b"moov") < first.read_bytes().index(b"mdat")
    assert last.read_bytes().index(b"mdat") < last.read_bytes().index(b"moov")
    assert told(first) == told(last)


TAGGERS = {
    "metaflac": ("one.flac", ["--set-tag=TITLE=x", "--add-padding=200000"]),
    "vorbiscomment": ("vorbis.ogg", ["-w", "-t", f"TITLE={'long ' * 24_000}"]),
}
"""Program -> a file for it, and what it is told to do."""


@needs_ffmpeg
@pytest.mark.parametrize("program", TAGGERS)
def test_another_tagger_leaves_the_essence(
    program: str, recordings: tuple[Path, Path], tmp_path: Path
) -> None:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} on this machine")
    name, words = TAGGERS[program]
    path = tmp_path / name
    ffmpeg("-i", recordings[0], *ENCODINGS[name], path)
    before = told(path)
    size = path.stat().st_size
    subprocess.run([found, *words, path], check=True, timeout=60)
    assert path.stat().st_size > size + 100_000
    assert told(path) == before


@needs_ffmpeg
def test_the_view_shows_the_essence_in_hexadecimal(
    recordings: tuple[Path, Path], tmp_path: Path
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    ffmpeg("-i", recordings[0], music / "one.mp3")
    ffmpeg("-i", music / "one.mp3", "-c", "copy", "-metadata", "title=Other", music / "two.mp3")
    db = tmp_path / "index.db"
    run("rebuild", music, db=db)
    with closing(open_index(db, write=False)) as connection:
        shown = list(select(connection, "SELECT title, essence FROM library ORDER BY path"))
    essence = told(music / "one.mp3").hex()
    assert shown == [("one", essence), ("Other", essence)]
    (asked,) = run("search", "Other", "--json", db=db).objects
    assert asked["essence"] == essence
