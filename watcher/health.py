"""What may be wrong with the watching of a root -> words that the daemon can act on and log."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class WatchFaultKind(StrEnum):
    """Why changes may have been missed. After each: `renew` the root's watches, then reconcile."""

    OVERFLOW = "overflow"
    """The kernel's queue was full, and it dropped events."""
    ROOT_LEFT = "root left"
    """The root itself was deleted or moved away."""
    UNMOUNTED = "unmounted"
    """The disk of the root, or one mounted below it, was unmounted."""
    DROPPED = "watch dropped"
    """The kernel took a watch away for no reason that it told."""
    DEAD = "reader dead"
    """The thread that reads the events ended of an error."""
    SILENT = "reader silent"
    """The thread did not answer in time (`fence`)."""


class WatchFault(Struct, frozen=True):
    """One reason to believe that changes below a root were missed."""

    root_id: int
    kind: WatchFaultKind
    detail: str


class WatchCounts(Struct, frozen=True):
    """What came of adding watches: how many folders are watched now, and which are not.

    `unwatched` has the error number of each; where it is EACCES the folders below are not known,
    and so are not named. They must be looked at now and then (polled).
    """

    watched: int
    unwatched: Mapping[bytes, int]


def remedy(error: int, folders: int) -> str:
    """What mends a folder that cannot be watched, in one line. `folders` is how many there are."""
    if error == errno.ENOSPC:
        return f"sysctl fs.inotify.max_user_watches={_room_for(folders)}"
    if error == errno.EMFILE:
        return "sysctl fs.inotify.max_user_instances=512"
    if error == errno.EACCES:
        return "give the user that watches the right to read it"
    return os.strerror(error)


def _room_for(folders: int) -> int:
    """Twice what is needed, for the other programs of the same user, as a power of two."""
    return max(1 << 16, 1 << (2 * folders).bit_length())
