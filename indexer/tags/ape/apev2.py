"""A file with an APEv2 tag -> its track, for the formats that have no other; and the tag alone.

Without an APEv2 tag, an ID3v1 tag is read: old programs wrote nothing else.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping"), with the names that other taggers
use where they differ.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from indexer.tags import columns, further, leading
from indexer.tags.ape import wavpack
from indexer.tags.ape.items import tag_of
from indexer.tags.id3 import id3_tag
from indexer.tags.window import end_of_sound

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
    **columns.COLUMNS_OF_SECOND_NAMES,
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
    "organization": "label",
    "publisher": "label",
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

GAINS = {"title": "track", "album": "album"}
"""What the header of Musepack calls a gain and its peak -> the kind of ReplayGain."""

PICTURE_KEY = "cover art"
"""Prefix of the keys of pictures, in lower case: `Cover Art (Front)`."""

_NEWER: Final = 3980
"""First version of Monkey's Audio with a descriptor before the header."""
_DESCRIPTOR_SIZES: Final = range(52, 4096)
"""Sizes of a descriptor. The upper one is a guess."""
_OLD_SIZE, _HEADER_SIZE = 32, 24
_EXTRA_HIGH: Final = 4000
_EIGHT_BITS, _TWENTY_FOUR_BITS = 1, 8
"""Flags of the old header."""

_old = Struct("<6xHHHI8xII").unpack_from
_new = Struct("<4xIIIHHI").unpack_from


def read(window: Window, suffix: bytes) -> Track:
    """Read a file of Monkey's Audio, Musepack, OptimFROG, TAK or WavPack.

    Raises ValueError as `leading.refuse_tags`.
    """
    leading.refuse_tags(window)
    window.seek(0)
    match suffix:
        case b".ape":
            return _track(window, "ape", MonkeysAudioInfo(window))
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
    texts = {columns.known_name(key): item for key, item in tag.texts.items()}
    values, others = (
        {names[key]: item for key, item in texts.items() if key in names}
        for names in (COLUMNS, OTHER_KEYS)
    )
    for key, item in texts.items() if keep else ():
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
    info: StreamInfo | MonkeysAudioInfo | wavpack.Info,
    *,
    lossless: bool = True,
) -> Track:
    info.bitrate = columns.mean_bitrate(end_of_sound(window), info.length)
    tag = tag_of(window)
    gains = _gains_of(info)
    if tag is None:
        older = id3_tag.older_tag(window)
        return id3_tag.track(codec, info, older, *([gains] if gains else []), lossless=lossless)
    values = values_of(tag, window.keep)
    return columns.track(
        codec,
        info,
        columns.filled(values, gains) if gains else values,
        has_picture=has_picture(tag),
        lossless=lossless,
    )


def _gains_of(info: object) -> columns.Values:
    """The gains in the header of Musepack, where `mpcgain` writes them.

    mutagen's peaks are of a full scale of 65535 (the stream of version 8 has decibels of 16 bits,
    that of version 7 samples of 16 bits).
    """
    values: columns.Values = {}
    for name, kind in GAINS.items():
        gain, peak = (getattr(info, f"{name}_{what}", 0.0) for what in ("gain", "peak"))
        if gain:
            values[f"replaygain_{kind}_gain"] = [f"{gain:.2f} dB"]
            if peak:
                values[f"replaygain_{kind}_peak"] = [f"{2 * peak:.6f}"]
    return values


class MonkeysAudioInfo:
    """The stream info of Monkey's Audio, as mutagen names it. Raises ValueError for another format.

    mutagen 1.48 takes 4 for the number of the level at which frames of 3.80 to 3.89 are long (it is
    4000), the bit depth of old files from a WAV header that may be absent, and the place of the
    newer header as given.

    Source: Monkey's Audio SDK, `MACLib.h` (`APE_DESCRIPTOR`, `APE_HEADER`) and `APEHeader.cpp`
    (`APE_HEADER_OLD`, versions up to 3.97).
    """

    bitrate: float = 0
    """Not in the header."""

    def __init__(self, window: Window) -> None:
        begin = window.tell()
        head = window.peek(begin, _OLD_SIZE)
        if len(head) < _OLD_SIZE or head[:4] not in {b"MAC ", b"MACF"}:
            raise ValueError("no Monkey's Audio file")
        version = int.from_bytes(head[4:6], "little")
        if version >= _NEWER:
            size = int.from_bytes(head[8:12], "little")
            if size not in _DESCRIPTOR_SIZES:
                size = _DESCRIPTOR_SIZES.start
            header = window.peek(begin + size, _HEADER_SIZE)
            if len(header) < _HEADER_SIZE:
                raise ValueError("the file ends in its header")
            per_frame, final, frames, depth, channels, rate = _new(header)
        else:
            level, flags, channels, rate, frames, final = _old(head)
            per_frame = _per_frame(version, level)
            depth = 24 if flags & _TWENTY_FOUR_BITS else 8 if flags & _EIGHT_BITS else 16
        self.sample_rate, self.channels, self.bits_per_sample = rate, channels, depth
        samples = (frames - 1) * per_frame + final if frames else 0
        self.length = samples / rate if rate else 0.0


def _per_frame(version: int, level: int) -> int:
    """Samples of each channel in a frame, by the version and the level of compression."""
    if version >= 3950:
        return 4 * 73_728
    if version >= 3900 or (version >= 3800 and level == _EXTRA_HIGH):
        return 73_728
    return 9216
