"""Orders to extract -> readings, on any machine that has the share mounted somewhere (rule R15).

Nothing here knows the database. A machine that does not have the files hands the job back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace
from rq.job import Retry

from indexer import errors
from indexer.model import Reading, Waiting
from indexer.queue.extract_files import ReadChunk, evidence_at, read
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.messages import BatchOrder, ExtractOrder, bytes_of, nameless
from indexer.queue.orders.queues import Queues
from indexer.queue.reading_cache import FoundReadings, count_reuse, find_readings, read_as
from indexer.shares.hanging import is_share, real_path
from indexer.shares.registry import shares
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    import redis

    from indexer.queue.orders.jobs import Handler
    from indexer.settings import Settings

_log = logging.getLogger("indexer")


def run(extractor: Extractor, raw: msgspec.Raw) -> Retry | None:
    """Read the files of one chunk. `raw` is an `ExtractOrder` as JSON."""
    return extractor.extract(raw)


class Extractor:
    """Has files read for the machine that has the index."""

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        read_chunk: ReadChunk,
        *,
        hands_back: bool = True,
    ) -> None:
        """Not `hands_back`: a job whose files are not here fails: no other worker may take it."""
        self._hands_back = hands_back
        self._read_chunk = read_chunk
        self._queues = Queues(client)
        self._places = {name: _real(os.fsencode(folder)) for name, folder in settings.roots.items()}
        """Where this machine has the roots, where the settings say so."""
        self._real: dict[bytes, bytes] = {}
        """Where it has them else, and where a link there led when it was met first."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Queue -> what does its work."""
        return {"extract": partial(run, self)}

    def extract(self, raw: msgspec.Raw) -> Retry | None:
        """Read the files of a chunk, and hand what was read to the next stage.

        The answer is RQ's: a `Retry` puts the job back into its queue.
        """
        order: ExtractOrder = read_order(raw, ExtractOrder)
        if order.reader > READER_VERSION:
            return self._hand_back(order, _too_old(order.reader))
        found = find_readings(self._queues, order)
        try:
            readings = self._read(order, found)
        except errors.RootSilent as error:
            _log.warning("not read root=%s reason=%s", order.origin.root, error)
            silent = Waiting.SILENT  # it stays pending
            readings = [Reading(path=file.raw, waiting=silent) for file in order.files]
        except errors.RootOffline as error:
            return self._hand_back(order, error)
        self._hand_on(order, readings, found)
        return None

    def _hand_on(
        self, order: ExtractOrder, readings: Sequence[Reading], found: FoundReadings
    ) -> None:
        misses = found.readings.count(None)
        job_id = self._queues.put_batch(
            BatchOrder(
                origin=order.origin,
                files=order.files,
                unread=order.unread,
                readings=nameless(readings),
                reader=READER_VERSION,
                read_as=read_as(order),
            ),
            alongside=partial(count_reuse, hits=len(found.readings) - misses, misses=misses),
        )
        if found.job_id not in ("", job_id):
            self._queues.drop(found.job_id)

    def _hand_back(self, order: ExtractOrder, reason: errors.CannotDo) -> Retry:
        """Leave an order to another worker. Raises the reason where there is none."""
        if not self._hands_back:
            raise reason
        _log.warning("handed back root=%s reason=%s", order.origin.root, reason)
        return Retry(max=1_000_000_000, interval=0)

    def _read(self, order: ExtractOrder, found: FoundReadings) -> list[Reading]:
        """What is known of the files of an order; the others are read."""
        missing = tuple(
            file for file, one in zip(order.files, found.readings, strict=True) if one is None
        )
        if len(missing) == len(order.files):
            return self._read_anew(order)
        read = iter(self._read_anew(replace(order, files=missing)) if missing else ())
        return [next(read) if one is None else one for one in found.readings]

    def _read_anew(self, order: ExtractOrder) -> list[Reading]:
        """Have the files of an order read; a helper looks at a share first, since that may hang."""
        place = self._place_of(order)
        may_hang = is_share(place)
        if may_hang:
            evidence = shares.ask(place, evidence_at, order.evidence, place)
        else:
            evidence = evidence_at(order.evidence, place)
        return read(order, place, evidence, self._read_chunk, may_hang=may_hang)

    def _place_of(self, order: ExtractOrder) -> bytes:
        """The root on this machine, which is never reached through a link that is new."""
        place = self._places.get(order.origin.root)
        if place is not None:
            return place
        root_path = bytes_of(order.root_path)
        if root_path not in self._real and not is_share(root_path) and os.path.isdir(root_path):
            self._real[root_path] = _real(root_path)
        return self._real.get(root_path, root_path)


def _too_old(wanted: int) -> errors.QueueError:
    """Why nothing is read for an index that would take it for what a newer reader has read."""
    return errors.QueueError(
        f"this worker reads tags as version {READER_VERSION}, and the index is of version {wanted}:"
        " update this program here, and start the worker again"
    )


def _real(folder: bytes) -> bytes:
    """Where links lead to; as it is where a share on the way does not answer."""
    try:
        return real_path(folder)
    except errors.RootSilent:
        return os.path.abspath(folder)
