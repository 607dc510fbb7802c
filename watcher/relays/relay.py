"""What happens on a server's own disk -> hints for an index that has it by a share.

inotify reports nothing of what other machines, or the server itself, write to a share. So this runs
where the disk is. It watches as the daemon does, waits until files are whole, and puts hints into
the queue `scan` of the index. It needs no database. A hint is a hint: what is lost on the way is
found by polling. What Redis does not take waits here, within the bounds of the `Debouncer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from indexer import errors, paths
from indexer.disk import filesystem
from indexer.evidence import FileLease, ignore_lease_signal
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.queue.orders.messages import FolderHint, PathText, RelayOrder
from indexer.queue.redis_client import answering
from indexer.queue.relays import MOST_HINTS, Announcement, RelayLink
from indexer.settings import Settings
from watcher.debounce.debouncer import Debouncer, DueHint
from watcher.debounce.folder_buffer import Delays, Observation
from watcher.debounce.observation import observe
from watcher.log import EventLog
from watcher.loop import Loop
from watcher.relays.index_link import IndexLink
from watcher.relays.relayed_roots import RelayedRoots

_MOST_GIVEN: Final = 4
"""Jobs that may wait in Redis: with more, hints gather here, where they are bounded. A guess."""
_GIVEN_PAUSE_S: Final = 1.0
_ECHOES_S: Final = (1.5, 65.0)
"""A share's client may take what it knows of a file for right for so long: 1 s with SMB and FUSE,
up to 60 s with NFS (`acregmax` of nfs(5)), unless options say otherwise. So what has changed is
looked at again after both."""
_SHARE_NS: Final = filesystem.granularity_ns("nfs")
"""How coarse the index takes the times of a share to be: what it would not read yet is not sent."""


class Relay(Loop):
    """Tells one index of changes on this machine. `run()` it, and `stop()` it from a signal."""

    def __init__(
        self,
        settings: Settings,
        folders: dict[str, bytes],
        path_filter: PathFilter,
        link: RelayLink,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folders` are those of `relayed_folders`; `link` is closed with this."""
        super().__init__(clock)
        self._settings = settings
        self._log = EventLog()
        self._link = link
        self.roots = RelayedRoots(settings, folders, path_filter, self._log, self.wake)
        self.index_link = IndexLink(settings, link, self.roots, self._log)
        self._echoes = [
            Debouncer(Delays(quiet_s=pause_s, patience_s=2 * pause_s)) for pause_s in _ECHOES_S
        ]
        self._give_at = -float("inf")
        self._granted: set[tuple[int, bytes]] = set()
        """(root id, path) of what was looked at in this turn, and no process has open to write."""
        ignore_lease_signal()

    def run(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Work until `stop`, or until another one with other settings is to take over.

        Raises QueueError where the first Redis refuses us, and UsageError where the index has not
        a root of this name.
        """
        self._take_turns(is_over)
        if self.is_stopping and not self.index_link.trouble:
            with suppress(errors.QueueError), answering(self._settings):
                self._link.end(self.index_link.known_names())

    def close(self) -> None:
        """Give everything back."""
        self.roots.close()
        self._link.close()
        super().close()

    def next_turn(self) -> float:
        times = [self.roots.tend_at, self.index_link.heartbeat_at]
        if self.index_link.index is not None and not self.index_link.trouble:
            times += [max(due_at, self._give_at) for due_at in self._dues()]
        return min(times)

    def _dues(self) -> list[float]:
        every = (self.roots.debouncer, *self._echoes)
        return [due_at for one in every if (due_at := one.next_due()) is not None]

    def step(self, now: float) -> None:
        self._take_wakeups()
        self.roots.drain(now)
        if now >= self.roots.tend_at:
            self.roots.tend(now)
        if now >= self.index_link.heartbeat_at:
            self.index_link.reach(now, self.index_link.heartbeat)
        index = self.index_link.index
        if index is not None and not self.index_link.trouble and now >= self._give_at:
            self.index_link.reach(now, partial(self._give, index))

    # Hints

    def _give(self, index: Announcement, now: float) -> None:
        """Put what is due into the queue, unless too much waits there."""
        if not any(due_at <= now for due_at in self._dues()):
            return
        if self.index_link.check_given(now) >= _MOST_GIVEN:
            self._give_at = now + _GIVEN_PAUSE_S
            return
        again = [due.hint for echo in self._echoes for due in echo.pop_due(now, _unseen)]
        with self._kept(again):
            self._granted.clear()
            for hint in again:
                for name in hint.names or ():
                    self._observe(hint.root_id, paths.join(hint.folder, name), now)
            dues_now = self.roots.debouncer.pop_due(now, self._observe)
            hints = [due.hint for due in dues_now]
            with self._kept(hints):
                self._put(index, dues_now, again, now)
        for hint in hints:
            if hint.folder or not hint.recursive:
                for echo in self._echoes:
                    echo.offer_hint(hint, now)

    @contextmanager
    def _kept(self, hints: list[Hint]) -> Iterator[None]:
        """Take hints back that could not be given."""
        try:
            yield
        except BaseException:
            for hint in hints:
                self.roots.debouncer.offer_hint(hint, self.clock())
            raise

    def _put(self, index: Announcement, dues: list[DueHint], again: list[Hint], now: float) -> None:
        known = {
            number: place.root.row.name
            for number, place in self.roots.places.items()
            if place.root.row.name in index.roots
        }
        hints = [hint for hint in (*(due.hint for due in dues), *again) if hint.root_id in known]
        if not hints:
            return
        if len(hints) > MOST_HINTS:
            hints = [Hint(root_id, recursive=True) for root_id in {one.root_id for one in hints}]
        closed = {(due.hint.root_id, path) for due in dues for path in due.whole}
        unfinished = {(due.hint.root_id, path) for due in dues for path in due.unfinished}
        order = RelayOrder(
            index=index.index,
            hints=tuple(_hint_of(known[hint.root_id], hint) for hint in hints),
            closed=_files(known, closed | self._granted - unfinished),
            unfinished=_files(known, unfinished),
        )
        self._link.give(order, now)
        self._log.debug("given", hints=len(hints))

    def _observe(self, root_id: int, path: bytes, _now: float) -> Observation | None:
        root = self.roots.places[root_id].root
        traits = filesystem.traits_of(root.fs_type_of(path))
        seen = observe(
            root.row.path,
            path,
            follow_links=self._settings.follow_links,
            leases=self._settings.leases and traits.holds_wal,
            granularity_ns=max(traits.granularity_ns, _SHARE_NS),
        )
        if seen is not None and seen.lease is FileLease.GRANTED:
            self._granted.add((root_id, path))
        return seen


def _unseen(_root_id: int, _path: bytes, _now: float) -> None:
    """Of a hint no file is looked at."""


def _hint_of(root: str, hint: Hint) -> FolderHint:
    return FolderHint(
        root=root,
        folder=PathText.of(hint.folder) if hint.folder else None,
        names=None if hint.names is None else tuple(map(PathText.of, hint.names)),
        recursive=hint.recursive,
    )


def _files(
    known: dict[int, str], files: Iterable[tuple[int, bytes]]
) -> tuple[tuple[str, PathText], ...]:
    """Files with the names of their roots, of those that the index has."""
    return tuple(
        (known[root_id], PathText.of(path)) for root_id, path in sorted(files) if root_id in known
    )
