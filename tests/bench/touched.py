"""One copied file -> the files and functions of ours that run between its event and its row.

    python -m tests.bench.touched [--engine local|rq] [--names]

How much a reader of the code has to walk through to follow one change, counted in every process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from tests.corpus import plant, tagged
from tests.daemons import QUICK, Daemon, watching
from tests.programs import CHECKOUT, eventually
from tests.redis_servers import redis_server
from tests.rq_workers import crew, quick
from tests.touched.sitecustomize import SIGNAL

_COUNTER = CHECKOUT / "tests" / "touched"
_SETTLES_S = 1.0
"""After the first row, for what the daemon does behind it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.touched", description=__doc__)
    parser.add_argument("--engine", choices=("local", "rq"), default="local")
    parser.add_argument("--names", action="store_true", help="list the files")
    chosen = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="touched-"))
    try:
        called = counted(work, chosen.engine)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    files = sorted({file for file, _ in called})
    sys.stdout.write(f"{chosen.engine}: {len(files)} files, {len(called)} functions\n")
    for file in files if chosen.names else ():
        functions = sum(where == file for where, _ in called)
        sys.stdout.write(f"{functions:5}  {os.path.relpath(file, CHECKOUT)}\n")
    return 0


def counted(work: Path, engine: str) -> set[tuple[str, str]]:
    """(file, function) of all that was called for one file that is copied into a folder."""
    music, found = work / "music", work / "found"
    found.mkdir()
    plant(music, {"Album/01 first.mp3": tagged(title="first")})
    env = {"TOUCHED": os.fspath(found), "PYTHONPATH": os.fspath(_COUNTER)}
    with _running(work, music, engine, env) as (daemon, processes):
        eventually(daemon.db.exists)
        daemon.shows({"Album/01 first.mp3": "first"})
        time.sleep(_SETTLES_S)
        _signal(processes())
        plant(music, {"Album/02 second.mp3": tagged(title="second")})
        daemon.shows({"Album/01 first.mp3": "first", "Album/02 second.mp3": "second"})
        asked = {one.pid for one in processes()}
        _signal(processes())
        eventually(lambda: {int(path.stem) for path in found.glob("*.json")} >= asked)
        return {
            (file, function)
            for path in found.glob("*.json")
            for file, function in json.loads(path.read_text("utf-8"))
        }


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
            config = quick(server.address)
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
