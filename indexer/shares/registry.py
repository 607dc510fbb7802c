"""Roots that may hang -> the helper process of each, which accesses it instead of this process.

The first access to one that does not answer is waited for. Then it counts as silent and fails at
once, until a helper, which tries it now and then, gets an answer.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Final, TypeVar

from msgspec import Struct

from indexer import errors
from indexer.disk.tree import Arguments
from indexer.shares.helper_client import Helper, Silent
from indexer.shares.messages import PATIENCE_S, Call

_FIRST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0
"""Pause between two tries; each that is not answered doubles it. A guess."""
_CALM_S: Final = 600.0
"""One that is silent again within this time waits longer for its next try. A guess."""
_MOST_LEFT: Final = 4
"""With so many helpers of one root blocked in the kernel, no other is started."""

T = TypeVar("T")


class _Share(Struct):
    """One root, and the process that accesses it."""

    helper: Helper | None = None
    silence: str = ""
    """Why it is silent; empty: it is not, as far as is known."""
    silent_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    try_at: float = 0.0
    """When it is tried again; and, during a try, when that is given up."""
    left: list[Popen[bytes]] = []
    """Helpers that are blocked in the kernel."""


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
        """How long an answer is waited for while the helper makes no progress."""
        self._stop: Callable[[], bool] | None = None
        self._first_pause_s = first_pause_s
        self._clock = clock
        self._shares: dict[bytes, _Share] = {}

    def helper_of(self, path: bytes) -> Helper:
        """The helper of the root at `path`. Raises RootSilent while that is known to be silent."""
        share = self._shares.setdefault(path, _Share(pause_s=self._first_pause_s))
        if share.silence:
            self._try(path, share)
        helper = share.helper
        if helper is not None and (helper.is_ended or (helper.is_busy and helper.is_born)):
            helper.end()  # the last request was interrupted
            helper = None
        if helper is None:
            helper = share.helper = self._start(path)
        return helper

    def ask(self, path: bytes, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Run a function that accesses the root at `path`. Raises RootSilent."""
        helper = self.helper_of(path)
        try:
            answer: T = helper.ask(
                Call(function, arguments), patience_s=self.patience_s, stop=self._stop
            ).value
        except Silent as silent:
            raise self.lose(path, helper, silent) from None
        return answer

    @contextmanager
    def waiting_unless(self, stop: Callable[[], bool]) -> Iterator[None]:
        """Within it, no answer is waited for once `stop` is true: the root counts as silent."""
        before, self._stop = self._stop, stop
        try:
            yield
        finally:
            self._stop = before

    @property
    def stop(self) -> Callable[[], bool] | None:
        """Whether answers are waited for no longer."""
        return self._stop

    def lose(self, path: bytes, helper: Helper, silent: Silent) -> errors.RootSilent:
        """Leave a helper that has not answered behind; the error to raise for it."""
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
        return errors.RootSilent.at(path, share.silence or str(silent))

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
            raise errors.RootSilent.at(path, str(silent)) from None

    def _try(self, path: bytes, share: _Share) -> None:
        """Check whether a silent share answers again, without waiting. Raises RootSilent if not."""
        now = self._clock()
        share.left = [process for process in share.left if process.poll() is None]
        if share.helper is None:
            if now < share.try_at or len(share.left) >= _MOST_LEFT:
                raise errors.RootSilent.at(path, share.silence)
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
        raise errors.RootSilent.at(path, share.silence)


def look_at(path: bytes) -> None:
    """Ask a server for something that is not cached here: the contents of the folder."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fstatvfs(folder)
        with os.scandir(folder) as listing:
            next(listing, None)
    finally:
        os.close(folder)


shares: Final = Shares()
"""The helpers of this process: one access to a root learns from the failures of others."""
atexit.register(shares.close)
