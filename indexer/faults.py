"""An exception that one file caused in any stage -> that file's problem (rule R9).

It never stops other files. Our own errors (a root that went offline, an interrupt) and those of
`errors.never_one_files` are not caused by one file: they are raised again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final

from indexer.errors import ProgramFault, is_never_one_files
from indexer.model import Problem, ProblemKind, Reading

MOST_IN_A_ROW: Final = 12
"""After faults in so many different files in a row, the program is at fault, not the files."""
_REASON_LIMIT: Final = 300
"""Maximum characters of an exception's text: it may quote the file."""
_MOST_LOGGED: Final = 1000
"""Maximum faults remembered as logged, so that each traceback is logged once."""
_logged: set[tuple[str, bytes, str]] = set()


def check_is_files(error: Exception) -> None:
    """Raise the exception again unless it can be caused by the current file."""
    if is_never_one_files(error):
        raise error


def problem_of(error: Exception, stage: str, path: bytes) -> Problem:
    """The problem of the file at `path` (relative to its root), for which a stage raised `error`.

    An OSError or MemoryError is a problem of the machine; so is an ImportError, since modules are
    loaded when a file needs them, and an update may be replacing them then. All others are faults
    of this program: the traceback is logged, once for each file. Raises the exception again if it
    is unrelated to this file.
    """
    check_is_files(error)
    if isinstance(error, ImportError):
        return Problem(
            ProblemKind.ENVIRONMENT,
            f"a part of this program cannot be loaded ({_text_of(error)}): if it was updated while"
            " this process ran, start that again; else install it again",
        )
    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    if isinstance(error, OSError):
        return Problem(ProblemKind.ENVIRONMENT, explain(error))
    text = _text_of(error)
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    key = (stage, path, what)
    if key not in _logged:
        if len(_logged) >= _MOST_LOGGED:
            _logged.clear()
        _logged.add(key)
        import logging  # late: rarely needed

        shown = path.decode("utf-8", "backslashreplace")
        logging.getLogger("indexer").error("fault stage=%s path=%s", stage, shown, exc_info=error)
    return Problem(
        ProblemKind.FAULT,
        f"this program failed on it ({stage}: {what}); please report it with the traceback in the"
        " log. It is read again when it changes, or by the next version",
    )


def _text_of(error: Exception) -> str:
    return " ".join(str(error).split())[:_REASON_LIMIT]


def explain(error: OSError) -> str:
    """An error of the kernel for a file or folder, with what to do about it."""
    name = errno.errorcode.get(error.errno or 0, "?")
    return f"{error.strerror} ({name})"


class FaultStreak:
    """Counts different files in a row with a fault in one stage of a run."""

    def __init__(self) -> None:
        self._paths: set[bytes] = set()

    def count_all(self, readings: Sequence[Reading]) -> None:
        """Count the readings of some files. Raises ProgramFault after too many faults in a row."""
        if not self._paths and all(reading.problem is None for reading in readings):
            return  # nearly always
        for reading in readings:
            if reading.problem is not None or reading.track is not None:
                self.count(reading.path, reading.problem)

    def count(self, path: bytes, problem: Problem | None) -> None:
        """Count one more file that passed the stage, with its problem or None.

        Raises ProgramFault after too many faults in a row.
        """
        if problem is None or problem.kind is not ProblemKind.FAULT:
            self._paths.clear()
            return
        self._paths.add(path)
        if len(self._paths) >= MOST_IN_A_ROW:
            raise ProgramFault(
                f"{len(self._paths)} different files in a row made this program fail, the last one"
                f" {path.decode('utf-8', 'backslashreplace')}: the program is at fault, not the"
                " files. What was not written stays pending; update this program, or report the"
                " tracebacks in its log"
            )
