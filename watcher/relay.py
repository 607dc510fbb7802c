"""What happens on a server's own disk -> hints for an index that has it by a share.

inotify reports nothing of what other machines, or the server itself, write to a share. So this runs
where the disk is. It watches as the daemon does, waits until files are whole, and puts hints into
the queue `scan` of the index. It needs no database. A hint is a hint: what is lost on the way is
found by polling. What Redis does not take waits here, within the bounds of the `Debouncer`.
"""

from __future__ import annotations

import errno
import os
import random
import selectors
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.disk import filesystem
from indexer.disk.descent import OpenFolders
from indexer.disk.mounts import Mount, mounts_below, passes_share, read_mounts
from indexer.evidence import FileLease, ignore_lease_signal
from indexer.ignore.path_filter import PathFilter, is_rule
from indexer.model import Hint
from indexer.queue.messages import FolderHint, PathText, RelayOrder
from indexer.queue.redis_client import answering, shown
from indexer.queue.relays import BEAT_S, MOST_HINTS, Announcement, RelayLink
from indexer.roots.open_roots import name_for
from indexer.roots.registry import real_root
from indexer.settings import Settings
from indexer.store.roots import MountRow, RootRow
from watcher.debouncer import Debouncer, DueHint
from watcher.folder_buffer import Delays, Observation
from watcher.fs_event import FsEvent, FsEventKind, remedy
from watcher.log import EventLog
from watcher.observation import observe
from watcher.roots import Root, RootStatus
from watcher.watch_manager import Observers, WatchManager

_FENCE_EVERY: Final = 6
"""Signs of life between two proofs that the watching threads answer."""
_FENCE_S: Final = 5.0
_MOST_GIVEN: Final = 4
"""Jobs that may wait in Redis: with more, hints gather here, where they are bounded. A guess."""
_GIVEN_PAUSE_S: Final = 1.0
_MOST_LISTED: Final = 1_000
"""Files of a new folder that are looked at here; others wait at the index until they are still. A
guess."""
_ECHOES_S: Final = (1.5, 65.0)
"""A share's client may take what it knows of a file for right for so long: 1 s with SMB and FUSE,
up to 60 s with NFS (`acregmax` of nfs(5)), unless options say otherwise. So what has changed is
looked at again after both."""
_SHARE_NS: Final = filesystem.granularity_ns("nfs")
"""How coarse the index takes the times of a share to be: what it would not read yet is not told."""
_FIRST_PAUSE_S: Final = 0.25
_JITTER: Final = 0.5
_LONG_S: Final = 1.0
"""An answer that takes longer is logged."""
_ASK_PAUSE_S: Final = 60.0
"""Between two questions to an index that does not have one of the roots, or could not answer."""


class Place(Struct):
    """A folder of this machine that is a root of the index there."""

    root: Root
    """`root.row.name` is its name there; the id is one of this run."""
    seen: tuple[object, ...] = ()
    """What stood at it, and was mounted below it, when its watches were added."""
    is_there: bool = False
    told: str = ""
    """Why it is not watched, as it was last logged."""


def relayed_folders(words: Sequence[bytes], settings: Settings) -> dict[str, bytes]:
    """Name of a root in the index -> its real path on this machine.

    A word is FOLDER or NAME=FOLDER; without words they are the [roots.NAME] of the settings.
    Raises UsageError and RootOffline.
    """
    if not words:
        given = [(name, os.fsencode(folder)) for name, folder in settings.roots.items()]
        if not given:
            raise errors.UsageError(
                "no root is named: `watcher relay NAME=FOLDER`, with the name that `indexer roots`"
                " shows where the index is, or [roots.NAME] path = ... in the config here"
            )
    else:
        given = [_named(word) for word in words]
    known = {os.path.realpath(os.fsencode(path)): name for name, path in settings.roots.items()}
    found: dict[str, bytes] = {}
    for told, folder in given:
        _check_local(os.path.abspath(folder))
        path = real_root(folder)
        name = told or known.get(path) or name_for(path, ())
        if name in found:
            raise errors.UsageError(
                f"two folders are named {name}: tell them apart with NAME=FOLDER"
            )
        for other, its_path in found.items():
            if paths.is_below(path, its_path) or paths.is_below(its_path, path):
                raise errors.UsageError(
                    f"{name} and {other} share folders; roots of an index do not"
                )
        found[name] = path
    return found


