"""Tags -> the bytes of a tagged MP3 or FLAC file, many times as fast as by mutagen.

For libraries of millions of files: the bytes are those of `corpus.tagged`, which a test holds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial

from tests.corpus import tagged, template
from tests.taggers import TEXT_FRAMES, USER_TEXTS, VORBIS_KEYS

Tags = Mapping[str, str | int]
FIRST_FRAMES = ("TIT2", "TPE1", "TRCK", "TALB", "TPOS", "TDRC", "TCON")
"""mutagen's order; the shorter of the others come sooner (mutagen.id3._tags)."""
_STREAM_INFO = 4 + 4 + 34
"""Bytes of a FLAC file before its comments, which come second in the template."""


def quickly(suffix: str, id3_version: int, tags: Tags) -> bytes:
    """The bytes of a file without a picture, of any suffix."""
    writer = QUICK.get(suffix)
    if writer is None:
        return tagged(suffix, picture=None, id3_version=id3_version, **tags)
    return writer(id3_version, tags)


def _mp3(version: int, tags: Tags) -> bytes:
    """ID3v2.4.0-structure 3.1 and 4, id3v2.3.0 3.1 and 3.3."""
    text = _utf8 if version == 4 else _utf16
    size = _syncsafe if version == 4 else partial(struct.pack, ">I")
    frames = sorted(_frames(version, tags, text), key=_rank)
    body = b"".join(
        name.encode() + size(len(content)) + b"\0\0" + content for name, _, content in frames
    )
    return b"ID3" + bytes((version, 0, 0)) + _syncsafe(len(body)) + body + template(".mp3")


def _frames(
    version: int, tags: Tags, text: Callable[[str], bytes]
) -> Iterator[tuple[str, str, bytes]]:
    """Name, mutagen's name, content."""
    encoding = b"\3" if version == 4 else b"\1"
    for column, value in tags.items():
        words = str(value)
        if column == "comment":
            yield "COMM", "COMM::eng", encoding + b"eng" + text("") + text(words)
        elif column == "mb_trackid":
            owner = "http://musicbrainz.org"
            yield "UFID", f"UFID:{owner}", f"{owner}\0{words}".encode()
        elif column in USER_TEXTS:
            name = USER_TEXTS[column]
            yield "TXXX", f"TXXX:{name}", encoding + text(name) + text(words)
        elif column == "date" and version == 3:
            year, _, month = words.partition("-")
            yield "TYER", "TYER", encoding + text(year)
            if month:
                yield "TDAT", "TDAT", encoding + text("".join(reversed(month.split("-"))))
        elif column in TEXT_FRAMES:
            yield TEXT_FRAMES[column], TEXT_FRAMES[column], encoding + text(words)
    for column, name in (("track", "TRCK"), ("disc", "TPOS")):
        yield name, name, encoding + text(f"{tags[column]}/{tags[f'{column}_total']}")


def _rank(frame: tuple[str, str, bytes]) -> tuple[int, int, str]:
    name, key, content = frame
    first = FIRST_FRAMES.index(name) if name in FIRST_FRAMES else len(FIRST_FRAMES)
    return first, len(content), key


def _flac(_version: int, tags: Tags) -> bytes:
    """FLAC's block 4 (RFC 9639 8.6): the vendor, a count, and the comments."""
    head, vendor, rest = _around_comments()
    comments = [
        f"{VORBIS_KEYS.get(column, column.upper())}={value}".encode()
        for column, value in tags.items()
    ]
    body = vendor + struct.pack("<I", len(comments))
    body += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    return head + struct.pack(">I", 4 << 24 | len(body)) + body + rest


@cache
def _around_comments() -> tuple[bytes, bytes, bytes]:
    """An untagged file before its comments, their vendor, and what follows."""
    whole = tagged(".flac")
    (header,) = struct.unpack_from(">I", whole, _STREAM_INFO)
    begin = _STREAM_INFO + 4
    end = begin + (header & 0xFFFFFF)
    return whole[:_STREAM_INFO], whole[begin : end - 4], whole[end:]


def _utf8(words: str) -> bytes:
    return f"{words}\0".encode()


def _utf16(words: str) -> bytes:
    return b"\xff\xfe" + f"{words}\0".encode("utf-16-le")


def _syncsafe(number: int) -> bytes:
    """Seven bits in each of four bytes (ID3v2.4.0-structure 6.2)."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


QUICK: dict[str, Callable[[int, Tags], bytes]] = {".mp3": _mp3, ".flac": _flac}
