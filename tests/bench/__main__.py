"""Libraries of several sizes -> a table of the program's costs: `python -m tests.bench`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

from tests.bench import bars, goals, growth, peers, ratios, table
from tests.bench.figures import Result
from tests.bench.measure import Plan, machine, measure
from tests.bench.process import Failed

QUICK_PEERS = ("mpd", "minidlna")
"""`tests.bench.report` measures all of them."""


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
    plan = _plan(asked)
    result = Result(machine(plan), [])
    try:
        with place as folder:
            for files in asked.files:
                at = Path(folder).absolute()
                result.libraries.append(measure(at, files, plan, result.libraries))
    except (Failed, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 2
    for line in (*table.lines(result), *growth.lines(result)):
        print(line)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
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


def _plan(asked: argparse.Namespace) -> Plan:
    return Plan(
        runs=asked.runs,
        seed=asked.seed,
        cores=asked.cores,
        config=asked.config,
        tiny=asked.tiny,
        cold=asked.cold,
        peers=peers.Asked(QUICK_PEERS) if asked.peers else None,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--files", type=sizes, default=[10_000], metavar="N,N", help="sizes of the libraries"
    )
    parser.add_argument("--runs", type=int, default=3, help="of each; the medians are shown")
    parser.add_argument("--seed", type=int, default=1, help="of the libraries")
    parser.add_argument("--cores", type=int, default=2, help="that may be used")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where libraries stay, for reuse")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the program")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every run is written")
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


def sizes(text: str) -> list[int]:
    """Parse `1000,10000`."""
    return [int(size) for size in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
