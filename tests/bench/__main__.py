"""Libraries of several sizes -> a table of the program's costs: `python -m tests.bench`."""

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

from tests.bench import bars, chart, goals, growth, peers, ratios, table
from tests.bench.figures import Library, Result
from tests.bench.make import make
from tests.bench.process import Failed
from tests.bench.scenario import Scenario


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--check` exit with 1 if anything got worse."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    kept = ratios.load(asked.kept)
    if asked.check and not kept.libraries.keys() & set(asked.files):
        parser.error(
            f"{asked.kept} keeps no ratios of {asked.files} files; "
            "name other sizes, or let this run be kept with --keep-ratios"
        )
    place = nullcontext(asked.keep) if asked.keep else tempfile.TemporaryDirectory()
    result = Result(_machine(asked.cores), [])
    try:
        with place as folder:
            for files in asked.files:
                result.libraries.append(_measure(Path(folder).absolute(), files, asked))
    except (Failed, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 2
    for line in (*table.lines(result), *growth.lines(result)):
        print(line)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    if asked.chart:
        asked.chart.write_text(chart.draw(result), encoding="utf-8")
    if asked.goals:
        _print([*bars.judge(result), *goals.judge(result)])
    if asked.keep_ratios:
        ratios.keep(asked.kept, result)
    if not asked.check:
        return 0
    judged = list(ratios.judge(result, kept))
    _print(judged)
    return 1 if any(bar.ok is False for bar in judged) else 0


def _print(judged: list[bars.Bar]) -> None:
    print()
    for line in bars.lines(judged):
        print(line)


def _measure(folder: Path, files: int, asked: argparse.Namespace) -> Library:
    music = folder / f"{'tiny' if asked.tiny else 'music'}-{files}"
    _tell(f"{files} files: made")
    if make(music, files, asked.seed, tiny=asked.tiny):
        os.sync()  # pending writes would be measured, too
    with tempfile.TemporaryDirectory(dir=folder, prefix="index-") as work:
        scenario = Scenario(
            music,
            Path(work),
            files,
            asked.seed,
            cores=asked.cores,
            config=asked.config,
            tiny=asked.tiny,
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
        except Failed as error:  # a container may forbid it; the other figures are valid
            print(error, file=sys.stderr)
        scenario.sampling = False
        for number in range(asked.runs if asked.cold else 0):
            _tell(f"{files} files: cold run {number + 1} of {asked.runs}")
            scenario.cold_round()
        library = scenario.result()
        if asked.peers and not asked.tiny:
            _tell(f"{files} files: mpd, minidlna")
            library.steps.extend(peers.measure(music, Path(work), files, asked.runs, asked.cores))
    _tell("")
    return library


def _machine(cores: int) -> dict[str, str | int | float]:
    """The conditions of the run. The load is measured before: 0 is an idle machine."""
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
    parser.add_argument("--chart", type=Path, metavar="FILE", help="where an SVG is drawn")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="only ourselves")
    parser.add_argument(
        "--tiny", action="store_true", help="files without covers: a million of them in 5 GB"
    )
    parser.add_argument(
        "--cold", action="store_true", help="also with an empty page cache, which root may empty"
    )
    parser.add_argument("--goals", action="store_true", help="say what was asked for, and reached")
    parser.add_argument(
        "--check", action="store_true", help="exit code 1 if a kept ratio got worse by a quarter"
    )
    parser.add_argument("--keep-ratios", action="store_true", help="keep those of this run")
    parser.add_argument(
        "--kept", type=Path, metavar="FILE", default=ratios.FILE, help="where ratios are kept"
    )
    return parser


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
