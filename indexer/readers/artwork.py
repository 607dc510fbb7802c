"""Artwork and playlists that are due -> chosen and read, in small steps, when nothing else is.

What is due stands in the index until the transaction that writes the choice, so a kill loses
nothing. Pictures are opened by readers (`SidecarReaders`), which this process does not wait for.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from indexer import paths
from indexer.artwork.cache import KEPT_SIZE, ThumbnailCache
from indexer.artwork.model import (
    Candidate,
    PictureKey,
    PictureSource,
    SidecarJob,
    SidecarReading,
    Turn,
    Wanted,
)
from indexer.disk.tree import Tree
from indexer.evidence import chunk_of
from indexer.faults import check_is_files, problem_of
from indexer.ignore.path_filter import PathFilter
from indexer.model import Entry, Hint, Problem, ProblemKind, Stamp
from indexer.readers.paused_owners import OFFLINE_S, PausedOwners
from indexer.readers.sidecars import SidecarReaders
from indexer.runs.wakeup import wake
from indexer.settings import Settings
from indexer.stages.artwork import ArtworkChooser
from indexer.stages.artwork_due import spread_folders
from indexer.stages.playlists import PlaylistStage
from indexer.store.connection import Connection, savepoint, write_transaction
from indexer.store.sidecars import artwork, pictures
from indexer.store.sidecars.artwork import Owner, OwnerKind
from indexer.store.work import pending

_log = logging.getLogger("indexer")
_AT_ONCE: Final = 32
"""Owners in one transaction: a change waits for no longer than that. A guess: 20 ms."""
_MOST_JOBS: Final = 64
"""Pictures that readers have or wait for; enough to keep them busy. A guess."""
_TRIES: Final = 3
"""How often a picture that the machine could not read is tried before it is a problem. A guess."""
_MOST_CLOSED: Final = 10_000
_FRESH_S: Final = 3600.0
"""Longer than any transaction waits. A guess."""
_MARGIN_S: Final = 0.25
"""Since the times of a file begin with the kernel's last tick."""
_WAIT_S: Final = 0.05
"""The longest wait for readers, so that a stop is seen."""


_Done = tuple[Wanted, set[Owner], SidecarReading]
"""What was asked for, for which owners, and what a reader found."""


MUCH_CHOSEN: Final = 200
"""Albums, artists and pictures, after which a process that goes on gives memory back when no more
are due. A guess: those of 10 000 tracks leave 2 MB in SQLite's cache."""


class _Stage(Protocol):
    """What is done with what was read for owners of one kind, in the caller's transaction."""

    def keep(self, wanted: Wanted, reading: SidecarReading, now_ms: int) -> bool: ...
    def refuse(self, wanted: Wanted, problem: Problem, now_ms: int) -> None: ...


class _Stages:
    """The stages of all kinds of owners."""

    def __init__(
        self,
        connection: Connection,
        trees: Mapping[int, Tree],
        settings: Settings,
        path_filter: PathFilter,
    ) -> None:
        self._artwork = ArtworkChooser(connection, trees, settings, path_filter)
        self._playlists = PlaylistStage(connection, trees, path_filter)

    def finish(self, owner: Owner, left: Sequence[Candidate] | None) -> Wanted | Turn | None:
        """`left` is what is left to choose from: see `ArtworkChooser.choose_for`."""
        if owner.kind == OwnerKind.PLAYLIST:
            return self._playlists.place(owner)
        return self._artwork.choose_for(owner, left)

    def of(self, owner: Owner) -> _Stage:
        return self._playlists if owner.kind == OwnerKind.PLAYLIST else self._artwork


class Step(Struct, frozen=True):
    """What one step did."""

    chosen: int = 0
    """Albums and artists that are settled."""
    read: int = 0
    """Files that were opened for it."""
    bytes_read: int = 0


