"""What is known of tracks and pictures -> the artwork of albums and artists, one at a time.

Nothing is opened here. Where a choice needs a picture that is not known for its present stamp, it
says which; what is found in it comes back to `keep`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile

from indexer.artwork.choice import (
    Known,
    album_candidates,
    artist_candidates,
    decide,
    folders_of,
    places_of_album,
    places_of_artist,
)
from indexer.artwork.model import (
    AlbumTrack,
    Candidate,
    Chosen,
    FolderView,
    Needs,
    PictureKey,
    PictureSource,
    Place,
    SidecarReading,
    Verdict,
    Wanted,
)
from indexer.disk.tree import Tree
from indexer.ignore.path_filter import PathFilter
from indexer.model import PictureFacts, Problem, ProblemKind, Stamp
from indexer.settings import Settings
from indexer.stages.sidecars import is_still
from indexer.store import problems, tracks
from indexer.store.connection import Connection
from indexer.store.sidecars import artwork, artwork_tracks, pictures
from indexer.store.sidecars.artwork import Choice, Owner, OwnerKind
from indexer.store.sidecars.pictures import source


class ArtworkChooser:
    """Chooses within the transactions of its caller. `trees` are the roots that are there."""

    def __init__(
        self,
        connection: Connection,
        trees: Mapping[int, Tree],
        settings: Settings,
        path_filter: PathFilter,
    ) -> None:
        self._connection = connection
        self._trees = trees
        self._settings = settings
        self._path_filter = path_filter

    def candidates(self, owner: Owner) -> list[Candidate]:
        """All that is considered for an owner, the preferred first, with the reasons."""
        if owner.kind == OwnerKind.ALBUM:
            own = artwork_tracks.of_album(self._connection, owner.id)
            return self._of_album(owner.id, own)
        name = artwork_tracks.name_of_artist(self._connection, owner.id)
        if name is None:
            return []
        own = artwork_tracks.of_artist(self._connection, owner.id)
        holding = folders_of(own)
        views = {
            place: self._view_for_artist(place, owner.id, holds_tracks=place in holding)
            for place in places_of_artist(own)
        }
        if not any(view.pictures for view in views.values()):
            return []
        settings = self._settings
        return artist_candidates(
            name, own, views, settings.artist_image_files, settings.album_cover_files
        )

    def choose_for(self, owner: Owner, left: Sequence[Candidate] | None = None) -> Wanted | None:
        """Choose for an owner, write it, and take it off what is due; or tell what it needs first.

        In the caller's write transaction. `left` are its candidates from the first one that was not
        known on (`Wanted.others`), if the index has the same tracks and pictures as at that time.
        """
        found = self.candidates(owner) if left is None else left
        decision = decide(found, self.known)
        if isinstance(decision, Needs):
            key = decision.candidate.key
            stamp = source(self._connection, key).stamp
            if stamp is None:
                raise LookupError(f"a candidate without a row: {key}")
            counting = (one for one in found if one.reason.counts)
            others = dropwhile(lambda one: one is not decision.candidate, counting)
            return Wanted(key, stamp, tuple(others))
        choice = choice_of(decision.candidate) if isinstance(decision, Chosen) else None
        if artwork.chosen(self._connection, owner) != choice:
            artwork.choose(self._connection, owner, choice)
        artwork.end_due(self._connection, owner)
        return None

    def keep(self, wanted: Wanted, reading: SidecarReading, now_ms: int) -> bool:
        """Write what was found in a source, if that is what is there now (rule R3).

        False: it is another file now, or gone. The row of a picture is then as it stands now; that
        of a track waits for a scan.
        """
        key = wanted.key
        tree = self._trees.get(key.root_id)
        if tree is None or reading.stamp is None:
            return False
        known = source(self._connection, key).stamp
        stamps = known, reading.stamp
        is_same = is_still(self._connection, tree, self._path_filter, key.path, stamps)
        if known is None or not is_same:
            return False
        self._keep(key, known, reading, now_ms)
        return True

    def refuse(self, wanted: Wanted, problem: Problem, now_ms: int) -> None:
        """Note that a source cannot be used; it is tried again with another stamp.

        Where the machine is to blame, also after the next look at everything (`try_again`).
        """
        problems.refuse(self._connection, wanted, ProblemKind.PICTURE, problem, now_ms)

    def _keep(self, key: PictureKey, stamp: Stamp, reading: SidecarReading, now_ms: int) -> None:
        connection = self._connection
        if reading.problem is not None:
            self.refuse(Wanted(key, stamp), reading.problem, now_ms)
            return
        problems.clear_of_picture(connection, key.root_id, key.path)
        if key.source is PictureSource.FILE:
            pictures.put(connection, key.root_id, key.path, stamp, reading.facts)
            return
        row = tracks.in_place(connection, key.root_id, key.path)
        if row is not None:
            if reading.facts is None:
                artwork.unchoose_track(connection, row.id)
            pictures.put_of_track(connection, row.id, stamp, reading.facts)

    @property
    def known(self) -> Known:
        """What is known of each source for its present stamp."""
        return _Known(self)

    def facts_of(self, key: PictureKey) -> PictureFacts | Verdict | None:
        """What is known of one source for its present stamp; None: it must be read."""
        return source(self._connection, key).told

    def _of_album(self, album_id: int, own: list[AlbumTrack]) -> list[Candidate]:
        folders, parent = places_of_album(own)
        views = {place: self._view_for_album(place, album_id, deep=False) for place in folders}
        if parent is not None:
            views[parent] = self._view_for_album(parent, album_id, deep=True)
        return album_candidates(own, views, self._settings.album_cover_files)

    def _view_for_album(self, place: Place, album_id: int, *, deep: bool) -> FolderView:
        names = self._names_in(place)
        if not names:
            return FolderView()
        where = self._connection, place.root_id, place.folder
        if deep:
            return FolderView(names, artwork_tracks.has_other_albums(*where, album_id))
        albums = artwork_tracks.albums_in(*where, recursive=False)
        return FolderView(names, any(one != album_id for one in albums))

    def _view_for_artist(self, place: Place, artist_id: int, *, holds_tracks: bool) -> FolderView:
        """Of a folder that `holds_tracks` of the artist it does not matter what else is in it."""
        names = self._names_in(place)
        if not names or holds_tracks:
            return FolderView(names)
        where = self._connection, place.root_id, place.folder
        return FolderView(names, artwork_tracks.has_other_artists(*where, artist_id))

    def _names_in(self, place: Place) -> tuple[bytes, ...]:
        found = pictures.in_folder(self._connection, place.root_id, place.folder)
        return tuple(picture.name for picture in found)


class _Known:
    """What is known, looked up when it is asked for."""

    def __init__(self, chooser: ArtworkChooser) -> None:
        self._chooser = chooser

    def get(self, key: PictureKey, /) -> PictureFacts | Verdict | None:
        return self._chooser.facts_of(key)


def choice_of(candidate: Candidate) -> Choice:
    """A candidate as it is stored."""
    key = candidate.key
    if candidate.track_id is not None:
        return Choice(PictureSource.TRACK, track_id=candidate.track_id)
    return Choice(PictureSource.FILE, key.root_id, key.path)
