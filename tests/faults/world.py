"""A folder of music that is changed step by step -> what a right index must say of it.

The world knows no index. From what stands on the disk before and after a step it follows which
files are certainly the same ones (rule R7), and how many files had to be opened (rule R1).
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Final, NamedTuple
from zlib import crc32

from indexer.disk.identity import open_root
from indexer.disk.tree import Tree, mount_point_at
from indexer.ignore.path_filter import PathFilter
from indexer.tags import SUFFIXES
from indexer.walk import Run, walk
from tests import corpus, covers

FORMATS: Final = (
    *(".mp3", ".mp3", ".mp3", ".flac", ".flac", ".m4a", ".ogg", ".opus", ".wav", ".aiff"),
    *(".wma", ".wv", ".mp2", ".tta", ".ac3", ".spx", ".oga", ".aac"),
)
NAMES: Final = ("Jóga", "Oceania", "Pagan Poetry", "Hyperballad", "Stonemilker", "Ágætis byrjun")
FOLDERS: Final = ("Debut", "Post", "Homogenic", "Björk Live", "CD 1", "CD 2", "Ö", "x", "Box Set")
NUMBERS: Final = 1_000_000


class Seen(NamedTuple):
    """What one name showed at one moment."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    links: int

    @classmethod
    def of(cls, found: os.stat_result) -> Seen:
        """What lstat(2) says."""
        return cls(
            found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_nlink
        )

    @property
    def body(self) -> tuple[int, int, int]:
        """What a rename leaves as it was."""
        return self.inode, self.size, self.mtime_ns


Sight = dict[bytes, Seen]
"""Path relative to the root -> what it shows, of every name that might be music."""


class Writing(NamedTuple):
    """A file that somebody holds open, and what he has still to write."""

    descriptor: int
    rest: bytes
    until: int
    """The step before which he ends."""


