"""All that some scans found is written -> missing rows, problems of folders, and closed hints.

Every engine ends its scans here. Other links of a file that is gone are noted before its row goes
missing: a kill in between may have a file looked at in vain, but forgets none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from indexer.model import Hint, IndexedFile
from indexer.stages.hard_links import links_of_vanished
from indexer.stages.missing import MissingMarker
from indexer.stages.scan import Scan
from indexer.store import pending
from indexer.store.connection import Connection
from indexer.store.pending import Closed, PendingRow

Links = set[tuple[int, bytes]]
"""(root id, path) of files to be looked at, since another name of theirs has changed."""


class Finished(Struct, frozen=True):
    """What the end of scans has written."""

    missing: list[IndexedFile]
    problems: int
    """Folders and names that could not be looked at, and were not known so."""


def finish(
    connection: Connection,
    marker: MissingMarker,
    scans: Iterable[Scan],
    vanished: Sequence[int],
    now_ms: int,
    *,
    note_links: Callable[[Links], None],
    everything: bool = False,
    announces: bool = True,
) -> Finished:
    """Mark what is missing, and write down what could not be listed.

    `vanished` are ids of rows that no scan found. `note_links` is told of other links to their
    files; of a scan of `everything`, of those that it had passed. Unless it `announces`, rows that
    lost their place to a moved file are left to a later run: they may turn up elsewhere yet.
    """
    links = links_of_vanished(connection, vanished, everything=everything)
    if links:
        note_links(links)
    missing = marker.mark_missing(vanished, now_ms)
    if announces:
        missing += marker.announce_missing(now_ms)
    problems = sum(
        marker.note_folders(scan.hint.root_id, scan.unlisted, scan.resolved_problems, now_ms)
        for scan in scans
    )
    return Finished(missing, problems)


def close_hints(
    connection: Connection,
    rows: Iterable[PendingRow],
    covered: Sequence[Hint],
    up_to_id: int,
    *,
    before_generation: int | None = None,
    rereads_too: bool = False,
    scan_id: int = 0,
) -> list[Closed]:
    """Close the hints of finished scans, and all older rows that they have answered.

    In the caller's transaction; for the rest see `pending.complete_covered`.
    """
    for row in rows:
        pending.complete(connection, row)
    return pending.complete_covered(
        connection,
        covered,
        up_to_id,
        before_generation=before_generation,
        rereads_too=rereads_too,
        scan_id=scan_id,
    )
