"""The words the whole program speaks: what is on the disk, what was read of it, what is to be done.

Everything here is a frozen value. The structs that travel between processes are `array_like`:
field order is their wire format, so a new field goes to the end and has a default.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
"""What SQLite, msgpack and a Unix time in 64 bits of nanoseconds hold."""

FOLD_NS: Final = 2**30 - 35
"""How wide the two bands are, at the ends of what is held, into which other times are folded.

1.07 s. It is the largest prime below 2**30, so that times which differ by whole seconds, hours or
days do not fall together.
"""


def signed_inode(inode: int) -> int:
    """An inode number (unsigned, 64 bits) as the signed number of the same bits.

    mergerfs, GlusterFS, Lustre, cifs and overlay with xino use all 64 bits, SQLite has 63 and a
    sign. Every inode in this program is one of these.
    """
    return inode - 2**64 if inode > _MOST else inode


def folded_ns(time_ns: int) -> int:
    """A time in Unix nanoseconds as it is kept: itself, between the years 1678 and 2262.

    ext4 and tmpfs hold others (`touch -d 2400-01-01`; a FILETIME of zero is 1601). They are folded
    into a band of `FOLD_NS` at their end of the range, so that a change of one shows as well.
    """
    if time_ns > _MOST:
        return _MOST - time_ns % FOLD_NS
    if time_ns < _LEAST:
        return _LEAST + time_ns % FOLD_NS
    return time_ns


def is_folded(time_ns: int) -> bool:
    """Whether a kept time is (or may be) one that had to be folded."""
    return not _LEAST + FOLD_NS <= time_ns <= _MOST - FOLD_NS


class HasStamp(Protocol):
    """`os.stat_result`, or as much of it."""

    @property
    def st_size(self) -> int:
        """In bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """In Unix nanoseconds, as the next."""

    @property
    def st_ctime_ns(self) -> int:
        """When its inode changed last."""

    @property
    def st_ino(self) -> int:
        """Unsigned, of 64 bits."""


class Stamp(Struct, frozen=True, array_like=True, gc=False):
    """What the kernel says of a file, compared with `!=` and never with `>`.

    Nanoseconds are whole numbers. `st_dev` is not here: it changes with every reboot. All four fit
    into signed 64 bits: see `signed_inode` and `folded_ns`.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: HasStamp) -> Stamp:
        """The stamp in the answer of `stat`, `lstat` or `fstat`."""
        mtime_ns, ctime_ns, inode = stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
        if inode <= _MOST and _LEAST <= mtime_ns <= _MOST and _LEAST <= ctime_ns <= _MOST:
            return cls(stat.st_size, mtime_ns, ctime_ns, inode)  # nearly always
        return cls(stat.st_size, folded_ns(mtime_ns), folded_ns(ctime_ns), signed_inode(inode))


class StampFields(StrEnum):
    """Which fields of a stamp a file system can be trusted with (rule R1)."""

    ALL = "size,mtime,ctime,inode"
    NO_INODE = "size,mtime,ctime"
    SIZE_MTIME = "size,mtime"

    @property
    def stable_inodes(self) -> bool:
        """Whether an inode number names the same file tomorrow; without it there are no moves."""
        return self is StampFields.ALL

    def same(self, one: Stamp, other: Stamp) -> bool:
        """Whether two stamps are equal in every field that counts here."""
        if one.size != other.size or one.mtime_ns != other.mtime_ns:
            return False
        if self is StampFields.SIZE_MTIME:
            return True
        if one.ctime_ns != other.ctime_ns:
            return False
        return self is StampFields.NO_INODE or one.inode == other.inode


class Track(Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What one audio file says of itself, before anything is guessed from its path.

    Texts are as the tag has them; blank is None (or the empty tuple). Several values of a field
    that is a plain text here are joined with `; `. Units: seconds, bits per second, Hz.
    """

    codec: str
    duration: float | None = None
    bitrate: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    bit_depth: int | None = None
    title: str | None = None
    artists: tuple[str, ...] = ()
    albumartists: tuple[str, ...] = ()
    album: str | None = None
    genres: tuple[str, ...] = ()
    date: str | None = None
    year: int | None = None
    track: int | None = None
    track_total: int | None = None
    disc: int | None = None
    disc_total: int | None = None
    composer: str | None = None
    comment: str | None = None
    bpm: str | None = None
    isrc: str | None = None
    label: str | None = None
    compilation: bool = False
    mb_trackid: str | None = None
    mb_albumid: str | None = None
    mb_artistid: str | None = None
    mb_albumartistid: str | None = None
    mb_releasegroupid: str | None = None
    replaygain_track_gain: str | None = None
    replaygain_track_peak: str | None = None
    replaygain_album_gain: str | None = None
    replaygain_album_peak: str | None = None
    has_picture: bool = False
    suspect_encoding: bool = False
    """A text looks as if it was written in another code page than its tag claims; kept as it is."""


class ProblemKind(StrEnum):
    """What would make a problem go away (rule R9)."""

    CONTENT = "content"
    """The bytes are at fault: it waits for a new stamp, or for a newer reader."""
    ENVIRONMENT = "environment"
    """The machine is at fault: it is tried again."""
    FAULT = "fault"
    """This program is at fault: it waits for a new stamp, or for a newer reader.

    The file's row stays as it was.
    """

    @property
    def keeps_row(self) -> bool:
        """Whether it says nothing of the file's bytes, so that the row stays as it was."""
        return self is not ProblemKind.CONTENT


