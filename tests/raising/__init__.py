"""A stage and an exception -> an environment in which it raises on files with `raise` in a name."""

from __future__ import annotations

import os

from tests.programs import CHECKOUT, ENVIRONMENT

_FOLDER = CHECKOUT / "tests" / "raising"


def injecting(stage: str, error: str) -> dict[str, str]:
    """What every process of the program, and the readers that it starts, are to be started with."""
    found = f"{_FOLDER}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"
    return {"PYTHONPATH": found, "RAISE_IN": stage, "RAISE_CLASS": error}
