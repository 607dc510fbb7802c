from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from indexer.errors import CannotDo
from indexer.model import Chunk, Evidence, ProblemKind, Reading, Waiting
from indexer.readers.pool import IN_FLIGHT, ReaderPool
from indexer.readers.reader import NICE

SOURCE = Path(__file__).parents[2]

READER = """
import os, signal, time
from indexer.readers import reader
from indexer.model import Track

reader.ALIVE_EVERY_S = 0.0

def read(file, suffix):
    word = file.read()
    if word == b"poison":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == b"once":
        os.truncate("/proc/self/fd/%d" % file.fileno(), 0)
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == b"hang":
        signal.pause()
    elif word == b"spin":
        while True:
            pass
    elif word == b"starve":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.nice(19)
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
    elif word == b"slow":
        signal.sigtimedwait([signal.SIGUSR1], 0.1)
    elif word == b"until told":
        while os.fstat(file.fileno()).st_size:
            signal.sigtimedwait([signal.SIGUSR1], 0.01)
    elif word == b"bug":
        raise ZeroDivisionError
    elif word == b"print":
        print("a stray line", flush=True)
        os.write(1, b"another")
    return Track(codec=suffix.decode(), title=word.decode())

reader.main(read)
"""

HOG = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"


@pytest.fixture
def command(tmp_path: Path) -> tuple[str, str]:
    """Starts a reader that does what a file's content tells it."""
    program = tmp_path / "reader.py"
    program.write_text(READER)
    return sys.executable, str(program)


@pytest.fixture
def chunk(tmp_path: Path) -> Callable[..., Chunk]:
    """Plants one file a word, and gives the chunk of them."""
    root = tmp_path / "music"
    root.mkdir()
    made = 0

    def plant(*words: str) -> Chunk:
        nonlocal made
        paths = []
        for word in words:
            made += 1
            (root / f"{made}.mp3").write_text(word)
            paths.append(b"%d.mp3" % made)
        return Chunk(os.fsencode(root), tuple(paths), Evidence(still_s=0))

    return plant


def words(readings: list[Reading]) -> list[str | None]:
    return [reading.track.title if reading.track else None for reading in readings]


