"""Files that are read in the tick of their ctime -> held open until that is over (rule R2).

Where the ctimes of a file differ within a tick, a later write to it shows although the clock has
not moved. But only while its inode stays in memory, with the mark that it was looked at, and its
number is not given to another file, which could be made in the same tick with the same stamp. An
open descriptor makes sure of both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from indexer.disk.tree import Tree
from indexer.evidence import TICK_NS, coarse_now_ns, tick_left_ns
from indexer.stages.extract import Hold

_MOST: Final = 256
"""Files held at once; further ones are waited for. A guess."""


class FreshFiles:
    """What holds them. Call `release` at `next_turn`, and `close` at the end."""

    def __init__(
        self,
        fs_types: frozenset[str],
        *,
        now_ns: Callable[[], int] = coarse_now_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fs_types`: where ctimes differ within a tick (`filesystem.distinct_types`)."""
        self._fs_types = fs_types
        self._now_ns = now_ns
        self._clock = clock
        self._held: list[tuple[int, int]] = []
        """Descriptor and ctime."""
        self._turn_at = 0.0

    def holder(self, tree: Tree) -> Hold | None:
        """What holds files of this root; None where all of them must be waited for."""
        devices = {one.device for one in tree.mount_points if one.fs_type in self._fs_types}
        if not devices or tree.may_hang:
            return None
        return partial(self._hold, devices)

    def next_turn(self) -> float | None:
        """When to `release`; None: nothing is held."""
        return self._turn_at if self._held else None

    def release(self, now: float) -> None:
        """Close the files whose ctime has passed; `now` is of the clock."""
        if not self._held or now < self._turn_at:
            return
        now_ns = self._now_ns()
        fresh = []
        for descriptor, ctime_ns in self._held:
            if tick_left_ns(ctime_ns, now_ns, 0):
                fresh.append((descriptor, ctime_ns))
            else:
                os.close(descriptor)
        self._held = fresh
        self._turn_at = now + TICK_NS / 1e9

    def close(self) -> None:
        """Close all of them."""
        for descriptor, _ in self._held:
            os.close(descriptor)
        self._held = []

    def _hold(self, devices: set[int | None], descriptor: int, ctime_ns: int) -> bool:
        if len(self._held) >= _MOST:  # in a long look, which no `release` interrupts
            self.release(self._clock())
        if len(self._held) >= _MOST or os.fstat(descriptor).st_dev not in devices:
            return False
        if not self._held:
            self._turn_at = self._clock() + TICK_NS / 1e9
        self._held.append((os.dup(descriptor), ctime_ns))
        return True
