"""Measure all programs, keep the figures, and write this folder's tables and charts from them.

    python -m tests.bench.report [--peers-from /path/to/venv/bin]
    python -m tests.bench.report --files "" --tiny 100000,1000000
    python -m tests.bench.report --render

A library that is not measured in a run keeps its earlier figures; `--render` measures nothing.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

from tests.bench import chart, page, peers
from tests.bench.figures import Library
from tests.bench.measure import Plan, measure
from tests.bench.process import Failed

HERE = Path(__file__).parent
FIGURES, PAGE = "figures.json", "README.md"
CHARTS = {"stages.svg": chart.stages, "sizes.svg": chart.sizes}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; 2 if a library or a measurement failed."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # started programs are ended, too
    kept = load(asked.into / FIGURES)
    place = nullcontext(asked.keep) if asked.keep else tempfile.TemporaryDirectory()
    try:
        with place as folder:
            for plan, files in () if asked.render else _plans(asked):
                library = measure(Path(folder).absolute(), files, plan, kept)
                kept = merged(kept, [library])
                _keep(asked.into / FIGURES, kept)  # a later failure does not lose it
    except (Failed, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 2
    write(asked.into, kept)
    return 0


def load(file: Path) -> list[Library]:
    """The kept figures; none if there is no file."""
    return msgspec.json.decode(file.read_bytes(), type=list[Library]) if file.exists() else []


def merged(kept: Iterable[Library], new: Iterable[Library]) -> list[Library]:
    """All libraries; a new one replaces an earlier one of its kind and size."""
    every = {(library.tiny, library.files): library for library in (*kept, *new)}
    return [every[key] for key in sorted(every)]


def write(folder: Path, libraries: Sequence[Library]) -> None:
    """Fill the tables of the folder's README, and draw its charts."""
    readme = folder / PAGE
    readme.write_text(page.fill(readme.read_text("utf-8"), libraries), "utf-8")
    for name, draw in CHARTS.items():
        (folder / name).write_text(draw(libraries), "utf-8")


def _keep(file: Path, libraries: Sequence[Library]) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(libraries)) + b"\n")


def _plans(asked: argparse.Namespace) -> Iterable[tuple[Plan, int]]:
    """What to measure of each library, smallest first: by it too slow peers are known."""
    chosen = peers.Asked(asked.peers, asked.peers_from, asked.budget)
    for tiny, sizes in ((False, asked.files), (True, asked.tiny)):
        plan = Plan(runs=asked.runs, tiny=tiny, watch=True, peers=None if tiny else chosen)
        yield from ((plan, files) for files in sorted(sizes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--files",
        type=_sizes,
        default=[1000, 10_000, 100_000],
        metavar="N,N",
        help="sizes of the mixed libraries",
    )
    parser.add_argument(
        "--tiny", type=_sizes, default=[], metavar="N,N", help="sizes of those of tiny files"
    )
    parser.add_argument("--runs", type=int, default=2, help="of each; the medians are shown")
    parser.add_argument(
        "--peers",
        type=_peers,
        default=list(peers.ALL),
        metavar="NAME,NAME",
        help=f"of {', '.join(peers.ALL)}",
    )
    parser.add_argument(
        "--peers-from", type=Path, metavar="DIR", help="where commands are looked for before PATH"
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=150.0,
        metavar="S",
        help="seconds for the scans of one program of one library; slower ones are left out",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where libraries stay, for reuse")
    parser.add_argument("--into", type=Path, metavar="DIR", default=HERE, help=argparse.SUPPRESS)
    parser.add_argument("--render", action="store_true", help="only write tables and charts")
    return parser


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",") if size]


def _peers(text: str) -> list[str]:
    chosen = [name for name in text.split(",") if name]
    if unknown := [name for name in chosen if name not in peers.ALL]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(peers.ALL)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
