"""Checks of the disks, and watch faults -> the state of each root, and when to scan it next."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from indexer.disk import filesystem
from indexer.disk.mounts import passes_share, read_mounts
from indexer.settings import Settings
from watcher.events.fs_event import remedy
from watcher.log import EventLog
from watcher.roots.polled import pass_pause_s
from watcher.roots.root import Root, RootCheck, RootEvent, RootState

HOUR_S: Final = 3600.0
ASLEEP_PAUSE_S: Final = HOUR_S
"""Pause before a sleeping disk is checked again. A guess."""
_PROBE_S: Final = 10.0

Asleep = Callable[[bytes], bool | None]
"""A root's path -> whether its disk sleeps; None: unknown."""


class Roots:
    """All roots of one index, and how often changes in them may have been missed, by reason.

    `drop_root` is called with the id of a root that must not be watched any more: its disk is
    gone or the root was removed.
    """

    def __init__(
        self,
        settings: Settings,
        log: EventLog,
        drop_root: Callable[[int], None],
        asleep: Asleep | None = None,
    ) -> None:
        self.recoveries: Counter[str] = Counter()
        self.probe_at = -math.inf
        """When the disks are to be checked."""
        self._settings = settings
        self._log = log
        self._drop_root = drop_root
        self._asleep = asleep or probe(settings.asleep_command)
        if settings.asleep_command and shutil.which(settings.asleep_command[0]) is None:
            log.warning(
                "asleep_command", detail=f"{settings.asleep_command[0]} is no program here",
                action="every disk is taken for awake",
            )  # fmt: skip
        self._roots: dict[int, Root] = {}

    def __iter__(self) -> Iterator[Root]:
        return iter(list(self._roots.values()))

    def get(self, root_id: int) -> Root | None:
        """One root, if the index still has it."""
        return self._roots.get(root_id)

    def has(self, root_id: int) -> bool:
        """Whether the index still has a root, and its disk was there at the last check."""
        root = self._roots.get(root_id)
        return root is not None and root.is_there

    def name_of(self, root_id: int) -> str:
        """Its name, for users."""
        root = self._roots.get(root_id)
        return str(root_id) if root is None else root.row.name

    def touches(self, root_id: int, _folder: bytes, _has_expired: bool) -> bool:  # noqa: FBT001
        """Whether a check of the disks opens the automounts of a root.

        Not of one that is watched: each look-up would keep it mounted.
        """
        root = self._roots.get(root_id)
        return root is None or not root.is_current

    def is_expired(self, root_id: int, path: bytes) -> bool:
        """Whether a path lies behind an automount that has expired."""
        root = self._roots.get(root_id)
        return root is not None and root.check.has_expired(path)

    def see(self, checks: Iterable[RootCheck]) -> bool:
        """Take in a check of the disks of all roots of the index.

        Whether an automount has returned, which may be opened and scanned now.
        """
        seen = {check.row.id: check for check in checks}
        for root_id in self._roots.keys() - seen.keys():
            self._drop_root(root_id)
            del self._roots[root_id]
        has_returned = False
        for root_id, check in seen.items():
            root = self._roots.get(root_id)
            if root is None or root.row != check.row:
                if root is not None:
                    self._drop_root(root_id)
                root = self._roots[root_id] = Root(check, self._is_polled(check))
            has_returned |= self._judge(root, check)
        return has_returned

    def _judge(self, root: Root, now: RootCheck) -> bool:
        before, was_away = root.check, bool(root.why_away)
        back: list[bytes] = []
        if root.is_current:  # what was not opened is unchanged
            kept = {one: why for one, why in before.away.items() if one in now.automounts}
            now = replace(now, away={**kept, **now.away})
        root.check = now
        if now.offline is not None:
            if root.offline_reason != now.offline:
                self._log.warning(
                    "offline",
                    root=root.row.name,
                    reason=now.offline.removeprefix(f"{root.row.name}: "),
                )
            self._drop_root(root.row.id)
            root.move(RootEvent.LOST)
        elif not root.is_there:
            if root.offline_reason is not None:
                self._log.info("online", root=root.row.name, away_s=_seconds(root.away_since_ms))
            root.move(RootEvent.FOUND)
        elif (before.mounts, before.away) != (now.mounts, now.away):
            self.mark_stale(root, "mounts changed", "; ".join(now.away.values()) or "all there")
        elif root.state is not RootState.STALE and (back := now.returned_since(before)):
            self.mark_stale(
                root, "automount returned", os.fsdecode(b", ".join(back)) or root.row.name
            )
        root.offline_reason = now.offline
        if root.why_away and not was_away:
            root.away_since_ms = time.time_ns() // 1_000_000
        root.is_polled = self._is_polled(now)
        return bool(back)

    def _is_polled(self, check: RootCheck) -> bool:
        own = check.mounts[0].disk.fs_type
        return (
            check.row.name in self._settings.polled
            or not filesystem.reports_changes(own)
            or passes_share(check.row.path, read_mounts())
        )

    def mark_stale(self, root: Root, reason: str, detail: str) -> None:
        """Note that changes may have been missed: all of it is scanned again."""
        if root.is_there:
            self.recoveries[reason] += 1
            root.reason = reason
            self._log.warning(reason, root=root.row.name, detail=detail, action="rescan")
            root.move(RootEvent.MISSED)

    def mark_absent_stale(self, root_ids: Iterable[int]) -> None:
        """Mark roots stale that went offline after the last check: a scan has skipped them."""
        for root_id in root_ids:
            root = self._roots.get(root_id)
            if root is not None:
                root.move(RootEvent.MISSED)
                self.probe_now()

    def probe_now(self) -> None:
        """Make the check of the disks due in this turn of the loop, or the next one."""
        self.probe_at = -math.inf

    def note_scanned(self, root: Root, now: float) -> None:
        """Note that all of it was scanned: plan when that is to be done again."""
        root.move(RootEvent.SCAN_DONE)
        root.set_scanned_at(now)
        self.plan_poll(root, now)
        self.plan_reconcile(root, now)

    def plan_poll(self, root: Root, now: float) -> None:
        """Plan the next scan of folders that are not watched, if there are any."""
        root.poll_at = now + self._settings.poll_interval if root.unwatched() else 0.0
        self.plan_pass(root, now)

    def plan_pass(self, root: Root, now: float, cost_s: float = 0.0) -> None:
        """Plan the next look at the times of folders, by what the last one cost.

        None where an automount would never expire, since each look keeps it mounted.
        """
        pause = pass_pause_s(self._settings.poll_interval, cost_s)
        is_free = bool(root.polled_folders) and not root.check.automounts
        root.pass_at = 0.0 if pause is None or not is_free else now + pause

    def plan_reconcile(self, root: Root, now: float) -> None:
        """Plan the next full scan, if that is set."""
        local = datetime.now()  # noqa: DTZ005 - the hour in the settings is a local one
        settings = self._settings
        pause = pause_s(settings.reconcile_interval, settings.reconcile_hour, local)
        root.reconcile_at = 0.0 if pause is None else now + pause

    def may_wake(self, root: Root, now: float) -> bool:
        """Whether to scan all of it now; if its disk sleeps, it is checked again in an hour."""
        asleep = self._asleep(root.row.path)
        most_age_s = self._settings.reconcile_max_age * HOUR_S
        if may_look(asleep, age_s=now - root.looked_at, most_age_s=most_age_s):
            return True
        root.reconcile_at = now + ASLEEP_PAUSE_S
        return False

    def log_empty(self, root: Root, reason: str | None) -> None:
        """Log once that there never was music in a root."""
        if reason is not None and not root.has_logged_empty:
            root.has_logged_empty = True
            self._log.warning("empty", root=root.row.name, reason=reason)

    def log_unwatched(self, root: Root) -> None:
        """Log once for each reason that folders cannot be watched, with the remedy; and its end."""
        unwatched = root.armed.unwatched
        before, logged_errors = root.logged_unwatched
        if len(unwatched) == before:
            return
        counted = Counter(unwatched.values())
        root.logged_unwatched = len(unwatched), frozenset(counted)
        for error in counted.keys() - logged_errors:
            self._log.warning(
                "unwatched",
                root=root.row.name,
                folders=counted[error],
                action=f"polled every {self._settings.poll_interval:g} s",
                mend=remedy(error, root.armed.watched + len(unwatched)),
            )
        if not unwatched:
            self._log.info("watched again", root=root.row.name, folders=root.armed.watched)


