"""A library -> the cost of one stage for all of it, alone in a process and on one core.

`python -m tests.bench.stages STAGE MUSIC FOLDER`; Python's garbage collector is configured as in
the program. `extract` stores its readings in the folder, for the later stages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from indexer.evidence import chunk_of, ignore_lease_signal
from indexer.library import Library
from indexer.model import Chunk, Reading
from indexer.process import collector_relaxed
from indexer.settings import Settings
from indexer.stages.batch import Batch, batch
from indexer.stages.extract import extract
from indexer.stages.scan import Plan
from indexer.store.connection import tune
from indexer.store.work.pending import PendingRow
from indexer.walk import Run, walk
from tests.bench.clock import Took
from tests.bench.process import Failed
from tests.stage_harness import ByHand

READINGS = "readings"
TOGETHER = 16
"""Chunks in one transaction, as in the local engine."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Reading]).decode
_decode_chunk = msgspec.msgpack.Decoder(Chunk).decode


def walk_alone(by_hand: ByHand, _: Path) -> Took:
    """List every folder, with the stamp of every wanted file."""
    took = Took()
    (tree,) = by_hand.trees.values()
    with took.timed():
        for found in walk(tree, b"", by_hand.wanted):
            took.files += len(found.files) if isinstance(found, Run) else 0
    return took


def scan(by_hand: ByHand, _: Path) -> Took:
    """List, compare with an empty index, and make plans."""
    took = Took()
    with took.timed():
        took.files = sum(len(plan.read) for plan in _plans(by_hand))
    return took


def read(by_hand: ByHand, folder: Path) -> Took:
    """Read all columns of all files, as a reader process does."""
    took = Took()
    blocks, read_bytes = [], 0
    for chunk in _chunks(by_hand):
        with took.timed():
            readings = extract(chunk)
        took.files += sum(reading.track is not None for reading in readings)
        read_bytes += sum(reading.bytes_read for reading in readings)
        blocks.append(_encode(readings))
    (folder / READINGS).write_bytes(_encode(blocks))
    took.read_bytes = read_bytes
    return took


def encode(by_hand: ByHand, folder: Path) -> Took:
    """Encode and decode chunks and readings, as for the pipe between two processes."""
    took = Took()
    for chunk, block in zip(_chunks(by_hand), _blocks(folder), strict=True):
        readings = _decode(block)
        with took.timed():
            _decode_chunk(_encode(chunk))
            took.files += len(_decode(_encode(readings)))
    return took


def group(by_hand: ByHand, folder: Path) -> Took:
    """Combine readings with plans, grouped by album."""
    took = Took()
    for plan, block in zip(_plans(by_hand), _blocks(folder), strict=True):
        readings = _decode(block)
        with took.timed():
            took.files += len(batch(plan, readings).findings)
    return took


def insert(by_hand: ByHand, folder: Path) -> Took:
    """Insert the readings into an empty index, including the pending rows of chunks."""
    took = Took()
    tune(by_hand.connection, seeding=True)
    together: list[tuple[PendingRow, Batch]] = []
    for plan, block in zip(_plans(by_hand), _blocks(folder), strict=True):
        batched = batch(plan, _decode(block))
        with took.timed():
            together.append((by_hand.chunk(plan), batched))
            if len(together) == TOGETHER:
                took.files += _write(by_hand, together)
    with took.timed():
        took.files += _write(by_hand, together)
        by_hand.connection.wal_checkpoint()
    took.database_bytes = by_hand.settings.db.stat().st_size
    return took


STAGES: dict[str, Callable[[ByHand, Path], Took]] = {
    "walk": walk_alone,
    "scan": scan,
    "extract": read,
    "encode": encode,
    "batch": group,
    "insert": insert,
}


def _plans(by_hand: ByHand) -> Iterator[Plan]:
    """All plans, independent of concurrent inserts: each scan lists first."""
    plan_of = by_hand.scan()
    yield from list(plan_of.plans())
    if list(plan_of.late_plans()):
        raise Failed("an empty index has nothing that could be replaced")


def _chunks(by_hand: ByHand) -> Iterator[Chunk]:
    (tree,) = by_hand.trees.values()
    for plan in _plans(by_hand):
        yield chunk_of(tree, plan.read, by_hand.settings)


def _blocks(folder: Path) -> list[bytes]:
    return msgspec.msgpack.decode((folder / READINGS).read_bytes(), type=list[bytes])


def _write(by_hand: ByHand, together: list[tuple[PendingRow, Batch]]) -> int:
    """Write the batches of one transaction, and clear the list; the number of files."""
    written = by_hand.inserter.write_all(together, by_hand.now_ms)
    together.clear()
    return sum(sum(one.tally.values()) for one in written if one is not None)


@contextmanager
def _empty_index(music: Path, folder: Path) -> Iterator[ByHand]:
    database = folder / "stage.db"
    _forget(database)
    settings = Settings(db=database)
    with Library.open(settings, create=True) as library:
        library.add_root(os.fsencode(music))
    try:
        with ByHand(settings) as by_hand:
            yield by_hand
    finally:
        _forget(database)


def _forget(database: Path) -> None:
    for end in ("", "-wal", "-shm"):
        database.with_name(database.name + end).unlink(missing_ok=True)


def main() -> int:
    """Run one stage, and print its measurements."""
    stage, music, folder = sys.argv[1:]
    ignore_lease_signal()
    with collector_relaxed(), _empty_index(Path(music), Path(folder)) as by_hand:
        STAGES[stage](by_hand, Path(folder)).tell()
    return 0


if __name__ == "__main__":
    sys.exit(main())
