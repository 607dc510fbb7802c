"""Turn Ctrl-C and SIGTERM into a flag that a long run polls, and the second of them into an end."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from indexer.cli.output import can_redraw

if TYPE_CHECKING:
    from types import FrameType

_POLITE = b"indexer: stopping after the current batch; once more to stop at once\n"


class Interrupt:
    """The user's wish to stop, as the `stop` that the library polls.

    As a context it catches both signals. The first is a wish, and the run ends between two batches.
    The second raises KeyboardInterrupt where the program stands, and leaves a third to the kernel's
    own default. A signal that was ignored when the program started (`nohup`, `&` in a script) stays
    ignored.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came first."""
        self._before: dict[int, signal._HANDLER] = {}
        self._wipe = b""

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """What a shell calls a program that this signal ended: 130 or 143."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Self:
        self._wipe = b"\r\x1b[K" if can_redraw() else b""
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            if before != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._caught)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            for caught in self._before:
                signal.signal(caught, signal.SIG_DFL)
            raise KeyboardInterrupt
        self.number = number
        # Not through sys.stderr: the signal may have come while it was being written to.
        # The progress line is wiped first; its next drawing lands one line below.
        with suppress(OSError):  # nobody reads it: the wish stands all the same
            os.write(2, self._wipe + _POLITE)