def _seconds(since_ms: int) -> int:
    """How long ago a time was (Unix milliseconds)."""
    return max(0, round(time.time() - since_ms / 1000))


def pause_s(interval_h: int, hour: int | None, local: datetime) -> float | None:
    """How long until the next full scan; None: never.

    With an `hour` (0 to 23, local time) it is the first time that the clock shows it when at least
    half the interval has passed, so that a start at noon does not mean a second scan that night.
    """
    if interval_h == 0:
        return None
    if hour is None:
        return interval_h * HOUR_S
    earliest = local + timedelta(hours=interval_h / 2)
    at = earliest.replace(hour=hour, minute=0, second=0, microsecond=0)
    if at < earliest:
        at += timedelta(days=1)
    return (at - local).total_seconds()


def may_look(asleep: bool | None, *, age_s: float, most_age_s: float) -> bool:  # noqa: FBT001 - an answer
    """Whether to scan now: a sleeping disk is left alone, but not for longer than `most_age_s`."""
    return asleep is not True or age_s >= most_age_s


def probe(command: Sequence[str]) -> Asleep:
    """A check by a command, with the root's path as its last argument: exit 0 asleep, 1 awake.

    Any other end, or none within 10 s, means unknown; so does no command.
    """

    def ask(path: bytes) -> bool | None:
        if not command:
            return None
        try:
            ended = subprocess.run(  # noqa: S603 - the settings name it
                [*command, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PROBE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return {0: True, 1: False}.get(ended.returncode)

    return ask
