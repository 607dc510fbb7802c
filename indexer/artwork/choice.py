"""What the index knows of an album or an artist -> the candidates for its artwork, and the choice.

Nothing is opened here. Candidates are in the order of preference, those that do not count among
them with the reason; `decide` asks for the facts of one source at a time, so no more is read than
the choice needs. The order in which tracks and names come in does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from indexer import paths
from indexer.artwork.model import (
    PICTURE_SUFFIXES,
    AlbumTrack,
    Candidate,
    Chosen,
    FolderView,
    Needs,
    NoPicture,
    PictureKey,
    Place,
    Reason,
    Verdict,
    key_in,
)
from indexer.model import PictureFacts
from indexer.spelling import letters_of

LEVELS: Final = 3
"""How far above the folders of its tracks the folder of an artist may be."""

_EMPTY: Final = FolderView()


def places_of_album(tracks: Iterable[AlbumTrack]) -> tuple[list[Place], Place | None]:
    """The folders of an album's tracks, that of the first disc first; and the parent they share.

    Only an album over several folders has such a parent: all of them are directly in it, and it is
    not the root.
    """
    folders = list(dict.fromkeys(_folder_of(track) for track in _in_order(tracks)))
    parents = {Place(one.root_id, paths.parent_of(one.folder)) for one in folders}
    if len(folders) < 2 or len(parents) != 1:
        return folders, None
    (parent,) = parents
    is_shared = bool(parent.folder) and parent not in folders
    return folders, parent if is_shared else None


def album_candidates(
    tracks: Iterable[AlbumTrack], views: Mapping[Place, FolderView], names: Sequence[str]
) -> list[Candidate]:
    """All that was considered for the cover of an album, the preferred first.

    `tracks` are its present tracks, `views` what is known of `places_of_album`, `names` the setting
    `album_cover_files`. The picture of a folder that holds tracks of several albums is the cover of
    none of them: it cannot be told of which; their embedded pictures are.
    """
    ordered = _in_order(tracks)
    folders, parent = places_of_album(ordered)
    found: list[Candidate] = []
    for place in folders:
        found.extend(_of_folder(place, views.get(place, _EMPTY), names, Reason.MIXED))
    if parent is not None:
        view = views.get(parent, _EMPTY)
        found.extend(_of_folder(parent, view, names, Reason.PARENT_OTHERS))
    for track in ordered:
        reason = Reason.EMBEDDED if track.has_picture else Reason.NO_PICTURE
        found.append(Candidate(PictureKey(track.root_id, track.path), reason, track.id))
    return found


def folders_of(tracks: Iterable[AlbumTrack]) -> set[Place]:
    """The folders in which these tracks are."""
    return {_folder_of(track) for track in tracks}


def places_of_artist(tracks: Iterable[AlbumTrack]) -> list[Place]:
    """The folders that may be an artist's, the nearest first; never the root.

    Those of the tracks, and up to `LEVELS` above them.
    """
    levels: dict[Place, int] = {}
    for place in folders_of(tracks):
        folder = place.folder
        for level in range(LEVELS + 1):
            if not folder:
                break
            above = Place(place.root_id, folder)
            levels[above] = min(level, levels.get(above, level))
            folder = paths.parent_of(folder)
    return sorted(levels, key=lambda place: (levels[place], place))


def artist_candidates(
    artist: str,
    tracks: Iterable[AlbumTrack],
    views: Mapping[Place, FolderView],
    names: Sequence[str],
    cover_names: Sequence[str],
) -> list[Candidate]:
    """All that was considered for the image of an artist, the preferred first.

    `tracks` are the present tracks with this album artist, `views` what is known of
    `places_of_artist`, `names` the setting `artist_image_files`. Folders that are named after the
    artist come first (those without tracks before others), then those above its albums with no
    other artist's tracks in them. In the folder of an album, what may be its cover (`cover_names`)
    is no image of the artist.
    """
    present = list(tracks)
    of_tracks = folders_of(present)
    of_albums = of_tracks | set(_above_discs(present))
    look = letters_of(artist)
    places = places_of_artist(present)
    alike = {one for one in places if letters_of(_text(paths.name_of(one.folder))) == look}
    found: list[Candidate] = []
    for place in sorted(places, key=lambda one: (one not in alike, one in of_tracks)):
        view = views.get(place, _EMPTY)
        is_artists = place in alike or not (place in of_tracks or view.has_others)
        for name in sorted(view.pictures, key=_ranking(names)):
            reason = Reason.NAMED
            if not is_artists:
                reason = Reason.NOT_ARTISTS
            elif _rank_in(names, name) is None:
                reason = Reason.UNLISTED_NAME
            elif place in of_albums and _rank_in(cover_names, name) is not None:
                reason = Reason.OF_ALBUM
            found.append(Candidate(key_in(place, name), reason))
    return found


class Known(Protocol):
    """What is known of sources; a mapping is one, too."""

    def get(self, key: PictureKey, /) -> PictureFacts | Verdict | None:
        """Of one source for its present stamp; None: it must be read."""


def decide(candidates: Iterable[Candidate], known: Known) -> Chosen | Needs | NoPicture:
    """The first candidate that counts and gives a picture, or the one to read to find that out.

    `known` has the facts or verdicts for the present stamps only.
    """
    for candidate in candidates:
        if not candidate.reason.counts:
            continue
        facts = known.get(candidate.key)
        if facts is None:
            return Needs(candidate)
        if isinstance(facts, PictureFacts):
            return Chosen(candidate, facts)
    return NoPicture()


def is_picture(name: bytes) -> bool:
    """Whether a name has the suffix of a picture."""
    return paths.suffix_of(name) in PICTURE_SUFFIXES


def _of_folder(
    place: Place, view: FolderView, names: Sequence[str], mixed: Reason
) -> Iterator[Candidate]:
    for name in sorted(view.pictures, key=_ranking(names)):
        if view.has_others:
            reason = mixed
        elif _rank_in(names, name) is not None:
            reason = Reason.NAMED
        else:
            reason = Reason.ONLY if len(view.pictures) == 1 else Reason.UNLISTED
        yield Candidate(key_in(place, name), reason)


class _ranking:  # noqa: N801 - a key function with its list
    """Names in the list first, in its order and that of the suffixes; then the others by name."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __call__(self, name: bytes) -> tuple[int, int, bytes]:
        rank = _rank_in(self._names, name)
        return (len(self._names), 0, name) if rank is None else (*rank, name)


