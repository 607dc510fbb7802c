"""A frame of an ID3 tag that fills no column -> its name among the further tags, and its texts.

The names are MusicBrainz Picard's (Appendix B, "Tag mapping"); a frame that has none there keeps
its ID. Sources: ID3v2.3.0 and ID3v2.4.0-frames, 4.2 (texts), 4.2.2 (TIPL, TMCL), 4.3 (links).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags import columns, further
from indexer.tags.id3.frames import QUOD_LIBET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.id3.frames import Frame

NAMES: Final = {
    "MVIN": "movementnumber",
    "TCOP": "copyright",
    "TDTG": "tagging time",
    "TENC": "encodedby",
    "TEXT": "lyricist",
    "TIT3": "subtitle",
    "TLAN": "language",
    "TOAL": "originalalbum",
    "TOFN": "originalfilename",
    "TOPE": "originalartist",
    "TPE4": "remixer",
    "TSSE": "encodersettings",
    "WCOP": "license",
    "WOAR": "website",
}
"""By mutagen's key, as the next."""
USER_NAMES: Final = {
    "musicbrainz album release country": "releasecountry",
    "musicbrainz album status": "releasestatus",
    "musicbrainz album type": "releasetype",
    "musicbrainz disc id": "musicbrainz_discid",
    "musicbrainz original album id": "musicbrainz_originalalbumid",
    "musicbrainz original artist id": "musicbrainz_originalartistid",
    "musicbrainz release track id": "musicbrainz_releasetrackid",
    "musicbrainz trm id": "musicbrainz_trmid",
    "musicbrainz work id": "musicbrainz_workid",
    "acoustid fingerprint": "acoustid_fingerprint",
    "acoustid id": "acoustid_id",
    "musicip puid": "musicip_puid",
    "musicmagic fingerprint": "musicip_fingerprint",
}
"""Descriptions of TXXX frames, and names of freeform items of MP4, in lower case."""
ROLES: Final = {"dj-mix": "djmixer", "mix": "mixer"}
PEOPLE: Final = frozenset({"TIPL", "IPLS", "TMCL"})
"""Frames of pairs: a role, or an instrument, and a person."""
_BEHIND: Final = "\x1f"
"""Between a column and the key of its frame: no name of a tag has it."""


def is_other(name: bytes) -> bool:
    """Whether a frame with this name is a text, or a link."""
    return name[:1] in {b"T", b"W"} or name in {b"IPLS", b"MVIN"}


def name_of(key: str) -> str:
    """The name of another tag by mutagen's key of its frame (`TXXX:description`, `TCOP`)."""
    name, _, description = key.partition(":")
    if name in {"TXXX", "WXXX"}:
        described = description.rstrip("\0").lower().removeprefix(QUOD_LIBET)
        return USER_NAMES.get(described, described)
    return NAMES.get(name, name.lower())


def frames_of(key: str, texts: list[str], keep: further.Keep) -> Iterator[Frame]:
    """Frames of further tags, if they are to be kept, from mutagen's key of a frame and its texts.

    Their own keys tell the column (`column_in`).
    """
    named = _people(key, texts) if key in PEOPLE else {name_of(key): texts}
    for name, several in named.items():
        column = further.column_of(name, keep)
        part = {} if column is None else columns.part_of(column, several)
        if part:
            yield f"{further.MARK}{column}{_BEHIND}{key}", several, part


def column_in(key: str) -> str | None:
    """The column in the key of a frame that `frames_of` has made; None for any other."""
    if key[:1] != further.MARK:
        return None
    return key[1:].partition(_BEHIND)[0]


def _people(key: str, texts: list[str]) -> dict[str, list[str]]:
    """Persons by role; those who play are Picard's `performer`, with the instrument behind."""
    found: dict[str, list[str]] = {}
    for role, person in zip(texts[::2], texts[1::2], strict=False):
        if key == "TMCL":
            found.setdefault("performer", []).append(f"{person} ({role})" if role else person)
        else:
            found.setdefault(ROLES.get(role.lower(), role.lower()), []).append(person)
    return found
