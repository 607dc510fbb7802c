"""A stream without a container (MPEG audio, AAC, AC-3, True Audio) -> its track.

The tags are ID3v2 at the head, APEv2 and ID3v1 at the end. This is also their order of precedence:
a later one fills only the fields that the earlier ones lack, since ID3v1 cuts its texts at 30
characters. (mutagen's own classes read only ID3 here, or nothing.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.tags import columns, leading
from indexer.tags.fast import mpeg_frames
from indexer.tags.fast.mp4_sample_entry import AC3_CHANNELS
from indexer.tags.fast.mpeg_header import frame_of
from indexer.tags.id3 import id3_tag, id3v1
from indexer.tags.window import end_of_sound, window_on

if TYPE_CHECKING:
    from mutagen.mp3 import MPEGInfo

    from indexer.model import Track
    from indexer.tags.fast.id3 import Tag
    from indexer.tags.window import Window

ADTS_SYNC = 0xFFF0
"""Twelve bits of sync, one of MPEG version, two of layer: 0 where MPEG audio has 1 to 3."""
ADTS_MASK = 0xFFF6


def read(window: Window, suffix: bytes) -> Track:
    return READERS.get(suffix, _read_mpeg)(window)


def is_adts(window: Window) -> bool:
    """Whether AAC in ADTS follows the ID3 tag; mutagen recognizes it by suffix only."""
    begin = id3_tag.read_tag(window).size
    return int.from_bytes(window.peek(begin, 2)) & ADTS_MASK == ADTS_SYNC


def _track(window: Window, codec: str, info: object, tag: Tag, *, lossless: bool = False) -> Track:
    """The track of a stream with its ID3 tags (both versions merged), and an APEv2 tag if any."""
    tail = window.tail
    if tail.find(id3v1.MARK) >= 0 and _may_have_apev2(tail):  # `APETAGEX` contains it, too
        window.leave_to_mutagen()
        from indexer.tags.ape import apev2, items

        ape = items.tag_of(window)
        if ape is not None:
            return id3_tag.track(
                codec,
                info,
                id3_tag.read_tag(window, with_v1=False),
                apev2.values_of(ape, window.keep),
                id3_tag.values_of(tag),
                has_picture=apev2.has_picture(ape),
                lossless=lossless,
            )
    return id3_tag.track(codec, info, tag, lossless=lossless)


def _may_have_apev2(tail: bytes) -> bool:
    """Whether an APEv2 tag ends the file, or precedes an ID3v1 tag (perhaps with Lyrics3 between).

    APEv2 specification, footer of 32 bytes; Lyrics3 v2.00 ends in `LYRICS200` before ID3v1.
    """
    return (
        tail[-32:-24] == b"APETAGEX"
        or tail[-160:-152] == b"APETAGEX"
        or tail[-137:-128] == b"LYRICS200"
    )


def _read_mpeg(window: Window) -> Track:
    """The track of MPEG audio of any layer."""
    tag = id3_tag.read_tag(window)
    info: mpeg_frames.Stream | MPEGInfo | None = mpeg_frames.stream(window, tag.size)
    if info is None:
        window.leave_to_mutagen()
        tag, info = _find_mpeg(window, tag)
    return _track(window, f"mp{info.layer}", info, tag)


def _find_mpeg(window: Window, tag: Tag) -> tuple[Tag, mpeg_frames.Stream | MPEGInfo]:
    """The first frame behind other bytes, or of a free bit rate; and the tag, if it is there, too.

    Raises ValueError for another format, and mutagen's error if there is no frame.
    """
    from mutagen.mp3 import HeaderNotFoundError, MPEGInfo

    from indexer.tags import mpeg_search

    begin = leading.end_of_tags(window, tag.size)
    if leading.suffix_at(window, leading.end_of_tags(window)):
        raise ValueError("another format than MPEG audio")
    at = mpeg_search.find(window, begin)
    if not tag.size:
        stray = leading.behind_junk(window, window.size if at is None else at)
        if stray is not None:
            from indexer.tags.id3 import mutagen_id3

            tag = id3_tag.with_older(window, mutagen_id3.tag_at(window, stray, with_v1=False))
            at = mpeg_search.find(window, leading.end_of_tags(window, stray))
    if at is None:
        raise HeaderNotFoundError("can't sync to MPEG frame")
    head = window.glance(at, mpeg_frames.XING_REACH)
    frame = frame_of(head[:4])
    skipped = frame.size if frame is not None and mpeg_frames.is_no_sound(head, frame) else 0
    window.sound = [(at + skipped, window.size)]
    window.is_bare = True
    return tag, mpeg_search.stream_at(window, at) or MPEGInfo(window, at)


def _read_aac(window: Window) -> Track:
    """The track of AAC in ADTS or ADIF. Its duration is mutagen's guess."""
    window.leave_to_mutagen()
    from mutagen.aac import AAC

    tag = id3_tag.read_tag(window)
    return _track(window, "aac", AAC(_without_tags_behind(window)).info, tag)


def _read_ac3(window: Window) -> Track:
    """The track of AC-3 or Enhanced AC-3. Its duration is mutagen's guess.

    mutagen 1.48 reads the bit of the low frequency channel of AC-3 at a fixed place, where the mode
    decides how many bits precede it (ETSI TS 102 366, 4.3.2).
    """
    window.leave_to_mutagen()
    from mutagen.ac3 import AC3

    info = AC3(_without_tags_behind(window)).info
    if info.codec == "ac-3":
        bits = int.from_bytes(window.peek(6, 2))
        mode = bits >> 13
        has_center, has_surround = mode & 1 and mode != 1, mode & 4
        levels = sum(map(bool, (has_center, has_surround, mode == 2)))  # two bits each
        info.channels = AC3_CHANNELS[mode] + (bits >> 12 - 2 * levels & 1)
    return _track(window, "eac3" if info.codec == "ec-3" else "ac3", info, id3_tag.read_tag(window))


def _without_tags_behind(window: Window) -> Window:
    """What mutagen measures, which takes the tags behind the sound for more of it."""
    end = end_of_sound(window)
    window.seek(0)
    return window if end == window.size else window_on(window, (0, end))


def _read_true_audio(window: Window) -> Track:
    """The track of True Audio, with the header fields that mutagen skips."""
    window.leave_to_mutagen()
    from mutagen.trueaudio import TrueAudioInfo

    tag = id3_tag.read_tag(window)
    begin = tag.size
    if window.peek(begin, 4) != b"TTA1":  # several tags
        begin = leading.end_of_tags(window)
    info = TrueAudioInfo(window, begin)
    header = window.peek(begin, 10)  # `TTA1`, then 16 bits each of format, channels, depth
    info.channels = int.from_bytes(header[6:8], "little")
    info.bits_per_sample = int.from_bytes(header[8:10], "little")
    info.bitrate = columns.mean_bitrate(end_of_sound(window) - begin, info.length)
    return _track(window, "tta", info, tag, lossless=True)


READERS = {
    b".aac": _read_aac,
    b".adts": _read_aac,
    b".ac3": _read_ac3,
    b".eac3": _read_ac3,
    b".ec3": _read_ac3,
    b".tta": _read_true_audio,
}
"""Suffix -> its reader; all others are of MPEG audio."""
