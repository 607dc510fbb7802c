"""Orders to extract -> readings, on any machine that has the share mounted somewhere (rule R15).

Nothing here knows the database. A machine that does not have the files hands the job back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace
from rq.job import Retry

from indexer import errors
from indexer.disk import filesystem
from indexer.disk.mounts import is_share
from indexer.model import Chunk, Evidence, Reading, Waiting, is_folded
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.kept_orders import FoundReadings, count_reuse, find_readings, read_as
from indexer.queue.orders.messages import (
    BatchOrder,
    ExtractOrder,
    FileText,
    bytes_of,
    nameless,
    paths_of,
)
from indexer.queue.orders.queues import Queues
from indexer.shares.hanging import real_path
from indexer.shares.registry import shares
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    import redis

    from indexer.queue.orders.jobs import Handler
    from indexer.settings import Settings

_log = logging.getLogger("indexer")

ReadChunk = Callable[[Chunk], list[Reading]]
"""A chunk -> one reading for each of its paths, in their order."""

_ADVICE: Final = (
    "mount the share there, or say where it is: [roots.NAME] path = ... in the config of this"
    " machine"
)
_CLOCKS_NS: Final = (1_000_000_000, 1_000_000, 1_000, 100)
"""How coarse the times of a share may be: NFS 2, some servers, SMB."""


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
        found = find_readings(self._queues.kept_order, order)
        try:
            readings = self._read(order, found)
        except errors.RootSilent as error:
            _log.warning("not read root=%s reason=%s", order.origin.root, error)
            silent = Waiting.SILENT  # it stays pending
            readings = [Reading(path=path, waiting=silent) for path in paths_of(order.files)]
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


def read(
    order: ExtractOrder,
    place: bytes,
    evidence: Evidence,
    read_chunk: ReadChunk,
    *,
    may_hang: bool = False,
) -> list[Reading]:
    """The readings of an order, in its order, from files below `place` on this machine.

    `may_hang`: a server has to answer for them.
    """
    paths = paths_of(order.files)
    closed = frozenset(paths_of(order.closed))
    chunk = Chunk(
        place,
        paths,
        evidence,
        order.follow_links,
        closed,
        may_hang=may_hang,
        keep_tags=frozenset(order.keep_tags),
    )
    readings = read_chunk(chunk)
    return [_as_scanned(reading, file) for reading, file in zip(readings, order.files, strict=True)]


def same_time(one_ns: int, other_ns: int) -> bool:
    """Whether two times of one file are equal, seen through file systems with different clocks.

    Two times that were folded (`is_folded`) count as equal: a share may have clamped them in its
    own way.
    """
    if one_ns == other_ns or (is_folded(one_ns) and is_folded(other_ns)):
        return True
    for clock_ns in _CLOCKS_NS:
        if one_ns % clock_ns == 0 or other_ns % clock_ns == 0:
            return one_ns // clock_ns == other_ns // clock_ns
    return False


def _as_scanned(reading: Reading, file: FileText) -> Reading:
    """Put the stamp of the scan on a reading, if the same file was read.

    The inode and ctime of a share are not those of the disk behind it; size and mtime are. So the
    birth time is kept only where all four are equal.
    """
    stamp, scanned = reading.stamp, file.stamp
    if stamp is None or stamp == scanned:
        return reading
    if stamp.size != file.size or not same_time(stamp.mtime_ns, file.mtime_ns):
        return Reading(
            path=reading.path,
            waiting=Waiting.CHANGING,
            opened=reading.opened,
            bytes_read=reading.bytes_read,
        )
    return replace(reading, stamp=scanned, birth_ns=None)


def evidence_at(evidence: Evidence, place: bytes) -> Evidence:
    """The evidence that is valid here that a file is complete. Raises RootOffline if not mounted.

    A lease on a server's file says nothing of writers elsewhere, whatever the disk behind it says.

    Nor does a server tell the inode's birth time: Samba has a time of its own.
    """
    check_mounted(place)
    if not (evidence.leases or evidence.births):
        return evidence
    try:
        fs_type = filesystem.disk_at(place).fs_type
    except OSError as error:
        raise errors.RootOffline(f"{os.fsdecode(place)}: {error.strerror}; {_ADVICE}") from error
    local = filesystem.traits_of(fs_type).holds_wal
    return replace(evidence, leases=evidence.leases and local, births=evidence.births and local)


def check_mounted(place: bytes) -> None:
    """Raise RootOffline where there is no folder, or it is empty."""
    shown = os.fsdecode(place)
    try:
        with os.scandir(place) as listing:
            if next(listing, None) is not None:
                return
    except OSError as error:
        raise errors.RootOffline(f"{shown}: {error.strerror}; {_ADVICE}") from error
    raise errors.RootOffline(f"{shown}: is empty; {_ADVICE}")
