"""The folder of thumbnails: whole files only, bounded, and nothing kept that nothing refers to."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from indexer.artwork.cache import KEPT_SIZE, LARGE_SIZE, LEFT_S, RECOUNTED, REFUSED, ThumbnailCache
from indexer.errors import CannotDo

ONE, TWO, THREE = (bytes([number]) * 16 for number in (0xA1, 0xB2, 0xC3))


@pytest.fixture
def cache(tmp_path: Path) -> ThumbnailCache:
    return ThumbnailCache(tmp_path / "music.db.artwork", large_bytes=250)


def files(cache: ThumbnailCache) -> list[str]:
    return sorted(
        str(path.relative_to(cache.folder)) for path in cache.folder.rglob("*") if path.is_file()
    )


def test_a_thumbnail_is_named_by_the_hash_of_its_picture(cache: ThumbnailCache) -> None:
    path = cache.put(ONE, KEPT_SIZE, b"jpeg")
    assert files(cache) == [f"256/a1/{ONE.hex()}.jpg"]
    assert path.read_bytes() == b"jpeg"
    assert cache.has(ONE, KEPT_SIZE)
    assert not cache.has(ONE, LARGE_SIZE)
    assert not cache.has(TWO, KEPT_SIZE)


@pytest.mark.parametrize(
    ("folder", "folders", "file"),
    [(0o700, 0o700, 0o600), (0o3770, 0o2770, 0o640), (0o1777, 0o775, 0o644)],
)
def test_all_of_it_has_the_rights_of_the_folder_of_the_index(
    cache: ThumbnailCache, folder: int, folders: int, file: int
) -> None:
    """So that each member of the group can add thumbnails, and no other user reads the covers."""
    cache.folder.parent.chmod(folder)
    path = cache.put(ONE, KEPT_SIZE, b"jpeg")
    made = [path.parent, path.parent.parent, cache.folder]
    assert [stat.S_IMODE(one.stat().st_mode) for one in made] == [folders] * 3
    assert stat.S_IMODE(path.stat().st_mode) == file


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_belongs_to_the_user_of_the_index(cache: ThumbnailCache) -> None:
    os.chown(cache.folder.parent, 65534, 65533)
    path = cache.put(ONE, KEPT_SIZE, b"jpeg")
    for one in (path, path.parent, path.parent.parent, cache.folder):
        assert (one.stat().st_uid, one.stat().st_gid) == (65534, 65533)


def test_the_folder_may_be_a_link_but_nothing_is_written_through_one_in_it(
    cache: ThumbnailCache, tmp_path: Path
) -> None:
    """Its user could have root write anywhere."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "away").mkdir()
    cache.folder.symlink_to(tmp_path / "disk")
    assert cache.put(ONE, KEPT_SIZE, b"jpeg").read_bytes() == b"jpeg"
    (tmp_path / "disk" / str(LARGE_SIZE)).symlink_to(tmp_path / "away")
    with pytest.raises(CannotDo):
        cache.put(ONE, LARGE_SIZE, b"jpeg")
    assert not list((tmp_path / "away").iterdir())


def test_writing_it_again_replaces_it(cache: ThumbnailCache) -> None:
    cache.put(ONE, KEPT_SIZE, b"old")
    assert cache.put(ONE, KEPT_SIZE, b"new").read_bytes() == b"new"
    assert len(files(cache)) == 1


def test_an_empty_file_is_no_thumbnail(cache: ThumbnailCache) -> None:
    cache.put(ONE, KEPT_SIZE, b"")
    assert not cache.has(ONE, KEPT_SIZE)
    assert cache.used(ONE, KEPT_SIZE) is None


def test_those_that_were_used_last_are_kept_within_the_bound(cache: ThumbnailCache) -> None:
    for age, digest in ((30, ONE), (20, TWO)):
        path = cache.put(digest, LARGE_SIZE, bytes(100))
        os.utime(path, (time.time() - age,) * 2)
    assert cache.used(ONE, LARGE_SIZE) == cache.path_of(ONE, LARGE_SIZE)
    cache.put(THREE, LARGE_SIZE, bytes(100))
    assert [cache.has(one, LARGE_SIZE) for one in (ONE, TWO, THREE)] == [True, False, True]


