"""The index -> what was chosen as artwork and why, copies of the originals, larger thumbnails."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from indexer import errors, paths
from indexer.artwork.cache import SIZES, ThumbnailCache
from indexer.artwork.embedded import HASH_BYTES, hash_of, original_of
from indexer.artwork.model import (
    Candidate,
    PictureError,
    PictureKey,
    SidecarJob,
    SidecarReading,
    Verdict,
)
from indexer.disk.mounts import is_share
from indexer.faults import explain
from indexer.ignore_files import path_filter_of
from indexer.model import Evidence, Stamp
from indexer.readers.sidecars import SidecarReaders
from indexer.results import report
from indexer.settings import Settings
from indexer.shares.hanging import ask_at
from indexer.stages.artwork import ArtworkChooser
from indexer.store import problems, roots
from indexer.store.connection import Connection, Row
from indexer.store.sidecars import artwork
from indexer.store.sidecars.artwork import Owner, OwnerKind

_SUFFIX_OF: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
}
_LONGEST_NAME: Final = 200
"""Bytes of the name of a copy without suffix and number; Linux allows 255."""
_MOST_OF_A_NAME: Final = 1000
"""Copies with one name. A guess."""


class Covers:
    """The artwork of one index, as it is chosen."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._chooser = ArtworkChooser(connection, {}, settings, path_filter_of(settings))
        self._follow_links = settings.follow_links
        self._roots = {root.id: root for root in roots.watched(connection)}

    def everything(self) -> Iterator[report.ArtworkRow]:
        """Each album with its artwork or without, then the artists that have an image."""
        for row in artwork.albums(self._connection):
            yield self._album(row)
        for artist_id, name in artwork.artists_with_image(self._connection):
            yield self._artist(artist_id, name)

    def explained(
        self, album_ids: Iterable[int], artists: Iterable[tuple[int, str]]
    ) -> Iterator[report.ArtworkRow]:
        """These albums and artists (id, name), with all that was considered for them.

        An artist without any is left out.
        """
        for album_id in album_ids:
            row = artwork.album(self._connection, album_id)
            if row is not None:
                yield self._with_candidates(self._album(row))
        for artist_id, name in artists:
            shown = self._with_candidates(self._artist(artist_id, name))
            if shown.candidates:
                yield shown

    def broken(self, rows: Iterable[report.ArtworkRow]) -> Iterator[report.ArtworkRow]:
        """Those for which a broken picture was considered, with the broken ones alone."""
        if not problems.count_of_pictures(self._connection):
            return
        for row in rows:
            shown = row if row.candidates else self._with_candidates(row)
            bad = tuple(one for one in shown.candidates if one.state == "broken")
            if bad:
                yield replace(shown, candidates=bad)

    def copied(
        self, rows: Iterable[report.ArtworkRow], folder: Path
    ) -> Iterator[tuple[report.ArtworkRow, str | None]]:
        """Copy the originals of these rows to a folder, which must exist, named after the albums.

        Yields each row, with the name of its copy if there is one, and why it has none although it
        has artwork. Copies that are there already are left alone. Raises OSError if the folder
        cannot be written.
        """
        for row in rows:
            if row.artwork is None:
                yield row, None
                continue
            data = self._original(row.artwork)
            if isinstance(data, str):
                yield row, data
                continue
            suffix = _SUFFIX_OF.get(row.artwork.mime, "")
            target = _copy_to(folder, _name_of(row), suffix, data)
            yield replace(row, copy=os.fspath(target)), None

    def _album(self, row: Row) -> report.ArtworkRow:
        album_id, title, albumartist, year = row
        owner = Owner(OwnerKind.ALBUM, album_id)
        return report.ArtworkRow(
            kind=owner.kind,
            id=album_id,
            name=title,
            albumartist=albumartist,
            year=year,
            waiting=artwork.is_due(self._connection, owner),
            artwork=self._chosen(owner),
        )

    def _artist(self, artist_id: int, name: str) -> report.ArtworkRow:
        owner = Owner(OwnerKind.ARTIST, artist_id)
        return report.ArtworkRow(
            kind=owner.kind,
            id=artist_id,
            name=name,
            waiting=artwork.is_due(self._connection, owner),
            artwork=self._chosen(owner),
        )

    def _chosen(self, owner: Owner) -> report.ArtworkFile | None:
        row = artwork.of_owner(self._connection, owner)
        if row is None:
            return None
        _, _, _, source, root, path, mime, width, height, size, digest = row
        text, b64 = paths.text_of(path) if isinstance(path, bytes) else (path, UNSET)
        return report.ArtworkFile(
            source=source, root=root, path=text, path_b64=b64,
            mime=mime, width=width, height=height, bytes=size, hash=digest,
        )  # fmt: skip

    def _with_candidates(self, row: report.ArtworkRow) -> report.ArtworkRow:
        found = self._chooser.candidates(Owner(row.kind, row.id))
        shown = [self._shown(one, row.artwork) for one in found]
        return replace(row, candidates=tuple(one for one in shown if one is not None))

    def _shown(
        self, candidate: Candidate, chosen: report.ArtworkFile | None
    ) -> report.ArtworkCandidate | None:
        """A candidate as it is shown; None if its root is no longer watched."""
        key = candidate.key
        root = self._roots.get(key.root_id)
        if root is None:
            return None
        text, b64 = paths.text_of(key.path)
        state, reason = "later", str(candidate.reason)
        known = self._chooser.facts_of(key)
        if not candidate.reason.counts:
            state = "passed"
        elif chosen is not None and (chosen.root, chosen.path, chosen.path_b64) == (
            root.name, text, b64
        ):  # fmt: skip
            state = "chosen"
        elif known is Verdict.EMPTY:
            state, reason = "empty", "the tags of the track hold no picture that counts"
        elif known is Verdict.REFUSED:
            problem = problems.of_picture(self._connection, key.root_id, key.path)
            state, reason = "broken", reason if problem is None else problem.problem.reason
        return report.ArtworkCandidate(
            source=key.source, root=root.name, path=text, path_b64=b64, state=state, reason=reason
        )

    def _original(self, chosen: report.ArtworkFile) -> bytes | str:
        """The bytes of a chosen picture, or why they cannot be had."""
        root = next((one for one in self._roots.values() if one.name == chosen.root), None)
        digest = bytes.fromhex(chosen.hash)
        for key in artwork.places_of(self._connection, digest):
            if root is None or key.root_id != root.id:
                continue
            if paths.text_of(key.path) != (chosen.path, chosen.path_b64):
                continue
            try:
                data = ask_at(root.path, _original_at, root.path, key, self._follow_links)
            except (FileNotFoundError, NotADirectoryError):
                return f"{chosen.root}/{chosen.path} is not there: mount its disk, or scan again"
            except OSError as error:
                return f"{chosen.root}/{chosen.path}: {explain(error)}"
            except (PictureError, errors.RootSilent) as error:
                return str(error)
            if data is not None and hash_of(data) == digest:
                return data
        return "it has changed since it was chosen: scan again"


