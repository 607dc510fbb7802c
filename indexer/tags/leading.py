"""The bytes at the head of a file -> where its ID3v2 tags end, and which format begins there.

Programs for MP3 files write ID3v2 before other formats, too, which do not know it. Most players
skip it. Sources: ID3v2.4.0-structure, 3.1 and 3.4 (header and footer), and those of each format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.tags.window import Window

HEADER_SIZE = 10
FOOTER = 0x10
"""Flag: ten more bytes follow the tag."""
VERSIONS = (2, 3, 4)
"""Those that are asked for behind junk. Before sound, a tag of any version is skipped."""
TAGS_LIMIT = 8
"""Maximum tags one behind the other. A guess: Windows Media Player writes two."""
PADDING_LIMIT = 4096
"""Maximum NULs behind a tag. A guess."""
JUNK_LIMIT = 2**16
"""Maximum bytes before a tag that does not begin the file. A guess."""

BEGINNINGS = {
    b"fLaC": b".flac",
    b"OggS": b".ogg",
    b"MAC ": b".ape",
    b"MP+": b".mpc",
    b"MPCK": b".mpc",
    b"wvpk": b".wv",
    b"tBaK": b".tak",
    b"OFR ": b".ofr",
    b"TTA1": b".tta",
    b"RIFF": b".wav",
    b"RIFX": b".wav",
    b"RF64": b".wav",
    b"BW64": b".wav",
    b"FORM": b".aiff",
    b"FRM8": b".dff",
    b"DSD ": b".dsf",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": b".wma",
    b"ADIF": b".aac",
    b"\x1aE\xdf\xa3": b".mka",
    b"caff": b".caf",
    b"riff": b".w64",
    b"\x0b\x77": b".ac3",
}
"""First bytes of a file -> the suffix of its format. Without MPEG audio and ADTS: of their
headers, one proves nothing."""
LONGEST = 8


def size_of(header: bytes) -> int:
    """Bytes of the ID3v2 tag, of any version, that begins with these ten; 0 if none does."""
    if header[:3] != b"ID3" or len(header) < HEADER_SIZE or 0xFF in header[3:5]:
        return 0
    size = 0
    for byte in header[6:10]:
        if byte & 0x80:
            return 0
        size = size << 7 | byte
    return HEADER_SIZE + size + (HEADER_SIZE if header[3] >= 4 and header[5] & FOOTER else 0)


def end_of_tags(window: Window, begin: int = 0) -> int:
    """The end of the ID3v2 tags that follow each other from `begin` on, and of their padding.

    `begin` itself without any.
    """
    at = begin
    for _ in range(TAGS_LIMIT):
        size = size_of(window.peek(at, HEADER_SIZE))
        if not size:
            break
        at += size
    if at == begin:
        return begin
    padding = window.peek(at, PADDING_LIMIT)
    nuls = len(padding) - len(padding.lstrip(b"\0"))
    return at + nuls - (3 if padding[nuls + 1 : nuls + 5] == b"ftyp" else 0)  # MP4: in its size


def refuse_tags(window: Window) -> None:
    """Raises ValueError if the file begins with an ID3v2 tag.

    For the readers of formats that have other tags: mutagen skips it in some of them, unread. The
    file is then read by its content, with what the tag tells.
    """
    if size_of(window.peek(0, HEADER_SIZE)):
        raise ValueError("an ID3 tag before the sound")


def suffix_at(window: Window, at: int) -> bytes:
    """The suffix of the format that begins there; empty for none of `BEGINNINGS`, nor MP4."""
    head = window.peek(at, LONGEST)
    if head[4:] == b"ftyp":
        return b".m4a"
    if head[:4] in BEGINNINGS:  # nearly always
        return BEGINNINGS[head[:4]]
    return next((BEGINNINGS[one] for one in BEGINNINGS if head.startswith(one)), b"")


def behind_junk(window: Window, end: int) -> int | None:
    """The offset of the first ID3v2 tag in the junk before `end`, where the sound begins."""
    junk = window.peek(0, min(end, JUNK_LIMIT))
    at = junk.find(b"ID3")
    while at >= 0:
        size = size_of(window.peek(at, HEADER_SIZE))
        if size and at + size <= window.size and junk[at + 3] in VERSIONS:
            return at
        at = junk.find(b"ID3", at + 1)
    return None
