"""The values that pass between the choice of a picture, its reading, and the index."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from indexer.model import Evidence, PictureFacts, PlaylistFacts, Problem, Stamp, Waiting
from indexer.paths import join, suffix_of

PICTURE_SUFFIXES: Final = (b".jpg", b".jpeg", b".png", b".webp", b".gif", b".avif")
"""The suffixes of picture files, the preferred ones first."""
FRONT: Final = 3
BACK: Final = 4
"""Types of a picture (ID3v2.4.0-frames, 4.14), which FLAC, Ogg and ASF use as well."""
Take = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there, fewer at the end: of a file, or of a tag in memory."""


class PictureError(Exception):
    """A picture that is refused or broken: the message says in plain words why.

    It says nothing of other pictures, and trying again is useless until the stamp changes.
    """


class PictureSource(StrEnum):
    """Where a picture comes from."""

    FILE = "file"
    """A picture file beside the music."""
    TRACK = "track"
    """It is embedded in an audio file."""


class Place(Struct, frozen=True, order=True):
    """A folder of a root; `b""` is the root itself."""

    root_id: int
    folder: bytes


class PictureKey(Struct, frozen=True):
    """What facts are known of: a picture file, a track that may hold a picture, or a playlist."""

    root_id: int
    path: bytes
    """Relative to the root."""

    @property
    def source(self) -> PictureSource:
        """By the suffix: no audio file has that of a picture."""
        is_file = suffix_of(self.path.rpartition(b"/")[2]) in PICTURE_SUFFIXES
        return PictureSource.FILE if is_file else PictureSource.TRACK


class SidecarJob(Struct, frozen=True):
    """One source to read in a reader process. How it is read whole is as in `model.Chunk`."""

    root_path: bytes
    key: PictureKey
    stamp: Stamp
    """As the walk or the row of the track has it."""
    evidence: Evidence = Evidence()
    follow_links: bool = False
    closed: bool = False
    """Closed or moved in since its last write."""
    may_hang: bool = False


class SidecarReading(Struct, frozen=True, kw_only=True):
    """What was found at the source of a job.

    At most one of `facts`, `playlist`, `problem`, `waiting` and `gone` is set; none of them: it is
    a track without a picture. A `problem` of `ProblemKind.PICTURE` or `PLAYLIST` waits for a new
    stamp.
    """

    stamp: Stamp | None = None
    """Of the descriptor, equal before and after reading. Where it is not the job's, the source
    changed since: its facts belong to this stamp. None if nothing was read."""
    facts: PictureFacts | None = None
    playlist: PlaylistFacts | None = None
    problem: Problem | None = None
    waiting: Waiting | None = None
    gone: bool = False
    opened: bool = False
    bytes_read: int = 0


class AlbumTrack(Struct, frozen=True):
    """A present track, as far as the choice of artwork needs it."""

    id: int
    root_id: int
    path: bytes
    disc: int | None = None
    track: int | None = None
    has_picture: bool = True
    """Whether its tags were seen to hold a picture (`tracks.has_picture`)."""
    album_id: int = 0


class FolderView(Struct, frozen=True):
    """What the index knows of one folder that may hold artwork."""

    pictures: tuple[bytes, ...] = ()
    """The names of the picture files directly in it, in any order."""
    has_others: bool = False
    """Whether it holds present tracks of another album, or of another artist where an artist's
    image is chosen: directly in it if it is the folder of an album's tracks, else at any depth."""


class Reason(StrEnum):
    """Why a candidate counts, or why it does not."""

    NAMED = "its name is listed in the settings"
    ONLY = "it is the only picture in its folder"
    EMBEDDED = "it is embedded in a track"
    UNLISTED = "its name is not listed in the settings, and others are in its folder"
    UNLISTED_NAME = "its name is not listed in the settings"
    MIXED = "its folder holds tracks of other albums, too"
    PARENT_OTHERS = "below its folder are tracks of other albums"
    OF_ALBUM = "it is the cover of an album"
    NOT_ARTISTS = (
        "its folder is not named after the artist, nor one above the artist's albums alone"
    )
    NO_PICTURE = "the tags of the track hold no picture"

    @property
    def counts(self) -> bool:
        """Whether such a candidate may be chosen."""
        return self in {Reason.NAMED, Reason.ONLY, Reason.EMBEDDED}


class Candidate(Struct, frozen=True):
    """One source that was considered for an album or an artist."""

    key: PictureKey
    reason: Reason
    track_id: int | None = None
    """Of the track, where the source is one."""


class Verdict(StrEnum):
    """What is known of a source that gives no picture."""

    REFUSED = "refused"
    """It is broken or too large: there is a problem of `ProblemKind.PICTURE` for its stamp."""
    EMPTY = "empty"
    """A track that was opened and holds no picture that counts."""


class Chosen(Struct, frozen=True):
    """The artwork: this source, with its facts."""

    candidate: Candidate
    facts: PictureFacts


class Needs(Struct, frozen=True):
    """The next source to read before anything can be decided."""

    candidate: Candidate


class NoPicture(Struct, frozen=True):
    """No candidate gives a picture."""


def key_in(place: Place, name: bytes) -> PictureKey:
    """The key of a name in a folder."""
    return PictureKey(place.root_id, join(place.folder, name))


class Embedded(NamedTuple):
    """A picture, which is not read yet."""

    kind: int | None
    """Its type; None where the container knows none."""
    name: str
    """Its description, or its file name."""
    size: int
    """In bytes."""
    load: Callable[[], bytes]
    """Its bytes."""

    @property
    def rank(self) -> int:
        """Front covers first, then what is named a cover, then the others."""
        if self.kind == FRONT:
            return 0
        return 1 if self.kind != BACK and "cover" in self.name.casefold() else 2


def reading(take: Take, at: int, size: int) -> Callable[[], bytes]:
    """What loads these bytes later."""
    return lambda: take(at, size)


def in_memory(data: bytes) -> Take:
    return lambda at, size: data[at : at + size]


class Wanted(Struct, frozen=True):
    """A source to be read: its key, and the stamp that the index has of it."""

    key: PictureKey
    stamp: Stamp
    others: tuple[Candidate, ...] = ()
    """It, and the candidates after it: what is left to choose from while the index is the same.
    None where nothing is chosen, as for a playlist."""


class Turn(Enum):
    """What was begun, and goes on when its owner is asked for again: others come first."""

    ANOTHER = "another"
