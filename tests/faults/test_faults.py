"""Each fault by itself: it happens, and when all is at rest the index equals the disk."""

from __future__ import annotations

import os

import pytest

from tests.faults import disk_faults as _disk_faults  # noqa: F401 - its faults
from tests.faults import index_faults as _index_faults  # noqa: F401 - its faults
from tests.faults.__main__ import told, told_failure
from tests.faults.deployment import Layout
from tests.faults.faults import FAULTS
from tests.faults.machine import Plan, Step, play
from tests.programs import can_be_root

BEFORE = ("retag", "move_file", "create_at_once")
DURING = ("create_by_rename", "move_folder")
AFTER = ("delete", "retag")


@pytest.mark.skipif("FAULTS_MINUTES" not in os.environ, reason="FAULTS_MINUTES is not set")
@pytest.mark.skipif(not can_be_root(), reason="many faults need a disk of their own")
@pytest.mark.parametrize(
    ("engine", "name"),
    [(engine, name) for name, fault in FAULTS.items() for engine in fault.engines],
)
def test_the_index_equals_the_disk_after(engine: str, name: str) -> None:
    fault = FAULTS[name]
    layout = Layout(engine, own_disk=fault.own_disk, small_disk=fault.small_disk)
    steps = [Step(one, number, 20) for number, one in enumerate(BEFORE)]
    steps.append(Step(name, 1, len(DURING)))
    steps += [Step(one, number, 20) for number, one in enumerate((*DURING, *AFTER), len(BEFORE))]
    outcome = play(Plan(1, layout, 20, tuple(steps)))
    assert not outcome.complaints, told(outcome) + "\n" + told_failure(outcome)
    assert outcome.faults[name] == 1, told(outcome)
