"""Files beside the music, their rows, and what follows -> where they differ (`indexer verify`).

Changes nothing. What is due is no difference: it is known that it is to be chosen again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from indexer.artwork.cache import ThumbnailCache
from indexer.artwork.choice import decide
from indexer.artwork.model import Chosen, Needs, PictureKey, SidecarJob, SidecarReading
from indexer.disk.tree import Tree
from indexer.evidence import chunk_of
from indexer.ignore.path_filter import PathFilter
from indexer.look import look_at_sidecar
from indexer.model import Entry, Hint, Stamp, StampFields
from indexer.readers.sidecars import SidecarReaders
from indexer.settings import Settings
from indexer.stages.artwork import ArtworkChooser, choice_of
from indexer.stages.playlists import Placement
from indexer.stages.sidecar_scan import SidecarScan
from indexer.store import problems, tracks
from indexer.store.connection import Connection, read_transaction
from indexer.store.sidecars import (
    artwork,
    artwork_tracks,
    lyrics,
    pictures,
    playlists,
    sidecar_rows,
)
from indexer.store.sidecars.artwork import Owner, OwnerKind
from indexer.store.sidecars.lyrics import split_tracks

_MOST_JOBS: Final = 64
_WAIT_S: Final = 0.25
"""The longest wait for readers, so that a stop is seen."""

Difference = tuple[Tree | None, bytes, str, str]
"""Root (None: of the index itself), path, kind, detail."""
Known = tuple[PictureKey, Stamp, bytes | tuple[bytes, ...] | None]
"""A source that was opened, its stamp, and the hash of the picture in it, or the lines of a
playlist."""


class ArtworkVerifier:
    """The part of one comparison that is about pictures, playlists and lyrics."""

    def __init__(self, connection: Connection, settings: Settings, path_filter: PathFilter) -> None:
        self._connection = connection
        self._settings = settings
        self._path_filter = path_filter

    def scan_of(self, tree: Tree) -> SidecarScan:
        """The comparison whose `note` gets all that a walk of this root yields; see `listed`."""
        hint = Hint(tree.root_id, recursive=True)
        return SidecarScan(self._connection, tree, hint, self._path_filter)

    def differences(self, tree: Tree, scan: SidecarScan) -> Iterator[tuple[bytes, str, str]]:
        """(path, kind, detail) of files that differ from their rows, of all that was noted."""
        for change in scan.take():
            found = difference_of(
                sidecar_rows.stamp_of(self._connection, tree.root_id, change.path),
                change.stamp,
                tree.mount_point_of(change.path).fields,
            )
            if found is not None:
                yield change.path, *found

    def look_again(self, tree: Tree, path: bytes) -> tuple[str, str] | None:
        """(kind, detail) where a file still differs from its row. Raises OSError."""
        known = sidecar_rows.stamp_of(self._connection, tree.root_id, path)
        now = look_at_sidecar(tree, path, self._path_filter)
        return difference_of(known, now, tree.mount_point_of(path).fields)

    def wrong_choices(self) -> Iterator[Difference]:
        """What is chosen, or leads elsewhere, than the index itself gives, and is not due.

        Not while folders are due: it is not known yet which owners they concern.
        """
        if artwork.count_due(self._connection)[2]:
            return
        with read_transaction(self._connection):
            yield from self._wrong_lyrics()
            yield from self._wrong_items()
            if self._settings.artwork:
                yield from self._wrong_choices()

    def _wrong_lyrics(self) -> Iterator[Difference]:
        known, found = lyrics.of_tracks(self._connection), set()
        for root_id, folder in lyrics.folders(self._connection):
            found.update(split_tracks(self._connection, root_id, folder)[0])
        for track_id in sorted(known ^ found):
            lacks = "has lyrics in a file" if track_id in found else "has no lyrics in a file"
            yield None, b"", "lyrics", f"track {track_id} {lacks}"

    def _wrong_items(self) -> Iterator[Difference]:
        placement = Placement(self._connection)
        for playlist in playlists.not_due(self._connection):
            for entry in playlists.entries(self._connection, playlist.id):
                now = placement.entry(playlist, entry.line, entry.track_id)
                if (now.track_id, now.is_stream) != (entry.track_id, entry.is_stream):
                    detail = f"{playlist.path!r}, item {entry.position}: it leads to {now.track_id}"
                    yield None, b"", "playlist", detail

    def _wrong_choices(self) -> Iterator[Difference]:
        chooser = ArtworkChooser(self._connection, {}, self._settings, self._path_filter)
        for owner in artwork.not_due(self._connection):
            decision = decide(chooser.candidates(owner), chooser.known)
            if isinstance(decision, Needs):
                detail = f"{decision.candidate.key.path!r} was never opened for it"
            else:
                now = choice_of(decision.candidate) if isinstance(decision, Chosen) else None
                if now == artwork.chosen(self._connection, owner):
                    continue
                path = decision.candidate.key.path if isinstance(decision, Chosen) else None
                detail = "it has no picture" if path is None else f"its picture is {path!r}"
            yield None, b"", "artwork", f"{owner.kind} {self._name_of(owner)}: {detail}"

    def wrong_pictures(
        self, trees: Mapping[int, Tree], report_progress: Callable[[], None]
    ) -> Iterator[Difference]:
        """Pictures and playlists with other bytes than the index knows for their stamp.

        `report_progress` is called now and then, and may raise. Raises RootSilent.
        """
        readers = SidecarReaders(
            ThumbnailCache(self._settings.artwork_folder),
            self._settings.reader_timeout,
            self._settings.worker_count,
        )
        previous: dict[PictureKey, bytes | tuple[bytes, ...] | None] = {}
        known = self._known(trees)
        goes_on = True
        try:
            while goes_on or len(readers):
                while goes_on and len(readers) < _MOST_JOBS:
                    one = next(known, None)
                    goes_on = one is not None
                    if one is not None:
                        previous[one[0]] = one[2]
                        readers.submit([self._job(trees[one[0].root_id], one)])
                report_progress()
                for job, reading in readers.step(_WAIT_S):
                    tree = trees[job.key.root_id]
                    detail = _wrong(tree, job, reading, previous.pop(job.key))
                    if detail is not None:
                        kind = "picture" if reading.playlist is None else "playlist"
                        yield tree, job.key.path, kind, detail
        finally:
            readers.close()

    def _known(self, trees: Mapping[int, Tree]) -> Iterator[Known]:
        for root_id, tree in trees.items():
            for path, stamp, hashed in pictures.opened(self._connection, root_id):
                if not tree.is_offline(path):
                    yield PictureKey(root_id, path), stamp, hashed
        for track_id, stamp, held in pictures.opened_tracks(self._connection):
            row = tracks.by_id(self._connection, track_id)
            if row is None or row.stamp != stamp or row.root_id not in trees:
                continue
            if not trees[row.root_id].is_offline(row.path):
                yield PictureKey(row.root_id, row.path), stamp, held
        for playlist in playlists.not_due(self._connection):
            root_id, path = playlist.root_id, playlist.path
            if root_id not in trees or trees[root_id].is_offline(path):
                continue
            if problems.of_picture(self._connection, root_id, path) is not None:
                continue
            lines = tuple(one.line for one in playlists.entries(self._connection, playlist.id))
            yield PictureKey(root_id, path), playlist.stamp, lines

    def _job(self, tree: Tree, known: Known) -> SidecarJob:
        key, stamp, _ = known
        chunk = chunk_of(tree, [Entry(key.path, stamp)], self._settings)
        return SidecarJob(
            tree.path, key, stamp, chunk.evidence, tree.follow_links, may_hang=tree.may_hang
        )

    def _name_of(self, owner: Owner) -> str:
        if owner.kind == OwnerKind.ARTIST:
            return artwork_tracks.name_of_artist(self._connection, owner.id) or str(owner.id)
        return artwork_tracks.title_of_album(self._connection, owner.id) or str(owner.id)


def difference_of(
    known: Stamp | None, now: Stamp | None, fields: StampFields
) -> tuple[str, str] | None:
    """(kind, detail) of a file's difference, from its row and the disk; None where equal."""
    if now is None:
        return None if known is None else ("gone", "the index has it, the disk has not")
    if known is None:
        return "unindexed", "the disk has it, the index has not"
    return None if fields.same(known, now) else ("stale", "the file has changed")


def _wrong(
    tree: Tree,
    job: SidecarJob,
    reading: SidecarReading,
    known: bytes | tuple[bytes, ...] | None,
) -> str | None:
    """What is wrong with what the index knows of a source; None also where it is changing."""
    fields = tree.mount_point_of(job.key.path).fields
    if reading.stamp is None or not fields.same(reading.stamp, job.stamp):
        return None
    if reading.playlist is not None:
        is_same = reading.playlist.items == known
        return None if is_same else "it has other items than the index knows"
    if reading.problem is not None:
        return f"its picture cannot be read now: {reading.problem.reason}"
    found = None if reading.facts is None else reading.facts.hash
    return None if found == known else "its picture has other bytes than the index knows"
