"""`indexer reload`: have the daemon read its settings again."""

from __future__ import annotations

import os
import signal
import time
from typing import Final

import click

from indexer.cli.arguments import examples, json_option
from indexer.cli.session import Session
from indexer.errors import CannotDo, SettingsError

_ANSWERS_S: Final = 30.0
"""A daemon that looks at a large root answers after it. A guess."""
_PAUSE_S: Final = 0.05


@click.command(epilog=examples("indexer reload", "indexer reload --json | jq .changed"))
@json_option
@click.pass_obj
def reload(session: Session) -> int:
    """Have the daemon read its settings again.

    What can change while it runs is changed: all but `db` and `group`. After a mistake in the file
    the daemon keeps the old settings. Workers read theirs when they start.
    """
    from indexer.ignore_files import path_filter_of
    from indexer.runs.lock import lock_info

    settings = session.settings()
    path_filter_of(settings)
    holder = lock_info(settings.db)
    if holder is None or holder.role != "daemon":
        raise CannotDo("no daemon runs: `watcher run` reads the settings when it starts")
    try:
        os.kill(holder.pid, signal.SIGHUP)
    except PermissionError:
        raise CannotDo(
            f"the daemon (process {holder.pid}) belongs to another user: "
            "sudo systemctl reload music-watcher"
        ) from None
    deadline = time.monotonic() + _ANSWERS_S
    while (now := lock_info(settings.db)) is None or now.reload.number == holder.reload.number:
        if now is None or now.pid != holder.pid:
            raise CannotDo("the daemon has ended: see its log")
        if time.monotonic() > deadline:
            raise CannotDo("the daemon is busy: it reads the settings when its look has ended")
        time.sleep(_PAUSE_S)
    told = now.reload
    if told.refused:
        raise SettingsError(f"{told.refused}: the daemon keeps its old settings")
    lines = [f"reloaded: {', '.join(told.changed) or 'nothing has changed'}"]
    if told.restart:
        lines.append(f"changed by a restart only: {', '.join(told.restart)}")
    session.answer({"changed": told.changed, "restart": told.restart}, lines)
    return 0
