"""A profile's name -> the processes of a worker, and the queues that each serves."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct

from indexer.errors import UsageError
from indexer.settings import Settings

QUEUES: Final = ("scan", "extract", "batch", "insert", "deferred")
"""In the order of the stages. Their names are the contract."""


class WorkerRole(Struct, frozen=True):
    """One process, and the queues that it serves, the most urgent first."""

    queues: tuple[str, ...]
    number: int = 1
    """Which of several with the same queues."""

    @property
    def reads(self) -> bool:
        """Whether it reads files, and so never opens the database."""
        return self.queues == ("extract",)

    @property
    def is_on_demand(self) -> bool:
        """Whether it is started only when others that read files cannot take all that waits."""
        return self.reads and self.number > 1

    def before(self, queue: str) -> tuple[str, ...]:
        """The queues of which it takes a job sooner than of this one."""
        return self.queues[: self.queues.index(queue)] if queue in self.queues else self.queues

    @property
    def name(self) -> str:
        """The name that users see."""
        return "-".join(self.queues) + (f"-{self.number}" if self.number > 1 else "")


_OWNERS: Final = {
    "pi": (("insert", "batch", "scan", "deferred"),),
    "server": (("insert", "batch", "deferred"), ("scan",)),
}
_PI_READERS: Final = 2


def worker_roles(settings: Settings, queues: Collection[str], jobs: int | None) -> list[WorkerRole]:
    """The processes of a worker that serves these queues; `jobs` is how many read files.

    Raises UsageError for an unknown queue.
    """
    strange = sorted(set(queues) - set(QUEUES))
    if strange:
        raise UsageError(
            f"there is no queue {', '.join(strange)}; the queues are {', '.join(QUEUES)}"
        )
    found = [
        WorkerRole(served)
        for owner in _OWNERS[settings.profile]
        if (served := tuple(queue for queue in owner if queue in queues))
    ]
    if "extract" in queues:
        found += [
            WorkerRole(("extract",), number) for number in range(1, _readers(settings, jobs) + 1)
        ]
    return found


def _readers(settings: Settings, jobs: int | None) -> int:
    if jobs is not None:
        return jobs
    return _PI_READERS if settings.profile == "pi" else settings.worker_count
