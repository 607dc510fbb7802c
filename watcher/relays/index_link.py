"""What Redis has of the other end -> the index to which hints go, and whether they get there."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from indexer import errors
from indexer.queue.redis_client import answering, shown
from indexer.queue.relays import HEARTBEAT_S, Announcement, RelayLink
from indexer.settings import Settings
from watcher.log import EventLog
from watcher.relays.relayed_roots import RelayedRoots

_FIRST_PAUSE_S: Final = 0.25
_JITTER: Final = 0.5
_LONG_S: Final = 1.0
"""An answer that takes longer is logged."""
_ASK_PAUSE_S: Final = 60.0
"""Between two questions to an index that does not have one of the roots, or could not answer."""


class IndexLink:
    """Knows the index at the other end; has all roots looked at where hints may be lost."""

    def __init__(
        self, settings: Settings, link: RelayLink, roots: RelayedRoots, log: EventLog
    ) -> None:
        self.index: Announcement | None = None
        """The index that has answered; None: none has, since Redis began."""
        self.trouble = ""
        """Why Redis cannot be used now."""
        self.heartbeat_at = -float("inf")
        """When `heartbeat` is due (monotonic seconds)."""
        self._settings = settings
        self._link = link
        self._roots = roots
        self._log = log
        self._run_id = ""
        self._pause_s = _FIRST_PAUSE_S
        self._ask_at = -float("inf")
        self._asking = False
        self._answer_pause_s = 0.0
        self._has_relayed = False
        self._last_detail = ""
        """The detail of the last log line `waiting`."""

    def reach(self, now: float, act: Callable[[float], None]) -> None:
        """Do something with Redis; what it does not take is tried again after a pause."""
        try:
            with answering(self._settings):
                act(now)
        except errors.QueueError as error:
            if not self._run_id and not isinstance(error, errors.RedisAway):
                raise  # a wrong password is an error at once
            if not self.trouble:
                self._pause_s = _FIRST_PAUSE_S
                self._log.warning("redis away", detail=str(error), action="hints wait here")
            else:
                self._pause_s = min(self._pause_s * 2, self._settings.reconnect_longest)
            self.trouble = str(error)
            self.heartbeat_at = now + self._pause_s * (1 + _JITTER * random.random())  # noqa: S311
            self._link.drop()
        else:
            if self.trouble:
                self._log.info("redis back", address=shown(self._settings))
            self.trouble = ""

    def heartbeat(self, now: float) -> None:
        """Write a heartbeat, and check whether the other end is still the same."""
        peer = self._link.exchange(self.known_names())
        self.heartbeat_at = now + HEARTBEAT_S
        if peer.run_id != self._run_id:
            if self._run_id:
                self._log.warning("redis restarted", action="all roots are looked at")
                self._roots.offer_all(now)
            self._run_id, self.index = peer.run_id, None
            self._link.drop_given()
            self._ask(now)
        elif peer.announcement is None and self.index is not None:
            self._log.warning("redis emptied", action="all roots are looked at")
            self._roots.offer_all(now)
            self.index = None
            self._link.drop_given()
            self._ask(now)
        self.check_given(now)
        if self._asking:
            self._await_answer(now)
        elif peer.announcement is not None and self._is_changed(peer.announcement):
            self._take(peer.announcement, now)
        elif now >= self._ask_at:
            self._ask(now)
            self._await_answer(now)

    def _ask(self, now: float) -> None:
        self._link.ask()
        self._asking, self._ask_at = True, now + _ASK_PAUSE_S
        self._answer_pause_s = _FIRST_PAUSE_S / 8

    def _await_answer(self, now: float) -> None:
        status = self._link.answer()
        if not status:
            self._asking = False
            announcement = self._link.exchange(()).announcement
            if announcement is not None:
                self._take(announcement, now)
        elif status == "failed":
            self._asking = False
            self._log_waiting(
                "its worker could not say which index it has: see `indexer queues failed` there"
            )
        elif now >= self._ask_at:  # its worker may have been lost
            self._ask(now)
        else:
            self._answer_pause_s = min(self._answer_pause_s * 2, HEARTBEAT_S)
            self.heartbeat_at = now + self._answer_pause_s
            if self._answer_pause_s >= _LONG_S:
                self._log_waiting("start `indexer worker` where the index is")

    def _log_waiting(self, detail: str) -> None:
        """Log what is waited for, unless it was the last thing logged."""
        if detail != self._last_detail:
            self._last_detail = detail
            self._log.warning("waiting", what="index", detail=detail)

    def _is_changed(self, announcement: Announcement) -> bool:
        """Whether it has to be taken in; one without these roots may be older than this run."""
        has_all = all(name in announcement.roots for name in self._roots.names)
        return has_all or self.index not in (None, announcement)

    def _take(self, announcement: Announcement, now: float) -> None:
        """Take in which index this is. Raises UsageError where it never had one of our roots."""
        before, self.index = self.index, announcement
        if before is not None and before.index != announcement.index:
            self._roots.offer_all(now)
        elif before is not None:  # no hint was sent for a root that it did not have
            self._roots.offer_all(now, set(announcement.roots) - set(before.roots))
        names = self._roots.names
        strange = [name for name in names if name not in announcement.roots]
        if strange:
            detail = (
                f"the index has no root named {', '.join(strange)}; it has"
                f" {', '.join(announcement.roots) or 'none'}: `watcher relay NAME=FOLDER` says"
                " which of them a folder here is"
            )
            if not self._has_relayed:
                raise errors.UsageError(detail)
            self._log_waiting(detail)
        elif before != announcement:
            self._last_detail, self._has_relayed = "", True
            self._log.info("relaying", roots=", ".join(names), to=shown(self._settings))
            self.heartbeat_at = now  # write the first heartbeat at once

    def known_names(self) -> list[str]:
        """The roots that are watched, and that the index has."""
        roots = () if self.index is None else self.index.roots
        return [name for name in self._roots.watched_names if name in roots]

    def check_given(self, now: float) -> int:
        """The number of jobs that wait; logs failed ones, and offers all roots if any were lost."""
        given = self._link.check_given(now)
        for job_id in given.failed:
            self._log.warning(
                "hint failed", job=job_id, action="`indexer queues failed` where the index is; the"
                " change is found by polling",
            )  # fmt: skip
        if given.lost:
            self._log.warning("hints lost", jobs=given.lost, action="all roots are looked at")
            self._roots.offer_all(now)
        return given.waiting
