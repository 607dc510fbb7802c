"""Ctrl-C while a program imports its modules -> its end by that signal, without a traceback."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` imports more, with Ctrl-C on


class Starting:
    """A `with` around imports, which take a second on a small machine.

    Python would show where it was interrupted. Left alone: a SIGINT that was ignored at the start
    (`nohup`) or has a handler already, and a thread, which takes no signals.
    """

    def __enter__(self) -> None:
        self._is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        try:
            if self._is_ours:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
        except ValueError:  # not the main thread
            self._is_ours = False

    def __exit__(self, *exc_info: object) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
