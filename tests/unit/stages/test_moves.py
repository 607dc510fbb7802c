from __future__ import annotations

import pytest

from indexer.model import ChangeKind, IndexedFile, RowState
from indexer.stages.moves import Outcome, judge
from tests.trees import known

NEW = None
SHOWN = known(b"a.mp3")
NEVER_GOOD = known(b"a.mp3", place=RowState.REFUSED, added_at=None)
TURNED_BAD = known(b"a.mp3", place=RowState.REFUSED)
LEFT = known(b"a.mp3", place=RowState.MISSING, missing_at=5)
UNANNOUNCED = known(b"a.mp3", place=RowState.MISSING)
LEFT_NEVER_GOOD = known(b"a.mp3", place=RowState.MISSING, added_at=None, missing_at=0)
LEFT_AFTER_IT_TURNED_BAD = known(b"a.mp3", place=RowState.MISSING, missing_at=0)

ADDED, MODIFIED, MOVED = ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.MOVED
MISSING, RETURNED = ChangeKind.MISSING, ChangeKind.RETURNED
ANY = (False, True)


@pytest.mark.parametrize(
    ("before", "moved", "readable", "differs", "changes", "outcome"),
    [
        (NEW, (False,), True, ANY, [ADDED], Outcome.ADDED),
        (NEVER_GOOD, ANY, True, ANY, [ADDED], Outcome.ADDED),
        (LEFT_NEVER_GOOD, ANY, True, ANY, [ADDED], Outcome.ADDED),
        (TURNED_BAD, ANY, True, ANY, [RETURNED], Outcome.RETURNED),
        (LEFT, ANY, True, ANY, [RETURNED], Outcome.RETURNED),
        (LEFT_AFTER_IT_TURNED_BAD, ANY, True, ANY, [RETURNED], Outcome.RETURNED),
        (SHOWN, (False,), True, (False,), [], Outcome.UNCHANGED),
        (SHOWN, (False,), True, (True,), [MODIFIED], Outcome.MODIFIED),
        (SHOWN, (True,), True, (False,), [MOVED], Outcome.MOVED),
        (SHOWN, (True,), True, (True,), [MOVED, MODIFIED], Outcome.MOVED),
        (UNANNOUNCED, (True,), True, (False,), [MOVED], Outcome.MOVED),
        (UNANNOUNCED, (True,), True, (True,), [MOVED, MODIFIED], Outcome.MOVED),
        (NEW, (False,), False, (False,), [], Outcome.PROBLEM),
        (NEVER_GOOD, ANY, False, (False,), [], Outcome.PROBLEM),
        (TURNED_BAD, ANY, False, (False,), [], Outcome.PROBLEM),
        (LEFT, ANY, False, (False,), [], Outcome.PROBLEM),
        (LEFT_NEVER_GOOD, ANY, False, (False,), [], Outcome.PROBLEM),
        (LEFT_AFTER_IT_TURNED_BAD, ANY, False, (False,), [], Outcome.PROBLEM),
        (SHOWN, ANY, False, (False,), [MISSING], Outcome.PROBLEM),
        (UNANNOUNCED, ANY, False, (False,), [MISSING], Outcome.PROBLEM),
    ],
)
def test_what_is_told_and_counted_follows_from_how_a_row_stood_and_stands(
    before: IndexedFile | None,
    moved: tuple[bool, ...],
    readable: bool,
    differs: tuple[bool, ...],
    changes: list[ChangeKind],
    outcome: Outcome,
) -> None:
    for moves in moved:
        for differs_now in differs:
            verdict = judge(before, moved=moves, readable=readable, differs=differs_now)
            assert (list(verdict.changes), verdict.outcome) == (changes, outcome)
