"""The text of an ignore file -> whether it has a word on a path (gitignore(5)).

It is input from any program that may write to the music: no line raises, and none takes longer
than its length and that of the path explain. The judge of what a line means is git.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from typing import Final

from indexer.ignore.automaton import Automaton, Glob
from indexer.ignore.wildmatch import Senseless, Star, Token, is_literal, tokens_of

MOST_BYTES: Final = 1 << 18
"""Of one ignore file, and of all that hold in one folder together. A guess: 4 000 paths."""
MOST_LINES: Final = 10_000
"""Of one ignore file. A guess."""
_TOLD: Final = 5
"""Bad lines that are told one by one. A guess: so many still fit into a line of a terminal."""


class Patterns:
    """What an ignore file says."""

    def __init__(self, text: bytes) -> None:
        """Read at most `MOST_BYTES` and `MOST_LINES` of a text.

        A byte order mark and the line ends of Windows are no part of a pattern.
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
        """About how much memory it takes."""
        if self._globs is not None:
            self.most_bytes += self._globs.most_bytes

    @property
    def bad_lines(self) -> tuple[str, ...]:
        """The first lines that say nothing, with the reason, and how many more there are."""
        more = self._bad_count - len(self._bad)
        return (*self._bad, f"and {more} more such lines") if more else tuple(self._bad)

    def word_on(self, path: bytes, *, is_folder: bool) -> bool | None:
        """Whether a path, relative to the file's folder, is ignored; None: it says nothing of it.

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
        """(number, pattern) of each line that holds one."""
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
        if len(self._bad) < _TOLD:
            self._bad.append(f"line {number}: {why}")
        self._bad_count += 1

    def _take(self, line: bytes, number: int) -> Glob | None:
        """Keep a pattern that needs no automaton; what another one is. Raises Senseless."""
        if b"\0" in line:
            raise Senseless("it holds a NUL byte; save the file as UTF-8")
        negated = line.startswith(b"!")
        folders_only = line.endswith(b"/")
        glob = line[negated : len(line) - folders_only]
        is_path = b"/" in glob
        glob = glob.removeprefix(b"/")
        if not glob:
            raise Senseless("it names nothing; a `!` that stands for itself is `\\!`")
        rank = 2 * number + negated
        literals = self._folders if folders_only else self._any
        if is_literal(glob):
            literals.put(glob, rank, is_path=is_path)
            return None
        tokens = tokens_of(glob)
        if literals.take(tokens, rank, is_path=is_path):
            return None
        return Glob(tokens, rank, is_path, folders_only)


_SHORTEN: Final = "it and those after it are not obeyed, so make the file shorter"


def _without_trailing_spaces(line: bytes) -> bytes:
    """A line without the spaces at its end, but for one that a backslash stands before."""
    bare = line.rstrip(b" ")
    escapes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + 1] if escapes % 2 else bare


class _Literals:
    """Patterns that one look into a table answers: names, paths, and ends of names.

    Each table gives the rank of the last pattern that says just this.
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
        """About how much memory it takes."""
        tables = (self._names, self._paths, self._heads, self._tails)
        return sum(sys.getsizeof(table) + sum(map(sys.getsizeof, table)) for table in tables)

    def put(self, literal: bytes, rank: int, *, is_path: bool) -> None:
        """Keep a pattern that stands for itself."""
        (self._paths if is_path else self._names)[literal] = rank

    def take(self, tokens: list[Token], rank: int, *, is_path: bool) -> bool:
        """Keep a pattern, if a table can: nothing but bytes as they are, and a star at one end."""
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
        """The rank of the last pattern that says this path, or its name; -1 if none does."""
        rank = self._names.get(name, -1)
        if self._paths:
            rank = max(rank, self._paths.get(path, -1))
        for length in self._tail_lengths:
            rank = max(rank, self._tails.get(name[-length:], -1))
        for length in self._head_lengths:
            rank = max(rank, self._heads.get(name[:length], -1))
        return rank


_MOST_LENGTHS: Final = 16
"""Of ends of names: one look for each. A guess; patterns with more go into the automaton."""


def _keep(table: dict[bytes, int], lengths: list[int], literal: bytes, rank: int) -> bool:
    if len(literal) not in lengths:
        if len(lengths) == _MOST_LENGTHS:
            return False
        lengths.append(len(literal))
    table[literal] = rank
    return True
