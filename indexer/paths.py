"""Names and paths inside a root, as bytes: parts, order, and guesses of tags.

A path here is relative to its root and never starts or ends with a slash; `b""` is the root.
"""

from __future__ import annotations

import re
from functools import cache

from msgspec import UNSET, Struct, UnsetType

_DISC_FOLDER = rb"""[(\[]?
    (?: (?:cd|disc|disk|dvd|vinyl|lp|record) [ ._-]{0,3} (?:[0-9]{1,2}|i{1,3}|iv|vi{0,3}|ix|x)
      | (?:cd|disc|disk|dvd|vinyl|lp|record) [ ._-]{1,3}
        (?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)
      | (?:disc|disk|vinyl|lp|record|side) [ ._-]{0,3} [a-h]
    )
    (?: [ ]of[ ][0-9]{1,2} )?
    (?: [)\]] [ ]{0,2} .* | [ ]{0,2} (?:-|:|\xe2\x80[\x93\x94]) .+ | [ ]{1,2} [(\[] .* )?
    """
"""`CD 1`, `Disc 2`, `disk03`, `DVD - 1`, `Disc One`, `Vinyl A`, `(CD1)`, `[Disc 2]`, `CD 1 of 2`,
and with a name of its own after a dash, a colon (or the dashes of UTF-8) or in brackets:
`CD1 - Live`. It matches the whole name, so not `Disco 1` or `CD1 Live`."""

_PLAIN_WORD = r"[\w./+:@%,-]+"
_PAST_ALL = b"\xff" * 256
"""Above every path: Linux allows a name 255 bytes, and the slash after it is less than 0xff."""


def suffix_of(name: bytes) -> bytes:
    """The last dot and what follows it, in lower case; `b""` without a suffix.

    A dot at the start or end of a name makes no suffix: `.mp3` is a hidden file without one.
    """
    dot = name.rfind(b".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else b""


def is_hidden(name: bytes) -> bool:
    """Whether a folder is hidden, such as `.Trash-1000`."""
    return name.startswith(b".")


def order_key(name: bytes, is_folder: bool) -> bytes:  # noqa: FBT001 - a pair of a listing
    """The sort key of a listing for which a depth-first walk yields whole paths in byte order.

    It includes the slash after a folder's name: `a!.mp3` comes before the contents of `a`, `a0.mp3`
    after them. So a cursor ("the last path done") needs one comparison.
    """
    return name + b"/" if is_folder else name


def folder_key(folder: bytes) -> bytes:
    """A folder as tables of files beside the music have it: in the order in which a walk lists."""
    return folder + b"/" if folder else folder


def join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def parent_of(path: bytes) -> bytes:
    """The parent folder; `b""` for names directly in the root, and for the root."""
    return path.rpartition(b"/")[0]


def name_of(path: bytes) -> bytes:
    """The last component; `b""` for the root."""
    return path.rpartition(b"/")[2]


def is_below(path: bytes, folder: bytes) -> bool:
    """Whether `path` is `folder` or anywhere in it. Every path is below `b""`."""
    return not folder or path == folder or path.startswith(folder + b"/")


def below_range(folder: bytes) -> tuple[bytes, bytes]:
    """(low, high) such that exactly the paths inside `folder` are `low <= path < high`.

    The folder's own path is not among them. `0` is the byte after the slash.
    """
    return (folder + b"/", folder + b"0") if folder else (b"", _PAST_ALL)


def album_folder(path: bytes) -> bytes:
    """The album folder of a file.

    It is the parent folder, or the one above if the parent is one disc of several.
    """
    folder = parent_of(path)
    return parent_of(folder) if _disc_folder().fullmatch(name_of(folder)) else folder


@cache  # late: commands that ask need none of it, and it takes 1 ms
def _disc_folder() -> re.Pattern[bytes]:
    return re.compile(_DISC_FOLDER, re.IGNORECASE | re.VERBOSE | re.DOTALL)


def fits_utf8(path: bytes) -> bool:
    """Whether the path can be shown as text and found again by that text."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class Guess(Struct, frozen=True):
    """Values from a file's path, used for missing tags."""

    title: str
    album: str
    artist: str | None


def guess(path: bytes, root_name: str) -> Guess:
    """Guess title, album and artist from a path like `Artist/Album/Title.mp3`.

    The root's own name is the album of a file in the root itself. It is no artist's: an album
    directly in the root has none. Bytes that are not UTF-8 become U+FFFD.
    """
    name = name_of(path)
    title = name[: len(name) - len(suffix_of(name))]
    album = album_folder(path)
    if not album:
        return Guess(_text(title), root_name, None)
    above = parent_of(album)
    artist = _text(name_of(above)) if above else None
    return Guess(_text(title), _text(name_of(album)), artist)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def may_name_root(name: str) -> bool:
    """Whether a root may have this name, which begins the paths that are shown, and typed."""
    return bool(name.strip()) and "/" not in name and name.isprintable() and name not in {".", ".."}


def shell_word(path: bytes) -> str:
    """A path as one word of a command line that can be pasted, in bash also where it is no text."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if re.fullmatch(_PLAIN_WORD, text):
        return text
    if text and text.isprintable():
        import shlex  # late: most commands quote nothing

        return shlex.quote(text)
    shown = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in path
    )
    return f"$'{shown}'"


def text_of(path: bytes) -> tuple[str, str | UnsetType]:
    """A path for JSON: (text with U+FFFD for bytes that are not UTF-8, base64 or UNSET)."""
    try:
        return path.decode("utf-8"), UNSET
    except UnicodeDecodeError:
        from base64 import b64encode  # late, as below: most paths are UTF-8

        return path.decode("utf-8", "replace"), b64encode(path).decode("ascii")


def path_bytes(b64: str) -> bytes:
    """The path whose base64 `text_of` gave."""
    from base64 import b64decode

    return b64decode(b64)


def is_ignored(folder: bytes) -> bool:
    """Whether a folder is hidden or lies in a hidden one, so that no file in it is indexed."""
    return any(is_hidden(name) for name in folder.split(b"/") if name)
