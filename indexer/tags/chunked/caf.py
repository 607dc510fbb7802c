"""A Core Audio Format file -> its track: stream info, and the texts of its `info` chunk.

Source: Apple Core Audio Format Specification 1.0: "CAF File Structure" and "Required Chunks"
(`desc`, `data`, `pakt`), "Information Chunk". A chunk has a name and a size of 64 bits.
"""

from __future__ import annotations

from struct import unpack
from typing import TYPE_CHECKING, Final

from indexer.tags import columns, further
from indexer.tags.chunked.wave_format import Stream, bytes_of_sample
from indexer.tags.vorbis.comments import COLUMNS, OPUS_RATE

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window

FIRST: Final = 8
"""Offset of the first chunk, behind `caff`, a version and flags."""
HEADER: Final = 12
DESCRIPTION: Final = 32
UNFILLED: Final = (2**64 - 1, 0)
"""Sizes of sound that goes on to the end of the file: it is still written, or came by a pipe."""
CHUNKS_LIMIT: Final = 1000
"""Maximum chunks read in one file. A guess."""
COOKIE: Final = 48
"""Maximum bytes read of a codec's private data."""
INFO_LIMIT: Final = 2**20
"""Maximum bytes read of the texts. A guess."""
TEXTS_LIMIT: Final = 1000
"""Maximum texts read. A guess."""

CODECS: Final = {
    b"lpcm": "pcm",
    b"aac ": "aac",
    b"aach": "aac",
    b"aacl": "aac",
    b"aace": "aac",
    b"aacf": "aac",
    b"aacp": "aac",
    b"aacs": "aac",
    b"ac-3": "ac3",
    b"ec-3": "eac3",
    b"ima4": "adpcm",
    b"ulaw": "mulaw",
    b"agsm": "gsm",
    b"samr": "amr",
    b"sawb": "amr",
    b".mp1": "mp1",
    b".mp2": "mp2",
    b".mp3": "mp3",
    b"ms\0\2": "adpcm",
    b"ms\0\x11": "adpcm",
    b"ms\0\x55": "mp3",
}
"""Formats whose usual name differs from their code."""
LOSSLESS: Final = frozenset({"alac", "flac", "pcm"})
ALAC_DEPTHS: Final = {1: 16, 2: 20, 3: 24, 4: 32}
"""Format flags of ALAC -> bits of the source (Core Audio, `kAppleLosslessFormatFlag_`)."""

OF_INFO: Final = {
    **COLUMNS,
    "comments": "comment",
    "track number": "track",
    "recorded date": "date",
    "tempo": "bpm",
    "key signature": "key",
}
OTHERS: Final = {
    "year": "date",
    "track": "track",
    "disc": "disc",
    "disc number": "disc",
    "album artist": "albumartist",
    "album_artist": "albumartist",
    "publisher": "label",
    **columns.COLUMNS_OF_SECOND_NAMES,
}
"""Where a column is looked for when none of the names above is there."""

Chunks = dict[bytes, tuple[int, int]]
"""Name -> offset and size of the content of the first chunk that has it."""


