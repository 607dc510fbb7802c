"""Covers and audio files -> the bytes that are sent.

A file of a root is opened name by name and never through a link that leads out.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from msgspec import Struct

from indexer import errors
from indexer.artwork.cache import KEPT_SIZE
from indexer.disk.mounts import is_share
from indexer.disk.pieces import piece_of
from indexer.model import RowState
from indexer.paths import suffix_of
from indexer.shares.hanging import ask_at
from indexer.store import roots, tracks
from indexer.web.pool import Pool

_IDLE_S: Final = 30.0
"""After this the processes that decode pictures are ended. A guess."""
_PIECE: Final = 1 << 18
"""Bytes of an audio file that are read at once. A guess."""
_TYPES: Final = {
    suffix: kind
    for kind, suffixes in {
        "audio/mpeg": b".mp3 .mp2 .mp1 .m2a .mpga",
        "audio/aac": b".aac .adts",
        "audio/ac3": b".ac3",
        "audio/eac3": b".eac3 .ec3",
        "audio/flac": b".flac",
        "audio/ogg": b".ogg .oga .ogx .oggflac .opus .spx",
        "audio/mp4": b".m4a .m4b .m4p .m4r .mp4 .f4a .alac",
        "audio/3gpp": b".3ga",
        "audio/x-matroska": b".mka",
        "audio/webm": b".webm .weba",
        "audio/x-ms-wma": b".wma .asf",
        "audio/wav": b".wav .wave .bwf",
        "audio/x-w64": b".w64",
        "audio/aiff": b".aif .aiff .aifc .afc",
        "audio/x-caf": b".caf",
        "audio/x-dsf": b".dsf",
        "audio/x-dff": b".dff",
        "audio/x-ape": b".ape",
        "audio/x-musepack": b".mpc .mp+ .mpp",
        "audio/x-optimfrog": b".ofr .ofs",
        "audio/x-tak": b".tak",
        "audio/x-tta": b".tta",
        "audio/x-wavpack": b".wv",
    }.items()
    for suffix in suffixes.split()
}
"""Media types by suffix. Without a registered one, that of players and desktops."""


def media_type(path: bytes) -> str:
    """What an audio file is for a browser, by its name."""
    return _TYPES.get(suffix_of(path), "application/octet-stream")


class CoverMaker:
    """Thumbnails, made by one thread, since the processes that decode end with the starting one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._asked: queue.Queue[tuple[str, int, Future[Path]]] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        """Guards `_thread`."""

    def path_of(self, digest: str, size: int) -> tuple[Path, bool]:
        """The file of a thumbnail, and whether it has this size.

        Where the large one cannot be made or kept, it is the small one. Raises UsageError for an
        unknown picture, and CannotDo if it cannot be read now.
        """
        try:
            return self._made(digest, size), True
        except errors.CannotDo:
            if size == KEPT_SIZE:
                raise
            return self._made(digest, KEPT_SIZE), False

    def _made(self, digest: str, size: int) -> Path:
        answer: Future[Path] = Future()
        with self._lock:
            self._asked.put((digest, size, answer))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="covers", daemon=True)
                self._thread.start()
        return answer.result()

    def _run(self) -> None:
        from indexer.covers import Thumbnails  # late: 2 MB, and some libraries have no covers

        thumbnails = Thumbnails(self._pool.settings)
        while True:
            try:
                digest, size, answer = self._asked.get(timeout=_IDLE_S)
            except queue.Empty:
                thumbnails.close()
                with self._lock:
                    if self._asked.empty():
                        self._thread = None
                        return
                continue
            try:
                with self._pool.reader() as lookup:
                    answer.set_result(thumbnails.path_of(lookup.connection, digest, size))
            except BaseException as error:  # noqa: BLE001 - the thread that asked raises it
                answer.set_exception(error)


class Audio(Struct, frozen=True):
    """An audio file as it was when it was asked for."""

    size: int
    mtime_ns: int
    type: str
    root_path: bytes
    path: bytes


class AudioFiles:
    """The audio files of the index, read piece by piece: none is held open, so a disk can leave."""

    def __init__(self, pool: Pool, disks: ThreadPoolExecutor) -> None:
        """`disks` is the one thread that has helpers for roots whose server may hang."""
        self._pool = pool
        self._disks = disks
        self._follow_links = pool.settings.follow_links

    def find(self, track_id: int) -> Audio | None:
        """The file of a present track; None if there is none. Raises OSError and RootSilent."""
        with self._pool.reader() as lookup:
            known = tracks.by_id(lookup.connection, track_id)
            watched = {root.id: root.path for root in roots.watched(lookup.connection)}
        if known is None or known.place is not RowState.PRESENT or known.root_id not in watched:
            return None
        root_path = watched[known.root_id]
        found = self._piece(root_path, known.path, 0, 0)
        if found is None:
            return None
        kind = media_type(known.path)
        return Audio(found[0], found[1], kind, root_path, known.path)

    def bytes_of(self, audio: Audio, begin: int, end: int) -> Iterator[bytes]:
        """The bytes from `begin` to before `end`; it stops where the file is changed meanwhile."""
        while begin < end:
            count = min(_PIECE, end - begin)
            found = self._piece(audio.root_path, audio.path, begin, count)
            if found is None or found[:2] != (audio.size, audio.mtime_ns) or not found[2]:
                return
            yield found[2]
            begin += len(found[2])

    def _piece(
        self, root_path: bytes, path: bytes, begin: int, count: int
    ) -> tuple[int, int, bytes] | None:
        asked = (root_path, path, self._follow_links, begin, count)
        if is_share(root_path):
            return self._disks.submit(lambda: ask_at(root_path, piece_of, *asked)).result()
        return piece_of(*asked)
