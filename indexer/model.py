"""The shared value types: files on the disk, what was read of them, and work to do.

All are frozen. Structs that are sent between processes are `array_like`: the order of fields is
their wire format, so a new field goes to the end and has a default.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
"""Maximum of SQLite, msgpack and a 64-bit Unix time in nanoseconds."""

FOLD_NS: Final = 2**30 - 35
"""Width of the bands at both ends of the range into which times outside are folded.

1.07 s. The largest prime below 2**30, so that times which differ by whole seconds, hours or days
do not coincide.
"""


def signed_inode(inode: int) -> int:
    """An inode number (unsigned, 64 bits) as the signed number with the same bits.

    mergerfs, GlusterFS, Lustre, cifs and overlay with xino use all 64 bits, SQLite has 63 and a
    sign. All inode numbers in this program are signed.
    """
    return inode - 2**64 if inode > _MOST else inode


def folded_ns(time_ns: int) -> int:
    """A time in Unix nanoseconds as stored: unchanged between the years 1678 and 2262.

    ext4 and tmpfs allow others (`touch -d 2400-01-01`; a FILETIME of zero is 1601). They are folded
    into a band of `FOLD_NS` at their end of the range, so that a change is still visible.
    """
    if time_ns > _MOST:
        return _MOST - time_ns % FOLD_NS
    if time_ns < _LEAST:
        return _LEAST + time_ns % FOLD_NS
    return time_ns


def is_folded(time_ns: int) -> bool:
    """Whether a stored time is (or may be) a folded one."""
    return not _LEAST + FOLD_NS <= time_ns <= _MOST - FOLD_NS


class HasStamp(Protocol):
    """`os.stat_result`, or this part of it."""

    @property
    def st_size(self) -> int:
        """In bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """In Unix nanoseconds, like the next."""

    @property
    def st_ctime_ns(self) -> int:
        """Last change of the inode."""

    @property
    def st_ino(self) -> int:
        """Unsigned, 64 bits."""