def _rank_in(names: Sequence[str], name: bytes) -> tuple[int, int] | None:
    """The places of stem and suffix in their lists; None where either is in none."""
    suffix = paths.suffix_of(name)
    stem = _text(name[: len(name) - len(suffix)]).casefold()
    if suffix not in PICTURE_SUFFIXES:
        return None
    stems = [one.casefold() for one in names]
    return (stems.index(stem), PICTURE_SUFFIXES.index(suffix)) if stem in stems else None


def _above_discs(tracks: Iterable[AlbumTrack]) -> Iterator[Place]:
    """The folders of albums whose tracks are in folders below: one for each disc."""
    albums: dict[int, list[AlbumTrack]] = {}
    for track in tracks:
        albums.setdefault(track.album_id, []).append(track)
        yield Place(track.root_id, paths.album_folder(track.path))
    for album in albums.values():
        _, parent = places_of_album(album)
        if parent is not None and len({track.disc for track in album}) > 1:
            yield parent


def _in_order(tracks: Iterable[AlbumTrack]) -> list[AlbumTrack]:
    """By disc, track and path; what has no number comes first."""
    return sorted(tracks, key=lambda one: (one.disc or 0, one.track or 0, one.root_id, one.path))


def _folder_of(track: AlbumTrack) -> Place:
    return Place(track.root_id, paths.parent_of(track.path))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
