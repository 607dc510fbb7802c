"""The imports of a program -> no traceback of a Ctrl-C meanwhile, and no search for garbage."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` imports more, with Ctrl-C on
import atexit
import gc


class Starting:
    """A `with` around imports, which take a second on a small machine.

    Python would show where it was interrupted. Left alone: a SIGINT that was ignored at the start
    (`nohup`) or has a handler already, and a thread, which takes no signals.

    What is imported stays in memory: to look for garbage in it would take 3 of 60 ms here, time in
    each later collection, and 10 ms of the last one, at the end of the program.
    """

    def __enter__(self) -> None:
        gc.disable()
        self._is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        try:
            if self._is_ours:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
        except ValueError:  # not the main thread
            self._is_ours = False

    def __exit__(self, *exc_info: object) -> None:
        gc.enable()
        gc.freeze()
        atexit.register(gc.freeze)
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
