"""Whole files -> whether their bytes are what they were (contract of `indexer scrub`).

A disk that decays, or a cable that flips bits, changes bytes without a new stamp: nothing else
notices. No lock is held while a file is read; what was found is written in a transaction of its
own, and only if the index still has the file with this stamp.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.checks.flac_checksum import FlacTest, is_flac
from indexer.disk.mounts import is_share, read_mounts
from indexer.disk.pieces import PIECE, Piece, read_piece
from indexer.disk.tree import Tree
from indexer.model import IndexedFile, Listener, Progress, RowState, Stamp, StampFields
from indexer.places import locate
from indexer.results import report
from indexer.roots.automounts import touch_mounted
from indexer.roots.open_roots import OpenRoots, open_roots
from indexer.settings import Settings
from indexer.shares.registry import shares
from indexer.store import damaged, roots, scrubs, tracks
from indexer.store.connection import IndexConnection, leave_log, write_transaction
from indexer.store.open_log import log_inodes
from indexer.store.roots import RootRow
from indexer.store.scrubs import Scrub

_HASH_SIZE: Final = 16
_SLEEP_S: Final = 0.2
_SHORTEST_SLEEP_S: Final = 0.05
"""A shorter wait is left until the next pieces have added to it: a sleep takes some milliseconds
more than it should, which for each of many small files took longer than reading them."""
SETTLED_S: Final = 3.0
"""A file that was changed less than this ago is left alone: a later write might give it the same
stamp. The coarsest clock, that of FAT, has 2 s."""
SHARE_SETTLED_S: Final = 900.0
"""The same on a share, whose server has a clock of its own. A guess."""
_DAY_MS: Final = 86_400_000
FAILS: Final = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ENODATA, errno.EREMOTEIO})
"""Errors with which a disk says that it cannot read these bytes."""


class Pace:
    """At most so many bytes a second. What was not used is not kept for later."""

    def __init__(self, rate: int) -> None:
        """`rate` 0: no limit."""
        self._rate = rate
        self._due = 0.0

    def wait_s(self, size: int, now: float) -> float:
        """How long to wait after so many bytes."""
        if not self._rate:
            return 0.0
        self._due = max(self._due, now) + size / self._rate
        return self._due - now


class _Found(Struct, frozen=True):
    """What the reading of one whole file gave."""

    stamp: Stamp
    hash: bytes | None
    flaw: str | None
    fields: StampFields
    """Those of the stamp that are reliable where it is."""


def _unreadable(error: OSError, at: int, stamp: Stamp, fields: StampFields) -> _Found | None:
    """The problem of a file that a disk cannot read whole; None: the error is of another kind."""
    if error.errno not in FAILS:
        return None
    said = os.strerror(error.errno or 0).lower()
    return _Found(stamp, None, f"cannot be read whole: {said} within 1 MB of byte {at}", fields)


def judged(known: Scrub | None, found: _Found, now_ms: int) -> Scrub:
    """What is known of a file now; pure.

    The first reading of a stamp is what later ones are compared with. The good hash stays while
    the bytes differ, so that a file that is restored is good again.
    """
    same = known if known is not None and found.fields.same(known.stamp, found.stamp) else None
    good_hash = same.hash if same is not None else None
    good_at = same.good_at if same is not None else None
    flaw = found.flaw
    if found.hash is not None and good_hash in {None, found.hash}:
        good_hash = found.hash
        good_at = now_ms if flaw is None else good_at
    elif found.hash is not None:
        flaw = "decayed: its bytes changed and its stamp did not"
    if flaw is not None and good_at is not None:
        flaw = f"{flaw}; last good on {_day(good_at)}"
    return Scrub(found.stamp, good_hash, good_at, now_ms, flaw)


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


@contextmanager
def leaving_new_log(connection: IndexConnection, database: Path) -> Iterator[None]:
    """At the end, leave SQLite's files beside the index as they are where others made new ones.

    A connection whose own were deleted would delete these by their names when it is closed, with
    all that was committed in them.
    """
    known = connection.log.inodes
    try:
        yield
    finally:
        now = log_inodes(database)
        if all(known) and any(new not in (0, old) for new, old in zip(now, known, strict=True)):
            leave_log(connection)


class Scrubber:
    """One pass over the files that are due."""

    def __init__(
        self,
        connection: IndexConnection,
        settings: Settings,
        *,
        rate: int,
        days: int,
        listener: Listener | None,
        stop: Callable[[], bool],
        settled_s: float = SETTLED_S,
        releases_disks: bool = False,
    ) -> None:
        """`releases_disks`: no disk is held while nothing is read; for a daemon."""
        self._settings = settings
        self._connection = connection
        self._before_ms = _now_ms() - days * _DAY_MS
        self._pace = Pace(rate)
        self._listener = listener
        self._stop = stop
        self._settled_s = settled_s
        self._releases_disks = releases_disks
        self._held: OpenRoots | None = None
        self._watched: dict[int, RootRow] = {}
        self._on_shares: set[int] = set()
        self._offline: dict[int, str] = {}
        self._checked = self._bytes = self._skipped = 0
        self._damaged: list[report.ScrubDamage] = []

    def use(self, connection: IndexConnection) -> None:
        """Read and write the index with this connection."""
        self._connection = connection

    def run(self, places: Sequence[bytes]) -> report.ScrubReport:
        """Read what is due below these places; without places, everything.

        A share that does not answer is not waited for once `stop` says so. Raises LogLost where no
        other program would see what is written: `use` a new connection, and run it again.
        """
        with shares.waiting_unless(self._stop):
            return self._run(places)

    def _run(self, places: Sequence[bytes]) -> report.ScrubReport:
        started = time.monotonic()
        watched = roots.watched(self._connection)
        self._watched = {root.id: root for root in watched}
        mounts = read_mounts()
        self._on_shares = {root.id for root in watched if is_share(root.path, mounts)}
        located = [locate(place, watched) for place in places]
        below = [(one.root.id, one.path) for one in located] or [(one.id, b"") for one in watched]
        if scrubs.has_strange(self._connection):
            with write_transaction(self._connection):
                scrubs.drop_strange(self._connection)
        if not self._releases_disks:
            self._held = open_roots(
                self._connection, watched, follow_links=self._settings.follow_links
            )
            self._offline.update(self._held.offline)
        is_stopped = False
        try:
            for known in scrubs.due(self._connection, self._before_ms, _now_ms):
                self._check_wanted()
                is_wanted = any(
                    root == known.root_id and paths.is_below(known.path, folder)
                    for root, folder in below
                )
                if is_wanted and known.root_id not in self._offline:
                    self._scrub(known)
        except errors.Interrupted:
            is_stopped = True
        finally:
            if self._held is not None:
                self._held.close()
        chosen = {root for root, _ in below}
        return report.ScrubReport(
            checked=self._checked,
            bytes_read=self._bytes,
            skipped=self._skipped,
            damaged=tuple(self._damaged),
            offline=(
                *(text for root, text in self._offline.items() if root in chosen),
                *(text for root in chosen for text in self._away(root)),
            ),
            interrupted=is_stopped,
            seconds=round(time.monotonic() - started, 3),
        )

    def _away(self, root_id: int) -> Iterable[str]:
        """Why disks below a root are away."""
        return () if self._held is None else self._held.away(root_id).values()

    @contextmanager
    def _tree(self, known: IndexedFile) -> Iterator[Tree | None]:
        """The root of a file; None: its disk is away, or has another one in its place.

        Where nothing is held it is opened for one piece of a file, so that its disk can be
        unmounted at any time, and no automount is kept from expiring.
        """
        opened = self._held
        if opened is None:
            opened = open_roots(
                self._connection,
                [self._watched[known.root_id]],
                follow_links=self._settings.follow_links,
                touches=touch_mounted,
            )
            self._offline.update(opened.offline)
        try:
            tree = opened.trees.get(known.root_id)
            yield None if tree is None or tree.is_offline(known.path) else tree
        finally:
            if opened is not self._held:
                opened.close()

    def _scrub(self, known: IndexedFile) -> None:
        """Read one file, if its disk is there, and write down what was found."""
        self._report_progress(known)
        before = scrubs.get(self._connection, known.id)
        try:
            found = None if self._is_young(known) else self._read(known, before)
        except errors.RootSilent as error:
            self._check_wanted()  # then that is why it was not waited for
            self._offline[known.root_id] = f"{self._watched[known.root_id].name}: {error}"
            return
        if found is None:
            self._skipped += 1
            return
        if self._connection.has_lost_log:
            raise errors.LogLost(f"{self._settings.db}: its files -wal or -shm were deleted")
        with write_transaction(self._connection):
            now = tracks.by_id(self._connection, known.id)
            if now != known or now.place is not RowState.PRESENT:
                self._skipped += 1
                return
            scrub = judged(before, found, _now_ms())
            scrubs.put(self._connection, known.id, scrub)
        self._checked += 1
        if scrub.flaw is not None:
            text, b64 = paths.text_of(known.path)
            root = self._watched[known.root_id].name
            self._damaged.append(
                report.ScrubDamage(root=root, path=text, path_b64=b64, reason=scrub.flaw)
            )

    def _is_young(self, known: IndexedFile) -> bool:
        settled_s = self._settled_s
        if settled_s and known.root_id in self._on_shares:
            settled_s = max(settled_s, SHARE_SETTLED_S)
        changed_ns = max(known.stamp.mtime_ns, known.stamp.ctime_ns)
        return 0 <= time.time_ns() - changed_ns < settled_s * 1e9

    def _read(self, known: IndexedFile, before: Scrub | None) -> _Found | None:
        """The hash of a file; None: it is not what the index has, which its next look will see."""
        is_known = before is not None and before.flaw is None and before.stamp == known.stamp
        is_tested = is_flac(known.path) and not is_known
        if is_tested and damaged.is_short(self._connection, known.id):
            is_tested = False  # it cannot have the checksum of all of its sound
        digest = blake2b(digest_size=_HASH_SIZE)
        first: Stamp | None = None
        at = 0
        with FlacTest(wanted=is_tested) as test:
            while True:
                with self._tree(known) as tree:
                    if tree is None:
                        return None
                    fields = tree.mount_point_of(known.path).fields
                    try:
                        piece: Piece | None = tree.ask(read_piece, known.path, at)
                    except OSError as error:
                        return _unreadable(error, at, first or known.stamp, fields)
                if piece is None:
                    return None
                first = first or piece.stamp
                if piece.stamp != first or not fields.same(piece.stamp, known.stamp):
                    return None
                digest.update(piece.content)
                test.feed(piece.content)
                at += len(piece.content)
                self._bytes += len(piece.content)
                self._rest(known, len(piece.content))
                if len(piece.content) < PIECE:
                    return _Found(first, digest.digest(), test.flaw(), fields)

    def _rest(self, known: IndexedFile, size: int) -> None:
        """Keep the rate, and look whether to stop meanwhile."""
        wait_s = self._pace.wait_s(size, time.monotonic())
        self._report_progress(known)
        if wait_s < _SHORTEST_SLEEP_S:
            return
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLEEP_S))
            self._report_progress(known)

    def _check_wanted(self) -> None:
        if self._stop():
            raise errors.Interrupted("stopped; what was checked stays so")

    def _report_progress(self, known: IndexedFile) -> None:
        self._check_wanted()
        if self._listener is not None:
            self._listener(
                Progress(
                    phase="reading", root=self._watched[known.root_id].name, seen=self._checked,
                    to_read=self._checked, read=self._checked,
                )
            )  # fmt: skip


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
