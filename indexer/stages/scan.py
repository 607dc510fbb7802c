"""A hint -> plans: what to read, what only moved, what vanished, what could not be listed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from stat import S_ISDIR
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.disk.tree import Tree
from indexer.faults import FaultStreak, explain, problem_of
from indexer.ignore.path_filter import PathFilter
from indexer.look import look, names_in, unseen
from indexer.model import Entry, Hint, IndexedFile, Problem, ProblemKind
from indexer.stages.diff import Compared, Pair, Same, Vanished, compare
from indexer.stages.folder_times import FolderTimes
from indexer.stages.moves import file_of, find, must_read
from indexer.stages.sidecar_scan import SidecarScan
from indexer.store import problems, track_matches, tracks, tracks_below
from indexer.store.connection import Connection
from indexer.store.problems import KnownProblem
from indexer.store.tracks_below import STAMP_COLUMNS
from indexer.tags import READER_VERSION
from indexer.walk import Listed, Run, Unlisted, Unseen, entries_of, walk

_REPORT_EVERY_FILES: Final = 512
_AS_TEXT_BYTES: Final = 160
"""What a file's stamp takes as JSON."""
_PATH_AS_TEXT: Final = 3
"""How many times its bytes a path takes at the most (U+FFFD, and base64 beside it)."""
_MOST_REPLACED: Final = 100_000
"""Files whose inode changed that are kept for the end; a guess that costs 20 MB at the most.
Past it they are taken as they come, and a file that was moved away from such a place in the same
moment gets a new id."""


class Plan(Struct, frozen=True):
    """Work for one transaction: files to read, and files whose row is known without reading."""

    root_id: int
    read: tuple[Entry, ...]
    unread: tuple[Entry, ...]
    reread: int = 0

    @property
    def names(self) -> tuple[bytes, ...]:
        """Every path it is about, relative to the root."""
        return tuple([entry.path for entry in (*self.read, *self.unread)])


def _text_bytes(entries: Sequence[Entry]) -> int:
    """How many bytes they take as text, at the most."""
    return _AS_TEXT_BYTES * len(entries) + _PATH_AS_TEXT * sum([len(one.path) for one in entries])


def joined(hint: Hint, plans: Iterable[Plan]) -> Plan:
    """One plan of several, for names that are asked for again and have one row."""
    plans = list(plans)
    return Plan(
        hint.root_id,
        tuple(entry for plan in plans for entry in plan.read),
        tuple(entry for plan in plans for entry in plan.unread),
        hint.reread,
    )


def left_open_of(scans: Iterable[Scan]) -> set[tuple[int, bytes]]:
    """(root id, path) of the files that scans found, and left open since they are being written."""
    return {(scan.hint.root_id, path) for scan in scans for path in scan.left_open}


class ScanOptions(Struct, frozen=True):
    """How a scan cuts what it finds into chunks, and what it does beside."""

    chunk_files: int
    """The most files of a chunk."""
    chunk_bytes: int = sys.maxsize
    """The most bytes that the files of a chunk take as text."""
    least_files: int | None = None
    """A chunk ends with a folder as soon as it has so many files; None: half of `chunk_files`."""
    keep_folders: bool = False
    """Whether the folders that were listed are kept in `folders`."""
    breathes: bool = False
    """Whether plans without a file come in between, where nothing is found for long."""
    retries_trouble: bool = True
    """Whether files that the machine could not read are tried again."""
    times: Mapping[bytes, FolderTimes] = {}
    """Places, and what is to be filled with the folders that are listed in them."""


