"""A chunk of paths -> a reading of each: tags, a problem, gone, or waiting."""

from __future__ import annotations

import errno
import gc
import os
import resource
import stat
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec
from msgspec.structs import replace

from indexer.artwork.model import PictureError
from indexer.disk.birth_time import Status, Statuses
from indexer.disk.descent import NOT_THERE, OpenFolders, lstat_at
from indexer.evidence import (
    WAITING,
    FileLease,
    Wholeness,
    coarse_now_ns,
    granularity_of,
    is_settled,
    judge,
    tick_left_ns,
    try_lease,
)
from indexer.faults import problem_of
from indexer.model import (
    Chunk,
    Evidence,
    PictureFacts,
    PlaylistFacts,
    Problem,
    ProblemKind,
    Reading,
    Stamp,
    Track,
    Waiting,
)
from indexer.paths import suffix_of
from indexer.sidecars import PlaylistError
from indexer.tags import Declined, NoAudio, Refused, read_track

if TYPE_CHECKING:
    from indexer.disk.tree import Tree

Read = Callable[[BinaryIO, bytes], Track | PictureFacts | PlaylistFacts | None]
"""Reads one open file, given its suffix: `tags.read_track`, `reader.read_sidecar`, or a
test's function. None: the file holds no picture. It raises `Declined` for a file with `ours_only`
that our own readers do not handle."""

Beat = Callable[[int], None]
"""Called before each file with its index in the chunk."""

Hold = Callable[[int, int], bool]
"""(descriptor, its ctime in nanoseconds) -> whether the file is held open now, until the clock has
moved past its ctime, on a disk that gives a change in the same tick another ctime
(`FreshFiles.holder`)."""

WAIT_OUT_NS = 10_000_000
"""Maximum wait for a tick here; for a coarser clock (FAT has 2 s) the caller waits."""

WAIT_TIMES = 5
"""A tick may be late on an idle processor: 5.4 ms after the last one measured, instead of 4."""

_FILE = os.O_RDONLY | os.O_NONBLOCK

_ADVICE = {
    errno.EACCES: "let the user that runs the indexer read it and enter its folders",
    errno.EPERM: "let the user that runs the indexer read it and enter its folders",
    errno.EIO: "the disk or its cable may be failing, look at `dmesg`",
    errno.ESTALE: "the server replaced its share, mount it again",
    errno.ENODEV: "the disk was unplugged, plug it in and mount it again",
    errno.ENXIO: "the disk was unplugged, plug it in and mount it again",
    errno.ETIMEDOUT: "the file server does not answer, check whether it is up",
    errno.ENOMEM: "give this machine more memory, or the indexer fewer workers",
    errno.EMFILE: "raise the limit of open files, `ulimit -n`",
    errno.ENFILE: "raise the system's limit of open files, `sysctl fs.file-max`",
    errno.ENAMETOOLONG: "give the file or its folders shorter names",
}


def extract(
    chunk: Chunk,
    read: Read = read_track,
    *,
    now_ns: Callable[[], int] = coarse_now_ns,
    sleep: Callable[[float], None] = time.sleep,
    beat: Beat = lambda _place: None,
    hold: Hold | None = None,
) -> list[Reading]:
    """Read the files of a chunk that are whole; one reading per path, in the chunk's order.

    A problem of a file is not raised: it is a value. A file whose stamp a later write could repeat
    (rule R2) is read after the others, when the tick has passed without extra waiting; or at once,
    if `hold` holds it and the kernel says that no process has it open for writing. A file for which
    this process had too little memory is retried after the others, too: if the process has its own
    limit, which is too small for that file alone, the file is at fault. `beat` is called before
    each file, so that the caller can distinguish a slow disk from a hang, and knows which file
    crashed its reader.
    """
    try:
        folders = OpenFolders.at(chunk.root_path, follow_links=chunk.follow_links)
    except OSError as error:
        problem = _environment(error)
        return [Reading(path=path, problem=problem) for path in chunk.paths]
    with folders:
        files = _Files(folders, chunk, read, now_ns)
        look = files.look
        readings: dict[bytes, Reading] = {}
        too_fresh: list[tuple[int, bytes, Stamp]] = []
        for place, path in enumerate(chunk.paths):
            beat(place)
            before_ns = now_ns()
            reading = readings[path] = look(path, before_ns, hold)
            if reading.waiting is Waiting.YOUNG and reading.stamp is not None:
                left_ns = _tick_left_ns(reading.stamp, before_ns, chunk.evidence)
                if 0 < left_ns <= WAIT_OUT_NS:
                    too_fresh.append((place, path, reading.stamp))
        for place, path, stamp in too_fresh:
            beat(place)
            for _ in range(WAIT_TIMES):
                if left_ns := _tick_left_ns(stamp, now_ns(), chunk.evidence):
                    sleep(left_ns / 1e9)
            readings[path] = look(path)
        for place, path in enumerate(chunk.paths):
            if readings[path].problem == NO_MEMORY and _has_own_limit():
                gc.collect()
                beat(place)
                alone = look(path)
                readings[path] = _too_much(alone) if alone.problem == NO_MEMORY else alone
        return [readings[path] for path in chunk.paths]


