"""Merging, paging and the change feed, each compared with a naive implementation."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from indexer import paths
from indexer.model import ChangeKind, Entry, IndexedFile, Problem, ProblemKind, RowState
from indexer.stages.diff import Compared, Pair, Same, Vanished, compare
from indexer.stages.moves import judge
from indexer.store.tracks import known_of
from indexer.walk import File, Found, Listed, Run, Unlisted, Unseen, entry_of
from tests.trees import entry, known

names = st.sampled_from([b"a", b"a!", b"a0", b"b", b"\xff", b"a.mp3"])
places = st.lists(names, min_size=1, max_size=3).map(b"/".join)
several = st.frozensets(places, max_size=12)


UNSEEN = Problem(ProblemKind.ENVIRONMENT, "no")

Item = Entry | Listed | Unlisted | Unseen


def walked(files: frozenset[bytes], dark: frozenset[bytes], folder: bytes = b"") -> Iterator[Item]:
    """The items that `walk` yields for a tree with these files, in its order.

    Folders in `dark` cannot be listed, and `stat` fails for files in it.
    """
    if folder in dark:
        yield Unlisted(folder, "no")
        return
    yield Listed(folder)
    inside = {path for path in files if path != folder and paths.is_below(path, folder)}
    here = {path for path in inside if paths.parent_of(path) == folder}
    deeper = {path[: path.index(b"/", len(folder) + 1)] for path in inside - here}
    unseen = (here & dark) - deeper
    for path in sorted(here | {child + b"/" for child in deeper | unseen}):
        if path in unseen:
            yield Unseen(path, UNSEEN)
        elif path[:-1] in unseen and path.endswith(b"/"):
            yield Unlisted(path[:-1], None)
        elif path.endswith(b"/"):
            yield from walked(files, dark, path[:-1])
        else:
            yield entry(path)


def merged(found: Iterable[Item], known: Iterable[IndexedFile]) -> Iterator[Compared]:
    """Merge a walk and the index, both in byte order of their paths.

    Below an `Unlisted` folder nothing is compared: rows there neither vanish nor pair. Nor is the
    row of an `Unseen` name.
    """
    rows = iter(known)
    row = next(rows, None)
    for item in found:
        if isinstance(item, Listed):
            yield item
            continue
        if isinstance(item, Unlisted):
            low, high = paths.below_range(item.path)
            while row is not None and row.path < low:
                yield Vanished(row)
                row = next(rows, None)
            while row is not None and row.path < high:
                row = next(rows, None)
            yield item
            continue
        while row is not None and row.path < item.path:
            yield Vanished(row)
            row = next(rows, None)
        own = row if row is not None and row.path == item.path else None
        yield item if isinstance(item, Unseen) else Pair(item, own)
        if own is not None:
            row = next(rows, None)
    while row is not None:
        yield Vanished(row)
        row = next(rows, None)


@given(several, several, several)
def test_disk_and_index_are_merged_as_sets_would_be(
    on_disk: frozenset[bytes], in_index: frozenset[bytes], unlisted: frozenset[bytes]
) -> None:
    found = list(walked(on_disk, unlisted))
    dark = [item.path for item in found if isinstance(item, Unlisted)]
    unseen = {item.path for item in found if isinstance(item, Unseen)}
    files = {item.path for item in found if isinstance(item, Entry)}
    assert [item.path for item in found if isinstance(item, Entry)] == sorted(files)
    told: list[Compared] = list(merged(found, map(known, sorted(in_index))))

    def judged(path: bytes) -> bool:
        return path not in unseen and not any(path.startswith(f + b"/") for f in dark)

    assert [item for item in told if not isinstance(item, Pair | Vanished)] == [
        item for item in found if not isinstance(item, Entry)
    ]
    assert [item for item in told if isinstance(item, Pair)] == [
        Pair(entry(path), known(path) if path in in_index else None) for path in sorted(files)
    ]
    assert [item for item in told if isinstance(item, Vanished)] == [
        Vanished(known(path)) for path in sorted(in_index - files) if judged(path)
    ]


parts = st.sampled_from([
    "nothing", "size", "mtime_ns", "ctime_ns", "inode", "place", "disk_id",
    "scan_id", "reader_version", "kind", "trouble",
])  # fmt: skip


@given(several, several, several, st.data())
def test_unchanged_files_are_counted_and_all_others_told_as_without_the_short_cut(
    on_disk: frozenset[bytes],
    in_index: frozenset[bytes],
    unlisted: frozenset[bytes],
    data: st.DataObject,
) -> None:
    found = list(walked(on_disk, unlisted))
    differs = {path: data.draw(parts) for path in sorted(on_disk | in_index)}
    rows = [_row(path, differs[path]) for path in sorted(in_index)]
    troubled = {path for path, part in differs.items() if part == "trouble"}
    told: list[Compared] = []
    same = 0
    for item in compare(_runs(found, differs), iter(rows), 7, troubled, at_once=2):
        if isinstance(item, Same):
            same += item.files
        else:
            told.append(item)
    every = merged(
        (_entry(item.path, differs) if isinstance(item, Entry) else item for item in found),
        map(known_of, rows),
    )
    expected = list(every)
    unchanged = [
        item
        for item in expected
        if isinstance(item, Pair) and item.known and differs[item.entry.path] == "nothing"
    ]
    assert same == len(unchanged)
    assert told == [item for item in expected if item not in unchanged]


def _row(path: bytes, differs: str) -> tuple[object, ...]:
    stamp = [9 if differs == part else 1 for part in ("size", "mtime_ns", "ctime_ns", "inode")]
    place, disk_id = (2 if differs == "place" else 0), (9 if differs == "disk_id" else 1)
    version = 0 if differs == "reader_version" else 1
    return (1, 1, path, *stamp, place, disk_id, 6 if differs == "scan_id" else 7, version, 1, None)


def _file(path: bytes, differs: dict[bytes, str]) -> File:
    mode = stat.S_IFIFO if differs[path] == "kind" else stat.S_IFREG
    times = {"st_mtime_ns": 1, "st_ctime_ns": 1}
    return path, os.stat_result((mode, 1, 1, 1, 0, 0, 1, 0, 0, 0), times), 1


def _entry(path: bytes, differs: dict[bytes, str]) -> Entry:
    return entry_of(*_file(path, differs))


def _runs(found: Iterable[Item], differs: dict[bytes, str]) -> Iterator[Found]:
    files: list[File] = []
    for item in found:
        if isinstance(item, Entry):
            files.append(_file(item.path, differs))
            continue
        if files:
            yield Run(files)
            files = []
        yield item
    if files:
        yield Run(files)


happenings = st.lists(
    st.one_of(
        st.tuples(st.just("stands"), st.booleans(), st.booleans(), st.booleans()),
        st.tuples(st.sampled_from(["leaves", "leaves untold", "is told"])),
    ),
    max_size=12,
)


@given(happenings)
def test_the_feed_shows_at_every_pause_whether_a_track_is_in_the_view(
    happened: list[tuple[object, ...]],
) -> None:
    """A displaced row is reported before the end of a run: only then must both agree."""
    row: IndexedFile | None = None
    fed = False
    kinds: list[ChangeKind] = []
    for what, *how in happened:
        told: tuple[ChangeKind, ...] = ()
        if what == "stands":
            moved, readable, differs = map(bool, how)
            gone = row is not None and row.place is RowState.MISSING
            told = judge(
                row, moved=gone or (moved and row is not None), readable=readable, differs=differs
            ).changes
            added_at = row.added_at if row is not None else None
            row = known(
                b"a",
                place=RowState.PRESENT if readable else RowState.REFUSED,
                added_at=1 if readable else added_at,
            )
        elif row is not None and row.place is not RowState.MISSING and what != "is told":
            shown = row.place is RowState.PRESENT
            unannounced = shown and what == "leaves untold"
            told = (ChangeKind.MISSING,) if shown and not unannounced else ()
            row = known(
                b"a",
                place=RowState.MISSING,
                added_at=row.added_at,
                missing_at=None if unannounced else 5,
            )
        elif row is not None and row.place is RowState.MISSING and row.missing_at is None:
            told = (ChangeKind.MISSING,)
            row = known(b"a", place=RowState.MISSING, added_at=row.added_at, missing_at=5)
        for kind in told:
            kinds.append(kind)
            match kind:
                case ChangeKind.ADDED:
                    assert kinds.count(kind) == 1
                    fed = True
                case ChangeKind.RETURNED:
                    assert not fed
                    assert ChangeKind.ADDED in kinds
                    fed = True
                case ChangeKind.MISSING:
                    assert fed
                    fed = False
                case _:
                    assert fed
        unannounced = row is not None and row.place is RowState.MISSING and row.missing_at is None
        shown = row is not None and row.place is RowState.PRESENT
        assert unannounced or fed == shown
