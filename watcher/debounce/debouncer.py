"""Events and hints -> paths to scan now, each held until its file is complete (rule R2).

Pure: the clock is an argument, and facts about files are asked for through `Observe`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.model import Hint
from watcher.debounce.folder_buffer import (
    BufferedFile,
    Delays,
    Extent,
    FolderBuffer,
    Observation,
    Proof,
)
from watcher.events.fs_event import FsEvent, FsEventKind

Observe = Callable[[int, bytes, float], Observation | None]
"""(root id, path relative to the root, now) -> one observation of the file; None where no regular
file has the path or it cannot be opened."""

_USUAL: Final = Delays()
_SEQUENCE_S: Final = 0.05
"""What changes in a folder so soon after the last batch of it is one of a sequence. A guess."""

_FOLDERS: Final = (FsEventKind.FOLDER_CAME, FsEventKind.FOLDER_WENT)


class DueHint(Struct, frozen=True):
    """A hint to scan now. The paths are relative to the root."""

    hint: Hint
    whole: frozenset[bytes] = frozenset()
    """Files in it that were closed or moved in since their last write: enough evidence where the
    kernel gives no lease. Never a file that the kernel reports as open for writing."""
    unfinished: frozenset[bytes] = frozenset()
    """Files in it that must not be read now: they stay pending, and are due later."""


class Debouncer:
    """Hold each name until it is complete, and each folder until it is quiet or has waited enough.

    A name that was closed or moved in is due once its folder was quiet for `quiet_s`, and at the
    latest `patience_s` after it was first ready: the maximum batching delay. An album that is
    retagged or copied is to be one batch, or two: what is ready waits up to `writer_s` for another
    file of its folder that began to be written since; and a folder of which something was due a
    moment ago must be quiet for `gather_s`. Then a name is observed, since its writer may have
    opened it again. If it is incomplete it waits on, and so does a name
    of which no close was seen; it is observed with pauses that double from `retry_first_s` to
    `retry_longest_s`, until

    - no process has it open for writing; or, where the kernel does not say so, it did not change
      for `still_s`, or for `held_s` where a process has it open;
    - and it is neither empty nor cut short; or it did not change for `incomplete_s`.

    When a departure is due, so is every arrival that is ready, in whatever folder: they may be the
    halves of a move, and a departure that is looked at alone is taken for a loss (rule R6).

    So a file is due at the latest `retry_longest_s` plus the longest of these times after its last
    change. While the caller is busy and does not call `pop_due`, more becomes due: the batches grow
    with the load by themselves.

    More than `most_names` due names of one folder become the folder. No more than `most_waiting`
    names and folders are kept: beyond it, names that are ready become their folders, and if that is
    not enough everything becomes one recursive hint for each root (rule R12). Then nothing is known
    of writers any more, and only extract checks for evidence.

    Every `now` is in seconds on one clock that never goes back.
    """

    def __init__(
        self,
        delays: Delays = _USUAL,
        *,
        most_names: int = 32,
        most_waiting: int = 20_000,
    ) -> None:
        self._delays = delays
        self._most_names = most_names
        self._most_waiting = most_waiting
        self._buffers: dict[_Key, FolderBuffer] = {}
        self._rereads: dict[Hint, float] = {}
        self._batched: dict[_Key, float] = {}
        """When something of a folder was due last, as long as that is a moment ago."""
        self._count = 0
        """Number of names and folders that wait, kept so that each offer need not add it up."""

    @property
    def waiting_count(self) -> int:
        """How many names and whole folders wait."""
        return self._count + len(self._rereads)

    def next_due(self) -> float | None:
        """When `pop_due` has something to do; None: not before the next offer."""
        times = [
            *self._rereads.values(),
            *(buffer.due_at for buffer in self._buffers.values()),
        ]
        return min(times, default=None)

    def open_files(self, now: float, for_s: float) -> Iterator[tuple[int, bytes]]:
        """(root id, path) of each file that has been incomplete for so long."""
        for (root_id, folder), buffer in self._buffers.items():
            for name, file in buffer.open.items():
                if now - file.since >= for_s:
                    yield root_id, paths.join(folder, name)

    def offer(self, event: FsEvent, now: float) -> None:
        """Take in an event of one name.

        A file that extract found incomplete is offered as `WRITING`, so that it is observed.
        """
        root_id, folder, name = event.root_id, event.folder, event.name
        if event.kind in _FOLDERS:
            path = folder if name is None else paths.join(folder, name)
            self._mark(root_id, path, Extent.TREE, now)
            self._buffer(root_id, path, now).note_move(event.kind)
            if not path:  # the inbox gave up detail
                self._buffer(root_id, path, now).note_move(FsEventKind.FOLDER_WENT)
        elif name is None:
            self._mark(root_id, folder, Extent.FOLDER, now)
        else:
            buffer = self._buffer(root_id, folder, now)
            self._count += buffer.note_event(name, event.kind, now)
            buffer.note_move(event.kind)
        self._stay_small(now)

    def note_writer(self, root_id: int, folder: bytes, now: float) -> None:
        """Take in that a file begins to be written whose own name is of no interest."""
        buffer = self._buffers.get((root_id, folder))
        if buffer is not None:
            buffer.note_writer(now)

    def offer_hint(self, hint: Hint, now: float) -> None:
        """Take in a hint that needs no evidence from here: of a command, a reconcile, a poll.

        One that wants files read again (`reread`) is due at once and merges with nothing, so that
        it neither spreads to other files nor is lost among hints without `reread`.
        """
        if hint.reread:
            self._rereads.setdefault(hint, now)
        elif hint.names is None:
            extent = Extent.TREE if hint.recursive else Extent.FOLDER
            self._mark(hint.root_id, hint.folder, extent, now)
        else:
            for name in hint.names:
                folder, _, last = paths.join(hint.folder, name).rpartition(b"/")
                buffer = self._buffer(hint.root_id, folder, now)
                self._count += buffer.note_event(last, FsEventKind.ATTRIBUTES, now)
        self._stay_small(now)

    def pop_due(self, now: float, observe: Observe) -> list[DueHint]:
        """All that is due, folder by folder; a recursive hint takes along what is ready below."""
        self._hurry_arrivals(now)
        self._batched = {key: at for key, at in self._batched.items() if now - at < _SEQUENCE_S}
        loads: list[_Load] = []
        tree: _Load | None = None
        for key in sorted(self._buffers, key=_in_walk_order):
            buffer = self._buffers[key]
            if tree is not None and tree.holds(key):
                self._fill(tree, key, now, observe, with_ready=True)
                continue
            if buffer.due_at > now:
                continue
            with_ready = self._takes_ready(buffer, now)
            load = _Load(*key, buffer.extent if with_ready else Extent.NAMES)
            self._fill(load, key, now, observe, with_ready=with_ready)
            loads.append(load)
            if load.extent is Extent.TREE:
                tree = load
        self._recount()
        due = [
            DueHint(hint, frozenset(load.whole), load.left_behind(hint))
            for load in loads
            if (hint := load.hint(self._most_names)) is not None
        ]
        due.extend(DueHint(hint, unfinished=self._open_in(hint)) for hint in self._rereads)
        self._rereads.clear()
        return due

    def _takes_ready(self, buffer: FolderBuffer, now: float) -> bool:
        """Whether what is ready in a folder is due."""
        is_crowd = len(buffer.asked_for(now)) > self._most_names  # no wait adds to this batch
        return is_crowd or buffer.batch_at <= now

    def _hurry_arrivals(self, now: float) -> None:
        """Where a departure is due, have every arrival that is ready be due."""
        buffers = self._buffers.values()
        if any(one.has_departures and self._takes_ready(one, now) for one in buffers):
            for one in buffers:
                if one.has_arrivals:
                    one.be_due()

    def _fill(
        self, load: _Load, key: _Key, now: float, observe: Observe, *, with_ready: bool
    ) -> None:
        """Move what is due of one folder into a load; the rest stays to be observed again.

        A scan of a whole tree includes all that is in it, since the folder may be gone.
        """
        root_id, folder = key
        buffer = self._buffers[key]
        candidates = buffer.asked_for(math.inf if load.extent is Extent.TREE else now)
        if with_ready and buffer.ready:
            self._batched[key] = now
        if with_ready:
            candidates.update(buffer.take_ready())
        for name, file in candidates.items():
            path = paths.join(folder, name)
            if self._is_due(root_id, path, file, now, observe):
                buffer.open.pop(name, None)
                load.add(path, is_whole=file.proof is Proof.CLOSED)
            else:
                buffer.open[name] = file
        load.open.extend(paths.join(folder, name) for name in buffer.open)
        if not buffer.count:
            del self._buffers[key]

    def _is_due(
        self, root_id: int, path: bytes, file: BufferedFile, now: float, observe: Observe
    ) -> bool:
        if file.proof is Proof.UNNEEDED:
            return True
        return file.is_due(observe(root_id, path, now), now, self._delays)

    def _open_in(self, hint: Hint) -> frozenset[bytes]:
        """The incomplete files below the path of a hint."""
        named = {paths.join(hint.folder, name) for name in hint.names or ()}
        is_tree = hint.names is None and hint.recursive
        is_folder = hint.names is None and not hint.recursive
        return frozenset(
            path
            for (root_id, folder), buffer in self._buffers.items()
            if root_id == hint.root_id
            for path in (paths.join(folder, name) for name in buffer.open)
            if path in named
            or (is_folder and folder == hint.folder)
            or (is_tree and paths.is_below(path, hint.folder))
        )

    def _buffer(self, root_id: int, folder: bytes, now: float) -> FolderBuffer:
        buffer = self._buffers.get((root_id, folder))
        if buffer is None:
            buffer = self._buffers[root_id, folder] = FolderBuffer(self._delays, last_event_at=now)
        if not buffer.ready:
            before_at = self._batched.get((root_id, folder), -math.inf)
            buffer.in_sequence = now - before_at < _SEQUENCE_S
        return buffer

    def _mark(self, root_id: int, folder: bytes, extent: Extent, now: float) -> None:
        self._count += self._buffer(root_id, folder, now).mark(extent, now)

    def _stay_small(self, now: float) -> None:
        """Give up detail where too much waits: first for folders, then for roots."""
        if self._count <= self._most_waiting:
            return
        for buffer in self._buffers.values():
            buffer.fold()
        self._recount()
        if self._count * 2 <= self._most_waiting:  # else the next offers would soon lead here again
            return
        ready_at: dict[int, float] = {}
        for (root_id, _), buffer in self._buffers.items():
            ready_at[root_id] = min(ready_at.get(root_id, now), buffer.ready_at)
        self._buffers = {
            (root_id, b""): FolderBuffer(
                self._delays, now, since, Extent.TREE, has_arrivals=True, has_departures=True
            )
            for root_id, since in ready_at.items()
        }
        self._recount()

    def _recount(self) -> None:
        self._count = sum(buffer.count for buffer in self._buffers.values())


_Key = tuple[int, bytes]
"""A root's id, and a folder in it."""


