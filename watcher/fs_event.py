"""What the kernel reports of one name -> a word that the rest of the watcher understands."""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct


class FsEventKind(Enum):
    """What was seen."""

    CLOSED = auto()
    """A file was closed after writing."""
    CREATED = auto()
    """A name came: a file that somebody may still be writing, or a link."""
    MOVED_IN = auto()
    """A file was renamed to this name."""
    WRITING = auto()
    """A file was changed, and may be open still (IN_MODIFY)."""
    ATTRIBUTES = auto()
    """Times, mode, owner or links of a file changed."""
    GONE = auto()
    """A file was deleted or renamed away."""
    FOLDER_CAME = auto()
    """A folder was created or moved in: look at all that is in it."""
    FOLDER_WENT = auto()
    """A folder was deleted or moved away, with all that was in it."""


class FsEvent(Struct, frozen=True, gc=False):
    """One thing that was seen of a name in a folder; of the folder itself where `name` is None."""

    root_id: int
    folder: bytes
    """Relative to the root; `b""` is the root."""
    name: bytes | None
    kind: FsEventKind
