"""The settings and the index -> the state of each hook, for a person."""

from __future__ import annotations

from msgspec import Struct

from indexer.results import report
from indexer.settings import Settings
from indexer.settings.hooks import Hook
from indexer.store import changes, hooks
from indexer.store.connection import open_index
from indexer.store.hooks import HookRow
from indexer.store.sqlite_errors import explained


class HookState(Struct, frozen=True, kw_only=True):
    """One hook of the settings."""

    name: str
    receiver: str
    """Its command, or its address without a password."""
    seq: int | None
    """It has all changes up to this number; None: it was never started."""
    behind: int
    """Changes after it, also those that it does not want."""
    attempts: int
    """How often the next message failed."""
    error: str | None
    """Why it failed last."""
    received_at: str | None
    disabled_at: str | None
    """Since when its receiver wants no more."""


def states(settings: Settings) -> list[HookState]:
    """All hooks, in the order of the settings."""
    with explained(settings.db):
        connection = open_index(settings.db, write=False)
        try:
            newest = changes.newest(connection)
            rows = [(hook, hooks.get(connection, hook.name)) for hook in settings.hooks]
        finally:
            connection.close()
    return [_state(hook, row, newest) for hook, row in rows]


def enable(settings: Settings, hook: Hook) -> None:
    """Send again to a receiver that wanted no more."""
    with explained(settings.db):
        connection = open_index(
            settings.db, write=True, create=False, busy_timeout_s=settings.busy_timeout
        )
        try:
            hooks.disable(connection, hook.name, None)
        finally:
            connection.close()


def _state(hook: Hook, row: HookRow | None, newest: int) -> HookState:
    return HookState(
        name=hook.name,
        receiver=hook.receiver,
        seq=None if row is None else row.cursor.seq,
        behind=0 if row is None else max(0, newest - row.cursor.seq),
        attempts=0 if row is None else row.attempts,
        error=None if row is None else row.error,
        received_at=None if row is None or row.received_at is None else report.iso(row.received_at),
        disabled_at=None if row is None or row.disabled_at is None else report.iso(row.disabled_at),
    )
