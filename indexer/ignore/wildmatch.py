"""A glob in the syntax of gitignore(5) -> what stands in each of its places (`automaton`).

No glob is refused for its size, and none takes longer to read than its length explains.
"""

from __future__ import annotations

from enum import Enum, auto
from itertools import compress
from typing import Final

SLASH: Final = ord("/")
_STAR: Final = ord("*")
_QUESTION: Final = ord("?")
_BRACKET: Final = ord("[")
_CLOSING: Final = ord("]")
_DASH: Final = ord("-")
_ESCAPE: Final = ord("\\")
_SPECIAL: Final = b"*?[\\"


class Senseless(ValueError):
    """A glob that matches nothing, since it is cut short or misspelled. Its text says how."""


class Star(Enum):
    """What stands for any number of bytes."""

    IN_NAME = auto()
    """`*`: all but slashes."""
    ANYWHERE = auto()
    """`**` where a name would stand, at the end: all."""
    FOLDERS = auto()
    """`**/` where a name would stand: nothing, or all up to a slash."""


Token = bytes | Star
"""Bytes of which one stands in this place, or any number."""

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
    b"space": b" \t\n\r",  # not \v and \f: git has a table of its own
    b"upper": _UPPER,
    b"xdigit": _DIGITS + _between("A", "F") + _between("a", "f"),
}
"""As git takes them, whatever the language of the system: of ASCII only."""


def is_literal(glob: bytes) -> bool:
    """Whether nothing in it stands for anything else."""
    return len(glob.translate(None, _SPECIAL)) == len(glob)


def tokens_of(glob: bytes) -> list[Token]:
    """Read a glob without the slash at its beginning or end. Raises Senseless.

    Source: gitignore(5), and what `git check-ignore` does where that says nothing: a `**` counts
    as one where a name begins, and also right behind the first bytes that stand for themselves.
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
                raise Senseless("it ends with a backslash, which stands for nothing")
            tokens.append(glob[at : at + 1])
            at += 1
    return tokens


def _star(glob: bytes, at: int, begin: int) -> tuple[Star, int]:
    """What the stars at a place stand for, and the place behind them."""
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
    """The bytes that a bracket at a place takes, and the place behind it. Raises Senseless.

    A closing bracket in the first place is a member; of a range out of order only its first byte
    is; no slash is.
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
    return Senseless("a bracket is not closed; a `[` that stands for itself is `\\[`")


def _class(glob: bytes, at: int) -> tuple[bytes, int] | None:
    """The members of `[:name:]` whose name begins at a place, and the place of its end.

    None where it is none, and its bracket stands for itself. Raises Senseless.
    """
    end = glob.find(b"]", at)
    if end < 0:
        raise _unclosed()
    if end == at or glob[end - 1] != ord(":"):
        return None
    name = glob[at : end - 1]
    if name not in _CLASSES:
        known = ", ".join(sorted(map(bytes.decode, _CLASSES)))
        raise Senseless(f"a class [:name:] has a name that is none; there are {known}")
    return _CLASSES[name], end
