"""An MP4 file -> its essence: the middle of its `mdat`, wherever that stands.

Source: ISO 14496-12, 4.2 and 8.1.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.tags import essence
from indexer.tags.fast.mp4 import media_parts

if TYPE_CHECKING:
    from indexer.tags.window import Window


def essence_of(window: Window, codec: str) -> bytes:
    """Raises UnknownSound without any `mdat`."""
    return essence.digest(codec, *essence.middle(window, window.sound or media_parts(window)))
