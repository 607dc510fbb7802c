"""ID3 tags that our own reader declines -> their texts, parsed by mutagen within bounds.

mutagen (1.48) has no bounds: it inflates a compressed frame to any size (1 MB of a file can become
gigabytes), copies the rest of a tag for each frame (8 MB of tiny ones take minutes, 64 MB hours),
and the rest of a frame for each text in it. So the frames are iterated here, by mutagen's rules,
and a frame above a limit is dropped, like any other that mutagen cannot parse. See the tests of
tags that are bombs.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from io import BytesIO
from struct import Struct, error
from typing import TYPE_CHECKING, Any, Final

from mutagen.id3 import (
    APIC,
    COMM,
    ID3,
    RVA2,
    TCON,
    UFID,
    BinaryFrame,
    Frames,
    Frames_2_2,
    ID3NoHeaderError,
    PairedTextFrame,
    TextFrame,
    UrlFrame,
    _frames,
    _tags,
)
from mutagen.id3._specs import EncodedTextSpec, MultiSpec, SpecError
from mutagen.id3._util import (
    BitPaddedInt,
    ID3EncryptionUnsupportedError,
    ID3JunkFrameError,
    unsynch,
)

from indexer.tags import columns, leading, mutagens_errors
from indexer.tags.code_pages import legacy_text
from indexer.tags.fast.id3 import WITH_LYRICS, Tag
from indexer.tags.further import NOTHING
from indexer.tags.id3 import id3_dates
from indexer.tags.id3.frames import (
    LYRICS,
    SKIMMED_HEAD,
    TEXT_LIMIT,
    V23,
    V24,
    VALUES_LIMIT,
    WANTED,
    Frame,
    column_of,
    holds_lyrics,
    is_name,
    volume_texts,
)
from indexer.tags.id3.other_frames import frames_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from indexer.tags.further import Keep
    from indexer.tags.window import Window

WIDE = (1, 2)
"""Encodings of two bytes per character (ID3v2.4.0-structure, 4)."""
FRAMES_LIMIT: Final = 1000
"""Maximum frames for our columns in one tag. A guess: a file has 20, and mutagen compares each of
them with all others of the same key."""
TAG_TEXTS_LIMIT: Final = 5000
"""Maximum texts in all of them; mutagen compares each with the earlier ones of its key."""
TAG_TEXT_BYTES: Final = 4 * TEXT_LIMIT
"""Maximum bytes of all text frames. A guess: mutagen reads UTF-16 byte by byte, 0.2 s per MB."""
INFLATED_LIMIT: Final = 16 * 2**20
"""Maximum bytes of an inflated frame: a large picture, which hardly compresses."""
STEPS_LIMIT: Final = 100_000
"""Maximum frames of any kind. A guess: with a few bytes each they take 0.1 s."""

MENDED_LIMIT: Final = 16 * 2**20
"""Maximum bytes that are read of a tag that mutagen refuses. A guess: covers are smaller."""
LATIN_1: Final = b"\0"
UTF_8: Final = b"\x03"
"""The first and the last of the encodings (ID3v2.4.0-structure, 4)."""
GROUPED: Final = {V23: 0x20, V24: 0x40}
COMPRESSED_V23: Final = 0x80
UNSYNCHRONISED_V24: Final = 0x02
"""Flags of a frame (ID3v2.3.0, 3.3.1; ID3v2.4.0-structure, 4.1.2)."""
LINK: Final = "-->"
"""MIME type of a picture that is elsewhere (ID3v2.4.0-frames, 4.14)."""
UNSYNCHRONISED: Final = 0x80
EXTENDED: Final = 0x40
"""Flags of a tag (ID3v2.4.0-structure, 3.1)."""

_STAMPS: Final = {name: type(name, (TextFrame,), {}) for name in id3_dates.STAMPS}
"""Frames of a time stamp with their texts as they are in the file: mutagen's own keep no part that
is not a number."""


def _key_of_lyrics(frame: BinaryFrame) -> str:
    """A key of its own for each frame: mutagen would keep only the last one."""
    return f"{frame.FrameID}:{frame.data!r}"


_LYRICS: Final = {
    name: type(name, (BinaryFrame,), {"HashKey": property(_key_of_lyrics)})
    for name in (LYRICS, "SYLT")
}
"""Frames of lyrics unparsed, since one that is broken may hold some."""


class _Every(dict[str, Any]):
    """mutagen's frames by name; all that are texts, links or persons are wanted."""


