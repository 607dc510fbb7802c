"""The lines of playlists, and the tracks of the index -> to which track each item leads.

The text of a playlist counts first: what is at the path that it names, then the only track whose
path differs in case and accents at the most. Where there is none, an item keeps the track to which
it led before: that has moved, or may return.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Final

from indexer import paths
from indexer.artwork.model import PictureKey, SidecarReading, Turn, Wanted
from indexer.disk.tree import Tree
from indexer.ignore.path_filter import PathFilter
from indexer.model import PlaylistFacts, Problem, ProblemKind
from indexer.sidecars.targets import Meaning, folder_key, meaning_of
from indexer.stages.sidecars import is_still
from indexer.store import problems, roots
from indexer.store.connection import Connection
from indexer.store.sidecars import artwork, playlists
from indexer.store.sidecars.artwork import Owner
from indexer.store.sidecars.playlists import KnownPlaylist, NewEntry
from indexer.store.sidecars.track_finder import TrackFinder

AT_ONCE: Final = 1000
"""Items that are placed in one transaction: 15 ms. The 100 000 that a playlist may have take a
second or more, in which nothing else would be indexed."""


class Placement:
    """Where items lead, as the tracks stand now."""

    def __init__(self, connection: Connection) -> None:
        self._finder = TrackFinder(connection)
        self._root_paths = {root.id: root.path for root in roots.watched(connection)}

    def root_path(self, root_id: int) -> bytes | None:
        """The absolute path of a root; None if it is not watched."""
        return self._root_paths.get(root_id)

    def entry(self, playlist: KnownPlaylist, line: bytes, track_before: int | None) -> NewEntry:
        """A line of a playlist, and where that leads."""
        folder = paths.parent_of(playlist.path)
        meaning = meaning_of(line, playlist.root_id, folder, self._root_paths)
        track_id = self._track_of(meaning)
        if track_id is None and not meaning.is_stream:
            track_id = track_before
        return NewEntry(line, meaning.is_stream, meaning.parents, track_id)

    def _track_of(self, meaning: Meaning) -> int | None:
        """The track at the likeliest place; None where there is none, or it is not known which."""
        for group in meaning.groups:
            found = {self._finder.at(one.root_id, one.path) for one in group} - {None}
            if not found:
                found = {
                    track_id
                    for one in group
                    for track_id in self._finder.alike(one.root_id, one.path)
                }
            if found:
                return found.pop() if len(found) == 1 else None
        return None


class PlaylistStage:
    """Reads and places playlists, within the transactions of its caller.

    It is to playlists what `ArtworkChooser` is to albums. `trees` are the roots that are there.
    """

    def __init__(
        self, connection: Connection, trees: Mapping[int, Tree], path_filter: PathFilter
    ) -> None:
        self._connection = connection
        self._trees = trees
        self._path_filter = path_filter

    def place(self, owner: Owner) -> Wanted | Turn | None:
        """Place the items of a playlist, and take it off what is due; or tell what to read.

        Of a long one, a part is placed in each turn.
        """
        playlist = playlists.by_id(self._connection, owner.id)
        if playlist is not None:
            if not playlist.is_read:
                return Wanted(PictureKey(playlist.root_id, playlist.path), playlist.stamp)
            if not playlist.is_placed and not self._place_some(playlist):
                return Turn.ANOTHER
        artwork.end_due(self._connection, owner)
        return None

    def _place_some(self, playlist: KnownPlaylist) -> bool:
        """Place the next items of a playlist; whether these were the last."""
        placement = Placement(self._connection)
        after = playlist.placed_to or 0
        own = playlists.entries(self._connection, playlist.id, after, AT_ONCE)
        if placement.root_path(playlist.root_id) is not None:
            placed = [
                (one.position, placement.entry(playlist, one.line, one.track_id)) for one in own
            ]
            playlists.place(self._connection, playlist.id, placed)
        is_last = len(own) < AT_ONCE
        playlists.note_placed(self._connection, playlist.id, None if is_last else own[-1].position)
        return is_last

    def keep(self, wanted: Wanted, reading: SidecarReading, now_ms: int) -> bool:
        """Write what a playlist says, if it is what was read still (rule R3); False if not."""
        key = wanted.key
        tree = self._trees.get(key.root_id)
        playlist = playlists.get(self._connection, key.root_id, key.path)
        if tree is None or reading.stamp is None or playlist is None:
            return False
        stamps = playlist.stamp, reading.stamp
        if not is_still(self._connection, tree, self._path_filter, key.path, stamps):
            return False
        if reading.problem is not None or reading.playlist is None:
            if reading.problem is not None:
                self.refuse(Wanted(key, playlist.stamp), reading.problem, now_ms)
            return reading.problem is not None
        problems.clear_of_picture(self._connection, key.root_id, key.path)
        self._write(playlist, reading.playlist)
        return True

    def _write(self, playlist: KnownPlaylist, text: PlaylistFacts) -> None:
        """Write the items of a playlist; those of a long one are placed later.

        Of a long one to which some were added, those before stay as they are.
        """
        known = playlists.entries(self._connection, playlist.id)
        before = {one.line: one.track_id for one in known if one.track_id is not None}
        lines = [(line, before.get(line)) for line in text.items]
        if len(lines) <= AT_ONCE:
            items = self._placed(playlist, lines)
            playlists.write_all(self._connection, playlist, text.title, items)
            return
        pairs = zip(known, text.items, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0].line == pair[1], pairs))
        placed_to = same if playlist.placed_to is None else min(same, playlist.placed_to)
        rest = map(_unplaced, lines[same:])
        playlists.write_all(
            self._connection, playlist, text.title, rest, after=same, placed_to=placed_to
        )

    def refuse(self, wanted: Wanted, problem: Problem, now_ms: int) -> None:
        """Note that a playlist cannot be read; it is tried again with another stamp.

        Where the machine is to blame, also after the next look at everything (`try_again`).
        """
        key = wanted.key
        playlist = playlists.get(self._connection, key.root_id, key.path)
        if playlist is None:
            return
        problems.refuse(self._connection, wanted, ProblemKind.PLAYLIST, problem, now_ms)
        playlists.write_all(self._connection, playlist, None, ())

    def _placed(
        self, playlist: KnownPlaylist, lines: Iterable[tuple[bytes, int | None]]
    ) -> Iterator[NewEntry]:
        placement = Placement(self._connection)
        if placement.root_path(playlist.root_id) is None:
            return iter(())
        return (placement.entry(playlist, line, before) for line, before in lines)


def _unplaced(line: tuple[bytes, int | None]) -> NewEntry:
    """An item of which it is found out later where it leads: till then, where it led before."""
    return NewEntry(line[0], is_stream=False, parents=frozenset(), track_id=line[1])


def follow_tracks(connection: Connection, folders: Iterable[tuple[int, bytes]]) -> None:
    """Find out again where items lead that may lead into folders whose tracks came or went."""
    if not playlists.has_entries(connection):
        return
    placement = Placement(connection)
    keys: set[bytes] = set()
    for root_id, folder in folders:
        root_path = placement.root_path(root_id)
        if root_path is not None:
            keys.add(folder_key(folder, root_path))
    known: dict[int, KnownPlaylist | None] = {}
    for key in sorted(keys):
        for entry in playlists.leading_to(connection, key):
            if entry.playlist_id not in known:
                known[entry.playlist_id] = playlists.by_id(connection, entry.playlist_id)
            playlist = known[entry.playlist_id]
            if playlist is None:
                continue
            track_id = placement.entry(playlist, entry.line, entry.track_id).track_id
            if track_id != entry.track_id:
                playlists.lead(connection, entry, track_id)
