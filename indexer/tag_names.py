"""The names of the further tags that are always read, of which searches know, too."""

from __future__ import annotations

from typing import Final

NAMES: Final = frozenset({
    "albumartistsort", "artistsort", "albumsort", "titlesort", "composersort", "originaldate",
    "discsubtitle", "media", "work", "movement", "conductor", "mood", "grouping", "key",
})  # fmt: skip
"""MusicBrainz Picard's names. Every other tag is kept only if the setting `keep_tags` names it."""
