"""The jobs `album_cover`, `artist_image` and `playlist` of the queue `deferred`.

A job names no owners: it takes what is due, many at a time, for a moment, and puts the next job at
the end of the queue. So it may run twice, and one that is lost costs a pause.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from indexer import errors
from indexer.process import give_back
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.queues import put_due_artwork
from indexer.readers.artwork import MUCH_CHOSEN, ArtworkWork, steps
from indexer.runs.throughput import Step
from indexer.store.sidecars.artwork import OwnerKind, delete_unwanted, follow_names, kinds_wanted

if TYPE_CHECKING:
    from indexer.disk.tree import Tree
    from indexer.queue.workers.index_worker import IndexWorker

_SLICE_S: Final = 1.0
"""How long one job works at the most, where no more urgent one of its process waits. A guess."""


def album_cover(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Choose covers of albums. `raw` is `{"index": TOKEN}`."""
    _choose(worker, raw, OwnerKind.ALBUM)


def artist_image(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Choose images of artists. `raw` is the same."""
    _choose(worker, raw, OwnerKind.ARTIST)


def playlist(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Read playlists, and match lyrics with tracks. `raw` is the same."""
    _choose(worker, raw, OwnerKind.PLAYLIST)


def _choose(worker: IndexWorker, raw: msgspec.Raw, kind: OwnerKind) -> None:
    context = worker.context
    context.check(read_order(raw, dict[str, str])["index"])
    delete_unwanted(context.connection, context.settings)
    follow_names(context.connection, context.settings)
    if kind not in kinds_wanted(context.settings):
        return
    work = worker.artwork_of(kind)
    ends_at = time.monotonic() + _SLICE_S
    open_trees = context.mounted_roots()
    try:
        worker.chosen += _work(
            work,
            open_trees.trees,
            lambda: time.monotonic() >= ends_at or context.queues.has_jobs(worker.more_urgent),
            worker,
        )
    except errors.RootSilent as error:
        open_trees.lose(error)
    finally:
        open_trees.close()
    if work.is_over:
        work.close()
        if worker.chosen > MUCH_CHOSEN:
            worker.chosen = 0
            give_back(context.connection)
    else:
        put_due_artwork(context.connection, context.queues, context.token, (kind,))


def _work(
    work: ArtworkWork, trees: Mapping[int, Tree], stop: Callable[[], bool], worker: IndexWorker
) -> int:
    """How many albums and artists were chosen for, and pictures read."""
    done = 0
    for step in steps(work, trees, stop):
        worker.context.rates.count_all(
            {Step.ARTWORK: step.chosen}, bytes_read=step.bytes_read, deferred_reads=step.read
        )
        done += step.chosen + step.read
    return done
