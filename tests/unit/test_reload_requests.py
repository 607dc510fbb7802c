"""SIGHUP at any time: while a daemon starts, runs, or is made anew."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

from indexer.runs.lock import ReloadInfo
from indexer.settings import Settings
from watcher.cli import Requests
from watcher.log import EventLog
from watcher.reload import Reload


def test_a_request_that_comes_while_the_index_is_opened_again_is_answered_by_the_new_daemon() -> (
    None
):
    first, second = Mock(spec=Reload, info=ReloadInfo(1)), Mock(spec=Reload)
    requests = Requests()
    requests.reload()
    requests.reload_with(first)
    first.ask.assert_called_once()
    requests.reload_with(None)
    requests.reload()
    requests.reload_with(second)
    first.ask.assert_called_once()
    second.ask.assert_called_once()


def test_requests_are_counted_on_when_the_index_was_opened_again() -> None:
    """`indexer reload` waits for another number than the one that it has found."""
    settings = Settings(db=Path("/x.db"))
    requests = Requests()
    numbers = []
    for _ in range(3):
        reload = Reload(lambda: settings, settings, EventLog(), requests.reloads)
        requests.reload_with(reload)
        numbers.append(reload.info.number)
        requests.reload()
        reload.is_due()
        numbers.append(reload.info.number)
        requests.reload_with(None)
    assert numbers == [0, 1, 1, 2, 2, 3]
