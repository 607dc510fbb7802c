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
from struct import Struct, error
from typing import TYPE_CHECKING, Any, Final

from mutagen.id3 import APIC, ID3, RVA2, TCON, UFID, ID3NoHeaderError, TextFrame, _frames, _tags
from mutagen.id3._specs import EncodedTextSpec, MultiSpec, SpecError
from mutagen.id3._util import (
    BitPaddedInt,
    ID3EncryptionUnsupportedError,
    ID3JunkFrameError,
    unsynch,
)

from indexer.tags import columns, id3_dates
from indexer.tags.fast.id3 import V23, V24, Tag
from indexer.tags.frames import TEXT_LIMIT, VALUES_LIMIT, WANTED, Frame, volume_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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

_STAMPS: Final = {name: type(name, (TextFrame,), {}) for name in id3_dates.STAMPS}
"""Frames of a time stamp with their texts as they are in the file: mutagen's own keep no part that
is not a number."""
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
        if not issubclass(kind, APIC):
            text_bytes += len(content)
        if len(found) >= FRAMES_LIMIT or texts > TAG_TEXTS_LIMIT or text_bytes > TAG_TEXT_BYTES:
            break
        try:
            frame = kind._fromData(header, flags, content)  # noqa: SLF001
        except _NO_FRAME:
            continue
        if kind in _STAMPS.values():  # before mutagen merges frames with equal texts
            frame.text = [id3_dates.stamp(text) for text in frame.text]
        texts += len(getattr(frame, "text", ()))
        found.append(frame)
    return found, [], data[walk.at :]


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
        short = _tags.Frames_2_2.get(text[:-1])
        text = "" if short is None else short.__base__.__name__
    kind = known.get(text)
    if kind is None or _OURS.isdisjoint((text, kind.__base__.__name__)):
        return None
    return _STAMPS.get(kind.__name__, kind)


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


def tag_in(window: Window) -> Tag:
    """The file's ID3v2 tag; an empty one without any."""
    window.seek(0)
    try:
        return tag_of(ID3(window, translate=False, load_v1=False))
    except ID3NoHeaderError:
        return Tag([])


class _ID3At(ID3):
    """ID3 tags that begin at `begin`, as in a chunk."""

    begin = 0

    def _pre_load_header(self, file: Window) -> None:
        file.seek(self.begin)


def tag_at(window: Window, begin: int) -> Tag:
    """The tag at an offset, and the ID3v1 tag at the file's end for what it lacks."""
    tags = _ID3At()
    tags.begin = begin
    try:
        tags.load(window, translate=False)
    except ID3NoHeaderError:
        return Tag([])
    return tag_of(tags)


def tag_of(tags: ID3) -> Tag:
    """Convert mutagen's tags to ours.

    They are loaded with `translate=False`: else mutagen drops dates that it cannot parse.
    """
    found: list[Frame] = []
    has_picture = False
    for key, frame in tags.items():
        if isinstance(frame, TCON):
            found.append((key, list(frame.genres), {}))
        elif isinstance(frame, TextFrame):
            found.append((key, [str(text) for text in frame.text], {}))
        elif isinstance(frame, UFID):
            found.append((key, [frame.data.decode("utf-8", "replace")], {}))
        elif isinstance(frame, RVA2):
            found.append((key, volume_texts(frame.channel, frame.gain, frame.peak), {}))
        elif isinstance(frame, APIC):
            has_picture = has_picture or bool(frame.data.strip(b"\0"))
    for at, (key, texts, part) in enumerate(found):
        if key not in id3_dates.KEYS and not columns.texts(texts):
            found[at] = key, [], part
    version = V24 if tags.version[1] == V24 else V23
    return Tag(found, has_picture, getattr(tags, "size", 0), version)