def read(window: Window, _suffix: bytes) -> Track:
    """Raises ValueError for any other file, and for one without a description of its sound."""
    if window.peek(0, 4) != b"caff":  # reads a block, with all that precedes the sound
        raise ValueError("no CAF file")
    found = _chunks(window)
    begin, size = found.get(b"desc", (0, 0))
    if size < DESCRIPTION:
        raise ValueError("no desc chunk of 32 bytes")
    rate, code, flags, packet_bytes, packet_frames, channels, bits = unpack(
        ">d4s5I", window.peek(begin, DESCRIPTION)
    )
    at, sound = found.get(b"data", (0, 4))
    sound = max(sound - 4, 0)  # without the count of edits
    window.sound = [(at + 4, at + 4 + sound)]
    codec = CODECS.get(code) or _plain_name(code)
    of_sample = bytes_of_sample(channels, bits)
    if codec == "pcm" and of_sample and packet_bytes < of_sample * packet_frames:
        packet_bytes, packet_frames = of_sample, 1  # what is stated cannot be
    frames = _frames(window, found, sound, (packet_bytes, packet_frames))
    stream = Stream(
        frames / rate if rate > 0 else 0.0,
        0,
        int(rate) if 0 < rate < columns.LARGEST_NUMBER else 0,
        channels,
        bits,
    )
    if codec == "pcm":
        stream.bitrate = channels * bits * stream.sample_rate
    else:
        stream.bitrate = columns.mean_bitrate(sound, stream.length)
    if codec == "alac" and not bits:
        stream.bits_per_sample = ALAC_DEPTHS.get(flags) or _alac_depth(window, found)
    elif codec == "opus":
        stream.sample_rate = OPUS_RATE
    return columns.track(codec, stream, _texts(window, found), lossless=codec in LOSSLESS)


def _plain_name(code: bytes) -> str:
    """A code as a name: `alac`, `flac`, `opus`, `QDM2`."""
    name = code.decode("latin-1").strip(" .\0").lower()
    return name if name.isascii() and name.isalnum() else "caf"


def _chunks(window: Window) -> Chunks:
    """Sound of an unknown size, or of one that was never filled in, goes on to the file's end."""
    found: Chunks = {}
    at = FIRST
    for _ in range(CHUNKS_LIMIT):
        header = window.glance(at, HEADER)
        if len(header) < HEADER:
            break
        name = header[:4]
        size = int.from_bytes(header[4:])
        begin = at + HEADER
        left = window.size - begin
        if name == b"data" and size in UNFILLED:
            size = left
        found.setdefault(name, (begin, min(size, left)))
        at = begin + size
    return found


def _frames(window: Window, found: Chunks, sound: int, packet: tuple[int, int]) -> float:
    """How many samples of each channel: as the table of packets tells, else by the bytes."""
    packet_bytes, packet_frames = packet
    begin, size = found.get(b"pakt", (0, 0))
    if size >= 24:
        packets, valid = unpack(">2q", window.glance(begin, 16))
        most = packets * packet_frames
        if valid > 0 and (valid <= most or most <= 0):
            return float(valid)
        if most > 0:
            return float(most)
    return sound // packet_bytes * packet_frames if packet_bytes else 0


def _alac_depth(window: Window, found: Chunks) -> int:
    """The depth in the cookie, which may be wrapped in the atoms `frma` and `alac` of MP4.

    Source: ALACMagicCookieDescription.txt of Apple's decoder.
    """
    begin, size = found.get(b"kuki", (0, 0))
    cookie = window.glance(begin, min(size, COOKIE))
    if cookie[4:8] == b"frma":
        cookie = cookie[12:]
    if cookie[4:8] == b"alac":
        cookie = cookie[12:]
    return cookie[5] if len(cookie) >= 6 else 0


def _texts(window: Window, found: Chunks) -> columns.Values:
    """The texts by column: a count, then pairs of a key and a text, each up to a NUL."""
    begin, size = found.get(b"info", (0, 0))
    content = window.peek(begin, min(size, INFO_LIMIT))
    words = content[4:].split(b"\0", 2 * TEXTS_LIMIT)[:-1]
    count = int.from_bytes(content[:4])
    values: columns.Values = {}
    others: columns.Values = {}
    for key, text in list(zip(words[::2], words[1::2], strict=False))[:count]:
        name = columns.known_name(key.decode("utf-8", "replace").lower())
        for names, into in ((OF_INFO, values), (OTHERS, others)):
            if name in names:
                into.setdefault(names[name], []).append(text.decode("utf-8", "replace"))
        column = further.column_of(name, window.keep)
        if column is not None and name not in OF_INFO and name not in OTHERS:
            values.setdefault(column, []).append(text.decode("utf-8", "replace"))
    return columns.filled(values, others)
