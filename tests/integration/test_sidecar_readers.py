"""Real reader processes on pictures that are large, broken, or change meanwhile."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from mutagen import id3
from PIL import Image

from indexer.artwork.cache import KEPT_SIZE, ThumbnailCache
from indexer.artwork.model import PictureKey, SidecarJob, SidecarReading
from indexer.model import Evidence, ProblemKind, Stamp, Waiting
from indexer.readers import sidecars
from indexer.readers.limited import IDLE_S
from indexer.readers.sidecars import PROGRAM, SidecarReaders
from tests.corpus import tagged
from tests.pictures import encoded, gif_of, opened, picture, png_of
from tests.programs import ENVIRONMENT, eventually

MEGABYTE = 2**20
PEAK = 256 * MEGABYTE

GREEDY = 7777
"""Bytes of a picture for which the stand-in takes more memory than there is."""
STAND_IN = """
import os, signal, sys
from indexer.artwork import thumbnail as decoder
from indexer.readers import reader

decode = decoder.thumbnail

def thumbnail(data, size, header):
    if len(data) == GREEDY:
        bytearray(2**30)
    with open(LOG, "a") as log:
        log.write("decoded\\n")
    return decode(data, size, header)

def read_sidecar(file, suffix, **options):
    path = os.readlink(f"/proc/self/fd/{file.fileno()}")
    name = os.path.basename(path)
    facts = decoder.read_picture(file, suffix, **options)
    if "poison" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hang" in name:
        signal.pause()
    if "replaced" in name:
        os.replace(path + ".next", path)
    if "written" in name:
        with open(path, "ab") as other:
            other.write(b"more")
    return facts

