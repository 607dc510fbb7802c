"""Hints that were scanned -> the open rows of `pending` that these scans covered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.model import Hint
from indexer.store.statements import Connection
from indexer.store.work import pending
from indexer.store.work.pending import PendingRow

_NONE: Final[frozenset[bytes]] = frozenset()
_ANY_GENERATION: Final = 2**62
"""Above every possible generation."""


class Closed(Struct, frozen=True):
    """Files of a run's chunk that another scan has answered."""

    row: PendingRow
    paths: set[bytes]
    waits: int
    """How many more files of the run than before wait to be checked again."""
    is_in_work: bool
    """Whether the chunk still names them, since others of it are being read."""


def complete_covered(
    connection: Connection,
    hints: Sequence[Hint],
    up_to_id: int,
    *,
    before_generation: int | None = None,
    rereads_too: bool = True,
    scan_id: int = 0,
    left_open: Collection[tuple[int, bytes]] = (),
) -> list[Closed]:
    """Close every row that is covered by the finished scans of these hints.

    Only rows that existed before the scans began (`up_to_id`), since a later row stands for a later
    change; and beside concurrent scans, only rows of an older generation. Of a row that names
    files, those not scanned stay open. Without `rereads_too`, a row that wants files read again is
    covered only by a scan that did so, and the hint of a run only by that run (`scan_id`), which
    counts. A command sets it, since an interrupted rebuild is known from `scans`, and no other
    command waits for a daemon.

    `left_open` are (root id, path) of files that these scans did not answer, since they are being
    written: a chunk of another run still waits for them.

    Returns the files of other runs that were closed: they are not counted yet.
    """
    closed: list[Closed] = []
    below = _ANY_GENERATION if before_generation is None else before_generation
    for root_id in {hint.root_id for hint in hints}:
        of_root = [hint for hint in hints if hint.root_id == root_id]
        seen = _Looked(of_root)
        unanswered = {path for of_id, path in left_open if of_id == root_id}
        # newest first: an older row of a run may wait for it
        for row in pending.older_rows(connection, root_id, up_to_id, below):
            reread = row.hint.reread
            is_of_other = not rereads_too and row.scan_id not in (0, scan_id)
            if is_of_other and not row.is_chunk:
                continue
            if reread and not rereads_too:
                looked = _Looked([one for one in of_root if one.reread == reread])
            else:
                looked = seen
            if not (is_of_other and row.is_chunk):
                _answer(connection, row, looked)
                continue
            newer = pending.chunks_named_since(connection, root_id, row.generation)
            in_work = not (row.attempts or row.passes)
            but = newer | unanswered
            answered, left = _answer(connection, row, looked, but=but, stays_whole=in_work)
            if answered:
                waits = -len(answered) if row.attempts and not row.passes else 0
                closed.append(Closed(row, answered, waits, in_work and bool(left)))
    return closed


def _answer(
    connection: Connection,
    row: PendingRow,
    seen: _Looked,
    *,
    but: Collection[bytes] = _NONE,
    stays_whole: bool = False,
) -> tuple[set[bytes], set[bytes]]:
    """Close the scanned part of a row: (files that it no longer names, files that it still names).

    Those in `but` stay: they were scanned, but have no result yet. A row that `stays_whole` is
    closed only with its last file: it is being read, and does not wait to be checked again.
    """
    if row.hint.names is None:
        if seen.folder(row.hint.folder, with_all_below=row.hint.recursive):
            pending.complete(connection, row)
        return set(), set()
    named = {paths.join(row.hint.folder, name) for name in row.hint.names}
    left = {path for path in named if path in but or not seen.file(path)}
    if not left:
        pending.complete(connection, row)
    elif stays_whole:
        pass
    elif left != named and row.passes:
        pending.rename(connection, row, left)
    elif left != named:
        pending.keep_only(connection, row, left)
    return named - left, left


class _Looked:
    """The places covered by some hints of one root; fast for thousands of rows and files."""

    def __init__(self, hints: Iterable[Hint]) -> None:
        self._files: set[bytes] = set()
        self._folders: set[bytes] = set()
        self._trees: set[bytes] = set()
        for hint in hints:
            if hint.names is not None:
                self._files.update(paths.join(hint.folder, name) for name in hint.names)
            else:
                (self._trees if hint.recursive else self._folders).add(hint.folder)

    def file(self, path: bytes) -> bool:
        """Whether a file was covered."""
        return path in self._files or self.folder(paths.parent_of(path), with_all_below=False)

    def folder(self, folder: bytes, *, with_all_below: bool) -> bool:
        """Whether the contents of a folder were covered, or everything below it, too."""
        if not with_all_below and folder in self._folders:
            return True
        while folder not in self._trees:
            if not folder:
                return False
            folder = paths.parent_of(folder)
        return True


def covers(hint: Hint, root_id: int, path: bytes) -> bool:
    """Whether a file is one of those that a hint is about."""
    if hint.root_id != root_id:
        return False
    if hint.names is not None:
        return any(paths.join(hint.folder, name) == path for name in hint.names)
    if hint.recursive:
        return paths.is_below(path, hint.folder)
    return paths.parent_of(path) == hint.folder
