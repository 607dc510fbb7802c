"""Events in one folder -> which of its names are ready, and which are to be observed when.

Pure, like `debouncer`, which keeps one for each folder.
"""

from __future__ import annotations

import math
from enum import Enum, IntEnum, auto
from typing import Final

from msgspec import Struct

from indexer.evidence import FileLease, must_stand_still_s
from indexer.settings import Settings
from watcher.events.fs_event import FsEventKind

_ARRIVALS: Final = (FsEventKind.MOVED_IN, FsEventKind.FOLDER_CAME)
_DEPARTURES: Final = (FsEventKind.GONE, FsEventKind.FOLDER_WENT)


class Delays(Struct, frozen=True):
    """Waiting times in seconds; `Debouncer` explains each."""

    quiet_s: float = 0.002
    new_quiet: float = 0.25
    """That share of `quiet_s` where all that is ready was created and written to its end, or moved
    in from outside: a copy begins the next file at once (`cp` in 0.1 ms, measured), and so does
    `mv`; a tagger first makes its tags."""
    gather_s: float = 0.006
    """In place of `quiet_s` where that is less, in a folder of which something was due a moment
    ago: more comes, one after the other. A guess: a tagger takes less for the tags of a file."""
    writer_s: float = 0.02
    """For how long what is ready waits for a file in its folder that began to be written since. A
    guess: 20 MB in a page cache."""
    still_s: float = 2.0
    held_s: float = 60.0
    patience_s: float = 10.0
    incomplete_s: float = 10.0
    retry_first_s: float = 0.01
    retry_longest_s: float = 10.0

    @classmethod
    def of(cls, settings: Settings) -> Delays:
        """Those of the settings."""
        return cls(
            quiet_s=settings.quiet,
            still_s=settings.still,
            held_s=settings.held,
            patience_s=settings.patience,
            incomplete_s=settings.incomplete,
            retry_first_s=settings.retry_first,
            retry_longest_s=settings.retry_longest,
        )


class Observation(Struct, frozen=True, gc=False):
    """The result of one observation of a regular file, without its tags."""

    lease: FileLease
    size: int
    ctime_ns: int
    complete: bool = True
    """`whole.is_complete`; it does not matter while the lease is refused."""
    tick_left_s: float = 0.0
    """How long until a later write cannot carry the same stamp, where that is more than extract
    itself waits out (FAT: 2 s)."""


class Extent(IntEnum):
    """How much of a folder must be scanned."""

    NAMES = 0
    FOLDER = 1
    TREE = 2


class Proof(Enum):
    """What the events say about a file being complete."""

    UNNEEDED = auto()
    """It is gone, or only its attributes changed, or it was hinted: the scan decides."""
    CLOSED = auto()
    """It was closed after writing, or moved in, and not written since."""
    LACKING = auto()


class BufferedFile(Struct, gc=False):
    """One name that waits."""

    since: float
    changed_at: float
    """When it changed last, as far as events and its stamp show."""
    proof: Proof = Proof.UNNEEDED
    stamp: tuple[int, int] | None = None
    """(size, ctime_ns) when it was last observed."""
    ask_at: float = 0.0
    pause_s: float = 0.0
    """The pause before `ask_at`."""
    is_new: bool = False
    """Whether it was seen to be created, and was written since without a pause, or moved in from
    outside."""

    def is_due(self, seen: Observation | None, now: float, delays: Delays) -> bool:
        """Whether a file that has waited long enough is due; if not, sets when to observe it again.

        `seen` is None where no regular file has the path or it cannot be opened: there is nothing
        to wait for, and the scan decides.
        """
        if seen is None:
            self.proof = Proof.UNNEEDED
            return True
        stamp = (seen.size, seen.ctime_ns)
        if stamp != self.stamp:
            self.stamp = stamp
            self.changed_at = now
        if seen.lease is FileLease.REFUSED:  # it was opened again after its close
            self.proof = Proof.LACKING
        due_at = max(self.changed_at + self._still_for(seen, delays), now + seen.tick_left_s)
        if due_at <= now:
            return True
        self.pause_s = min(max(self.pause_s * 2, delays.retry_first_s), delays.retry_longest_s)
        self.ask_at = min(now + self.pause_s, due_at)
        return False

    def _still_for(self, seen: Observation, delays: Delays) -> float:
        """For how long it must have been unchanged to be read."""
        for_s = must_stand_still_s(
            seen.lease,
            still_s=delays.still_s,
            held_s=delays.held_s,
            was_closed=self.proof is Proof.CLOSED,
        )
        is_cut_short = seen.lease is not FileLease.REFUSED and (seen.size == 0 or not seen.complete)
        return max(for_s, delays.incomplete_s if is_cut_short else 0.0)


