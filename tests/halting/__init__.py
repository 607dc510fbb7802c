"""A folder -> an environment in which the process that does a stage stops when it is asked to."""

from __future__ import annotations

import os
from pathlib import Path

from tests.programs import CHECKOUT, ENVIRONMENT, eventually

_FOLDER = CHECKOUT / "tests" / "halting"
STAGES = ("scan", "batch", "insert", "commit")
"""Where it stops: with one chunk of a scan handed out and others to follow; before a chunk is
grouped; before the transaction of an insert, and at its end, before it is committed."""


class Halts:
    """Has one process at a time stop itself (SIGSTOP) in the middle of a stage."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder

    @property
    def env(self) -> dict[str, str]:
        """What the workers are to be started with."""
        found = f"{_FOLDER}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"
        return {"PYTHONPATH": found, "HALTS": os.fspath(self._folder)}

    def ask(self, stage: str) -> None:
        """Have the next process that comes to this place stop there, once."""
        assert stage in STAGES
        (self._folder / stage).touch(exist_ok=False)

    def await_taken(self, stage: str) -> None:
        """Wait until a process has come there; it stops at the same moment."""
        eventually(lambda: not (self._folder / stage).exists())