class Stamp(Struct, frozen=True, array_like=True, gc=False):
    """The identity of a file's content according to the kernel; compare with `!=`, never with `>`.

    Nanoseconds are integers. `st_dev` is not included: it changes with every reboot. All four fit
    into signed 64 bits: see `signed_inode` and `folded_ns`.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: HasStamp) -> Stamp:
        """The stamp in a result of `stat`, `lstat` or `fstat`."""
        mtime_ns, ctime_ns, inode = stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
        if inode <= _MOST and _LEAST <= mtime_ns <= _MOST and _LEAST <= ctime_ns <= _MOST:
            return cls(stat.st_size, mtime_ns, ctime_ns, inode)  # nearly always
        return cls(stat.st_size, folded_ns(mtime_ns), folded_ns(ctime_ns), signed_inode(inode))


class StampFields(StrEnum):
    """The fields of a stamp that are reliable on a file system (rule R1)."""

    ALL = "size,mtime,ctime,inode"
    NO_INODE = "size,mtime,ctime"
    SIZE_MTIME = "size,mtime"

    @property
    def stable_inodes(self) -> bool:
        """Whether inode numbers are persistent; else moves are known by content alone (rule R7)."""
        return self is StampFields.ALL

    def same(self, one: Stamp, other: Stamp) -> bool:
        """Whether two stamps are equal in every reliable field."""
        if one.size != other.size or one.mtime_ns != other.mtime_ns:
            return False
        if self is StampFields.SIZE_MTIME:
            return True
        if one.ctime_ns != other.ctime_ns:
            return False
        return self is StampFields.NO_INODE or one.inode == other.inode


class Track(Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The tags and stream info of one audio file, without guesses from its path.

    Texts are as in the tag; blank is None (or the empty tuple). Multiple values of a field that is
    a plain text here are joined with `; `. Units: seconds, bits per second, Hz.
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
    """A text seems to be in another code page than its tag declares; it is stored unchanged."""
    has_lyrics: bool = False
    """Lyrics are embedded; their text is not kept."""
    tags: str | None = None
    """Further tags as JSON, {name: [values]} in the order of the names; see `tags.further`."""
    short: float | None = None
    """The share of the file that is there, below 1; None: it is whole, or that is not known."""
    essence: bytes | None = None
    """What its sound is, whatever its tags are (`tags.essence`); empty if it was not found, None if
    it was not looked for."""


class ProblemKind(StrEnum):
    """The cause of a problem, and so when to retry (rule R9)."""

    CONTENT = "content"
    """The bytes are at fault: retried with a new stamp, or by a newer reader."""
    ENVIRONMENT = "environment"
    """The machine is at fault: retried repeatedly."""
    FAULT = "fault"
    """This program is at fault: retried with a new stamp, or by a newer reader.

    The file's row is unchanged.
    """
    NO_AUDIO = "no audio"
    """The file has no sound, and its name does not promise any: nothing is written to `problems`,
    and its row becomes `RowState.SOUNDLESS`."""
    PICTURE = "picture"
    """A picture file, or the picture in a track, is broken or too large: retried with a new stamp.

    The row of the track is unchanged, and stays in `library`.
    """
    PLAYLIST = "playlist"
    """A playlist is no text, or too large: retried with a new stamp. No track is concerned."""

    DAMAGE = "damage"
    """A file that is cut short, or has decayed, and can be read all the same.

    Its track stays in `library`. No row of `problems` has it: see `store.damaged`.
    """

    @property
    def keeps_row(self) -> bool:
        """Whether it is unrelated to the audio of the file, so that the row is unchanged."""
        return self not in {ProblemKind.CONTENT, ProblemKind.NO_AUDIO}

    @property
    def is_of_sidecar(self) -> bool:
        """Whether it says nothing of any track, so that a track may have one of its own."""
        return self in {ProblemKind.PICTURE, ProblemKind.PLAYLIST}


class Problem(Struct, frozen=True, array_like=True, gc=False):
    """Why a file or a folder could not be read, with what to do about it."""

    kind: ProblemKind
    reason: str


class Waiting(StrEnum):
    """Why a file was not read yet: it may not be whole (rule R2)."""

    WRITER = "open for writing"
    YOUNG = "changed a moment ago"
    CHANGING = "changed while it was read"
    READER = "left to a reader that may die of it"
    """Our own readers declined it: a process with limits reads it by mutagen."""
    SILENT = "its server does not answer"


class PictureFacts(Struct, frozen=True, array_like=True, gc=False):
    """One picture, as it stands in its file or in the tags of a track."""

    hash: bytes
    """blake2b of its bytes, 16 bytes long."""
    mime: str
    width: int
    """Of the original in pixels, before any turn that EXIF asks for."""
    height: int
    size: int
    """Of the picture in bytes, not of the file that it is embedded in."""
    unsaved: str | None = None
    """Why its thumbnail could not be written; the facts are right all the same."""


class PlaylistFacts(Struct, frozen=True, array_like=True, gc=False):
    """What the text of a playlist says."""

    title: str | None
    """As it names itself."""
    items: tuple[bytes, ...]
    """The lines that name files or streams, as they are written."""


class Reading(Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The result of extract for one path: one of `track`, `problem`, `waiting`, `gone` is set.

    Where pictures were asked for, `picture` stands in place of `track`, and may be absent; for a
    playlist it is `playlist`.
    """

    path: bytes
    """Relative to the root."""
    stamp: Stamp | None = None
    """Of the descriptor, equal before and after reading; None if no file was opened."""
    track: Track | None = None
    problem: Problem | None = None
    waiting: Waiting | None = None
    gone: bool = False
    writer: bool = False
    """Read although it is open for writing (unchanged for `held`): check it again later."""
    opened: bool = False
    bytes_read: int = 0
    birth_ns: int | None = None
    """Time of birth of the inode that was read; None if the file system does not report it."""
    picture: PictureFacts | None = None
    playlist: PlaylistFacts | None = None


