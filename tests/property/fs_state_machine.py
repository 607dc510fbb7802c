"""Two roots on one disk, and all operations of people and programs on their files."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.corpus import tagged
from tests.trees import song

FOLDERS: Final = (b"", b"A", b"A/CD 1", b"CD 1", b"B", b"B/x.mp3", b"\xff", b".hidden")
NAMES: Final = (b"1.mp3", b"2.mp3", b"3.mp3", b"a\nb.mp3", b"\xfe.mp3", b"X.mp3", b"x.mp3")
CONTENTS: Final = {
    "one": song("One"),
    "two": song("Two"),
    "six": song("Six", artist="Jónsi"),
    "both": song("Ten", artist=["Björk", "Jónsi"], genre=["Pop", "Noise"]),
    "band": song("Oh!", albumartist="Sigur Rós", album="Ágætis byrjun"),
    "mix": song("Mix", compilation="1", album="Best of"),
    "release": song("Mbi", mb_albumid="0e6b0d5c-6f52-4a3c-a9b6-6d4c9ae4a0e3"),
    "title": tagged(title="Alone"),
    "artist": tagged(artist="Untitled"),
    "untagged": tagged(),
    "flac": tagged(".flac", title="Flac"),
    "empty": b"",
    "bad": b"no music" * 50,
    "worse": b"NO MUSIC" * 50,
}
MANY: Final = 8
"""Minimum number of files for a removal, so that histories are not about empty folders."""

folders = st.sampled_from(FOLDERS)
names = st.sampled_from(NAMES)
contents = st.sampled_from(sorted(CONTENTS))
roots = st.integers(0, 1)
picks = st.integers(0, 99)
"""Selects one of the existing files, modulo their number."""

places = st.tuples(roots, folders, names)
Place = tuple[int, bytes, bytes]

is_file = stat.S_ISREG
is_folder = stat.S_ISDIR


def is_anything(_mode: int) -> bool:
    """A file, a folder, a link, a FIFO."""
    return True


class Upheaval(RuleBasedStateMachine):
    """Operations on the files; a subclass adds the index and its checks."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="upheaval-"))
        self.roots = [self.base / "one", self.base / "two"]
        self.aside = self.base / "aside"
        for folder in (*self.roots, self.aside):
            folder.mkdir()
        self._taken = 0

    def teardown(self) -> None:
        shutil.rmtree(self.base)

    def path(self, place: Place) -> bytes:
        root, folder, name = place
        return b"/".join(filter(None, (os.fsencode(self.roots[root]), folder, name)))

    def free(self, place: Place) -> bytes | None:
        """An unused path in a folder that exists or can be made, or None."""
        path = self.path(place)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            return None
        return None if os.path.lexists(path) else path

    def there(self, wanted: Callable[[int], bool]) -> list[bytes]:
        """The paths in the roots of one kind."""
        found = []
        for root in self.roots:
            for folder, below, files in os.walk(os.fsencode(root)):
                paths = [os.path.join(folder, name) for name in (*below, *files)]
                found += [path for path in paths if wanted(os.lstat(path).st_mode)]
        return sorted(found)

    def pick(self, number: int, wanted: Callable[[int], bool] = is_file) -> bytes:
        found = self.there(wanted)
        return found[number % len(found)]

    def has(self, wanted: Callable[[int], bool] = is_file, more_than: int = 0) -> bool:
        return len(self.there(wanted)) > more_than

    def has_many(self) -> bool:
        return self.has(more_than=MANY)

    def has_folders(self) -> bool:
        return self.has(is_folder)

    @initialize(files=st.lists(st.tuples(places, contents), min_size=MANY, max_size=20))
    def begin(self, files: list[tuple[Place, str]]) -> None:
        self.create(files)

    @rule(files=st.lists(st.tuples(places, contents), min_size=1, max_size=6))
    def create(self, files: list[tuple[Place, str]]) -> None:
        for place, content in files:
            if (path := self.free(place)) is not None:
                _write(path, CONTENTS[content])

    @precondition(has)
    @rule(number=picks, content=contents)
    def write_over(self, number: int, content: str) -> None:
        with open(self.pick(number), "r+b") as file:
            file.write(CONTENTS[content])
            file.truncate()

    @precondition(has)
    @rule(number=picks, content=contents)
    def write_over_in_disguise(self, number: int, content: str) -> None:
        """Write as many bytes as before, and restore the mtime."""
        path = self.pick(number)
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.write(CONTENTS[content][: before.st_size].ljust(before.st_size, b"\0"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    @precondition(has)
    @rule(number=picks, content=contents)
    def replace_at_once(self, number: int, content: str) -> None:
        path = self.pick(number)
        _write(path + b".part", CONTENTS[content])
        os.rename(path + b".part", path)

    @precondition(has)
    @rule(number=picks, place=places)
    def rename(self, number: int, place: Place) -> None:
        """Rename to a free name, or over another file."""
        path, target = self.pick(number), self.path(place)
        if self.free(place) is not None or os.path.isfile(target):
            os.rename(path, target)

    @precondition(has)
    @rule(number=picks, other=picks)
    def swap(self, number: int, other: int) -> None:
        one, two = self.pick(number), self.pick(other)
        if one != two:
            os.rename(one, one + b".aside")
            os.rename(two, one)
            os.rename(one + b".aside", two)

    @precondition(has_folders)
    @rule(number=picks, root=roots, folder=folders.filter(bool))
    def rename_folder(self, number: int, root: int, folder: bytes) -> None:
        path = self.pick(number, is_folder)
        if not self.path((root, folder, b"")).startswith(path + b"/"):
            target = self.free((root, folder, b""))
            if target is not None:
                os.rename(path, target)

    @precondition(has)
    @rule(number=picks)
    def change_case(self, number: int) -> None:
        path = self.pick(number)
        folder, name = os.path.split(path)
        os.rename(path, os.path.join(folder, name.swapcase()))

    @precondition(has_many)
    @rule(number=picks)
    def delete(self, number: int) -> None:
        os.unlink(self.pick(number))

    @precondition(lambda self: self.has_many() and self.has_folders())
    @rule(number=picks)
    def delete_folder(self, number: int) -> None:
        shutil.rmtree(self.pick(number, is_folder))

    @precondition(has)
    @rule(number=picks, place=places)
    def link(self, number: int, place: Place) -> None:
        path = self.pick(number)
        if (target := self.free(place)) is not None:
            os.link(path, target)

    @precondition(has)
    @rule(number=picks, place=places)
    def copy_with_times(self, number: int, place: Place) -> None:
        path = self.pick(number)
        if (target := self.free(place)) is not None:
            shutil.copy2(path, target)

    @precondition(has)
    @rule(number=picks, mode=st.sampled_from([0o600, 0o644]))
    def chmod(self, number: int, mode: int) -> None:
        os.chmod(self.pick(number), mode)

    @precondition(has)
    @rule(number=picks, kind=st.sampled_from(["folder", "FIFO", "link"]))
    def replace_by_another_kind(self, number: int, kind: str) -> None:
        path = self.pick(number)
        gone = path + b".gone"
        os.rename(path, gone)
        match kind:
            case "folder":
                os.mkdir(path)
                os.rename(gone, path + b"/1.mp3")
            case "FIFO":
                os.mkfifo(path)
            case _:
                os.symlink(gone, path)

    @precondition(has_many)
    @rule(number=picks)
    def take_away(self, number: int) -> None:
        """Move a file, a folder or a special file out of the roots; it may return later."""
        self._taken += 1
        target = os.path.join(os.fsencode(self.aside), b"%03d" % self._taken)
        os.rename(self.pick(number, is_anything), target)

    @precondition(lambda self: any(self.aside.iterdir()))
    @rule(number=picks, place=places)
    def bring_back(self, number: int, place: Place) -> None:
        away = sorted(os.listdir(os.fsencode(self.aside)))
        if (target := self.free(place)) is not None:
            name = away[number % len(away)]
            os.rename(os.path.join(os.fsencode(self.aside), name), target)


def _write(path: bytes, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