_EVERY: Final = _Every(Frames | Frames_2_2)
_OTHERS: Final = (TextFrame, UrlFrame, PairedTextFrame)
_OURS: Final = frozenset(WANTED.values())
_NO_FRAME: Final = (
    ID3EncryptionUnsupportedError,
    NotImplementedError,
    ID3JunkFrameError,
    error,
    IndexError,
)
"""Exceptions that cost a frame; the last two are of an RVA2 that is cut short."""
_HEADER: Final = Struct(">4sLH")
_SHORT_HEADER: Final = Struct(">3sBH")


class _Inflating:
    """The part of zlib that mutagen uses, with a size limit."""

    error = zlib.error

    @staticmethod
    def decompress(data: bytes) -> bytes:
        """Raises zlib.error if the result exceeds `INFLATED_LIMIT`, or the data is truncated."""
        inflater = zlib.decompressobj()
        found = inflater.decompress(data, INFLATED_LIMIT)
        if not inflater.eof:
            raise zlib.error("cut short, or more than any frame has")
        return found


def _read_texts(spec: MultiSpec, header: object, frame: object, data: bytes) -> object:
    """A list of texts as mutagen reads it, within limits."""
    terminator = b"\0\0" if getattr(frame, "encoding", 0) in WIDE else b"\0"
    if data.count(terminator) > VALUES_LIMIT:
        data = data.rstrip(b"\0")  # padding
        data += bytes(len(data) % len(terminator))
    if len(data) > TEXT_LIMIT or data.count(terminator) > VALUES_LIMIT:
        raise SpecError("more text than any tag has")
    return _mutagens_texts(spec, header, frame, data)


def _read_text(spec: EncodedTextSpec, header: object, frame: object, data: bytes) -> object:
    """A text before other texts or a picture; mutagen searches its end byte by byte in UTF-16."""
    if len(data) > TEXT_LIMIT and getattr(frame, "encoding", 0) in WIDE:
        head = data[:TEXT_LIMIT].decode("utf-16-le", "replace")
        if "\0" not in head:
            raise SpecError("more text than any tag has")
    return _mutagens_text(spec, header, frame, data)


def _read_frames(
    header: Any,  # noqa: ANN401 - mutagen's, of the tag
    data: bytes,
    known: Mapping[str, Any],
) -> tuple[list[Any], list[bytes], bytes]:
    """The frames for our columns, those that mutagen cannot read, and the remaining bytes."""
    if header.version < header._V24 and header.f_unsynch:  # noqa: SLF001
        with suppress(ValueError):
            data = unsynch.decode(data)
    walk = _Walk(data)
    if header.version < header._V23:  # noqa: SLF001
        frames = walk.short_frames()
    else:
        size_of: Callable[[int], int] = int
        if header.version >= header._V24:  # noqa: SLF001
            size_of = _sizes_in(data, known)
        frames = walk.frames(size_of)
    found: list[Any] = []
    texts = text_bytes = 0
    for name, flags, begin, end in frames:
        kind = _kind_of(name, known)
        if kind is None:
            continue
        content = data[begin:end]
        if not issubclass(kind, (APIC, BinaryFrame)):
            text_bytes += len(content)
        if len(found) >= FRAMES_LIMIT or texts > TAG_TEXTS_LIMIT or text_bytes > TAG_TEXT_BYTES:
            break
        content = _without_group(header, flags, content)
        frame = _frame(kind, header, flags, content)
        if frame is None:
            continue
        if kind in _STAMPS.values():  # before mutagen merges frames with equal texts
            frame.text = [id3_dates.stamp(text) for text in frame.text]
        texts += len(getattr(frame, "text", ()))
        found.append(frame)
    return found, [], data[walk.at :]


def _frame(
    kind: Any,  # noqa: ANN401 - a class of mutagen's
    header: Any,  # noqa: ANN401 - mutagen's, of the tag
    flags: int,
    content: bytes,
) -> Any:  # noqa: ANN401 - mutagen's
    """The frame; None for one that mutagen cannot parse.

    A text that is declared as UTF-8 and is none, as old taggers wrote it, is taken for one of a
    code page, and the description of a picture for Latin-1.
    """
    with suppress(*_NO_FRAME):
        return kind._fromData(header, flags, content)  # noqa: SLF001
    if content[:1] == UTF_8 and len(content) <= TEXT_LIMIT:
        text = content[1:]
        is_text = issubclass(kind, (TextFrame, PairedTextFrame))
        mended = UTF_8 + legacy_text(text).encode() if is_text else LATIN_1 + text
        with suppress(*_NO_FRAME):
            return kind._fromData(header, flags, mended)  # noqa: SLF001
    return None