def _original_at(root_path: bytes, key: PictureKey, follow_links: bool) -> bytes | None:  # noqa: FBT001 - as `ask_at` passes it on
    return original_of(root_path, key, follow_links=follow_links)


def _name_of(row: report.ArtworkRow) -> str:
    """`Artist - Album`, as a name that each file system takes."""
    known = [part for part in (row.albumartist, row.name) if part]
    text = " - ".join(known) or f"{row.kind} {row.id}"
    safe = "".join("_" if one in '/\\:*?"<>|' or not one.isprintable() else one for one in text)
    cut = safe.encode("utf-8", "replace")[:_LONGEST_NAME].decode("utf-8", "ignore")
    return cut.strip(" .") or f"{row.kind} {row.id}"


def _copy_to(folder: Path, name: str, suffix: str, data: bytes) -> Path:
    """Write a file, under another name where a different file has this one."""
    for number in range(1, _MOST_OF_A_NAME):
        target = folder / f"{name}{'' if number == 1 else f' ({number})'}{suffix}"
        try:
            file = open(target, "xb")  # noqa: SIM115 - closed below
        except FileExistsError:
            if target.is_file() and target.read_bytes() == data:
                return target
            continue
        try:
            with file:
                file.write(data)
        except BaseException:
            target.unlink(missing_ok=True)  # a part of it would pass for another picture
            raise
        return target
    raise errors.CannotDo(f"{folder} has too many files named {name}: give an empty folder")


