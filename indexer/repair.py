"""A damaged index -> a sound one, with the same ids: `python -m indexer.repair FILE`.

Data derived from the rows of `tracks` is made again in place, in one write transaction. If the file
itself is damaged, its readable rows are copied into a new one, and SQLite overwrites the damaged
pages with the new ones in one write transaction, so programs that have the file open continue. A
file that SQLite can no longer write to is replaced.

A daemon runs it as a separate process, so that a repair does not increase its memory.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from indexer import errors
from indexer.model import Hint
from indexer.results import report
from indexer.stages import derive
from indexer.store import roots, tracks, upkeep
from indexer.store.connection import Connection, open_index, write_transaction, written_whole
from indexer.store.recovery import health
from indexer.store.recovery.damage import Damage, Part
from indexer.store.recovery.repair_files import RepairFiles, nothing_left
from indexer.store.recovery.rescue import Rescue
from indexer.store.recovery.salvage import Salvage
from indexer.store.sidecars import artwork
from indexer.store.sqlite_errors import explained
from indexer.store.statements import UNREADABLE
from indexer.store.work import pending

_TRIES: Final = 5
"""Attempts of a repair, which restarts if another program has written meanwhile. A guess."""
_MAKE: Final = (Part.INDEX, Part.VIEW, Part.CATALOG, Part.FULL_TEXT)
"""In this order: each needs those before it."""


class _StillDamagedError(Exception):
    """The result is not sound: there is more damage than was detected."""


def repair(database: Path) -> report.RepairReport:
    """Repair one index. It may be open in other programs; the caller holds the dispatch lock.

    Raises DatabaseDamaged if nothing can be read, or the file is not an index.
    """
    started = time.monotonic()
    _check_not_empty(database)
    with explained(database):
        for _ in range(_TRIES):
            done = _where_it_stands(database) or _into_a_new_file(database)
            if done is not None:
                seconds = round(time.monotonic() - started, 3)
                return msgspec.structs.replace(done, seconds=seconds)
    raise errors.DatabaseBusy(
        f"{database}: other programs keep writing to it; stop `watcher run`, and repair again"
    )


def _check_not_empty(database: Path) -> None:
    if not database.exists():
        raise errors.DatabaseMissing(
            f"{database}: there is no index to repair; run `indexer rebuild FOLDER` to make one"
        )
    if database.stat().st_size == 0:
        raise errors.DatabaseDamaged(
            f"{database}: is empty (0 bytes), so nothing can be saved; stop `watcher run`, and run "
            "`indexer rebuild --from COPY` with a copy (`indexer backup`), or move it away and run "
            "`indexer rebuild FOLDER`"
        )


def _where_it_stands(database: Path) -> report.RepairReport | None:
    """Make derived data again, in one write transaction; None if that is not enough."""
    try:
        connection = open_index(database, write=True)
    except errors.DatabaseDamaged:
        return None
    with closing(connection):
        found = health.check(connection, deep=True)
        if not all(one.part.is_derived for one in found):
            return None
        broken = {one.part for one in found}
        made: list[Part] = [part for part in _MAKE if part in broken]
        if made and not _make(connection, made):
            return None
        return _report(connection, found, made)


def _make(connection: Connection, parts: Sequence[Part]) -> bool:
    """Make these parts again; False, without any change, if the result is not sound."""
    try:
        with write_transaction(connection):
            for part in parts:
                _make_one(connection, part)
            _check_sound(connection)
    except (*UNREADABLE, _StillDamagedError):
        return False
    return True


def _make_one(connection: Connection, part: Part) -> None:
    if part is Part.INDEX:
        derive.indexes(connection)
    elif part is Part.VIEW:
        derive.view(connection)
    elif part is Part.CATALOG:
        salvage = Salvage(connection)
        derive.catalogue(connection, derive.Known.of(salvage, connection), salvage)
        artwork.choose_anew(connection)
    else:
        derive.full_text(connection)


def _check_sound(connection: Connection) -> None:
    if health.check(connection, deep=True):
        raise _StillDamagedError


def _into_a_new_file(database: Path) -> report.RepairReport | None:
    """Copy the readable rows; None if another program has written meanwhile."""
    files = RepairFiles(database)
    try:
        with closing(files.source()) as source, written_whole(files.fresh()) as fresh:
            found = health.check(source, deep=True)
            with write_transaction(fresh):
                salvage = Salvage(source)
                rescue = Rescue(salvage, fresh)
                now_ms = time.time_ns() // 1_000_000
                saved = rescue.copy(now_ms)
                watched = roots.watched(fresh)
                if not saved and not watched:
                    raise nothing_left(database, "no root and no track is left")
                derive.catalogue(fresh, derive.Known.of(salvage, fresh), salvage)
                derive.full_text(fresh)
                artwork.mark_all_due(fresh)
                if rescue.to_scan:
                    hints = [Hint(root.id, recursive=True) for root in watched]
                    pending.enqueue_all(fresh, hints, now_ms)
            upkeep.add_late_indexes(fresh)  # programs that have the file open did so long ago
            left = health.check(fresh, deep=True)
            if left:
                raise nothing_left(database, f"what was saved is not sound: {left[0].detail}")
            done = _report(fresh, found, [Part.FILE, *_MAKE])
        if not files.install():
            return None
    finally:
        files.close()
    return msgspec.structs.replace(
        done, lost=tuple(rescue.lost), kept=os.fspath(files.kept), to_scan=rescue.to_scan
    )


def _report(connection: Connection, found: list[Damage], made: list[Part]) -> report.RepairReport:
    return report.RepairReport(
        damage=tuple(report.DamageFound(kind=str(one.part), detail=one.detail) for one in found),
        made_again=tuple("file" if part is Part.FILE else str(part) for part in made),
        tracks=tracks.count(connection),
    )


def main(words: list[str]) -> int:
    """Repair the named file, and print the report as JSON."""
    try:
        done = repair(Path(words[0]))
    except errors.IndexerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
