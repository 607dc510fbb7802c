"""What happened to an album's tracks: equal changes are one line."""

from __future__ import annotations

from indexer.results.report import ChangeRow
from indexer.web.history import Together, together
from indexer.web.site import ShownChange


def change(
    number: int, path: str, kind: str = "added", *, at: str = "12:00:00", old: str | None = None
) -> ShownChange:
    row = ChangeRow(
        seq=number, at=f"2026-11-24T{at}Z", kind=kind, track_id=number, root="Music", path=path,
        old_root=None if old is None else "Music", old_path=old,
    )  # fmt: skip
    return ShownChange(row, None, None, None)


def shown(lines: list[Together]) -> list[tuple[str, int, str]]:
    return [(line.newest.row.kind, line.tracks, line.place) for line in lines]


def test_a_folder_that_moved_is_one_line() -> None:
    moved = [change(one, f"New/{one}.mp3", "moved", old=f"Old/{one}.mp3") for one in (7, 6, 5)]
    assert shown(together([*moved, change(4, "Old/4.mp3"), change(3, "Old/3.mp3")])) == [
        ("moved", 3, "Music/Old → Music/New"),
        ("added", 2, "Music/Old"),
    ]


def test_files_that_are_renamed_in_their_folder_are_told_with_it_alone() -> None:
    renamed = [change(one, f"Post/0{one}.mp3", "moved", old=f"Post/{one}.mp3") for one in (2, 1)]
    assert shown(together(renamed)) == [("moved", 2, "Music/Post")]


def test_what_differs_in_kind_folder_or_time_stays_apart() -> None:
    changes = [
        change(5, "Post/5.mp3"),
        change(4, "Post/4.mp3", "modified"),
        change(3, "Debut/3.mp3", "modified"),
        change(2, "Debut/2.mp3", "modified", at="11:58:59"),
    ]
    assert [line.tracks for line in together(changes)] == [1, 1, 1, 1]


def test_a_track_that_changed_twice_is_counted_once() -> None:
    assert shown(together([change(1, "Post/1.mp3"), change(1, "Post/1.mp3")])) == [
        ("added", 1, "Music/Post")
    ]


def test_of_the_last_line_there_may_be_more() -> None:
    changes = [change(200, "Debut/1.mp3"), *(change(n, f"Post/{n}.mp3") for n in range(99, 0, -1))]
    assert [(line.tracks, line.is_whole) for line in together(changes)] == [(1, True), (99, False)]
    assert all(line.is_whole for line in together(changes[:-1]))
