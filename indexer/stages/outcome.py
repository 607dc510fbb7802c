"""The old and the new state of a file's row -> changes to record, and its outcome. Pure."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from msgspec import Struct

from indexer.model import ChangeKind, IndexedFile, RowState


class Outcome(StrEnum):
    """The category of one file in a scan's report."""

    ADDED = "added"
    MODIFIED = "modified"
    MOVED = "moved"
    RETURNED = "returned"
    MISSING = "missing"
    UNCHANGED = "unchanged"
    PROBLEM = "problems"


Tally = Counter[Outcome]


class Judgement(Struct, frozen=True):
    """Changes to append, in this order, and the file's category."""

    changes: tuple[ChangeKind, ...]
    outcome: Outcome


def judge(
    before: IndexedFile | None,
    *,
    moved: bool,
    readable: bool,
    differs: bool,
    soundless: bool = False,
) -> Judgement:
    """What happened to a file that is now present.

    `before` is its old row, `moved` whether that was at another path, `readable` whether it is in
    the view now, `differs` whether a column of the view differs, `soundless` that it has no sound:
    then nothing is said of it, but that it has left the view. The feed has `added` once for each
    id; leaving the view is `missing`, entering it again at any path is `returned`.
    """
    was_shown = before is not None and before.place is RowState.PRESENT
    unannounced = (
        before is not None and before.place is RowState.MISSING and before.missing_at is None
    )
    if not readable:
        changes = (ChangeKind.MISSING,) if was_shown or unannounced else ()
        return Judgement(changes, Outcome.UNCHANGED if soundless else Outcome.PROBLEM)
    if before is None or before.added_at is None:
        return Judgement((ChangeKind.ADDED,), Outcome.ADDED)
    if not (was_shown or unannounced):
        return Judgement((ChangeKind.RETURNED,), Outcome.RETURNED)
    more = (ChangeKind.MODIFIED,) if differs else ()
    if moved:
        return Judgement((ChangeKind.MOVED, *more), Outcome.MOVED)
    return Judgement(more, Outcome.MODIFIED if differs else Outcome.UNCHANGED)
