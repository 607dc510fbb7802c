from __future__ import annotations

import os
import pty
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from msgspec import structs

from indexer.cli.progress import Meter, ProgressLine, counts_text
from indexer.model import Progress
from indexer.nonblocking_stream import NonblockingStream, nonblocking_stderr
from tests.clock import Clock


def reading(read: int, to_read: int = 1000) -> Progress:
    return Progress(phase="reading", root="music", seen=to_read, to_read=to_read, read=read)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    meter = Meter()
    for second in range(60):
        meter.moment(reading(second * 10), now=second)
    for second in range(60, 80):
        moment = meter.moment(reading(600 + (second - 60) * 2), now=second)
    assert moment.rate == pytest.approx(2)
    assert moment.left_s == pytest.approx((1000 - 638) / 2)


def test_listing_a_new_library_has_no_total_and_no_end() -> None:
    meter = Meter()
    meter.moment(Progress(phase="listing", seen=0), now=0)
    moment = meter.moment(Progress(phase="listing", seen=500), now=1)
    assert (moment.done, moment.total, moment.left_s) == (500, None, None)
    assert counts_text(moment) == "500 files  500 files/s"


def test_listing_a_known_library_knows_its_end() -> None:
    meter = Meter()
    meter.moment(Progress(phase="listing", seen=0, expected=10_000), now=0)
    moment = meter.moment(Progress(phase="listing", seen=4000, expected=10_000), now=2)
    assert counts_text(moment) == "4 000 of 10 000 files  2 000 files/s  3.0 s left"


def test_a_run_that_reads_while_it_lists_says_so_and_has_no_total() -> None:
    meter = Meter()
    meter.moment(Progress(phase="listing", seen=8000, to_read=1000, read=0), now=0)
    meter.moment(Progress(phase="listing", seen=8100, to_read=1100, read=1), now=1)
    moment = meter.moment(Progress(phase="listing", seen=9000, to_read=1832, read=1001), now=2)
    assert moment.phase == "reading"
    assert counts_text(moment) == "8 169 files  1 168 files/s"


def test_a_run_that_goes_on_counts_what_was_done_before() -> None:
    meter = Meter()
    meter.moment(Progress(phase="reading", seen=20_000, to_read=12_832, read=0), now=0)
    moment = meter.moment(Progress(phase="reading", seen=20_000, to_read=12_832, read=6416), now=2)
    assert counts_text(moment) == "13 584 of 20 000 files  3 208 files/s  2.0 s left"


def test_a_library_that_grew_is_never_more_than_done() -> None:
    moment = Meter().moment(Progress(phase="listing", seen=12, expected=10), now=0)
    assert moment.total == 12


def test_a_new_phase_is_measured_on_its_own() -> None:
    meter = Meter()
    meter.moment(Progress(phase="listing", seen=0), now=0)
    meter.moment(Progress(phase="listing", seen=100_000), now=1)
    assert meter.moment(reading(0), now=1.1).rate is None
    assert meter.moment(reading(10), now=2.1).rate == pytest.approx(10)


def test_a_run_that_stands_still_has_no_end() -> None:
    meter = Meter()
    meter.moment(reading(5), now=0)
    assert meter.moment(reading(5), now=3).left_s is None


_END = "\x1e"
"""A terminal delivers output late; this marks the end of it."""


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@contextmanager
def stderr_is_a_terminal(columns: int = 100) -> Iterator[Callable[[], str]]:
    """Yields a reader of the output. Not a fixture: pytest restores its own stderr first."""
    ours, theirs = pty.openpty()

    def drawn() -> str:
        os.write(theirs, _END.encode())
        text = ""
        while not text.endswith(_END):
            text += os.read(ours, 65536).decode()
        return text.removesuffix(_END)

    with pytest.MonkeyPatch.context() as patch, open(theirs, "w", encoding="utf-8") as stream:
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLUMNS", str(columns))
        patch.setattr(sys, "stderr", stream)
        yield drawn
    os.close(ours)


def test_a_run_that_is_soon_over_draws_nothing(clock: Clock) -> None:
    with stderr_is_a_terminal() as terminal, ProgressLine(clock) as line:
        clock.now = 0.3
        line(reading(999))
        assert terminal() == ""


def test_the_line_tells_phase_files_rate_and_time_left(clock: Clock) -> None:
    with stderr_is_a_terminal() as terminal, ProgressLine(clock) as line:
        clock.now = 1
        line(reading(0))
        clock.now = 2
        terminal()
        line(reading(100))
        drawn = terminal()
    assert "reading music" in drawn
    assert "100 of 1 000 files  100 files/s  9.0 s left" in drawn