def _without_group(
    header: Any,  # noqa: ANN401 - mutagen's, of the tag
    flags: int,
    content: bytes,
) -> bytes:
    """A frame's content without the byte that names its group, which mutagen (1.48) leaves in it.

    It comes first in ID3v2.4 (ID3v2.4.0-structure, 4.1.2), and behind the size of a compressed
    frame in ID3v2.3 (ID3v2.3.0, 3.3.1). If an encoding is there instead, the flag is wrong.
    """
    version = header.version[1]
    if not flags & GROUPED.get(version, 0):
        return content
    at, width = 0, 1
    if version == V23:
        at = 4 if flags & COMPRESSED_V23 else 0
    elif header.f_unsynch or flags & UNSYNCHRONISED_V24:
        width = 2 if content.startswith(b"\xff\0") else 1
    if content[at : at + 1] <= UTF_8 < content[at + width : at + width + 1]:
        return content
    return content[:at] + content[at + width :]


class _Walk:
    """Iterates over the frames of a tag's data; `steps` counts them.

    `at` is the offset of the next one.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        self.steps = 0

    def frames(self, size_of: Callable[[int], int]) -> Iterator[tuple[bytes, int, int, int]]:
        """Name, flags, begin and end of each frame of ID3v2.3 or 2.4 that is not empty."""
        data = self._data
        while self.at + _HEADER.size <= len(data) and self.steps < STEPS_LIMIT:
            self.steps += 1
            name, size, flags = _HEADER.unpack_from(data, self.at)
            if not name.strip(b"\0"):
                return
            begin = self.at + _HEADER.size
            self.at = begin + size_of(size)
            if self.at > begin:
                yield name, flags, begin, self.at

    def short_frames(self) -> Iterator[tuple[bytes, int, int, int]]:
        """Like `frames`, for ID3v2.2."""
        data = self._data
        while self.at + _SHORT_HEADER.size <= len(data) and self.steps < STEPS_LIMIT:
            self.steps += 1
            name, high, low = _SHORT_HEADER.unpack_from(data, self.at)
            if not name.strip(b"\0"):
                return
            begin = self.at + _SHORT_HEADER.size
            self.at = begin + (high << 16 | low)
            if self.at > begin:
                yield name, 0, begin, self.at


def _kind_of(name: bytes, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a class of mutagen's
    """Find mutagen's class for frames of this name; None if they fill no column."""
    try:
        text = name.decode("ascii")
    except UnicodeDecodeError:
        return None
    if len(text) == 4 and text.endswith("\0"):  # taggers write 2.3 frames with 2.2 names
        short = Frames_2_2.get(text[:-1])
        text = "" if short is None else short.__base__.__name__
    kind = known.get(text)
    if kind is None:
        return None
    if _OURS.isdisjoint((text, kind.__base__.__name__)):
        return kind if isinstance(known, _Every) and issubclass(kind, _OTHERS) else None
    lyrics = _LYRICS.get(text) or _LYRICS.get(kind.__base__.__name__)
    return lyrics or _STAMPS.get(kind.__name__, kind)


def _sizes_in(data: bytes, known: Mapping[str, Any]) -> Callable[[int], int]:
    """How ID3v2.4 frames encode their size: 7 bits per byte, or 8 as old versions of iTunes wrote.

    Determined as in mutagen, except for a tag of headers only, which mutagen would walk to the end.
    """
    for size_of in (BitPaddedInt, int):
        walk = _Walk(data)
        for _ in walk.frames(size_of):
            pass
        if walk.steps >= STEPS_LIMIT:
            return BitPaddedInt  # type: ignore[no-any-return]
    return _tags.determine_bpi(data, known)  # type: ignore[no-any-return]


_tags.read_frames = _read_frames
_frames.zlib = _Inflating
_mutagens_texts, MultiSpec.read = MultiSpec.read, _read_texts
_mutagens_text, EncodedTextSpec.read = EncodedTextSpec.read, _read_text
"""Until mutagen (1.48) has limits of its own: see the tests of tags that are bombs."""


class _ID3At(ID3):
    """ID3 tags that begin at `begin`, as in a chunk."""

    begin = 0

    def _pre_load_header(self, file: Window) -> None:
        file.seek(self.begin)


