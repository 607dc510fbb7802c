"""A path that does not open as a folder -> what stands in its way, and what to do."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, NamedTuple

_KINDS: Final = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Obstacle(NamedTuple):
    """The first thing on the way to a folder that ends it."""

    what: str
    remedy: str


def obstacle(path: bytes) -> Obstacle | None:
    """What keeps this user from a folder (an absolute path); None: it is not there, or unknown."""
    names = [name for name in path.split(b"/") if name]
    places = [b"/" + b"/".join(names[:depth]) for depth in range(len(names) + 1)]
    for place in places:
        found = _at(place, is_last=place == places[-1])
        if found is not None:
            return found
    return None


def _at(place: bytes, *, is_last: bool) -> Obstacle | None:
    shown = place.decode("utf-8", "backslashreplace")
    try:
        mode = os.stat(place).st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            what = f"{shown} is a symbolic link that leads in a circle"
        elif error.errno == errno.ENOENT and os.path.islink(place):
            what = f"{shown} is a symbolic link that leads nowhere"
        else:
            return None
        return Obstacle(what, "put the folder back, or mount its disk")
    if not stat.S_ISDIR(mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "of an unknown kind")
        what = f"{shown} is not a folder, but {kind}"
        return Obstacle(what, "put the folder back, or mount its disk")
    needed = os.X_OK | (os.R_OK if is_last else 0)
    if not os.access(place, needed, effective_ids=True):
        verb = "read" if is_last else "entered"
        return Obstacle(
            f"{shown} may not be {verb} by this user", "chmod it, or run as a user that may"
        )
    return None
