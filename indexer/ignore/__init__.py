"""Which files of a root are wanted: names, settings, and ignore files in the syntax of git."""

from __future__ import annotations

import os
from typing import Final

IGNORED_NAMES: Final = (
    "@eaDir",  # Synology: thumbnails and indexes beside the files
    "@tmp",
    "#recycle",  # Synology's bin; the next is QNAP's
    "@Recycle",
    "@Recently-Snapshot",
    "#snapshot",
    "$RECYCLE.BIN",  # Windows
    "RECYCLER",
    "System Volume Information",
    "lost+found",  # fsck of ext2, ext3, ext4
    "*.download",  # Safari keeps the growing file in a folder of this name
)
"""Names ignored by default. Hidden names are ignored, too (`.Trash-1000`, `.AppleDouble`,
`._01 Song.mp3`, `.zfs`, `.snapshots`, `.stversions`, `.@__thumb`, rsync's `.01 Song.mp3.Xy12z`). A
browser's `song.mp3.part` has another suffix."""
IGNORE_FILE: Final = b".indexignore"
NO_MEDIA: Final = b".nomedia"
RULES: Final = frozenset({IGNORE_FILE, NO_MEDIA})
"""Names of files that are a rule for their folder."""
RULE_NAMES: Final = frozenset(map(os.fsdecode, RULES))
"""As a listing names them."""