class World:
    """The root, a folder beside it on the same disk, and one on another disk."""

    def __init__(self, root: Path, aside: Path, abroad: Path | None) -> None:
        self.root = os.fsencode(root)
        """Where the operations find the root; elsewhere while its own mount point is bare."""
        self.aside = os.fsencode(aside)
        self.abroad = None if abroad is None else os.fsencode(abroad)
        self.obeys_rights = False
        """Whether our programs cannot look into a folder that bears no rights."""
        self.step = 0
        self.stamps = 0
        """How many times a file showed a stamp that it did not show before."""
        self.writing: list[Writing] = []
        self.counts = Counter[str]()
        self.kept: dict[bytes, bytes] = {}
        """Path now -> path at the last rest, of the files that must have kept their id since."""
        self.unheard: set[int] = set()
        """Inodes that were changed through a name of which the index may never have known (hidden,
        ignored, or gone before it looked): no event tells of it in the folder of their other names,
        and no look finds it but one at everything."""
        self.equal_sizes: set[int] = set()
        """Sizes of which several files had equal content: nothing is promised of copies of them."""
        self.remade: set[bytes] = set()
        """Paths whose file got another inode since the last rest, and the same content."""
        self.follows: dict[bytes, bytes] = {}
        """Path before -> path of the copy that was made before it was deleted, in this step."""
        self._followed: dict[bytes, tuple[int, int]] = {}
        """Path of such a copy -> its size and mtime, which no other file may have."""
        self._path_filter: set[bytes] | None = None
        """What no ignore file kept out at the last step, when there were files of several names."""
        self._came: dict[bytes, int] = {}
        """Of the names that files of several names got since the last rest: path -> inode."""
        self._touched: set[bytes] = set()
        self._unclear: set[int] = set()
        """Inodes whose size and mtime may also be another file's, or of which an old row may stay
        behind in a shut folder: no move is promised."""
        self._behind: set[int] = set()
        """Inodes of which an old row may stay behind in a folder that is shut. Once that is opened,
        the row follows its file, whose place has a newer id until then (rule R7)."""
        self._left: dict[int, set[bytes]] = {}
        """Inode -> where it was since the last rest."""

    # ---- what is there

    def path(self, name: bytes) -> bytes:
        """Where a path of the root lies."""
        return os.path.join(self.root, name) if name else self.root

    def files(self) -> list[bytes]:
        """The regular files that bear a name of music, none of them hidden."""
        return sorted(self.look())

    def folders(self, *, and_root: bool = True) -> list[bytes]:
        """The folders, none of them hidden; the root is the empty path."""
        found = [os.path.relpath(folder, self.root) for folder, _, _ in self._walk()]
        return sorted(b"" if one == b"." else one for one in found if and_root or one != b".")

    def look(self) -> Sight:
        """Every name that might be music, and what it shows."""
        sight: Sight = {}
        for folder, _, names in self._walk():
            for name in names:
                path = os.path.join(folder, name)
                try:
                    found = os.lstat(path)
                except OSError:
                    continue
                suffix = os.path.splitext(name)[1].lower().decode(errors="replace")
                if stat.S_ISREG(found.st_mode) and suffix in FORMATS:
                    sight[os.path.relpath(path, self.root)] = Seen.of(found)
        return sight

    def _walk(self) -> Iterable[tuple[bytes, list[bytes], list[bytes]]]:
        for folder, below, names in os.walk(self.root):
            below[:] = [name for name in below if not name.startswith(b".")]
            yield folder, below, [name for name in names if not name.startswith(b".")]

    # ---- what is drawn

    def a_file(self, dice: Random) -> bytes | None:
        """One that is there."""
        found = self.files()
        return dice.choice(found) if found else None

    def a_folder(self, dice: Random, *, and_root: bool = False) -> bytes | None:
        """One that is there."""
        found = self.folders(and_root=and_root)
        return dice.choice(found) if found else None

    def a_place(self, dice: Random) -> bytes:
        """A folder that is there, or now is."""
        if dice.random() < 0.7:
            return dice.choice(self.folders())
        new = os.path.join(dice.choice(self.folders()), dice.choice(FOLDERS).encode())
        if len(new) > 120:
            return b""
        if not os.path.lexists(self.path(new)):
            os.mkdir(self.path(new))
        return new if os.path.isdir(self.path(new)) else b""

    def a_name(self, dice: Random, suffix: str | None = None) -> bytes:
        """A name that hardly anything bears."""
        chosen = dice.choice(FORMATS) if suffix is None else suffix
        return f"{dice.randrange(NUMBERS):06} {dice.choice(NAMES)}{chosen}".encode()

    def a_new_path(self, dice: Random, suffix: str | None = None) -> bytes:
        """A path in a folder that is there, which nothing bears."""
        while True:
            path = os.path.join(self.a_place(dice), self.a_name(dice, suffix))
            if not os.path.lexists(self.path(path)):
                return path

    def a_song(self, dice: Random, path: bytes) -> bytes:
        """The bytes of a file of this name; one in twenty is no music at all.

        Most of a folder is one album, so that pictures in it are covers.
        """
        suffix = os.path.splitext(path)[1].lower().decode()
        if dice.random() < 0.05:
            return corpus.noise(600, dice.randrange(NUMBERS))
        number = dice.randrange(NUMBERS)
        of_folder = FOLDERS[crc32(os.path.dirname(path)) % len(FOLDERS)]
        song = corpus.tagged(
            suffix,
            title=f"{dice.choice(NAMES)} {number:06}",
            artist=dice.choice(["Björk", ["Björk", "Tricky"], "Sigur Rós"]),
            album=of_folder if dice.random() < 0.9 else dice.choice(FOLDERS),
            track=dice.randrange(1, 20),
        )
        if suffix == ".mp3" and dice.random() < 0.3:
            return covers.held_by(song, covers.picture(dice.choice(("red", "blue"))))
        return song

    # ---- what a step has done

    def took_place(
        self, before: Sight, *, certain: bool, extra: int = 0, retags: bool = False
    ) -> None:
        """A step is over: follow each file through it.

        `certain` says that nothing but renames and writes in place was done, none of which gives a
        file another one's size and mtime. `extra` is how many stamps were shown in between.
        `retags` says that a file which was moved may have been written, too.
        """
        after = self.look()
        self._listen(before, after)
        shown = set(before.values())
        new = {path: seen for path, seen in after.items() if seen not in shown}
        self.stamps += len(new) + extra
        if not certain:
            self._unclear.update(seen.inode for seen in new.values())
        by_inode = _singles(after)
        kept: dict[bytes, bytes] = {}
        for path, first in self.kept.items():
            was = before.get(path)
            if was is None:
                continue
            if after.get(path) == was:
                kept[path] = first
                continue
            copy = self._copy_of(path, was, after)
            if copy is not None and first not in self._touched:
                kept[copy] = first
                self._touched.add(first)
                self._followed[copy] = (was.size, was.mtime_ns)
                continue
            here = after.get(path)
            now = path if here is not None and here.inode == was.inode else by_inode.get(was.inode)
            if now is None or not certain or first in self._touched:
                continue
            is_same = now == path or (
                (retags or after[now].body == was.body) and was.inode not in self._unclear
            )
            if is_same and was.links == after[now].links == 1:
                kept[now] = first
                self._touched.add(first)
        shut = self._shut()
        for inode, path in _singles(before).items():
            if by_inode.get(inode, path) != path:
                self._left.setdefault(inode, set()).add(path)
        behind = {
            inode
            for inode, left in self._left.items()
            if not all(_is_seen_to_leave(one, by_inode.get(inode, b""), shut) for one in left)
        }
        self._unclear |= behind
        self._behind |= behind
        self.follows.clear()
        self.kept = _promised(
            {
                now: first
                for now, first in kept.items()
                if (now == first or _is_seen_to_leave(first, now, shut))
                and after[now].size not in self.equal_sizes
                and self._is_alone(now, after)
            },
            after,
        )

    def _copy_of(self, path: bytes, was: Seen, after: Sight) -> bytes | None:
        """Where the copy of a file stands that was deleted in this step, if it is the only one."""
        copy = self.follows.get(path)
        if copy is None or copy not in after or path in after or was.links != 1:
            return None
        is_copy = (after[copy].size, after[copy].mtime_ns) == (was.size, was.mtime_ns)
        return copy if is_copy and after[copy].links == 1 else None

    def _is_alone(self, path: bytes, after: Sight) -> bool:
        """Whether no other file has size and mtime of a copy that is to be known by them."""
        like = self._followed.get(path)
        return like is None or [
            one for one, seen in after.items() if (seen.size, seen.mtime_ns) == like
        ] == [path]

    def _listen(self, before: Sight, after: Sight) -> None:
        """Note which files of several names were changed through one that no index looks at."""
        linked = {seen.inode for seen in (*before.values(), *after.values()) if seen.links > 1}
        wanted_before, self._path_filter = (
            self._path_filter,
            wanted_paths(self.root) if linked else None,
        )
        self.unheard &= {seen.inode for seen in after.values()}
        if self._path_filter is None:
            return
        changed = {seen.inode for _, seen in before.items() ^ after.items()} & linked
        for sight, path_filter in ((before, wanted_before), (after, self._path_filter)):
            if path_filter is not None:
                self.unheard |= {
                    seen.inode
                    for path, seen in sight.items()
                    if seen.inode in changed and path not in path_filter
                }
        for path, seen in after.items():
            if seen.inode in changed and (path not in before or before[path].inode != seen.inode):
                self._came[path] = seen.inode
        for path, inode in list(self._came.items()):
            if path not in after or after[path].inode != inode or path not in self._path_filter:
                self.unheard.add(self._came.pop(path))

    def rests(self, shown: Iterable[bytes], unread: Iterable[bytes] = ()) -> None:
        """All that was done is known to the index, which shows these paths.

        But not what was done to the files and folders that are `unread`, or bear no rights: the
        index has for them what it had before.
        """
        sight = self.look()
        self._left.clear()
        self._came.clear()
        self.remade.clear()
        self._followed.clear()
        shut = self._shut()
        unknown = {*shut, *unread}
        if not shut:
            self._behind.clear()
        self.kept = {
            path: path
            for path in shown
            if path in sight
            and sight[path].inode not in self._behind
            and (not _around(path, unknown) or self.kept.get(path) == path)
        }
        self._touched = {
            path for path in self._touched & self.kept.keys() if _around(path, unknown)
        }

    def kept_in_sight(self) -> dict[bytes, bytes]:
        """Those of `kept` that the index can know of: nothing shows that moves into a shut folder.

        Until that is opened, it shows the files there that it saw last.
        """
        shut = self._shut()
        return {
            path: first
            for path, first in self.kept.items()
            if path == first or not _around(path, shut)
        }

    def _shut(self) -> set[bytes]:
        """The folders that our programs cannot look into."""
        if not self.obeys_rights:
            return set()
        return {
            folder
            for folder in self.folders(and_root=False)
            if stat.S_IMODE(os.lstat(self.path(folder)).st_mode) == 0
        }

    # ---- who holds files open

    def end_writing(self, *, all_of_it: bool = False) -> None:
        """Those whose time has come write the rest and close."""
        going_on = []
        for one in self.writing:
            if all_of_it or one.until <= self.step:
                before = self.look()
                try:
                    os.write(one.descriptor, one.rest)
                except OSError as error:
                    self.counts[f"write: {error.strerror}"] += 1
                os.close(one.descriptor)
                self.took_place(before, certain=True, extra=1)
            else:
                going_on.append(one)
        self.writing = going_on


