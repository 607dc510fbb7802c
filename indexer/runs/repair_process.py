"""A damaged index that this process has open -> a sound one, repaired by a program of its own.

A daemon and a worker keep their memory small, and their connection: a repair writes in one
transaction. The caller holds no transaction; it holds the dispatch lock unless `takes_lock`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from indexer import errors

_LOOK_PAUSE_S: Final = 0.05
_HERE: Final = str(Path(__file__).resolve().parents[2])


class Mended(Struct, frozen=True):
    """The parts of a repair's report that the log shows."""

    made_again: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    kept: str | None = None
    seconds: float = 0.0


def mend(database: Path, stop: Callable[[], bool], *, takes_lock: bool = False) -> Mended:
    """Repair an index, and wait for the end; what was done.

    `takes_lock`: the caller does not hold the dispatch lock, and it is taken for the repair.
    Raises DatabaseDamaged where it failed, Interrupted where `stop` is set: then nothing was
    changed.
    """
    inherited = os.environ.get("PYTHONPATH")
    words = ["indexer.repair", os.fspath(database)]
    if takes_lock:
        words = ["indexer", "--db", os.fspath(database), "repair", "--json"]
    child = subprocess.Popen(  # noqa: S603 - our own module, no shell
        [sys.executable, "-P", "-m", *words],
        env={**os.environ, "PYTHONPATH": f"{_HERE}:{inherited}" if inherited else _HERE},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        try:
            while True:
                try:
                    out, err = child.communicate(timeout=_LOOK_PAUSE_S)
                    break
                except subprocess.TimeoutExpired:
                    if stop():
                        raise errors.Interrupted("stopped during a repair") from None
        finally:
            child.kill()
    if child.returncode != 0:
        lines = err.decode("utf-8", "replace").strip().splitlines() or ["it was killed"]
        raise errors.DatabaseDamaged(
            f"the index is damaged, and could not be repaired: {lines[-1]}"
        )
    return msgspec.json.decode(out, type=Mended)
