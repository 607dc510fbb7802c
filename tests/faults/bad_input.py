"""Damaged files by the thousand -> what no reader may do: `python -m tests.faults.bad_input`.

Each file goes through `extract` in a forked child that may use a second of the processor for it and
64 MB more memory than it had; a crash, a hang or a greedy read ends the child, and the parent knows
at which file. Where a reader of ours takes a shorter way than mutagen's, both ways must agree.
"""

from __future__ import annotations

import argparse
import io
import json
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn
from unittest.mock import patch

import msgspec
from mutagen.flac import FLAC

from indexer import tags
from indexer.model import Chunk, Reading, Track
from indexer.process import mapped_bytes
from indexer.stages.extract import extract
from indexer.tags import leading, reader
from indexer.tags.fast import mpeg_frames, ogg
from indexer.tags.id3 import id3_tag
from indexer.tags.mp4 import mp4_file
from indexer.tags.vorbis import comments, mutagen_vorbis, vorbis_file
from indexer.tags.window import Window
from tests.faults.mutate import Input, made, samples

CPU_S = 1.0
"""Of the processor, for one file: a busy machine makes nobody slower by this clock."""
WALL_S = 60.0
"""By the clock on the wall, for what waits instead."""
MEMORY = 64 * 1024 * 1024
BATCH = 250
"""Files that one child reads: a fork costs as much as ten of them."""
MUCH = 512 * 1024
"""Bytes that may be read of any file: every format of mutagen's looks at the head and the tail."""
LATE_NS = 2**62
"""A time at which every file has stood still for long."""


class Fault(NamedTuple):
    """What went wrong with one input."""

    number: int
    what: str
    kept: Path

    def __str__(self) -> str:
        return f"input {self.number}: {self.what}; kept as {self.kept}"


class Outcome(NamedTuple):
    """What became of all inputs."""

    counts: Counter[str]
    faults: list[Fault]


def hunt(seed: int, numbers: range, keep: Path, wholes: Sequence[Input] | None = None) -> Outcome:
    """Read these inputs; those that a reader failed at are written into `keep`."""
    wholes = samples() if wholes is None else wholes
    _import_all(wholes)
    counts: Counter[str] = Counter()
    faults: list[Fault] = []
    for begin in range(numbers.start, numbers.stop, BATCH):
        left = range(begin, min(begin + BATCH, numbers.stop))
        while left:
            ran = _child(seed, left, wholes)
            counts.update(ran.counts)
            for number, what in ran.faults:
                kept = _keep(keep, seed, number, made(seed, number, wholes))
                faults.append(Fault(number, what, kept))
            left = range(ran.reached + 1, left.stop)
    return Outcome(counts, faults)


class _Ran(NamedTuple):
    counts: Counter[str]
    faults: list[tuple[int, str]]
    reached: int


def _child(seed: int, numbers: range, wholes: Sequence[Input]) -> _Ran:
    """Read these inputs in a fork; the last that it reached, if it died there."""
    at = mmap.mmap(-1, 8)
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _read_all(seed, numbers, wholes, at, send)
    os.close(send)
    with open(receive, "rb") as pipe:
        lines = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    counts: Counter[str] = Counter()
    faults: list[tuple[int, str]] = []
    for line in lines:
        number, kind, text = json.loads(line)
        if kind == "fault":
            faults.append((number, text))
        else:
            counts[text] += 1
    reached = int.from_bytes(at[:8])
    if status != 0:
        faults.append((reached, _death(status)))
    return _Ran(counts, faults, reached)


def _death(status: int) -> str:
    match -status:
        case signal.SIGPROF:
            return f"it took more than {CPU_S:g} s of the processor"
        case signal.SIGALRM:
            return f"it took more than {WALL_S:g} s"
        case number if number > 0:
            return f"the reader died of signal {number}"
        case _:
            return f"the reader ended with {status}"


def _read_all(
    seed: int, numbers: range, wholes: Sequence[Input], at: mmap.mmap, send: int
) -> NoReturn:
    """All that a child does."""
    code = 70
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with tempfile.TemporaryDirectory() as folder:
            limit = mapped_bytes() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            for number in numbers:
                at[:8] = number.to_bytes(8)
                one = made(seed, number, wholes)
                with _limited():
                    outcome, faults = judge(folder, one)
                told = [(number, "count", outcome), *((number, "fault", text) for text in faults)]
                for line in told:
                    os.write(send, json.dumps(line).encode() + b"\n")
        code = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        text = f"{type(error).__name__}: {error}"
        os.write(send, json.dumps((int.from_bytes(at[:8]), "fault", text)).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)