def tag_at(window: Window, begin: int = 0, *, with_v1: bool = True) -> Tag:
    """The ID3v2 tag at an offset; an empty one without any, or if it is beyond repair.

    `with_v1`: with the ID3v1 tag at the file's end for what it lacks.
    """
    tags = _ID3At()
    tags.begin = begin
    try:
        tags.load(window, _known(window.keep), translate=False, load_v1=with_v1)
    except ID3NoHeaderError:
        return Tag([])
    except mutagens_errors():
        if window.fault is not None:
            raise
        return _mended(window, begin)
    return tag_of(tags, window.keep)


def _known(keep: Keep) -> _Every | None:
    return _EVERY if keep else None


def _mended(window: Window, begin: int) -> Tag:
    """The tag at an offset without what mutagen refuses: flags, extended header, and size.

    Its frames are lost if it is not clear where they begin.
    """
    header = window.peek(begin, leading.HEADER_SIZE)
    size = leading.size_of(header)
    if not size:
        return Tag([])
    content = window.peek(begin + len(header), min(size - len(header), MENDED_LIMIT))
    flags = header[5]
    skipped = _extended_size(header[3], content) if flags & EXTENDED else 0
    tags = ID3()
    if skipped is not None:
        content = content[skipped:]
        sizes = BitPaddedInt.to_str(len(content), width=4)
        mended = header[:4] + bytes([0, flags & UNSYNCHRONISED]) + sizes + content
        with suppress(*mutagens_errors()):
            tags.load(BytesIO(mended), _known(window.keep), translate=False, load_v1=False)
    tag = tag_of(tags, window.keep)
    tag.size = size
    return tag


def _extended_size(version: int, content: bytes) -> int | None:
    """Bytes of the extended header at the beginning of a tag; None if its size is none it can have.

    The flag may be set without such a header. Sources: ID3v2.3.0, 3.2 (a size of 6 or 10, without
    itself); ID3v2.4.0-structure, 3.2 (synchsafe, at least 6, with itself).
    """
    size = int.from_bytes(content[:4])
    if is_name(content[:4]):
        return 0
    if version == V23:
        return 4 + size if size in {6, 10} else None
    if not BitPaddedInt.has_valid_padding(content[:4]):
        return None
    size = int(BitPaddedInt(content[:4]))
    return size if 6 <= size <= len(content) else None


def tag_of(tags: ID3, keep: Keep = NOTHING) -> Tag:
    """Convert mutagen's tags to ours.

    They are loaded with `translate=False`: else mutagen drops dates that it cannot parse.
    """
    found: list[Frame] = []
    others: list[Frame] = []
    has_picture = has_lyrics = False
    for key, frame in tags.items():
        if isinstance(frame, BinaryFrame):
            name = type(frame).__name__
            has_lyrics |= holds_lyrics(name, frame.data[:SKIMMED_HEAD], len(frame.data))
        elif isinstance(frame, APIC):
            is_link = frame.mime == LINK
            has_picture = has_picture or (bool(frame.data.strip(b"\0")) and not is_link)
        elif keep and _is_other(key, frame):
            others += frames_of(key, _texts_of(frame), keep)
        else:
            found.append((key, _texts_in(frame), {}))
    for at, (key, texts, part) in enumerate(found):
        if key not in id3_dates.KEYS and not columns.texts(texts):
            found[at] = key, [], part
    found += others
    if has_lyrics:
        found.append(WITH_LYRICS)
    version = V24 if tags.version[1] == V24 else V23
    return Tag(found, has_picture, getattr(tags, "size", 0), version)


def _is_other(key: str, frame: object) -> bool:
    """Whether a frame fills no column."""
    if isinstance(frame, (UrlFrame, PairedTextFrame)):
        return True
    is_text = isinstance(frame, TextFrame) and not isinstance(frame, (COMM, TCON))
    return is_text and key not in id3_dates.KEYS and column_of(key) is None


def _texts_in(frame: object) -> list[str]:
    """The texts of a frame that fills columns; none of any other."""
    if isinstance(frame, TCON):
        return list(frame.genres)
    if isinstance(frame, TextFrame):
        return [str(text) for text in frame.text]
    if isinstance(frame, UFID):
        return [frame.data.decode("utf-8", "replace")]
    if isinstance(frame, RVA2):
        return volume_texts(frame.channel, frame.gain, frame.peak)
    return []


def _texts_of(frame: TextFrame | UrlFrame | PairedTextFrame) -> list[str]:
    if isinstance(frame, PairedTextFrame):
        return [str(text) for pair in frame.people for text in pair]
    return [str(text) for text in (frame.text if isinstance(frame, TextFrame) else [frame.url])]