class _Load(Struct):
    """What is due of a folder, or of a folder and all that is below it."""

    root_id: int
    folder: bytes
    extent: Extent
    names: list[bytes] = []
    whole: list[bytes] = []
    open: list[bytes] = []

    def holds(self, key: _Key) -> bool:
        """Whether a scan of the load includes this folder."""
        root_id, folder = key
        return root_id == self.root_id and paths.is_below(folder, self.folder)

    def add(self, path: bytes, *, is_whole: bool) -> None:
        self.names.append(paths.name_of(path))
        if is_whole:
            self.whole.append(path)

    def hint(self, most_names: int) -> Hint | None:
        """None where nothing was due after all; too many names become their folder."""
        if self.extent is Extent.NAMES and len(self.names) <= most_names:
            names = tuple(sorted(self.names))
            return Hint(self.root_id, self.folder, names) if names else None
        return Hint(self.root_id, self.folder, recursive=self.extent is Extent.TREE)

    def left_behind(self, hint: Hint) -> frozenset[bytes]:
        """Files that a scan of the folder would find and must not read."""
        return frozenset(self.open if hint.names is None else ())


def _in_walk_order(key: _Key) -> tuple[int, bytes]:
    """Sort a folder right before all that is below it."""
    root_id, folder = key
    return root_id, paths.order_key(folder, is_folder=True) if folder else b""
