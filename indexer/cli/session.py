"""One run of the program -> an exit code: the state that commands share, and error handling."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self, TypeVar

from indexer.cli.listing import Listing
from indexer.cli.output import STANDARD_OUTPUT, Output, can_redraw, say
from indexer.cli.terminal import file_text
from indexer.errors import CannotDo, IndexerError, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path
    from types import FrameType

    from indexer.cli.listing import More
    from indexer.library import Library
    from indexer.lookup import Lookup
    from indexer.model import Listener
    from indexer.settings import Settings
    from indexer.settings.present import PresentSettings


Row = TypeVar("Row")

_ACTIONABLE = frozenset({
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP,
    errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE,
    errno.ENODEV, errno.ENXIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
})  # fmt: skip
"""System errors whose own message is enough for a user; others are shown with a traceback."""
_NO_THREAD = "can't start new thread"
"""What Python says where the kernel makes no thread."""
_POLITE = "indexer: stopping after the current batch; once more to stop at once\n"


class Session:
    """The options before the subcommand, and the output."""

    def __init__(self, program: str = "indexer") -> None:
        self.program = program
        self.config: Path | None = None
        self.db: Path | None = None
        self.as_json = False
        self.output = Output()
        self.listing = Listing()
        self.interrupt = Interrupt()
        self._database: Path | None = None

    def settings(self, *, workers: int | None = None) -> Settings:
        """The settings of this run; None means that a flag was not given."""
        from indexer.settings import settings_file

        loaded = settings_file.load(self.config, self.db, os.environ, workers=workers)
        self._database = loaded.db
        return loaded

    def working_settings(self) -> Settings:
        """The same for a command that does work: what it logs goes to stderr."""
        _log()
        return self.settings()

    def present_settings(self) -> PresentSettings:
        """What knows when the settings file changes from now on; read them after this."""
        from indexer.settings import settings_file
        from indexer.settings.present import PresentSettings

        return PresentSettings(settings_file.place_of(self.config), self.settings)

    def make_absolute(self) -> None:
        """Have the files of this run found from another current folder, too."""
        if self.db is not None and not str(self.db).startswith("~"):
            self.db = self.db.absolute()
        if self.config is not None:
            self.config = self.config.absolute()
        for name in ("INDEXER_DB", "INDEXER_CONFIG"):
            value = os.environ.get(name)
            if value and not value.startswith("~"):
                os.environ[name] = os.path.abspath(value)

    def library(self, settings: Settings | None = None, *, create: bool = False) -> Library:
        """The library, to be closed by the caller's `with`."""
        chosen = settings or self.settings()
        from indexer.library import Library

        _log()
        return Library.open(chosen, create=create)

    def lookup(self) -> Lookup:
        """The index, opened for reading only, to be closed by the caller's `with`."""
        chosen = self.settings()
        from indexer.lookup import Lookup

        return Lookup.open(chosen)

    @contextmanager
    def progress(self) -> Iterator[Listener | None]:
        """A progress line if stderr is a terminal, else nothing; the work waits for neither."""
        with self.nonblocking_stderr():
            if self.as_json or not can_redraw():
                yield None
                return
            from indexer.cli.progress import ProgressLine  # late: commands that ask show none

            with ProgressLine() as listener:
                yield listener

    @contextmanager
    def nonblocking_stderr(self) -> Iterator[None]:
        """Let nothing wait for stderr, which may be a terminal after Ctrl-S."""
        from indexer.nonblocking_stream import nonblocking_stderr  # late: as above

        with nonblocking_stderr(self._lost) as stream:
            self.interrupt.answer = stream.write
            try:
                yield
            finally:
                self.interrupt.answer = write_error

    def _lost(self, number: int) -> str:
        return f"{self.program}: {number} texts are missing here, since nothing read them\n"

    def answer(self, value: object, lines: Iterable[str], *, at_fields: bool = False) -> None:
        """Print the one answer of a command; `at_fields` as in `Output.lines`."""
        if self.as_json:
            self.output.json(value)
        else:
            self.output.lines(lines, at_fields=at_fields)

    def answer_rows(
        self,
        rows: Iterable[Row],
        line_of: Callable[[Row], str],
        fields: Collection[str] = (),
        library: Lookup | None = None,
        *,
        more: More | None = None,
        at_once: bool = False,
    ) -> int:
        """Print an answer of many rows, one per line; the number of rows.

        With `listing_options`, a command names the fields of its rows, the library of their roots,
        and what `more` a pattern may name.
        """
        if not self.listing.is_chosen or library is None:
            return self.output.rows(rows, None if self.as_json else line_of, at_once=at_once)
        if self.as_json:
            raise UsageError("choose one of --json, --paths and --format")
        found = 0

        def counted() -> Iterator[Row]:
            nonlocal found
            for row in rows:
                found += 1
                yield row

        writer = self.listing.writer(fields, library.root_paths, more)
        self.output.data(writer(counted()), at_once=at_once)
        return found

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
            if error.errno not in _ACTIONABLE and error.filename != STANDARD_OUTPUT:
                raise
            say(_text_of(error), self.program)
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
            if str(error) == _NO_THREAD:
                raise CannotDo(
                    "the system allows no further thread: end other programs of this user, or raise"
                    " its limit (ulimit -u; TasksMax of a unit; --pids-limit of a container)"
                ) from error
            if self._database is None or not self._database.exists():
                raise
            from indexer.store.sqlite_errors import explanation  # late: only for errors

            explained_error = explanation(self._database, error)
            if explained_error is None:
                raise
            raise explained_error from error


def _text_of(error: OSError) -> str:
    """What to show of an error of the kernel."""
    name = error.filename
    if name and not isinstance(name, int):  # the number of a descriptor is useless
        return f"{file_text(name)}: {error.strerror}"
    try:
        os.getcwdb()
    except FileNotFoundError:
        return "the current folder was deleted; go to another one (cd), or write whole paths"
    return str(error.strerror)


def _log() -> None:
    from indexer.cli.log import log_to_stderr  # late: commands that only ask log nothing

    log_to_stderr()


def write_error(text: str) -> None:
    """Write to stderr from a signal handler: it may have interrupted a write to `sys.stderr`."""
    os.write(2, text.encode())


class Interrupt:
    """The user's request to stop; the library polls it as `stop`.

    As a context manager it catches both signals. After the first, the run ends between two batches.
    The second raises KeyboardInterrupt, and restores the kernel's default action for a third. A
    signal that was ignored when the program started (`nohup`, `&` in a script) stays ignored.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came first."""
        self.answer: Callable[[str], object] = write_error
        """What the first signal is answered with."""
        self._before: dict[int, signal._HANDLER] = {}
        self._is_ending = False
        self._wipe = ""

    def __call__(self) -> bool:
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """The shell's exit code for a program ended by this signal: 130 or 143."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Self:
        self._wipe = "\r\x1b[K" if can_redraw() else ""
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
        if self._is_ending:
            return
        if self.number is not None:
            self._is_ending = True
            signal.raise_signal(number)  # Python handles all that have come before it returns:
            for caught in self._before:  # it would complain of one that finds no handler any more
                signal.signal(caught, signal.SIG_DFL)
            raise KeyboardInterrupt
        self.number = number
        # The progress line is erased first, and is drawn next on the line below.
        with suppress(OSError):  # stderr is closed: the request is kept
            self.answer(self._wipe + _POLITE)