class Thumbnails:
    """Thumbnails of chosen pictures on demand; a reader process makes those that are not there.

    It is kept for the next one: close it when done.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache = ThumbnailCache(
            settings.artwork_folder, large_bytes=settings.artwork_cache_size * 2**20
        )
        self._readers: dict[int, SidecarReaders] = {}

    def close(self) -> None:
        """End the readers."""
        for readers in self._readers.values():
            readers.close()
        self._readers.clear()

    def path_of(self, connection: Connection, hexadecimal: str, size: int) -> Path:
        """The file of a thumbnail, made if need be; it may be deleted when it was not used long.

        Raises UsageError for another size, or a hash that no picture of the index has, and CannotDo
        if the picture cannot be read now.
        """
        if size not in SIZES:
            raise errors.UsageError(f"no thumbnail has {size} pixels; ask for 256 or 600")
        try:
            digest = bytes.fromhex(hexadecimal)
        except ValueError:
            digest = b""
        if len(digest) != HASH_BYTES:
            raise errors.UsageError(
                f"{hexadecimal!r} is no hash of a picture; the view `artwork` has them"
            )
        found = self._cache.used(digest, size)
        if found is None:
            self._make(connection, digest, size)
            found = self._cache.path_of(digest, size)
        return found

    def _make(self, connection: Connection, digest: bytes, size: int) -> None:
        """Have a picture with this hash decoded, wherever one is that can be read."""
        root_paths = {root.id: root.path for root in roots.watched(connection)}
        reason = None
        for key in artwork.places_of(connection, digest):
            if key.root_id not in root_paths:
                continue
            reading = self._read(root_paths[key.root_id], key, size)
            facts = reading.facts
            if facts is not None and facts.hash == digest and facts.unsaved is None:
                return
            reason = _why_not(reading)
        if reason is None:
            raise errors.UsageError(
                f"no picture of the index has the hash {digest.hex()}; the view `artwork` has them"
            )
        raise errors.CannotDo(f"cannot make the thumbnail of {digest.hex()}: {reason}")

    def _read(self, root_path: bytes, key: PictureKey, size: int) -> SidecarReading:
        if size not in self._readers:
            self._readers[size] = SidecarReaders(
                self._cache, self._settings.reader_timeout, size=size
            )
        readers = self._readers[size]
        job = SidecarJob(
            root_path,
            key,
            Stamp(0, 0, 0, 0),
            Evidence(still_s=0.0, leases=False),  # the hash tells whether it is whole
            self._settings.follow_links,
            may_hang=is_share(root_path),
        )
        readers.submit([job])
        deadline = time.monotonic() + 2 * self._settings.reader_timeout + _START_S
        while time.monotonic() < deadline:
            for _, reading in readers.step(_WAIT_S):
                return reading
        readers.close()
        raise errors.CannotDo("the reader of pictures does not answer: try again")


_WAIT_S: Final = 1.0
_START_S: Final = 120.0
"""How long two readers may take to start."""


def _why_not(reading: SidecarReading) -> str:
    """Why a reading gave no thumbnail, and what to do."""
    if reading.facts is not None and reading.facts.unsaved is not None:
        return reading.facts.unsaved
    if reading.problem is not None:
        return reading.problem.reason
    if reading.waiting is not None:
        return f"its file is {reading.waiting}: try again"
    return "its file has changed since it was chosen: scan again"
