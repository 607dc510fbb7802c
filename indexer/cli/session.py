"""One run of the program -> an exit code: the state that commands share, and error handling."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from indexer.cli.interrupt import Interrupt
from indexer.cli.output import Output, can_redraw, say
from indexer.cli.progress import ProgressLine
from indexer.cli.terminal import file_text
from indexer.errors import IndexerError, Interrupted
from indexer.process import collector_relaxed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from indexer.library import Library
    from indexer.model import Listener
    from indexer.settings import Settings

Row = TypeVar("Row")

_ACTIONABLE = frozenset({
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP,
    errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE,
    errno.ENODEV, errno.ENXIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
})  # fmt: skip
"""System errors whose own message is enough for a user; others are shown with a traceback."""


class Session:
    """The options before the subcommand, and the output."""

    def __init__(self, program: str = "indexer") -> None:
        self.program = program
        self.config: Path | None = None
        self.db: Path | None = None
        self.as_json = False
        self.output = Output()
        self.interrupt = Interrupt()
        self._database: Path | None = None

    def settings(self, *, workers: int | None = None) -> Settings:
        """The settings of this run; None means that a flag was not given."""
        from indexer import settings

        loaded = settings.load(self.config, self.db, os.environ, workers=workers)
        self._database = loaded.db
        return loaded

    def library(self, settings: Settings | None = None, *, create: bool = False) -> Library:
        """The library, to be closed by the caller's `with`."""
        chosen = settings or self.settings()
        with collector_relaxed():
            from indexer.library import Library

        return Library.open(chosen, create=create)

    def progress(self) -> AbstractContextManager[Listener | None]:
        """A progress line if stderr is a terminal, else nothing."""
        return ProgressLine() if can_redraw() and not self.as_json else nullcontext()

    def answer(self, value: object, lines: Iterable[str]) -> None:
        """Print the one answer of a command."""
        if self.as_json:
            self.output.json(value)
        else:
            self.output.lines(lines)

    def answer_rows(
        self, rows: Iterable[Row], line_of: Callable[[Row], str], *, at_once: bool = False
    ) -> int:
        """Print an answer of many rows, one per line; the number of rows."""
        return self.output.rows(rows, None if self.as_json else line_of, at_once=at_once)

    def exit_code(self, command: Callable[[], int]) -> int:
        """Run a command and turn errors into exit codes; a traceback means a bug in this program.

        Output that was printed before an error is flushed before the error message.
        """
        try:
            try:
                return self._explained(command)
            finally:
                self.output.flush()
        except BrokenPipeError:
            self.output.close()
            return 0
        except Interrupted as error:
            say(str(error), self.program)
            return self.interrupt.exit_code
        except IndexerError as error:
            say(str(error), self.program)
            return error.exit_code
        except KeyboardInterrupt:
            if self.interrupt():
                say(
                    "stopped at once: what was committed stays; run the same command to go on",
                    self.program,
                )
            return self.interrupt.exit_code
        except OSError as error:
            if error.errno not in _ACTIONABLE:
                raise
            name = error.filename  # the number of a descriptor is useless
            where = f"{file_text(name)}: " if name and not isinstance(name, int) else ""
            say(f"{where}{error.strerror}", self.program)
            return 3

    def _explained(self, command: Callable[[], int]) -> int:
        """Run a command, and explain an exception that is caused by damage to the index.

        An invalid row may be noticed only when it is printed.
        """
        try:
            return command()
        except (IndexerError, OSError):
            raise
        except Exception as error:
            if self._database is None or not self._database.exists():
                raise
            from indexer.store.sqlite_errors import explanation  # late: only for errors

            told = explanation(self._database, error)
            if told is None:
                raise
            raise told from error
