from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from indexer.engine.pieces import FAILING_CHUNKS, Job, Piece, Work
from indexer.errors import CannotDo
from indexer.model import Chunk, Evidence, ProblemKind, Reading, Stamp

STAMP = Stamp(size=1, mtime_ns=2, ctime_ns=3, inode=4)


def chunk(*paths: bytes) -> Chunk:
    return Chunk(b"/music", paths, Evidence(still_s=7))


def gone(piece: Piece[str]) -> list[Reading]:
    """An answer that any piece can have."""
    return [Reading(path=path, gone=True) for path in piece.chunk.paths]


def work_on(*chunks: Chunk) -> Work[str]:
    names = (chr(ord("A") + place) for place in range(len(chunks)))
    return Work(zip(names, chunks, strict=True), lambda *_, **__: STAMP)


def taken(work: Work[str]) -> Piece[str]:
    piece = work.take()
    assert piece is not None
    return piece


def finish(work: Work[str], kills: Callable[[bytes], bool]) -> tuple[dict[str, list[Reading]], int]:
    """Do all of it, where some files kill whoever reads them; the answers, and the failures."""
    answers: dict[str, list[Reading]] = {}
    failures = 0
    while (piece := work.take()) is not None:
        job: Job[str] | None
        if any(kills(path) for path in piece.chunk.paths):
            failures += 1
            job = work.fail(piece, "died (signal 11)")
        else:
            job = work.succeed(piece, gone(piece))
        if job is not None:
            tag, readings = job.answer()
            answers[tag] = readings
    return answers, failures


def test_a_chunk_is_handed_out_whole_and_once() -> None:
    work = work_on(chunk(b"a", b"b"))
    assert taken(work).chunk == chunk(b"a", b"b")
    assert work.take() is None


def test_fresh_chunks_are_pulled_one_at_a_time() -> None:
    pulled = []

    def endless() -> Iterator[tuple[str, Chunk]]:
        while True:
            pulled.append(1)
            yield "tag", chunk(b"a")

    taken(Work(endless()))
    assert len(pulled) == 1


@pytest.mark.parametrize("place", range(9))
def test_only_the_file_that_kills_is_blamed(place: int) -> None:
    paths = [b"%d" % number for number in range(9)]
    answers, failures = finish(work_on(chunk(*paths)), kills=lambda path: path == paths[place])
    assert [reading.path for reading in answers["A"]] == paths
    (bad,) = [reading for reading in answers["A"] if reading.problem is not None]
    assert bad.path == paths[place]
    assert bad.stamp == STAMP
    assert bad.problem is not None
    assert bad.problem.kind is ProblemKind.CONTENT
    assert bad.problem.reason == "the reader died (signal 11) twice on this file"
    assert failures <= 6


def test_a_single_file_that_fails_once_is_not_blamed() -> None:
    work = work_on(chunk(b"a"))
    assert work.fail(taken(work), "died") is None
    again = taken(work)
    job = work.succeed(again, gone(again))
    assert job is not None
    assert job.answer() == ("A", gone(again))


def test_a_chunk_of_nothing_but_killers_is_blamed_file_by_file() -> None:
    paths = [b"%d" % number for number in range(40)]
    answers, _ = finish(work_on(chunk(*paths)), kills=lambda _: True)
    assert all(reading.problem is not None for reading in answers["A"])


def test_halves_keep_the_evidence_and_the_root() -> None:
    work = work_on(chunk(b"a", b"b", b"c"))
    work.fail(taken(work), "died")
    assert {taken(work).chunk, taken(work).chunk} == {chunk(b"a"), chunk(b"b", b"c")}


def test_a_piece_differs_from_its_chunk_in_nothing_but_paths() -> None:
    whole = Chunk(b"/music", (b"a", b"b"), Evidence(still_s=7), True, frozenset({b"a"}))
    assert taken(work_on(whole)).chunk == whole


def test_what_is_put_back_is_not_halved() -> None:
    work = work_on(chunk(b"a", b"b"))
    work.put_back(taken(work))
    assert taken(work).chunk == chunk(b"a", b"b")


def test_after_a_failure_leftovers_and_fresh_chunks_take_turns() -> None:
    work = work_on(chunk(b"a", b"b"), chunk(b"c"), chunk(b"d"))
    work.fail(taken(work), "died")
    assert [taken(work).chunk.paths for _ in range(4)] == [(b"a",), (b"c",), (b"b",), (b"d",)]


def test_chunk_after_chunk_that_fails_is_the_machines_fault() -> None:
    chunks = [chunk(b"a", b"b") for _ in range(FAILING_CHUNKS)]
    with pytest.raises(CannotDo, match=r"the last one died \(signal 9\)"):
        fail_all(work_on(*chunks))


def fail_all(work: Work[str]) -> None:
    while (piece := work.take()) is not None:
        work.fail(piece, "died (signal 9)")


def test_a_killer_in_each_chunk_is_not_the_machines_fault() -> None:
    paths = [b"%d" % number for number in range(64)]
    chunks = [chunk(*paths) for _ in range(FAILING_CHUNKS * 2)]
    answers, _ = finish(work_on(*chunks), kills=lambda path: path == b"0")
    assert len(answers) == len(chunks)
