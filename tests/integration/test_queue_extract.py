from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from msgspec.structs import replace
from rq.job import Retry

from indexer.disk import filesystem
from indexer.disk.birth_time import Statuses
from indexer.errors import QueueError
from indexer.model import Chunk, Entry, Evidence, Reading, Stamp, Waiting
from indexer.queue.extract import Extractor, evidence_at, read, same_time
from indexer.queue.orders.jobs import our_queue, read_order
from indexer.queue.orders.messages import BatchOrder, ExtractOrder, FileText, Origin, PathText
from indexer.settings import Settings
from indexer.shares.messages import Call
from indexer.shares.registry import shares
from indexer.stages.extract import extract
from indexer.tags import READER_VERSION
from tests.further_tags import with_tags
from tests.programs import quickest_s
from tests.redis_servers import redis_server
from tests.trees import Plant, put, song

KEPT = '{"barcode":["042"],"mood":["Dark"]}'
SECOND = 1_000_000_000
ORIGIN = Origin(index="abc", row=5, generation=4, root="music", root_id=1)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.address


@pytest.fixture
def client(address: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(address) as client:
        client.flushall()
        yield client


def seen(music: Path, name: str, **other: int) -> FileText:
    """A file as the scan saw it; `other` is what this machine sees in another way."""
    stamp = Stamp.of((music / name).stat())
    return FileText.of_entry(Entry(os.fsencode(name), replace(stamp, **other)))


def order(music: Path, *files: FileText) -> ExtractOrder:
    evidence = Evidence(still_s=0.0)
    place = PathText.of(os.fsencode(music))
    return ExtractOrder(origin=ORIGIN, root_path=place, files=files, evidence=evidence)


def read_here(asked: ExtractOrder, music: Path) -> list[Reading]:
    place = os.fsencode(music)
    return read(asked, place, evidence_at(asked.evidence, place), extract)


def one_read(music: Path, file: FileText) -> Reading:
    (reading,) = read_here(order(music, file), music)
    return reading


def raw(asked: ExtractOrder) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(asked))


def batches(client: redis.Redis) -> list[BatchOrder]:
    return [read_order(job.args[0], BatchOrder) for job in our_queue("batch", client).get_jobs()]


# ---- times seen through two file systems


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (1_700_000_000_123_456_789, 1_700_000_000_123_456_700),
        (1_700_000_000_123_456_789, 1_700_000_000_123_456_000),
        (1_700_000_000_123_456_789, 1_700_000_000_123_000_000),
        (1_700_000_000_123_456_789, 1_700_000_000_000_000_000),
        (1_700_000_001_123_456_789, 1_700_000_001_000_000_000),
        (0, 0),
    ],
    ids=["equal", "SMB", "us", "ms", "even second", "odd second", "1970"],
)
def test_times_that_are_one_through_a_coarser_clock_are_the_same(one: int, other: int) -> None:
    assert same_time(one, other)
    assert same_time(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (10 * SECOND + 5, 11 * SECOND + 5),
        (11 * SECOND, 13 * SECOND),
        (11 * SECOND, 12 * SECOND + 1),
        (12 * SECOND, 13 * SECOND),
        (12 * SECOND, 14 * SECOND),
        (12 * SECOND, 11 * SECOND + 999_999_999),
        (12 * SECOND + 1, 12 * SECOND + 2),
        (12 * SECOND + 100, 12 * SECOND + 200),
        (12 * SECOND + 100, 12 * SECOND + 299),
        (12 * SECOND + 1_000_000, 12 * SECOND + 2_999_999),
        (0, SECOND * 1_700_000_000),
    ],
)
def test_other_times_are_not(one: int, other: int) -> None:
    assert not same_time(one, other)
    assert not same_time(other, one)


# ---- reading


def test_what_was_read_has_the_stamp_of_the_job(plant: Plant, music: Path) -> None:
    """A share shows another inode and ctime than the disk behind it."""
    plant({"1.mp3": song("One")})
    file = seen(music, "1.mp3", inode=123_456, ctime_ns=7)
    reading = one_read(music, file)
    assert reading.track is not None
    assert reading.track.title == "One"
    assert reading.stamp == file.stamp


