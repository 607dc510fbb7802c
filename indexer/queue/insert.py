"""The jobs of the queue `insert`: a batch -> rows of the index, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from indexer import errors, paths
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.messages import Origin
from indexer.queue.scan_passes import enqueue_links
from indexer.queue.workers.index_context import IndexContext, now_ms
from indexer.queue.workers.kept_batches import InsertOrder
from indexer.roots.open_roots import OpenRoots
from indexer.runs import run_counts
from indexer.runs.throughput import Step
from indexer.runs.wakeup import wake
from indexer.stages.batch import Batch
from indexer.stages.hard_links import links_of_batch, links_of_replaced
from indexer.stages.insert import Inserter, Written
from indexer.stages.moves import Outcome
from indexer.stages.rows import Rows
from indexer.store import track_matches
from indexer.store.connection import tune, write_transaction
from indexer.store.work import pending

if TYPE_CHECKING:
    from indexer.queue.workers.index_worker import IndexWorker
    from indexer.store.work.pending import PendingRow


def run(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Write one batch, and enqueue what follows from it. `raw` is an `InsertOrder` as JSON."""
    order: InsertOrder = read_order(raw, InsertOrder)
    worker.context.check(order.index)
    _insert(worker, order)
    worker.tracker.unpark()


def _insert(worker: IndexWorker, order: InsertOrder) -> None:
    context, tracker = worker.context, worker.tracker
    row = pending.get(context.connection, order.row)
    if row is None or row.generation != order.generation:
        return  # a newer answer has completed it
    kept = worker.batches.take(order, context.queues)
    if kept is None:
        return  # a newer batch of this row comes
    origin, batch = kept
    ready = _named(row, batch)
    open_trees = context.look_at_roots([row.hint])
    try:
        if origin.root_id not in open_trees.trees:
            _retry_later(context, row)
            return
        written, answered_too = _write(context, row, ready, open_trees, origin)
    except errors.RootSilent:
        _retry_later(context, row)
        return
    finally:
        open_trees.close()
    if written is None:
        return
    tracker.inserted += len(ready.findings)
    context.rates.count_all(
        {Step.INSERTION: len(ready.findings), Step.EXTRACTION: ready.files_read},
        written.tally[Outcome.PROBLEM],
        bytes_read=ready.bytes_read,
    )
    for generation, scan_id in {(row.generation, row.scan_id), *answered_too}:
        tracker.advance(generation, scan_id)
    if written.left is not None or written.held is not None or not row.scan_id:
        wake(context.settings.db)


def _write(
    context: IndexContext, row: PendingRow, ready: Batch, open_trees: OpenRoots, origin: Origin
) -> tuple[Written | None, set[tuple[int, int]]]:
    """What was written, and (generation, run) of what else it has answered."""
    answered_too: set[tuple[int, int]] = set()

    def follow(written: Written) -> None:
        answered_too.update(run_counts.count_chunks(connection, [(row, ready)], [written]))
        links = links_of_batch(connection, ready, known_inodes, everything=origin.everything)
        enqueue_links(connection, links | replaced, now_ms())

    connection = context.connection
    known_inodes = track_matches.inodes_met(
        connection, [one.entry.stamp.inode for one in ready.findings]
    )
    replaced = links_of_replaced(connection, ready, everything=origin.everything)
    rows = Rows(connection, {tree.root_id: tree.name for tree in open_trees.trees.values()})
    tune(connection, seeding=origin.everything)
    inserter = Inserter(connection, open_trees.trees, rows)
    return inserter.write(row, ready, now_ms(), count=follow), answered_too


def _retry_later(context: IndexContext, row: PendingRow) -> None:
    with write_transaction(context.connection):
        run_counts.retry_later(context.connection, row, now_ms())
    wake(context.settings.db)


def _named(row: PendingRow, ready: Batch) -> Batch:
    """What a batch says of the files that its row names.

    A row that was answered in part (by itself or others) names only what was left over, while
    a second answer to the same order may come late, and contains all: files that were
    completed meanwhile are dropped. Raises QueueError for files that the row has never named.
    """
    named = {paths.join(row.hint.folder, name) for name in row.hint.names or ()}
    answered = {finding.entry.path for finding in ready.findings}
    answered.update(ready.waiting, ready.declined)
    if ready.root_id != row.hint.root_id:
        raise errors.QueueError(
            f"refused: row {row.id} of `pending` is about another root; drop this job"
        )
    if answered <= named:
        return ready
    if row.attempts == 0 and row.passes == 0:
        raise errors.QueueError(
            f"refused: row {row.id} of `pending` does not name {len(answered - named)} of these"
            " files; drop this job"
        )
    return replace(
        ready,
        findings=tuple(one for one in ready.findings if one.entry.path in named),
        waiting=tuple(path for path in ready.waiting if path in named),
        declined=tuple(path for path in ready.declined if path in named),
    )
