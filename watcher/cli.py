"""`watcher`: a command line -> a running daemon, and the exit code of its end.

0: SIGTERM or SIGINT. 2: wrong use. 3: it could not be done (another daemon, no database).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from indexer import errors
from indexer.cli.arguments import (
    HELP,
    InOrder,
    config_option,
    database_option,
    examples,
    folders,
    path_argument,
    version_option,
)
from indexer.cli.completion import completion_of
from indexer.cli.completion import run as run_or_complete
from indexer.cli.output import prepare_streams
from indexer.cli.session import Session
from indexer.process import keep_own_rights
from indexer.store import roots
from watcher.terminal import Terminal

if TYPE_CHECKING:
    from types import FrameType

    from indexer.runs.lock import DispatchLock
    from indexer.settings import Settings
    from indexer.store.connection import Connection, IndexConnection
    from watcher.loop import Loop, Watchdog
    from watcher.reload import Reload
    from watcher.work.local_work import Progress


_LONGEST_SAVING_MS: Final = 2000
"""How long a reader may keep a lost log from being saved. A guess."""
_MOST_TO_STOP_S: Final = 1.0
"""How long a batch that is being written when a signal comes may take to end. A guess."""


class _Overdue(BaseException):
    """The daemon did not end in time and is stopped where it is, as kill -9 would stop it."""


@click.group(
    cls=InOrder,
    context_settings=HELP,
    invoke_without_command=True,
    epilog=examples("watcher run ~/Music", "watcher --db /srv/library.db run"),
)
@database_option
@config_option
@version_option
@click.pass_context
def cli(context: click.Context, db: Path | None, config: Path | None) -> int:
    """Keep the index of a music library equal to the disk, live."""
    context.obj.db, context.obj.config = db, config
    if context.invoked_subcommand is None:
        sys.stderr.write(context.get_help() + "\n")
        return 2
    return 0


@cli.command(epilog=examples("watcher run ~/Music", "watcher run --log-json 2>> watcher.log"))
@click.argument("roots", nargs=-1, type=path_argument, shell_complete=folders, metavar="[ROOT]...")
@click.option("--log-json", is_flag=True, help="Log in JSON, an object a line.")
@click.option("-v", "--verbose", is_flag=True, help="Also log what was scanned, and read.")
@click.pass_obj
def run(session: Session, roots: Sequence[bytes], *, log_json: bool, verbose: bool) -> int:
    """Watch all roots, and index each change as it happens.

    A ROOT is a folder of music; a new one is added. Without one, the roots that are known are
    watched. Changes made while no daemon ran are found first. Ends with Ctrl-C or SIGTERM;
    SIGHUP (indexer reload) has it read the settings again.
    """
    session.make_absolute()
    session.settings()
    progress = nullcontext if log_json else session.progress
    terminal = Terminal(is_watched=sys.stderr.isatty() and not log_json)
    requests = Requests()
    _on_hangup(requests)
    try:
        with _decisions_logged(logging.DEBUG if verbose else logging.INFO, as_json=log_json):
            try:
                _watch(session.settings, roots, requests, progress, terminal)
            except errors.DatabaseDamaged as error:
                _mend(session.settings(), error)
                _watch(session.settings, roots, requests, progress, terminal)
    except (errors.Interrupted, _Overdue):
        return 0
    return 0


@cli.command(
    short_help="On a file server: tell another machine's index of changes.",
    epilog=examples("watcher relay Music=/srv/share/music", "watcher relay /srv/Music"),
)
@click.argument("roots", nargs=-1, type=path_argument, metavar="[ROOT]...")
@click.option("--log-json", is_flag=True, help="Log in JSON, an object a line.")
@click.option("-v", "--verbose", is_flag=True, help="Also log what was told.")
@click.pass_obj
def relay(session: Session, roots: Sequence[bytes], *, log_json: bool, verbose: bool) -> int:
    """On a file server: tell the index on another machine of changes at once.

    A ROOT is NAME=FOLDER: a root of that index, and where its music lies here; or just a folder
    of that name. Without one: the [roots.NAME] of the settings. Needs no database, but the
    `redis` of the index, from the settings or INDEXER_REDIS. SIGHUP has it read them again.
    """
    session.make_absolute()
    session.settings()
    try:
        with _decisions_logged(logging.DEBUG if verbose else logging.INFO, as_json=log_json):
            _relay(session.settings, roots)
    except (errors.Interrupted, _Overdue):
        return 0
    return 0


cli.add_command(completion_of("watcher"))


class Requests:
    """What signals have asked for, also while one loop is closed and the next one made."""

    def __init__(self) -> None:
        self.stopped = False
        self.loop: Loop | None = None
        """One that is open: a closed one has no descriptor to be woken by."""
        self.reloads = 0
        """How often it was asked to reload until the last `reload_with`; a command counts that."""
        self._reload: Reload | None = None
        self._is_early = False

    def stop(self) -> None:
        self.stopped = True
        if self.loop is not None:
            self.loop.stop()

    def reload(self) -> None:
        if self._reload is None:
            self._is_early = True
            return
        self._reload.ask()
        if self.loop is not None:
            self.loop.wake()

    def reload_with(self, reload: Reload | None) -> None:
        """What answers SIGHUP from now on, also one that has come while there was none."""
        if self._reload is not None:
            self.reloads = self._reload.info.number
        self._reload = reload
        if reload is not None and self._is_early:
            self._is_early = False
            reload.ask()


def _watch(
    load: Callable[[], Settings],
    folders: Sequence[bytes],
    requests: Requests,
    progress: Progress,
    terminal: Terminal,
) -> None:
    """Keep the index until a signal; open it again where its log was lost."""
    while True:
        try:
            _watch_opened(load, folders, requests, progress, terminal)
        except errors.LogLost as error:
            from watcher.log import EventLog

            EventLog().warning("log lost", detail=str(error), action="opened again")
            folders = ()  # they are roots now, and may have been named from another folder
        else:
            return


def _watch_opened(
    load: Callable[[], Settings],
    folders: Sequence[bytes],
    requests: Requests,
    progress: Progress,
    terminal: Terminal,
) -> None:
    from indexer.engine.coordinator import coordinating
    from indexer.ignore_files import path_filter_of
    from indexer.roots.registry import check_first_roots, no_root, root_at
    from indexer.runs.lock import lock_info
    from watcher.log import EventLog
    from watcher.reload import Reload

    requests.reload_with(None)
    settings = load()
    _on_signals(requests.stop)
    check_first_roots(settings, folders, "watcher run")
    wanted = path_filter_of(settings)
    with coordinating(settings, wanted, "daemon", lambda: requests.stopped) as dispatcher:
        if dispatcher.lock is None:
            other = lock_info(settings.db)
            holder = f"process {other.pid}" if other else "another process"
            raise errors.CannotDo(
                f"{settings.db}: {holder} keeps this index already; one daemon is enough, "
                "`indexer roots add FOLDER` gives it more to watch"
            )
        for folder in folders:
            root_at(dispatcher.connection, settings, folder)
        if not roots.watched(dispatcher.connection):
            raise no_root("watcher run")
        os.chdir("/")  # a current folder on a disk keeps it from being unmounted
        signal.signal(signal.SIGALRM, _give_up)
        _on_signals(requests.stop, and_then_s=_MOST_TO_STOP_S)
        reload = Reload(load, settings, EventLog(), requests.reloads)
        _run_daemons(dispatcher.connection, dispatcher.lock, reload, requests, progress, terminal)


def _relay(load: Callable[[], Settings], words: Sequence[bytes]) -> None:
    import socket

    from indexer.ignore_files import path_filter_of
    from indexer.queue.redis_client import connect
    from indexer.queue.relays import RelayLink
    from watcher.log import EventLog
    from watcher.relays.relay import Relay
    from watcher.relays.relayed_roots import relayed_folders
    from watcher.reload import Reload

    log, requests = EventLog(), Requests()
    _on_hangup(requests)
    reload = Reload(load, load(), log)
    connect(reload.settings).close()  # a wrong address is an error before anything else
    folders = relayed_folders(words, reload.settings)
    os.chdir("/")  # a current folder on a disk keeps it from being unmounted
    signal.signal(signal.SIGALRM, _give_up)
    _on_signals(requests.stop, and_then_s=_MOST_TO_STOP_S)
    requests.reload_with(reload)
    first = True
    while first or reload.taken():
        if not first:
            try:
                folders = relayed_folders(words, reload.settings)
            except errors.IndexerError as error:
                log.warning("folders unchanged", detail=str(error))
        first = False
        wanted = path_filter_of(reload.settings)
        link = RelayLink(reload.settings, socket.gethostname())
        relay = requests.loop = Relay(reload.settings, folders, wanted, link)
        try:
            if not requests.stopped:
                relay.run(reload.is_due)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            requests.loop = None
            relay.close()
        if requests.stopped:
            return


def _run_daemons(
    connection: IndexConnection,
    lock: DispatchLock,
    reload: Reload,
    requests: Requests,
    progress: Progress,
    terminal: Terminal,
) -> None:
    """Run a daemon until a signal, and after each reload one with the new settings."""
    from indexer.ignore_files import path_filter_of
    from indexer.roots.registry import contradictions
    from watcher import loop
    from watcher.daemon import Daemon

    requests.reload_with(reload)
    watchdog = _begin_watchdog()
    first = True
    while first or reload.taken():
        for contradiction in contradictions(roots.watched(connection), reload.settings):
            logging.getLogger("watcher").warning("%s", contradiction)
        daemon = requests.loop = Daemon(
            connection,
            lock,
            reload.settings,
            path_filter_of(reload.settings),
            progress=progress,
            on_ready=(lambda: terminal.show_holdings(connection)) if first else _nothing,
            reload=reload,
        )
        try:
            if not requests.stopped:
                if first:
                    loop.notify(loop.READY, os.environ)
                    terminal.begin()
                daemon.run(watchdog)
            if requests.stopped:
                terminal.show_end(connection)
        except errors.DatabaseDamaged as error:  # it has tried to repair that itself
            raise errors.CannotDo(str(error)) from error
        except errors.DatabaseMissing:
            daemon.leave_database()
            raise
        except errors.LogLost:
            _save_log(connection, reload.settings.db)
            raise
        finally:
            if requests.stopped or not isinstance(sys.exc_info()[1], errors.LogLost | None):
                loop.notify(loop.STOPPING, os.environ)
                signal.setitimer(signal.ITIMER_REAL, 0)
            requests.loop = None
            daemon.close()
        first = False


def _begin_watchdog() -> Watchdog:
    """The service manager's; where a loop hung stands in the log, when it is killed for that."""
    from watcher.loop import Watchdog

    watchdog = Watchdog(os.environ)
    if watchdog.is_on:
        import faulthandler

        faulthandler.enable()
    return watchdog


