from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from indexer.errors import CannotDo
from indexer.model import Chunk, Evidence, ProblemKind, Reading, Stamp
from indexer.readers.halving import FAILING_CHUNKS, ChunkJob, PendingChunks, Piece

STAMP = Stamp(size=1, mtime_ns=2, ctime_ns=3, inode=4)


def chunk(*paths: bytes) -> Chunk:
    return Chunk(b"/music", paths, Evidence(still_s=7))


def gone(piece: Piece[str]) -> list[Reading]:
    """A reading that fits any piece."""
    return [Reading(path=path, gone=True) for path in piece.chunk.paths]


def work_on(*chunks: Chunk) -> PendingChunks[str]:
    names = (chr(ord("A") + place) for place in range(len(chunks)))
    return PendingChunks(zip(names, chunks, strict=True), lambda *_, **__: STAMP)


def taken(work: PendingChunks[str]) -> Piece[str]:
    piece = work.take()
    assert piece is not None
    return piece


def finish(
    work: PendingChunks[str], kills: Callable[[bytes], bool]
) -> tuple[dict[str, list[Reading]], int]:
    """Run all pieces, with files that kill their reader; the readings and number of failures."""
    answers: dict[str, list[Reading]] = {}
    failures = 0
    while (piece := work.take()) is not None:
        job: ChunkJob[str] | None
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

    taken(PendingChunks(endless()))
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


def fail_all(work: PendingChunks[str]) -> None:
    while (piece := work.take()) is not None:
        work.fail(piece, "died (signal 9)")


def test_a_killer_in_each_chunk_is_not_the_machines_fault() -> None:
    paths = [b"%d" % number for number in range(64)]
    chunks = [chunk(*paths) for _ in range(FAILING_CHUNKS * 2)]
    answers, _ = finish(work_on(*chunks), kills=lambda path: path == b"0")
    assert len(answers) == len(chunks)


def test_the_file_at_hand_is_tried_by_itself_and_the_others_as_they_were() -> None:
    work = work_on(chunk(*(b"%d" % number for number in range(9))))
    assert work.fail(taken(work), "died", at=4) is None
    left = [taken(work).chunk.paths for _ in range(3)]
    assert sorted(left) == [(b"0", b"1", b"2", b"3"), (b"4",), (b"5", b"6", b"7", b"8")]
    assert left[0] == (b"4",)
    assert work.take() is None


@pytest.mark.parametrize("place", range(5))
def test_a_file_that_was_at_hand_twice_is_blamed_after_two_readers(place: int) -> None:
    paths = [b"%d" % number for number in range(5)]
    work = work_on(chunk(*paths))
    failures = 0
    job = None
    while (piece := work.take()) is not None:
        if paths[place] in piece.chunk.paths:
            failures += 1
            job = work.fail(piece, "died", piece.chunk.paths.index(paths[place])) or job
        else:
            job = work.succeed(piece, gone(piece)) or job
    assert job is not None
    _, readings = job.answer()
    assert [reading.path for reading in readings] == paths
    assert [reading.problem is not None for reading in readings] == [
        number == place for number in range(5)
    ]
    assert failures == 2


def test_what_is_added_is_taken_in_order_and_some_of_it_alone() -> None:
    work: PendingChunks[str] = PendingChunks()
    paths = [b"%d" % number for number in range(7)]
    known = {3: Reading(path=b"3", gone=True)}
    assert work.add("A", chunk(*paths), alone=[0, 5], known=known) is None
    pieces = [taken(work) for _ in range(5)]
    together = [piece.chunk.paths for piece in pieces]
    assert together == [(b"0",), (b"1", b"2"), (b"4",), (b"5",), (b"6",)]
    assert work.take() is None
    done = [job for piece in pieces if (job := work.succeed(piece, gone(piece))) is not None]
    (job,) = done
    assert [reading.path for reading in job.answer()[1]] == paths


def test_a_chunk_of_which_all_is_known_is_answered_at_once() -> None:
    work: PendingChunks[str] = PendingChunks()
    job = work.add("A", chunk(b"a"), known={0: Reading(path=b"a", gone=True)})
    assert job is not None
    assert work.waiting == 0


def test_where_everything_fails_files_may_have_the_machines_trouble_instead() -> None:
    work: PendingChunks[str] = PendingChunks(stamp_at=lambda *_, **__: STAMP, gives_up=False)
    for number in range(FAILING_CHUNKS + 1):
        work.add(str(number), chunk(b"a"))
    kinds = []
    while (piece := work.take()) is not None:
        job = work.fail(piece, "died")
        if job is not None and (problem := job.answer()[1][0].problem) is not None:
            kinds.append(problem.kind)
    assert len(kinds) == FAILING_CHUNKS + 1
    assert kinds[-1] is ProblemKind.ENVIRONMENT
