"""Orders to extract -> readings, on any machine that has the share mounted somewhere (rule R15).

Nothing here knows the database. A machine that does not have the files hands the job back.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace
from rq.job import Retry

from indexer import errors
from indexer.disk import filesystem
from indexer.evidence import ignore_lease_signal
from indexer.model import Chunk, Evidence, Reading, Waiting, is_folded
from indexer.queue.jobs import read_order
from indexer.queue.messages import BatchOrder, ExtractOrder, FileText, bytes_of, nameless
from indexer.queue.queues import Queues, chunk_job
from indexer.stages.extract import extract

if TYPE_CHECKING:
    import redis

    from indexer.queue.jobs import Handler
    from indexer.settings import Settings

_log = logging.getLogger("indexer")

_JOB_S: Final = 600
"""The longest that the next stage may take for it."""
_ADVICE: Final = (
    "mount the share there, or say where it is: [roots.NAME] path = ... in the config of this"
    " machine"
)
_CLOCKS_NS: Final = (1_000_000_000, 1_000_000, 1_000, 100)
"""How coarse the times of a share may be: NFS 2, some servers, SMB."""


class Extractor:
    """Reads files for the machine that has the index."""

    def __init__(self, settings: Settings, client: redis.Redis, *, hands_back: bool = True) -> None:
        """Not `hands_back`: a job whose files are not here fails, since nobody waits for others."""
        self._hands_back = hands_back
        self._settings = settings
        self._queues = Queues(client)
        self._places = {
            name: os.fsencode(os.path.realpath(folder)) for name, folder in settings.roots.items()
        }
        """Where this machine has the roots, where the settings say so."""
        self._real: dict[bytes, bytes] = {}
        """Where it has them else, and where a link there led when it was met first."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Queue -> what does its work."""
        return {"extract": self.extract}

    def extract(self, raw: msgspec.Raw) -> Retry | None:
        """Read the files of a chunk, and hand what was read to the next stage.

        The answer is RQ's: a `Retry` puts the job back into its queue.
        """
        order: ExtractOrder = read_order(raw, ExtractOrder)
        place = self._place_of(order)
        try:
            _check_mounted(place)
            readings = read(order, place, self._settings)
        except errors.RootOffline as error:
            if not self._hands_back:
                raise
            _log.warning("handed back root=%s reason=%s", order.origin.root, error)
            return Retry(max=1_000_000_000, interval=0)
        files = len(order.files) + len(order.unread)
        origin = order.origin
        self._queues.put(
            "batch",
            BatchOrder(
                origin=origin,
                files=order.files,
                unread=order.unread,
                readings=nameless(readings),
            ),
            job_id=chunk_job("batch", origin.row, origin.files or files, origin.turn),
            description=f"batch {files} file{'s' if files > 1 else ''} of {origin.root}",
            timeout_s=_JOB_S,
        )
        return None

    def _place_of(self, order: ExtractOrder) -> bytes:
        """The root on this machine, which is never reached through a link that is new."""
        place = self._places.get(order.origin.root)
        if place is not None:
            return place
        told = bytes_of(order.root_path)
        if told not in self._real and os.path.isdir(told):
            self._real[told] = os.path.realpath(told)
        return self._real.get(told, told)


def read(order: ExtractOrder, place: bytes, settings: Settings) -> list[Reading]:
    """What stands in the files of an order, in its order, below this machine's `place`.

    Raises RootOffline where that has gone.
    """
    ignore_lease_signal()
    chunk = Chunk(
        place,
        tuple(file.entry.path for file in order.files),
        _evidence_here(order.evidence, place),
        order.follow_links,
        frozenset(path.raw for path in order.closed),
    )
    limit_s = settings.reader_timeout

    def beat(_place: int) -> None:
        """Give the next file its own time: RQ's alarm, which ends the job, begins anew."""
        signal.setitimer(signal.ITIMER_REAL, limit_s)

    readings = extract(chunk, beat=beat)
    return [_as_scanned(reading, file) for reading, file in zip(readings, order.files, strict=True)]


def same_time(one_ns: int, other_ns: int) -> bool:
    """Whether two times of one file are equal, seen through file systems with different clocks.

    Of two that had to be folded nothing is known: a share may have cut them down in its own way.
    """
    if one_ns == other_ns or (is_folded(one_ns) and is_folded(other_ns)):
        return True
    for clock_ns in _CLOCKS_NS:
        if one_ns % clock_ns == 0 or other_ns % clock_ns == 0:
            return one_ns // clock_ns == other_ns // clock_ns
    return False


def _as_scanned(reading: Reading, file: FileText) -> Reading:
    """Put the stamp of the scan to what was read, if the same file was read.

    The inode and ctime of a share are not those of the disk behind it; size and mtime are. So
    only what has all four had been born when its disk says so.
    """
    stamp = reading.stamp
    if stamp is None:
        return reading
    if stamp.size != file.size or not same_time(stamp.mtime_ns, file.mtime_ns):
        return Reading(
            path=reading.path,
            waiting=Waiting.CHANGING,
            opened=reading.opened,
            bytes_read=reading.bytes_read,
        )
    scanned = file.entry.stamp
    birth_ns = reading.birth_ns if stamp == scanned else None
    return replace(reading, stamp=scanned, birth_ns=birth_ns)


def _evidence_here(evidence: Evidence, place: bytes) -> Evidence:
    """A lease of a server's says nothing of writers elsewhere, whatever the disk behind it says.

    Nor does a server tell when the inode behind it was made: Samba has a time of its own.
    """
    if not (evidence.leases or evidence.births):
        return evidence
    try:
        fs_type = filesystem.disk_at(place).fs_type
    except OSError as error:
        raise errors.RootOffline(f"{os.fsdecode(place)}: {error.strerror}; {_ADVICE}") from error
    local = filesystem.traits_of(fs_type).holds_wal
    return replace(evidence, leases=evidence.leases and local, births=evidence.births and local)


def _check_mounted(place: bytes) -> None:
    """Raise RootOffline where there is no folder, or nothing in it."""
    shown = os.fsdecode(place)
    try:
        with os.scandir(place) as listing:
            if next(listing, None) is not None:
                return
    except OSError as error:
        raise errors.RootOffline(f"{shown}: {error.strerror}; {_ADVICE}") from error
    raise errors.RootOffline(f"{shown}: is empty; {_ADVICE}")
