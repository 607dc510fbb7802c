"""Time in which nothing is due -> outdated files read again, artwork chosen, files checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct

from indexer.model import Hint
from indexer.readers.artwork import MUCH_CHOSEN
from indexer.settings import Settings
from indexer.store import outdated
from indexer.store.connection import Connection, write_transaction
from watcher.log import EventLog
from watcher.roots.root_states import Roots
from watcher.work.local_work import LocalWork
from watcher.work.scrubbing import Scrubbing

_FILES_AT_ONCE: Final = 64
"""Files of one hint: a change waits for no longer than their reading. A guess: 0.6 s on a disk that
seeks for each."""


class _Reread(Struct):
    """The progress of one root."""

    name: str
    after: int = 0
    files: int = 0


class Rereading:
    """Files that an older version has read and this one reads otherwise: a few at a time.

    A root is asked for after each look at everything, once for each version of the readers.
    """

    def __init__(self, connection: Connection, log: EventLog) -> None:
        self._connection = connection
        self._log = log
        self._roots: dict[int, _Reread] = {}

    @property
    def has_more(self) -> bool:
        return bool(self._roots)

    def begin(self, root_id: int, name: str) -> None:
        """All of a root was looked at: read outdated files again, unless that is done."""
        if root_id not in self._roots and not outdated.is_current(self._connection, root_id):
            self._roots[root_id] = _Reread(name)

    def end(self, root_id: int) -> None:
        """The root is away, or looked at as a whole again, which begins this anew."""
        self._roots.pop(root_id, None)

    def keep(self, root_ids: Collection[int]) -> None:
        """End it for all other roots: a look at these finds nothing now."""
        for root_id in self._roots.keys() - set(root_ids):
            self.end(root_id)

    def next_hint(self, is_whole: Callable[[int], bool]) -> Hint | None:
        """The next files to be looked at; None if the rows at hand are current, or all are.

        A root of which not all disks are there (`is_whole`, by its id) is asked for again after the
        look at everything when they are back.
        """
        for root_id, reread in self._roots.items():
            part = outdated.outdated_after(self._connection, root_id, reread.after, _FILES_AT_ONCE)
            if part.names and not reread.files:
                self._log.info("reread", root=reread.name, reason="newer reader")
            reread.after = part.after
            reread.files += len(part.names)
            if part.is_last and not part.names:
                if is_whole(root_id):
                    self._note_done(root_id, reread)
                del self._roots[root_id]
            return Hint(root_id, b"", part.names) if part.names else None
        return None

    def _note_done(self, root_id: int, reread: _Reread) -> None:
        with write_transaction(self._connection):
            outdated.note_current(self._connection, root_id)
        if reread.files:
            self._log.info("reread done", root=reread.name, files=reread.files)


class IdleWork:
    """Work in small steps, in turns of the loop in which no change waits."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        work: LocalWork,
        roots: Roots,
        log: EventLog,
        *,
        workers_are_busy: Callable[[], bool],
        look: Callable[[Sequence[Hint]], None],
    ) -> None:
        """`look` has the files of hints read."""
        self._work = work
        self._roots = roots
        self._workers_are_busy = workers_are_busy
        self._look = look
        self.rereading = Rereading(connection, log)
        self._scrubbing = Scrubbing(settings, log)
        self._chosen = 0
        """Albums, artists and pictures of artwork since `may_rest` was true."""

    def close(self) -> None:
        self._scrubbing.close()

    def next_turns(self, *, is_calm: bool) -> Iterator[float]:
        """When there is any of it to do, and pictures to take that were read.

        `is_calm`: nothing is due or being read here.
        """
        if is_calm and self._may_reread:
            yield -math.inf
        is_idle = is_calm and self._is_idle
        times = [self._scrubbing.next_turn() if is_idle else None]
        if self._work.artwork is not None:
            times.append(self._work.artwork.next_listening())
            times.append(self._work.artwork.next_turn() if is_idle else None)
        yield from (at for at in times if at is not None)

    def step(self, clock: Callable[[], float], *, is_calm: bool) -> None:
        """Do a little of it, if there is time for it now."""
        is_idle = not self._reread(is_calm=is_calm) and is_calm and self._is_idle
        artwork = self._work.artwork
        if artwork is not None:
            at = artwork.next_turn() if is_idle else None
            begins = at is not None and at <= clock()
            self._chosen += self._work.choose_artwork(begins=begins)
        there = [root.row.path for root in self._roots if root.is_there]
        self._scrubbing.step(clock(), there, is_idle=is_idle)

    def may_rest(self, *, is_calm: bool) -> bool:
        """Whether artwork was chosen for many since this was last true, and for all that is due."""
        artwork = self._work.artwork
        if self._chosen <= MUCH_CHOSEN or artwork is None:
            return False
        if not (is_calm and self._is_idle and artwork.is_over):
            return False
        self._chosen = 0
        return True

    @property
    def _may_reread(self) -> bool:
        """Whether, if it is calm, files that an older version has read are next."""
        return self.rereading.has_more and not self._workers_are_busy()

    @property
    def _is_idle(self) -> bool:
        """Whether, if it is calm, all roots were looked at."""
        return not self.rereading.has_more and all(
            root.is_current or not root.is_there for root in self._roots
        )

    def _reread(self, *, is_calm: bool) -> bool:
        """Read a few files again that an older version has read; False: there were none."""
        self.rereading.keep([root.row.id for root in self._roots if root.is_current])
        if not (is_calm and self._may_reread):
            return False
        hint = self.rereading.next_hint(self._is_whole)
        if hint is None:
            return False
        self._look([hint])
        return True

    def _is_whole(self, root_id: int) -> bool:
        """Whether all disks of a root were there at the last check."""
        root = self._roots.get(root_id)
        return root is not None and root.check.is_whole