def test_the_one_just_made_is_kept_though_others_are_of_a_clock_that_was_ahead(
    cache: ThumbnailCache,
) -> None:
    for ahead_s, digest in ((10**8, ONE), (10**9, TWO)):
        path = cache.put(digest, LARGE_SIZE, bytes(100))
        os.utime(path, (time.time() + ahead_s,) * 2)
    assert cache.put(THREE, LARGE_SIZE, bytes(100)).exists()
    assert [cache.has(one, LARGE_SIZE) for one in (ONE, TWO)] == [False, True]


def test_what_another_process_wrote_counts_as_well(cache: ThumbnailCache) -> None:
    other = ThumbnailCache(cache.folder, large_bytes=10**9)
    cache.put(ONE, LARGE_SIZE, bytes(100))
    for number in range(3):
        other.put(bytes([number]) * 16, LARGE_SIZE, bytes(100))
    for number in range(RECOUNTED):
        cache.put(TWO, LARGE_SIZE, bytes(number % 2))
    assert len(files(cache)) <= 3


def test_one_that_is_larger_than_the_bound_is_kept_alone(cache: ThumbnailCache) -> None:
    cache.put(ONE, LARGE_SIZE, bytes(100))
    cache.put(TWO, LARGE_SIZE, bytes(1000))
    assert [cache.has(one, LARGE_SIZE) for one in (ONE, TWO)] == [False, True]


def test_the_small_ones_are_not_bounded(cache: ThumbnailCache) -> None:
    for digest in (ONE, TWO, THREE):
        cache.put(digest, KEPT_SIZE, bytes(1000))
    assert len(files(cache)) == 3


def test_what_is_purged_goes_in_all_sizes_and_the_rest_stays(cache: ThumbnailCache) -> None:
    for size in (KEPT_SIZE, LARGE_SIZE):
        cache.put(ONE, size, b"1")
        cache.put(TWO, size, b"2")
    assert set(cache.hashes()) == {ONE, TWO}
    assert cache.purge([ONE, THREE]) == 2
    assert set(cache.hashes()) == {TWO}
    assert len(files(cache)) == 2


def test_what_a_killed_writer_left_goes_when_it_is_old(cache: ThumbnailCache) -> None:
    path = cache.put(ONE, KEPT_SIZE, b"1")
    old, new = path.with_name(".new-1-x.jpg"), path.with_name(".new-2-x.jpg")
    for left in (old, new):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * LEFT_S,) * 2)
    assert list(cache.hashes()) == [ONE]
    assert cache.purge([]) == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_an_absent_folder_is_empty(cache: ThumbnailCache) -> None:
    assert list(cache.hashes()) == []
    assert cache.purge([ONE]) == 0


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ThumbnailCache(tmp_path / "file" / "artwork")
    with pytest.raises(CannotDo, match=r"cannot write thumbnails to .*artwork.*`artwork_cache`"):
        cache.put(ONE, KEPT_SIZE, b"1")
    assert not cache.has(ONE, KEPT_SIZE)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    cache: ThumbnailCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(*_names: str, **_folders: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(CannotDo, match="No space left on device"):
        cache.put(ONE, KEPT_SIZE, b"1")
    assert files(cache) == []


def test_of_pictures_that_cannot_be_decoded_the_last_ones_are_remembered(
    cache: ThumbnailCache,
) -> None:
    cache.refuse(ONE, KEPT_SIZE, "broken")
    assert cache.why_refused(ONE, KEPT_SIZE) == "broken"
    assert cache.why_refused(ONE, LARGE_SIZE) is None
    assert cache.why_refused(TWO, KEPT_SIZE) is None
    for number in range(REFUSED):
        cache.refuse(number.to_bytes(16), KEPT_SIZE, "broken")
    assert cache.why_refused(ONE, KEPT_SIZE) is None
    assert files(cache) == []
