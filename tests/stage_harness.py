"""The stages and their surroundings, one by one, under the control of a test."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, ClassVar, Self

import pytest

from indexer import paths
from indexer.disk.descent import FolderChain
from indexer.disk.tree import Tree
from indexer.evidence import chunk_of
from indexer.ignore_files import path_filter_of
from indexer.model import Chunk, Hint, Reading
from indexer.roots import open_roots
from indexer.settings import Settings
from indexer.stages.batch import Batch, batch
from indexer.stages.extract import extract
from indexer.stages.finish import MissingMarker
from indexer.stages.insert import Inserter, Written
from indexer.stages.moves import Tally
from indexer.stages.rows import Rows
from indexer.stages.scan import Plan, Scan, ScanOptions
from indexer.store import roots
from indexer.store.connection import open_index, write_transaction
from indexer.store.work import pending
from indexer.store.work.pending import PendingRow

Planned = tuple[Plan, PendingRow, Batch]
"""A plan, its row of `pending`, and what was read of its files: the fixture `planned`."""


class PoolHere:
    """A pool without processes: it reads a few chunks ahead, and returns them in any order."""

    choose: ClassVar[Callable[[int], int]] = staticmethod(lambda _held: 0)
    """Number of finished chunks -> index of the one to return next."""

    def __init__(self, workers: int, _timeout_s: float, **_more: object) -> None:
        self._ahead = 2 * workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map_unordered(
        self, chunks: Iterable[tuple[Any, Chunk]]
    ) -> Iterator[tuple[Any, list[Reading]]]:
        given = iter(chunks)
        held: list[tuple[Any, list[Reading]]] = []
        while True:
            while len(held) < self._ahead and (more := next(given, None)) is not None:
                held.append((more[0], extract(more[1])))
            if not held:
                return
            yield held.pop(type(self).choose(len(held)))


def refuse_folder(patch: pytest.MonkeyPatch, folder: bytes, number: int = errno.EACCES) -> None:
    """Let opening this folder, or any below, fail in all roots."""
    open_folder, open_next = Tree.open_folder, FolderChain.open
    lstat = Tree.lstat

    def open_refused(tree: Tree, path: bytes) -> int | None:
        if paths.is_below(path, folder):
            raise OSError(number, os.strerror(number))
        return open_folder(tree, path)

    def open_next_refused(chain: FolderChain, path: bytes, flags: int) -> int | None:
        if paths.is_below(path, folder):
            raise OSError(number, os.strerror(number))
        return open_next(chain, path, flags)

    def lstat_refused(tree: Tree, path: bytes) -> os.stat_result | None:
        if path != folder and paths.is_below(path, folder):
            raise OSError(number, os.strerror(number))
        return lstat(tree, path)

    patch.setattr(Tree, "open_folder", open_refused)
    patch.setattr(FolderChain, "open", open_next_refused)
    patch.setattr(Tree, "lstat", lstat_refused)


class ByHand:
    """The stages one by one on the index of a library, so that a test can act in between."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection = open_index(settings.db, write=True)
        watched = roots.watched(self.connection)
        self.guarded = open_roots.open_roots(self.connection, watched)
        self.trees = self.guarded.trees
        names = {root.id: root.name for root in watched}
        rows = Rows(self.connection, names)
        self.wanted = path_filter_of(settings)
        self.inserter = Inserter(self.connection, self.trees, rows)
        self.absence = MissingMarker(self.connection, self.trees, self.wanted, rows)
        self.now_ms = 1_000_000

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.guarded.close()
        self.connection.close()

    def scan(self, hint: Hint | None = None) -> Scan:
        """The scan of a hint; by default of all of the first root."""
        return Scan(
            self.connection,
            self.trees,
            hint or Hint(min(self.trees), recursive=True),
            self.wanted,
            ScanOptions(self.settings.chunk_files),
        )

    def plan(self) -> tuple[Plan, PendingRow]:
        """The only plan of a scan of the first root, and its chunk."""
        scan = self.scan()
        (plan,) = [*scan.plans(), *scan.late_plans()]
        return plan, self.chunk(plan)

    def chunk(self, plan: Plan) -> PendingRow:
        """Make a plan durable."""
        hint = Hint(plan.root_id, b"", plan.names, reread=plan.reread)
        with write_transaction(self.connection):
            return pending.enqueue(self.connection, hint, self.now_ms)

    def read(self, plan: Plan) -> Batch:
        chunk = chunk_of(self.trees[plan.root_id], plan.read, self.settings)
        return batch(plan, extract(chunk))

    def write(self, row: PendingRow, ready: Batch) -> Written:
        """Insert a batch; nothing if its row was completed already."""
        return self.inserter.write(row, ready, self.now_ms) or Written(Tally())