def test_the_tags_to_keep_are_those_of_the_job(plant: Plant, music: Path) -> None:
    plant({"1.flac": with_tags(".flac", {"barcode": ["042"], "mood": ["Dark"], "lyrics": ["x"]})})
    asked = order(music, seen(music, "1.flac"))
    for keep, told in (((), '{"mood":["Dark"]}'), (("barcode",), KEPT), (("*",), KEPT)):
        (reading,) = read_here(replace(asked, keep_tags=keep), music)
        assert reading.track is not None
        assert (reading.track.tags, reading.track.has_lyrics) == (told, True)


@pytest.mark.parametrize("other", [{}, {"inode": 123_456}, {"ctime_ns": 7}])
def test_a_time_of_birth_counts_only_where_inode_and_ctime_are_the_disks(
    plant: Plant, music: Path, other: dict[str, int]
) -> None:
    plant({"1.mp3": song("One")})
    with (music / "1.mp3").open("rb") as opened:
        born = Statuses(births=True).of(opened.fileno()).birth_ns
    asked = order(music, seen(music, "1.mp3", **other))
    asked = replace(asked, evidence=replace(asked.evidence, births=True))
    (reading,) = read_here(asked, music)
    assert reading.birth_ns == (None if other else born)


def test_no_time_of_birth_is_asked_of_a_server(
    plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samba tells one of its own making."""
    share = filesystem.Disk(fs_type="cifs", source="//nas/music")
    monkeypatch.setattr("indexer.queue.extract.filesystem.disk_at", lambda *_: share)
    plant({"1.mp3": song("One")})
    asked = order(music, seen(music, "1.mp3"))
    asked = replace(asked, evidence=replace(asked.evidence, births=True))
    (reading,) = read_here(asked, music)
    assert (reading.track is not None, reading.birth_ns) == (True, None)


def test_a_root_that_a_link_leads_to_here_is_read_and_not_where_it_leads_later(
    plant: Plant, music: Path, client: redis.Redis, settings: Settings
) -> None:
    plant({"1.mp3": song("One")})
    place = music.parent / "place"
    place.symlink_to(music)
    extractor = Extractor(settings, client, extract)
    asked = raw(order(place, seen(music, "1.mp3")))
    for _ in range(2):
        assert extractor.extract(asked) is None
        place.unlink(missing_ok=True)
        place.symlink_to(music.parent)
        (batch,) = batches(client)
        assert batch.readings[0].track is not None
        client.flushall()


@pytest.fixture
def as_share(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every root is read as a share is: in a helper process."""
    monkeypatch.setattr("indexer.queue.extract.is_share", lambda _place: True)
    monkeypatch.setattr(shares, "patience_s", 0.3)
    yield
    shares.close()


@pytest.mark.usefixtures("as_share")
def test_a_share_is_read_in_a_helper(
    plant: Plant, music: Path, client: redis.Redis, settings: Settings
) -> None:
    plant({"1.mp3": song("One")})
    assert (
        Extractor(settings, client, extract).extract(raw(order(music, seen(music, "1.mp3"))))
        is None
    )
    (told,) = batches(client)
    assert told.readings[0].track is not None
    client.flushall()
    asked = raw(order(music, seen(music, "1.mp3")))
    music.rename(music.with_name("away"))
    assert isinstance(Extractor(settings, client, extract).extract(asked), Retry)


@pytest.mark.usefixtures("as_share")
def test_a_share_that_does_not_answer_leaves_its_files_unread_and_is_not_asked_again_soon(
    plant: Plant, music: Path, client: redis.Redis, settings: Settings
) -> None:
    plant({"1.mp3": song("One")})
    asked = raw(order(music, seen(music, "1.mp3")))
    helper = shares.helper_of(os.fsencode(music))
    helper.ask(Call(len, (b"",)))
    os.kill(helper.process.pid, signal.SIGSTOP)

    def read() -> None:
        assert Extractor(settings, client, extract).extract(asked) is None
        (told,) = batches(client)
        assert (told.readings[0].waiting, told.readings[0].problem) == (Waiting.SILENT, None)
        client.delete(our_queue("batch", client).key)

    read()
    assert quickest_s(read, enough_s=0.2) < 0.2


def test_a_time_that_a_share_has_rounded_is_the_jobs_time(plant: Plant, music: Path) -> None:
    plant({"1.mp3": song("One")})
    os.utime(music / "1.mp3", ns=(5 * SECOND, 5 * SECOND))
    file = seen(music, "1.mp3", mtime_ns=5 * SECOND + 123_456_789)
    reading = one_read(music, file)
    assert reading.stamp is not None
    assert reading.stamp.mtime_ns == 5 * SECOND + 123_456_789


@pytest.mark.parametrize("changed", ["size", "mtime"])
def test_a_file_that_is_another_than_the_scan_saw_is_not_read_but_waits(
    plant: Plant, music: Path, changed: str
) -> None:
    plant({"1.mp3": song("One")})
    os.utime(music / "1.mp3", ns=(5 * SECOND + 5, 5 * SECOND + 5))
    file = seen(music, "1.mp3")
    if changed == "size":
        put(music, "1.mp3", song("A longer title"))
        os.utime(music / "1.mp3", ns=(5 * SECOND + 5, 5 * SECOND + 5))
    else:
        os.utime(music / "1.mp3", ns=(8 * SECOND + 5, 8 * SECOND + 5))
    reading = one_read(music, file)
    assert (reading.waiting, reading.track, reading.stamp) == (Waiting.CHANGING, None, None)
    assert reading.opened
    assert reading.bytes_read


def test_a_problem_with_a_file_that_is_another_is_no_problem_either(
    plant: Plant, music: Path
) -> None:
    plant({"1.mp3": b"half of a song"})
    reading = one_read(music, seen(music, "1.mp3", size=4_000_000))
    assert (reading.waiting, reading.problem) == (Waiting.CHANGING, None)


def test_a_file_that_is_gone_is_gone(plant: Plant, music: Path) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    files = seen(music, "1.mp3"), seen(music, "2.mp3")
    (music / "1.mp3").unlink()
    one, two = read_here(order(music, *files), music)
    assert (one.gone, one.track, one.path) == (True, None, b"1.mp3")
    assert (two.path, two.gone) == (b"2.mp3", False)
    assert two.track is not None


@pytest.mark.parametrize("path", ["../secret.mp3", "/etc/passwd", "A/../../secret.mp3"])
def test_a_path_out_of_the_root_is_not_read(
    music: Path, plant: Plant, settings: Settings, client: redis.Redis, path: str
) -> None:
    plant({"1.mp3": song("One")})
    (music.parent / "secret.mp3").write_bytes(song("Secret"))
    asked = order(music, replace(seen(music, "1.mp3"), path=path))
    with pytest.raises(QueueError, match="leads out of its root"):
        Extractor(settings, client, extract).extract(raw(asked))
    assert batches(client) == []


def test_a_closed_path_out_of_the_root_is_refused_too(music: Path, plant: Plant) -> None:
    plant({"1.mp3": song("One")})
    asked = replace(order(music, seen(music, "1.mp3")), closed=(PathText("../1.mp3"),))
    with pytest.raises(QueueError, match="leads out of its root"):
        read_here(asked, music)


# ---- the handler


def test_what_was_read_goes_on_to_the_stage_batch(
    music: Path, plant: Plant, settings: Settings, client: redis.Redis
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    unread = seen(music, "2.mp3")
    asked = replace(order(music, seen(music, "1.mp3")), unread=(unread,))
    assert Extractor(settings, client, extract).extract(raw(asked)) is None
    (told,) = batches(client)
    assert (told.origin, told.files, told.unread) == (ORIGIN, asked.files, (unread,))
    (reading,) = told.readings
    assert reading.track is not None
    assert (reading.track.title, reading.path) == ("One", b"")
    (job,) = our_queue("batch", client).get_jobs()
    assert (job.id, job.description) == ("batch-5-2-0", "batch 2 files of music")


@pytest.mark.parametrize("trouble", ["missing", "empty", "a file", "no rights"])
def test_a_machine_without_the_share_hands_the_job_back(
    music: Path,
    plant: Plant,
    settings: Settings,
    client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    """Never 'missing': what is not mounted here may well be there."""
    plant({"1.mp3": song("One")})
    asked = order(music, seen(music, "1.mp3"))
    away = music.parent / "away"
    match trouble:
        case "missing":
            music.rename(away)
        case "empty":
            music.rename(away)
            music.mkdir()
        case "a file":
            music.rename(away)
            music.write_bytes(b"")
        case "no rights":

            def refuse(_: object) -> None:
                raise PermissionError(13, "Permission denied")

            monkeypatch.setattr(os, "scandir", refuse)
    answer = Extractor(settings, client, extract).extract(raw(asked))
    assert isinstance(answer, Retry)
    assert (answer.max > 1_000_000, answer.intervals) == (True, [0])
    assert client.dbsize() == 0
    assert "handed back root=music" in caplog.text
    assert "[roots.NAME] path = ..." in caplog.text


def test_a_share_that_goes_after_it_was_found_mounted_is_handed_back_too(
    plant: Plant, music: Path, settings: Settings, client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    plant({"1.mp3": song()})
    asked = order(music, seen(music, "1.mp3"))
    monkeypatch.setattr("indexer.queue.extract.check_mounted", lambda _place: None)
    music.rename(music.with_name("away"))
    assert isinstance(Extractor(settings, client, extract).extract(raw(asked)), Retry)
    assert "handed back" in caplog.text
    assert batches(client) == []


def test_the_own_place_of_a_root_is_used_and_not_the_one_of_the_other_machine(
    music: Path, plant: Plant, settings: Settings, client: redis.Redis, tmp_path: Path
) -> None:
    plant({"1.mp3": song("One")})
    asked = replace(order(music, seen(music, "1.mp3")), root_path=PathText("/not/here"))
    assert isinstance(Extractor(settings, client, extract).extract(raw(asked)), Retry)
    link = tmp_path / "mounted here"
    link.symlink_to(music)
    here = replace(settings, roots={"music": link, "other": Path("/not/here")})
    assert Extractor(here, client, extract).extract(raw(asked)) is None
    (told,) = batches(client)
    assert told.readings[0].track is not None


def test_an_argument_of_another_type_is_refused(settings: Settings, client: redis.Redis) -> None:
    with pytest.raises(QueueError, match="not the argument of this job"):
        Extractor(settings, client, extract).extract(msgspec.Raw(b'{"files": []}'))


# ---- the process


@pytest.mark.parametrize("module", ["extract", "workers.rq_worker", "workers.supervisor"])
def test_who_only_reads_files_does_not_load_the_database(module: str) -> None:
    text = f"import sys, indexer.queue.{module}; print('apsw' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_reader_that_wants_more_memory_than_it_may_have_gets_none() -> None:
    text = (
        "from indexer.process import limit_memory\nlimit_memory(64)\n"
        "kept = bytes(16 << 20)\n"
        "try:\n    bytes(80 << 20)\nexcept MemoryError:\n    print('no more')\n"
    )
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout == "no more\n"


def test_a_worker_of_an_older_version_hands_a_job_back_and_reads_nothing(
    plant: Plant,
    music: Path,
    settings: Settings,
    client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The index would note what it has read as read by the newer version, and never read again."""
    plant({"1.mp3": song("One")})
    asked = replace(order(music, seen(music, "1.mp3")), reader=READER_VERSION + 1)
    assert isinstance(Extractor(settings, client, never_read).extract(raw(asked)), Retry)
    assert f"the index is of version {READER_VERSION + 1}" in caplog.text
    with pytest.raises(QueueError, match="update this program here"):
        Extractor(settings, client, never_read, hands_back=False).extract(raw(asked))


def never_read(_chunk: Chunk) -> list[Reading]:
    raise AssertionError
