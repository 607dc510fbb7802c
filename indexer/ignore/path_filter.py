"""Names, settings and ignore files -> what of a root is music to us (rules R6 and R13).

Two files in a folder have a say: `.indexignore` (gitignore syntax, for the folder and all below)
and an empty `.nomedia` (nothing here or below is wanted). Changing either is a change of the disk.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from indexer.ignore.gitignore import MOST_BYTES, Patterns

IGNORE_FILE: Final = b".indexignore"
NO_MEDIA: Final = b".nomedia"
RULE_NAMES: Final = frozenset(map(os.fsdecode, (IGNORE_FILE, NO_MEDIA)))
"""As a listing names them."""
_DOT: Final = ord(".")
_MOST_FILES: Final = 64
"""Ignore files that hold in one folder. A guess; few folders lie so deep."""

IGNORED_NAMES: Final = (
    "@eaDir",  # Synology: thumbnails and indexes beside the files
    "@tmp",
    "#recycle",  # Synology's bin; the next is QNAP's
    "@Recycle",
    "@Recently-Snapshot",
    "#snapshot",
    "$RECYCLE.BIN",  # Windows
    "RECYCLER",
    "System Volume Information",
    "lost+found",  # fsck of ext2, ext3, ext4
    "*.download",  # Safari keeps the growing file in a folder of this name
)
"""What nobody wants, beside hidden names (`.Trash-1000`, `.AppleDouble`, `._01 Song.mp3`, `.zfs`,
`.snapshots`, `.stversions`, `.@__thumb`, rsync's `.01 Song.mp3.Xy12z`). A browser's `song.mp3.part`
has another suffix."""


class PathFilter:
    """What the settings want, by name alone. Hidden names are wanted only if `hidden` says so."""

    def __init__(
        self,
        suffixes: frozenset[bytes],
        ignored_names: Sequence[str] = IGNORED_NAMES,
        *,
        hidden: bool = False,
        follow_links: bool = False,
    ) -> None:
        self.suffixes = suffixes
        self.follow_links = follow_links
        self._hidden = hidden
        self._ignored_names = tuple(ignored_names)
        self._match_ignored = _matcher(ignored_names)

    def without_files(self) -> PathFilter:
        """The same of folders, and no file at all: to list folders only."""
        return PathFilter(
            frozenset(),
            self._ignored_names,
            hidden=self._hidden,
            follow_links=self.follow_links,
        )

    def file(self, name: bytes) -> bool:
        """Whether a file of this name is music to us."""
        dot = name.rfind(b".")  # as `paths.suffix_of`; a scan asks this of every name there is
        if dot < 1 or name[dot:].lower() not in self.suffixes:
            return False
        return self._any(name) if name[0] == _DOT else self._match_ignored(name) is None

    def folder(self, name: bytes) -> bool:
        """Whether a folder of this name is entered."""
        return self._any(name)

    def folders(self, folder: bytes) -> bool:
        """Whether every folder on the way to this one, and itself, is entered."""
        return all(self._any(name) for name in folder.split(b"/") if name)

    def _any(self, name: bytes) -> bool:
        if name.startswith(b".") and (not self._hidden or name.startswith(b"._")):
            return False
        return self._match_ignored(name) is None


def _matcher(names: Sequence[str]) -> Callable[[bytes], object | None]:
    """What finds a name in the syntax of fnmatch among these; None where there is none.

    `fnmatch` makes expressions that never try a place twice, and what it cannot make sense of
    stands for itself. In bytes a `?` would be a part of a letter, so those need text.
    """
    patterns = [fnmatch.translate(name) for name in names]
    expression = "|".join(patterns) or "(?!)"
    if not any(letter in name for name in names for letter in "?["):
        return re.compile(os.fsencode(expression)).match
    match = re.compile(expression).match
    return lambda name: match(os.fsdecode(name))


class IgnoreFile(Struct, frozen=True):
    """One `.indexignore`: the folder it lies in, and what it says."""

    folder: bytes
    patterns: Patterns

    @classmethod
    def parse(cls, folder: bytes, text: bytes) -> IgnoreFile:
        """Read the text of one; no text is refused, and bad lines are told by its `patterns`."""
        return cls(folder, Patterns(text))


class IgnoreRules(Struct, frozen=True):
    """What the ignore files in a folder and above it say, the deepest first."""

    files: tuple[IgnoreFile, ...] = ()

    def and_(self, file: IgnoreFile) -> IgnoreRules:
        """These rules, and a deeper file's before them."""
        return IgnoreRules((file, *self.files))

    def refusal(self, file: IgnoreFile) -> str | None:
        """Why a deeper file is too much on top of these rules; None where it is not.

        Every name that is met is held against all of them.
        """
        if len(self.files) >= _MOST_FILES:
            most = f"{_MOST_FILES} folders above have ignore files"
        elif sum(one.patterns.text_bytes for one in (file, *self.files)) > MOST_BYTES:
            most = f"with the ignore files above it has more than {MOST_BYTES // 1024} KB"
        else:
            return None
        return f"line 1: it and those after it are not obeyed, since {most}; make them fewer"

    def ignore(self, path: bytes, *, is_folder: bool = False) -> bool:
        """Whether a path relative to the root is ignored; the deepest file that has a word decides.

        Source: gitignore(5). A folder that is ignored is not entered, so nothing below it can be
        wanted again.
        """
        for file in self.files:
            below = path[len(file.folder) + 1 :] if file.folder else path
            word = file.patterns.word_on(below, is_folder=is_folder)
            if word is not None:
                return word
        return False


NO_RULES: Final = IgnoreRules()


def is_rule(name: bytes) -> bool:
    """Whether a file of this name has a say in what is wanted beside it."""
    return name in (IGNORE_FILE, NO_MEDIA)
