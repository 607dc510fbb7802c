"""An open file of which the tags were read -> its essence: 16 bytes that identify its sound.

A tagger that writes other tags, and a program that moves the sound within its file, leaves the
essence as it is; another recording has another one. It is blake2b of the codec, the length of the
sound in bytes, and `PIECE` bytes from the middle of it: not from its beginning, which is silent in
many recordings, so that two that have the same length would look alike. Where the middle is silent,
too, other places are added. Where a format tells more, that is taken: FLAC has a checksum of the
whole sound.

Of formats that a remuxer cuts anew (Ogg, Matroska, WavPack) neither length nor middle is stable:
see the modules here. One read more than for the tags is enough for nearly all files, since the
readers say where they met the sound (`Window.sound`).
"""

from __future__ import annotations

from _blake2 import blake2b  # `hashlib` would load 3 MB of OpenSSL into a daemon
from functools import cache
from importlib import import_module
from struct import error
from typing import TYPE_CHECKING, Final

from indexer.tags import leading
from indexer.tags.window import end_of_sound

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.tags.window import Part, Window

__all__ = ("NONE", "SIZE", "UnknownSound", "digest", "essence_of", "middle")

SIZE: Final = 16
"""Bytes of an essence."""
NONE: Final = b""
"""Of a file that was read, and whose sound was not found."""
PIECE: Final = 4 * 1024
"""Bytes of the sound that are hashed: a quarter of a second at 128 kbit/s. A guess; more of them
would tell no more in a compressed stream, and each KB takes 1 us."""
_SAMPLE: Final = 64
"""Bytes that occur twice in a piece only where it repeats itself. A guess."""
_PLACES: Final = (31, 1, 24, 8)
"""Where to look if the middle repeats itself, in parts of `_OF`: a read more each. A guess."""
_OF: Final = 32
_SHORT: Final = 768
"""Bytes of each of them. A guess."""

OF_THEIR_OWN: Final = {
    b".flac": ("flac_ogg", "essence_of_flac"),
    b".ogg": ("flac_ogg", "essence_of_ogg"),
    b".mka": ("containers", "essence_of_matroska"),
    b".wv": ("containers", "essence_of_wavpack"),
    b".m4a": ("containers", "essence_of_mp4"),
}
"""Formats whose sound is more than one piece of the file -> a module here, and its function."""
CHUNKED: Final = frozenset({b".wav", b".aiff", b".dff", b".dsf", b".wma", b".caf", b".w64"})
"""Formats whose readers say where the sound is; tags may stand on both sides of it."""
BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof"})
"""Boxes with which a file of MP4 begins."""


class UnknownSound(Exception):
    """The file has no essence: its sound is not where its format has it, or is empty."""


def essence_of(window: Window, codec: str) -> bytes:
    """The essence of a file that a reader took for a track with this codec; or `NONE`.

    Raises the `OSError` of a read, and Declined like the readers.
    """
    try:
        return _essence(window, codec)
    except (UnknownSound, ValueError, error):
        return NONE


def _essence(window: Window, codec: str) -> bytes:
    parts = window.sound
    if window.is_bare:
        return digest(codec, *middle(window, [(parts[0][0], end_of_sound(window))]))
    begin = leading.end_of_tags(window)
    suffix = _suffix_at(window, begin)
    if suffix in OF_THEIR_OWN:
        if begin:
            from indexer.tags.window import window_on

            window = window_on(window, (begin, window.size))
            window.sound = [(start - begin, end - begin) for start, end in parts]
        return _of_its_own(*OF_THEIR_OWN[suffix])(window, codec)
    if suffix not in CHUNKED:
        parts = [(begin, end_of_sound(window))]
    return digest(codec, *middle(window, parts))


@cache
def _of_its_own(module: str, function: str) -> Callable[[Window, str], bytes]:
    """Import the module when its first file comes."""
    of_it: Callable[[Window, str], bytes]
    of_it = getattr(import_module(f"indexer.tags.essence.{module}"), function)
    return of_it


def _suffix_at(window: Window, begin: int) -> bytes:
    """The suffix of the format that begins there, empty for one that is known by its frames."""
    if window.peek(begin + 4, 4) in BOXES:
        return b".m4a"
    return leading.suffix_at(window, begin)


def digest(codec: str, length: int, content: bytes) -> bytes:
    """The essence of a sound. Raises UnknownSound if it is empty."""
    if not content:
        raise UnknownSound
    name = codec.encode() + b"\0" + length.to_bytes(8)
    return blake2b(name + content, digest_size=SIZE).digest()


def middle(window: Window, parts: list[Part]) -> tuple[int, bytes]:
    """The length of the sound in these parts, and the bytes in the middle of it.

    Where these are silence or another sound that lasts, there are bytes of other places, too, up to
    one where it does not last.
    """
    total = max(0, sum([end - begin for begin, end in parts]))
    size = min(PIECE, total)
    content = _piece(window, parts, (total - size) // 2, size)
    if _repeats(content) and total > _OF * _SHORT:
        for place in _PLACES:
            piece = _piece(window, parts, total * place // _OF, _SHORT)
            content += piece
            if not _repeats(piece):
                break
    return total, content


def _repeats(piece: bytes) -> bool:
    return piece[-_SAMPLE:] in piece[:-_SAMPLE]


def _piece(window: Window, parts: list[Part], at: int, size: int) -> bytes:
    """So many bytes of the sound in these parts, from an offset in it on."""
    if len(parts) == 1:  # nearly always
        return window.glance(parts[0][0] + at, size)
    content = b""
    for begin, end in parts:
        there = end - begin
        if at < there and size > 0:
            content += window.glance(begin + at, min(size, there - at))
            size -= there - at
        at = max(0, at - there)
    return content