def _named(word: bytes) -> tuple[str, bytes]:
    """NAME=FOLDER in its parts; the name is empty where there is none. `./a=b` is a folder."""
    name, equals, folder = word.partition(b"=")
    if not equals or b"/" in name:
        return "", word
    if not name or not folder:
        raise errors.UsageError(f"{os.fsdecode(word)}: expected NAME=FOLDER")
    return os.fsdecode(name), folder


def _check_local(path: bytes) -> None:
    """Raise UsageError for a folder of which the kernel hears nothing here either."""
    if passes_share(path, read_mounts()):
        raise errors.UsageError(
            f"{os.fsdecode(path)}: is a share here, too, of whose changes the kernel is not told;"
            " run `watcher relay` on the machine that has the disk"
        )


class Relay:
    """Tells one index of changes on this machine. `run()` it, and `stop()` it from a signal."""

    def __init__(
        self,
        settings: Settings,
        folders: dict[str, bytes],
        path_filter: PathFilter,
        host: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folders` are those of `relayed_folders`. Raises UsageError without a Redis."""
        self._settings = settings
        self._clock = clock
        self._log = EventLog()
        self._stopping = self._is_closed = False
        self._link = RelayLink(settings, host)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._observers = Observers(self.wake)
        self._path_filter = path_filter
        self._manager = WatchManager(self._observers, path_filter, lambda: None)
        self._debouncer = Debouncer(
            Delays(
                quiet_s=settings.quiet,
                still_s=settings.still,
                held_s=settings.held,
                patience_s=settings.patience,
                incomplete_s=settings.incomplete,
                retry_first_s=settings.retry_first,
                retry_longest_s=settings.retry_longest,
            )
        )
        self._echoes = [
            Debouncer(Delays(quiet_s=pause_s, patience_s=2 * pause_s)) for pause_s in _ECHOES_S
        ]
        self._places = {
            number: Place(_root(RootRow(number, name, path)))
            for number, (name, path) in enumerate(folders.items(), 1)
        }
        self._index: Announcement | None = None
        """The index that has answered; None: none has, since Redis began."""
        self._run_id = ""
        self._trouble = ""
        """Why Redis cannot be used now."""
        self._pause_s = _FIRST_PAUSE_S
        self._beat_at = self._tend_at = self._give_at = self._ask_at = -float("inf")
        self._asking = False
        self._answer_pause_s = 0.0
        self._has_relayed = False
        self._told = ""
        """What is waited for, as it was last logged."""
        self._beats = 0
        self._granted: set[tuple[int, bytes]] = set()
        """(root id, path) of what was looked at in this turn, and no process has open to write."""
        ignore_lease_signal()

    def stop(self) -> None:
        """End the loop; safe in a signal handler and from any thread, after `close`, too."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Have the loop take its next turn now; safe in a signal handler and from any thread."""
        if not self._is_closed:  # its number may be another file's by now
            os.eventfd_write(self._wake_fd, 1)

    def run(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Work until `stop`, or until another one with other settings is to take over.

        Raises QueueError where the first Redis refuses us, and UsageError where the index has not
        a root of this name.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_fd, selectors.EVENT_READ)
            while not (self._stopping or is_over()):
                self.step(self._clock())
                selector.select(max(0.0, self.next_turn() - self._clock()))
        if self._stopping and not self._trouble:
            with suppress(errors.QueueError), answering(self._settings):
                self._link.end(self._known_names())

    def close(self) -> None:
        """Give everything back."""
        self._observers.close()
        self._link.close()
        self._is_closed = True  # a second signal may come until the program has ended
        os.close(self._wake_fd)

    def next_turn(self) -> float:
        """When there is something to do, if nothing happens before."""
        times = [self._tend_at, self._beat_at]
        if self._index is not None and not self._trouble:
            times += [max(due_at, self._give_at) for due_at in self._dues()]
        return min(times)

    def _dues(self) -> list[float]:
        every = (self._debouncer, *self._echoes)
        return [due_at for one in every if (due_at := one.next_due()) is not None]

    def step(self, now: float) -> None:
        """One turn of the loop."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        self._drain(now)
        if now >= self._tend_at:
            self._tend(now)
        if now >= self._beat_at:
            self._reach(now, self._beat)
        index = self._index
        if index is not None and not self._trouble and now >= self._give_at:
            self._reach(now, partial(self._give, index))

    # What happens here

    def _drain(self, now: float) -> None:
        drained = self._observers.drain()
        for doubt in drained.doubts:
            place = self._places[doubt.root_id]
            self._log.warning(
                str(doubt.kind), root=place.root.row.name, detail=doubt.detail, action="rescan"
            )
            self._arm(place, now)
        for event in drained.events:
            self._offer(event, now)

    def _offer(self, event: FsEvent, now: float) -> None:
        if event.name is not None and is_rule(event.name):
            self._debouncer.offer_hint(Hint(event.root_id, event.folder, recursive=True), now)
            return
        self._debouncer.offer(event, now)
        if event.kind is FsEventKind.FOLDER_CAME:
            self._offer_files(event.root_id, event.folder, now)

    def _offer_files(self, root_id: int, folder: bytes, now: float) -> None:
        """Have the files of a new folder looked at here, where the kernel knows their writers.

        No event tells of what was in it before it was watched.
        """
        root = self._places[root_id].root
        wanted = _files_in(root.row.path, folder, self._path_filter)
        for path in islice(wanted, _MOST_LISTED):
            above, name = paths.parent_of(path), paths.name_of(path)
            self._debouncer.offer(FsEvent(root_id, above, name, FsEventKind.WRITING), now)

    def _tend(self, now: float) -> None:
        """See whether each folder is the one that is watched, and whether its watcher lives."""
        self._tend_at = now + BEAT_S
        for place in self._places.values():
            if not place.is_there or place.seen != _what_is_at(place.root.row.path):
                self._arm(place, now)
        self._beats += 1
        if self._beats % _FENCE_EVERY == 0:
            self._observers.fence(_FENCE_S)

    def _arm(self, place: Place, now: float) -> None:
        """Watch all of a folder anew; then all of it is to be looked at (rule R10)."""
        row = place.root.row
        place.seen = _what_is_at(row.path)
        self._manager.arm(place.root)
        unwatched = place.root.armed.unwatched
        if b"" in unwatched:
            place.is_there = False
            self._tell_away(place, unwatched[b""])
            return
        place.is_there, place.told = True, ""
        self._log.info(
            "watching", root=row.name, path=paths.shell_word(row.path),
            folders=place.root.armed.watched,
        )  # fmt: skip
        for error in set(unwatched.values()):
            number = sum(one == error for one in unwatched.values())
            self._log.warning(
                "unwatched", root=row.name, folders=number, why=os.strerror(error),
                mend=remedy(error, place.root.armed.watched + number),
                detail="changes there are found by polling alone",
            )  # fmt: skip
        self._debouncer.offer_hint(Hint(row.id, recursive=True), now)

    def _tell_away(self, place: Place, error: int) -> None:
        why = os.strerror(error)
        if why != place.told:
            place.told = why
            is_gone = error in (errno.ENOENT, errno.ENOTDIR)
            self._log.warning(
                "offline", root=place.root.row.name, path=paths.shell_word(place.root.row.path),
                reason=why, mend="mount its disk" if is_gone else remedy(error, 1),
            )  # fmt: skip

    def _everything(self, now: float, names: Collection[str] | None = None) -> None:
        """What was given may be lost: of all roots, or of those with these names."""
        for place in self._places.values():
            if names is None or place.root.row.name in names:
                self._debouncer.offer_hint(Hint(place.root.row.id, recursive=True), now)

    # Redis

    def _reach(self, now: float, act: Callable[[float], None]) -> None:
        """Do something with Redis; what it does not take is tried again after a pause."""
        try:
            with answering(self._settings):
                act(now)
        except errors.QueueError as error:
            if not self._run_id and not isinstance(error, errors.RedisAway):
                raise  # a wrong password is told at once
            if not self._trouble:
                self._pause_s = _FIRST_PAUSE_S
                self._log.warning("redis away", detail=str(error), action="hints wait here")
            else:
                self._pause_s = min(self._pause_s * 2, self._settings.reconnect_longest)
            self._trouble = str(error)
            self._beat_at = now + self._pause_s * (1 + _JITTER * random.random())  # noqa: S311
            self._link.drop()
        else:
            if self._trouble:
                self._log.info("redis back", address=shown(self._settings))
            self._trouble = ""

    def _beat(self, now: float) -> None:
        """Say that this relay lives, and see whether the other end is the one that it was."""
        met = self._link.meet(self._known_names())
        self._beat_at = now + BEAT_S
        if met.run_id != self._run_id:
            if self._run_id:
                self._log.warning("redis restarted", action="all roots are looked at")
                self._everything(now)
            self._run_id, self._index = met.run_id, None
            self._link.forget()
            self._ask(now)
        elif met.announcement is None and self._index is not None:
            self._log.warning("redis emptied", action="all roots are looked at")
            self._everything(now)
            self._index = None
            self._link.forget()
            self._ask(now)
        self._see_to_given(now)
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
            self._beat_at = now + self._answer_pause_s
            if self._answer_pause_s >= _LONG_S:
                self._tell("start `indexer worker` where the index is")

    def _tell(self, detail: str) -> None:
        """Log once what is waited for."""
        if detail != self._told:
            self._told = detail
            self._log.warning("waiting", what="index", detail=detail)

    def _is_news(self, announcement: Announcement) -> bool:
        """Whether to go by it: not one without our roots that may be older than this run."""
        has_all = all(one.root.row.name in announcement.roots for one in self._places.values())
        return has_all or self._index not in (None, announcement)

    def _take(self, announcement: Announcement, now: float) -> None:
        """Take in which index this is. Raises UsageError where it never had one of our roots."""
        before, self._index = self._index, announcement
        if before is not None and before.index != announcement.index:
            self._everything(now)
        elif before is not None:  # of a root that it did not have, nothing was told meanwhile
            self._everything(now, set(announcement.roots) - set(before.roots))
        names = [place.root.row.name for place in self._places.values()]
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
            self._beat_at = now  # say at once that it lives

    def _known_names(self) -> list[str]:
        """The roots that are watched, and that the index has."""
        roots = () if self._index is None else self._index.roots
        names = (place.root.row.name for place in self._places.values() if place.is_there)
        return [name for name in names if name in roots]

    # Hints

    def _give(self, index: Announcement, now: float) -> None:
        """Put what is due into the queue, unless too much waits there."""
        if not any(due_at <= now for due_at in self._dues()):
            return
        if self._see_to_given(now) >= _MOST_GIVEN:
            self._give_at = now + _GIVEN_PAUSE_S
            return
        again = [due.hint for echo in self._echoes for due in echo.pop_due(now, _unseen)]
        with self._kept(again):
            self._granted.clear()
            for hint in again:
                for name in hint.names or ():
                    self._observe(hint.root_id, paths.join(hint.folder, name), now)
            dues_now = self._debouncer.pop_due(now, self._observe)
            hints = [due.hint for due in dues_now]
            with self._kept(hints):
                self._put(index, dues_now, again, now)
        for hint in hints:
            if hint.folder or not hint.recursive:
                for echo in self._echoes:
                    echo.offer_hint(hint, now)

    def _see_to_given(self, now: float) -> int:
        """How many jobs wait; what became of the others is told, and mended where they are lost."""
        given = self._link.see_to_given(now)
        for job_id in given.failed:
            self._log.warning(
                "hint failed", job=job_id, action="`indexer queues failed` where the index is; the"
                " change is found by polling",
            )  # fmt: skip
        if given.lost:
            self._log.warning("hints lost", jobs=given.lost, action="all roots are looked at")
            self._everything(now)
        return given.waiting

    @contextmanager
    def _kept(self, hints: list[Hint]) -> Iterator[None]:
        """Take hints back that could not be given."""
        try:
            yield
        except BaseException:
            for hint in hints:
                self._debouncer.offer_hint(hint, self._clock())
            raise

    def _put(self, index: Announcement, dues: list[DueHint], again: list[Hint], now: float) -> None:
        known = {
            number: place.root.row.name
            for number, place in self._places.items()
            if place.root.row.name in index.roots
        }
        hints = [hint for hint in (*(due.hint for due in dues), *again) if hint.root_id in known]
        if not hints:
            return
        if len(hints) > MOST_HINTS:
            hints = [Hint(root_id, recursive=True) for root_id in {one.root_id for one in hints}]
        closed = {(due.hint.root_id, path) for due in dues for path in due.whole}
        unfinished = {(due.hint.root_id, path) for due in dues for path in due.unfinished}
        order = RelayOrder(
            index=index.index,
            hints=tuple(_told(known[hint.root_id], hint) for hint in hints),
            closed=_files(known, closed | self._granted - unfinished),
            unfinished=_files(known, unfinished),
        )
        self._link.give(order, now)
        self._log.debug("given", hints=len(hints))

    def _observe(self, root_id: int, path: bytes, _now: float) -> Observation | None:
        root = self._places[root_id].root
        traits = filesystem.traits_of(root.fs_type_of(path))
        seen = observe(
            root.row.path,
            path,
            follow_links=self._settings.follow_links,
            leases=self._settings.leases and traits.holds_wal,
            granularity_ns=max(traits.granularity_ns, _SHARE_NS),
        )
        if seen is not None and seen.lease is FileLease.GRANTED:
            self._granted.add((root_id, path))
        return seen


def _root(row: RootRow) -> Root:
    """A root as the daemon keeps it. Raises UsageError where its disk does not answer."""
    try:
        disk = filesystem.disk_at(row.path)
    except OSError as error:
        raise errors.UsageError(f"{os.fsdecode(row.path)}: {error.strerror}") from error
    return Root(RootStatus(row, (MountRow(b"", 0, 0, disk),)), is_polled=False)


def _what_is_at(path: bytes) -> tuple[object, ...]:
    """What stands at a path, and what is mounted below it: another value after another mount."""
    try:
        status = os.stat(path)
    except OSError as error:
        return (error.errno,)
    below = {folder: _mark(mount) for folder, mount in mounts_below(path, read_mounts()).items()}
    return (status.st_dev, status.st_ino, below)


def _mark(mount: Mount) -> tuple[int, str]:
    return mount.id, mount.device


def _unseen(_root_id: int, _path: bytes, _now: float) -> None:
    """Of a hint no file is looked at."""


def _told(root: str, hint: Hint) -> FolderHint:
    return FolderHint(
        root=root,
        folder=PathText.of(hint.folder) if hint.folder else None,
        names=None if hint.names is None else tuple(map(PathText.of, hint.names)),
        recursive=hint.recursive,
    )


def _files(
    known: dict[int, str], files: Iterable[tuple[int, bytes]]
) -> tuple[tuple[str, PathText], ...]:
    """Files with the names of their roots, of those that the index has."""
    return tuple(
        (known[root_id], PathText.of(path)) for root_id, path in sorted(files) if root_id in known
    )


def _files_in(root: bytes, folder: bytes, path_filter: PathFilter) -> Iterator[bytes]:
    """The wanted files below a folder of a root, by their paths in it; none if it is gone."""
    with suppress(OSError), OpenFolders.at(root, follow_links=False) as folders:
        top = folders.of(folder)
        for below, names, files, _ in os.fwalk(b".", dir_fd=top):
            here = paths.join(folder, below[2:]) if below[2:] else folder
            names[:] = [one for one in names if path_filter.folders(paths.join(here, one))]
            yield from (paths.join(here, one) for one in files if path_filter.file(one))
