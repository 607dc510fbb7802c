"""Names, settings and ignore files -> which files of a root are wanted (rules R6 and R13).

Two files in a folder are rules: `.indexignore` (gitignore syntax, for the folder and all below) and
an empty `.nomedia` (nothing here or below is wanted). Changing either is a change of the disk.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Collection, Sequence
from typing import Final

from msgspec import Struct

from indexer.ignore import IGNORED_NAMES
from indexer.ignore.gitignore import MOST_BYTES, Patterns

_DOT: Final = ord(".")
_WILD: Final = frozenset("*?[")
"""What is no literal letter in a pattern of `fnmatch`."""
_MOST_FILES: Final = 64
"""Maximum ignore files that apply to one folder. A guess; few folders are nested so deep."""


class PathFilter:
    """The settings' filter by name alone. Hidden names are wanted only with `hidden`."""

    def __init__(
        self,
        suffixes: frozenset[bytes],
        ignored_names: Sequence[str] = IGNORED_NAMES,
        *,
        hidden: bool = False,
        follow_links: bool = False,
        sidecars: frozenset[bytes] = frozenset(),
    ) -> None:
        """`suffixes` are those of music, `sidecars` those of the files beside it that count.

        All are in lower case, with their dots.
        """
        self.suffixes = suffixes
        self.sidecars = sidecars
        self.follow_links = follow_links
        self._hidden = hidden
        self._ignored_names = tuple(ignored_names)
        names = _IgnoredNames(ignored_names)
        self._is_ignored = names.has
        self._may_ignore = names.may_have(suffixes)
        """Whether any wanted suffix may be that of an ignored name: mostly none."""

    def without_files(self) -> PathFilter:
        """The same filter for folders, without any files: to list folders only."""
        return PathFilter(
            frozenset(),
            self._ignored_names,
            hidden=self._hidden,
            follow_links=self.follow_links,
        )

    def file(self, name: bytes) -> bool:
        """Whether a file of this name is wanted."""
        dot = name.rfind(b".")  # as `paths.suffix_of`; a scan calls this for every name
        if dot < 1 or name[dot:].lower() not in self.suffixes:
            return False
        if name[0] == _DOT:
            return self._any(name)
        return not (self._may_ignore and self._is_ignored(name))

    def sidecar(self, name: bytes) -> bool:
        """Whether a file of this name is wanted that is no music: a picture, lyrics, a playlist."""
        dot = name.rfind(b".")
        return dot > 0 and name[dot:].lower() in self.sidecars and self._any(name)

    def folder(self, name: bytes) -> bool:
        """Whether a folder of this name is entered."""
        return self._any(name)

    def folders(self, folder: bytes) -> bool:
        """Whether this folder and all its parents are entered."""
        return all(self._any(name) for name in folder.split(b"/") if name)

    def _any(self, name: bytes) -> bool:
        if name.startswith(b".") and (not self._hidden or name.startswith(b"._")):
            return False
        return not self._is_ignored(name)


class _IgnoredNames:
    """Names that match one of some fnmatch patterns.

    Patterns without wildcards but a first `*` are compared as they are: each name of a listing is
    asked for, and an expression takes longer. No function is made here, since a filter is sent to
    the helper of a share.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        plain = [one for one in patterns if not _WILD.intersection(one.removeprefix("*"))]
        self._exact = frozenset(os.fsencode(one) for one in plain if not one.startswith("*"))
        self._ends = tuple(os.fsencode(one[1:]) for one in plain if one.startswith("*"))
        others = [fnmatch.translate(one) for one in patterns if one not in plain]
        self._expression = re.compile("|".join(others)) if others else None

    def has(self, name: bytes) -> bool:
        """Whether a name is one of them.

        `fnmatch` makes expressions without backtracking, and takes invalid patterns literally. In
        bytes a `?` would match a part of a character, so they match text.
        """
        if name in self._exact or name.endswith(self._ends):
            return True
        expression = self._expression
        return expression is not None and expression.match(os.fsdecode(name)) is not None

    def may_have(self, suffixes: Collection[bytes]) -> bool:
        """Whether any of them may have one of these suffixes, which are in lower case."""
        ends = [name.lower() for name in (*self._exact, *self._ends)]
        return self._expression is not None or any(
            end.endswith(suffix) or suffix.endswith(end) for end in ends for suffix in suffixes
        )


class IgnoreFile(Struct, frozen=True):
    """One `.indexignore`: its folder, and its patterns."""

    folder: bytes
    patterns: Patterns

    @classmethod
    def parse(cls, folder: bytes, text: bytes) -> IgnoreFile:
        """Parse a text; none is refused, and `patterns` has the bad lines."""
        return cls(folder, Patterns(text))


class IgnoreRules(Struct, frozen=True):
    """The ignore files that apply to a folder, the deepest first."""

    files: tuple[IgnoreFile, ...] = ()

    def and_(self, file: IgnoreFile) -> IgnoreRules:
        """These rules, preceded by those of a deeper file."""
        return IgnoreRules((file, *self.files))

    def refusal(self, file: IgnoreFile) -> str | None:
        """Why a deeper file exceeds the limits together with these rules; None if it does not.

        Every name is matched against all of them.
        """
        if len(self.files) >= _MOST_FILES:
            most = f"{_MOST_FILES} folders above have ignore files"
        elif sum(one.patterns.text_bytes for one in (file, *self.files)) > MOST_BYTES:
            most = f"with the ignore files above it has more than {MOST_BYTES // 1024} KB"
        else:
            return None
        return f"line 1: this line and all after it have no effect, since {most}; use fewer"

    def ignore(self, path: bytes, *, is_folder: bool = False) -> bool:
        """Whether a path relative to the root is ignored; the deepest file with a match decides.

        Source: gitignore(5). An ignored folder is not entered, so nothing below it can be
        re-included.
        """
        for file in self.files:
            below = path[len(file.folder) + 1 :] if file.folder else path
            word = file.patterns.word_on(below, is_folder=is_folder)
            if word is not None:
                return word
        return False


NO_RULES: Final = IgnoreRules()
