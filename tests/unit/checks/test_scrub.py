"""Whole files are read, and what decays is found, with the day on which it was good."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.checks.scrub import Pace, Scrubber, _Found, judged
from indexer.cli.scrub import rate_argument
from indexer.library import Library
from indexer.model import Stamp, StampFields
from indexer.results.report import ScrubReport
from indexer.settings import Settings
from indexer.store.connection import open_index
from indexer.store.scrubs import Scrub
from tests.announced import flac, mp3
from tests.corpus import tagged
from tests.trees import Plant, ask, faults, put, song

STAMP = Stamp(100, 10**18, 10**18, 7)
GOOD = Scrub(STAMP, b"good", 1000, 1000)
DAY_MS = 86_400_000


def found(
    hash_: bytes | None,
    flaw: str | None = None,
    stamp: Stamp = STAMP,
    fields: StampFields = StampFields.ALL,
) -> _Found:
    return _Found(stamp, hash_, flaw, fields)


def test_the_first_reading_is_what_others_are_compared_with() -> None:
    assert judged(None, found(b"good"), 1000) == GOOD


def test_equal_bytes_are_good_once_more() -> None:
    assert judged(GOOD, found(b"good"), 2000) == Scrub(STAMP, b"good", 2000, 2000)


def test_other_bytes_with_the_same_stamp_have_decayed() -> None:
    scrub = judged(GOOD, found(b"bad"), 3 * DAY_MS)
    assert scrub.flaw == (
        "decayed: its bytes changed and its stamp did not; last good on 1970-01-01"
    )
    assert (scrub.hash, scrub.good_at, scrub.checked_at) == (b"good", 1000, 3 * DAY_MS)


def test_a_file_that_is_restored_is_good_again() -> None:
    bad = judged(GOOD, found(b"bad"), 2000)
    assert judged(bad, found(b"good"), 3000) == Scrub(STAMP, b"good", 3000, 3000)


def test_another_stamp_is_another_beginning() -> None:
    other = replace(STAMP, ctime_ns=STAMP.ctime_ns + 1)
    assert judged(GOOD, found(b"new", stamp=other), 2) == (Scrub(other, b"new", 2, 2))
    assert (
        judged(GOOD, found(b"new", stamp=other, fields=StampFields.SIZE_MTIME), 2).flaw is not None
    )


def test_what_cannot_be_read_keeps_the_day_on_which_it_was_good() -> None:
    scrub = judged(GOOD, found(None, "cannot be read whole"), 2000)
    assert scrub.flaw == "cannot be read whole; last good on 1970-01-01"
    assert scrub.hash == b"good"


def test_the_rate_is_kept_and_idle_time_is_not_saved_up() -> None:
    pace = Pace(1000)
    assert pace.wait_s(500, 10.0) == 0.5
    assert pace.wait_s(500, 10.2) == pytest.approx(0.8)
    assert pace.wait_s(500, 99.0) == 0.5
    assert Pace(0).wait_s(10**9, 0.0) == 0.0


@pytest.mark.parametrize(
    ("word", "rate"),
    [("20MB/s", 20_000_000), ("1.5g", 1_500_000_000), ("0", 0), ("300 kb/s", 300_000)],
)
def test_a_rate_is_understood(word: str, rate: int) -> None:
    assert rate_argument(word) == rate


@pytest.fixture
def tmpfs() -> Iterator[Path]:
    """A folder in which a write through a mapping leaves the stamp as it is."""
    if not os.path.isdir("/dev/shm") or os.statvfs("/dev/shm").f_bavail == 0:
        pytest.skip("no /dev/shm")
    folder = tempfile.mkdtemp(dir="/dev/shm")
    yield Path(folder)
    shutil.rmtree(folder)


def scrub(
    settings: Settings, *, days: int = 0, places: Sequence[Path] = (), releases_disks: bool = False
) -> ScrubReport:
    with closing(open_index(settings.db, write=True)) as connection:
        scrubber = Scrubber(
            connection,
            settings,
            rate=0,
            days=days,
            listener=None,
            stop=lambda: False,
            settled_s=0,
            releases_disks=releases_disks,
        )
        return scrubber.run([os.fsencode(place) for place in places])


def flip(path: Path, at: int) -> None:
    """Change a byte through a mapping."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[at] ^= 1


def test_a_byte_that_flips_under_the_index_is_found(
    library: Library, settings: Settings, tmpfs: Path
) -> None:
    (tmpfs / "a.mp3").write_bytes(mp3())
    (tmpfs / "b.mp3").write_bytes(mp3())
    library.rebuild([os.fsencode(tmpfs)])
    first = scrub(settings)
    assert (first.checked, first.damaged, first.bytes_read) == (2, (), 2 * len(mp3()))
    before = os.stat(tmpfs / "a.mp3")
    flip(tmpfs / "a.mp3", 20_000)
    after = os.stat(tmpfs / "a.mp3")
    if (after.st_mtime_ns, after.st_ctime_ns) != (before.st_mtime_ns, before.st_ctime_ns):
        pytest.skip("a mapping changes the stamp here")
    assert library.scan().files_read == 0
    assert library.verify(deep=True).ok
    (damage,) = scrub(settings).damaged
    assert damage.path == "a.mp3"
    assert damage.reason.startswith("decayed: its bytes changed and its stamp did not; last good ")
    (problem,) = library.problems()
    assert (problem.path, problem.kind, problem.reason) == ("a.mp3", "damage", damage.reason)
    status = library.status()
    assert (status.damaged, status.problems, status.scrubbed.files) == (1, 0, 2)
    assert library.scan().files_read == 0  # and nothing of it is a reason to read it again
    flip(tmpfs / "a.mp3", 20_000)
    assert scrub(settings, days=90).damaged == ()
    assert list(library.problems()) == []
    assert faults(library) == []


