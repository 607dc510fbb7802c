"""What Redis has of the other end -> the index to which hints go, and whether they get there."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from indexer import errors
from indexer.queue.redis_client import answering, shown
from indexer.queue.relays import BEAT_S, Announcement, RelayLink
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
        self.beat_at = -float("inf")
        """When `beat` is due."""
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
        self._told = ""
        """What is waited for, as it was last logged."""

    def reach(self, now: float, act: Callable[[float], None]) -> None:
        """Do something with Redis; what it does not take is tried again after a pause."""
        try:
            with answering(self._settings):
                act(now)
        except errors.QueueError as error:
            if not self._run_id and not isinstance(error, errors.RedisAway):
                raise  # a wrong password is told at once
            if not self.trouble:
                self._pause_s = _FIRST_PAUSE_S
                self._log.warning("redis away", detail=str(error), action="hints wait here")
            else:
                self._pause_s = min(self._pause_s * 2, self._settings.reconnect_longest)
            self.trouble = str(error)
            self.beat_at = now + self._pause_s * (1 + _JITTER * random.random())  # noqa: S311
            self._link.drop()
        else:
            if self.trouble:
                self._log.info("redis back", address=shown(self._settings))
            self.trouble = ""

    def beat(self, now: float) -> None:
        """Say that this relay lives, and see whether the other end is the one that it was."""
        met = self._link.meet(self.known_names())
        self.beat_at = now + BEAT_S
        if met.run_id != self._run_id:
            if self._run_id:
                self._log.warning("redis restarted", action="all roots are looked at")
                self._roots.offer_all(now)
            self._run_id, self.index = met.run_id, None
            self._link.forget()
            self._ask(now)
        elif met.announcement is None and self.index is not None:
            self._log.warning("redis emptied", action="all roots are looked at")
            self._roots.offer_all(now)
            self.index = None
            self._link.forget()
            self._ask(now)
        self.see_to_given(now)
        if self._asking:
            self._await_answer(now)
        elif met.announcement is not None and self._is_news(met.announcement):
            self._take(met.announcement, now)
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
            announcement = self._link.meet(()).announcement
            if announcement is not None:
                self._take(announcement, now)
        elif status == "failed":
            self._asking = False
            self._tell(
                "its worker could not say which index it has: see `indexer queues failed` there"
            )
        elif now >= self._ask_at:  # its worker may have been lost
            self._ask(now)
        else:
            self._answer_pause_s = min(self._answer_pause_s * 2, BEAT_S)
            self.beat_at = now + self._answer_pause_s
            if self._answer_pause_s >= _LONG_S:
                self._tell("start `indexer worker` where the index is")

    def _tell(self, detail: str) -> None:
        """Log once what is waited for."""
        if detail != self._told:
            self._told = detail
            self._log.warning("waiting", what="index", detail=detail)

    def _is_news(self, announcement: Announcement) -> bool:
        """Whether it is news; one without our roots may be older than this run."""
        has_all = all(name in announcement.roots for name in self._roots.names)
        return has_all or self.index not in (None, announcement)

    def _take(self, announcement: Announcement, now: float) -> None:
        """Take in which index this is. Raises UsageError where it never had one of our roots."""
        before, self.index = self.index, announcement
        if before is not None and before.index != announcement.index:
            self._roots.offer_all(now)
        elif before is not None:  # of a root that it did not have, nothing was told meanwhile
            self._roots.offer_all(now, set(announcement.roots) - set(before.roots))
        names = self._roots.names
        strange = [name for name in names if name not in announcement.roots]
        if strange:
            told = (
                f"the index has no root named {', '.join(strange)}; it has"
                f" {', '.join(announcement.roots) or 'none'}: `watcher relay NAME=FOLDER` says"
                " which of them a folder here is"
            )
            if not self._has_relayed:
                raise errors.UsageError(told)
            self._tell(told)
        elif before != announcement:
            self._told, self._has_relayed = "", True
            self._log.info("relaying", roots=", ".join(names), to=shown(self._settings))
            self.beat_at = now  # say at once that it lives

    def known_names(self) -> list[str]:
        """The roots that are watched, and that the index has."""
        roots = () if self.index is None else self.index.roots
        return [name for name in self._roots.watched_names if name in roots]

    def see_to_given(self, now: float) -> int:
        """The number of jobs that wait; logs failed ones, and offers all roots if any were lost."""
        given = self._link.see_to_given(now)
        for job_id in given.failed:
            self._log.warning(
                "hint failed", job=job_id, action="`indexer queues failed` where the index is; the"
                " change is found by polling",
            )  # fmt: skip
        if given.lost:
            self._log.warning("hints lost", jobs=given.lost, action="all roots are looked at")
            self._roots.offer_all(now)
        return given.waiting
