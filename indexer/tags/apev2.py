"""A file with an APEv2 tag -> its track, for the formats that have no other; and the tag alone.

Without an APEv2 tag, an ID3v1 tag is read: old programs wrote nothing else.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping"), with the names that other taggers
use where they differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mutagen import MutagenError
from mutagen.apev2 import BINARY, TEXT, APEv2

from indexer.tags import columns, id3

if TYPE_CHECKING:
    from mutagen.apev2 import APEv2File

    from indexer.model import Track
    from indexer.tags.window import Window

COLUMNS = {
    "title": "title",
    "artist": "artist",
    "album artist": "albumartist",
    "album": "album",
    "genre": "genre",
    "year": "date",
    "track": "track",
    "disc": "disc",
    "composer": "composer",
    "comment": "comment",
    "bpm": "bpm",
    "isrc": "isrc",
    "label": "label",
    "compilation": "compilation",
    "musicbrainz_trackid": "mb_trackid",
    "musicbrainz_albumid": "mb_albumid",
    "musicbrainz_artistid": "mb_artistid",
    "musicbrainz_albumartistid": "mb_albumartistid",
    "musicbrainz_releasegroupid": "mb_releasegroupid",
    "replaygain_track_gain": "replaygain_track_gain",
    "replaygain_track_peak": "replaygain_track_peak",
    "replaygain_album_gain": "replaygain_album_gain",
    "replaygain_album_peak": "replaygain_album_peak",
}
OTHER_KEYS = {
    "albumartist": "albumartist",
    "date": "date",
    "tracknumber": "track",
    "tracktotal": "track_total",
    "totaltracks": "track_total",
    "discnumber": "disc",
    "disctotal": "disc_total",
    "totaldiscs": "disc_total",
    "description": "comment",
    "publisher": "label",
}
"""Where a column is looked for when the key above is absent or blank."""

PICTURE_KEY = "cover art"
"""Prefix of the keys of pictures, in lower case: `Cover Art (Front)`."""

FINAL_BLOCK = 0x1000
"""Flag of a WavPack block: the last of those that sound at once."""
SUB_BLOCK_NAME, ODD_SUB_BLOCK, LONG_SUB_BLOCK = 0x3F, 0x40, 0x80
"""Bits of the first byte of a sub-block: its size is odd, and has three bytes."""
CHANNEL_INFO = 0x0D
SUB_BLOCKS_LIMIT = 64
"""Maximum sub-blocks looked at. A guess: a block has ten."""


def read(window: Window, suffix: bytes) -> Track:
    """Read a file of Monkey's Audio, Musepack, OptimFROG, TAK or WavPack."""
    window.seek(0)
    match suffix:
        case b".ape":
            from mutagen.monkeysaudio import MonkeysAudio

            return _track(window, "ape", MonkeysAudio(window))
        case b".ofr" | b".ofs":
            from mutagen.optimfrog import OptimFROG

            return _track(window, "optimfrog", OptimFROG(window))
        case b".tak":
            from mutagen.tak import TAK

            return _track(window, "tak", TAK(window))
        case b".wv":
            from mutagen.wavpack import WavPack

            file = WavPack(window)
            file.info.channels = _wavpack_channels(window) or int(file.info.channels)
            return _track(window, "wavpack", file)
        case _:
            from mutagen.musepack import Musepack

            return _track(window, "musepack", Musepack(window), lossless=False)


def _wavpack_channels(window: Window) -> int:
    """The channels of sound that has more blocks than one at a time; 0 if it has not.

    Each block has one or two channels, and the first one tells the number of all
    (WavPack 4 & 5 Binary File / Block Format, "Metadata Sub-Blocks").
    """
    header = window.peek(0, 32)
    flags = int.from_bytes(header[24:28], "little")
    end = 8 + int.from_bytes(header[4:8], "little")
    at = len(header)
    if flags & FINAL_BLOCK:
        return 0
    for _ in range(SUB_BLOCKS_LIMIT):
        head = window.peek(at, 8)
        if at >= end or len(head) < 4:
            break
        begin = 4 if head[0] & LONG_SUB_BLOCK else 2
        size = 2 * int.from_bytes(head[1:begin], "little")
        if head[0] & SUB_BLOCK_NAME == CHANNEL_INFO:
            content = window.peek(at + begin, size - bool(head[0] & ODD_SUB_BLOCK))
            if len(content) >= 6:  # 12 bits each of channels and streams, both less one
                return 1 + (content[0] | (content[2] & 15) << 8)
            return content[0] if content else 0
        at += begin + size
    return 0


def tag_beside(window: Window) -> APEv2 | None:
    """The APEv2 tag of a file whose format has other tags; None if it is absent or broken."""
    window.seek(0)
    try:
        return APEv2(window)
    except MutagenError:
        return None


def values_of(tag: APEv2) -> columns.Values:
    """The tag's texts by column; the texts of one item are separated by NULs."""
    items = {key.lower(): list(item) for key, item in tag.items() if item.kind == TEXT}
    values, others = (
        {names[key]: item for key, item in items.items() if key in names}
        for names in (COLUMNS, OTHER_KEYS)
    )
    return columns.filled(values, others)


def has_picture(tag: APEv2) -> bool:
    """Whether there is a cover; its value is a file name, NUL, and the picture."""
    return any(
        item.value.partition(b"\0")[2]
        for key, item in tag.items()
        if item.kind == BINARY and key.lower().startswith(PICTURE_KEY)
    )


def _track(window: Window, codec: str, file: APEv2File, *, lossless: bool = True) -> Track:
    if not getattr(file.info, "bitrate", 0):
        file.info.bitrate = columns.mean_bitrate(window.size, file.info.length)
    tag = file.tags
    if tag is None:
        older = id3.older_tag(window)
        return id3.track(codec, file.info, older, lossless=lossless)
    return columns.track(
        codec, file.info, values_of(tag), has_picture=has_picture(tag), lossless=lossless
    )