def extract_in(_tree: Tree, chunk: Chunk) -> list[Reading]:
    """`extract`, for `Tree.ask`."""
    return extract(chunk)


def chunk_to_readings(
    block: bytes,
    read: Read = read_track,
    beat: Beat = lambda _place: None,
    begin: Callable[[Chunk], None] = lambda _chunk: None,
) -> bytes:
    """`extract` between processes: a Chunk as msgpack in, a list of Reading as msgpack out.

    `begin` is called before a file of it is touched.
    """
    chunk = _decode_chunk(block)
    begin(chunk)
    return _encode(extract(chunk, read, beat=beat))


_decode_chunk = msgspec.msgpack.Decoder(Chunk).decode
_encode = msgspec.msgpack.Encoder().encode


def stamp_at(root_path: bytes, path: bytes, follow_links: bool = False) -> Stamp | None:  # noqa: FBT001, FBT002 - as it is passed on
    """The stamp of what bears this name now, without opening it; None where nothing can be seen."""
    try:
        status = lstat_at(root_path, path, follow_links=follow_links)
    except OSError:
        return None
    return None if status is None else Stamp.of(status)


class _Files:
    """Reads the files of a chunk, one after the other."""

    __slots__ = ("_chunk", "_folders", "_granularity_ns", "_now_ns", "_read", "_status_of")

    def __init__(
        self, folders: OpenFolders, chunk: Chunk, read: Read, now_ns: Callable[[], int]
    ) -> None:
        self._folders = folders
        self._chunk = chunk
        self._read = read
        self._now_ns = now_ns
        self._granularity_ns = chunk.evidence.granularity_ns
        self._status_of = Statuses(births=chunk.evidence.births).of

    def look(self, path: bytes, before_ns: int = 0, hold: Hold | None = None) -> Reading:
        """Read one file; `before_ns` is the time shortly before, or 0."""
        try:
            file_descriptor = _open_file(self._folders, path)
        except OSError as error:
            return _unopened(path, error)
        try:
            status = self._status_of(file_descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Reading(path=path, gone=True)
            return self._judge_and_read(file_descriptor, status, path, before_ns, hold)
        except OSError as error:
            return Reading(path=path, problem=_environment(error))
        except MemoryError:  # the next line must allocate very little
            return Reading(path=path, problem=NO_MEMORY)
        except Exception as error:  # noqa: BLE001 - a problem of this file only (rule R9)
            return Reading(path=path, problem=problem_of(error, "extract", path))
        finally:
            os.close(file_descriptor)

    def _judge_and_read(
        self, file_descriptor: int, status: Status, path: bytes, before_ns: int, hold: Hold | None
    ) -> Reading:
        chunk = self._chunk
        stamp = Stamp.of(status)
        verdict = Wholeness.READ  # nearly always
        if not is_settled(stamp, before_ns, self._granularity_ns):
            evidence = chunk.evidence_of(path)
            verdict = _verdict(file_descriptor, stamp, evidence, self._now_ns, hold)
            if verdict in WAITING:
                return Reading(path=path, stamp=stamp, waiting=WAITING[verdict])

        found = problem = None
        file = _OpenFile(file_descriptor, stamp.size, chunk.plain, chunk.keep_tags)
        suffix = suffix_of(path[path.rfind(b"/") + 1 :])
        try:
            found = self._read(cast("BinaryIO", file), suffix)
        except Declined:  # its bytes are counted when it is read again
            return Reading(path=path, stamp=stamp, waiting=Waiting.READER)
        except (Refused, PictureError, PlaylistError) as refused:
            problem = _refusal(file, stamp.size, suffix, refused)
        except OSError as error:
            problem = _environment(error)
        except MemoryError:  # the reader's memory is freed after this block
            problem = NO_MEMORY
        except Exception as error:  # noqa: BLE001 - a problem of this file only (rule R9)
            problem = problem_of(error, "extract", path)
        after = os.fstat(file_descriptor)
        if (  # a descriptor's inode stays the same
            after.st_ctime_ns != status.st_ctime_ns
            or after.st_mtime_ns != status.st_mtime_ns
            or after.st_size != status.st_size
        ):
            return Reading(
                path=path, waiting=Waiting.CHANGING, opened=True, bytes_read=file.bytes_read
            )
        if isinstance(found, Track):  # nearly always
            return Reading(
                path=path,
                stamp=stamp,
                track=found,
                writer=verdict is Wholeness.READ_HELD,
                opened=True,
                bytes_read=file.bytes_read,
                birth_ns=status.birth_ns,
            )
        return Reading(
            path=path,
            stamp=stamp,
            problem=problem,
            writer=verdict is Wholeness.READ_HELD,
            opened=True,
            bytes_read=file.bytes_read,
            birth_ns=status.birth_ns,
            picture=found if isinstance(found, PictureFacts) else None,
            playlist=found if isinstance(found, PlaylistFacts) else None,
        )


def _unopened(path: bytes, error: OSError) -> Reading:
    """The reading of a file that could not be opened."""
    if isinstance(error, BlockingIOError):  # another program holds a write lease, as Samba does
        return Reading(path=path, waiting=Waiting.WRITER)
    if error.errno in NOT_THERE:
        return Reading(path=path, gone=True)
    return Reading(path=path, problem=_environment(error))


def _verdict(
    file_descriptor: int,
    stamp: Stamp,
    evidence: Evidence,
    now_ns: Callable[[], int],
    hold: Hold | None,
) -> Wholeness:
    """Whether a file is whole. One without a writer is too young for its tick alone.

    If it is held, a writer that opens it from now on gives it another ctime in this tick, too. One
    that was open before may have set its ctime already, and be about to write.
    """
    lease = try_lease(file_descriptor) if evidence.leases else FileLease.UNAVAILABLE
    verdict = judge(stamp, now_ns(), lease, evidence)
    if verdict is not Wholeness.WAIT_YOUNG or lease is not FileLease.GRANTED or hold is None:
        return verdict
    is_fine = granularity_of(stamp.ctime_ns, evidence.granularity_ns) == 0
    return Wholeness.READ if is_fine and hold(file_descriptor, stamp.ctime_ns) else verdict


class _OpenFile:
    """The part of a file object that `tags` uses: a descriptor, its size, a count of bytes read.

    Not Python's own file, which makes needless system calls (fstat, lseek) before the first read,
    and seeks where `pread` has the offset. Unbuffered: `tags` reads in blocks.
    """

    __slots__ = ("_at", "_descriptor", "_size", "bytes_read", "keep_tags", "ours_only")

    def __init__(
        self,
        descriptor: int,
        size: int,
        ours_only: bool,  # noqa: FBT001 - once a file
        keep_tags: frozenset[str],
    ) -> None:
        self._descriptor = descriptor
        self._size = size
        self._at = 0
        self.bytes_read = 0
        self.ours_only = ours_only
        self.keep_tags = keep_tags

    def fileno(self) -> int:
        return self._descriptor

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._at
        elif whence == os.SEEK_END:
            offset += self._size
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            size = max(0, self._size - self._at)
        data = self.read_at(self._at, size)
        self._at += len(data)
        return data

    def read_at(self, at: int, size: int) -> bytes:
        """Up to `size` bytes at an offset, without moving."""
        data = os.pread(self._descriptor, size, at)
        self.bytes_read += len(data)
        return data


def _open_file(folders: OpenFolders, path: bytes) -> int:
    """Open without changing the access time, if permitted (open(2), O_NOATIME)."""
    try:
        return folders.open(path, _FILE | os.O_NOATIME)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
    return folders.open(path, _FILE)


def _tick_left_ns(stamp: Stamp, now_ns: int, evidence: Evidence) -> int:
    return tick_left_ns(stamp.ctime_ns, now_ns, evidence.granularity_ns)


def _has_own_limit() -> bool:
    """Whether this process has its own memory limit."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _too_much(reading: Reading) -> Reading:
    reason = (
        "takes more memory to read than the setting `worker_memory` allows; if the file is not"
        " damaged, raise it and run `indexer rebuild`"
    )
    return replace(reading, problem=Problem(ProblemKind.CONTENT, reason))


def _refusal(file: _OpenFile, size: int, suffix: bytes, refused: Exception) -> Problem:
    """Why a file was refused: in plain words, then in square brackets what its reader said."""
    said = str(refused)
    if isinstance(refused, PictureError):
        return Problem(ProblemKind.PICTURE, said)
    if isinstance(refused, PlaylistError):
        return Problem(ProblemKind.PLAYLIST, said)
    if isinstance(refused, NoAudio):
        return Problem(ProblemKind.NO_AUDIO, said)
    from indexer.tags.content import plain_reason  # late: few files are refused

    try:
        words = plain_reason(file.read_at, size, suffix)
    except OSError as error:
        return _environment(error)
    return Problem(ProblemKind.CONTENT, words if words == said else f"{words} [{said}]")


def _environment(error: OSError | MemoryError) -> Problem:
    """A problem of the machine, with what to do about it."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else error.errno
    if number is None:
        return Problem(ProblemKind.ENVIRONMENT, str(error))
    what = os.strerror(number)
    reason = f"{what[:1].lower()}{what[1:]} ({errno.errorcode.get(number, number)})"
    advice = _ADVICE.get(number)
    return Problem(ProblemKind.ENVIRONMENT, f"{reason}: {advice}" if advice else reason)


NO_MEMORY = _environment(MemoryError())
"""The problem of a file that could not be read because of too little memory."""
