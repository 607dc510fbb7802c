"""A file that no reader accepts -> what it is instead, in plain words.

Only its first bytes and the heads of its outer boxes are looked at. The signatures are those of the
formats' own specifications.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

ReadAt = Callable[[int, int], bytes]
"""(offset, size) -> up to so many bytes of the file."""

_HEAD: Final = 4096
_MOST_BOXES: Final = 64
_SIGNATURES: Final = (
    (b"ID3", "MPEG audio"),
    (b"fLaC", "FLAC"),
    (b"OggS", "Ogg"),
    (b"RIFF", "WAVE"),
    (b"RF64", "WAVE"),
    (b"riff\x2e\x91\xcf\x11", "Wave64"),
    (b"FORM", "AIFF"),
    (b"FRM8", "DSD"),
    (b"DSD ", "DSD"),
    (b"caff", "Core Audio"),
    (b"MAC ", "Monkey's Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"OFR ", "OptimFROG"),
    (b"tBaK", "TAK"),
    (b"TTA1", "True Audio"),
    (b"wvpk", "WavPack"),
    (b"\x0b\x77", "Dolby Digital"),
    (b"0&\xb2u\x8ef\xcf\x11", "Windows Media"),
    (b"\x1aE\xdf\xa3", "Matroska"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program for Windows"),
    (b"SQLite format 3\0", "an SQLite database"),
)
_BOXES: Final = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp"))
"""Boxes with which MP4 files begin (ISO/IEC 14496-12, 4.3 and 8; QuickTime)."""
_NAMES: Final = {
    b".mp3": ("an MP3", "MPEG audio"),
    b".mp2": ("an MP2", "MPEG audio"),
    b".aac": ("an AAC file", "MPEG audio"),
    b".ac3": ("an AC-3 file", "Dolby Digital"),
    b".eac3": ("an E-AC-3 file", "Dolby Digital"),
    b".m4a": ("an MP4", "MP4"),
    b".m4b": ("an MP4", "MP4"),
    b".mp4": ("an MP4", "MP4"),
    b".alac": ("an MP4", "MP4"),
    b".flac": ("a FLAC", "FLAC"),
    b".ogg": ("an Ogg", "Ogg"),
    b".oga": ("an Ogg", "Ogg"),
    b".opus": ("an Opus file", "Ogg"),
    b".spx": ("a Speex file", "Ogg"),
    b".mka": ("a Matroska file", "Matroska"),
    b".webm": ("a WebM file", "Matroska"),
    b".weba": ("a WebM file", "Matroska"),
    b".wma": ("a Windows Media file", "Windows Media"),
    b".asf": ("a Windows Media file", "Windows Media"),
    b".wav": ("a WAVE file", "WAVE"),
    b".bwf": ("a WAVE file", "WAVE"),
    b".w64": ("a Wave64 file", "Wave64"),
    b".aif": ("an AIFF file", "AIFF"),
    b".aiff": ("an AIFF file", "AIFF"),
    b".aifc": ("an AIFF file", "AIFF"),
    b".caf": ("a Core Audio file", "Core Audio"),
    b".dsf": ("a DSD file", "DSD"),
    b".dff": ("a DSD file", "DSD"),
    b".ape": ("a Monkey's Audio file", "Monkey's Audio"),
    b".mpc": ("a Musepack file", "Musepack"),
    b".ofr": ("an OptimFROG file", "OptimFROG"),
    b".tak": ("a TAK file", "TAK"),
    b".tta": ("a True Audio file", "True Audio"),
    b".wv": ("a WavPack file", "WavPack"),
}
_SIZES: Final[tuple[tuple[bytes, int, int, Literal["little", "big"], int], ...]] = (
    (b"RIFF", 4, 4, "little", 8),
    (b"FORM", 4, 4, "big", 8),
    (b"DSD ", 12, 8, "little", 0),
)
"""Where the head tells the size of the file: magic, offset, bytes, order, bytes that it leaves out
(EA IFF 85; DSF 1.01, "DSD chunk")."""
_ASF_FILE: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""The File Properties Object; its file size is at byte 40 (ASF 3.2)."""
_ASF_SIZE_AT: Final = 40


