"""A daemon's unfinished background reads -> what other scans must leave alone until then.

A file that is being read may have moved. Its row must follow it and not go missing, and no other
file may take over the row's old path before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import msgspec

from indexer.model import Hint, IndexedFile
from indexer.readers.limited import File, LimitedReaders
from indexer.runs import run_counts
from indexer.stages.scan import Plan
from indexer.store import tracks
from indexer.store.connection import Connection, write_transaction
from indexer.store.work.covered import complete_covered


class BackgroundReads:
    """Readers that keep working between two scans of a daemon, and what waits for them."""

    def __init__(self, connection: Connection, limited: LimitedReaders) -> None:
        self.limited = limited
        self.waits = False
        """Whether the present scan waits for the readings that come quickly."""
        self.freed: set[tuple[int, bytes]] = set()
        """(root id, path) of paths that can be scanned now, since nothing may have moved away from
        them any more."""
        self._connection = connection
        self._held: defaultdict[File, set[tuple[int, bytes]]] = defaultdict(set)
        self._later: list[
            tuple[set[int], Sequence[Hint], int, int, Collection[tuple[int, bytes]]]
        ] = []

    def hold(self, known: IndexedFile) -> bool:
        """Whether a row's file is being read; its path is then scanned when that is done."""
        file = (known.disk_id, known.stamp.inode)
        if file not in self.limited.files:
            return False
        self._held[file].add((known.root_id, known.path))
        return True

    def without_held(self, plan: Plan) -> Plan:
        """The plan without files whose path belonged to one that is being read in the background.

        That one may have moved: its row must follow it before its path is given to another file.
        """
        read = []
        for entry in plan.read:
            here = tracks.in_place(self._connection, plan.root_id, entry.path)
            if here is None or not self.hold(here):
                read.append(entry)
        return msgspec.structs.replace(plan, read=tuple(read))

    def may_have_moved(self, track_id: int) -> bool:
        """Whether a row's file may be one that is being read at another path."""
        known = tracks.by_id(self._connection, track_id)
        return known is not None and self.hold(known)

    def holds_unannounced(self) -> bool:
        """Whether a row that lost its path may still turn up at another one."""
        files = self.limited.files
        return bool(files) and any(
            (known.disk_id, known.stamp.inode) in files
            for known in tracks.unannounced(self._connection)
        )

    def complete_later(
        self,
        row_ids: Collection[int],
        hints: Sequence[Hint],
        up_to_id: int,
        scan_id: int,
        left_open: Collection[tuple[int, bytes]],
    ) -> None:
        """Close what these hints have answered once these rows of theirs are closed: see `pending`.

        Until then their requester waits, and so they outlive a kill. `scan_id` is the run that they
        were scanned for, or 0, and `left_open` is what they did not answer: see `complete_covered`.
        """
        self._later.append((set(row_ids), hints, up_to_id, scan_id, left_open))

    def release(self) -> None:
        """Close what need not wait any more, after something was inserted."""
        files, rows = self.limited.files, self.limited.row_ids
        for file in [file for file in self._held if file not in files]:
            self.freed |= self._held.pop(file)
        over = [later for later in self._later if not later[0] & rows]
        if over:
            self._later = [later for later in self._later if later[0] & rows]
            with write_transaction(self._connection):
                for _, hints, up_to_id, scan_id, left_open in over:
                    closed = complete_covered(
                        self._connection,
                        hints,
                        up_to_id,
                        rereads_too=False,
                        scan_id=scan_id,
                        left_open=left_open,
                    )
                    run_counts.count_closed(self._connection, closed)

    def forget(self) -> None:
        """Drop all unfinished reads: everything is scanned anew."""
        self._held.clear()
        self._later.clear()
        self.freed.clear()
        self.limited.drop()

    def close(self) -> None:
        """End the readers. All that waits for them is scanned after the next start."""
        self.limited.close()
