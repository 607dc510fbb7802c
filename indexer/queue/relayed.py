"""The job of a relay: hints of the machine that has the disk -> hints of this index.

They are made durable, and the daemon is woken, which has them looked at as it has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from indexer.errors import QueueError
from indexer.model import Hint
from indexer.queue.index_context import now_ms
from indexer.queue.jobs import read_order
from indexer.queue.messages import FactsText, FolderHint, PathText, RelayOrder
from indexer.queue.relays import Announcement, announce
from indexer.runs.wakeup import wake
from indexer.store import pending, roots
from indexer.store.connection import write_transaction

if TYPE_CHECKING:
    import msgspec

    from indexer.queue.index_worker import IndexWorker


def run(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Take in the hints of a relay, and say which index took them. `raw` is a `RelayOrder`."""
    order: RelayOrder = read_order(raw, RelayOrder)
    context = worker.context
    ids = {root.name: root.id for root in roots.watched(context.connection)}
    announce(context.queues.client, Announcement(context.token, tuple(ids)))
    if not order.hints:
        return
    context.check(order.index)
    hints = [_hint(told, ids) for told in order.hints]
    facts = FactsText(_files(order.closed, ids), _files(order.unfinished, ids))
    with write_transaction(context.connection):
        rows = pending.enqueue_all(context.connection, hints, now_ms())
    if rows and (facts.closed or facts.unfinished):
        context.queues.note_facts(rows[0].generation, facts)
    wake(context.settings.db)


def _hint(told: FolderHint, ids: Mapping[str, int]) -> Hint:
    return Hint(
        _id_of(told.root, ids),
        b"" if told.folder is None else told.folder.raw,
        None if told.names is None else tuple(name.raw for name in told.names),
        recursive=told.recursive,
    )


def _files(
    told: Iterable[tuple[str, PathText]], ids: Mapping[str, int]
) -> tuple[tuple[int, PathText], ...]:
    """The same by the ids of their roots; a path that leads out of its root is refused."""
    return tuple((_id_of(root, ids), PathText.of(path.raw)) for root, path in told)


def _id_of(root: str, ids: Mapping[str, int]) -> int:
    found = ids.get(root)
    if found is None:
        raise QueueError(
            f"refused: a relay has changes of a root {root!r}; this index has"
            f" {', '.join(ids) or 'none'}: name it so where `watcher relay` runs"
        )
    return found
