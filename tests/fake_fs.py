"""Operations on the files of a fake disk -> what a debouncer makes of them, on a fake clock.

No file is opened and no call sleeps. `World` is disk, kernel, extract and index in one: it reports
each change as the observer would, scans due hints, and keeps what an index would show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from indexer import paths
from indexer.evidence import FileLease
from indexer.model import Hint
from watcher.debounce.debouncer import Debouncer, DueHint
from watcher.debounce.folder_buffer import Observation
from watcher.events.fs_event import FsEvent, FsEventKind

END = "."
"""The end of a complete container, for files whose suffix is not `.mp3`."""


@dataclass
class File:
    """One file of the fake disk; its content is a text."""

    content: str
    changed_at: float
    writers: int = 0


@dataclass(frozen=True)
class Read:
    """One reading of a file's tags."""

    at: float
    content: str


@dataclass
class World:
    """A disk, and an index that follows it through one debouncer. Times in seconds."""

    debouncer: Debouncer = field(default_factory=Debouncer)
    leases: bool = True
    now: float = 1000.0
    still_s: float = 2.0
    held_s: float = 60.0
    disk: dict[bytes, File] = field(default_factory=dict)
    index: dict[bytes, tuple[str, float]] = field(default_factory=dict)
    """Path -> the content last read, and the time of its change."""
    reads: defaultdict[bytes, list[Read]] = field(default_factory=lambda: defaultdict(list))
    closes: defaultdict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Path -> every content of the file when it was closed or moved."""
    dues: list[tuple[float, DueHint]] = field(default_factory=list)
    asked: defaultdict[bytes, list[float]] = field(default_factory=lambda: defaultdict(list))
    deaf: bool = False
    """Whether changes are not reported, as in a folder that has no watch yet."""

    def see(self, path: bytes, kind: FsEventKind) -> None:
        """Report an event as the observer would: of other files than music that they came."""
        name = paths.name_of(path)
        if self.deaf:
            return
        if not name.startswith(b".") and not name.endswith(b".part"):
            self.debouncer.offer(FsEvent(1, paths.parent_of(path), name, kind), self.now)
        elif kind is FsEventKind.CREATED:
            self.debouncer.note_writer(1, paths.parent_of(path), self.now)

    def see_folder(self, folder: bytes, kind: FsEventKind) -> None:
        self.debouncer.offer(
            FsEvent(1, paths.parent_of(folder), paths.name_of(folder), kind), self.now
        )

    def create(self, path: bytes) -> None:
        """Open a new file for writing; or truncate an existing one."""
        is_new = path not in self.disk
        file = self.disk.setdefault(path, File("", self.now))
        file.content, file.changed_at = "", self.now
        file.writers += 1
        self.see(path, FsEventKind.CREATED if is_new else FsEventKind.WRITING)

    def open(self, path: bytes) -> None:
        self.disk[path].writers += 1

    def write(self, path: bytes, text: str) -> None:
        self.disk[path].content += text
        self.disk[path].changed_at = self.now
        self.see(path, FsEventKind.WRITING)

    def overwrite(self, path: bytes, text: str) -> None:
        self.disk[path].content = ""
        self.write(path, text)

    def close(self, path: bytes) -> None:
        file = self.disk[path]
        file.writers -= 1
        self.closes[path].add(file.content)
        self.see(path, FsEventKind.CLOSED)

    def set_times(self, path: bytes) -> None:
        self.disk[path].changed_at = self.now
        self.see(path, FsEventKind.ATTRIBUTES)

    def rename(self, old: bytes, new: bytes) -> None:
        file = self.disk[new] = self.disk.pop(old)
        file.changed_at = self.now
        self.closes[new].add(file.content)
        self.see(old, FsEventKind.GONE)
        self.see(new, FsEventKind.MOVED_IN)

    def delete(self, path: bytes) -> None:
        del self.disk[path]
        self.see(path, FsEventKind.GONE)

    def put(self, path: bytes, content: str) -> None:
        """Create, write and close at once."""
        self.create(path)
        self.write(path, content)
        self.close(path)

    def sleep(self, seconds: float) -> None:
        """Advance the clock, and scan hints when they become due."""
        until = self.now + seconds
        while (due_at := self.debouncer.next_due()) is not None and due_at <= until:
            assert due_at >= self.now or not self.dues, "it wakes up without doing anything"
            self.now = max(self.now, due_at)
            self.pop()
            next_due = self.debouncer.next_due()
            assert next_due is None or next_due > self.now, "it would spin"
        self.now = until

    def pop(self) -> list[DueHint]:
        dues = self.debouncer.pop_due(self.now, self.observe)
        for due in dues:
            self.dues.append((self.now, due))
            self._look(due)
        return dues

    def observe(self, root_id: int, path: bytes, now: float) -> Observation | None:
        assert (root_id, now) == (1, self.now)
        self.asked[path].append(now)
        file = self.disk.get(path)
        if file is None:
            return None
        complete = path.endswith(b".mp3") or file.content.endswith(END)
        ctime_ns = round(file.changed_at * 1e9)
        return Observation(self._lease(file), len(file.content), ctime_ns, complete)

    def _lease(self, file: File) -> FileLease:
        if not self.leases:
            return FileLease.UNAVAILABLE
        return FileLease.REFUSED if file.writers else FileLease.GRANTED

    def _look(self, due: DueHint) -> None:
        """Scan a place and extract what changed there, by rules R2 and R6."""
        for path in covered(due.hint, self.disk | dict.fromkeys(self.index)):
            if path in due.unfinished:
                continue
            file = self.disk.get(path)
            if file is None:
                self.index.pop(path, None)
            elif self.index.get(path) != (file.content, file.changed_at):
                self._extract(path, file, due)

    def _extract(self, path: bytes, file: File, due: DueHint) -> None:
        still_s = self.now - file.changed_at + 1e-9
        lease = self._lease(file)
        lacking = (
            lease is FileLease.UNAVAILABLE and path not in due.whole and still_s < self.still_s
        )
        if lacking or (lease is FileLease.REFUSED and still_s < self.held_s):
            self.see(path, FsEventKind.WRITING)  # the daemon offers the remaining names again
            return
        if self.index.get(path, (None,))[0] != file.content:
            self.reads[path].append(Read(self.now, file.content))
        self.index[path] = (file.content, file.changed_at)

    def is_in_step(self) -> bool:
        """Whether the index equals the disk."""
        return self.index == {
            path: (file.content, file.changed_at) for path, file in self.disk.items()
        }

    def showed_only_finished(self, path: bytes) -> bool:
        """Whether every visible row had the content of the file at some close."""
        return {read.content for read in self.reads[path]} <= self.closes[path]


def covered(hint: Hint, known: Mapping[bytes, object]) -> list[bytes]:
    if hint.names is not None:
        return [paths.join(hint.folder, name) for name in hint.names]
    if hint.recursive:
        return [path for path in known if paths.is_below(path, hint.folder)]
    return [path for path in known if paths.parent_of(path) == hint.folder]