class ArtworkWork:
    """The deferred stage of one index. To be called by one thread.

    `step` does a little of it; `next_turn` says when there is something to do, `is_over` whether
    nothing can be done now, and `is_waiting` whether that may change by itself.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        path_filter: PathFilter,
        *,
        kind: OwnerKind | None = None,
        clock: Callable[[], float] = time.monotonic,
        workers: int = 1,
    ) -> None:
        """With `kind` it works for such owners only."""
        self._kind = kind if settings.artwork else OwnerKind.PLAYLIST
        self._connection = connection
        self.settings = settings
        self._path_filter = path_filter
        self.clock = clock
        self._readers = SidecarReaders(
            ThumbnailCache(settings.artwork_folder), settings.reader_timeout, workers
        )
        self._jobs: dict[PictureKey, tuple[Wanted, set[Owner]]] = {}
        """What is being read, and for which owners."""
        self._paused = PausedOwners(clock, settings.retry_first, settings.retry_longest)
        self._tries: dict[PictureKey, int] = {}
        self._after: Owner | None = None
        self._ready: list[Owner] = []
        """Owners of which a picture was read."""
        self._left: dict[Owner, tuple[Candidate, ...]] = {}
        """What is left to choose from for owners of which a picture is read."""
        self._written: tuple[int, int] | None = None
        """The state of the index for which `_left` holds: as we last wrote it."""
        self._answered: list[tuple[SidecarJob, SidecarReading]] = []
        self._closed: set[tuple[int, bytes]] = set()
        self._hinted: dict[PictureKey, Stamp] = {}
        """Tracks that are pending since their files were not what their rows say, by their rows."""
        self._has_hinted = False
        self._seen: tuple[int, int] | None = None
        """The state of the index in which nothing was found to do."""
        self._has_logged_unsaved = False

    def __len__(self) -> int:
        """How many pictures are being read."""
        return len(self._jobs)

    def fileno(self) -> int:
        """A descriptor that can be read when readers have answered."""
        return self._readers.fileno()

    def close(self) -> None:
        """End the readers; what they had is due still."""
        self._readers.close()
        self._jobs.clear()
        self._answered.clear()

    def forget(self) -> None:
        """Begin anew, after trouble with the database."""
        self.close()
        self._paused.clear()
        self._ready.clear()
        self._left.clear()
        self._after = self._seen = self._written = None

    def note_closed(self, files: Iterable[tuple[int, bytes]]) -> None:
        """Take note of (root id, path) of pictures that were closed after their last write (R2)."""
        if len(self._closed) > _MOST_CLOSED:
            self._closed.clear()
        self._closed.update(files)

    def note_disks(self, trees: Mapping[int, Tree]) -> None:
        """Go on with owners whose disk was away and is in these roots that are there now."""
        self._paused.note_disks(trees)

    def next_turn(self) -> float | None:
        """When `step` has something to begin; None: not before the index changes."""
        if (
            self._ready
            or self._answered
            or (self._seen != self._state() and artwork.has_due(self._connection, self._kind))
        ):
            return -math.inf
        return self._paused.next_turn()

    def next_listening(self) -> float | None:
        """When `listen` is due, if `fileno` is not readable before."""
        return self._readers.next_turn()

    @property
    def is_over(self) -> bool:
        """Whether nothing is being read, and all that is due waits for something."""
        at = self.next_turn()
        return not self._jobs and (at is None or at > self.clock())

    @property
    def waits_for_evidence(self) -> bool:
        """Whether a picture waits only until it is known to be whole."""
        return self._paused.wait_for_evidence

    def listen(self, wait_s: float = 0.0) -> bool:
        """Take answers of readers, and give them work; whether there are answers for `step`.

        Waits for readers up to `wait_s` seconds. To be called often, also while `step` may not be.
        """
        self._answered += self._readers.step(wait_s)
        return bool(self._answered)

    def step(self, trees: Mapping[int, Tree], *, begins: bool = True) -> Step:
        """Write what was read, and choose a little more if it `begins` anything.

        `trees` are the roots that are there. Raises RootSilent where the server of a root stops
        answering: its pictures are due still.
        """
        stages = _Stages(self._connection, trees, self.settings, self._path_filter)
        begins = begins and not spread_folders(self._connection, for_artwork=self.settings.artwork)
        done = self._answers()
        owners = self._next_owners() if begins else []
        try:
            chosen = self._write(stages, trees, owners, done)
        except BaseException:
            self._look_again(owners, done)
            raise
        if begins and not (owners or done):
            self._seen = self._state()
        read = sum(reading.opened for _, _, reading in done)
        size = sum(reading.bytes_read for _, _, reading in done)
        return Step(chosen, read, size)

    def _write(
        self,
        stages: _Stages,
        trees: Mapping[int, Tree],
        owners: Sequence[Owner],
        done: Sequence[_Done],
    ) -> int:
        """Write what was read, and choose for these owners; how many were settled."""
        if not (owners or done):
            return 0
        with write_transaction(self._connection):
            if self._written != self._state():
                self._left.clear()
            waiting = self._keep(stages, done)
            ready = [owner for owner in owners if owner not in waiting]
            chosen, wanted = self._finish(stages, ready)
            self._written = self._state()
        if self._has_hinted:
            self._has_hinted = False
            wake(self.settings.db)
        self._submit(trees, wanted)
        return chosen

    def _look_again(self, owners: Iterable[Owner], done: Iterable[_Done]) -> None:
        """After a step that failed: these owners are due still, and wait for nothing."""
        self._seen = None
        self._left.clear()
        busy = set[Owner]().union(*(waiting for _, waiting in self._jobs.values()))
        for owner in set(owners).union(self._ready, *(waiting for _, waiting, _ in done)) - busy:
            self._paused.end(owner)

    def _state(self) -> tuple[int, int]:
        """Changes with each write to the index, by this connection or another one."""
        return self._connection.total_changes(), int(self._connection.pragma("data_version"))

    def _next_owners(self) -> list[Owner]:
        """Owners that can be settled, or ask for a picture, now."""
        owners, self._ready = self._ready[:_AT_ONCE], self._ready[_AT_ONCE:]
        if len(owners) < _AT_ONCE and len(self._jobs) + len(owners) < _MOST_JOBS:
            owners += self._next_due({*owners, *self._ready}, _AT_ONCE - len(owners))
        return owners

    def _next_due(self, ready: set[Owner], most: int) -> list[Owner]:
        """Other owners than these for which nothing is being read, and whose pause is over."""
        if over := self._paused.over():
            return over[:most]
        busy = ready.union(*(owners for _, owners in self._jobs.values()))
        for after in (self._after, None):
            self._after = after
            while due := artwork.next_due(self._connection, self._after, _AT_ONCE, self._kind):
                free = [one for one in due if one not in busy and one not in self._paused][:most]
                self._after = free[-1] if free else due[-1]
                if free:
                    return free
        return []

    def _finish(
        self, stages: _Stages, owners: Sequence[Owner]
    ) -> tuple[int, list[tuple[Wanted, Owner]]]:
        """Choose for these owners; how many were settled, and what the others need."""
        wanted: list[tuple[Wanted, Owner]] = []
        chosen = 0
        for owner in owners:
            try:
                with savepoint(self._connection):
                    needs = stages.finish(owner, self._left.pop(owner, None))
            except Exception as error:  # noqa: BLE001 - of one owner, which waits (rule R9)
                check_is_files(error)
                problem_of(error, "artwork", f"{owner.kind} {owner.id}".encode())
                self._paused.put(owner, OFFLINE_S)
                continue
            if needs is Turn.ANOTHER:
                continue
            if needs is not None:
                wanted.append((needs, owner))
                continue
            self._paused.end(owner)
            chosen += 1
        return chosen, wanted

    def _submit(self, trees: Mapping[int, Tree], wanted: Iterable[tuple[Wanted, Owner]]) -> None:
        """Have pictures read, each once; of disks that are away later."""
        jobs: list[SidecarJob] = []
        try:
            for one, owner in wanted:
                tree = trees.get(one.key.root_id)
                job = self._jobs.get(one.key)
                if job is None and (tree is None or tree.is_offline(one.key.path)):
                    self._paused.put_away(owner, one.key)
                    continue
                if one.others:
                    self._left[owner] = one.others
                self._paused.hold(owner)
                if job is not None:
                    job[1].add(owner)
                elif tree is not None:
                    jobs.append(self._job(tree, one))
                    self._jobs[one.key] = one, {owner}
        finally:
            self._readers.submit(jobs)

    def _job(self, tree: Tree, wanted: Wanted) -> SidecarJob:
        key = wanted.key
        chunk = chunk_of(tree, [Entry(key.path, wanted.stamp)], self.settings)
        return SidecarJob(
            tree.path,
            key,
            wanted.stamp,
            chunk.evidence,
            tree.follow_links,
            closed=(key.root_id, key.path) in self._closed,
            may_hang=tree.may_hang,
        )

    def _answers(self) -> list[_Done]:
        """What readers have found, of what, and for which owners; these are ready."""
        answered, self._answered = self._answered, []
        if answered:
            self._seen = None
        done = [(*self._jobs.pop(job.key), reading) for job, reading in answered]
        for _, owners, _ in done:
            self._ready += sorted(owners)
        return done

    def _keep(
        self,
        stages: _Stages,
        done: Iterable[_Done],
    ) -> set[Owner]:
        """Write what readers found; the owners that must wait all the same."""
        now_ms = time.time_ns() // 1_000_000
        waiting: set[Owner] = set()
        for wanted, owners, reading in done:
            stage = stages.of(next(iter(owners)))
            if not self._take_one(stage, wanted, reading, now_ms):
                waiting |= owners
        if waiting:
            self._left.clear()  # there may be other pictures now
            self._ready = [one for one in self._ready if one not in waiting]
            for owner in waiting:
                self._paused.put(owner)
        return waiting

    def _take_one(
        self, stage: _Stage, wanted: Wanted, reading: SidecarReading, now_ms: int
    ) -> bool:
        """Write one reading; False: its owners must wait."""
        key = wanted.key
        if reading.waiting is not None:
            return False
        if reading.problem is not None and self._is_tried_again(key, reading.problem):
            return False
        self._tries.pop(key, None)
        self._closed.discard((key.root_id, key.path))
        if reading.problem is not None and reading.stamp is None:
            stage.refuse(wanted, reading.problem, now_ms)
            return True
        if reading.facts is not None and reading.facts.unsaved and not self._has_logged_unsaved:
            self._has_logged_unsaved = True
            _log.warning("thumbnail unsaved reason=%s", reading.facts.unsaved)
        is_kept = stage.keep(wanted, reading, now_ms)
        if is_kept:
            self._hinted.pop(key, None)
        elif key.source is PictureSource.TRACK:
            self._hint(wanted, now_ms)
        return is_kept

    def _hint(self, wanted: Wanted, now_ms: int) -> None:
        """Have a track looked at, once for each stamp of its row.

        No event tells that the last other link to its file, elsewhere, is gone.
        """
        key = wanted.key
        if self._hinted.get(key) == wanted.stamp:
            return
        if len(self._hinted) > _MOST_CLOSED:
            self._hinted.clear()
        self._hinted[key] = wanted.stamp
        if key.path in pending.named_since(self._connection, key.root_id, -1):
            return  # by another process
        hint = Hint(key.root_id, paths.parent_of(key.path), (paths.name_of(key.path),))
        pending.enqueue(self._connection, hint, now_ms)
        self._has_hinted = True

    def _is_tried_again(self, key: PictureKey, problem: Problem) -> bool:
        """Whether the machine, which was at fault, may do better in a while."""
        if problem.kind is not ProblemKind.ENVIRONMENT:
            return False
        self._tries[key] = self._tries.get(key, 0) + 1
        return self._tries[key] < _TRIES


def purge(connection: Connection, settings: Settings) -> int:
    """Delete the thumbnails of pictures that are nowhere any more; how many files.

    Not those of the last hour: their pictures may have been read by another process, and not be in
    the index yet.
    """
    cache = ThumbnailCache(settings.artwork_folder)
    left = set(cache.hashes()) - pictures.hashes(connection)
    before_s = time.time() - _FRESH_S
    return cache.purge([one for one in left if _written_at(cache, one) < before_s])


def _written_at(cache: ThumbnailCache, digest: bytes) -> float:
    """When a thumbnail was made, in Unix seconds; 0 where there is none of the usual size."""
    try:
        return cache.path_of(digest, KEPT_SIZE).stat().st_mtime
    except OSError:
        return 0.0


def steps(work: ArtworkWork, trees: Mapping[int, Tree], stop: Callable[[], bool]) -> Iterator[Step]:
    """Do all that can be done now, and what waits for evidence as long as that comes.

    Ends when the rest waits for a disk, a writer, or a change; or when `stop` says so.
    """
    settings = work.settings
    deadline: float | None = None
    while not stop():
        if work.is_over:
            if not work.waits_for_evidence:
                return
            now = work.clock()
            deadline = now + settings.still + _MARGIN_S if deadline is None else deadline
            if now >= deadline:
                return
            time.sleep(min(settings.retry_longest, _WAIT_S))
        work.listen(_WAIT_S if len(work) else 0.0)
        yield work.step(trees)
