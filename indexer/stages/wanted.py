"""What a choice, or a playlist, needs to have read first."""

from __future__ import annotations

from msgspec import Struct

from indexer.artwork.model import Candidate, PictureKey
from indexer.model import Stamp


class Wanted(Struct, frozen=True):
    """A source to be read: its key, and the stamp that the index has of it."""

    key: PictureKey
    stamp: Stamp
    others: tuple[Candidate, ...] = ()
    """It, and the candidates after it: what is left to choose from while the index is the same.
    None where nothing is chosen, as for a playlist."""
