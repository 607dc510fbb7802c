"""Libraries of several sizes -> one table of what the program costs: `python -m tests.bench`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

from tests.bench import bars, peers, table
from tests.bench.figures import Library, Result
from tests.bench.make import make
from tests.bench.process import Failed
from tests.bench.scenario import Scenario


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--check` say by the exit code whether it is enough."""
    asked = _parser().parse_args(arguments)
    place = nullcontext(asked.keep) if asked.keep else tempfile.TemporaryDirectory()
    result = Result(_machine(asked.cores), [])
    try:
        with place as folder:
            for files in asked.files:
                result.libraries.append(_measure(Path(folder).absolute(), files, asked))
    except (Failed, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 2
    for line in table.lines(result):
        print(line)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    if not asked.check:
        return 0
    judged = bars.judge(result)
    print()
    for line in bars.lines(judged):
        print(line)
    return 1 if any(bar.ok is False for bar in judged) else 0


def _measure(folder: Path, files: int, asked: argparse.Namespace) -> Library:
    music = folder / f"music-{files}"
    if make(music, files, asked.seed):
        os.sync()  # what is still being written would be measured too
    with tempfile.TemporaryDirectory(dir=folder, prefix="index-") as work:
        scenario = Scenario(
            music, Path(work), files, asked.seed, cores=asked.cores, config=asked.config
        )
        scenario.warm()
        for number in range(asked.runs):
            _tell(f"{files} files: run {number + 1} of {asked.runs}")
            scenario.round()
        _tell(f"{files} files: memory")
        scenario.sampling = True
        scenario.round()
        _tell(f"{files} files: system calls")
        try:
            scenario.trace()
        except Failed as error:  # a container may forbid it; the other figures stand
            print(error, file=sys.stderr)
        library = scenario.result()
        if asked.peers:
            _tell(f"{files} files: mpd, minidlna")
            library.steps.extend(peers.measure(music, Path(work), files, asked.runs, asked.cores))
    _tell("")
    return library


def _machine(cores: int) -> dict[str, str | int | float]:
    """What the figures depend on. The load is of before: 0 is a quiet machine."""
    return {
        "cores": min(cores, len(os.sched_getaffinity(0))),
        "of": os.cpu_count() or 0,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "load before": round(os.getloadavg()[0], 2),
    }


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--files", type=_sizes, default=[10_000], metavar="N,N", help="sizes of the libraries"
    )
    parser.add_argument("--runs", type=int, default=3, help="of each; the medians are shown")
    parser.add_argument("--seed", type=int, default=1, help="of the libraries")
    parser.add_argument("--cores", type=int, default=2, help="that may be used")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where libraries stay, for reuse")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the program")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every run is written")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="only ourselves")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a bar is not reached")
    return parser


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
