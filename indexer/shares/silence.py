"""How long an answer of a server is waited for, and the error where none comes."""

from __future__ import annotations

import os
from typing import Final

from indexer import errors

PATIENCE_S: Final = 5.0
"""A share that sent nothing for so long does not answer. A guess."""


def root_silent(path: bytes, what: str, root_id: int = 0) -> errors.RootSilent:
    """The error for a root that does not answer; `what` completes `it ...`."""
    return errors.RootSilent(
        f"{os.fsdecode(path)} {what}; see whether its server runs and can be reached. Not one row "
        "was changed, other roots go on, and it comes back by itself",
        root_id,
    )
