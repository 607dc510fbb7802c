"""What is due of artwork and playlists -> its jobs in Redis, one of each kind at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from indexer.queue.orders.queues import ALIVE, ARTWORK_IDS, ARTWORK_JOBS, JobState, Queues
from indexer.store.sidecars import artwork
from indexer.store.sidecars.artwork import OwnerKind

if TYPE_CHECKING:
    from indexer.store.connection import Connection


class LostJobs:
    """Jobs that Redis takes for alive although their worker is gone, by what it shows for a lease.

    A worker that is killed leaves its job `started`, or `queued` in no queue where it had just
    taken it: no other job of this id would be enqueued then.
    """

    def __init__(self, queues: Queues, lease_s: float) -> None:
        self._queues = queues
        self._lease_s = lease_s
        self._shown: dict[str, tuple[JobState, float]] = {}
        """Id -> what was shown of a job that is in no queue, and since when."""

    def drop(self, now: float) -> None:
        """Delete those that have shown nothing new for the length of a lease."""
        states = dict(zip(ARTWORK_IDS, self._queues.states(ARTWORK_IDS), strict=True))
        alive = {job_id: state for job_id, state in states.items() if state.status in ALIVE}
        waiting = self._queues.waiting() if alive else set()
        before, self._shown = self._shown, {}
        for job_id, state in alive.items():
            if job_id in waiting:
                continue
            shown, since = before.get(job_id, (state, now))
            if shown == state and now - since >= self._lease_s:
                self._queues.drop(job_id)
            else:
                self._shown[job_id] = (state, since if shown == state else now)


def put_jobs(
    connection: Connection,
    queues: Queues,
    token: str,
    kinds: Iterable[OwnerKind],
) -> None:
    """Enqueue a job for each kind of which something is due, unless one waits already."""
    for kind in kinds:
        if artwork.has_due(connection, kind):
            queues.put_artwork(ARTWORK_JOBS[kind], {"index": token})
