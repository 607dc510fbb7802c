"""The kernel's reports of names and watches, in the terms of the rest of the watcher."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from enum import Enum, StrEnum, auto

from msgspec import Struct


class FsEventKind(Enum):
    """The kind of an event."""

    CLOSED = auto()
    """A file was closed after writing."""
    CREATED = auto()
    """A name was created: a file that a process may still be writing, or a link."""
    MOVED_IN = auto()
    """A file was renamed to this name."""
    WRITING = auto()
    """A file was changed, and may be open still (IN_MODIFY)."""
    ATTRIBUTES = auto()
    """Times, mode, owner or links of a file changed."""
    GONE = auto()
    """A file was deleted or renamed away."""
    FOLDER_CAME = auto()
    """A folder was created or moved in: all that is in it must be scanned."""
    FOLDER_WENT = auto()
    """A folder was deleted or moved away, with all that was in it."""


class FsEvent(Struct, frozen=True, gc=False):
    """One event of a name in a folder; of the folder itself where `name` is None."""

    root_id: int
    folder: bytes
    """Relative to the root; `b""` is the root."""
    name: bytes | None
    kind: FsEventKind


class WatchFaultKind(StrEnum):
    """Why changes may have been missed. After each: `renew` the root's watches, then reconcile."""

    OVERFLOW = "overflow"
    """The kernel's queue was full, and it dropped events."""
    ROOT_LEFT = "root left"
    """The root itself was deleted or moved away."""
    UNMOUNTED = "unmounted"
    """The disk of the root, or one mounted below it, was unmounted."""
    DROPPED = "watch dropped"
    """The kernel removed a watch without giving a reason."""
    DEAD = "reader dead"
    """The thread that reads the events ended with an error."""
    SILENT = "reader silent"
    """The thread did not answer in time (`fence`)."""


class WatchFault(Struct, frozen=True):
    """One reason to believe that changes below a root were missed."""

    root_id: int
    kind: WatchFaultKind
    detail: str


class WatchCounts(Struct, frozen=True):
    """The result of adding watches: how many folders are watched now, and which are not.

    `unwatched` has the error number of each; where it is EACCES the folders below are not known,
    and so are not named. These folders must be polled.
    """

    watched: int
    unwatched: Mapping[bytes, int]


def remedy(error: int, folders: int) -> str:
    """The remedy for folders that cannot be watched, in one line. `folders` is their number."""
    if error == errno.ENOSPC:
        return f"sysctl fs.inotify.max_user_watches={_room_for(folders)}"
    if error == errno.EMFILE:
        return "sysctl fs.inotify.max_user_instances=512"
    if error == errno.EAGAIN:
        return "allow this user more processes: ulimit -u, TasksMax or --pids-limit"
    if error in (errno.EACCES, errno.EPERM):
        return "give the daemon's user the right to read it"
    if error == errno.EEXIST:
        return "it is mounted twice in this root: unmount it, or ignore one of both"
    return f"{os.strerror(error)}: see indexer doctor"


def _room_for(folders: int) -> int:
    """Twice what is needed, for the other programs of the same user, as a power of two."""
    return max(1 << 16, 1 << (2 * folders).bit_length())
