"""The end of scans whose files are inserted -> missing rows, problems of folders, closed hints.

Every engine ends its scans here. Other links of a file that is gone are noted before its row is
marked missing: a kill in between may cause a needless check of a file, but loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from indexer.model import Hint, IndexedFile
from indexer.stages.hard_links import links_of_sidecars, links_of_vanished
from indexer.stages.missing import MissingMarker, Succession
from indexer.stages.scan import Scan
from indexer.stages.sidecars import try_again
from indexer.store import upkeep
from indexer.store.connection import Connection
from indexer.store.work import pending
from indexer.store.work.covered import Closed, complete_covered
from indexer.store.work.pending import PendingRow

Links = set[tuple[int, bytes]]
"""(root id, path) of files to be checked, since another link to them has changed."""


class Finished(Struct, frozen=True):
    """The results of the end of scans."""

    missing: list[IndexedFile]
    moved: list[Succession]
    """Rows whose file was gone, and that took the place of a newer copy."""
    problems: int
    """New problems: folders and names that could not be checked."""


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
    """Mark missing rows, and record what could not be listed, and which pictures changed.

    `vanished` are ids of rows that no scan found. `note_links` gets the other links to their files;
    after a scan of `everything`, only those that the scan had passed. Unless it `announces`, rows
    that lost their path to a moved file are left to a later run: they may still be found elsewhere.
    """
    scans = tuple(scans)
    upkeep.add_late_indexes(connection)
    links = links_of_vanished(connection, vanished, everything=everything)
    if links:
        note_links(links)
    missing = marker.mark_missing(vanished, now_ms)
    if announces:
        missing += marker.announce_missing(now_ms)
    changes = [change for scan in scans for change in scan.sidecars.take()]
    links = links_of_sidecars(connection, changes, everything=everything)
    if links:
        note_links(links)
    marker.note_sidecars(changes)
    for scan in scans:
        if scan.hint.recursive and not scan.hint.folder:
            try_again(connection, scan.hint.root_id)
    problems = sum(
        marker.note_folders(scan.hint.root_id, scan.unlisted, scan.resolved_problems, now_ms)
        for scan in scans
    )
    upkeep.renew_words(connection)
    upkeep.end_seldom_merging(connection)
    return Finished(missing, marker.take_moved(), problems)


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
    """Close the hints of finished scans, and all older rows that they cover.

    Runs in the caller's transaction; see `complete_covered`.
    """
    for row in rows:
        pending.complete(connection, row)
    return complete_covered(
        connection,
        covered,
        up_to_id,
        before_generation=before_generation,
        rereads_too=rereads_too,
        scan_id=scan_id,
    )
