"""For any events in any order: nothing is lost, nothing is early, nothing waits for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import paths
from indexer.evidence import FileLease
from indexer.model import Hint
from tests.fake_fs import World, covered
from watcher.debounce.debouncer import Debouncer, DueHint
from watcher.debounce.folder_buffer import Delays, Observation
from watcher.events.fs_event import FsEvent, FsEventKind

FOLDERS = (b"", b"a", b"a/b", b"a-b")
NAMES = (b"1.mp3", b"2.flac", b"3.mp3")
CHANGING = (FsEventKind.CREATED, FsEventKind.WRITING)
WHOLE = (FsEventKind.CLOSED, FsEventKind.MOVED_IN)
OF_FOLDERS = (FsEventKind.FOLDER_CAME, FsEventKind.FOLDER_WENT)

QUIET, STILL, HELD, PATIENCE, INCOMPLETE, LONGEST = 0.002, 2.0, 60.0, 10.0, 10.0, 10.0
SOON = 1e-6
"""Clocks are binary fractions."""

pauses = st.sampled_from([0, 0.0005, 0.001, QUIET, 0.003, 0.009, 0.01, 0.1, 1, 2, 9, 10, 30, 61])
folders = st.sampled_from(FOLDERS)
files = st.builds(paths.join, folders, st.sampled_from(NAMES))
debouncers = st.builds(
    Debouncer,
    st.builds(Delays, quiet_s=st.sampled_from([QUIET, 5.0])),
    most_names=st.integers(0, 4),
    most_waiting=st.sampled_from([0, 2, 5, 10_000]),
)


# A disk with programs on it.


@dataclass
class Supervised(World):
    """A world that checks each due hint against the events and the disk."""

    being_written: set[bytes] = field(default_factory=set)
    """Files being written, according to the events alone."""

    def see(self, path: bytes, kind: FsEventKind) -> None:
        if kind in CHANGING:
            self.being_written.add(path)
        elif kind is not FsEventKind.ATTRIBUTES:
            self.being_written.discard(path)
        super().see(path, kind)

    def move_folder(self, old: bytes, new: bytes) -> None:
        """Rename a folder; for the kernel, nothing below it changes."""
        for path in [path for path in self.disk if paths.is_below(path, old)]:
            moved = new + path[len(old) :]
            self.disk[moved] = self.disk.pop(path)
            self.closes[moved].add(self.disk[moved].content)
        self.being_written = {path for path in self.being_written if not paths.is_below(path, old)}
        self.see_folder(old, FsEventKind.FOLDER_WENT)
        self.see_folder(new, FsEventKind.FOLDER_CAME)

    def pop(self) -> list[DueHint]:
        written = set(self.being_written)
        dues = super().pop()
        for due in dues:
            for path in {*covered(due.hint, self.disk), *due.whole} & written:
                if path not in due.unfinished and path in self.disk:
                    self.must_be_whole(path)
            for path in due.whole & self.disk.keys():
                assert self._lease(self.disk[path]) is not FileLease.REFUSED
                assert path not in written
        return dues

    def must_be_whole(self, path: bytes) -> None:
        still_s = self.now - self.disk[path].changed_at + SOON
        lease = self._lease(self.disk[path])
        needed = {FileLease.GRANTED: 0.0, FileLease.UNAVAILABLE: STILL, FileLease.REFUSED: HELD}[
            lease
        ]
        assert still_s >= needed, "it is due while it is being written"


def act_on_file(world: Supervised, what: str, path: bytes) -> None:
    """An operation of a program on an existing file."""
    match what:
        case "open":
            world.open(path)
        case "write" if world.disk[path].writers:
            world.write(path, "sound")
        case "finish" if world.disk[path].writers:
            world.write(path, ".")
        case "close" if world.disk[path].writers:
            world.close(path)
        case "set times":
            world.set_times(path)
        case "delete":
            world.delete(path)


def act_on_two(world: Supervised, what: str, path: bytes, other: bytes) -> None:
    """An operation on an existing file and another name in its folder."""
    if what == "rename" and path != other:
        world.rename(path, other)
    elif what == "move folder":
        old, new = paths.parent_of(path), paths.parent_of(other)
        taken = any(paths.is_below(one, new) for one in world.disk)
        if old and new and not taken and not paths.is_below(new, old):
            world.move_folder(old, new)


def act(world: Supervised, what: str, path: bytes, other: bytes, pause_s: float) -> None:
    match what:
        case "sleep":
            world.sleep(pause_s)
        case "pop":
            world.pop()
        case "create":
            world.create(path)
        case "put":
            world.put(path, "sound.")
        case "hint" | "recursive hint":
            is_recursive = what == "recursive hint"
            hint = Hint(1, paths.parent_of(path), recursive=is_recursive)
            world.debouncer.offer_hint(hint, world.now)
        case "rename" | "move folder" if path in world.disk:
            act_on_two(world, what, path, other)
        case _ if path in world.disk:
            act_on_file(world, what, path)


ACTIONS = ("sleep", "sleep", "pop", "create", "put", "hint", "recursive hint", "rename")
ACTIONS_ON_FILES = ("open", "write", "finish", "close", "set times", "delete", "move folder")
steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS + ACTIONS_ON_FILES), files, files, pauses), max_size=40
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 4), st.booleans(), steps)
def test_the_index_follows_whatever_programs_do_and_never_reads_what_is_being_written(
    most_names: int, leases: bool, program: list[tuple[str, bytes, bytes, float]]
) -> None:
    world = Supervised(Debouncer(most_names=most_names), leases)
    for step in program:
        act(world, *step)
    for path, file in world.disk.items():
        while file.writers:
            world.close(path)
    world.sleep(QUIET + max(INCOMPLETE, LONGEST + STILL) + SOON)
    assert world.is_in_step()
    assert world.debouncer.waiting_count == 0
    assert world.debouncer.next_due() is None


# Impossible events in any order.


@dataclass(frozen=True)
class Offer:
    """An event or a hint, and its time."""

    at: float
    what: FsEvent | Hint


events = st.one_of(
    st.builds(
        FsEvent,
        st.integers(1, 2),
        folders,
        st.sampled_from(NAMES),
        st.sampled_from([kind for kind in FsEventKind if kind not in OF_FOLDERS]),
    ),
    st.builds(
        FsEvent,
        st.integers(1, 2),
        folders,
        st.sampled_from([None, b"b"]),
        st.sampled_from(OF_FOLDERS),
    ),
    st.builds(FsEvent, st.integers(1, 2), folders, st.none(), st.sampled_from(list(FsEventKind))),
)
hints = st.one_of(
    st.builds(Hint, st.integers(1, 2), folders, recursive=st.booleans(), reread=st.integers(0, 1)),
    st.builds(
        Hint,
        st.integers(1, 2),
        folders,
        st.lists(st.sampled_from([*NAMES, b"b/1.mp3"]), min_size=1, unique=True).map(tuple),
        reread=st.integers(0, 1),
    ),
)
histories = st.lists(st.tuples(pauses, st.booleans(), events | hints), max_size=40)
seen = st.one_of(
    st.none(),
    st.builds(
        Observation,
        st.sampled_from(list(FileLease)),
        st.integers(0, 1),
        st.just(1),
        st.booleans(),
    ),
)
facts = st.dictionaries(files, seen, max_size=8)


def answers(due: DueHint, what: FsEvent | Hint) -> bool:
    """Whether a due hint covers everything that was offered: the naive oracle."""
    looked = due.hint
    if looked.root_id != what.root_id:
        return False
    if isinstance(what, FsEvent):
        is_folder = what.name is None or what.kind in OF_FOLDERS
        path = what.folder if what.name is None else paths.join(what.folder, what.name)
        wanted = [] if is_folder else [path]
        folder, is_tree = path, what.kind in OF_FOLDERS
    else:
        is_folder, is_tree, folder = what.names is None, what.recursive, what.folder
        wanted = [paths.join(folder, name) for name in what.names or ()]
        if looked.reread < what.reread:
            return False
    if not is_folder:
        return all(path in covered(looked, dict.fromkeys(wanted)) for path in wanted)
    if looked.recursive:
        return paths.is_below(folder, looked.folder)
    return looked.names is None and not is_tree and looked.folder == folder


def split(offer: Offer) -> list[Offer]:
    """Split a hint into one for each name."""
    if isinstance(offer.what, FsEvent) or offer.what.names is None or offer.what.reread:
        return [offer]
    root_id, folder = offer.what.root_id, offer.what.folder
    return [Offer(offer.at, Hint(root_id, folder, (name,))) for name in offer.what.names]


def name_of(offer: Offer) -> bytes | None:
    """The path of the one file that was offered."""
    what = offer.what
    if isinstance(what, Hint):
        return paths.join(what.folder, what.names[0]) if what.names and not what.reread else None
    if what.name is None or what.kind in OF_FOLDERS:
        return None
    return paths.join(what.folder, what.name)


class Watch:
    """Offers, the hints that became due after each, and their times."""

    def __init__(self, debouncer: Debouncer, facts: dict[bytes, Observation | None]) -> None:
        self.debouncer = debouncer
        self.facts = facts
        self.open: list[Offer] = []
        self.answered: list[tuple[Offer, float]] = []
        self.now = 0.0

    def offer(self, what: FsEvent | Hint) -> None:
        self.open.extend(split(Offer(self.now, what)))
        if isinstance(what, FsEvent):
            self.debouncer.offer(what, self.now)
        else:
            self.debouncer.offer_hint(what, self.now)

    def pop(self) -> None:
        for due in self.debouncer.pop_due(self.now, self.observe):
            left = []
            for offer in self.open:
                path = name_of(offer)
                if answers(due, offer.what) and path not in due.unfinished:
                    self.answered.append((offer, self.now))
                else:
                    left.append(offer)
            self.open = left

    def observe(self, _root_id: int, path: bytes, now: float) -> Observation | None:
        assert now == self.now
        return self.facts.get(path)

    def wait(self, until: float) -> None:
        turns = 0
        while (due_at := self.debouncer.next_due()) is not None and due_at <= until:
            self.now = max(self.now, due_at)
            self.pop()
            turns += 1
            assert turns < 2000, "it spins"
        self.now = max(self.now, until)


LONGEST_WAIT = PATIENCE + LONGEST + HELD + SOON


@settings(max_examples=150, deadline=None)
@given(debouncers, facts, histories)
def test_everything_offered_is_due_in_time_and_nothing_is_kept(
    debouncer: Debouncer,
    facts: dict[bytes, Observation | None],
    history: list[tuple[float, bool, FsEvent | Hint]],
) -> None:
    watch = Watch(debouncer, facts)
    for pause_s, busy, what in history:
        if busy:  # at work all the while
            watch.now += pause_s
        else:
            watch.wait(watch.now + pause_s)
        watch.offer(what)
    ended_at = watch.now
    watch.wait(ended_at + LONGEST_WAIT)
    assert watch.open == []
    assert debouncer.waiting_count == 0
    assert debouncer.next_due() is None


@settings(max_examples=150, deadline=None)
@given(debouncers, histories)
def test_what_is_whole_waits_for_its_batch_no_longer_than_patience(
    debouncer: Debouncer, history: list[tuple[float, bool, FsEvent | Hint]]
) -> None:
    """For any number of other files that are created, removed and written in the folder."""
    watch = Watch(debouncer, dict.fromkeys(paths.join(f, n) for f in FOLDERS for n in NAMES))
    for pause_s, _busy, what in history:
        watch.wait(watch.now + pause_s)
        watch.offer(what)
    watch.wait(watch.now + PATIENCE + LONGEST)
    for offer, due_at in watch.answered:
        asked = isinstance(offer.what, FsEvent) and offer.what.kind in CHANGING
        assert due_at - offer.at <= (LONGEST if asked else PATIENCE) + SOON


@given(histories, st.integers(1, 10))
def test_what_waits_never_outgrows_its_bound(
    history: list[tuple[float, bool, FsEvent | Hint]], most_waiting: int
) -> None:
    debouncer = Debouncer(most_waiting=most_waiting)
    roots = 2
    now = 0.0
    for pause_s, _busy, what in history:
        now += pause_s
        if isinstance(what, FsEvent):
            debouncer.offer(what, now)
            assert debouncer.waiting_count <= max(most_waiting, roots)
        elif not what.reread:
            debouncer.offer_hint(what, now)
            assert debouncer.waiting_count <= max(most_waiting, roots)


@given(histories)
def test_the_same_history_gives_the_same_answers(
    history: list[tuple[float, bool, FsEvent | Hint]],
) -> None:
    def run() -> list[tuple[float, DueHint]]:
        debouncer, now = Debouncer(), 0.0
        told: list[tuple[float, DueHint]] = []
        for pause_s, _busy, what in history:
            now += pause_s
            if isinstance(what, FsEvent):
                debouncer.offer(what, now)
            else:
                debouncer.offer_hint(what, now)
            told.extend((now, due) for due in debouncer.pop_due(now, lambda *_: None))
        return told

    assert run() == run()