@contextmanager
def _limited() -> Iterator[None]:
    """Let the default action of either signal end this process when its time is over."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    signal.setitimer(signal.ITIMER_REAL, WALL_S)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


def judge(folder: str, one: Input) -> tuple[str, list[str]]:
    """What became of one input, in a word, and what is wrong about that."""
    name = b"x" + one.suffix
    path = os.path.join(os.fsencode(folder), name)
    with open(path, "wb") as file:
        file.write(one.content)
    (reading,) = extract(Chunk(os.fsencode(folder), (name,)), now_ns=lambda: LATE_NS)
    faults = [*_faults_of(reading, len(one.content)), *_differences(one)]
    outcome = "track" if reading.track is not None else "refused"
    return outcome, faults


def _faults_of(reading: Reading, size: int) -> Iterator[str]:
    if (reading.track is None) == (reading.problem is None):
        yield f"neither a track nor a problem: {reading}"
    if reading.problem is not None:
        reason = reading.problem.reason
        if reading.problem.kind.keeps_row:
            yield f"the machine is blamed: {reason}"
        if "more memory" in reason:
            yield f"it wants more than {MEMORY >> 20} MB: {reason}"
        if reason.splitlines() != [reason] or len(reason) > reader.REASON_LIMIT:
            yield f"the reason is not one short line: {reason!r}"
    if reading.bytes_read > 8 * size + MUCH:
        yield f"{reading.bytes_read} bytes were read of {size}"
    block = msgspec.msgpack.encode(reading)  # refuses lone surrogates, as SQLite does
    if msgspec.msgpack.decode(block, type=Reading) != reading:
        yield "it does not come through msgpack"
    if reading.track is not None:
        yield from _faults_of_track(reading.track)


def _faults_of_track(track: Track) -> Iterator[str]:
    for field, value in msgspec.structs.asdict(track).items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and (not text.strip("\0 ") or text.endswith("\0")):
                yield f"{field} is blank or ends in NUL: {text!r}"
            if isinstance(text, int) and not 0 <= text < 2**31:
                yield f"{field} is no number of ours: {text}"


class _TooLong(BaseException):
    """mutagen itself hangs at this file: then there is nothing to compare with."""


def _differences(one: Input) -> Iterator[str]:
    """Where the shorter way and mutagen's both read a file: whether they agree."""
    theirs = _read(one, as_mutagen=True)
    if theirs is None:
        return
    ours = _read(one, as_mutagen=False)
    if ours is None:
        yield "mutagen reads it, and our reader refuses it"
    elif ours != theirs:
        fields = msgspec.structs.asdict(ours)
        different = {
            field: (value, getattr(theirs, field))
            for field, value in fields.items()
            if value != getattr(theirs, field)
        }
        yield f"ours and mutagen's differ: {different}"


def _read(one: Input, *, as_mutagen: bool) -> Track | None:
    family = reader.family_of(one.suffix)
    expected: tuple[type[BaseException], ...]
    expected = (*tags.mutagens_errors(), MemoryError, tags.Refused)
    try:
        with (  # as mutagen assumes; the second way uses what counts frames for a Xing count of 0
            patch.object(mpeg_frames, "is_steady", lambda *_: True),
            patch.object(ogg, "_start", lambda *_: 0),
            patch.object(mutagen_vorbis, "start_of", lambda *_: 0),
            _mutagens_way() if as_mutagen else nullcontext(),
        ):
            return family(Window(io.BytesIO(one.content)), one.suffix)
    except expected:
        return None
    except _TooLong:
        return None


@contextmanager
def _mutagens_way() -> Iterator[None]:
    """Every reader without its shorter way, and for half a second at most."""

    def too_long(_number: int, _frame: FrameType | None) -> None:
        raise _TooLong

    left = signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, too_long)
    try:
        with (
            patch.object(id3_tag, "plain_tag", _declines),
            patch.object(mpeg_frames, "stream", _declines),
            patch.object(mp4_file, "plain_mp4", _declines),
            patch.object(vorbis_file, "plain_ogg", _declines),
            patch.object(vorbis_file, "_read_flac", _read_flac),
        ):
            signal.setitimer(signal.ITIMER_PROF, CPU_S / 2)
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, *left)


def _declines(*_: object) -> None:
    """A reader of our own that leaves every file to mutagen."""


def _read_flac(window: Window) -> Track:
    leading.refuse_tags(window)  # read by its content, with the tag's values
    window.seek(0)
    flac = FLAC(window)
    has_picture = any(picture.data for picture in flac.pictures)
    found = comments.comments_of(flac.tags or ())
    return comments.track("flac", flac.info, found, has_picture=has_picture, lossless=True)


def _import_all(wholes: Sequence[Input]) -> None:
    """Load every reader now: what a child loads would count as memory of its file."""
    for one in wholes:
        for suffix in {one.suffix, b".mp3"}:
            with suppress(tags.Refused):
                tags.read_track(io.BytesIO(one.content), suffix)


def _keep(folder: Path, seed: int, number: int, one: Input) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{seed}-input-{number}{os.fsdecode(one.suffix)}"
    path.write_bytes(one.content)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunt, tell every fault with what replays it, and say by the exit code whether there was one.

    One process; several hunt side by side with different seeds.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.bad_input", description="Read damaged files by the thousand."
    )
    parser.add_argument("--inputs", type=int, default=100_000, help="how many  [100000]")
    parser.add_argument("--seed", type=int, default=1, help="which ones  [1]")
    parser.add_argument("--first", type=int, default=0, help="begin at this number  [0]")
    parser.add_argument(
        "--keep", type=Path, default=Path("bad-input"), help="folder for what fails  [bad-input]"
    )
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    counts: Counter[str] = Counter()
    faults = 0
    last = asked.first + asked.inputs
    for begin in range(asked.first, last, 10 * BATCH):
        done = hunt(asked.seed, range(begin, min(begin + 10 * BATCH, last)), asked.keep)
        counts.update(done.counts)
        faults += len(done.faults)
        for fault in done.faults:
            sys.stdout.write(f"{fault}\n")
            sys.stdout.write(
                "  replay: python -m tests.faults.bad_input "
                f"--seed {asked.seed} --first {fault.number} --inputs 1\n"
            )
        sys.stdout.flush()
    took = time.monotonic() - began
    sys.stdout.write(
        f"{asked.inputs} inputs of seed {asked.seed} in {took:.0f} s: {counts['track']} tracks, "
        f"{counts['refused']} refused, {faults} faults\n"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
