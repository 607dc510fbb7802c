"""Orders to extract -> readings, on any machine that has the share mounted somewhere (rule R15).

Nothing here knows the database. A machine that does not have the files hands the job back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace
from rq.job import Retry

from indexer import errors
from indexer.model import Reading, Waiting
from indexer.queue.extract_files import ReadChunk, evidence_at, read
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.messages import BatchOrder, ExtractOrder, bytes_of, nameless
from indexer.queue.orders.queues import Queues, chunk_job
from indexer.queue.reading_cache import ReadingCache
from indexer.shares.hanging import is_share, real_path
from indexer.shares.registry import shares
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    import redis

    from indexer.queue.orders.jobs import Handler
    from indexer.settings import Settings

_log = logging.getLogger("indexer")

_JOB_S: Final = 600
"""The longest that the next stage may take for it."""


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
        self._cache = ReadingCache(client, settings)
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
        try:
            readings = self._read(order)
        except errors.RootSilent as error:
            _log.warning("not read root=%s reason=%s", order.origin.root, error)
            silent = Waiting.SILENT  # it stays pending
            readings = [Reading(path=file.raw, waiting=silent) for file in order.files]
        except errors.RootOffline as error:
            return self._hand_back(order, error)
        files = len(order.files) + len(order.unread)
        origin = order.origin
        self._queues.put(
            "batch",
            BatchOrder(
                origin=origin,
                files=order.files,
                unread=order.unread,
                readings=nameless(readings),
                reader=READER_VERSION,
            ),
            job_id=chunk_job("batch", origin.row, origin.files or files, origin.turn),
            description=f"batch {files} file{'s' if files > 1 else ''} of {origin.root}",
            timeout_s=_JOB_S,
        )
        return None

    def _hand_back(self, order: ExtractOrder, reason: errors.CannotDo) -> Retry:
        """Leave an order to another worker. Raises the reason where there is none."""
        if not self._hands_back:
            raise reason
        _log.warning("handed back root=%s reason=%s", order.origin.root, reason)
        return Retry(max=1_000_000_000, interval=0)

    def _read(self, order: ExtractOrder) -> list[Reading]:
        """What is known of the files of an order; the others are read, and kept for a while."""
        known = self._cache.find(order)
        missing = tuple(
            file for file, found in zip(order.files, known, strict=True) if found is None
        )
        readings: list[Reading] = []
        if missing or not known:
            is_all = len(missing) == len(order.files)
            asked = order if is_all else replace(order, files=missing)
            readings = self._read_anew(asked)
            self._cache.keep(asked, readings)
        self._cache.count(len(known) - len(missing), len(missing))
        rest = iter(readings)
        return [next(rest) if found is None else found for found in known]

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
