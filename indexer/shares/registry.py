"""Roots that may hang -> the helper process of each, which looks at it in place of this process.

The first look at one that does not answer is waited for; then it is silent, and is told to be so at
once, until a helper that tries it now and then was answered.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from msgspec import Struct

from indexer import errors
from indexer.disk.tree import Arguments
from indexer.shares import left_behind
from indexer.shares.hanging import PATIENCE_S, root_silent
from indexer.shares.helper import Helper, Silent
from indexer.shares.messages import Call

_FIRST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0
"""Between two tries; each that is not answered doubles it. A guess."""
_CALM_S: Final = 600.0
"""One that was silent again before has to wait longer the next time. A guess."""
_MOST_LEFT: Final = 4
"""So many helpers of one root may stand in the kernel; then no other is started."""

T = TypeVar("T")


class _Share(Struct):
    """One root, and the process that looks at it."""

    helper: Helper | None = None
    silence: str = ""
    """Why it is silent; empty: it is not, as far as is known."""
    silent_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    try_at: float = 0.0
    """When it is tried again; and, while that goes on, when that is given up."""
    left: list[left_behind.Process] = []
    """Helpers that wait in the kernel."""


class Shares:
    """The helpers of one process. `clock` is monotonic."""

    def __init__(
        self,
        *,
        patience_s: float = PATIENCE_S,
        first_pause_s: float = _FIRST_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.patience_s = patience_s
        """How long an answer is waited for while the helper does not get on."""
        self._first_pause_s = first_pause_s
        self._clock = clock
        self._shares: dict[bytes, _Share] = {}

    def helper_of(self, path: bytes) -> Helper:
        """What looks at the root at `path`. Raises RootSilent while that is known to be silent."""
        share = self._shares.setdefault(path, _Share(pause_s=self._first_pause_s))
        if share.silence:
            self._try(path, share)
        helper = share.helper
        if helper is not None and (helper.is_ended or (helper.is_busy and helper.is_born)):
            helper.end()  # something came in between while it was asked
            helper = None
        if helper is None:
            helper = share.helper = self._start(path)
        return helper

    def ask(self, path: bytes, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Have a function run that looks at the root at `path`. Raises RootSilent."""
        helper = self.helper_of(path)
        try:
            answer: T = helper.ask(Call(function, arguments), patience_s=self.patience_s).value
        except Silent as silent:
            raise self.lose(path, helper, silent) from None
        return answer

    def lose(self, path: bytes, helper: Helper, silent: Silent) -> errors.RootSilent:
        """Leave a helper that has not answered; what to raise for it."""
        share = self._shares.setdefault(path, _Share(pause_s=self._first_pause_s))
        now = self._clock()
        has_ended = helper.end()
        if share.helper is helper:
            share.helper = None
            if not has_ended:
                share.left.append(helper.process)
            if share.silent_at and now - share.silent_at < _CALM_S:
                share.pause_s = min(share.pause_s * 2, _LONGEST_PAUSE_S)
            else:
                share.pause_s = self._first_pause_s
            share.silence, share.silent_at = str(silent), now
            share.try_at = now + share.pause_s
        return root_silent(path, share.silence or str(silent))

    def keep(self, paths: Iterable[bytes]) -> None:
        """End the helpers of all other roots."""
        for path in self._shares.keys() - set(paths):
            share = self._shares.pop(path)
            if share.helper is not None:
                share.helper.end()

    def close(self) -> None:
        """End all helpers."""
        for share in self._shares.values():
            if share.helper is not None:
                share.helper.end()
        self._shares.clear()

    def _start(self, path: bytes) -> Helper:
        try:
            return Helper()
        except Silent as silent:
            raise root_silent(path, str(silent)) from None

    def _try(self, path: bytes, share: _Share) -> None:
        """See whether a silent share answers again, without waiting. Raises RootSilent if not."""
        now = self._clock()
        share.left = [process for process in share.left if process.poll() is None]
        if share.helper is None:
            if now < share.try_at or len(share.left) >= _MOST_LEFT:
                raise root_silent(path, share.silence)
            share.helper = self._start(path)
            share.helper.post(Call(look_at, (path,)))
            share.pause_s = min(share.pause_s * 2, _LONGEST_PAUSE_S)
            share.try_at = now + max(share.pause_s, self.patience_s)
        try:
            if share.helper.has_answered():
                share.silence = ""
                return
            is_over = now >= share.try_at
        except Silent:
            is_over = True
        if is_over:
            if not share.helper.end():
                share.left.append(share.helper.process)
            share.helper = None
        raise root_silent(path, share.silence)


def look_at(path: bytes) -> None:
    """Ask a server for something that is not known here already: what is in the folder."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fstatvfs(folder)
        with os.scandir(folder) as listing:
            next(listing, None)
    finally:
        os.close(folder)


shares: Final = Shares()
"""Those of this process: whatever looks at one root knows what another look has met."""
atexit.register(shares.close)
