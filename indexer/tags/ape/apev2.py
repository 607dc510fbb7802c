"""A file with an APEv2 tag -> its track, for the formats that have no other; and the tag alone.

Without an APEv2 tag, an ID3v1 tag is read: old programs wrote nothing else.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping"), with the names that other taggers
use where they differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.tags import columns, further, leading
from indexer.tags.ape import monkeys_audio, wavpack
from indexer.tags.ape.items import tag_of
from indexer.tags.id3 import id3_tag

if TYPE_CHECKING:
    from mutagen import StreamInfo

    from indexer.model import Track
    from indexer.tags.ape.items import Tag
    from indexer.tags.window import Window

COLUMNS = {
    **columns.BY_PICARDS_NAME,
    "album artist": "albumartist",
    "year": "date",
    "track": "track",
    "disc": "disc",
}
OTHER_KEYS = {
    "albumartist": "albumartist",
    "album_artist": "albumartist",
    "date": "date",
    "tracknumber": "track",
    "tracktotal": "track_total",
    "totaltracks": "track_total",
    "discnumber": "disc",
    "disctotal": "disc_total",
    "totaldiscs": "disc_total",
    "description": "comment",
    "publisher": "label",
    "initialkey": "key",
    "unsyncedlyrics": "has_lyrics",
    "syncedlyrics": "has_lyrics",
}
"""Where a column is looked for when the key above is absent or blank."""

OTHER_NAMES = {
    "mixartist": "remixer",
    "musicbrainz_albumstatus": "releasestatus",
    "musicbrainz_albumtype": "releasetype",
    "weblink": "website",
    "movement": "movementnumber",
}
"""Keys of no column -> their names among the further tags; others have that of the key."""

PICTURE_KEY = "cover art"
"""Prefix of the keys of pictures, in lower case: `Cover Art (Front)`."""


def read(window: Window, suffix: bytes) -> Track:
    """Read a file of Monkey's Audio, Musepack, OptimFROG, TAK or WavPack.

    Raises ValueError as `leading.refuse_tags`.
    """
    leading.refuse_tags(window)
    window.seek(0)
    match suffix:
        case b".ape":
            return _track(window, "ape", monkeys_audio.Info(window))
        case b".ofr" | b".ofs":
            from mutagen.optimfrog import OptimFROGInfo

            return _track(window, "optimfrog", OptimFROGInfo(window))
        case b".tak":
            from mutagen.tak import TAKInfo

            return _track(window, "tak", TAKInfo(window))
        case b".wv":
            return _track(window, "wavpack", wavpack.Info(window))
        case _:
            from mutagen.musepack import MusepackInfo

            return _track(window, "musepack", MusepackInfo(window), lossless=False)


def values_of(tag: Tag, keep: further.Keep = further.NOTHING) -> columns.Values:
    """The tag's texts by column."""
    values, others = (
        {names[key]: item for key, item in tag.texts.items() if key in names}
        for names in (COLUMNS, OTHER_KEYS)
    )
    for key, item in tag.texts.items() if keep else ():
        if key not in COLUMNS and key not in OTHER_KEYS:
            column = further.column_of(OTHER_NAMES.get(key, key), keep)
            if column is not None:
                values.setdefault(column, item)
    return columns.filled(values, others)


def has_picture(tag: Tag) -> bool:
    """Whether there is a cover; its value is a file name, NUL, and the picture."""
    return any(
        content.partition(b"\0")[2]
        for key, content in tag.binaries.items()
        if key.startswith(PICTURE_KEY)
    )


def _track(
    window: Window,
    codec: str,
    info: StreamInfo | monkeys_audio.Info | wavpack.Info,
    *,
    lossless: bool = True,
) -> Track:
    if not getattr(info, "bitrate", 0):
        info.bitrate = columns.mean_bitrate(window.size, info.length)
    tag = tag_of(window)
    if tag is None:
        older = id3_tag.older_tag(window)
        return id3_tag.track(codec, info, older, lossless=lossless)
    return columns.track(
        codec, info, values_of(tag, window.keep), has_picture=has_picture(tag), lossless=lossless
    )
