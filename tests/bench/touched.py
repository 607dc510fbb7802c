"""One copied file -> the files and functions of ours that run between its event and its row.

    python -m tests.bench.touched [--engine local|rq] [--names] [--functions]

How much a reader of the code has to walk through to follow one change, in every process: from the
arrival of its first event to the release of its last pending row. What runs without an event, too,
is left out, and so is what does not run for most of a few files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.corpus import plant, tagged
from tests.daemons import QUICK, Daemon, watching
from tests.programs import CHECKOUT, eventually, rows
from tests.redis_servers import redis_server
from tests.rq_workers import crew, quick
from tests.touched.sitecustomize import SIGNAL

_COUNTER = CHECKOUT / "tests" / "touched"
_SETTLES_S = 0.8
"""After each file, for what follows a row."""
_RESTS_S = 4.0
"""Before the first file of those that count, for all that runs anyway."""
_FILES = 12
_MOST = 9
"""A place of a file that so many of them pass is on its way; the others were met by chance."""
_ARRIVES = "Inbox.sight"
_RELEASES = frozenset({"complete", "complete_covered"})
"""Functions of ours that take an event from the kernel, and that delete rows of `pending`."""

Stack = tuple[tuple[str, str], ...]
"""(file, function) of each call that is under way, the outermost first."""


class Call(NamedTuple):
    """One call, and all of ours above it."""

    at: float
    stack: Stack


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.touched", description=__doc__)
    parser.add_argument("--engine", choices=("local", "rq"), default="local")
    parser.add_argument("--names", action="store_true", help="list the files")
    parser.add_argument("--functions", action="store_true", help="list their functions, too")
    chosen = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="touched-"))
    try:
        called = counted(work, chosen.engine)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    files = sorted({file for file, _ in called})
    sys.stdout.write(f"{chosen.engine}: {len(files)} files, {len(called)} functions\n")
    for file in files if chosen.names or chosen.functions else ():
        functions = sorted(function for where, function in called if where == file)
        listed = " ".join(functions) if chosen.functions else ""
        sys.stdout.write(f"{len(functions):5}  {os.path.relpath(file, CHECKOUT)} {listed}\n")
    return 0


def counted(work: Path, engine: str) -> set[tuple[str, str]]:
    """(file, function) of all that is called for a file that is copied into a folder."""
    music, found = work / "music", work / "found"
    found.mkdir()
    shown = {"Album/00.mp3": "0"}
    plant(music, {path: tagged(title=title) for path, title in shown.items()})
    env = {"TOUCHED": os.fspath(found), "PYTHONPATH": os.fspath(_COUNTER)}
    copied_at = []
    with _running(work, music, engine, env) as (daemon, processes):
        eventually(daemon.db.exists)
        daemon.shows(shown)
        time.sleep(_SETTLES_S)
        _signal(processes())
        time.sleep(_RESTS_S)
        for number in range(1, _FILES + 1):
            path, title = f"Album/{number:02}.mp3", str(number)
            shown[path] = title
            copied_at.append(time.monotonic())
            plant(music, {path: tagged(title=title)})
            daemon.shows(shown)
            eventually(lambda: rows(daemon.db, "SELECT count(*) FROM pending") == [(0,)])
            time.sleep(_SETTLES_S)
        asked = {one.pid for one in processes()}
        _signal(processes())
        eventually(lambda: {int(path.stem) for path in found.glob("*.json")} >= asked)
    calls = sorted(call for path in found.glob("*.json") for call in _calls_in(path))
    return _for_each_file(calls, copied_at)


def _calls_in(path: Path) -> Iterator[Call]:
    noted = json.loads(path.read_text("utf-8"))
    stacks: list[Stack] = []
    for caller, file, function in noted["places"]:  # callers come first
        stacks.append((*stacks[caller], (file, function)) if caller >= 0 else ((file, function),))
    for at, place in noted["calls"]:
        yield Call(at, stacks[place])


def _for_each_file(calls: Sequence[Call], copied_at: Sequence[float]) -> set[tuple[str, str]]:
    """(file, function) of what most copied files cause; before the first one all was at rest."""
    at_rest = {call.stack for call in calls if call.at < copied_at[0]}
    caused = []
    for start, end in zip(copied_at, [*copied_at[1:], float("inf")], strict=True):
        about = [call for call in calls if start <= call.at < end]
        arrived = min(call.at for call in about if call.stack[-1][1] == _ARRIVES)
        released = max(call.at for call in about if call.stack[-1][1] in _RELEASES)
        during = {call.stack for call in about if arrived <= call.at <= released}
        begun = {stack[-1] for stack in during}  # the main loop is above, and began long ago
        caused.append(begun & {one for stack in during - at_rest for one in stack})
    passed = Counter(one for called in caused for one in called)
    return {one for one, times in passed.items() if times >= _MOST}


@contextmanager
def _running(
    work: Path, music: Path, engine: str, env: dict[str, str]
) -> Iterator[tuple[Daemon, Callable[[], list[psutil.Process]]]]:
    """A daemon, with workers or without, and what tells all of its Python processes."""
    folder = work / "index"
    folder.mkdir()
    db = folder / "library.db"
    with ExitStack() as stack:
        parents: list[int] = []
        config = QUICK
        if engine == "rq":
            server = stack.enter_context(redis_server(work))
            config = quick(server.address, lease=60)
        daemon = stack.enter_context(watching(music, db=db, config=config, env=env, until=None))
        parents.append(daemon.pid)
        if engine == "rq":
            workers = stack.enter_context(
                crew(db=db, config=config, client=server.client(), env=env)
            )
            parents.append(workers.pid)

        def processes() -> list[psutil.Process]:
            tree = [psutil.Process(pid) for pid in parents]
            return [one for top in tree for one in (top, *top.children(recursive=True))]

        yield daemon, processes


def _signal(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        process.send_signal(SIGNAL)


if __name__ == "__main__":
    raise SystemExit(main())
