"""What a database told its disk, and a moment -> what the disk may hold when the power fails then.

All that SQLite writes and syncs goes through a VFS of ours, which notes it. What was synced is on
the disk; of the rest any part may be there, in any order: whole, torn, as zeros or as rubbish
(https://sqlite.org/atomiccommit.html, 2; https://sqlite.org/wal.html). The long run is
`python -m tests.faults.power`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from random import Random
from typing import NamedTuple
from unittest.mock import patch

import apsw
import msgspec

from indexer.library import Library
from indexer.settings import Settings
from indexer.store import connection
from indexer.store.connection import open_index
from tests.corpus import plant
from tests.trees import BAD, Name, faults, put_in_place_of, replayed, song, swap, titles

SECTOR = 512
WAL_PAGES = 30
"""Between checkpoints: few, so that many fall into a short story, and the WAL begins anew."""
FRAME_HEADER = 24
"""Bytes before each page in the WAL; its second word is not zero where a transaction ends."""


class Deed(Enum):
    """What SQLite does to a file."""

    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"


class Event(NamedTuple):
    """One call of the VFS. `suffix` is that of the file: nothing, or `-wal`."""

    suffix: str
    deed: Deed
    offset: int = 0
    data: bytes = b""

    @property
    def ends_transaction(self) -> bool:
        """Whether it is the frame header of a commit; the page follows."""
        return self.suffix == "-wal" and len(self.data) == FRAME_HEADER and any(self.data[4:8])


class Loss(Enum):
    """What becomes of writes that nobody synced."""

    NOTHING = "all of it arrived, as after kill -9"
    ALL = "none of it arrived"
    TAIL = "only the first did, the next one in part"
    HOLES = "some sectors did; what the file grew by are zeros"
    ZEROS = "files grew, and nothing else"
    RUBBISH = "some sectors did; in the others is anything"


class _File(apsw.VFSFile):
    def __init__(
        self, name: str | apsw.URIFilename | None, flags: list[int], note: Callable[[Event], None]
    ) -> None:
        super().__init__("unix", name, flags)
        self._note = note
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        self._suffix = _suffix(path)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        self._note(Event(self._suffix, Deed.WRITE, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        self._note(Event(self._suffix, Deed.TRUNCATE, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._note(Event(self._suffix, Deed.SYNC))


def _suffix(path: str) -> str:
    return path[path.rindex(".db") + 3 :] if ".db" in path else ""


class _Disk(apsw.VFS):
    def __init__(self, events: list[Event]) -> None:
        super().__init__("power", "unix", makedefault=True)
        self._events = events

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _File:  # noqa: N802
        return _File(name, flags, self._events.append)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self._events.append(Event(_suffix(filename), Deed.DELETE))


class Story(NamedTuple):
    """What was told to a disk from a known state on."""

    start: bytes
    """The database before; there was no WAL."""
    events: list[Event]


@contextmanager
def noted(db: Path) -> Iterator[Story]:
    """Note all that this process writes to the database, which nobody may have open."""
    assert not db.with_name(db.name + "-wal").exists()
    story = Story(db.read_bytes(), [])
    disk = _Disk(story.events)
    try:
        with (
            patch.object(connection, "_WAL_PAGES", WAL_PAGES),
            patch.object(connection, "_SEED_WAL_PAGES", WAL_PAGES),
        ):
            yield story
    finally:
        disk.unregister()


class Cut(NamedTuple):
    """The power fails after so many events."""

    moment: int
    loss: Loss


class _Content:
    """One file: what is surely on the disk, and what was done to it since."""

    def __init__(self, durable: bytes | None) -> None:
        self.durable = durable
        self.pending: list[Event] = []

    def note(self, event: Event) -> None:
        if event.deed is Deed.SYNC:
            for one in self.pending:
                self.durable = _done(self.durable, one)
            self.pending = []
        else:
            self.pending.append(event)

    def after(self, loss: Loss, dice: Random) -> bytes | None:
        content = self.durable
        torn = dice.randint(0, len(self.pending)) if loss is Loss.TAIL else None
        for number, event in enumerate(self.pending):
            match loss:
                case Loss.NOTHING:
                    kept: bytes | None = _done(content, event)
                case Loss.ALL:
                    kept = content
                case Loss.TAIL:
                    if torn == number and event.deed is Deed.WRITE:
                        part = event.data[: dice.randint(0, len(event.data))]
                        return _done(content, event._replace(data=part)) if part else content
                    if torn == number:
                        return content
                    kept = _done(content, event)
                case _ if event.deed is not Deed.WRITE:
                    if dice.random() < 0.5:
                        if event.deed is Deed.DELETE:
                            return content  # the old file is still there, without what followed
                        continue
                    kept = _done(content, event)
                case _:
                    kept = _in_part(content, event, loss, dice)
            content = kept
        return content


def _done(content: bytes | None, event: Event) -> bytes | None:
    if event.deed is Deed.DELETE:
        return None
    old = content or b""
    if event.deed is Deed.TRUNCATE:
        return old[: event.offset].ljust(event.offset, b"\0")
    end = event.offset + len(event.data)
    return old[: event.offset].ljust(event.offset, b"\0") + event.data + old[end:]


def _in_part(content: bytes | None, event: Event, loss: Loss, dice: Random) -> bytes:
    """A write of which each sector arrived or not."""
    end = event.offset + len(event.data)
    new = bytearray((content or b"").ljust(end, b"\0"))
    at = event.offset
    whole = loss is not Loss.ZEROS and dice.random() < 0.6
    while at < end:
        stop = min(end, (at // SECTOR + 1) * SECTOR)
        arrived = loss is not Loss.ZEROS and (whole or dice.random() < 0.5)
        if arrived:
            new[at:stop] = event.data[at - event.offset : stop - event.offset]
        elif loss is Loss.RUBBISH:
            new[at:stop] = dice.randbytes(stop - at)
        at = stop
    return bytes(new)


def disk_after(story: Story, cut: Cut, dice: Random) -> dict[str, bytes | None]:
    """What the files hold, by suffix; None: there is no such file."""
    files = {"": _Content(story.start), "-wal": _Content(None)}
    for event in story.events[: cut.moment]:
        if event.suffix in files:
            files[event.suffix].note(event)
    return {suffix: file.after(cut.loss, dice) for suffix, file in files.items()}


def cuts(story: Story, dice: Random, number: int) -> list[Cut]:
    """So many cuts: in turn at any moment, at a commit, in a checkpoint, and at a new WAL."""
    events = story.events
    end = range(1, len(events) + 1)
    commits = [at + 1 for at in end if events[at - 1].ends_transaction and at < len(events)]
    checkpoints = [at for at in end if not events[at - 1].suffix]
    begins = [
        at + more
        for at in end
        for more in (0, 1, 2, 3, 5)
        if events[at - 1].suffix == "-wal"
        and events[at - 1].offset == 0
        and at + more <= len(events)
    ]
    assert commits
    assert checkpoints
    assert begins
    moments: list[Sequence[int]] = [end, commits, checkpoints, begins]
    losses = list(Loss)
    return [Cut(dice.choice(moments[n % 4]), losses[n // 4 % len(losses)]) for n in range(number)]


def live(library: Library, music: Path) -> None:
    """A seed, and then changes of every kind, in many transactions."""

    def name(number: int) -> str:
        return f"{number // 6}/{number:02}.mp3"

    plant(music, {name(n): song(f"Song {n}", album=f"Album {n // 6}") for n in range(36)})
    library.scan()
    plant(music, {name(n): song(f"Again {n}") for n in range(6, 16)})
    library.scan()
    (music / "2").rename(music / "two")
    library.scan()
    plant(music, {f"new/{n}.mp3": song(f"New {n}", genre=["Pop", "Rock"]) for n in range(12)})
    for number in (30, 31, 32):
        (music / name(number)).unlink()
    library.scan()
    plant(music, {name(30): song("Song 30", album="Album 5"), "new/1.mp3": BAD, "bad.mp3": BAD})
    swap(music, name(0), name(1))
    put_in_place_of(music, name(3), song("In place"))
    library.scan()
    shutil.rmtree(music / "4")
    library.rebuild([])
    plant(music, {f"late/{n}.mp3": song(f"Late {n}") for n in range(6)})
    library.scan()


Faults = list[str]


def converges(settings: Settings, expected: dict[Name, str]) -> Faults:
    """What is wrong with an index as it is found, and after one scan of what the disk holds now."""
    wrong: Faults = []
    with Library(settings) as library:
        wrong += [f"as it was found: {fault}" for fault in (*faults(library), *_untold(library))]
        library.scan()
        wrong += [f"after the scan: {fault}" for fault in (*faults(library), *_untold(library))]
        verified = library.verify(deep=True)
        if not verified.ok or verified.pending:
            wrong.append(f"verify: {verified}")
        if titles(library) != expected:
            wrong.append(f"the view: {titles(library)}")
        if pending := library.status().pending:
            wrong.append(f"{pending} files stay pending")
    return wrong


def _untold(library: Library) -> Iterator[str]:
    """Where `changes`, replayed by id, is not the view."""
    told = replayed(library.changes())
    present = {row["id"]: (row["root"], row["path"]) for row in library.search([], limit=None)}
    if {track_id: place[:2] for track_id, place in told.items()} != present:
        yield f"changes tell {told}, and present is {present}"


def try_cut(
    story: Story, cut: Cut, seed: int, settings: Settings, expected: dict[Name, str], folder: Path
) -> Faults:
    """Put the files of one cut into `folder` and let the library go on from there."""
    dice = Random(f"{seed}/{cut.moment}/{cut.loss.name}")
    db = folder / "library.db"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for suffix, content in disk_after(story, cut, dice).items():
        if content is not None:
            db.with_name(db.name + suffix).write_bytes(content)
    try:
        return converges(msgspec.structs.replace(settings, db=db), expected)
    except Exception as error:  # noqa: BLE001 - any is a finding
        return [f"{type(error).__name__}: {error}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Cut the power many times, tell what did not heal, and say so by the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.power", description="Cut the power many times."
    )
    parser.add_argument("--cuts", type=int, default=2000, help="how many  [2000]")
    parser.add_argument("--seed", type=int, default=1, help="which ones  [1]")
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    happened: Counter[Loss] = Counter()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        music = home / "music"
        music.mkdir()
        (home / "index").mkdir()
        settings = Settings(
            db=home / "index" / "library.db",
            workers=1,
            still=0.05,
            retry_first=0.001,
            chunk_files=5,
        )
        open_index(settings.db, write=True).close()
        story, expected = told(settings, music)
        for cut in cuts(story, Random(asked.seed), asked.cuts):
            wrong = try_cut(story, cut, asked.seed, settings, expected, home / "cut")
            happened[cut.loss] += 1
            failed += bool(wrong)
            for fault in wrong:
                sys.stdout.write(f"event {cut.moment}, {cut.loss.name}: {fault[:500]}\n")
    for loss, times in happened.items():
        sys.stdout.write(f"{times:6}  {loss.name}: {loss.value}\n")
    took = time.monotonic() - began
    sys.stdout.write(
        f"{asked.cuts} cuts in {len(story.events)} events in {took:.0f} s, {failed} did not heal\n"
    )
    return 1 if failed else 0


def told(settings: Settings, music: Path) -> tuple[Story, dict[Name, str]]:
    """The story of an index that lives with a library, and what the view must hold at its end."""
    with Library(settings) as library:
        library.add_root(os.fsencode(music))
    with noted(settings.db) as story, Library(settings) as library:
        live(library, music)  # no reading: apsw makes an error of a lock that only writers get
    with Library(settings) as library:
        return story, titles(library)


if __name__ == "__main__":
    sys.exit(main())