def _save_log(connection: Connection, database: Path) -> None:
    """Write all that stands in a deleted log, which only this process has, into the database."""
    from indexer.store.connection import empty_log
    from indexer.store.sqlite_errors import explained

    connection.set_busy_timeout(_LONGEST_SAVING_MS)
    with suppress(errors.DatabaseError), explained(database):
        empty_log(connection)


def _nothing() -> None:
    """Nothing is shown for a daemon that follows another one."""


def _mend(settings: Settings, error: errors.DatabaseDamaged) -> None:
    """Repair an index that could not be opened, as `indexer repair` does."""
    from indexer.runs.repair_process import mend
    from watcher.database_trouble import log_fields
    from watcher.log import EventLog

    log = EventLog()
    done = mend(settings.db, lambda: False, takes_lock=True)
    log.warning("repaired", detail=str(error), **log_fields(done))


def _on_signals(act: Callable[[], None], *, and_then_s: float = 0.0) -> None:
    """Set the action for SIGTERM and SIGINT, unless they were ignored at the start (`nohup`)."""

    def caught(_number: int, _frame: FrameType | None) -> None:
        act()
        signal.setitimer(signal.ITIMER_REAL, and_then_s)

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, caught)


def _on_hangup(requests: Requests) -> None:
    """Have SIGHUP read the settings again, unless it was ignored at the start (`nohup`)."""
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: requests.reload())


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise _Overdue


@contextmanager
def _decisions_logged(level: int, *, as_json: bool) -> Iterator[None]:
    """Log to stderr, for which nothing waits."""
    from indexer.nonblocking_stream import nonblocking_stderr
    from indexer.process import share_heap
    from watcher.log import DecisionHandler, style_for

    share_heap()  # before the first thread, the one that writes the log
    style = style_for(sys.stderr.fileno(), os.environ.get("JOURNAL_STREAM"), as_json=as_json)
    handler = DecisionHandler(style)
    for name in ("watcher", "indexer"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [handler]
        logger.propagate = False
    with nonblocking_stderr(handler.lost):
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    prepare_streams()
    keep_own_rights()
    session = Session("watcher")
    words = sys.argv[1:] if arguments is None else list(arguments)
    return session.exit_code(lambda: run_or_complete(cli, "watcher", words, session))