class FolderBuffer(Struct):
    """One folder, and the names in it that wait."""

    delays: Delays
    last_event_at: float
    """When an event other than writing last occurred in it."""
    ready_at: float = math.inf
    """When the first of the names that are ready now became so."""
    extent: Extent = Extent.NAMES
    ready: dict[bytes, BufferedFile] = {}
    """Names that wait only to be batched, as far as the events show."""
    open: dict[bytes, BufferedFile] = {}
    """Names that may still be written, or are incomplete: they are observed."""
    has_arrivals: bool = False
    """Whether something that is ready was moved in, perhaps from another folder."""
    has_departures: bool = False
    """Whether something that is ready went, perhaps to another folder."""
    only_new: bool = True
    """Whether nothing is ready but files that were seen to be created and closed, or to be moved in
    from outside."""
    in_sequence: bool = False
    """Whether something of it was due a moment ago."""
    writer_until: float = 0.0
    """Until when what is ready waits for a writer that began since."""

    @property
    def count(self) -> int:
        """How many names wait here, and the folder itself if it is to be scanned."""
        return len(self.ready) + len(self.open) + (self.extent is not Extent.NAMES)

    @property
    def batch_at(self) -> float:
        """When the names that are ready have been batched long enough; infinite if none are."""
        if not self.ready and self.extent is Extent.NAMES:
            return math.inf
        quiet_at = max(self.last_event_at + self._quiet_s(), self.writer_until)
        return min(quiet_at, self.ready_at + self.delays.patience_s)

    def _quiet_s(self) -> float:
        delays = self.delays
        if self.in_sequence:
            return max(delays.quiet_s, delays.gather_s)
        return delays.quiet_s * (delays.new_quiet if self.only_new else 1.0)

    @property
    def due_at(self) -> float:
        """When there is something to do here."""
        asks = (file.ask_at for file in self.open.values())
        return min(self.batch_at, min(asks, default=math.inf))

    def mark(self, extent: Extent, now: float) -> bool:
        """Have at least this much of the folder scanned; whether it adds to `count`."""
        is_new = self.extent is Extent.NAMES
        self.extent = max(self.extent, extent)
        self.ready_at = min(self.ready_at, now)
        self.last_event_at = now
        self.only_new = False
        return is_new

    def note_event(self, name: bytes, kind: FsEventKind, now: float) -> bool:
        """Take in an event of a file; whether it adds to `count`.

        Writing does not count as activity: a name in the same folder that is ready waits a moment
        for a writer that begins (`note_writer`), and no longer for one that goes on.
        """
        if kind is not FsEventKind.WRITING:
            self.last_event_at = now
            self.writer_until = 0.0
        file = self.ready.get(name) or self.open.get(name)
        is_new = file is None
        if file is None:
            is_created = kind is FsEventKind.CREATED
            file = BufferedFile(since=now, changed_at=now, is_new=is_created)
        elif kind is FsEventKind.ATTRIBUTES:
            return False  # it continues to wait as before
        match kind:
            case FsEventKind.CREATED | FsEventKind.WRITING:
                self._written(name, file, now)
            case FsEventKind.CLOSED | FsEventKind.MOVED_IN:
                file.changed_at = now
                self._be_ready(name, file, Proof.CLOSED, now)
            case _:
                self._be_ready(name, file, Proof.UNNEEDED, now)
        return is_new

    def note_writer(self, now: float) -> None:
        """Take in that another file in the folder begins to be written, of whatever name.

        A tagger or a copy that goes on with the next file: what is ready is due with that one.
        """
        if self.ready:
            self.writer_until = now + self.delays.writer_s

    def _written(self, name: bytes, file: BufferedFile, now: float) -> None:
        file.changed_at = now
        if name not in self.open:
            if self.ready.pop(name, None) is not None:
                file.is_new = False  # its writer comes back, and may do so again
            self.note_writer(now)
        if file.proof is not Proof.LACKING:  # else the pauses continue to grow
            file.proof = Proof.LACKING
            file.pause_s = self.delays.retry_first_s
            file.ask_at = now + file.pause_s
        self.open[name] = file

    def _be_ready(self, name: bytes, file: BufferedFile, proof: Proof, now: float) -> None:
        file.proof = proof
        file.pause_s = 0.0
        self.only_new &= file.is_new and proof is Proof.CLOSED
        self.open.pop(name, None)
        self.ready[name] = file
        self.ready_at = min(self.ready_at, now)

    def asked_for(self, now: float) -> dict[bytes, BufferedFile]:
        """The names to observe now."""
        return {name: file for name, file in self.open.items() if file.ask_at <= now}

    def note_move(self, kind: FsEventKind) -> None:
        """Take in that something came or went, perhaps as one half of a move."""
        self.has_arrivals |= kind in _ARRIVALS
        self.has_departures |= kind in _DEPARTURES

    def be_due(self) -> None:
        """Wait no longer for quiet with what is ready."""
        self.ready_at = -math.inf

    def take_ready(self) -> dict[bytes, BufferedFile]:
        """Take out the names that are ready, and reset how much of the folder to scan."""
        taken = self.ready
        self.has_arrivals = self.has_departures = False
        self.only_new = True
        self.extent, self.ready, self.ready_at = Extent.NAMES, {}, math.inf
        return taken

    def fold(self) -> None:
        """Have the folder scanned instead of each name that is ready."""
        if self.ready:
            self.ready = {}
            self.extent = max(self.extent, Extent.FOLDER)
