"""Readings as they come through Redis -> the stage `batch`; a batch -> the stage `insert`."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from indexer.errors import QueueError
from indexer.model import Problem, Reading, Track
from indexer.queue.orders.messages import BatchOrder, FileText, Origin, PathText
from indexer.stages.batch import Batch, Finding
from indexer.stages.scan import Plan


def plan_of(order: BatchOrder) -> Plan:
    """The plan of the scan."""
    read = tuple(file.entry for file in order.files)
    unread = tuple(file.entry for file in order.unread)
    return Plan(order.origin.root_id, read, unread, order.origin.reread)


def readings_of(order: BatchOrder, plan: Plan) -> list[Reading]:
    """The readings, with the paths of the plan. Raises QueueError where some are missing."""
    if len(order.readings) != len(plan.read):
        raise QueueError(
            f"{len(order.readings)} readings for {len(plan.read)} files: this job is incomplete;"
            " drop it, the chunk is dispatched again"
        )
    return [
        replace(reading, path=entry.path)
        for reading, entry in zip(order.readings, plan.read, strict=True)
    ]


class FindingText(Struct, frozen=True, omit_defaults=True, gc=False):
    """The new facts about one file."""

    file: FileText
    track: Track | None = None
    problem: Problem | None = None
    writer: bool = False
    birth_ns: int | None = None
    opened: bool = False
    bytes_read: int = 0


class InsertOrder(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Write this batch in one transaction."""

    origin: Origin
    findings: tuple[FindingText, ...] = ()
    waiting: tuple[PathText, ...] = ()
    files_read: int = 0
    bytes_read: int = 0

    @classmethod
    def of(cls, origin: Origin, ready: Batch) -> InsertOrder:
        """A batch in its JSON form."""
        return cls(
            origin=origin,
            findings=tuple(
                FindingText(
                    FileText.of_entry(finding.entry),
                    finding.track,
                    finding.problem,
                    finding.writer,
                    finding.birth_ns,
                    finding.opened,
                    finding.bytes_read,
                )
                for finding in ready.findings
            ),
            waiting=tuple(map(PathText.of, ready.waiting)),
            files_read=ready.files_read,
            bytes_read=ready.bytes_read,
        )

    def batch(self) -> Batch:
        """The result of the stage `batch`."""
        return Batch(
            self.origin.root_id,
            tuple(
                Finding(
                    one.file.entry,
                    one.track,
                    one.problem,
                    one.writer,
                    one.birth_ns,
                    one.opened,
                    one.bytes_read,
                )
                for one in self.findings
            ),
            tuple(path.raw for path in self.waiting),
            self.files_read,
            self.bytes_read,
            self.origin.reread,
        )
