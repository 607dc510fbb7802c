"""mutagen's own sample files -> what mutagen reads of them, through our readers.

They come with mutagen's source and are under the GPL: fetched from the package index, once, into
the user's cache, and never part of this repository. Where they cannot be fetched, this is skipped.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path, PurePath
from typing import Any, cast

import mutagen
import pytest
from mutagen.apev2 import APEv2File
from mutagen.id3 import ID3FileType
from mutagen.mp4 import MP4
from mutagen.smf import SMF

from indexer import tags

KEYS = {
    "title": ("TIT2", "title", "\xa9nam", "Title"),
    "artist": ("TPE1", "artist", "\xa9ART", "Author", "Artist"),
    "album": ("TALB", "album", "\xa9alb", "WM/AlbumTitle", "Album"),
}
"""In ID3, Vorbis comments, MP4, ASF and APEv2."""
NO_MUSIC = (APEv2File, ID3FileType, SMF)
"""Types of mutagen's that are a tag without a stream, or notes without a tag."""

Outcome = tuple[str, str, str, float | None] | None
"""Title, artist, album, seconds; None is a refused file."""


def fetched() -> Path:
    """The archive of the source of the mutagen that is installed; skips where there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "music-indexer-tests"
    archive = cache / f"mutagen-{mutagen.version_string}.tar.gz"
    if not archive.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--retries=0", "--timeout=10"]
        command += ["--no-binary=:all:", f"--dest={cache}", f"mutagen=={mutagen.version_string}"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"mutagen's source could not be fetched: {error}")
    if not archive.exists():
        pytest.skip(f"pip fetched mutagen's source under another name than {archive.name}")
    return archive


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every file in `tests/data` of mutagen's source."""
    folder = tmp_path_factory.mktemp("mutagen")
    with tarfile.open(fetched()) as archive:
        for member in archive:
            name = PurePath(member.name)
            if member.isfile() and name.parts[1:3] == ("tests", "data"):
                content = archive.extractfile(member)
                assert content is not None
                (folder / name.name).write_bytes(content.read())
    found = sorted(folder.iterdir())
    assert len(found) > 90
    return found


def mutagens(path: Path) -> Outcome:
    """What mutagen finds, without any rule of ours but that nothing is None."""
    try:
        file = mutagen.File(path)
    except mutagen.MutagenError:
        return None
    if file is None and path.suffix == ".mp4":
        file = MP4(path)  # of another brand than those that mutagen knows by their content
    if file is None or type(file) in NO_MUSIC:
        return None
    known: dict[str, Any] = dict(file.tags.items()) if file.tags else {}
    title, artist, album = (
        "; ".join(str(value) for key in keys if key in known for value in list_of(known[key]))
        for keys in KEYS.values()
    )
    return title, artist, album, file.info.length or None


def list_of(values: Any) -> list[Any]:
    """A tag's texts without blank ones: ID3 has them in `text`, the others are lists."""
    return [value for value in getattr(values, "text", values) if str(value)]


def ours(path: Path) -> Outcome:
    """What stands in our track; a suffix that is none of ours is a wrong one."""
    suffix = os.fsencode(path.suffix)
    try:
        with path.open("rb", buffering=0) as file:
            track = tags.read_track(file, suffix if suffix in tags.SUFFIXES else b".mp3")
    except tags.Refused:
        return None
    return track.title or "", "; ".join(track.artists), track.album or "", track.duration


Fields = dict[int, str | float | None]
"""Position in an Outcome -> what is there in ours."""

BETTER: dict[str, Outcome] = {
    "64bit.mp4": None,  # it has no sound
    "no-tags.3g2": ("", "", "", 16.346855555555557),
}
"""Where we differ from mutagen. Of the second, mutagen takes the duration of the header, where that
of the sound (which ffprobe shows, too) is longer."""
TAGS_BEHIND: dict[str, Fields] = {
    "97-unknown-23-update.mp3": {3: 3.7355},
    "bad-TYER-frame.mp3": {3: 0.940425},
    "id3v1v2-combined.mp3": {3: 0.14475},
    "silence-44-s-v1.mp3": {3: 3.7355},
    "silence-44-s.mp3": {3: 3.7355},
    "audacious-trailing-id32-id31.mp3": {
        0: "Silence", 1: "piman", 2: "Quod Libet Test Data", 3: 3.7675,
    },
    "audacious-trailing-id32-apev2.mp3": {0: "safdsaf", 1: "dsdgsg", 2: "safdsa"},
}  # fmt: skip
"""mutagen counts tags behind the sound as sound, and does not read an ID3v2 tag there."""
IMPOSSIBLE: dict[str, Fields] = {
    "apev2-lyricsv2.mp3": {3: None},  # 211 s in 50 KB
    "bad-POPM-frame.mp3": {3: None},  # 189 s in 2 KB
    "nero-chapters.m4b": {3: None},  # 47 hours in 80 KB
    "bad-xing.mp3": {3: 0.1306122448979592},  # no frames, as its header says
}
"""Samples of which the middle was cut out: their headers tell a length that they cannot have."""


def expected(path: Path) -> Outcome:
    """What ours should be."""
    theirs = BETTER[path.name] if path.name in BETTER else mutagens(path)
    fields = {**TAGS_BEHIND, **IMPOSSIBLE}.get(path.name)
    if theirs is None or not fields:
        return theirs
    title, artist, album, seconds = (fields.get(at, one) for at, one in enumerate(theirs))
    return cast("Outcome", (title, artist, album, seconds))


def test_every_sample_is_read_as_mutagen_reads_it_or_refused_as_by_mutagen(
    samples: list[Path],
) -> None:
    different = {
        path.name: (expected(path), ours(path)) for path in samples if expected(path) != ours(path)
    }
    assert different == {}


def test_no_sample_takes_a_second(samples: list[Path]) -> None:
    for path in samples:
        began = time.process_time()
        ours(path)
        assert time.process_time() - began < 1, path.name


def test_a_sample_under_any_other_suffix_is_a_track_or_refused(samples: list[Path]) -> None:
    tracks = 0
    for path in samples:
        content = path.read_bytes()
        for suffix in (b".mp3", b".flac", b".m4a", b".wma", b".wav", b".ape", b".mpc"):
            with contextlib.suppress(tags.Refused):
                tags.read_track(io.BytesIO(content), suffix)
                tracks += 1
    assert tracks > 7 * 60
