"""`indexer hooks`: tell other programs of changes until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import click

from indexer.cli.arguments import examples, json_option, text_argument
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.cli.terminal import count, escaped, local_time
from indexer.errors import CannotDo, LogLost, SettingsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from indexer.hooks.state import HookState
    from indexer.hooks.wakeup import Wakeup
    from indexer.settings import Settings
    from indexer.settings.hooks import Hook


_NONE: Final = "the settings have no [[hooks]]: see deploy/config.example.toml"


@click.command(epilog=examples("indexer hooks --list", "indexer hooks --test mpd"))
@click.option("--list", "only_list", is_flag=True, help="Show each hook and what waits for it.")
@click.option(
    "--test", "tested", type=text_argument, metavar="NAME", help="Send one made-up event."
)
@click.option(
    "--enable",
    "enabled",
    type=text_argument,
    metavar="NAME",
    help="Send again to a receiver that answered 410.",
)
@json_option
@click.pass_obj
def hooks(session: Session, tested: str | None, enabled: str | None, *, only_list: bool) -> int:
    """Tell other programs of changes, until Ctrl-C.

    The receivers are the [[hooks]] of the settings: commands and web addresses. Each gets every
    change at least once and in order, also after it was down.
    """
    settings = session.working_settings()
    session.library(settings).close()  # report a missing index at once
    if only_list:
        return _list(session, settings)
    if tested is not None:
        return _test(session, _named(settings, tested))
    if enabled is not None:
        return _enable(session, settings, _named(settings, enabled))
    if not settings.hooks:
        raise UsageError(_NONE)
    with session.nonblocking_stderr():
        return _serve(session, settings)


def _serve(session: Session, settings: Settings) -> int:
    from indexer.hooks.runner import only_one, serve
    from indexer.hooks.wakeup import Wakeup
    from indexer.runs.lock import check_is_kept

    came: list[int] = []
    with only_one(settings.db) as served, Wakeup(settings.db) as wakeup:
        _stop_at_signals(wakeup, came)
        while True:
            for hook in settings.hooks:
                say(f"hook {hook.name}: {escaped(hook.receiver)}")
            say("tells of changes; Ctrl-C stops, nothing is lost")
            try:
                serve(settings, wakeup, served)
            except LogLost as error:
                check_is_kept(settings.db)  # a daemon opens it first
                say(f"{error}; it is opened again")
            wakeup.resume()
            if signal.SIGINT in came or signal.SIGTERM in came:
                return 0
            settings = _reloaded(session, settings)


def _stop_at_signals(wakeup: Wakeup, came: list[int]) -> None:
    def stop(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        wakeup.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def _reloaded(session: Session, settings: Settings) -> Settings:
    """The settings as they are now, after SIGHUP; the old ones after a mistake in the file."""
    try:
        found = session.settings()
    except SettingsError as error:
        say(f"{error}: the old settings stay")
        return settings
    if not found.hooks or found.db != settings.db:
        say("without [[hooks]], or with another db, it needs a restart: the old settings stay")
        return settings
    return found


def _named(settings: Settings, name: str) -> Hook:
    for hook in settings.hooks:
        if hook.name == name:
            return hook
    known = ", ".join(hook.name for hook in settings.hooks) or "none"
    raise UsageError(f"there is no hook {name}; the settings have {known}")


def _list(session: Session, settings: Settings) -> int:
    from indexer.hooks.state import states

    if not settings.hooks:
        say(_NONE)
    session.answer_rows(states(settings), lambda state: "\n".join(_lines(state)))
    return 0


def _lines(state: HookState) -> Iterator[str]:
    waiting = "nothing waits" if not state.behind else f"{count(state.behind, 'change')} behind"
    yield f"{state.name}: {escaped(state.receiver)}; {waiting}"
    if state.disabled_at:
        since = local_time(state.disabled_at)
        yield f"  wants no more since {since}; indexer hooks --enable {state.name}"
    elif state.error:
        yield f"  failed {count(state.attempts, 'time')}: {escaped(state.error)}"
    elif state.received_at:
        yield f"  last message {local_time(state.received_at)}"


def _test(session: Session, hook: Hook) -> int:
    from indexer.hooks.events import Batch
    from indexer.hooks.receivers import NotReceived, send
    from indexer.store.hooks import Cursor

    try:
        send(hook, Batch(({"kind": "test"},), Cursor()))
    except NotReceived as error:
        raise CannotDo(f"hook {hook.name}: {error}") from error
    session.answer({"received": True}, [f"{hook.name}: received"])
    return 0


def _enable(session: Session, settings: Settings, hook: Hook) -> int:
    from indexer.hooks.state import enable

    enable(settings, hook)
    session.answer({"enabled": hook.name}, [f"{hook.name}: gets what it missed, too"])
    return 0