def plain_reason(read_at: ReadAt, size: int, suffix: bytes) -> str:
    """What is wrong with a file of `size` bytes that was refused, for people."""
    head = read_at(0, _HEAD)
    if not head:
        return "the file is empty"
    name, own = _NAMES.get(suffix, (f"a {suffix.decode('ascii', 'replace')} file", ""))
    found = content_of(head)
    is_audio = found is None or not found.startswith(("a ", "an "))  # its content decides
    announced = _announced(read_at, head) if is_audio else None
    if announced is not None and announced > size:
        return f"cut short: {_of(size, announced)} are there"
    if not head.strip(b"\0"):
        return f"not {name}: its content is zeros, as of a copy that did not end"
    if found is None:
        return f"not {name}: its content is not known"
    if found == own:
        return f"damaged or cut short: {_of(size)} are there"
    return f"not {name}: its content is {found}"


def content_of(head: bytes) -> str | None:
    """What a file is by its first bytes, in plain words; None where nothing is known of them."""
    if head[4:8] in _BOXES:
        return "MP4"
    if head.startswith(b"RIFF") and not b"WAVE".startswith(head[8:12]):
        return "a picture" if head[8:12] == b"WEBP" else "a video"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "MPEG audio"
    return _text_of(head)


def _text_of(head: bytes) -> str | None:
    """Text in UTF-8 without control characters, the last letter of which may be cut off."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8-sig")
    if any(letter < " " and letter not in "\t\n\r\f" for letter in text):
        return None
    begin = text.lstrip()[:100].lower()
    return "a web page" if begin.startswith(("<!doctype html", "<html")) else "text"


def _announced(read_at: ReadAt, head: bytes) -> int | None:
    """How many bytes the file says that it has, at least; None where it does not say.

    Of MPEG audio that is its tag (ID3v2.4.0-structure 3.1: four bytes of seven bits).
    """
    if head[4:8] in _BOXES:
        return max(_ends_of_boxes(read_at), default=None)
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 0x80:
        first, second, third, last = head[6:10]
        return 10 + (first << 21 | second << 14 | third << 7 | last)
    for magic, at, width, order, before in _SIZES:
        if head.startswith(magic) and len(head) >= at + width:
            return before + int.from_bytes(head[at : at + width], order)
    at = head.find(_ASF_FILE) + _ASF_SIZE_AT
    if at >= _ASF_SIZE_AT and len(head) >= at + 8:
        return int.from_bytes(head[at : at + 8], "little")
    return None


def _ends_of_boxes(read_at: ReadAt) -> Iterator[int]:
    """Where each outer box of an MP4 file ends (ISO/IEC 14496-12, 4.2)."""
    at = 0
    for _ in range(_MOST_BOXES):
        head = read_at(at, 16)
        if len(head) < 8 or not head[4:8].isalnum():
            return
        size = int.from_bytes(head[:4], "big")
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:], "big")
        if size < 8:
            return
        at += size
        if at >= 1 << 62:
            return
        yield at


def cut_short(size: int, share: float, *, at_least: bool = False) -> str:
    """How much of a file of `size` bytes is there, by its share; see `extent.share_there`.

    `at_least`: its format does not tell how much more there should be.
    """
    if share * 1000 < 1:
        return f"cut short: {_of(size)} are there, and none of the sound"
    words = _of(size, round(size / share))
    return f"cut short: {words.replace(' of ', ' of at least ') if at_least else words} are there"


def _of(size: int, whole: int | None = None) -> str:
    """`1.2 of 4.7 MB`: both in the unit of the larger, which is a decimal one."""
    unit, name = next(
        (unit, name)
        for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "KB"), (1, "B"))
        if (whole or size) >= unit or unit == 1
    )
    if unit == 1:
        return f"{size} of {whole} B" if whole is not None else f"{size} B"
    there = f"{size / unit:.1f}"
    return f"{there} {name}" if whole is None else f"{there} of {whole / unit:.1f} {name}"
