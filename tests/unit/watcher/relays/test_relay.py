"""A relay, with a Redis that is played and a clock of its own: what it gives, keeps and bounds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import cast

import pytest
import redis

from indexer import errors
from indexer.ignore_files import path_filter_of
from indexer.model import Hint
from indexer.queue.orders.messages import RelayOrder
from indexer.queue.relays import Announcement, Given, PeerState, RelayLink
from indexer.settings import Settings
from watcher.relays.relay import Relay

INDEX = Announcement("token", ("music", "other"))


class PlayedLink:
    """`RelayLink` without Redis."""

    def __init__(self) -> None:
        self.given: list[RelayOrder] = []
        self.alive: list[str] = []
        self.waiting = 0
        self.lost = 0
        self.failed: tuple[str, ...] = ()
        self.away = ""
        self.run_id = "first"
        self.announcement: Announcement | None = INDEX
        self.answers = ""
        self.ended: list[str] = []

    def _reach(self) -> None:
        if self.away:
            raise redis.ConnectionError(self.away)

    def exchange(self, alive: Iterable[str]) -> PeerState:
        self._reach()
        self.alive = list(alive) or self.alive
        return PeerState(self.run_id, self.announcement)

    def ask(self) -> None:
        self._reach()

    def answer(self) -> str:
        self._reach()
        return self.answers

    def give(self, order: RelayOrder, _now: float) -> None:
        self._reach()
        self.given.append(order)

    def check_given(self, _now: float) -> Given:
        self._reach()
        told = Given(self.waiting, self.failed, self.lost)
        self.lost, self.failed = 0, ()
        return told

    def drop_given(self) -> None:
        self.waiting = 0

    def drop(self) -> None:
        pass

    def end(self, names: Iterable[str]) -> None:
        self.ended = list(names)

    def close(self) -> None:
        pass


@pytest.fixture
def link() -> PlayedLink:
    return PlayedLink()


MakeRelay = Callable[..., Relay]


@pytest.fixture
def made(tmp_path: Path, link: PlayedLink) -> Iterator[MakeRelay]:
    """`made()`: a relay of the folder `music`, or of others."""
    relays: list[Relay] = []

    def make(*names: str) -> Relay:
        folders = {}
        for name in names or ("music",):
            (tmp_path / name).mkdir()
            folders[name] = bytes(tmp_path / name)
        settings = Settings(db=tmp_path / "x.db", redis="unix:///nobody/listens/here")
        relay = Relay(settings, folders, path_filter_of(settings), cast("RelayLink", link))
        relays.append(relay)
        return relay

    yield make
    for relay in relays:
        relay.close()


def told(link: PlayedLink) -> list[tuple[str, str, tuple[str, ...] | None, bool]]:
    """(root, folder, names, recursive) of all hints so far, and forget them."""
    found = [
        (
            hint.root,
            hint.folder.path if hint.folder else "",
            tuple(name.path for name in hint.names) if hint.names is not None else None,
            hint.recursive,
        )
        for order in link.given
        for hint in order.hints
    ]
    link.given.clear()
    return found


EVERYTHING = ("music", "", None, True)


def test_all_of_a_root_is_told_first(made: MakeRelay, link: PlayedLink) -> None:
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    assert told(link) == [EVERYTHING]
    relay.step(10.0)
    assert link.alive == ["music"]


def test_a_hint_is_told_again_when_a_client_may_have_forgotten_what_it_knew(
    made: MakeRelay, link: PlayedLink
) -> None:
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    relay.roots.debouncer.offer_hint(Hint(1, b"", (b"a.mp3",)), 2.0)
    at = []
    for tenth in range(20, 1000):
        relay.step(tenth / 10)
        at += [tenth / 10] * len(told(link))
    first, second, third = at
    assert first <= 2.1
    assert 1.5 <= second - first <= 2.0
    assert 65.0 <= third - first <= 66.0


def test_what_redis_does_not_take_waits_and_is_told_later(
    made: MakeRelay, link: PlayedLink
) -> None:
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    link.away = "gone"
    relay.roots.debouncer.offer_hint(Hint(1, b"", (b"a.mp3",)), 2.0)
    relay.step(3.0)
    relay.roots.debouncer.offer_hint(Hint(1, b"b", (b"b.mp3",)), 4.0)
    for second in range(5, 70):
        relay.step(float(second))
    assert told(link) == []
    link.away = ""
    relay.step(120.0)
    relay.step(121.0)
    found = told(link)
    assert ("music", "", ("a.mp3",), False) in found
    assert ("music", "b", ("b.mp3",), False) in found


def test_pauses_between_tries_grow_up_to_the_setting(made: MakeRelay, link: PlayedLink) -> None:
    relay = made()
    link.away = "gone"
    now, pauses = 0.0, []
    for _ in range(12):
        relay.step(now)
        pauses.append(relay.index_link.heartbeat_at - now)
        now = relay.index_link.heartbeat_at
    assert pauses[0] < 0.5
    assert 20 < max(pauses) <= 45
    assert pauses[-1] >= 30


def test_too_much_that_waits_in_redis_is_not_added_to(made: MakeRelay, link: PlayedLink) -> None:
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    link.waiting = 4
    for number in range(100):
        relay.roots.debouncer.offer_hint(Hint(1, b"%d" % number, (b"a.mp3",)), 2.0)
    relay.step(3.0)
    assert told(link) == []
    assert relay.next_turn() >= 4.0
    link.waiting = 3
    relay.step(4.0)
    assert len(link.given) == 1
    assert len(told(link)) == 100


def test_more_hints_than_a_job_holds_become_one_for_each_root(
    made: MakeRelay, link: PlayedLink
) -> None:
    relay = made("music", "other")
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    for number in range(1001):
        relay.roots.debouncer.offer_hint(Hint(2, b"%d" % number, (b"a.mp3",)), 2.0)
    relay.step(3.0)
    assert told(link) == [("other", "", None, True)]


@pytest.mark.parametrize(
    "happens",
    [
        lambda link: setattr(link, "run_id", "second"),
        lambda link: setattr(link, "announcement", Announcement("new", ("music",))),
    ],
    ids=["redis restarted", "index replaced"],
)
def test_what_may_be_lost_has_everything_looked_at(
    made: MakeRelay, link: PlayedLink, happens: Callable[[PlayedLink], None]
) -> None:
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    happens(link)
    for second in range(11, 15):
        relay.step(float(second))
    assert told(link) == [EVERYTHING]


def test_a_lost_job_has_everything_looked_at(made: MakeRelay, link: PlayedLink) -> None:
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    link.lost = 1
    relay.roots.debouncer.offer_hint(Hint(1, b"", (b"a.mp3",)), 2.0)
    relay.step(3.0)
    relay.step(4.0)
    assert EVERYTHING in told(link)


def test_a_question_that_is_lost_with_its_worker_is_asked_again(
    made: MakeRelay, link: PlayedLink
) -> None:
    relay = made()
    link.answers = "started"
    asked = []
    link.ask = lambda: asked.append(1)  # type: ignore[method-assign]
    for second in range(150):
        relay.step(float(second))
    assert len(asked) == 3


def test_a_refused_hint_is_logged_and_not_told_for_ever(
    made: MakeRelay, link: PlayedLink, caplog: pytest.LogCaptureFixture
) -> None:
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    link.failed = ("relayed-1",)
    for second in range(2, 200):
        relay.roots.debouncer.offer_hint(Hint(1, b"%d" % second), float(second))
        relay.step(float(second))
    assert caplog.messages.count("hint failed") == 1


def test_a_lost_job_is_seen_although_nothing_more_happens(
    made: MakeRelay, link: PlayedLink
) -> None:
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    link.lost = 1
    relay.step(11.0)
    relay.step(12.0)
    assert told(link) == [EVERYTHING]


def test_an_emptied_redis_has_everything_looked_at(made: MakeRelay, link: PlayedLink) -> None:
    """Its run id stays; the announcement went with the jobs."""
    relay = made()
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    link.announcement, link.answers = None, "queued"
    relay.step(11.0)
    link.announcement, link.answers = INDEX, ""
    for second in range(12, 15):
        relay.step(float(second))
    assert told(link) == [EVERYTHING]


def test_a_signal_after_the_end_does_no_harm(made: MakeRelay, tmp_path: Path) -> None:
    """A second Ctrl-C, while the program ends: the descriptor may be that of another file."""
    relay = made()
    relay.close()
    with (tmp_path / "other").open("wb") as other:
        assert other.fileno() == relay._wake_fd
        relay.stop()
        assert os.fstat(other.fileno()).st_size == 0


def test_a_root_that_the_index_never_had_is_wrong_use(made: MakeRelay, link: PlayedLink) -> None:
    link.announcement = Announcement("token", ("Musik",))
    with pytest.raises(errors.UsageError, match="no root named music; it has Musik"):
        made().step(0.0)


def test_a_root_that_was_renamed_there_stops_only_its_own_hints(
    made: MakeRelay, link: PlayedLink
) -> None:
    relay = made("music", "other")
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    link.announcement = Announcement("token", ("new", "other"))
    for second in range(2, 90):
        relay.step(float(second))
    assert link.alive == ["other"]
    told(link)
    for root in (1, 2):
        relay.roots.debouncer.offer_hint(Hint(root, b"", (b"a.mp3",)), 90.0)
    relay.step(91.0)
    assert {root for root, *_ in told(link)} == {"other"}


def test_a_root_that_the_index_has_again_is_looked_at(made: MakeRelay, link: PlayedLink) -> None:
    """What happened there meanwhile was not told."""
    relay = made("music", "other")
    relay.step(0.0)
    relay.step(1.0)
    told(link)
    link.announcement = Announcement("token", ("new", "other"))
    for second in range(11, 15):
        relay.step(float(second))
    link.announcement = INDEX
    for second in range(15, 90):
        relay.step(float(second))
    assert told(link) == [EVERYTHING]


def test_nothing_is_told_before_the_index_has_answered(made: MakeRelay, link: PlayedLink) -> None:
    relay = made()
    link.answers = "queued"
    for second in range(30):
        relay.step(float(second))
    assert told(link) == []
    assert link.alive == []
    link.answers = ""
    for second in range(30, 50):
        relay.step(float(second))
    assert told(link) == [EVERYTHING]