def reasons(readings: list[Reading]) -> list[str | None]:
    return [reading.problem.reason if reading.problem else None for reading in readings]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    def lives(process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [process for process in processes if lives(process)]


def eventually(holds: Callable[[], bool], within_s: float = 60) -> bool:
    """Poll until it holds: processes take their time."""
    end_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end_s:
            return False
        os.sched_yield()
    return True


BEFORE = {process.pid for process in psutil.Process().children()}
"""Whoever else started children of this process, such as multiprocessing's resource tracker."""


@pytest.fixture(autouse=True)
def _children_of_others() -> None:
    BEFORE.update(process.pid for process in psutil.Process().children())


def my_readers() -> list[psutil.Process]:
    return [process for process in psutil.Process().children() if process.pid not in BEFORE]


def test_each_chunk_comes_back_once_whole_and_in_its_own_order(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    chunks = {tag: chunk(f"{tag} one", f"{tag} two", f"{tag} three") for tag in range(20)}
    with ReaderPool(2, command=command) as pool:
        answers = list(pool.map_unordered(chunks.items()))
    assert sorted(tag for tag, _ in answers) == list(range(20))
    for tag, readings in answers:
        assert words(readings) == [f"{tag} one", f"{tag} two", f"{tag} three"]
    assert pool.restarts == 0


def test_the_reader_of_the_program_itself_starts_from_any_folder(
    chunk: Callable[..., Chunk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('imported from where one stands')")
    monkeypatch.chdir(tmp_path)
    with ReaderPool(1) as pool:
        ((_, readings),) = pool.map_unordered([("tag", chunk("no music"))])
    assert readings[0].problem is not None
    assert readings[0].problem.kind is ProblemKind.CONTENT
    assert pool.restarts == 0


def test_chunks_are_pulled_only_as_readers_have_room(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    pulled = 0

    def endless() -> Iterator[tuple[int, Chunk]]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled, chunk("la")

    with ReaderPool(2, command=command) as pool:
        next(pool.map_unordered(endless()))
        assert pulled == 2 * IN_FLIGHT


def test_readers_stand_back_behind_their_parent(chunk: Callable[..., Chunk]) -> None:
    with ReaderPool(1) as pool:
        list(pool.map_unordered([("tag", chunk("no music"))]))
        (reader,) = pool._readers
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, reader.process.pid) == min(own + NICE, 19)


def test_a_file_that_kills_its_reader_is_blamed_and_the_rest_is_read(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    with ReaderPool(2, command=command) as pool:
        answers = dict(
            pool.map_unordered([("bad", chunk("a", "b", "poison", "c")), ("good", chunk("d"))])
        )
    assert words(answers["bad"]) == ["a", "b", None, "c"]
    reason = "the reader died (signal 11) twice on this file"
    assert reasons(answers["bad"]) == [None, None, reason, None]
    assert answers["bad"][2].stamp is not None
    assert words(answers["good"]) == ["d"]
    assert pool.restarts == 2


def test_a_file_that_kills_its_reader_once_is_read(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    with ReaderPool(1, command=command) as pool:
        ((_, readings),) = pool.map_unordered([("tag", chunk("once"))])
    assert words(readings) == [""]
    assert pool.restarts == 1


def test_an_error_that_no_reader_foresaw_is_the_files_problem(
    command: tuple[str, str], chunk: Callable[..., Chunk], capfd: pytest.CaptureFixture[str]
) -> None:
    with ReaderPool(1, command=command) as pool:
        ((_, readings),) = pool.map_unordered([("tag", chunk("bug"))])
    (reason,) = reasons(readings)
    assert reason is not None
    assert "this program failed on it (extract: ZeroDivisionError" in reason
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert pool.restarts == 0


def test_a_file_that_outlives_its_reader_is_blamed_and_the_rest_is_read(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    with ReaderPool(2, timeout_s=0.4, command=command) as pool:
        ((_, readings),) = pool.map_unordered([("tag", chunk("hang", "a"))])
    assert words(readings) == [None, "a"]
    assert reasons(readings) == ["the reader took longer than 0.4 s twice on this file", None]


def test_a_file_is_not_blamed_where_its_reader_gets_no_processor(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    """With a niceness of 19 beside a busy program it gets one for 14 ms of each second."""
    hog = subprocess.Popen((sys.executable, "-c", HOG))
    try:
        with ReaderPool(1, timeout_s=1.0, command=command) as pool:
            ((_, readings),) = pool.map_unordered([("tag", chunk("starve"))])
    finally:
        hog.kill()
        hog.wait()
    assert words(readings) == ["starve"]
    assert pool.restarts == 0


def test_a_slow_disk_is_no_hang(command: tuple[str, str], chunk: Callable[..., Chunk]) -> None:
    slow = ["slow"] * 12
    with ReaderPool(1, timeout_s=1.0, command=command) as pool:
        ((_, readings),) = pool.map_unordered([("tag", chunk(*slow))])
    assert words(readings) == slow
    assert pool.restarts == 0


def test_the_callers_own_time_is_not_held_against_a_reader(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    slow = chunk("until told")
    chunks = enumerate([chunk("a"), slow, chunk("b")])
    with ReaderPool(1, timeout_s=1.0, command=command) as pool:
        for tag, _ in pool.map_unordered(chunks):
            if tag == 0:
                signal.sigtimedwait([signal.SIGUSR1], 1.2)
                os.truncate(os.path.join(slow.root_path, *slow.paths), 0)
    assert pool.restarts == 0


def test_what_a_library_prints_breaks_no_frame(
    command: tuple[str, str], chunk: Callable[..., Chunk], capfd: pytest.CaptureFixture[str]
) -> None:
    with ReaderPool(1, command=command) as pool:
        ((_, readings),) = pool.map_unordered([("tag", chunk("print", "a"))])
    assert words(readings) == ["print", "a"]
    output = capfd.readouterr()
    assert output.out == ""
    assert "a stray line\nanother" in output.err


def test_chunks_larger_than_a_pipe_block_nobody(command: tuple[str, str], tmp_path: Path) -> None:
    paths = tuple(b"%d/" % number + b"x/" * 2000 for number in range(64))
    chunks = [(tag, Chunk(os.fsencode(tmp_path), paths)) for tag in range(6)]
    with ReaderPool(2, command=command) as pool:
        answers = dict(pool.map_unordered(chunks))
    assert len(answers) == 6
    for readings in answers.values():
        assert [reading.path for reading in readings] == list(paths)


def test_readers_that_cannot_start_blame_no_file(chunk: Callable[..., Chunk]) -> None:
    command = (sys.executable, "-c", "raise SystemExit(7)")
    with ReaderPool(2, command=command) as pool, pytest.raises(CannotDo, match="exit status 7"):
        list(pool.map_unordered([("tag", chunk("a"))]))
    assert my_readers() == []


def test_the_command_that_is_to_show_why_no_reader_starts_runs_one(
    tmp_path: Path, chunk: Callable[..., Chunk]
) -> None:
    program = tmp_path / "reader.py"
    program.write_text(
        "import os, stat\n"
        "if stat.S_ISFIFO(os.fstat(0).st_mode): os._exit(7)\n"
        "from indexer.readers import reader\n"
        "reader.main()\n"
    )
    command = (sys.executable, str(program))
    with ReaderPool(1, command=command) as pool, pytest.raises(CannotDo) as told:
        list(pool.map_unordered([("one", chunk("a"))]))
    _, shown, _ = str(told.value).split("`")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run(["sh", "-c", shown], capture_output=True, env=environment, check=True)
    assert not ran.stderr


def test_a_missing_interpreter_is_told_in_one_line(chunk: Callable[..., Chunk]) -> None:
    with ReaderPool(1, command=("/nowhere/python",)) as pool, pytest.raises(CannotDo):
        list(pool.map_unordered([("tag", chunk("a"))]))


def test_closing_ends_busy_readers_at_once_and_leaves_no_zombie(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    with ReaderPool(2, command=command) as pool:
        answers = pool.map_unordered([(1, chunk("a")), (2, chunk("hang")), (3, chunk("spin"))])
        assert next(answers)[0] == 1
        assert len(my_readers()) == 2
    assert my_readers() == []


def test_an_answer_nobody_waits_for_is_not_mistaken_for_the_next(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    with ReaderPool(1, command=command) as pool:
        left = pool.map_unordered([(1, chunk("a")), (2, chunk("hang", "b")), (3, chunk("c"))])
        next(left)
        left.close()
        assert my_readers() == []
        assert [words(readings) for _, readings in pool.map_unordered([(4, chunk("d"))])] == [["d"]]


def test_ctrl_c_in_the_caller_ends_the_readers(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    def interrupted() -> Iterator[tuple[int, Chunk]]:
        yield 1, chunk("hang")
        yield 2, chunk("hang")
        raise KeyboardInterrupt

    with ReaderPool(2, command=command) as pool, pytest.raises(KeyboardInterrupt):
        list(pool.map_unordered(interrupted()))
    assert my_readers() == []


PARENT = """
import os, signal, sys
from indexer.readers.pool import ReaderPool
from indexer.model import Chunk, Evidence

root, command, *paths = sys.argv[1:]
signal.signal(signal.SIGINT, lambda *_: None)  # a handler, which no child inherits

def chunks():
    for number, path in enumerate(paths):
        if number in (1, 3):  # the readers are a moment old, and then at work
            os.killpg(0, signal.SIGINT)
        yield path, Chunk(os.fsencode(root), (path.encode(),), Evidence(still_s=0))

with ReaderPool(2, command=(sys.executable, command)) as pool:
    for path, readings in pool.map_unordered(chunks()):
        print(path, flush=True)
    print("restarts", pool.restarts, flush=True)
"""


@pytest.fixture
def start_parent(
    command: tuple[str, str],
) -> Iterator[Callable[[Chunk], subprocess.Popen[str]]]:
    """Starts a process of its own session that reads each path of a chunk through a pool."""
    parents: list[subprocess.Popen[str]] = []

    def start(chunk: Chunk) -> subprocess.Popen[str]:
        parent = subprocess.Popen(
            [
                *(sys.executable, "-c", PARENT, os.fsdecode(chunk.root_path), command[1]),
                *(path.decode() for path in chunk.paths),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            start_new_session=True,
        )
        parents.append(parent)
        return parent

    yield start
    for parent in parents:
        parent.kill()
        parent.communicate()


def test_ctrl_c_in_the_terminal_leaves_the_readers_to_their_parent(
    start_parent: Callable[[Chunk], subprocess.Popen[str]], chunk: Callable[..., Chunk]
) -> None:
    parent = start_parent(chunk(*["la"] * 8))
    output, _ = parent.communicate(timeout=60)
    assert output.endswith("restarts 0\n")
    assert output.count(".mp3\n") == 8


def test_readers_die_with_a_parent_that_is_killed(
    start_parent: Callable[[Chunk], subprocess.Popen[str]], chunk: Callable[..., Chunk]
) -> None:
    parent = start_parent(chunk("la", "spin", "hang"))
    assert parent.stdout is not None
    assert parent.stdout.readline() == "1.mp3\n"
    readers = psutil.Process(parent.pid).children()
    assert len(alive(readers)) == 2
    parent.kill()
    assert eventually(lambda: alive(readers) == [])


# ---- shares


def on_share(chunk: Chunk) -> Chunk:
    """The same on a file system that may hang: a reader that pauses waits as for its server."""
    return msgspec.structs.replace(chunk, may_hang=True)


def test_what_a_server_does_not_give_is_left_and_no_problem_of_the_file(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    began = time.monotonic()
    with ReaderPool(1, 60, command=command, patience_s=0.3) as pool:
        work = [("a", on_share(chunk("one"))), ("b", on_share(chunk("hang", "two")))]
        read = dict(pool.map_unordered(work))
        assert pool.restarts == 1
    assert time.monotonic() - began < 20  # of 60
    assert words(read["a"]) == ["one"]
    assert [reading.waiting for reading in read["b"]] == [Waiting.SILENT] * 2
    assert reasons(read["b"]) == [None, None]


def test_a_reader_of_a_share_has_no_output_of_ours_open(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    """Else what reads a pipe from `indexer scan` would wait for one that is left behind."""
    with ReaderPool(1, 60, command=command) as pool:
        for made, outputs in ((chunk("one"), False), (on_share(chunk("two")), True)):
            assert words(dict(pool.map_unordered([("a", made)]))["a"])[0] is not None
            (reader,) = my_readers()
            held = {os.readlink(f"/proc/{reader.pid}/fd/{own}") for own in (1, 2)}
            assert (held == {os.devnull}) == outputs


def test_what_else_lies_on_a_silent_share_is_not_asked_for_but_other_roots_are(
    command: tuple[str, str], chunk: Callable[..., Chunk], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "song.mp3").write_text("local")
    other = Chunk(os.fsencode(tmp_path / "other"), (b"song.mp3",), Evidence(still_s=0))
    with ReaderPool(1, 60, command=command, patience_s=0.3) as pool:
        shares = [(f"share {n}", on_share(chunk("hang"))) for n in range(20)]
        began = time.monotonic()
        read = dict(pool.map_unordered([*shares, ("local", other)]))
        assert time.monotonic() - began < 20  # of 60
        assert pool.restarts == 1
    assert words(read["local"]) == ["local"]
    assert all(read[name][0].waiting is Waiting.SILENT for name, _ in shares)


def test_a_reader_that_gets_on_with_a_share_is_not_left(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    with ReaderPool(1, 60, command=command, patience_s=0.4) as pool:
        ((_, readings),) = pool.map_unordered([("a", on_share(chunk(*["slow"] * 12)))])
        assert pool.restarts == 0
    assert words(readings) == ["slow"] * 12


def test_a_file_on_a_share_that_keeps_its_reader_busy_for_ever_is_at_fault(
    command: tuple[str, str], chunk: Callable[..., Chunk]
) -> None:
    with ReaderPool(1, 0.5, command=command, patience_s=0.3) as pool:
        ((_, (reading,)),) = pool.map_unordered([("a", on_share(chunk("spin")))])
    assert reading.problem is not None
    assert reading.problem.kind is ProblemKind.CONTENT