def wanted_paths(root: bytes) -> set[bytes]:
    """The paths of a root that no ignore file keeps out, as our programs see it."""
    tree = Tree(1, "music", root, [mount_point_at(b"", open_root(root), 1, "ext4")], {})
    try:
        found = walk(tree, b"", PathFilter(SUFFIXES))
        return {path for one in found if isinstance(one, Run) for path, _, _ in one.files}
    finally:
        tree.close()


def other_form(name: bytes) -> bytes | None:
    """The name in the other of NFC and NFD; None where they are one, or it is no text."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    for form in ("NFD", "NFC"):
        other = unicodedata.normalize(form, text)
        if other != text:
            return other.encode()
    return None


def _around(path: bytes, places: set[bytes]) -> set[bytes]:
    """Those of some places that a path is, or lies below."""
    found = {path} & places
    while path:
        path = os.path.dirname(path)
        found |= {path} & places
    return found


def _is_seen_to_leave(old: bytes, new: bytes, shut: set[bytes]) -> bool:
    """Whether whoever finds a file at a new place can tell that it is no longer at the old one."""
    return _around(old, shut) <= _around(new, shut)


def _promised(kept: dict[bytes, bytes], after: Sight) -> dict[bytes, bytes]:
    """The files of `kept` whose rows nobody else can have been given.

    Who stands now where one of them stood takes its row, if no row is known to be his: whoever
    looks between two renames sees a file written anew.
    """
    robbed = [now for now, first in kept.items() if now != first in after and first not in kept]
    while robbed:
        kept = {now: first for now, first in kept.items() if now not in robbed}
        robbed = [now for now, first in kept.items() if now != first in after and first not in kept]
    return kept


def _singles(sight: Sight) -> dict[int, bytes]:
    """Inode -> its path, of those that have only one."""
    met = Counter(seen.inode for seen in sight.values())
    return {seen.inode: path for path, seen in sight.items() if met[seen.inode] == 1}
