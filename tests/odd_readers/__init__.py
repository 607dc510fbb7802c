"""An environment in which readers die, hang or take their time, as a file's name tells them."""

from __future__ import annotations

import os

from tests.programs import CHECKOUT, ENVIRONMENT

_FOLDER = CHECKOUT / "tests" / "odd_readers"
ODD_READERS = {
    "PYTHONPATH": f"{_FOLDER}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}",
    "ODD_READERS": "1",
}
"""What a worker is to be started with, and so each reader that it starts."""