class Problem(Struct, frozen=True, array_like=True, gc=False):
    """Why a file or a folder could not be read, in words a person can act on."""

    kind: ProblemKind
    reason: str


class Waiting(StrEnum):
    """Why a file was not read although it should be: it may not be whole yet (rule R2)."""

    WRITER = "open for writing"
    YOUNG = "changed a moment ago"
    CHANGING = "changed while it was read"
    READER = "left to a reader that may die of it"
    """Our own readers declined it: a process with limits is to read it by mutagen."""
    SILENT = "its server does not answer"


class Reading(Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What extract found at one path: one of `track`, `problem`, `waiting`, `gone` speaks."""

    path: bytes
    """Relative to the root."""
    stamp: Stamp | None = None
    """Of the descriptor that was read, equal before and after; None where nothing was opened."""
    track: Track | None = None
    problem: Problem | None = None
    waiting: Waiting | None = None
    gone: bool = False
    writer: bool = False
    """Read although a writer holds it open (it stood still for `held`): look again later."""
    opened: bool = False
    bytes_read: int = 0
    birth_ns: int | None = None
    """When the inode that was read was made; None where the file system does not say."""


class Evidence(Struct, frozen=True, array_like=True, gc=False):
    """How extract decides that a file is whole (rule R2). Seconds, and nanoseconds where said."""

    still_s: float = 2.0
    held_s: float = 60.0
    granularity_ns: int = 0
    """How coarse the file system's clock is; 0 means the kernel's own tick."""
    leases: bool = True
    """Whether read leases may be asked for; a test turns them off."""
    births: bool = False
    """Whether the file system tells a file's own inode and time of birth, and not another's."""


class Chunk(Struct, frozen=True, array_like=True, gc=False):
    """A handful of files for one reader process: root-relative paths, in the order to read them."""

    root_path: bytes
    paths: tuple[bytes, ...]
    evidence: Evidence = Evidence()
    follow_links: bool = False
    closed: frozenset[bytes] = frozenset()
    """Those that were closed or moved in since their last write: whole, if no lease says no."""
    plain: bool = False
    """Read by our own readers alone; what they decline is left (`Waiting.READER`)."""
    may_hang: bool = False
    """Whether a server has to answer for these files; what it does not is left (`SILENT`)."""

    def evidence_of(self, path: bytes) -> Evidence:
        """How to decide that this file is whole."""
        return replace(self.evidence, still_s=0.0) if path in self.closed else self.evidence


class RowState(IntEnum):
    """Where a track's row stands."""

    PRESENT = 0
    """In the view `library`."""
    MISSING = 1
    """Its file is gone. The row keeps its id and waits for the file to come back."""
    REFUSED = 2
    """Its file is there and the reader refused the bytes: it stands in `problems`."""


class IndexedFile(Struct, frozen=True, gc=False):
    """What the index knows of one path, as much of it as is needed to decide whether to read."""

    id: int
    root_id: int
    path: bytes
    stamp: Stamp
    place: RowState
    disk_id: int
    scan_id: int
    """The rebuild that read it last, or 0."""
    reader_version: int
    """Of the reader that had the last word; 0: none had, so its tags prove nothing."""
    added_at: int | None = None
    """When it first came into the view, in Unix milliseconds; None: it never did."""
    missing_at: int | None = None
    """When `changes` told that it left; None while it is in place, or untold as yet."""
    birth_ns: int | None = None
    """When its inode was made; None where nobody could say."""


class Entry(Struct, frozen=True, gc=False):
    """One wanted name in a listing: a file, or a special file that bears a file's name."""

    path: bytes
    stamp: Stamp
    disk_id: int = 0
    special: str | None = None
    """What bears the name, if it is no regular file: `a FIFO`, `a socket`, `a device`."""


class Hint(Struct, frozen=True):
    """'Look here': a folder of a root, or only some names below it.

    `names` are relative to `folder` and may hold slashes; None is the folder itself, all of it if
    `recursive`. `reread` is the id of the rebuild that wants every file read again, or 0.
    """

    root_id: int
    folder: bytes = b""
    names: tuple[bytes, ...] | None = None
    recursive: bool = False
    reread: int = 0


class ChangeKind(StrEnum):
    """What `changes` tells of a track."""

    ADDED = "added"
    MODIFIED = "modified"
    MOVED = "moved"
    MISSING = "missing"
    RETURNED = "returned"


class Progress(Struct, frozen=True, kw_only=True):
    """One moment of a running scan. Counts are of this run."""

    phase: str
    """`listing` while folders are still being listed, `reading`, then `finishing`."""
    root: str = ""
    seen: int = 0
    to_read: int = 0
    """Files known to need reading so far; final once `phase` has left `listing`."""
    read: int = 0
    expected: int | None = None
    """Files expected in all (what the index held before), where that is known."""


class Listener(Protocol):
    """Who wants to see a scan's progress; called often, so it must be quick."""

    def __call__(self, progress: Progress, /) -> None:
        """Take one moment of the run in."""
