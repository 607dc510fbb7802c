"""The job of a relay: hints of the machine that has the disk -> hints of this index.

They are made durable, and the daemon is woken, which has them looked at as it has its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from indexer.errors import QueueError
from indexer.model import Hint
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.messages import FactsText, FolderHint, PathText, RelayOrder
from indexer.queue.relays import MOST_HINTS, Announcement, announce
from indexer.queue.workers.index_context import now_ms
from indexer.runs.wakeup import wake
from indexer.store import roots
from indexer.store.connection import write_transaction
from indexer.store.work import pending

if TYPE_CHECKING:
    import msgspec

    from indexer.queue.workers.index_context import IndexContext
    from indexer.queue.workers.index_worker import IndexWorker

MOST_OPEN: Final = 2_000
"""Hints of one root that may wait. A guess."""
MOST_FILES: Final = 50_000
"""Files that a job may name; a relay keeps 20 000. A guess."""


def run(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Take in the hints of a relay, and say which index took them. `raw` is a `RelayOrder`."""
    order: RelayOrder = read_order(raw, RelayOrder)
    context = worker.context
    ids = {root.name: root.id for root in roots.watched(context.connection)}
    announce(context.queues.client, Announcement(context.token, tuple(ids)))
    if not order.hints:
        return
    context.check(order.index)
    known = [hint for hint in order.hints if hint.root in ids]
    facts = FactsText(_files(order.closed, ids), _files(order.unfinished, ids))
    try:
        if known:
            _take_in(context, _bounded([_hint(hint, ids) for hint in known]), facts)
    finally:
        wake(context.settings.db)
    if len(known) < len(order.hints):  # hints of other roots in the job are not lost with it
        strange = {hint.root for hint in order.hints if hint.root not in ids}
        raise QueueError(
            f"refused: a relay has changes of a root {', '.join(map(repr, sorted(strange)))}; this"
            f" index has {', '.join(ids) or 'none'}: name it so where `watcher relay` runs"
        )


def _take_in(context: IndexContext, hints: list[Hint], facts: FactsText) -> None:
    """Make hints durable, to be scanned together, with what is known of the writers of files.

    Hints of a root whose disk is away wait, and no job is refused for it: so beyond `MOST_OPEN`
    they become one for all of the root (rule R12).
    """
    with write_transaction(context.connection):
        for root_id in {hint.root_id for hint in hints}:
            if pending.drop_hints_beyond(context.connection, root_id, MOST_OPEN):
                hints = [hint for hint in hints if hint.root_id != root_id]
                hints.append(Hint(root_id, recursive=True))
        rows = pending.enqueue_all(context.connection, hints, now_ms())
    if rows and (facts.closed or facts.unfinished):
        context.queues.note_facts(rows[0].generation, facts)


def _bounded(hints: list[Hint]) -> list[Hint]:
    """The same, or one for each root where a job has more than a relay ever puts into one."""
    if len(hints) <= MOST_HINTS and sum(len(hint.names or ()) for hint in hints) <= MOST_FILES:
        return hints
    return [Hint(root_id, recursive=True) for root_id in sorted({one.root_id for one in hints})]


def _hint(hint: FolderHint, ids: Mapping[str, int]) -> Hint:
    return Hint(
        ids[hint.root],
        b"" if hint.folder is None else hint.folder.raw,
        None if hint.names is None else tuple(name.raw for name in hint.names),
        recursive=hint.recursive,
    )


def _files(
    files: Collection[tuple[str, PathText]], ids: Mapping[str, int]
) -> tuple[tuple[int, PathText], ...]:
    """The same by the ids of their roots; a path that leads out of its root is refused.

    Of more than `MOST_FILES` nothing is known, so they wait until they are still.
    """
    if len(files) > MOST_FILES:
        return ()
    return tuple((ids[root], PathText.of(path.raw)) for root, path in files if root in ids)
