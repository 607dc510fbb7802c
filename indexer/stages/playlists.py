"""The lines of playlists, and the tracks of the index -> to which track each item leads.

The text of a playlist counts first: what is at the path that it names, then the only track whose
path differs in case and accents at the most. Where there is none, an item keeps the track to which
it led before: that has moved, or may return.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from indexer import paths
from indexer.artwork.model import PictureKey, SidecarReading, Wanted
from indexer.disk.tree import Tree
from indexer.ignore.path_filter import PathFilter
from indexer.model import Problem, ProblemKind
from indexer.sidecars.targets import Meaning, folder_key, meaning_of
from indexer.stages.sidecars import is_still
from indexer.store import artwork, playlists, problems, roots
from indexer.store.artwork import Owner
from indexer.store.connection import Connection
from indexer.store.playlists import KnownPlaylist, NewEntry
from indexer.store.track_finder import TrackFinder


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

    def place(self, owner: Owner) -> Wanted | None:
        """Place the items of a playlist, and take it off what is due; or tell what to read."""
        playlist = playlists.by_id(self._connection, owner.id)
        if playlist is not None:
            if not playlist.is_read:
                return Wanted(PictureKey(playlist.root_id, playlist.path), playlist.stamp)
            if not playlist.is_placed:
                own = playlists.entries(self._connection, playlist.id)
                placed = self._placed(playlist, [(one.line, one.track_id) for one in own])
                playlists.place_all(self._connection, playlist.id, placed)
        artwork.end_due(self._connection, owner)
        return None

    def keep(self, wanted: Wanted, reading: SidecarReading, now_ms: int) -> bool:
        """Write what a playlist says, if it is what was read still (rule R3); False if not."""
        key = wanted.key
        tree = self._trees.get(key.root_id)
        playlist = playlists.get(self._connection, key.root_id, key.path)
        if tree is None or reading.stamp is None or playlist is None:
            return False
        told = playlist.stamp, reading.stamp
        if not is_still(self._connection, tree, self._path_filter, key.path, told):
            return False
        if reading.problem is not None or reading.playlist is None:
            if reading.problem is not None:
                self.refuse(Wanted(key, playlist.stamp), reading.problem, now_ms)
            return reading.problem is not None
        problems.clear_of_picture(self._connection, key.root_id, key.path)
        before = {
            one.line: one.track_id
            for one in playlists.entries(self._connection, playlist.id)
            if one.track_id is not None
        }
        lines = [(line, before.get(line)) for line in reading.playlist.items]
        title = reading.playlist.title
        playlists.write_all(self._connection, playlist, title, self._placed(playlist, lines))
        return True

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
            if playlist is None or not playlist.is_placed:
                continue  # all of it waits to be placed
            track_id = placement.entry(playlist, entry.line, entry.track_id).track_id
            if track_id != entry.track_id:
                playlists.lead(connection, entry, track_id)