decoder.thumbnail = thumbnail
reader.read_sidecar = read_sidecar
reader.main_of_sidecars(*sys.argv[1:3])
"""


class Bench:
    """Readers, and a folder of files for them."""

    def __init__(
        self, folder: Path, cache: ThumbnailCache, *program: str, timeout_s: float
    ) -> None:
        self.folder = folder
        self.now = 0.0
        self.readers = SidecarReaders(cache, timeout_s, program=program, clock=lambda: self.now)

    def job(self, name: str, data: bytes | None = None, *, still_s: float = 0.0) -> SidecarJob:
        """One of a file, which is written first if it has data."""
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        stamp = Stamp.of(path.stat()) if os.path.exists(path) else Stamp(0, 0, 0, 0)
        key = PictureKey(1, name.encode())
        evidence = Evidence(still_s=still_s, leases=False)
        return SidecarJob(os.fsencode(self.folder), key, stamp, evidence)

    def answers(self, *jobs: SidecarJob) -> list[SidecarReading]:
        """In the order of the jobs."""
        self.readers.submit(jobs)
        found: dict[SidecarJob, SidecarReading] = {}

        def enough() -> bool:
            found.update(self.readers.step(0.02))
            return len(found) == len(jobs)

        eventually(enough)
        assert len(self.readers) == 0
        return [found[job] for job in jobs]

    def read(self, name: str, data: bytes | None = None) -> SidecarReading:
        (answer,) = self.answers(self.job(name, data))
        return answer

    @property
    def peak(self) -> int:
        """The most memory that the reader had, in bytes."""
        (pid,) = self.readers.reader_pids
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return 1024 * int(re.findall(r"VmHWM:\s+(\d+)", status)[0])


Open = Callable[..., AbstractContextManager[Bench]]


@pytest.fixture
def cache(tmp_path: Path) -> ThumbnailCache:
    return ThumbnailCache(tmp_path / "music.db.artwork")


@pytest.fixture
def bench(tmp_path: Path, cache: ThumbnailCache) -> Open:
    folder = tmp_path / "music"
    folder.mkdir()
    log = tmp_path / "log"
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN.replace("LOG", repr(str(log))).replace("GREEDY", str(GREEDY)))

    @contextmanager
    def made(*, odd: bool = False, timeout_s: float = 60.0) -> Iterator[Bench]:
        program = (sys.executable, str(stand_in)) if odd else PROGRAM
        one = Bench(folder, cache, *program, timeout_s=timeout_s)
        try:
            yield one
        finally:
            one.readers.close()

    return made


def test_the_facts_of_a_file_and_of_a_track_and_their_thumbnails(
    bench: Open, cache: ThumbnailCache
) -> None:
    whole = picture("PNG", 1000, 500)
    with bench() as one:
        job = one.job("cover.jpg", whole)
        song = one.job("song.mp3", tagged(".mp3", title="x"))
        file, track, absent = one.answers(job, song, one.job("absent.jpg"))
    assert file.facts is not None
    assert (file.facts.mime, file.facts.width, file.facts.height) == ("image/png", 1000, 500)
    assert (file.facts.size, file.stamp, file.opened) == (len(whole), job.stamp, True)
    assert opened(cache.path_of(file.facts.hash, KEPT_SIZE).read_bytes()).size == (256, 128)
    assert track == SidecarReading(stamp=song.stamp, opened=True, bytes_read=track.bytes_read)
    assert absent == SidecarReading(gone=True)


def test_the_same_bytes_in_many_places_are_decoded_once(bench: Open, tmp_path: Path) -> None:
    whole = picture("JPEG", 400, 400)
    song = BytesIO(tagged(".mp3"))
    tag = id3.ID3()
    tag.add(id3.APIC(encoding=0, mime="image/jpeg", type=3, desc="", data=whole))
    tag.save(song)
    with bench(odd=True) as one:
        jobs = [one.job(f"{number}.mp3", song.getvalue()) for number in range(12)]
        jobs += [one.job(f"{number}.jpg", whole) for number in range(3)]
        readings = one.answers(*jobs)
    facts = [reading.facts for reading in readings]
    assert facts[0] is not None
    assert facts == [facts[0]] * 15
    assert (tmp_path / "log").read_text().count("decoded") == 1


def test_the_same_broken_picture_in_many_tracks_is_decoded_once(
    bench: Open, tmp_path: Path
) -> None:
    whole = picture("JPEG", 400, 400)
    songs = []
    for data in (whole[: len(whole) // 2], whole):
        song = BytesIO(tagged(".mp3"))
        tag = id3.ID3()
        tag.add(id3.APIC(encoding=0, mime="image/jpeg", type=3, desc="", data=data))
        tag.save(song)
        songs.append(song.getvalue())
    with bench(odd=True) as one:
        readings = one.answers(*(one.job(f"{number}.mp3", songs[0]) for number in range(12)))
        sound = one.read("sound.mp3", songs[1])
    problems = [reading.problem for reading in readings]
    assert problems[0] is not None
    assert problems == [problems[0]] * 12
    assert sound.facts is not None
    assert (tmp_path / "log").read_text().count("decoded") == 2


def test_a_progressive_jpeg_of_64_megapixels_passes(bench: Open) -> None:
    with bench() as one:
        make = (
            "import sys; from PIL import Image;"
            "Image.new('RGB', (8000, 8000), 'red').save(sys.argv[1], progressive=True)"
        )
        target = one.folder / "cover.jpg"
        subprocess.run([sys.executable, "-c", make, target], check=True, env=ENVIRONMENT)
        reading = one.read("cover.jpg")
        assert reading.facts is not None
        assert (reading.facts.width, reading.facts.height) == (8000, 8000)
        assert 190 * MEGABYTE < one.peak < PEAK


def test_a_webp_of_9_megapixels_passes(bench: Open) -> None:
    with bench() as one:
        image = Image.new("RGBA", (3000, 3000), (255, 0, 0, 99))
        reading = one.read("cover.webp", encoded(image, "WEBP", method=0))
        assert reading.facts is not None
        assert 50 * MEGABYTE < one.peak < PEAK


def test_a_png_of_36_megapixels_is_refused_before_it_is_decoded(bench: Open) -> None:
    with bench() as one:
        reading = one.read("cover.png", png_of(6000, 6000, bytes(2 * 10**6)))
        assert reading.problem is not None
        assert reading.problem.kind is ProblemKind.PICTURE
        assert "288 MB" in reading.problem.reason
        assert reading.stamp is not None
        assert one.peak < 60 * MEGABYTE


@pytest.mark.parametrize("kind", ["RGBA", "P", "1"])
def test_the_largest_png_stays_within_the_memory(bench: Open, kind: str) -> None:
    image = Image.new(kind, (5240, 5240))
    options = {"transparency": 0} if kind == "P" else {}
    data = encoded(image, "PNG", compress_level=1, **options)
    image.close()
    with bench() as one:
        assert one.read("cover.png", data).facts is not None
        assert one.peak < PEAK


def test_a_decompression_bomb_is_a_problem_and_the_next_picture_is_read(bench: Open) -> None:
    with bench() as one:
        bomb, next_one = one.answers(
            one.job("a.gif", gif_of((1, 1), (60_000, 60_000))), one.job("b.png", picture("PNG"))
        )
        assert bomb.problem is not None
        assert bomb.problem.kind is ProblemKind.PICTURE
        assert next_one.facts is not None
        assert one.peak < 60 * MEGABYTE


@pytest.mark.parametrize(
    ("name", "words"),
    [("poison.png", "died (signal 9) twice"), ("hang.png", "took longer than 1 s twice")],
)
def test_a_picture_that_ends_its_reader_costs_no_other(bench: Open, name: str, words: str) -> None:
    with bench(odd=True, timeout_s=1.0) as one:
        jobs = [one.job(other, picture("PNG")) for other in ("a.png", name, "z.png")]
        before, broken, after = one.answers(*jobs)
    assert before.facts is not None
    assert after.facts == before.facts
    assert broken.problem is not None
    assert broken.problem.kind is ProblemKind.PICTURE
    assert words in broken.problem.reason
    assert broken.stamp == jobs[1].stamp


def test_a_picture_that_takes_all_memory_is_a_problem(bench: Open) -> None:
    with bench(odd=True) as one:
        whole = picture("PNG")
        padded = whole + bytes(GREEDY - len(whole))
        greedy, other = one.answers(one.job("a.png", padded), one.job("b.png", whole))
    assert greedy.problem is not None
    assert "takes more memory than its headers tell" in greedy.problem.reason
    assert greedy.problem.kind is ProblemKind.PICTURE
    assert other.facts is not None


@pytest.mark.parametrize("name", ["replaced.png", "written.png"])
def test_a_picture_that_changes_while_it_is_read_is_read_later(bench: Open, name: str) -> None:
    with bench(odd=True) as one:
        (one.folder / f"{name}.next").write_bytes(picture("PNG", color="blue"))
        reading = one.read(name, picture("PNG"))
    assert reading.waiting is Waiting.CHANGING
    assert reading.facts is None


def test_a_picture_that_was_written_a_moment_ago_waits(bench: Open) -> None:
    with bench() as one:
        (reading,) = one.answers(one.job("cover.png", picture("PNG"), still_s=60.0))
    assert reading.waiting is Waiting.YOUNG


def test_facts_are_told_even_if_the_thumbnail_cannot_be_written(
    bench: Open, cache: ThumbnailCache
) -> None:
    cache.folder.write_text("in the way")
    with bench() as one:
        reading = one.read("cover.png", picture("PNG"))
    assert reading.problem is None
    assert reading.facts is not None
    assert reading.facts.unsaved is not None
    assert "cannot write thumbnails" in reading.facts.unsaved


def test_what_cannot_be_opened_is_a_problem_of_the_machine(bench: Open) -> None:
    with bench() as one:
        reading = one.read("a" * 300 + ".png")
    assert reading.problem is not None
    assert reading.problem.kind is ProblemKind.ENVIRONMENT


def test_an_idle_reader_ends_and_the_next_job_starts_one(bench: Open) -> None:
    with bench() as one:
        assert one.readers.next_turn() is None
        one.read("a.png", picture("PNG"))
        (pid,) = one.readers.reader_pids
        one.readers.step()
        assert one.readers.next_turn() == IDLE_S
        one.now = IDLE_S
        one.readers.step()
        assert not psutil.pid_exists(pid)
        assert one.readers.next_turn() is None
        assert one.read("b.png", picture("PNG")).facts is not None


def test_work_that_is_dropped_ends_its_reader(bench: Open) -> None:
    with bench(odd=True) as one:
        one.readers.submit([one.job("hang.png", picture("PNG"))])
        eventually(lambda: one.readers.step(0.02) or one.readers.reader_pids)
        pids = one.readers.reader_pids
        one.readers.close()
        assert not any(map(psutil.pid_exists, pids))
        assert len(one.readers) == 0


def test_a_reader_yields_to_all_other_programs(bench: Open) -> None:
    with bench() as one:
        one.read("a.png", picture("PNG"))
        (pid,) = one.readers.reader_pids
        assert psutil.Process(pid).nice() == 19


def test_the_program_that_starts_readers_loads_no_decoder() -> None:
    ask = f"import sys, {sidecars.__name__}; print('PIL' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert told.stdout == "False\n"
