"""Items of iTunes' metadata in an MP4 file, by the names that mutagen gives them -> their columns.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping").
"""

from __future__ import annotations

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
    }.items()
}
"""In lower case: taggers do not agree on the case."""

EMPTY_COVER = 24
"""Bytes of a `covr` atom with a `data` atom that holds nothing."""

COVER_PARTS = (b"data", b"name")
"""Names of the atoms in a `covr`: the picture, and the name that it may have."""
