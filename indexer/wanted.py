"""Names, settings and ignore files -> what of a root is music to us (rules R6 and R13).

Two files in a folder have a say: `.indexignore` (gitignore syntax, for the folder and all below)
and an empty `.nomedia` (nothing here or below is wanted). Changing either is a change of the disk.
"""

from __future__ import annotations

import codecs
import fnmatch
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec  # noqa: TC004 - loaded where an ignore file is met

IGNORE_FILE: Final = b".indexignore"
NO_MEDIA: Final = b".nomedia"
RULE_NAMES: Final = frozenset(map(os.fsdecode, (IGNORE_FILE, NO_MEDIA)))
"""As a listing names them."""
_DOT: Final = ord(".")

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


class Wanted:
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
        patterns = (fnmatch.translate(name) for name in ignored_names)
        self._ignored = re.compile("|".join(patterns).encode() or rb"(?!)", re.DOTALL)

    def without_files(self) -> Wanted:
        """The same of folders, and no file at all: to list folders only."""
        return Wanted(
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
        return self._any(name) if name[0] == _DOT else self._ignored.match(name) is None

    def folder(self, name: bytes) -> bool:
        """Whether a folder of this name is entered."""
        return self._any(name)

    def folders(self, folder: bytes) -> bool:
        """Whether every folder on the way to this one, and itself, is entered."""
        return all(self._any(name) for name in folder.split(b"/") if name)

    def _any(self, name: bytes) -> bool:
        if name.startswith(b".") and (not self._hidden or name.startswith(b"._")):
            return False
        return self._ignored.match(name) is None

    @property
    def fingerprint(self) -> str:
        """Differs when anything that it decides by differs; kept for each root (rule R13)."""
        import hashlib  # which brings OpenSSL along: 3 MB

        said = (
            sorted(self.suffixes), sorted(self._ignored_names), self._hidden, self.follow_links
        )  # fmt: skip
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


class IgnoreFile(Struct, frozen=True):
    """One `.indexignore`: the folder it lies in, what it says, and the lines nobody understands."""

    folder: bytes
    spec: GitIgnoreSpec
    bad_lines: tuple[str, ...] = ()

    @classmethod
    def parse(cls, folder: bytes, text: bytes) -> IgnoreFile:
        """Read gitignore syntax; bytes that are not UTF-8 stand for themselves.

        The byte order mark and the line ends of Windows are no part of a pattern.
        """
        from pathspec import GitIgnoreSpec

        lines, bad_lines = [], []
        for number, raw in enumerate(text.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
            line = os.fsdecode(raw)
            try:
                GitIgnoreSpec.from_lines([line])
            except ValueError as error:
                bad_lines.append(f"line {number}: {error}")
            else:
                lines.append(line)
        return cls(folder, GitIgnoreSpec.from_lines(lines), tuple(bad_lines))


class Rules(Struct, frozen=True):
    """What the ignore files in a folder and above it say, the deepest first."""

    files: tuple[IgnoreFile, ...] = ()

    def and_(self, file: IgnoreFile) -> Rules:
        """These rules, and a deeper file's before them."""
        return Rules((file, *self.files))

    def ignore(self, path: bytes, *, is_folder: bool = False) -> bool:
        """Whether a path relative to the root is ignored; the deepest file that has a word decides.

        Source: gitignore(5). A folder that is ignored is not entered, so nothing below it can be
        wanted again.
        """
        for file in self.files:
            below = path[len(file.folder) + 1 :] if file.folder else path
            said = file.spec.check_file(os.fsdecode(below) + ("/" if is_folder else "")).include
            if said is not None:
                return said
        return False


NO_RULES: Final = Rules()


def is_rule(name: bytes) -> bool:
    """Whether a file of this name has a say in what is wanted beside it."""
    return name in (IGNORE_FILE, NO_MEDIA)
