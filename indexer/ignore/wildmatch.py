"""A glob in the syntax of gitignore(5) -> its tokens, one for each position of the `automaton`.

No glob is refused for its size; the parsing time is linear in its length.
"""

from __future__ import annotations

from enum import Enum, auto
from itertools import compress
from typing import Final

SLASH: Final = ord("/")
_STAR: Final = ord("*")
_QUESTION: Final = ord("?")
_BRACKET: Final = ord("[")
_DASH: Final = ord("-")
_ESCAPE: Final = ord("\\")
_SPECIAL: Final = b"*?[\\"


class Senseless(ValueError):
    """A glob that matches nothing, since it is truncated or misspelled. The message says how."""


class Star(Enum):
    """A token that matches any number of bytes."""

    IN_NAME = auto()
    """`*`: all but slashes."""
    ANYWHERE = auto()
    """`**` in place of a name, at the end: all bytes."""
    FOLDERS = auto()
    """`**/` in place of a name: nothing, or all bytes up to a slash."""


Token = bytes | Star
"""A set of bytes, one of which matches; or a star."""

ALL_BYTES: Final = bytes(range(1, 256))
_NAME_BYTES: Final = ALL_BYTES.replace(b"/", b"")


def _between(first: str, last: str) -> bytes:
    return bytes(range(ord(first), ord(last) + 1))


_DIGITS: Final = _between("0", "9")
_UPPER: Final = _between("A", "Z")
_LOWER: Final = _between("a", "z")
_GRAPH: Final = _between("!", "~")
_CLASSES: Final = {
    b"alnum": _DIGITS + _UPPER + _LOWER,
    b"alpha": _UPPER + _LOWER,
    b"blank": b" \t",
    b"cntrl": bytes(range(1, 32)) + b"\x7f",
    b"digit": _DIGITS,
    b"graph": _GRAPH,
    b"lower": _LOWER,
    b"print": b" " + _GRAPH,
    b"punct": bytes(byte for byte in _GRAPH if byte not in _DIGITS + _UPPER + _LOWER),
    b"space": b" \t\n\r",  # not \v and \f: git has its own table
    b"upper": _UPPER,
    b"xdigit": _DIGITS + _between("A", "F") + _between("a", "f"),
}
"""Character classes as in git: ASCII only, in any locale."""


def is_literal(glob: bytes) -> bool:
    """Whether the glob has no special characters."""
    return len(glob.translate(None, _SPECIAL)) == len(glob)


def tokens_of(glob: bytes) -> list[Token]:
    """Read a glob without the slash at its beginning or end. Raises Senseless.

    Source: gitignore(5), and the behaviour of `git check-ignore` beyond it: a `**` is special at
    the start of a name, and also directly after the leading literal bytes.
    """
    begin = next((at for at, byte in enumerate(glob) if byte in _SPECIAL), len(glob))
    tokens: list[Token] = [glob[at : at + 1] for at in range(begin)]
    at = begin
    while at < len(glob):
        byte = glob[at]
        if byte == _STAR:
            star, at = _star(glob, at, begin)
            if star is not Star.FOLDERS or not tokens or tokens[-1] is not star:
                tokens.append(star)
        elif byte == _BRACKET:
            members, at = _bracket(glob, at)
            tokens.append(members)
        elif byte == _QUESTION:
            tokens.append(_NAME_BYTES)
            at += 1
        else:
            at += byte == _ESCAPE
            if at == len(glob):
                raise Senseless("it ends with a backslash that escapes nothing")
            tokens.append(glob[at : at + 1])
            at += 1
    return tokens


def _star(glob: bytes, at: int, begin: int) -> tuple[Star, int]:
    """The token for the stars at an offset, and the offset after them."""
    after = at
    while glob[after : after + 1] == b"*":
        after += 1
    is_name = at == begin or glob[at - 1] == SLASH
    if after - at == 1 or not is_name:
        return Star.IN_NAME, after
    if glob[after : after + 1] == b"/":
        return Star.FOLDERS, after + 1
    if after == len(glob) or glob[after : after + 2] == b"\\/":
        return Star.ANYWHERE, after
    return Star.IN_NAME, after


def _bracket(glob: bytes, at: int) -> tuple[bytes, int]:
    """The bytes that a bracket at an offset matches, and the offset after it. Raises Senseless.

    A closing bracket in first position is a member; of a reversed range only its first byte is; a
    slash never is.
    """
    at += 1
    negated = glob[at : at + 1] in {b"!", b"^"}
    at += negated
    is_member = bytearray(256)
    first, before = at, 0  # before: a byte that may begin a range, or 0
    while at == first or glob[at : at + 1] != b"]":
        if at >= len(glob):
            raise _unclosed()
        byte = glob[at]
        if byte == _DASH and before and glob[at + 1 : at + 2] not in {b"", b"]"}:
            at += 1 + (glob[at + 1] == _ESCAPE)
            if at == len(glob):
                raise _unclosed()
            length = max(0, glob[at] + 1 - before)
            is_member[before : before + length] = b"\1" * length
            before = 0
        elif glob.startswith(b"[:", at) and (named := _class(glob, at + 2)) is not None:
            members, at = named
            for member in members:
                is_member[member] = 1
            before = 0
        else:
            at += byte == _ESCAPE
            if at == len(glob):
                raise _unclosed()
            before = glob[at]
            is_member[before] = 1
        at += 1
    others = _NAME_BYTES.translate(None, bytes(compress(range(256), is_member)))
    return (others if negated else _NAME_BYTES.translate(None, others)), at + 1


def _unclosed() -> Senseless:
    return Senseless("a bracket is not closed; write a literal `[` as `\\[`")


def _class(glob: bytes, at: int) -> tuple[bytes, int] | None:
    """The members of `[:name:]` whose name begins at an offset, and the offset of its end.

    None if it is not a class, and its bracket is literal. Raises Senseless.
    """
    end = glob.find(b"]", at)
    if end < 0:
        raise _unclosed()
    if end == at or glob[end - 1] != ord(":"):
        return None
    name = glob[at : end - 1]
    if name not in _CLASSES:
        known = ", ".join(sorted(map(bytes.decode, _CLASSES)))
        raise Senseless(f"unknown class [:name:]; the classes are {known}")
    return _CLASSES[name], end