class Evidence(Struct, frozen=True, array_like=True, gc=False):
    """How extract decides that a file is whole (rule R2). Seconds, or nanoseconds as named."""

    still_s: float = 2.0
    held_s: float = 60.0
    granularity_ns: int = 0
    """Resolution of the file system's clock; 0 means the kernel's tick."""
    leases: bool = True
    """Whether to request read leases; tests can turn them off."""
    births: bool = False
    """Whether the file system reports correct inode numbers and times of birth."""


class Chunk(Struct, frozen=True, array_like=True, gc=False):
    """Files for one reader process: root-relative paths, in reading order."""

    root_path: bytes
    paths: tuple[bytes, ...]
    evidence: Evidence = Evidence()
    follow_links: bool = False
    closed: frozenset[bytes] = frozenset()
    """Files closed or moved in since their last write: whole, unless a lease is refused."""
    plain: bool = False
    """Read by our own readers only; files that they decline wait (`Waiting.READER`)."""
    may_hang: bool = False
    """Whether a server has to answer for these files; if it does not, they wait (`SILENT`)."""
    keep_tags: frozenset[str] = frozenset()
    """Names of other tags to read, in lower case; `*` is all of them."""

    def evidence_of(self, path: bytes) -> Evidence:
        """The evidence for this file."""
        return replace(self.evidence, still_s=0.0) if path in self.closed else self.evidence


class RowState(IntEnum):
    """The state of a track's row."""

    PRESENT = 0
    """In the view `library`."""
    MISSING = 1
    """Its file is gone. The row keeps its id in case the file returns."""
    REFUSED = 2
    """Its file is present, but the reader refused the bytes: see `problems`."""
    SOUNDLESS = 3
    """Its file is present and has no sound, as a film without any: neither a track nor a problem.
    The row is kept so that it is not read again."""


class IndexedFile(Struct, frozen=True, gc=False):
    """The row of one path, as far as needed to decide whether to read the file."""

    id: int
    root_id: int
    path: bytes
    stamp: Stamp
    place: RowState
    disk_id: int
    scan_id: int
    """The rebuild that read it last, or 0."""
    reader_version: int
    """Of the reader of its tags; 0: unconfirmed tags, read them again."""
    added_at: int | None = None
    """When it first entered the view, in Unix milliseconds; None: never."""
    missing_at: int | None = None
    """When `changes` recorded that it left; None while it is in place, or not recorded yet."""
    birth_ns: int | None = None
    """Time of birth of its inode; None if unknown."""
    essence: bytes | None = None
    """Of its sound when it was read last: see `Track`."""


class Entry(Struct, frozen=True, gc=False):
    """One wanted name in a listing: a file, or a special file with such a name."""

    path: bytes
    stamp: Stamp
    disk_id: int = 0
    special: str | None = None
    """The type, if it is not a regular file: `a FIFO`, `a socket`, `a device`."""


class Hint(Struct, frozen=True):
    """A request to scan a folder of a root, or only some names below it.

    `names` are relative to `folder` and may contain slashes; None is the folder itself, with all
    levels below if `recursive`. `reread` is the id of the rebuild that reads all files again, or 0.
    """

    root_id: int
    folder: bytes = b""
    names: tuple[bytes, ...] | None = None
    recursive: bool = False
    reread: int = 0


class ChangeKind(StrEnum):
    """The kinds of rows in `changes`."""

    ADDED = "added"
    MODIFIED = "modified"
    MOVED = "moved"
    MISSING = "missing"
    RETURNED = "returned"


class Progress(Struct, frozen=True, kw_only=True):
    """A snapshot of a running scan. Counts are of this run."""

    phase: str
    """`listing` while folders are still being listed, `reading`, `finishing`, then `artwork`."""
    root: str = ""
    seen: int = 0
    to_read: int = 0
    """Files that need reading, as known so far; final after the phase `listing`."""
    read: int = 0
    expected: int | None = None
    """Expected number of files (the previous number in the index), if known."""


class Listener(Protocol):
    """Receives a scan's progress; called often, so it must be quick."""

    def __call__(self, progress: Progress, /) -> None:
        """Receive a snapshot."""
