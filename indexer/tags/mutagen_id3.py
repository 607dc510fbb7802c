"""ID3 tags that our own reader declines -> their texts, as mutagen parses them, within bounds.

mutagen (1.48) has none: it inflates a compressed frame whatever comes of it (1 MB of a file can
become gigabytes), copies the rest of a tag for each frame (8 MB of tiny ones take minutes, 64 MB
hours), and the rest of a frame for each text in it. So the walk over the frames is done here, by
its rules, and a frame that is too much is dropped, as any other that mutagen cannot parse. See the
tests of tags that are bombs.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from mutagen.id3 import APIC, ID3, UFID, ID3NoHeaderError, TextFrame, _frames, _tags
from mutagen.id3._specs import EncodedTextSpec, MultiSpec, SpecError
from mutagen.id3._util import (
    BitPaddedInt,
    ID3EncryptionUnsupportedError,
    ID3JunkFrameError,
    unsynch,
)

from indexer.tags.fast.id3 import Tag
from indexer.tags.frames import TEXT_LIMIT, VALUES_LIMIT, WANTED, Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from indexer.tags.window import Window

WIDE = (1, 2)
"""Encodings of two bytes a letter (ID3v2.4.0-structure, 4)."""
FRAMES_LIMIT: Final = 1000
"""Frames of ours that are read of one tag. A guess: a file has 20, and mutagen goes over all that
have the same key for each of them."""
TAG_TEXTS_LIMIT: Final = 5000
"""Texts in all of them; mutagen holds each against those of the same key before it."""
TAG_TEXT_BYTES: Final = 4 * TEXT_LIMIT
"""Bytes of all its text frames. A guess: mutagen takes UTF-16 byte by byte, 0.2 s a megabyte."""
INFLATED_LIMIT: Final = 16 * 2**20
"""Bytes that a compressed frame may become: a large picture, which compresses by little."""
STEPS_LIMIT: Final = 100_000
"""Frames of any kind that are walked over. A guess: of a few bytes each they take 0.1 s."""

_OURS: Final = frozenset(WANTED.values())
_HEADER: Final = Struct(">4sLH")
_SHORT_HEADER: Final = Struct(">3sBH")


class _Inflating:
    """As much of zlib as mutagen uses, with an end to it."""

    error = zlib.error

    @staticmethod
    def decompress(data: bytes) -> bytes:
        """Raises zlib.error where it would become more than `INFLATED_LIMIT`, or is cut short."""
        inflater = zlib.decompressobj()
        found = inflater.decompress(data, INFLATED_LIMIT)
        if not inflater.eof:
            raise zlib.error("cut short, or more than any frame has")
        return found


def _read_texts(spec: MultiSpec, header: object, frame: object, data: bytes) -> object:
    """A list of texts as mutagen reads it, unless that would take for ever."""
    terminator = b"\0\0" if getattr(frame, "encoding", 0) in WIDE else b"\0"
    if len(data) > TEXT_LIMIT or data.count(terminator) > VALUES_LIMIT:
        raise SpecError("more text than any tag has")
    return _mutagens_texts(spec, header, frame, data)


def _read_text(spec: EncodedTextSpec, header: object, frame: object, data: bytes) -> object:
    """One text before others or a picture; the end of one in UTF-16 is looked for byte by byte."""
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
    """The frames of ours in a tag, those mutagen cannot read, and what is left: as mutagen says."""
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
        except (ID3EncryptionUnsupportedError, NotImplementedError, ID3JunkFrameError):
            continue
        texts += len(getattr(frame, "text", ()))
        found.append(frame)
    return found, [], data[walk.at :]


class _Walk:
    """The frames of a tag's data, one after another, of which `steps` were met.

    `at` is where the next one begins.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        self.steps = 0

    def frames(self, size_of: Callable[[int], int]) -> Iterator[tuple[bytes, int, int, int]]:
        """Name, flags, begin and end of each that is not empty, of ID3v2.3 and 2.4."""
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
        """The same of ID3v2.2."""
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
    """The class, of mutagen's, of the frames of this name; None where no column comes of them."""
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
    return kind


def _sizes_in(data: bytes, known: Mapping[str, Any]) -> Callable[[int], int]:
    """How ID3v2.4 frames say their size: in seven bits a byte, or in eight as iTunes once wrote.

    As mutagen finds it out, unless the tag is all headers, over which it would go to the end.
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


def tag_in(window: Window, *, with_v1: bool) -> Tag:
    """The tags of a file."""
    window.seek(0)
    try:
        return tag_of(ID3(window, load_v1=with_v1))
    except ID3NoHeaderError:
        return Tag([])


def tag_of(tags: ID3) -> Tag:
    """What mutagen parsed, in our words."""
    found: list[Frame] = []
    has_picture = False
    for key, frame in tags.items():
        if isinstance(frame, TextFrame):
            found.append((key, [str(text) for text in frame.text], {}))
        elif isinstance(frame, UFID):
            found.append((key, [frame.data.decode("utf-8", "replace")], {}))
        elif isinstance(frame, APIC):
            has_picture = has_picture or bool(frame.data.strip(b"\0"))
    return Tag(found, has_picture, getattr(tags, "size", 0))
