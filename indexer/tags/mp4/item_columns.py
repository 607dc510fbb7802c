"""Items of iTunes metadata in an MP4 file, by mutagen's names -> their columns.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping").
"""

from __future__ import annotations

from functools import lru_cache

from indexer.remembered import forget_by
from indexer.tags import columns

ATOMS = {
    "\xa9nam": "title",
    "\xa9ART": "artist",
    "aART": "albumartist",
    "\xa9alb": "album",
    "\xa9gen": "genre",  # mutagen turns the numbers of `gnre` into this one
    "\xa9day": "date",
    "\xa9wrt": "composer",
    "\xa9cmt": "comment",
    "tmpo": "bpm",
    "soaa": "albumartistsort",
    "soar": "artistsort",
    "soal": "albumsort",
    "sonm": "titlesort",
    "soco": "composersort",
    "\xa9wrk": "work",
    "\xa9mvn": "movement",
    "\xa9grp": "grouping",
    "\xa9lyr": "has_lyrics",
}
PAIRS = {"trkn": ("track", "track_total"), "disk": ("disc", "disc_total")}
FREEFORM = {
    f"----:com.apple.itunes:{name}": column
    for name, column in {
        "isrc": "isrc",
        "label": "label",
        "musicbrainz track id": "mb_trackid",
        "musicbrainz album id": "mb_albumid",
        "musicbrainz artist id": "mb_artistid",
        "musicbrainz album artist id": "mb_albumartistid",
        "musicbrainz release group id": "mb_releasegroupid",
        "replaygain_track_gain": "replaygain_track_gain",
        "replaygain_track_peak": "replaygain_track_peak",
        "replaygain_album_gain": "replaygain_album_gain",
        "replaygain_album_peak": "replaygain_album_peak",
        **{name: name for name in ("originaldate", "discsubtitle", "media", "conductor", "mood")},
        "initialkey": "key",
    }.items()
}
"""In lower case: taggers do not agree on the case."""
OTHER_COLUMNS = {
    **columns.BY_PICARDS_NAME,
    **columns.COLUMNS_OF_SECOND_NAMES,
    "movement": "movement",
}
OTHER_FREEFORM = {
    "----:com.apple.itunes:album artist": "albumartist",
    "----:com.apple.itunes:publisher": "label",
    "----:com.apple.itunes:lyrics": "has_lyrics",
    "----:com.apple.itunes:unsyncedlyrics": "has_lyrics",
    **{
        f"----:com.apple.itunes:{name}": column
        for name, column in OTHER_COLUMNS.items()
        if f"----:com.apple.itunes:{name}" not in FREEFORM
    },
}
"""Where a column is looked for when the item above is absent or blank."""

OF_LYRICS = f"----:com.apple.itunes:{columns.OF_LYRICS}"

OTHER_NAMES = {
    "\xa9too": "encodedby",
    "cprt": "copyright",
    "\xa9mvi": "movementnumber",
    "\xa9mvc": "movementtotal",
    "shwm": "showmovement",
    "tvsh": "show",
    "sosn": "showsort",
    "desc": "description",
    "purl": "podcasturl",
}
"""Items that fill no column -> their names among the further tags; others have that of the item."""

USER_DATA = {
    "titl": "title",
    "perf": "artist",
    "auth": "artist",  # where there is no `perf`
    "albm": "album",
    "gnre": "genre",
    "yrrc": "date",
}
"""Assets of 3GPP (TS 26.244, 8.2) -> their columns."""

EMPTY_COVER = 24
"""Bytes of a `covr` atom with an empty `data` atom."""

COVER_PARTS = (b"data", b"name")
"""Names of the atoms in a `covr`: the picture, and its optional name."""

PCM = ("fl32", "fl64", "fpcm", "in24", "in32", "ipcm", "lpcm", "none", "raw ", "sowt", "twos")
CODECS = {
    **dict.fromkeys(PCM, "pcm"),
    "ulaw": "mulaw",
    "ima4": "adpcm",
    "ms\0\2": "adpcm",
    "ms\0\x11": "adpcm",
    "ms\0\x55": "mp3",
    "agsm": "gsm",
    "ac-4": "ac4",
    "mlpa": "truehd",
    "mp4a.69": "mp3",
    "mp4a.6b": "mp3",
    "mp4a.a5": "ac3",
    "mp4a.a6": "eac3",
    "mp4a.a9": "dts",
    "mp4a.aa": "dts",
    "mp4a.ab": "dts",
    "mp4a.ac": "dts",
    "mp4a.40.36": "als",
    "dtsc": "dts",
    "dtse": "dts",
    "dtsh": "dts",
    "dtsl": "dts",
    "ac-3": "ac3",
    "ec-3": "eac3",
    "samr": "amr",
    "sawb": "amr",
}
"""Codecs other than AAC whose usual name differs from mutagen's: object types of MPEG-4 (RFC 6381
and the MP4 registration authority), and sample entries, those of QuickTime too."""
LOSSLESS = frozenset({"alac", "als", "flac", "pcm"})


def known_name(key: str) -> str:
    """A freeform name in lower case; `OF_LYRICS` for those of all lyrics with a language."""
    key = key.lower()
    return OF_LYRICS if key.startswith(OF_LYRICS) else key


@lru_cache(maxsize=64)
def codec_of(codec: str) -> str:
    """The codec's name; `mp4` if the file has no audio that mutagen knows."""
    codec = codec.lower()
    if codec in CODECS:
        return CODECS[codec]
    return "aac" if codec.startswith("mp4a") else codec.strip(" .\0") or "mp4"


forget_by(codec_of.cache_clear)