class Scan:
    """The scan of one hint. Iterate over `plans()` to its end, then read the rest.

    `seen`, `to_read` and `unchanged` count files; `vanished` are the ids of rows to be marked
    missing once everything that may have moved was inserted; `unlisted` are folders that could
    not be listed and names that could not be looked at, with their problems; `resolved_problems`
    are paths whose problem is over; `sidecars` has the files beside the music that differ from
    their rows. `keep_on` is called every few hundred files; when it answers
    False the scan stops where it is. `unfinished` are files that are known to be written just now:
    they are not planned, and stand in `left_open`.
    """

    def __init__(
        self,
        connection: Connection,
        trees: Mapping[int, Tree],
        hint: Hint,
        path_filter: PathFilter,
        options: ScanOptions,
        *,
        keep_on: Callable[[], bool] = lambda: True,
        unfinished: frozenset[bytes] = frozenset(),
    ) -> None:
        self.hint = hint
        self.seen = 0
        self._looked = 0
        """Files and folders, to report progress by: folders without files take time, too."""
        self.to_read = 0
        self.unchanged = 0
        self.vanished: list[int] = []
        self.unlisted: list[tuple[bytes, Problem]] = []
        self.resolved_problems: list[bytes] = []
        self._connection = connection
        self._trees = trees
        self._tree = trees[hint.root_id]
        self._path_filter = path_filter
        self._options = options
        self._chunk_files = options.chunk_files
        self._is_first = tracks.is_empty(connection)
        self._keep_on = keep_on
        self._unfinished = unfinished
        self.sidecars = SidecarScan(connection, self._tree, hint, path_filter, unfinished)
        self.left_open: list[bytes] = []
        self.folders: set[bytes] = set()
        half = (options.chunk_files + 1) // 2
        self._least_files = half if options.least_files is None else options.least_files
        self._bytes = 0
        self._replaced: list[Entry] = []
        self._streak = FaultStreak()
        self._names: dict[bytes, frozenset[bytes]] = {}
        """What folders listed of which a name vanished."""

    def plans(self) -> Iterator[Plan]:
        """Compare disk and index at the hinted place and say what to do, chunk by chunk.

        A chunk ends with a folder where it can, so that an album stays in one transaction.
        """
        open_problems = self._open_problems()
        if self._is_seed and not open_problems:
            return self._seed_plans()
        return self._compared_plans(open_problems)

    def _compared_plans(self, open_problems: dict[bytes, KnownProblem]) -> Iterator[Plan]:
        read: list[Entry] = []
        unread: list[Entry] = []
        folder = b""
        for item in self._compared(open_problems):
            if self._is_due_to_report(item):
                if not self._keep_on():
                    return
                yield from self._breaths()
            if isinstance(item, Pair):
                path = item.entry.path
                above, folder = folder, paths.parent_of(path)
                if self._is_full(len(read) + len(unread), path, is_new_folder=above != folder):
                    yield self._plan(read, unread)
                    read, unread = [], []
                problem = open_problems.pop(path, None) if open_problems else None
                self._sort_or_note(item, problem, read, unread)
            elif isinstance(item, Vanished):
                self.vanished.append(item.known.id)
            elif isinstance(item, (Unlisted, Unseen)):
                self._keep_below(open_problems, item)
            elif isinstance(item, Listed):
                self._take_folder(item)
        self.sidecars.end()
        self.resolved_problems.extend(path for path in open_problems if self._is_over(path))
        if read or unread:
            yield self._plan(read, unread)

    @property
    def _is_seed(self) -> bool:
        """Whether no row is there to compare with, and no file is known to be written just now."""
        return self._is_first and self.hint.names is None and not self._unfinished

    def _seed_plans(self) -> Iterator[Plan]:
        """The plans of all that is there, folder by folder and not file by file."""
        chunk: list[Entry] = []
        folder = b""
        text_bytes = 0
        recursive = self.hint.recursive
        for item in walk(self._tree, self.hint.folder, self._path_filter, recursive=recursive):
            if self._is_due_to_report(item):
                if not self._keep_on():
                    return
                yield from self._breaths()
            if isinstance(item, (Unlisted, Unseen)):
                self._keep_below({}, item)
                continue
            if isinstance(item, Listed):
                self._take_folder(item)
                continue
            entries = entries_of(item.files)
            above, folder = folder, paths.parent_of(entries[0].path)
            if above != folder and len(chunk) >= self._least_files:
                yield from self._seed_plan(chunk)
                chunk, text_bytes = [], 0
            chunk += entries
            text_bytes += _text_bytes(entries)
            while len(chunk) > self._chunk_files or text_bytes > self._options.chunk_bytes:
                files = self._fitting(chunk)
                full, chunk = chunk[:files], chunk[files:]
                text_bytes -= _text_bytes(full)  # the rest of a large folder is not added up again
                yield from self._seed_plan(full)
        self.sidecars.end()
        if chunk:
            yield from self._seed_plan(chunk)

    def _fitting(self, entries: Sequence[Entry]) -> int:
        """How many of the first of these make a chunk: one at least."""
        left = self._options.chunk_bytes
        for files, entry in enumerate(entries[: self._chunk_files]):
            left -= _text_bytes([entry])
            if left < 0:
                return max(1, files)
        return min(len(entries), self._chunk_files)

    @property
    def times(self) -> Mapping[bytes, FolderTimes]:
        """Those of its options."""
        return self._options.times

    def _take_folder(self, item: Listed) -> None:
        if self._options.keep_folders:
            self.folders.add(item.path)
        for place, times in self._options.times.items():
            if paths.is_below(item.path, place):
                times.add(item.path, item.changed_ns)
        self.sidecars.listed(item)

    def _seed_plan(self, entries: Sequence[Entry]) -> Iterator[Plan]:
        """The plan of these files, unless all of them were read meanwhile.

        A scan by a worker goes on for long, and files that events are about are inserted meanwhile.
        """
        names = [entry.path for entry in entries]
        met = track_matches.heard_of(self._connection, self.hint.root_id, names)
        wanted = [one for one in entries if one.path not in met or self._must_be_read(one)]
        self.unchanged += len(entries) - len(wanted)
        read = [entry for entry in wanted if entry.special is None]
        self.to_read += len(read)
        if wanted:
            yield self._plan(read, [entry for entry in wanted if entry.special is not None])

    def _is_full(self, files: int, path: bytes, *, is_new_folder: bool) -> bool:
        """Whether a chunk of so many files ends before a path, the first of its folder or not."""
        own_bytes = _AS_TEXT_BYTES + _PATH_AS_TEXT * len(path)
        self._bytes += own_bytes
        ends_here = is_new_folder and files >= self._least_files
        if not (ends_here or files >= self._chunk_files or self._bytes > self._options.chunk_bytes):
            return False
        self._bytes = own_bytes
        return files > 0

    def _is_due_to_report(self, item: Compared | Same | Run) -> bool:
        """Count what was seen; whether progress is to be reported."""
        files = 0
        if isinstance(item, Same):
            files = item.files
            self.unchanged += files
        elif isinstance(item, Pair):
            files = 1
        elif isinstance(item, Run):
            files = len(item.files)
        self.seen += files
        before, self._looked = self._looked, self._looked + files + isinstance(item, Listed)
        return before // _REPORT_EVERY_FILES != self._looked // _REPORT_EVERY_FILES

    def _breaths(self) -> Iterator[Plan]:
        if self._options.breathes:
            yield self._plan([], [])

    def late_plans(self) -> Iterator[Plan]:
        """What to read after all other plans of a run were inserted.

        These files stand where another one stood. If that one was moved, not replaced, it has
        been found at its new place by now and has taken its row along.
        """
        for start in range(0, len(self._replaced), self._chunk_files):
            yield self._plan(self._replaced[start : start + self._chunk_files], [])

    @property
    def has_late_plans(self) -> bool:
        """Whether there is anything in them."""
        return bool(self._replaced)

    def _is_replaced(self, entry: Entry, here: IndexedFile | None) -> bool:
        """Whether another file stands now where an indexed one stood."""
        return (
            here is not None
            and self._tree.mount_point_of(entry.path).fields.stable_inodes
            and here.stamp.inode != entry.stamp.inode
            and len(self._replaced) < _MOST_REPLACED
        )

    def _plan(self, read: list[Entry], unread: list[Entry]) -> Plan:
        if len(unread) > 1:
            read, unread = self._apart(read, unread)
        return Plan(self.hint.root_id, tuple(read), tuple(unread), self.hint.reread)

    def _apart(self, read: list[Entry], unread: list[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Have names of one file read that are met together: none of them takes a moved row along.

        Insert decides so (rule R7). It would leave what nobody has read to the next look, for ever.
        """
        names = Counter(map(file_of, (*read, *unread)))
        several = [one for one in unread if one.special is None and names[file_of(one)] > 1]
        more = [one for one in several if self._must_be_read(one)]
        if not more:
            return read, unread
        self.to_read += len(more)
        return [*read, *more], [one for one in unread if one not in more]

    def _must_be_read(self, entry: Entry) -> bool:
        root_id = self.hint.root_id
        here = tracks.in_place(self._connection, root_id, entry.path)
        known = find(self._connection, self._trees, entry, root_id, here=here, may_move=False)
        return must_read(entry, known, self._trees, root_id, self.hint.reread)

    def _sort_or_note(
        self, pair: Pair, problem: KnownProblem | None, read: list[Entry], unread: list[Entry]
    ) -> None:
        """Put one file where it belongs; what it raises is its own trouble (rule R9)."""
        path = pair.entry.path
        try:
            self._sort(pair, problem, read, unread)
        except Exception as error:  # noqa: BLE001 - of whatever class
            problem_met = problem_of(error, "scan", path)
            self.unlisted.append((path, problem_met))
            self._streak.count(path, problem_met)
        else:
            self._streak.count(path, None)

    def _sort(
        self, pair: Pair, problem: KnownProblem | None, read: list[Entry], unread: list[Entry]
    ) -> None:
        """Put one file where it belongs: to read, known without reading, or unchanged."""
        entry, here = pair.entry, pair.known
        root_id = self.hint.root_id
        if problem is not None and not self._is_tried_again(problem, entry):
            self.unchanged += 1
            return
        if here is None and self._is_first and entry.special is None and not self._unfinished:
            self.to_read += 1
            read.append(entry)
            return
        known = None
        if not self._is_first:  # else insert asks whether it was met already under another name
            known = find(self._connection, self._trees, entry, root_id, here=here)
        reread = self.hint.reread
        is_over = problem is not None and problem.problem.kind.keeps_row
        if is_over or must_read(entry, known, self._trees, root_id, reread):
            if entry.special is not None:
                unread.append(entry)
            elif entry.path in self._unfinished:
                self.left_open.append(entry.path)
            else:
                self.to_read += 1
                replaced = known is here and self._is_replaced(entry, here)
                (self._replaced if replaced else read).append(entry)
        elif known is None or known is not here or known.disk_id != entry.disk_id:
            unread.append(entry)
        else:
            self.unchanged += 1

    def _compared(self, troubled: Container[bytes]) -> Iterator[Compared | Same]:
        root_id, folder = self.hint.root_id, self.hint.folder
        if self.hint.names is not None:
            for name in sorted(self.hint.names):
                yield from self._compared_name(paths.join(folder, name))
            return
        recursive = self.hint.recursive
        rows = tracks_below.rows_below(self._connection, root_id, folder, recursive=recursive)
        if not self._tree.is_whole:
            rows = (row for row in rows if not self._tree.is_offline(row[STAMP_COLUMNS.path]))
        found = walk(self._tree, folder, self._path_filter, recursive=recursive)
        reread = self.hint.reread
        yield from compare(found, rows, reread, troubled, at_once=_REPORT_EVERY_FILES)

    def _compared_name(self, path: bytes) -> Iterator[Compared]:
        if self._tree.is_offline(path):
            return
        known = tracks.in_place(self._connection, self.hint.root_id, path)
        try:
            yield from self._looked_at(path, known)
        except OSError as error:
            yield Unlisted(path, explain(error))
        except Exception as error:  # noqa: BLE001 - whatever one name raises is its own (R9)
            problem = problem_of(error, "walk", path)
            yield Unseen(path, problem)
            self._streak.count(path, problem)

    def _looked_at(self, path: bytes, known: IndexedFile | None) -> list[Compared]:
        if self._path_filter.sidecar(paths.name_of(path)):
            self.sidecars.look(path)
        entry = look(self._tree, path, self._path_filter)
        if entry is not None and (known is not None or self._tree.lists(path)):
            return [Pair(entry, known)]
        if known is None:
            return []
        folder = paths.parent_of(path)
        if folder not in self._names:
            self._names[folder] = names_in(self._tree, folder)
        missed = None
        if entry is None and paths.name_of(path) in self._names[folder]:
            missed = unseen(self._tree, path)
        return [Vanished(known) if missed is None else missed]

    def _open_problems(self) -> dict[bytes, KnownProblem]:
        root_id, folder = self.hint.root_id, self.hint.folder
        if self.hint.names is not None:
            paths_hinted = [paths.join(folder, name) for name in self.hint.names]
        else:
            below = problems.below(self._connection, root_id, folder)
            if not self.hint.recursive:  # of a folder's own trouble, what is below it is a part
                return {
                    path: one
                    for path, one in below.items()
                    if paths.parent_of(path) == folder and one.stamp is not None
                }
            own = problems.get(self._connection, root_id, folder)
            is_folders = own is not None and own.stamp is None
            return {**below, folder: own} if own is not None and is_folders else below
        found = {path: problems.get(self._connection, root_id, path) for path in paths_hinted}
        return {path: problem for path, problem in found.items() if problem is not None}

    def _is_over(self, path: bytes) -> bool:
        """Whether the trouble at a path is over, where a scan to its end said nothing of it.

        Not that of a folder which was hinted by its name as a file is: it was not listed.
        """
        if self._tree.is_offline(path):
            return False
        if self.hint.names is None:
            return True
        try:
            status = self._tree.lstat(path)
        except OSError:
            return False
        return status is None or not S_ISDIR(status.st_mode)

    def _keep_below(
        self, open_problems: dict[bytes, KnownProblem], item: Unlisted | Unseen
    ) -> None:
        """A folder that cannot be listed keeps the problems below it, and has one itself.

        So does a name that cannot be looked at.
        """
        for path in [path for path in open_problems if paths.is_below(path, item.path)]:
            del open_problems[path]
        if isinstance(item, Unseen):
            self.unlisted.append((item.path, item.problem))
            return
        self.sidecars.unlisted(item)
        if item.reason is not None:
            self.unlisted.append((item.path, Problem(ProblemKind.ENVIRONMENT, item.reason)))

    def _is_tried_again(self, problem: KnownProblem, entry: Entry) -> bool:
        """Whether a file with a problem is looked at as any other (rule R9).

        A fault of this program's waits for another stamp, or for another reader.
        """
        match problem.problem.kind:
            case ProblemKind.ENVIRONMENT:
                return self._options.retries_trouble
            case ProblemKind.FAULT:
                fields = self._tree.mount_point_of(entry.path).fields
                return (
                    self.hint.reread > 0
                    or problem.stamp is None
                    or not fields.same(problem.stamp, entry.stamp)
                    or problem.reader_version < READER_VERSION
                )
            case (
                ProblemKind.CONTENT
                | ProblemKind.NO_AUDIO
                | ProblemKind.PICTURE
                | ProblemKind.PLAYLIST
                | ProblemKind.DAMAGE
            ):
                return True
