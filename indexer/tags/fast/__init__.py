"""A window on a file and its suffix -> a track by our own readers, or `Declined`.

mutagen is not imported here, so a daemon that never meets a file for it does not load it.
"""

from __future__ import annotations

from indexer.model import Track
from indexer.tags import Refused
from indexer.tags.families import OF_OURS, family_of
from indexer.tags.window import Declined, Window


def read(window: Window, suffix: bytes) -> Track:
    """See `indexer.tags.read_plain`."""
    if window.size == 0:
        raise Refused("the file is empty")
    if suffix not in OF_OURS:
        raise Declined
    try:
        return family_of(suffix)(window, suffix)
    except Declined:
        raise
    except Exception as error:
        if window.fault is not None:
            raise window.fault from error
        raise Declined from error
