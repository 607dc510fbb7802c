"""SIGHUP at any time: while a daemon starts, runs, or is made anew."""

from __future__ import annotations

from unittest.mock import Mock

from watcher.cli import Requests
from watcher.reload import Reload


def test_a_request_that_comes_while_the_index_is_opened_again_is_answered_by_the_new_daemon() -> (
    None
):
    first, second = Mock(spec=Reload), Mock(spec=Reload)
    requests = Requests()
    requests.reload()
    requests.reload_with(first)
    first.ask.assert_called_once()
    requests.reload_with(None)
    requests.reload()
    requests.reload_with(second)
    first.ask.assert_called_once()
    second.ask.assert_called_once()
