"""The access pattern of a traced program, and the requests to a disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.bench import cold, strace
from tests.bench.strace import Opened, Traced

FIRST, SECOND = r"/music/Bj\303\266rk/1.mp3", r"/music/Bj\303\266rk/2.mp3"
LINES = rf"""
execve("/usr/bin/python3", [""...], 0x7ffd /* 20 vars */) = 0
openat(AT_FDCWD</home>, "/music/Bj\303\266rk", O_RDONLY|O_DIRECTORY) = 3</music/Bj\303\266rk>
openat(3</music/Bj\303\266rk>, "1.mp3", O_RDONLY|O_NOFOLLOW|O_NOATIME) = 4<{FIRST}>
fstat(4<{FIRST}>, {{st_mode=S_IFREG|0644, st_size=9000, ...}}) = 0
pread64(4<{FIRST}>, ""..., 8192, 0)              = 8192
pread64(4<{FIRST}>, ""..., 1024, 8192)           = 808
read(7<UNIX-STREAM:[6->5]>, ""..., 4096)                    = 4096
pread64(4<{FIRST}>, ""..., 1024, 9000)           = 0
close(4<{FIRST}>)                                = 0
openat(3</music/Bj\303\266rk>, "2.mp3", O_RDONLY|O_NOATIME) = -1 EPERM (Operation not permitted)
openat(3</music/Bj\303\266rk>, "2.mp3", O_RDONLY|O_NOFOLLOW) = 4<{SECOND}>
pread64(4<{SECOND}>, ""..., 8192, 0)              = 100
close(4<{SECOND}>)                                = 0
openat(3</music/Bj\303\266rk>, "cover.jpg", O_RDONLY) = 4</music/Bj\303\266rk/cover.jpg>
close(4</music/Bj\303\266rk/cover.jpg>)                                = 0
exit_group(0)                           = ?
+++ exited with 0 +++
"""


def test_the_calls_of_a_track_are_those_until_the_next_is_opened() -> None:
    calls: Counter[str] = Counter()
    one, two = strace.parse(LINES.splitlines(), calls)
    assert one == Opened("/music/Björk/1.mp3".encode(), 4, calls=8, reads=2, bytes_read=9000)
    assert (two.path, two.reads, two.bytes_read) == ("/music/Björk/2.mp3".encode(), 1, 100)
    assert calls == {
        "execve": 1, "openat": 5, "fstat": 1, "pread64": 4, "read": 1, "close": 3, "exit_group": 1,
    }  # fmt: skip


def test_habits_are_medians_of_all_processes(tmp_path: Path) -> None:
    names = [b"a.mp3", b"b.mp3", b"c.mp3"]
    for name in names:
        (tmp_path / name.decode()).touch()
    tracks = [
        Opened(name, 4, calls=calls, reads=1, bytes_read=calls * 1000)
        for name, calls in zip(names, (5, 7, 90), strict=True)
    ]
    found = strace.habit(Traced({}, [tracks[:1], tracks[1:]]), tmp_path)
    assert found is not None
    assert (found.files, found.calls, found.reads, found.bytes_median) == (3, 7, 1, 7000)
    assert 7000 < found.bytes_p95 <= 90_000


def test_a_program_that_opens_no_track_has_no_habit(tmp_path: Path) -> None:
    assert strace.habit(Traced({"stat": 3}, []), tmp_path) is None


@pytest.mark.parametrize(
    ("inodes", "share"),
    [
        ([[1, 2, 3]], 1.0),
        ([[3, 2, 1]], 0.0),
        ([[1, 5], [2, 3]], 1.0),
        ([[1, 3, 2]], 0.5),
        ([], 1.0),
    ],
)
def test_steps_go_forward_where_the_next_inode_is_higher(
    inodes: list[list[int]], share: float
) -> None:
    assert strace.forward(inodes) == share


def test_folder_by_folder_comes_to_each_once() -> None:
    assert strace.folder_visits([[b"a", b"a", b"b"], [b"c"]]) == 1.0
    assert strace.folder_visits([[b"a", b"b", b"a", b"b"]]) == 2.0


def test_a_disk_is_found_by_its_number() -> None:
    stats = (
        "   8       0 sda 10 1 800 5 2 0 16 1 0 4 6 0 0 0 0 0 0\n"
        "   8       1 sda1 7 1 160 5 2 0 16 1 0 4 6 0 0 0 0 0 0\n"
    )
    asked = cold.parse(stats, 8, 1)
    assert asked == cold.Asked(reads=7, read_bytes=160 * 512)
    assert cold.parse(stats, 9, 1) is None
    assert cold.Asked(10, 1000).since(cold.Asked(7, 0)) == cold.Asked(3, 1000)


def test_only_root_may_empty_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "root" in cold.why_not(tmp_path)
