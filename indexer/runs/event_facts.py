"""What a daemon knows of files from their events, and a command does not."""

from __future__ import annotations

from msgspec import Struct


class EventFacts(Struct, frozen=True):
    """What a daemon knows of files, and a command does not. Paths stand beside their root's id."""

    closed: frozenset[tuple[int, bytes]] = frozenset()
    """Closed or moved in since their last write."""
    unfinished: frozenset[tuple[int, bytes]] = frozenset()
    """Being written now: not to be read, to stay pending."""

    def of_root(self, paths_of: frozenset[tuple[int, bytes]], root_id: int) -> frozenset[bytes]:
        """The paths of one root."""
        return frozenset(path for root, path in paths_of if root == root_id)