def test_a_terminal_that_is_gone_ends_the_drawing_and_not_the_work(clock: Clock) -> None:
    ours, theirs = pty.openpty()
    with pytest.MonkeyPatch.context() as patch, open(theirs, "w", encoding="utf-8") as stream:
        patch.setenv("TERM", "xterm-256color")
        patch.setattr(sys, "stderr", stream)
        with ProgressLine(clock) as line:
            os.close(ours)
            for second in range(1, 4):
                clock.now = second
                line(reading(second))
        assert sys.stderr is stream
        with open(os.devnull, "wb") as nothing:  # takes what is in the buffer
            os.dup2(nothing.fileno(), theirs)


def test_a_terminal_that_takes_nothing_holds_no_work_up(clock: Clock) -> None:
    told: list[int] = []

    def lost(number: int) -> str:
        told.append(number)
        return ""

    ours, theirs = pty.openpty()
    with (
        pytest.MonkeyPatch.context() as patch,
        open(theirs, "w", encoding="utf-8", closefd=False) as stream,
    ):
        patch.setenv("TERM", "xterm-256color")
        patch.setattr(sys, "stderr", stream)
        os.set_blocking(theirs, False)
        with suppress(BlockingIOError):
            while True:
                os.write(theirs, b"x" * 100)
        with nonblocking_stderr(lost) as written:
            assert isinstance(written, NonblockingStream)
            with ProgressLine(clock) as line:
                for second in range(1, 10_000):
                    clock.now = second
                    line(reading(second % 1000))
            os.set_blocking(ours, False)
            while not written.drain(0.01):
                with suppress(BlockingIOError):
                    os.read(ours, 1 << 16)
    assert told == [], "one line waits, and not all of them"
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(phase="reading", seen=10_000, to_read=10_000, read=9_343), ["reading"]),
        (Progress(phase="artwork", seen=1_122, to_read=1_122, read=40), ["artwork"]),
        (Progress(phase="listing", root="r" * 30, seen=9_999, expected=10_000), ["listing", "r"]),
    ],
)
def test_no_count_is_cut_in_a_narrow_terminal(
    progress: Progress, words: list[str], columns: int, clock: Clock
) -> None:
    """The bar gives way, then the name of the root."""
    with stderr_is_a_terminal(columns) as terminal, ProgressLine(clock) as line:
        clock.now = 1
        line(structs.replace(progress, read=0))
        clock.now = 2
        terminal()
        line(progress)
        drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal()).strip()
    moment = Meter()
    moment.moment(structs.replace(progress, read=0), 1)
    counts = counts_text(moment.moment(progress, 2))
    assert drawn.endswith(counts)
    assert all(word in drawn.removesuffix(counts) for word in words)
    assert len(drawn) <= columns
    assert columns < 100 or "r" * 30 in drawn or "\u2501" in drawn


def test_artwork_counts_albums_and_artists() -> None:
    meter = Meter()
    meter.moment(Progress(phase="artwork", seen=1_122, to_read=1_122, read=0), 0)
    moment = meter.moment(Progress(phase="artwork", seen=1_122, to_read=1_122, read=40), 1)
    assert counts_text(moment) == "40 of 1 122 albums and artists  40/s  27 s left"


def test_the_line_is_drawn_at_most_ten_times_a_second(clock: Clock) -> None:
    with stderr_is_a_terminal() as terminal, ProgressLine(clock) as line:
        for millisecond in range(1000, 2000):
            clock.now = millisecond / 1000
            line(reading(millisecond))
        assert 9 <= terminal().count("files/s") + 1 <= 10


def test_the_line_is_gone_at_the_end(clock: Clock) -> None:
    with stderr_is_a_terminal() as terminal:
        with ProgressLine(clock) as line:
            clock.now = 1
            line(reading(1))
            assert terminal()
        assert terminal().endswith("\x1b[1A\x1b[2K")


def test_the_line_has_no_colour_under_no_color(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with stderr_is_a_terminal() as terminal, ProgressLine(clock) as line:
        clock.now = 1
        line(reading(1))
        drawn = terminal()
    assert "reading music" in drawn
    assert "\x1b[3" not in drawn
    assert "\x1b[38" not in drawn


def test_a_roots_name_cannot_move_the_cursor(clock: Clock) -> None:
    with stderr_is_a_terminal() as terminal, ProgressLine(clock) as line:
        clock.now = 1
        line(Progress(phase="listing", root="x\x1b[2J", seen=1))
        assert r"listing x\x1b[2J" in terminal()


def test_the_cursor_stays_visible_when_the_program_is_stopped_or_killed(clock: Clock) -> None:
    with stderr_is_a_terminal() as terminal, ProgressLine(clock) as line:
        clock.now = 1
        line(reading(1))
        drawn = terminal()
    assert "reading music" in drawn
    assert "\x1b[?25l" not in drawn