def test_a_file_that_is_rewritten_with_the_time_that_it_had_is_not_damage(
    library: Library, plant: Plant, settings: Settings, music: Path
) -> None:
    """Its ctime tells that a program wrote it: taggers keep the mtime, too."""
    plant({"a.mp3": song("one")})
    library.scan()
    scrub(settings)
    before = os.stat(music / "a.mp3")
    put(music, "a.mp3", song("two"))
    os.utime(music / "a.mp3", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert scrub(settings).skipped == 1
    library.scan()
    assert scrub(settings).damaged == ()
    assert list(library.problems()) == []


def test_what_was_read_lately_is_left_out(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"a.mp3": song(), "b.mp3": song()})
    library.scan()
    assert scrub(settings, days=90).checked == 2
    assert scrub(settings, days=90).checked == 0
    assert scrub(settings, days=0).checked == 2


def test_what_a_clock_years_ahead_says_was_read_is_read_again_once(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"a.mp3": song(), "b.mp3": song()})
    library.scan()
    assert scrub(settings, days=90).checked == 2
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute("UPDATE scrubs SET checked_at = checked_at + ?", (3650 * DAY_MS,))
    assert scrub(settings, days=90).checked == 2
    assert scrub(settings, days=90).checked == 0


def test_only_what_is_below_a_place_is_read(
    library: Library, plant: Plant, settings: Settings, music: Path
) -> None:
    plant({"a/1.mp3": song(), "b/2.mp3": song()})
    library.scan()
    assert scrub(settings, places=[music / "a"]).checked == 1
    assert scrub(settings, places=[music / "b" / "2.mp3"]).checked == 1


def test_it_stops_between_files_and_goes_on(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({f"{number}.mp3": song() for number in range(3)})
    library.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        asked = iter([False] * 4)
        first = Scrubber(
            connection, settings, rate=0, days=90, listener=None,
            stop=lambda: next(asked, True), settled_s=0,
        ).run(())  # fmt: skip
    assert first.interrupted
    assert 0 < first.checked < 3
    assert scrub(settings, days=90).checked == 3 - first.checked


def test_a_file_that_changed_just_now_is_left_alone(
    library: Library, plant: Plant, settings: Settings
) -> None:
    plant({"a.mp3": song()})
    library.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        told = Scrubber(
            connection, settings, rate=0, days=0, listener=None, stop=lambda: False, settled_s=3600
        ).run(())
    assert (told.checked, told.skipped) == (0, 1)


@pytest.mark.parametrize("releases_disks", [False, True])
def test_a_root_that_is_away_is_told_and_nothing_of_it_is_forgotten(
    library: Library, plant: Plant, settings: Settings, music: Path, *, releases_disks: bool
) -> None:
    plant({"a.mp3": song()})
    library.scan()
    assert scrub(settings, releases_disks=releases_disks).checked == 1
    music.rename(music.with_name("away"))
    told = scrub(settings, releases_disks=releases_disks)
    assert (told.checked, len(told.offline)) == (0, 1)
    music.with_name("away").rename(music)
    assert library.status().scrubbed.files == 1


def test_a_flac_that_its_own_program_refuses_is_damage(
    library: Library, plant: Plant, settings: Settings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from indexer.checks import flac_checksum

    program = tmp_path / "flac"
    program.write_text("#!/bin/sh\ngrep -q broken || exit 0\necho CRC_MISMATCH >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(flac_checksum, "_program", lambda: str(program))
    plant({"short.flac": flac()[:60_000] + b"broken"})
    plant({"good.flac": tagged(".flac", title="good"), "bad.flac": tagged(".flac", title="broken")})
    library.scan()
    (damage,) = scrub(settings).damaged
    assert (damage.path, damage.reason) == (
        "bad.flac",
        "decayed: its sound has not the checksum that is in the file (`flac -t`)",
    )
    assert [row for (row,) in ask(library, "SELECT good_at IS NULL FROM scrubs")].count(1) == 1


@pytest.mark.skipif(shutil.which("flac") is None, reason="flac is not installed")
def test_tags_behind_a_flac_are_no_damage_and_a_wrong_checksum_is() -> None:
    """By the real program. The templates were made by an encoder that wrote the MD5."""
    from indexer.checks.flac_checksum import FlacTest

    def flaw(content: bytes) -> str | None:
        with FlacTest(wanted=True) as test:
            test.feed(content)
            return test.flaw()

    whole = tagged(".flac", title="Hyperballad")
    assert flaw(whole) is None
    assert flaw(whole + b"TAG" + bytes(125)) is None
    assert flaw(whole[:26] + bytes([whole[26] ^ 1]) + whole[27:]) is not None


@pytest.mark.parametrize("lost", ["-wal", "-shm"])
def test_a_scrub_whose_log_is_deleted_goes_on_with_the_index_opened_again(
    lost: str, library: Library, plant: Plant, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({f"{number}.mp3": mp3() for number in range(3)})
    library.scan()
    library.close()
    monkeypatch.setattr(Scrubber, "_is_young", lambda *_: False)
    looked: list[int] = []

    def stop() -> bool:
        looked.append(len(looked))
        if len(looked) == 5:
            settings.db.with_name(settings.db.name + lost).unlink()
        return False

    told = library.scrub(rate=0, days=0, stop=stop)
    assert told.checked == 3
    assert len(looked) > 9, "the file at which it was noticed is read again"
    assert library.status().scrubbed.files == 3
