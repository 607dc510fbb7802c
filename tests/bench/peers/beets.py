"""beets: a command line with an SQLite database. It reads tags through mutagen and watches nothing.

It is asked to take tags as they are: no look-up at MusicBrainz, no file copied or written.
"""

from __future__ import annotations

import msgspec

from tests.bench.peers.peer import Peer, Setup
from tests.bench.process import Cost, Failed, run

SETTINGS = {
    "import": {
        "copy": False, "move": False, "write": False, "autotag": False,
        "incremental": True, "quiet": True,
    },
    "plugins": [],
}  # fmt: skip


def scans(setup: Setup) -> tuple[Cost, Cost]:
    """Import; then import and `update`: only both find new files as well as changed ones."""
    place = setup.place
    config = {**SETTINGS, "directory": str(setup.music), "library": str(place / "beets.db")}
    (place / "config.yaml").write_bytes(msgspec.json.encode(config))  # JSON is YAML
    first = _run(setup, "import", "-q", str(setup.music))
    found = _run(setup, "ls", "-f", "x").output.count("x\n")
    if found != setup.files:
        raise Failed(f"beets knows {found} songs of {setup.files}")
    again, update = _run(setup, "import", "-q", str(setup.music)), _run(setup, "update", "-M")
    unchanged = Cost(
        again.seconds + update.seconds,
        again.cpu_s + update.cpu_s,
        max(again.peak_pss, update.peak_pss),
        again.written_bytes + update.written_bytes,
        0,
    )
    return msgspec.structs.replace(first, output=""), unchanged


def _run(setup: Setup, *words: str) -> Cost:
    return run(
        [setup.program, *words],
        cores=setup.cores,
        environment=setup.environment(BEETSDIR=str(setup.place)),
        limit_s=setup.limit_s,
    )


def version(program: str) -> str:
    """From `beets version 2.14.1`, which other lines may precede."""
    words = run([program, "version"], sample_s=None, limit_s=60).output.split()
    return words[words.index("version") + 1]


BEETS = Peer("beets", "beet", version, scans, None)
