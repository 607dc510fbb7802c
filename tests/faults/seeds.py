"""Seeds -> why they are played in every run of the suite."""

from __future__ import annotations

from typing import Final

SEEDS_THAT_FAILED: Final[dict[tuple[str, int], str]] = {
    ("local", 7): "what the machine could not read was not tried again before the next reconcile",
    ("local", 108): "a file that lost a name to another file kept its old ctime in the index",
    ("rq", 1): "a late answer to a row that was answered in part was refused as an intruder",
    ("rq", 1004): "a second pass left a replaced file that could not be read before, and closed the"
    " older row that was about to read it",
}
"""(engine, seed) -> what it found, before that was mended."""
