"""The folder of thumbnails: named by the hash of the picture, so that equal pictures share one.

`256/ab/abcdef....jpg` is kept while anything refers to it. Those of other sizes are made on demand,
and the ones that were not asked for longest are deleted beyond a bound. All of it can be made again
from the music.
"""

from __future__ import annotations

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from indexer.errors import CannotDo

KEPT_SIZE: Final = 256
"""Pixels of the longest side of the thumbnails that are made at once."""
LARGE_SIZE: Final = 600
"""Of those that are made on demand."""
SIZES: Final = (KEPT_SIZE, LARGE_SIZE)
LARGE_BYTES: Final = 200 * 2**20
"""Bound of the large ones."""
SLACK: Final = 0.9
"""Fraction of the bound that remains when it was exceeded: not every new file lists them all."""
RECOUNTED: Final = 100
"""After so many new files, those of other processes are counted, too. A guess."""
REFUSED: Final = 1000
"""Pictures that cannot be decoded, of which that is remembered. A guess."""
LEFT_S: Final = 3600.0
"""Age of a temporary file that its writer has left behind. A guess."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OWN_FOLDER: Final = _FOLDER | os.O_NOFOLLOW
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_OTHERS_READ: Final = stat.S_IROTH | stat.S_IXOTH
_READ: Final = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_SUFFIX: Final = ".jpg"
_TEMPORARY: Final = ".new-"


class ThumbnailCache:
    """Thumbnails in a folder, which is made when the first one is written.

    Several processes may use it at once: a file appears under its name when it is whole.
    """

    def __init__(self, folder: Path, large_bytes: int = LARGE_BYTES) -> None:
        """`large_bytes` bounds the files of `LARGE_SIZE`."""
        self.folder = folder
        self._large_bytes = large_bytes
        self._held = self._large_bytes
        """Bytes of the large ones, as far as is known; unknown at first."""
        self._new = 0
        self._refused: OrderedDict[tuple[bytes, int], str] = OrderedDict()

    def path_of(self, digest: bytes, size: int) -> Path:
        """Where the thumbnail of a picture with this hash is, once it is made."""
        name = digest.hex()
        return self.folder / str(size) / name[:2] / (name + _SUFFIX)

    def has(self, digest: bytes, size: int) -> bool:
        """Whether it is there; an empty file, as after a power cut, is none."""
        with suppress(OSError):
            return self.path_of(digest, size).stat().st_size > 0
        return False

    def used(self, digest: bytes, size: int) -> Path | None:
        """The thumbnail, which now counts as used; None if it has to be made."""
        if not self.has(digest, size):
            return None
        path = self.path_of(digest, size)
        if size != KEPT_SIZE:
            with suppress(OSError):  # deleted a moment ago, or the folder is read-only
                os.utime(path)
        return path

    def put(self, digest: bytes, size: int, data: bytes) -> Path:
        """Keep a thumbnail under its name, whole or not at all.

        Raises CannotDo if the folder cannot be written.
        """
        path = self.path_of(digest, size)
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with _entered(self.folder.parent, self.folder.name, str(size), path.parent.name) as fd:
                _write(fd, path.name, data)
        except OSError as error:
            raise CannotDo(
                f"cannot write thumbnails to {self.folder} ({error.strerror or error}): make room"
                " and let the user of the indexer write there, or set `artwork_cache`"
            ) from error
        if size != KEPT_SIZE:
            self._held += len(data)
            self._new += 1
            if self._held > self._large_bytes or self._new >= RECOUNTED:
                self._trim(size, path)
        return path

    def refuse(self, digest: bytes, size: int, reason: str) -> None:
        """Remember that no thumbnail can be made of a picture, as long as this process lives.

        All tracks of an album may hold the same broken picture. It is not written down: another
        version of the decoder may take it.
        """
        self._refused[digest, size] = reason
        if len(self._refused) > REFUSED:
            self._refused.popitem(last=False)

    def why_refused(self, digest: bytes, size: int) -> str | None:
        """Why it cannot be made; None where that is not known."""
        return self._refused.get((digest, size))

    def hashes(self) -> Iterator[bytes]:
        """The hash of each picture that has a thumbnail of any size; some come twice."""
        for size in SIZES:
            for path in self._files(size):
                if path.name.startswith(_TEMPORARY):
                    continue
                with suppress(ValueError):
                    yield bytes.fromhex(path.name.removesuffix(_SUFFIX))

    def purge(self, hashes: Iterable[bytes]) -> int:
        """Delete the thumbnails of these pictures, and what writers have left; how many files."""
        deleted = 0
        for digest in hashes:
            for size in SIZES:
                deleted += _deleted(self.path_of(digest, size))
        before_s = time.time() - LEFT_S
        for size in SIZES:
            for path in self._files(size):
                if path.name.startswith(_TEMPORARY):
                    with suppress(OSError):
                        if path.stat().st_mtime < before_s:
                            deleted += _deleted(path)
        return deleted

    def _trim(self, size: int, made: Path) -> None:
        """Delete what was not used longest until the bound is kept, but for what was just made."""
        found: list[tuple[float, int, Path]] = []
        for path in self._files(size):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        self._new = 0
        self._held = sum(length for _, length, _ in found)
        if self._held <= self._large_bytes:
            return
        for _, length, path in sorted(found):
            if self._held <= SLACK * self._large_bytes:
                break
            if path == made:  # not the last one where the clock was set back
                continue
            self._held -= length
            _deleted(path)

    def _files(self, size: int) -> Iterator[Path]:
        """All files of one size."""
        with suppress(FileNotFoundError, NotADirectoryError):
            for folder in (self.folder / str(size)).iterdir():
                with suppress(FileNotFoundError, NotADirectoryError):
                    yield from folder.iterdir()


@contextmanager
def _entered(base: Path, first: str, *names: str) -> Iterator[int]:
    """A descriptor of a folder below another one; what is missing is made.

    Such a folder has the owner and the rights of the one that it is in: what root or a member of
    the group has made, the user of the index can write to. Only `first` may be a symbolic link.
    """
    above = os.open(base, _FOLDER)
    try:
        for name in (first, *names):
            try:
                fd = os.open(name, _FOLDER if name is first else _OWN_FOLDER, dir_fd=above)
            except FileNotFoundError:
                fd = _made(name, above)
            above, before = fd, above
            os.close(before)
        yield above
    finally:
        os.close(above)


def _made(name: str, above: int) -> int:
    """A descriptor of a folder that was missing in an open one."""
    is_new = False
    with suppress(FileExistsError):  # another process was faster
        os.mkdir(name, 0o700, dir_fd=above)
        is_new = True
    fd = os.open(name, _OWN_FOLDER, dir_fd=above)
    try:
        if is_new:
            _give(fd, above, stat.S_IRWXU | stat.S_ISGID | stat.S_IRWXG | _OTHERS_READ)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _write(folder: int, name: str, data: bytes) -> None:
    """Write a file of an open folder, and give it its name when it is whole."""
    new = f"{_TEMPORARY}{os.getpid()}-{name}"
    try:
        fd = os.open(new, _NEW_FILE, 0o600, dir_fd=folder)
    except FileExistsError:  # of an ended process with this id
        os.unlink(new, dir_fd=folder)
        fd = os.open(new, _NEW_FILE, 0o600, dir_fd=folder)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            _give(fd, folder, _READ | stat.S_IWUSR)
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=folder)
        raise


def _give(fd: int, above: int, most: int) -> None:
    """Give what was made the owner of the folder that it is in, and its rights up to `most`."""
    status = os.fstat(above)
    if os.geteuid() == 0:
        with suppress(OSError):  # root may lack this right, too, or the file system has none
            os.fchown(fd, status.st_uid, status.st_gid)
    with suppress(OSError):
        os.fchmod(fd, status.st_mode & most)


def _deleted(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
