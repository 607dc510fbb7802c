"""The text of an ignore file -> whether it ignores a path (gitignore(5)).

The text is untrusted, since any program may write to the music: no line raises an exception, and
the time is bounded by the lengths of the line and the path. The meaning of a line is that of git.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from typing import Final

from indexer.ignore.automaton import Automaton, Glob
from indexer.ignore.wildmatch import Senseless, Star, Token, is_literal, tokens_of

MOST_BYTES: Final = 1 << 18
"""Limit for one ignore file, and for all that apply to one folder. A guess: 4 000 paths."""
MOST_LINES: Final = 10_000
"""Limit for one ignore file. A guess."""
_MOST_BAD: Final = 5
"""Bad lines that are reported one by one. A guess: they fit into one line of a terminal."""


class Patterns:
    """The patterns of an ignore file."""

    def __init__(self, text: bytes) -> None:
        """Read at most `MOST_BYTES` and `MOST_LINES` of a text.

        A byte order mark and Windows line ends are not part of a pattern.
        """
        self.text_bytes = min(len(text), MOST_BYTES)
        self._any = _Literals()
        self._folders = _Literals()
        self._bad: list[str] = []
        self._bad_count = 0
        globs: list[Glob] = []
        for number, line in self._lines(text):
            try:
                glob = self._take(line, number)
            except Senseless as why:
                self._refuse(number, str(why))
            else:
                globs += () if glob is None else (glob,)
        self._globs = Automaton(globs) if globs else None
        self.most_bytes = self._any.bytes_held + self._folders.bytes_held
        """Estimated maximum memory in bytes."""
        if self._globs is not None:
            self.most_bytes += self._globs.most_bytes

    @property
    def bad_lines(self) -> tuple[str, ...]:
        """The first invalid lines, with the reason, and the number of the others."""
        more = self._bad_count - len(self._bad)
        return (*self._bad, f"and {more} more such lines") if more else tuple(self._bad)

    def word_on(self, path: bytes, *, is_folder: bool) -> bool | None:
        """Whether a path, relative to the file's folder, is ignored; None: no line matches.

        The last line that matches decides.
        """
        name_at = path.rfind(b"/") + 1
        name = path[name_at:]
        rank = self._any.last(path, name)
        if is_folder:
            rank = max(rank, self._folders.last(path, name))
        if self._globs is not None:
            rank = max(rank, self._globs.last(path[:name_at], name, is_folder=is_folder))
        return None if rank < 0 else rank & 1 == 0

    def _lines(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """(number, pattern) of each line with a pattern."""
        kept = text[: text.rfind(b"\n", 0, MOST_BYTES) + 1] if len(text) > MOST_BYTES else text
        lines = kept.removeprefix(codecs.BOM_UTF8).split(b"\n")
        for number, raw in enumerate(lines[:MOST_LINES], 1):
            line = _without_trailing_spaces(raw.removesuffix(b"\r"))
            if line and not line.startswith(b"#"):
                yield number, line
        if any(lines[MOST_LINES:]):
            self._refuse(MOST_LINES + 1, f"the file has more than {MOST_LINES} lines; {_SHORTEN}")
        elif kept is not text:
            most = f"{MOST_BYTES // 1024} KB"
            self._refuse(len(lines), f"the file has more than {most}; {_SHORTEN}")

    def _refuse(self, number: int, why: str) -> None:
        if len(self._bad) < _MOST_BAD:
            self._bad.append(f"line {number}: {why}")
        self._bad_count += 1

    def _take(self, line: bytes, number: int) -> Glob | None:
        """Store a pattern that needs no automaton, or return its glob. Raises Senseless."""
        if b"\0" in line:
            raise Senseless("it holds a NUL byte; save the file as UTF-8")
        negated = line.startswith(b"!")
        folders_only = line.endswith(b"/")
        glob = line[negated : len(line) - folders_only]
        is_path = b"/" in glob
        glob = glob.removeprefix(b"/")
        if not glob:
            raise Senseless("the pattern is empty; write a literal `!` as `\\!`")
        rank = 2 * number + negated
        literals = self._folders if folders_only else self._any
        if is_literal(glob):
            literals.put(glob, rank, is_path=is_path)
            return None
        tokens = tokens_of(glob)
        if literals.take(tokens, rank, is_path=is_path):
            return None
        return Glob(tokens, rank, is_path, folders_only)


_SHORTEN: Final = "this line and all after it have no effect, so shorten the file"


def _without_trailing_spaces(line: bytes) -> bytes:
    """Strip trailing spaces, except one after a backslash."""
    bare = line.rstrip(b" ")
    escapes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + 1] if escapes % 2 else bare


class _Literals:
    """Patterns that a table look-up matches: names, paths, and prefixes or suffixes of names.

    Each table maps a literal to the rank of its last pattern.
    """

    def __init__(self) -> None:
        self._names: dict[bytes, int] = {}
        self._paths: dict[bytes, int] = {}
        self._heads: dict[bytes, int] = {}
        self._tails: dict[bytes, int] = {}
        self._head_lengths: list[int] = []
        self._tail_lengths: list[int] = []

    @property
    def bytes_held(self) -> int:
        """Estimated maximum memory in bytes."""
        tables = (self._names, self._paths, self._heads, self._tails)
        return sum(sys.getsizeof(table) + sum(map(sys.getsizeof, table)) for table in tables)

    def put(self, literal: bytes, rank: int, *, is_path: bool) -> None:
        """Store a literal pattern."""
        (self._paths if is_path else self._names)[literal] = rank

    def take(self, tokens: list[Token], rank: int, *, is_path: bool) -> bool:
        """Store a pattern if it is literal except for one star at an end; whether it was stored."""
        stars = [at for at, token in enumerate(tokens) if isinstance(token, Star)]
        literal = b"".join(token for token in tokens if not isinstance(token, Star))
        if len(literal) + len(stars) != len(tokens):
            return False
        if not stars:
            self.put(literal, rank, is_path=is_path)
            return True
        if is_path or not literal or len(stars) > 1:
            return False
        if stars == [0]:
            return _keep(self._tails, self._tail_lengths, literal, rank)
        return stars == [len(literal)] and _keep(self._heads, self._head_lengths, literal, rank)

    def last(self, path: bytes, name: bytes) -> int:
        """The rank of the last pattern that matches this path or its name; -1 if none does."""
        rank = self._names.get(name, -1)
        if self._paths:
            rank = max(rank, self._paths.get(path, -1))
        for length in self._tail_lengths:
            rank = max(rank, self._tails.get(name[-length:], -1))
        for length in self._head_lengths:
            rank = max(rank, self._heads.get(name[:length], -1))
        return rank


_MOST_LENGTHS: Final = 16
"""Lengths of prefixes or suffixes: one look-up each. A guess; others go into the automaton."""


def _keep(table: dict[bytes, int], lengths: list[int], literal: bytes, rank: int) -> bool:
    if len(literal) not in lengths:
        if len(lengths) == _MOST_LENGTHS:
            return False
        lengths.append(len(literal))
    table[literal] = rank
    return True
