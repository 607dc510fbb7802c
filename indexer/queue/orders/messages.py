"""Orders from one stage to the next through Redis: typed, small, and readable as JSON.

A path is text; where it is not UTF-8 its bytes are added in base64 (`path_b64`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from indexer.errors import QueueError
from indexer.model import Entry, Evidence, Reading, Stamp
from indexer.paths import text_of


class PathText(Struct, frozen=True, omit_defaults=True, gc=False):
    """A path in a root."""

    path: str
    path_b64: str | UnsetType = UNSET

    @classmethod
    def of(cls, path: bytes) -> PathText:
        """A path in its JSON form."""
        return cls(*text_of(path))

    @property
    def raw(self) -> bytes:
        """The path in bytes. Raises QueueError where it leads out of its root."""
        return _checked(self)


class FileText(PathText, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """One file with the stamp that the scan saw."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    disk: int = 0
    special: str | None = None

    @classmethod
    def of_entry(cls, entry: Entry) -> FileText:
        """An entry in its JSON form."""
        text, b64 = text_of(entry.path)
        stamp = entry.stamp
        return cls(
            text,
            b64,
            size=stamp.size,
            mtime_ns=stamp.mtime_ns,
            ctime_ns=stamp.ctime_ns,
            inode=stamp.inode,
            disk=entry.disk_id,
            special=entry.special,
        )

    @property
    def stamp(self) -> Stamp:
        """The stamp that the scan saw."""
        return Stamp(self.size, self.mtime_ns, self.ctime_ns, self.inode)


class ScanOrder(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Scan the hints of a generation, or again one row of it that was incomplete."""

    index: str
    """The identity of the index; a worker of another one refuses."""
    generation: int
    row: int = 0
    """The one row to scan again; 0: scan all hints of the generation."""
    turn: int = 0
    """How often it was dispatched; part of the ids of its jobs."""
    slice: int = 0
    """A long scan is done in slices, so that nothing else waits for it."""
    closed: tuple[tuple[int, PathText], ...] = ()
    """(root id, path) of files that were closed or moved in since their last write."""
    unfinished: tuple[tuple[int, PathText], ...] = ()
    """(root id, path) of files that are being written now."""


class Origin(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The chunk that a job is about."""

    index: str
    row: int
    generation: int
    root: str
    root_id: int
    files: int = 0
    """Number of names in its row: part of the ids of its jobs, so that they can be found."""
    turn: int = 0
    reread: int = 0
    scan: int = 0
    """The row in `scans` that counts its results, or 0."""
    everything: bool = False
    """Whether all of its root is scanned, so that other links to a file are, too."""


class ExtractOrder(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Read these files."""

    origin: Origin
    root_path: PathText
    """The path of the root on the machine with the index; absolute."""
    files: tuple[FileText, ...]
    """In the order to read them."""
    unread: tuple[FileText, ...] = ()
    """What needs no reading; passed on to the next stage unchanged."""
    evidence: Evidence = Evidence()
    follow_links: bool = False
    closed: tuple[PathText, ...] = ()
    keep_tags: tuple[str, ...] = ()
    """Names of other tags to read, in lower case and in order."""
    reader: int = 0
    """The reader version that the index notes for what is read: no older one may read it."""


class BatchOrder(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Combine readings with their plan."""

    origin: Origin
    files: tuple[FileText, ...] = ()
    unread: tuple[FileText, ...] = ()
    readings: tuple[Reading, ...] = ()
    """One for each of `files`, in their order; their own paths are empty."""
    reader: int = 0
    """The reader version that has read them."""
    read_as: str = ""
    """A digest of how they were read (`read_as` in `indexer/queue/orders/kept_orders.py`)."""


class FolderHint(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A hint of a relay: a folder of a root, all below it, or names in it."""

    root: str
    """The name of the root; the paths of two machines differ."""
    folder: PathText | None = None
    """None: the root itself."""
    names: tuple[PathText, ...] | None = None
    recursive: bool = False


class RelayOrder(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Look at what has changed on the server of a share; without hints: say which index this is."""

    index: str = ""
    hints: tuple[FolderHint, ...] = ()
    closed: tuple[tuple[str, PathText], ...] = ()
    """(root name, path) of files that were closed or moved in there since their last write."""
    unfinished: tuple[tuple[str, PathText], ...] = ()
    """(root name, path) of files that are being written there now."""


class FactsText(Struct, frozen=True, omit_defaults=True):
    """What is known of the writers of a generation's files, until it is dispatched."""

    closed: tuple[tuple[int, PathText], ...] = ()
    unfinished: tuple[tuple[int, PathText], ...] = ()


def files_of(entries: Iterable[Entry]) -> tuple[FileText, ...]:
    """Entries in their JSON form."""
    return tuple(map(FileText.of_entry, entries))


def nameless(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Readings without their paths, which are in the files they belong to."""
    return tuple(replace(reading, path=b"") for reading in readings)


def entries_of(files: Sequence[FileText]) -> tuple[Entry, ...]:
    """The entries of the scan again. Raises QueueError where a path leads out of its root."""
    named = zip(paths_of(files), files, strict=True)
    return tuple([Entry(path, one.stamp, one.disk, one.special) for path, one in named])


def paths_of(texts: Sequence[PathText]) -> tuple[bytes, ...]:
    """Their paths in bytes, checked together: one by one takes six times as long.

    Raises QueueError where one leads out of its root.
    """
    found = [one.path.encode() if one.path_b64 is UNSET else bytes_of(one) for one in texts]
    whole = b"/%b/" % b"/".join(found)  # a component of this is one of any of them
    if b"//" in whole or b"/." in whole or b"\0" in whole:  # as a rule none is odd
        return tuple([_checked(one) for one in texts])
    return tuple(found)


def _checked(text: PathText) -> bytes:
    path = bytes_of(text)
    if b"\0" in path or _DOTS.intersection(path.split(b"/")):
        raise QueueError(
            f"{text.path!r}: a path that leads out of its root is refused; drop this job, and see"
            " which other programs may write to this Redis"
        )
    return path


def bytes_of(text: PathText) -> bytes:
    """The path in bytes, wherever it may lead."""
    if text.path_b64 is UNSET:
        return text.path.encode()
    try:
        return base64.b64decode(text.path_b64, validate=True)
    except ValueError as error:  # not ASCII, or binascii.Error
        raise QueueError(f"{text.path!r}: path_b64 is not base64; drop this job") from error


_DOTS = {b"", b".", b".."}
